package http

import (
	"context"
	"iter"
	"slices"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// fillMarkets gives the record four forced trades and two days of settled fundings.
func (h *fakeHistory) fillMarkets() {
	forced := func(m model.MarketID, id uint64, ago model.Millis, price, size string, kind model.TradeKind, takerBuys bool, account model.AccountID) {
		t := trade(id, testNow-ago, price, size, takerBuys)
		t.Kind = kind
		if takerBuys {
			t.BidAccount, t.AskAccount = account, 42
		} else {
			t.AskAccount, t.BidAccount = account, 42
		}
		h.forced = append(h.forced, history.MarketTrade{Market: m, Trade: &t})
	}
	forced(0, 900, 2*day, "2570.00", "2.5", model.KindLiquidation, false, 99)
	forced(0, 1000, 300_000, "2571.00", "1", model.KindLiquidation, false, 99)
	forced(1, 1001, 300_000, "43000.00", "0.5", model.KindDeleverage, true, 7)
	forced(0, 1002, 100_000, "3300.00", "2", model.KindLiquidation, true, 8)
	h.fundings = map[model.MarketID][]model.Funding{}
	for at, i := testNow-2*day, int64(0); at <= testNow; at, i = at+hour, i+1 {
		f := model.Funding{Time: at, Rate: num.Rate(12_000_000 + 1_000_000*(i%3)), Value: num.Decimal{Mant: 384 + i, Scale: 4}, LongPays: true}
		if i%4 == 3 {
			f.Rate, f.LongPays = -f.Rate, false
		}
		h.fundings[0] = append(h.fundings[0], f)
	}
}

func (h *fakeHistory) Liquidations(_ context.Context, sp history.Span, reverse bool) iter.Seq2[history.MarketTrade, error] {
	h.mu.Lock()
	rows := slices.Clone(h.forced)
	h.mu.Unlock()
	slices.SortFunc(rows, compareTrades)
	if reverse {
		slices.Reverse(rows)
	}
	return func(yield func(history.MarketTrade, error) bool) {
		if h.err != nil {
			yield(history.MarketTrade{}, h.err)
			return
		}
		for _, t := range rows {
			if t.Time >= sp.From && t.Time < sp.To && !yield(t, nil) {
				return
			}
		}
	}
}

func (h *fakeHistory) Fundings(_ context.Context, m model.MarketID, sp history.Span) iter.Seq2[history.FundingRow, error] {
	h.mu.Lock()
	rows := slices.Clone(h.fundings[m])
	h.mu.Unlock()
	return func(yield func(history.FundingRow, error) bool) {
		if h.err != nil {
			yield(history.FundingRow{}, h.err)
			return
		}
		for _, f := range rows {
			if f.Time >= sp.From && f.Time < sp.To && !yield(f, nil) {
				return
			}
		}
	}
}

func (h *fakeHistory) Aggregates(ctx context.Context, m model.MarketID, grid history.Grid, sp history.Span, reverse bool) iter.Seq2[history.Aggregate, error] {
	return func(yield func(history.Aggregate, error) bool) {
		market := newMarket(m, "", 2, 4)
		var out []history.Aggregate
		for t, err := range h.Trades(ctx, m, sp, history.TradeQuery{}) {
			if err != nil {
				yield(history.Aggregate{}, err)
				return
			}
			start := grid.Start(t.Time)
			if n := len(out); n == 0 || out[n-1].Time != start {
				out = append(out, history.Aggregate{Candle: record.Candle{Time: start}})
			}
			if err := history.AddToAggregate(&out[len(out)-1], t, market); err != nil {
				yield(history.Aggregate{}, err)
				return
			}
		}
		if reverse {
			slices.Reverse(out)
		}
		for _, a := range out {
			if !yield(a, nil) {
				return
			}
		}
	}
}
