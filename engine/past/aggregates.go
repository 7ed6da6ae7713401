package past

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// Aggregates goes through the sums of the trades of one market that had been received, in the buckets of a grid. The
// settled ones are summed by the record, the rest one by one.
func (v *View) Aggregates(ctx context.Context, m model.MarketID, grid history.Grid, sp history.Span, reverse bool) iter.Seq2[history.Aggregate, error] {
	return func(yield func(history.Aggregate, error) bool) {
		market, ok := v.markets.Get(m)
		if !ok {
			yield(history.Aggregate{}, fmt.Errorf("sum trades: market %d is unknown", m))
			return
		}
		settled, err := v.settled(ctx, m)
		if err != nil {
			yield(history.Aggregate{}, err)
			return
		}
		old := history.Span{From: sp.From, To: min(sp.To, settled)}
		sp.From = max(sp.From, settled)
		fresh, err := v.freshAggregates(ctx, market, grid, sp)
		if err != nil {
			yield(history.Aggregate{}, err)
			return
		}
		if reverse {
			slices.Reverse(fresh)
		}
		// The bucket that both parts have trades of is in two pieces next to one another.
		var last history.Aggregate
		next := func(a *history.Aggregate) bool {
			if last.Trades > 0 && last.Time != a.Time {
				if !yield(last, nil) {
					return false
				}
				last = history.Aggregate{}
			}
			last.Time = a.Time
			if err := history.MergeAggregate(&last, a, market); err != nil {
				yield(history.Aggregate{}, err)
				return false
			}
			return true
		}
		parts := []iter.Seq2[history.Aggregate, error]{func(yield func(history.Aggregate, error) bool) {
			for _, a := range fresh {
				if !yield(a, nil) {
					return
				}
			}
		}}
		if old.From < old.To {
			parts = append(parts, v.h.Aggregates(ctx, m, grid, old, reverse))
		}
		if !reverse {
			slices.Reverse(parts)
		}
		for _, part := range parts {
			for a, err := range part {
				if err != nil {
					yield(history.Aggregate{}, err)
					return
				}
				if !next(&a) {
					return
				}
			}
		}
		if last.Trades > 0 {
			yield(last, nil)
		}
	}
}

// freshAggregates sums the trades of a span one by one, ascending.
func (v *View) freshAggregates(ctx context.Context, m *model.Market, grid history.Grid, sp history.Span) ([]history.Aggregate, error) {
	var out []history.Aggregate
	if sp.From >= sp.To {
		return nil, nil
	}
	for t, err := range v.Trades(ctx, m.ID, sp, history.TradeQuery{Columns: record.Core}) {
		if err != nil {
			return nil, err
		}
		start := grid.Start(t.Time)
		if n := len(out); n == 0 || out[n-1].Time != start {
			out = append(out, history.Aggregate{Candle: record.Candle{Time: start}})
		}
		if err := history.AddToAggregate(&out[len(out)-1], t, m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Liquidations goes through the forced trades of all markets that had been received, by (time, market, id).
func (v *View) Liquidations(ctx context.Context, sp history.Span, reverse bool) iter.Seq2[history.MarketTrade, error] {
	return func(yield func(history.MarketTrade, error) bool) {
		sp := v.tradeSpan(sp)
		if sp.From >= sp.To {
			return
		}
		for t, err := range v.h.Liquidations(ctx, sp, reverse) {
			if err == nil && !v.seen(t.Trade) {
				continue
			}
			if !yield(t, err) {
				return
			}
		}
	}
}
