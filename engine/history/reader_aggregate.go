package history

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// Aggregates goes through the sums of the trades of one market in the buckets of a grid, counting the trades of the span
// and no others; buckets without a trade have none. It reads every block once and only the columns that sums are made of.
func (r *Reader) Aggregates(ctx context.Context, m model.MarketID, grid Grid, sp Span, reverse bool) iter.Seq2[Aggregate, error] {
	return func(yield func(Aggregate, error) bool) {
		keep, err := r.keep()
		if err != nil {
			yield(Aggregate{}, err)
			return
		}
		from, to, err := r.extent(ctx, key.Trades, max(int64(sp.From), 0), int64(sp.To))
		if err != nil {
			yield(Aggregate{}, err)
			return
		}
		slice := newTradeSlice(reverse)
		defer slice.free()
		a := aggregator{market: m, markets: r.markets, grid: grid}
		for from < to {
			if err := ctx.Err(); err != nil {
				yield(Aggregate{}, fmt.Errorf("sum trades: %w", err))
				return
			}
			if keep.skip(key.Trades, &from, &to, reverse) {
				continue
			}
			lo, hi, err := slice.fetch(ctx, r, uint32(m), from, to)
			if err == nil {
				err = a.addSlice(slice, model.Millis(lo), model.Millis(hi))
			}
			if err != nil {
				yield(Aggregate{}, err)
				return
			}
			if reverse {
				to = lo
			} else {
				from = hi
			}
			if !a.yieldWhole(model.Millis(from), model.Millis(to), reverse, yield) {
				return
			}
		}
		a.yieldWhole(0, 0, reverse, yield)
	}
}

// aggregator sums trades that come in pieces. Within a piece they come in any order: blocks that are still hot first.
type aggregator struct {
	market  model.MarketID
	markets marketsFunc
	grid    Grid
	rows    []record.PriceRow
	buckets []Aggregate // those that further pieces may add to, and those of this piece
	found   map[model.Millis]int
}

// addSlice adds the trades of lo <= time < hi.
func (a *aggregator) addSlice(s *tradeSlice, lo, hi model.Millis) (err error) {
	at, end := -1, model.Millis(0) // the bucket of the trade before
	for _, v := range s.values {
		if a.rows, err = record.DecodePrices(a.rows[:0], s.arena[v[0]:v[1]]); err != nil {
			return fmt.Errorf("decode trade block: %w", err)
		}
		for i := range a.rows {
			t := &a.rows[i]
			if t.Time < lo || t.Time >= hi {
				continue
			}
			if at < 0 || t.Time >= end || t.Time < a.buckets[at].Time {
				at = a.bucket(a.grid.Start(t.Time))
				end = a.buckets[at].Time + a.grid.Length
			}
			if err := addPrice(&a.buckets[at], t, a.market, a.markets); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket returns the place of the bucket that opens at start.
func (a *aggregator) bucket(start model.Millis) int {
	if i, ok := a.found[start]; ok {
		return i
	}
	if a.found == nil {
		a.found = map[model.Millis]int{}
	}
	a.buckets = append(a.buckets, Aggregate{Candle: record.Candle{Time: start}})
	a.found[start] = len(a.buckets) - 1
	return len(a.buckets) - 1
}

// yieldWhole hands on the buckets that no trade of from <= time < to belongs to, in order, and keeps the others.
func (a *aggregator) yieldWhole(from, to model.Millis, reverse bool, yield func(Aggregate, error) bool) bool {
	slices.SortFunc(a.buckets, func(x, y Aggregate) int {
		if reverse {
			x, y = y, x
		}
		return cmp.Compare(x.Time, y.Time)
	})
	whole := 0
	for i := range a.buckets {
		b := &a.buckets[i]
		if from < to && b.Time < to && b.Time+a.grid.Length > from {
			break
		}
		if !yield(*b, nil) {
			return false
		}
		whole++
	}
	a.buckets = append(a.buckets[:0], a.buckets[whole:]...)
	clear(a.found)
	for i := range a.buckets {
		a.found[a.buckets[i].Time] = i
	}
	return true
}
