// Package exchange owns what is told of the exchange as a whole: the statistics of the last 24 hours of every market,
// kept in memory as trades are stored, and the sums of past hours and days, stored once. It must not know the venue's
// protocol, clients or how answers are written.
package exchange

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// Record is what is read of the stored history; *history.Reader is one.
type Record interface {
	// OwnMinutes goes through the one-minute candles that were built from stored trades, never those that the venue gave.
	OwnMinutes(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[record.Candle, error]
	// Candles goes through candles of any length, the venue's among them.
	Candles(ctx context.Context, m model.MarketID, resolution time.Duration, sp history.Span, reverse bool) iter.Seq2[record.Candle, error]
	Liquidations(ctx context.Context, sp history.Span, reverse bool) iter.Seq2[history.MarketTrade, error]
	Coverage(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error)
}

// Markets tells what is known of markets; *market.Registry is one.
type Markets interface {
	All() []*model.Market
	Get(id model.MarketID) (*model.Market, bool)
	State(id model.MarketID) (market.State, bool)
}

// Options of Statistics. All but Now and Logger are required.
type Options struct {
	Record  Record
	Markets Markets
	Now     func() time.Time // nil: the wall clock
	Logger  *slog.Logger     // nil: discard
}

// Statistics are the rolling 24 hours of every market: the minute under way and the 1,439 before it. Trades are told by
// the history writer, which alone knows which are new, on its goroutine; everything else may be called from any.
type Statistics struct {
	o   Options
	log *slog.Logger

	mu      sync.RWMutex // guards the map only; see engine/LOCKS.md
	markets map[model.MarketID]*rolling
}

// New returns statistics that know nothing yet; Load must be called before the first trade is told.
func New(o Options) *Statistics {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Statistics{o: o, log: o.Logger.With("component", "exchange"), markets: map[model.MarketID]*rolling{}}
}

// Liquidations24h sums the liquidation and deleverage trades of all markets in the 24 hours before now: how many, and
// the money of the longs and of the shorts that were closed, and of both.
func (s *Statistics) Liquidations24h(now model.Millis) (count uint64, long, short, total num.USD) {
	f := s.Forced(now, ForcedFilter{})
	return f.Count, f.Long, f.Short, f.Long + f.Short
}

// ForcedFilter says which forced trades are summed; the zero value takes all.
type ForcedFilter struct {
	Market *model.Market   // nil: every market
	Kind   model.TradeKind // KindLiquidation or KindDeleverage; KindTrade takes both
	Side   string          // "long" or "short", the side that was closed; "" takes both
}

// Forced is a sum of forced trades. A side that the filter leaves out is 0.
type Forced struct {
	Count       uint64
	Long, Short num.USD
}

// Forced sums the forced trades that a filter takes, over the 24 hours before now.
func (s *Statistics) Forced(now model.Millis, f ForcedFilter) Forced {
	var sum Forced
	if f.Market != nil {
		if r := s.of(f.Market.ID); r != nil {
			r.forced(now, &f, &sum)
		}
		return sum
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.markets {
		r.forced(now, &f, &sum)
	}
	return sum
}

// of returns a market's statistics, nil where it has none.
func (s *Statistics) of(id model.MarketID) *rolling {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.markets[id]
}
