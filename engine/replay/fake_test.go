package replay

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// fakeHistory is a record in memory that answers as slowly and as simply as possible. It reuses the rows it lends, as
// the real one does, and counts the iterators that are open.
type fakeHistory struct {
	trades map[model.MarketID][]model.Trade
	rows   map[model.MarketID][]record.BookRow
	held   map[recordID][]history.Interval
	gaps   []history.GapRow
	stats  map[model.MarketID][]history.StatsRow
	funded map[model.MarketID][]model.Funding
	open   int

	dropped map[model.Kind][]history.Span // by retention: rows inside are gone, for iterators that are open too
}

func newFake() *fakeHistory {
	return &fakeHistory{
		trades: map[model.MarketID][]model.Trade{},
		rows:   map[model.MarketID][]record.BookRow{},
		held:   map[recordID][]history.Interval{},
		stats:  map[model.MarketID][]history.StatsRow{},
		funded: map[model.MarketID][]model.Funding{},

		dropped: map[model.Kind][]history.Span{},
	}
}

func (f *fakeHistory) Dropped(kind model.Kind) ([]history.Span, error) { return f.dropped[kind], nil }

func (f *fakeHistory) gone(kind model.Kind, t model.Millis) bool {
	return slices.ContainsFunc(f.dropped[kind], func(sp history.Span) bool { return sp.From <= t && t < sp.To })
}

func (f *fakeHistory) Trades(_ context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error] {
	return func(yield func(*model.Trade, error) bool) {
		f.open++
		defer func() { f.open-- }()
		rows := slices.Clone(f.trades[m])
		slices.SortFunc(rows, func(a, b model.Trade) int {
			return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.ID, b.ID))
		})
		var lent model.Trade
		for _, t := range rows {
			if t.Time < sp.From || t.Time >= sp.To || f.gone(model.KindTrades, t.Time) {
				continue
			}
			if a := q.After; a != nil && (t.Time < a.Time || t.Time == a.Time && t.ID <= a.ID) {
				continue
			}
			lent = t
			if !yield(&lent, nil) {
				return
			}
		}
		lent = model.Trade{} // whoever still looks at it sees nonsense
	}
}

func (f *fakeHistory) CountTrades(ctx context.Context, m model.MarketID, sp history.Span) (n uint64, exact bool, err error) {
	for range f.Trades(ctx, m, sp, history.TradeQuery{}) {
		n++
	}
	return n, true, nil
}

func (f *fakeHistory) Liquidations(_ context.Context, sp history.Span, _ bool) iter.Seq2[history.MarketTrade, error] {
	return func(yield func(history.MarketTrade, error) bool) {
		f.open++
		defer func() { f.open-- }()
		var rows []history.MarketTrade
		for m, trades := range f.trades {
			for _, t := range trades {
				if t.Kind != model.KindTrade && t.Time >= sp.From && t.Time < sp.To {
					rows = append(rows, history.MarketTrade{Market: m, Trade: &t})
				}
			}
		}
		slices.SortFunc(rows, func(a, b history.MarketTrade) int {
			return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Market, b.Market), cmp.Compare(a.ID, b.ID))
		})
		var lent model.Trade
		for _, t := range rows {
			if lent = *t.Trade; f.gone(model.KindTrades, t.Time) {
				continue
			}
			if !yield(history.MarketTrade{Market: t.Market, Trade: &lent}, nil) {
				return
			}
		}
		lent = model.Trade{}
	}
}

func (f *fakeHistory) Stats(_ context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error] {
	return func(yield func(*history.StatsRow, error) bool) {
		f.open++
		defer func() { f.open-- }()
		var lent history.StatsRow
		for _, r := range f.stats[m] {
			if lent = r; r.Time >= sp.From && r.Time < sp.To && !f.gone(model.KindStats, r.Time) && !yield(&lent, nil) {
				return
			}
		}
		lent = history.StatsRow{}
	}
}

func (f *fakeHistory) Fundings(_ context.Context, m model.MarketID, sp history.Span) iter.Seq2[history.FundingRow, error] {
	return func(yield func(history.FundingRow, error) bool) {
		f.open++
		defer func() { f.open-- }()
		for _, r := range f.funded[m] {
			if r.Time >= sp.From && r.Time < sp.To && !f.gone(model.KindFunding, r.Time) && !yield(r, nil) {
				return
			}
		}
	}
}

func (f *fakeHistory) Updates(_ context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error] {
	return func(yield func(*record.BookRow, error) bool) {
		f.open++
		defer func() { f.open-- }()
		var lent record.BookRow
		for _, r := range f.rows[m] {
			if r.Recv < from || r.Recv >= to || f.gone(model.KindBook, r.Recv.Millis()) {
				continue
			}
			bids, asks := lent.Update.Bids[:0], lent.Update.Asks[:0]
			lent = r
			lent.Update.Bids = append(bids, r.Update.Bids...)
			lent.Update.Asks = append(asks, r.Update.Asks...)
			if !yield(&lent, nil) {
				return
			}
		}
		clear(lent.Update.Bids)
		lent.Recv = 0
	}
}

func (f *fakeHistory) CountUpdates(ctx context.Context, m model.MarketID, from, to model.Micros, blocks int) (n uint64, left int, err error) {
	for range f.Updates(ctx, m, from, to) {
		n++
	}
	return n, blocks, nil
}

func (f *fakeHistory) holds(m model.MarketID, t model.Micros) bool {
	if f.gone(model.KindBook, t.Millis()) {
		return false
	}
	for _, iv := range f.held[recordID{m, model.KindBook}] {
		if iv.From < t && t <= iv.To {
			return true
		}
	}
	return false
}

func (f *fakeHistory) BookAt(_ context.Context, m model.MarketID, t model.Micros) (*book.View, error) {
	if !f.holds(m, t) {
		return nil, history.ErrNoData
	}
	b := book.New()
	for i := range f.rows[m] {
		if r := &f.rows[m][i]; r.Recv < t {
			if err := b.Apply(&r.Update, r.Time, r.Recv); err != nil {
				return nil, err
			}
		}
	}
	return b.View(), nil
}

func (f *fakeHistory) BookTimes(_ context.Context, m model.MarketID, sp history.Span, every time.Duration, _ bool) iter.Seq2[model.Millis, error] {
	return func(yield func(model.Millis, error) bool) {
		f.open++
		defer func() { f.open-- }()
		step := model.Millis(every.Milliseconds())
		for t := (sp.From + step - 1) / step * step; t < sp.To; t += step {
			if f.holds(m, t.Micros()) && !yield(t, nil) {
				return
			}
		}
	}
}

func (f *fakeHistory) Coverage(_ context.Context, kind model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error) {
	var out []history.Interval
	for _, iv := range f.held[recordID{m, kind}] {
		iv.From, iv.To = max(iv.From, sp.From.Micros()), min(iv.To, sp.To.Micros())
		if iv.From < iv.To {
			out = append(out, iv)
		}
	}
	return out, nil
}

func (f *fakeHistory) Gaps(_ context.Context, kinds []model.Kind, ids []model.MarketID, sp history.Span) ([]history.GapRow, error) {
	var out []history.GapRow
	for _, g := range f.gaps {
		touches := g.From < sp.To.Micros() && (g.To == 0 || g.To > sp.From.Micros())
		if touches && slices.Contains(kinds, g.Kind) && slices.Contains(ids, g.Market) {
			out = append(out, g)
		}
	}
	return out, nil
}
