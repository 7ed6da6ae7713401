package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"slices"
	"sort"
	"sync"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// KeepReady has the reader keep up to so many bytes of rows in the form in which they are answered with. It is called
// before the reader is used.
func (r *Reader) KeepReady(bytes int64) {
	r.ready = nil
	if bytes > 0 {
		r.ready = newReadyRows(bytes)
	}
}

// TradeTexts goes through the trades of one market by (time, id), as Trades does, in runs of rows as text.
func (r *Reader) TradeTexts(ctx context.Context, m model.MarketID, sp Span, q TradeQuery, texts Texts[model.Trade]) iter.Seq2[*TradeRun, error] {
	return func(yield func(*TradeRun, error) bool) {
		keep, err := r.keep()
		if err != nil {
			yield(nil, err)
			return
		}
		q.narrow(&sp)
		w := textWalk{r: r, market: m, q: &q, texts: texts, slice: newTradeSlice(q.Reverse)}
		defer w.slice.free()
		from, to, err := r.extent(ctx, key.Trades, max(int64(sp.From), 0), int64(sp.To))
		if err != nil {
			yield(nil, err)
			return
		}
		for from < to {
			if err := ctx.Err(); err != nil {
				yield(nil, fmt.Errorf("read trades: %w", err))
				return
			}
			if skipped := keep.skip(key.Trades, &from, &to, q.Reverse); skipped {
				continue
			}
			var more bool
			if from, to, more, err = w.stretch(ctx, from, to, yield); err != nil {
				yield(nil, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// textWalk is a walk through the trades of a market.
type textWalk struct {
	r      *Reader
	market model.MarketID
	q      *TradeQuery
	texts  Texts[model.Trade]
	slice  *tradeSlice
	taken  int
}

// stretch yields what lies nearest to the end that is read from: the sealed segments up to the first hot row, else a slice
// in which both are merged. It returns what is left of the range, and false where the caller has enough.
func (w *textWalk) stretch(ctx context.Context, from, to int64, yield func(*TradeRun, error) bool) (restFrom, restTo int64, more bool, err error) {
	if w.r.ready != nil {
		lo, hi := from, to
		if w.q.Reverse {
			lo = max(lo, key.DayStart(key.Day(hi-1)))
		} else {
			hi = min(hi, key.DayStart(key.Day(lo)+1))
		}
		segments, whole, err := w.alone(ctx, lo, hi)
		if err != nil {
			return from, to, false, err
		}
		for i, s := range segments {
			run, ok, err := w.segment(s)
			if err != nil {
				return from, to, false, err
			}
			if !ok { // it was replaced or dropped meanwhile
				if i > 0 {
					return from, to, true, nil
				}
				segments, whole = nil, false
				break
			}
			if w.q.Reverse {
				to = s.first
			} else {
				from = s.last + 1
			}
			if !w.give(run, lo, hi, yield) {
				return from, to, false, nil
			}
		}
		if whole && w.q.Reverse {
			return from, lo, true, nil
		}
		if whole {
			return hi, to, true, nil
		}
		if len(segments) > 0 {
			return from, to, true, nil
		}
	}
	w.slice.want = max(w.q.Rows-w.taken, 0)
	if from, to, err = w.slice.load(ctx, w.r, uint32(w.market), from, to, w.columns()); err != nil {
		return from, to, false, err
	}
	n := len(w.slice.rows)
	run := &TradeRun{rows: w.slice.rows, hi: n, reverse: w.q.Reverse, write: w.texts.Append}
	return from, to, w.giveRest(run, yield), nil
}

func (w *textWalk) columns() record.Columns { return cmp.Or(w.q.Columns, record.Core) }

// give cuts a segment's run to lo <= time < hi and yields the rest of it.
func (w *textWalk) give(run *TradeRun, lo, hi int64, yield func(*TradeRun, error) bool) bool {
	if run.ready != nil {
		run.lo, run.hi = run.ready.times.before(lo), run.ready.times.before(hi)
	} else {
		before := func(t int64) int {
			return sort.Search(len(run.rows), func(i int) bool { return int64(run.rows[i].Time) >= t })
		}
		run.lo, run.hi = before(lo), before(hi)
	}
	return w.giveRest(run, yield)
}

// giveRest yields what of a run comes after the place that the query goes on from.
func (w *textWalk) giveRest(run *TradeRun, yield func(*TradeRun, error) bool) bool {
	if w.q.After != nil {
		passed := sort.Search(run.Len(), func(i int) bool {
			p := run.Position(i)
			return w.q.passed(w.market, &model.Trade{Time: p.Time, ID: p.ID})
		})
		if run.reverse {
			run.hi -= passed
		} else {
			run.lo += passed
		}
	}
	w.taken += run.Len()
	return run.Len() == 0 || yield(run, nil)
}

// alone returns the segments with trades of lo <= time < hi, within one day and in the order of reading, that come before
// the first hot block and share no millisecond with a neighbour; whole where these are all the trades there are.
func (w *textWalk) alone(ctx context.Context, lo, hi int64) (segments []segmentHead, whole bool, err error) {
	for {
		before, err := w.r.sealing()
		if err != nil {
			return nil, false, err
		}
		heads, err := w.r.segmentsOf(ctx, uint32(w.market), key.Day(lo), before)
		if err != nil {
			return nil, false, fmt.Errorf("look for segments: %w", err)
		}
		edge, some, err := w.firstHot(ctx, lo, hi)
		if err != nil {
			return nil, false, fmt.Errorf("look for hot trades: %w", err)
		}
		after, err := w.r.sealing()
		if err != nil {
			return nil, false, err
		}
		if before == after {
			if !some {
				edge = math.MaxInt64
				if w.q.Reverse {
					edge = -1
				}
			}
			segments, whole = w.choose(heads, lo, hi, edge)
			return segments, whole && !some, nil
		}
	}
}

// firstHot returns the edge of the full second of the hot block nearest to the end that is read from, where there is some.
func (w *textWalk) firstHot(ctx context.Context, lo, hi int64) (edge int64, some bool, err error) {
	rg, err := hotTrades(uint32(w.market), lo, hi)
	if err != nil {
		return 0, false, err
	}
	scan := w.r.store.Scan
	if w.q.Reverse {
		scan = w.r.store.ScanReverse
	}
	for row, err := range scan(ctx, rg) {
		if err != nil {
			return 0, false, err
		}
		k, err := key.ParseTrade(row.Key)
		if err != nil {
			return 0, false, err
		}
		if edge = k.Time - k.Time%1000; w.q.Reverse {
			edge += 999
		}
		return edge, true, nil
	}
	return edge, false, nil
}

// choose takes the segments from heads, which ascend, up to a hot edge, and tells whether these are all there are.
func (w *textWalk) choose(heads []segmentHead, lo, hi, edge int64) ([]segmentHead, bool) {
	start := sort.Search(len(heads), func(i int) bool { return heads[i].last >= lo })
	end := start + sort.Search(len(heads)-start, func(i int) bool { return heads[start+i].first >= hi })
	out := slices.Clone(heads[start:end])
	if w.q.Reverse {
		slices.Reverse(out)
	}
	for i, s := range out {
		touches := i > 0 && (s.first <= out[i-1].last && s.last >= out[i-1].first) ||
			i+1 < len(out) && (s.first <= out[i+1].last && s.last >= out[i+1].first)
		if touches || !w.q.Reverse && s.last >= edge || w.q.Reverse && s.first <= edge {
			return out[:i], false
		}
	}
	return out, true
}

// segmentSeed makes the sums of segments of this process.
var segmentSeed = maphash.MakeSeed()

// segment returns a segment as text where it is ready or becomes so, else decoded; false where the store no longer has it.
func (w *textWalk) segment(s segmentHead) (run *TradeRun, ok bool, err error) {
	k := readyKey{kind: readyTrades, market: uint32(w.market), at: s.first, sum: s.sum}
	run = &TradeRun{reverse: w.q.Reverse, write: w.texts.Append}
	if ready, _ := w.r.ready.get(k).(*tradeTexts); ready != nil && ready.form == w.texts.Form {
		run.ready = ready
		return run, true, nil
	}
	err = w.r.store.Get(key.Trade(nil, k.market, key.Sealed, s.first), func(v []byte) (err error) {
		if maphash.Bytes(segmentSeed, v) != s.sum {
			return kv.ErrNotFound
		}
		w.slice.decoded, err = record.DecodeTrades(w.slice.decoded[:0], v, w.columns())
		return err
	})
	if errors.Is(err, kv.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read trade segment: %w", err)
	}
	rows := w.slice.decoded
	// A row is about half a kilobyte of text.
	if !w.r.ready.admits(k, int64(len(rows))<<9) {
		run.rows = rows
		return run, true, nil
	}
	run.ready = makeTexts(rows, w.texts)
	w.r.ready.put(k, run.ready, int64(cap(run.ready.text)+16*len(rows)))
	return run, true, nil
}

// readyBuffers are what texts are made in before their length is known.
var readyBuffers = sync.Pool{New: func() any { return new([]byte) }}
