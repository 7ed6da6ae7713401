package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// intervals returns the held intervals of a record, ascending, without those that retention has dropped. The end of an
// open one is openEnd, or the heartbeat where that is 0.
func (r *Reader) intervals(ctx context.Context, kind model.Kind, m model.MarketID, openEnd model.Micros) ([]Interval, error) {
	out, err := r.rawIntervals(ctx, kind, m, openEnd)
	if err != nil {
		return nil, err
	}
	if kindFamilies[kind] == key.Candles {
		// Candles are held where trades are, or were: they outlive the trades that they were built from.
		built, err := r.rawIntervals(ctx, model.KindTrades, m, openEnd)
		if err != nil {
			return nil, err
		}
		out = append(out, built...)
		slices.SortFunc(out, func(a, b Interval) int { return cmp.Compare(a.From, b.From) })
		out = union(out)
	}
	keep, err := r.keep()
	if err != nil {
		return nil, err
	}
	return keep.clamp(kind, out), nil
}

// rawIntervals returns the held intervals of a record as they were, whatever retention has dropped since.
func (r *Reader) rawIntervals(ctx context.Context, kind model.Kind, m model.MarketID, openEnd model.Micros) ([]Interval, error) {
	return r.rawIntervalsIn(ctx, kind, m, openEnd, 0, forever)
}

// rawIntervalsIn is rawIntervals of those that begin from the first moment, which must be a start, up to the last one.
func (r *Reader) rawIntervalsIn(ctx context.Context, kind model.Kind, m model.MarketID, openEnd, first, last model.Micros) ([]Interval, error) {
	var out []Interval
	open := -1 // the interval without an end
	for iv, err := range r.held(ctx, kind, m, first) {
		if err != nil {
			return nil, err
		}
		if open >= 0 {
			// An import has added to the record since the stop, which no start has noticed yet.
			if out[open].To, err = r.stoppedAt(kind, m, out[open].From, iv.From); err != nil {
				return nil, err
			}
			open = -1
		}
		if iv.From > last {
			break
		}
		if iv.To == 0 {
			if openEnd == 0 {
				if openEnd, err = r.heartbeat(); err != nil {
					return nil, err
				}
			}
			if iv.To = openEnd; iv.To < iv.From {
				continue // younger than the last tick
			}
			open = len(out)
		}
		out = append(out, iv)
	}
	if kind != model.KindBook {
		out = union(out)
	}
	return out, nil
}

// bookIntervals is intervals of books without those that end before from or begin behind to. It reads as many rows as it
// returns, where a record of years has thousands: intervals of books lie apart, so that one before a start has ended by then.
func (r *Reader) bookIntervals(ctx context.Context, m model.MarketID, openEnd, from, to model.Micros) ([]Interval, error) {
	from = max(from, 0)
	if to < from {
		return nil, nil
	}
	first := model.Micros(0)
	if from > 0 {
		var err error
		if first, err = r.heldBefore(ctx, model.KindBook, m, from); err != nil {
			return nil, err
		}
	}
	out, err := r.rawIntervalsIn(ctx, model.KindBook, m, openEnd, first, to)
	if err != nil {
		return nil, err
	}
	keep, err := r.keep()
	if err != nil {
		return nil, err
	}
	if len(out) > 0 && out[0].To < from {
		out = out[1:]
	}
	return keep.clamp(model.KindBook, out), nil
}

// stoppedAt returns the end of an interval that a stop left open and that another one follows.
func (r *Reader) stoppedAt(kind model.Kind, m model.MarketID, start, next model.Micros) (model.Micros, error) {
	heartbeat, err := r.heartbeat()
	if err != nil {
		return 0, err
	}
	return openEnd(r.store, recordOf{uint8(kind), uint32(m)}, start, next, heartbeat, 0)
}

// union joins intervals that touch. Those of books are kept apart: each begins with a whole book of its own.
func union(in []Interval) []Interval {
	out := in[:0]
	for _, iv := range in {
		if n := len(out); n > 0 && iv.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, iv.To)
			continue
		}
		out = append(out, iv)
	}
	return out
}

var kindFamilies = [...]key.Family{
	model.KindBook: key.Books, model.KindTrades: key.Trades, model.KindStats: key.Stats, model.KindFunding: key.Funding,
	model.KindCandles: key.Candles, model.KindHourCandles: key.Candles, model.KindDayCandles: key.Candles,
}

// clamp cuts dropped days out of intervals.
func (k *keepState) clamp(kind model.Kind, in []Interval) []Interval {
	cut := k.cuts[kindFamilies[kind]]
	if cut == 0 {
		return in
	}
	if spans(kindFamilies[kind]) {
		return k.clampSpans(kindFamilies[kind], cut, in)
	}
	var kept []Interval // what retention has left, ascending and apart from one another
	for _, day := range append(k.pins[:len(k.pins):len(k.pins)], cut) {
		from := model.Micros(key.DayStart(min(day, cut)) * 1000)
		to := from + key.DayMicros - 1
		if day >= cut {
			to = forever
		}
		if n := len(kept); n > 0 && kept[n-1].To >= from-1 {
			kept[n-1].To = max(kept[n-1].To, to)
			continue
		}
		kept = append(kept, Interval{From: from, To: to})
	}
	var out []Interval
	for _, iv := range in {
		for _, part := range kept {
			part.From, part.To = max(part.From, iv.From), min(part.To, iv.To)
			if part.From <= part.To {
				out = append(out, part)
			}
		}
	}
	return out
}

