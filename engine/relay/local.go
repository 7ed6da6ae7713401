package relay

import (
	"context"
	"iter"
	"time"

	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// LocalMarkets is what local answers need of the live markets; *market.Registry is one.
type LocalMarkets interface {
	All() []*model.Market
	ByNative(venue uint8, native int64) (*model.Market, bool)
	State(id model.MarketID) (market.State, bool)
	Synced() (synced, total int)
}

// LocalHistory is what local answers read of the record; *history.Reader is one.
type LocalHistory interface {
	Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error]
	Candles(ctx context.Context, m model.MarketID, resolution time.Duration, sp history.Span, reverse bool) iter.Seq2[record.Candle, error]
	Fundings(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[history.FundingRow, error]
	Coverage(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error)
	Covered(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) (start, end model.Millis, complete, held bool, err error)
}

// LocalOptions configure local answers. All but Enter and Now are required.
type LocalOptions struct {
	Venue   uint8 // the venue's number in a model.MarketID
	Markets LocalMarkets
	History LocalHistory
	Live    *Live
	Polled  *Polled
	Enter   func(ctx context.Context) (leave func(), err error) // the gate of history reads; nil: none
	Now     func() time.Time                                    // nil: the wall clock
}

// Answers answers native reads from memory and store. What it is not sure of it leaves to the venue, refusals above all:
// they have to be the venue's own.
type Answers struct {
	o      LocalOptions
	caches map[string]*answerCache
}

var _ Local = (*Answers)(nil)

// NewLocal returns what answers native reads.
func NewLocal(o LocalOptions) *Answers {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Enter == nil {
		o.Enter = func(context.Context) (func(), error) { return func() {}, nil }
	}
	return &Answers{o: o, caches: map[string]*answerCache{
		"orderBooks": {}, "orderBookDetails": {}, "exchangeStats": {}, "funding-rates": {},
	}}
}

// Answer implements Local.
func (a *Answers) Answer(ctx context.Context, path string, q *Query) ([]byte, bool) {
	if !q.Plain() {
		return nil, false
	}
	v := values{q: q}
	switch path {
	case "orderBooks", "orderBookDetails":
		return a.marketList(path, &v)
	case "exchangeStats":
		return a.exchangeStats(&v)
	case "funding-rates":
		return a.fundingRates(&v)
	case "currentHeight":
		return a.currentHeight(&v)
	case "recentTrades":
		return a.recentTrades(ctx, &v)
	case "candles":
		return a.candles(ctx, &v)
	case "fundings":
		return a.fundings(ctx, &v)
	}
	return nil, false
}

func (a *Answers) currentHeight(v *values) ([]byte, bool) {
	h, ok := a.o.Live.Height(a.o.Now())
	if !ok || !v.done() {
		return nil, false
	}
	return lighter.AppendHeight(nil, h), true
}

// inSync tells whether a market is followed without a hole at this moment.
func (a *Answers) inSync(m *model.Market) bool {
	s, ok := a.o.Markets.State(m.ID)
	return ok && s.Synced
}

// liveStats returns statistics that are newer than a poll, nil where the poll is the newer one.
func (a *Answers) liveStats(m *model.Market, k *Kept) *model.Stats {
	s, at := a.o.Live.Stats(m.ID)
	if s == nil || at <= model.Micros(k.At.UnixMicro()) {
		return nil
	}
	return s
}

// recentTrades answers from the trades told live and, where those are not enough, from the unbroken end of the record.
func (a *Answers) recentTrades(ctx context.Context, v *values) ([]byte, bool) {
	m, ok := a.market(v)
	limit, ok2 := v.integer("limit")
	if !ok || !ok2 || limit < 1 || limit > recentMost || !v.done() {
		return nil, false
	}
	s, ok := a.o.Markets.State(m.ID)
	if !ok || !s.Synced || !s.TradesHeld {
		return nil, false
	}
	live, hole := a.o.Live.recent(m.ID)
	rows := make([]model.Trade, 0, limit)
	for i := len(live) - 1; i >= 0 && len(rows) < int(limit); i-- {
		rows = append(rows, live[i])
	}
	if len(rows) < int(limit) {
		if rows, ok = a.olderTrades(ctx, m, rows, int(limit), hole.To); !ok {
			return nil, false
		}
	}
	return lighter.AppendRecentTrades(make([]byte, 0, 1100*len(rows)), m, rows), true
}

// olderTrades completes rows, newest first, from the last held interval of the record.
func (a *Answers) olderTrades(ctx context.Context, m *model.Market, rows []model.Trade, limit int, from model.Micros) ([]model.Trade, bool) {
	ctx, leave, err := a.enter(ctx)
	if err != nil {
		return nil, false
	}
	defer leave()
	sp := history.Span{To: model.Millis(a.o.Now().UnixMilli()) + clockSlack}
	held, err := a.o.History.Coverage(ctx, model.KindTrades, m.ID, sp)
	if err != nil || len(held) == 0 {
		return nil, false
	}
	// A row at the very first moment may have had neighbours that are not held.
	sp.From = max(held[len(held)-1].From, from).Millis() + 1
	query := history.TradeQuery{Columns: record.All, Reverse: true}
	for t, err := range a.o.History.Trades(ctx, m.ID, sp, query) {
		if err != nil {
			return nil, false
		}
		if n := len(rows); n > 0 && t.ID >= rows[n-1].ID {
			continue
		}
		if rows = append(rows, *t); len(rows) == limit {
			return rows, true
		}
	}
	return nil, false
}

// clockSlack is how far ahead of ours the venue's clock may be.
const clockSlack = 10_000
