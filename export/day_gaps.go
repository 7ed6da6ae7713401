package export

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// gapKinds are the records that a gap can be in, and what the column calls them.
var gapKinds = [...]struct {
	kind model.Kind
	word string
}{{model.KindTrades, "trades"}, {model.KindBook, "book"}, {model.KindStats, "market_stats"}}

// notRecorded is the cause of time without data that no recorded gap tells of: before the first start, or before an import.
const notRecorded = "not_recorded"

// Gaps goes through the time without data of markets, nil for all, cut at the bounds of the span, by (from, market, kind). Those
// are the recorded gaps that nothing has filled since, and, of markets of which anything is held in the span, what of a record is
// neither held nor in a gap. They are read at once.
func (s *Source) Gaps(ctx context.Context, ms []*model.Market, sp history.Span) iter.Seq2[[]Gap, error] {
	return func(yield func([]Gap, error) bool) {
		h, err := s.holes(ctx, ms, sp)
		if err != nil {
			yield(nil, err)
			return
		}
		rows, err := h.rows(sp)
		if err != nil || len(rows) > 0 {
			yield(rows, err)
		}
	}
}

// holes is what is held of markets, and which gaps were recorded, in a span.
type holes struct {
	markets []marketHoles
	// kept says since when retention has left the record of each kind: of the time before nobody knows what was not recorded.
	kept [len(gapKinds)]model.Millis
	// pinned tells of a day whether retention leaves it whole.
	pinned func(model.Millis) (bool, error)
}

type marketHoles struct {
	m    *model.Market
	gaps []history.GapRow
	held [len(gapKinds)][]history.Interval
}

// holes reads what is held of markets, nil for all.
func (s *Source) holes(ctx context.Context, ms []*model.Market, sp history.Span) (*holes, error) {
	if ms == nil {
		ms = s.Markets()
	}
	h := &holes{pinned: s.History.Pinned}
	byMarket := map[model.MarketID][]history.GapRow{}
	if err := s.reading(ctx, func() (err error) {
		for i, k := range gapKinds {
			if h.kept[i], err = s.History.KeptSince(k.kind); err != nil {
				return err
			}
		}
		recorded, err := s.History.Gaps(ctx, nil, nil, sp)
		for _, g := range recorded {
			byMarket[g.Market] = append(byMarket[g.Market], g)
		}
		return err
	}); err != nil {
		return nil, err
	}
	for _, m := range ms {
		one := marketHoles{m: m, gaps: byMarket[m.ID]}
		if err := s.reading(ctx, func() (err error) {
			for i, k := range gapKinds {
				if one.held[i], err = s.History.Coverage(ctx, k.kind, m.ID, sp); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
		h.markets = append(h.markets, one)
	}
	return h, nil
}

// rows returns the rows of a span, which lies in the one that was read.
func (h *holes) rows(sp history.Span) ([]Gap, error) {
	var out []Gap
	kept, err := h.keptIn(sp)
	if err != nil {
		return nil, err
	}
	for i := range h.markets {
		if out, err = h.markets[i].rows(out, sp, &kept); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(out, func(a, b Gap) int { return a.compare(&b) })
	return out, nil
}

// keptIn returns kept of a span: of one within a pinned day nothing was dropped.
func (h *holes) keptIn(sp history.Span) (none [len(gapKinds)]model.Millis, err error) {
	if lake.DayOf(sp.From) != lake.DayOf(sp.To-1) {
		return h.kept, nil
	}
	if whole, err := h.pinned(sp.From); err != nil || !whole {
		return h.kept, err
	}
	return none, nil
}

func (h *marketHoles) rows(out []Gap, sp history.Span, kept *[len(gapKinds)]model.Millis) ([]Gap, error) {
	var c columns
	row := Gap{MarketID: c.market(h.m), Symbol: h.m.Symbol}
	if c.err != nil {
		return nil, c.err
	}
	from, to := sp.From.Micros(), sp.To.Micros()
	some := false
	var missing []Gap
	for i, k := range gapKinds {
		row.Kind = k.word
		known := within(h.held[i], from, to)
		some = some || len(known) > 0
		for _, g := range h.gaps {
			if g.To == 0 {
				g.To = to
			}
			if g.Kind != k.kind || g.From >= to || g.To <= from {
				continue
			}
			g.From, g.To = max(g.From, from), min(g.To, to)
			known = append(known, history.Interval{From: g.From, To: g.To})
			if !g.Filled {
				row.From, row.To, row.Cause = int64(g.From.Millis()), int64(g.To.Millis()), g.Cause.String()
				out = append(out, row)
			}
		}
		if row.Cause = notRecorded; sp.From < kept[i] {
			continue
		}
		for _, part := range between(known, sp) {
			row.From, row.To = int64(part.From), int64(part.To)
			missing = append(missing, row)
		}
	}
	if some {
		out = append(out, missing...)
	}
	return out, nil
}

// held tells whether anything is held in a span.
func (h *holes) held(sp history.Span) bool {
	for i := range h.markets {
		for _, held := range h.markets[i].held {
			if len(within(held, sp.From.Micros(), sp.To.Micros())) > 0 {
				return true
			}
		}
	}
	return false
}

// within returns the parts of ascending intervals that lie in from <= t < to.
func within(all []history.Interval, from, to model.Micros) (out []history.Interval) {
	first, _ := slices.BinarySearchFunc(all, from, func(iv history.Interval, t model.Micros) int { return cmp.Compare(iv.To, t) })
	for _, iv := range all[first:] {
		if iv.From >= to {
			break
		}
		if iv.From, iv.To = max(iv.From, from), min(iv.To, to); iv.From < iv.To {
			out = append(out, iv)
		}
	}
	return out
}

// between returns the parts of a span that no interval touches, as far as they last a millisecond.
func between(known []history.Interval, sp history.Span) (out []history.Span) {
	slices.SortFunc(known, func(a, b history.Interval) int { return cmp.Compare(a.From, b.From) })
	from := sp.From.Micros()
	for _, iv := range append(known, history.Interval{From: sp.To.Micros(), To: sp.To.Micros()}) {
		if part := (history.Span{From: from.Millis(), To: iv.From.Millis()}); part.From < part.To {
			out = append(out, part)
		}
		from = max(from, iv.To)
	}
	return out
}
