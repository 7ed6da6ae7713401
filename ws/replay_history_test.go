package ws

import (
	"context"
	"iter"
	"sync"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// taped is a record of market 0 in memory: an update each 100 ms and a trade each 250 ms from second 1000 on, with one
// hole. Market 1 holds nothing.
type taped struct {
	trades []model.Trade
	rows   []record.BookRow
	stats  []history.StatsRow
	funded []model.Funding
	held   []history.Interval
	gap    model.Gap
}

const (
	tapeStart  = model.Millis(1_700_000_000_000)
	tapeHole   = tapeStart + 20_000
	tapeResync = tapeStart + 80_000
	tapeEnd    = tapeStart + 100_000
)

func newTape() *taped {
	h := &taped{}
	seq := uint64(1000)
	row := func(t model.Millis, whole bool, levels ...model.Level) {
		u := model.BookUpdate{Snapshot: whole, Prev: seq, Seq: seq + 7, Bids: levels}
		if whole {
			u.Asks = []model.Level{{Price: 20_000, Size: 5}}
		}
		seq += 7
		h.rows = append(h.rows, record.BookRow{Update: u, Time: t - 30, Recv: t.Micros()})
	}
	for t := tapeStart; t < tapeEnd; t += 50 {
		if t >= tapeHole && t < tapeResync {
			continue
		}
		if t%100 == 0 {
			whole := t == tapeStart || t == tapeResync
			row(t, whole, model.Level{Price: num.Price(10_000 + t/100%50), Size: num.Size(t / 100 % 7)}, model.Level{Price: 9_000, Size: num.Size(seq)})
		}
		if t%250 == 0 {
			n := uint64(len(h.trades) + 1)
			kind := model.KindTrade
			if n%10 == 0 {
				kind = model.KindLiquidation
			}
			h.trades = append(h.trades, model.Trade{ID: n, Time: t, Recv: t.Micros() + 40_000, Kind: kind, Price: 320_050, Size: 25_000,
				USD: 8_001_250_000, MakerAsk: n%2 == 0, AskAccount: 42, BidAccount: 99, TxHash: "ab"})
		}
	}
	for t := tapeStart; t < tapeEnd; t += 10_000 {
		if t < tapeHole || t >= tapeResync {
			h.stats = append(h.stats, history.StatsRow{Time: t + 7, Stats: model.Stats{Has: model.HasMark | model.HasFundingRate | model.HasFundingTime,
				Mark: num.Decimal{Mant: 320_050, Scale: 2}, FundingRate: 12_000_000, FundingTime: tapeStart + 3_600_000}})
		}
	}
	h.funded = []model.Funding{{Time: tapeStart + 5_000, Rate: 12_000_000, Value: num.Decimal{Mant: 384, Scale: 4}, LongPays: true},
		{Time: tapeStart + 15_000, Rate: -5_000_000, Value: num.Decimal{Mant: 16, Scale: 4}}}
	last := tapeHole - 100
	h.held = []history.Interval{{From: tapeStart.Micros(), To: last.Micros()}, {From: tapeResync.Micros(), To: tapeEnd.Micros()}}
	h.gap = model.Gap{From: last.Micros(), To: tapeResync.Micros(), Cause: model.CauseDisconnect}
	return h
}

func (h *taped) Trades(_ context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error] {
	return func(yield func(*model.Trade, error) bool) {
		for i := range h.trades {
			if q.Reverse {
				i = len(h.trades) - 1 - i
			}
			t := h.trades[i]
			if m == 0 && t.Time >= sp.From && t.Time < sp.To && (q.After == nil || t.ID > q.After.ID) && !yield(&t, nil) {
				return
			}
		}
	}
}

func (h *taped) CountTrades(ctx context.Context, m model.MarketID, sp history.Span) (n uint64, exact bool, err error) {
	for range h.Trades(ctx, m, sp, history.TradeQuery{}) {
		n++
	}
	return n, true, nil
}

func (h *taped) Liquidations(ctx context.Context, sp history.Span, _ bool) iter.Seq2[history.MarketTrade, error] {
	return func(yield func(history.MarketTrade, error) bool) {
		for t := range h.Trades(ctx, 0, sp, history.TradeQuery{}) {
			if t.Kind != model.KindTrade && !yield(history.MarketTrade{Trade: t}, nil) {
				return
			}
		}
	}
}

func (h *taped) Stats(_ context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error] {
	return func(yield func(*history.StatsRow, error) bool) {
		for i := range h.stats {
			if r := h.stats[i]; m == 0 && r.Time >= sp.From && r.Time < sp.To && !yield(&r, nil) {
				return
			}
		}
	}
}

func (h *taped) Fundings(_ context.Context, m model.MarketID, sp history.Span) iter.Seq2[history.FundingRow, error] {
	return func(yield func(history.FundingRow, error) bool) {
		for _, r := range h.funded {
			if m == 0 && r.Time >= sp.From && r.Time < sp.To && !yield(r, nil) {
				return
			}
		}
	}
}

func (h *taped) CountUpdates(ctx context.Context, m model.MarketID, from, to model.Micros, blocks int) (n uint64, left int, err error) {
	for range h.Updates(ctx, m, from, to) {
		n++
	}
	return n, blocks, nil
}

func (h *taped) Updates(_ context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error] {
	return func(yield func(*record.BookRow, error) bool) {
		for i := range h.rows {
			if r := h.rows[i]; m == 0 && r.Recv >= from && r.Recv < to && !yield(&r, nil) {
				return
			}
		}
	}
}

func (h *taped) BookAt(_ context.Context, m model.MarketID, t model.Micros) (*book.View, error) {
	if !h.holds(m, t) {
		return nil, history.ErrNoData
	}
	b := book.New()
	for i := range h.rows {
		if r := &h.rows[i]; r.Recv < t {
			if err := b.Apply(&r.Update, r.Time, r.Recv); err != nil {
				return nil, err
			}
		}
	}
	return b.View(), nil
}

func (h *taped) holds(m model.MarketID, t model.Micros) bool {
	for _, iv := range h.held {
		if m == 0 && iv.From < t && t <= iv.To {
			return true
		}
	}
	return false
}

func (h *taped) BookTimes(_ context.Context, m model.MarketID, sp history.Span, every time.Duration, _ bool) iter.Seq2[model.Millis, error] {
	return func(yield func(model.Millis, error) bool) {
		for t := max(sp.From+999, tapeStart) / 1000 * 1000; t < min(sp.To, tapeEnd+1); t += 1000 {
			if h.holds(m, t.Micros()) && !yield(t, nil) {
				return
			}
		}
	}
}

func (h *taped) Coverage(_ context.Context, _ model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error) {
	var out []history.Interval
	for _, iv := range h.held {
		if m == 0 && iv.From < sp.To.Micros() && iv.To > sp.From.Micros() {
			out = append(out, iv)
		}
	}
	return out, nil
}

func (h *taped) Dropped(model.Kind) ([]history.Span, error) { return nil, nil }

func (h *taped) Gaps(_ context.Context, kinds []model.Kind, ids []model.MarketID, sp history.Span) ([]history.GapRow, error) {
	var out []history.GapRow
	for _, k := range kinds {
		if g := h.gap; ids[0] == 0 && g.From < sp.To.Micros() && g.To > sp.From.Micros() {
			g.Kind = k
			out = append(out, history.GapRow{Market: 0, Gap: g})
		}
	}
	return out, nil
}

// sharedTape is a long tape that tests share: they only read it.
var sharedTape = sync.OnceValue(longTape)

// longTape is a record of 400,000 updates and 100,000 trades of market 0 in memory.
func longTape() *taped {
	h := &taped{}
	for i := range 400_000 {
		at := tapeStart.Micros() + model.Micros(i)*20_000
		u := model.BookUpdate{Snapshot: i == 0, Prev: uint64(i), Seq: uint64(i + 1)}
		for j := range 3 {
			u.Bids = append(u.Bids, model.Level{Price: num.Price(9_999 - (i+j)%60), Size: num.Size(1 + i%1000)})
			u.Asks = append(u.Asks, model.Level{Price: num.Price(10_001 + (i+j)%60), Size: num.Size(1 + i%1000)})
		}
		h.rows = append(h.rows, record.BookRow{Update: u, Time: at.Millis(), Recv: at})
		if i%4 == 0 {
			h.trades = append(h.trades, model.Trade{ID: uint64(i + 1), Time: at.Millis(), Recv: at + 9, Price: 10_000, Size: 5, USD: 12345, AskAccount: 5, BidAccount: 77})
		}
	}
	last := h.rows[len(h.rows)-1].Recv + 1
	h.held = []history.Interval{{From: tapeStart.Micros() - 1, To: last}}
	h.gap = model.Gap{From: -2, To: -1}
	return h
}