// clampSpans is clamp for families whose buckets are spans of 64 days, of which a pinned day keeps the whole.
func (k *keepState) clampSpans(f key.Family, cut uint32, in []Interval) []Interval {
	var out []Interval
	for _, iv := range in {
		for span := key.Span(int64(iv.From.Millis())); iv.From < iv.To; span++ {
			end := iv.To
			if span < cut {
				end = min(end, model.Micros(key.SpanStart(span+1)*1000))
			}
			if !k.dropped(f, span) {
				out = append(out, Interval{From: iv.From, To: end})
			}
			iv.From = end
		}
	}
	return union(out)
}

// Coverage returns the held intervals of one market that touch the span, cut to it. An open one reaches to the last
// committed tick.
func (r *Reader) Coverage(ctx context.Context, kind model.Kind, m model.MarketID, sp Span) ([]Interval, error) {
	var all []Interval
	var err error
	if kind == model.KindBook {
		all, err = r.bookIntervals(ctx, m, 0, sp.From.Micros(), sp.To.Micros())
	} else {
		all, err = r.intervals(ctx, kind, m, 0)
	}
	if err != nil {
		return nil, err
	}
	var out []Interval
	for _, iv := range all {
		iv.From, iv.To = max(iv.From, sp.From.Micros()), min(iv.To, sp.To.Micros())
		if iv.From < iv.To {
			out = append(out, iv)
		}
	}
	return out, nil
}

// Covered sums coverage up for an answer: the first and last held moment in the span, and whether all of it is held; held
// is false where nothing is. The time after the last committed tick does not count as missing.
func (r *Reader) Covered(ctx context.Context, kind model.Kind, m model.MarketID, sp Span) (start, end model.Millis, complete, held bool, err error) {
	ivs, err := r.Coverage(ctx, kind, m, sp)
	if err != nil || len(ivs) == 0 {
		return 0, 0, false, false, err
	}
	heartbeat, err := r.heartbeat()
	if err != nil {
		return 0, 0, false, false, err
	}
	first, last := ivs[0], ivs[len(ivs)-1]
	want := min(sp.To.Micros(), max(heartbeat, last.To))
	if kind == model.KindFunding {
		want = min(want, heartbeat-settling) // a row is known a while after its hour
	}
	complete = len(ivs) == 1 && first.From <= sp.From.Micros() && last.To >= want
	return first.From.Millis(), last.To.Millis(), complete, true, nil
}

// settling is how long after the full hour a settled funding row may not be known yet.
const settling = 120 * second

// KeptSince returns the first moment of a record that retention has left, pinned days aside; 0 where it has dropped nothing.
func (r *Reader) KeptSince(kind model.Kind) (model.Millis, error) {
	keep, err := r.keep()
	if err != nil {
		return 0, err
	}
	f := kindFamilies[kind]
	if spans(f) {
		return model.Millis(key.SpanStart(keep.cuts[f])), nil
	}
	return model.Millis(key.DayStart(keep.cuts[f])), nil
}

// Gaps returns the recorded gaps that touch the span, by (from, market, kind); nil kinds or ids mean all. A gap that is
// still open has To 0.
func (r *Reader) Gaps(ctx context.Context, kinds []model.Kind, ids []model.MarketID, sp Span) ([]GapRow, error) {
	if sp.To <= max(sp.From, 0) {
		return nil, nil
	}
	// Gaps are few and may have begun long before the span, so all that began before its end are looked at.
	rg, err := key.BucketRange(key.Gaps, 0, key.Day(int64(sp.To)-1)+1)
	if err != nil {
		return nil, fmt.Errorf("range of gaps: %w", err)
	}
	var out []GapRow
	for row, err := range r.store.Scan(ctx, rg) {
		if err != nil {
			return nil, fmt.Errorf("scan gaps: %w", err)
		}
		k, err := key.ParseGap(row.Key)
		if err != nil {
			return nil, fmt.Errorf("parse gap key: %w", err)
		}
		id, kind, from := model.MarketID(k.Market), model.Kind(k.Kind), model.Micros(k.From)
		if from >= sp.To.Micros() || kinds != nil && !slices.Contains(kinds, kind) || ids != nil && !slices.Contains(ids, id) {
			continue
		}
		g, err := record.DecodeGap(row.Value)
		if err != nil {
			return nil, fmt.Errorf("decode gap: %w", err)
		}
		if g.To != 0 && g.To <= sp.From.Micros() {
			continue
		}
		out = append(out, GapRow{Market: id, Gap: model.Gap{Kind: kind, From: from, To: g.To, Cause: g.Cause, Filled: g.Filled}})
	}
	slices.SortFunc(out, func(a, b GapRow) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Market, b.Market), cmp.Compare(a.Kind, b.Kind))
	})
	return out, nil
}
