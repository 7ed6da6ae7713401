package engine

import (
	"context"
	"sync"

	"hyperlight/engine/exchange"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/engine/relay"
)

// detailsCall is the poll that tells how many trades a market had in 24 hours, which the stream does not.
const detailsCall = "orderBookDetails"

// Exchange returns the rolling statistics of the last 24 hours.
func (e *Engine) Exchange() *exchange.Statistics { return e.exchange }

// ExchangeStats returns the statistics of one market, or of all where m is nil, inactive ones too. Nothing is asked for:
// it answers from memory.
func (e *Engine) ExchangeStats(m *model.Market) ([]exchange.MarketStats, error) {
	markets := []*model.Market{m}
	if m == nil {
		markets = e.registry.All()
	}
	told := func(*model.Market) exchange.Told { return exchange.Told{} }
	if e.lighter != nil {
		counts := e.lighter.dailyTrades()
		told = func(m *model.Market) exchange.Told {
			t := exchange.Told{}
			if s, recv := e.lighter.live.Stats(m.ID); s != nil {
				t.Stats, t.At = s, recv.Millis()
			}
			t.Trades, t.HasTrades = counts[m.Native]
			return t
		}
	}
	return e.exchange.Stats(markets, model.Millis(e.now().UnixMilli()), told)
}

// tradeCounts are the counts of the last poll, read once.
type tradeCounts struct {
	mu       sync.Mutex // a leaf lock
	of       *relay.Kept
	byNative map[int64]uint64
}

// dailyTrades returns the venue's own counts of trades by its market id, none where the last poll is too old.
func (v *lighterVenue) dailyTrades() map[int64]uint64 {
	k, ok := v.polled.Get(detailsCall, v.e.now())
	if !ok {
		return nil
	}
	v.counts.mu.Lock()
	defer v.counts.mu.Unlock()
	if v.counts.of != k {
		counts := map[int64]uint64{}
		k.Answer.Rows(func(r *lighter.RawRow) bool {
			if r.DailyTrades >= 0 {
				counts[r.Native] = uint64(r.DailyTrades)
			}
			return true
		})
		v.counts.of, v.counts.byNative = k, counts
	}
	return v.counts.byNative
}

// ExchangeMetrics returns a series of the exchange or of one market by ascending time.
func (e *Engine) ExchangeMetrics(ctx context.Context, q exchange.MetricsQuery) ([]exchange.Metric, error) {
	return nil, &model.Error{Code: model.CodeUpstream, Message: "the venue does not answer"}
}
