package engine

import (
	"context"
	"net/url"
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

// Sums are the series of the exchange that our own record has.
func (e *Engine) Sums() *exchange.Sums { return e.sums }

// ExchangeMetrics returns a series of the exchange or of one market by ascending time: our own rows where the record
// tells them, the rest as the venue does. The venue is asked, within its budget and at most once a minute, where our own
// do not fill the range; an upstream_error where that fails and we have nothing.
func (e *Engine) ExchangeMetrics(ctx context.Context, q exchange.MetricsQuery) ([]exchange.Metric, error) {
	own, whole, err := e.sums.Series(ctx, q)
	if err != nil || whole {
		return own, err
	}
	told, err := e.askMetrics(q)
	if err != nil && len(own) == 0 {
		return nil, err
	}
	return exchange.Merge(q, told, own), nil
}

var (
	errMetrics      = &model.Error{Code: model.CodeUpstream, Message: "the venue told no usable metrics"}
	errMetricsVenue = &model.Error{Code: model.CodeUpstream, Message: "the venue is not followed, there are no metrics of this kind"}
)

// askMetrics asks the venue, through the cache that native calls have. A call that was begun is finished: others may wait
// for it.
func (e *Engine) askMetrics(q exchange.MetricsQuery) ([]exchange.Metric, error) {
	if e.lighter == nil {
		return nil, errMetricsVenue
	}
	query := "period=" + url.QueryEscape(q.Period) + "&kind=" + url.QueryEscape(q.Kind)
	if q.Market != nil {
		query += "&filter=byMarket&value=" + url.QueryEscape(q.Market.Symbol)
	}
	answer, err := e.lighter.relay.Do(context.Background(), &relay.Request{
		Method: "GET", Path: []byte("/api/v1/exchangeMetrics"), Query: []byte(query),
	})
	if err != nil {
		return nil, err
	}
	if answer.Status != 200 {
		return nil, errMetrics
	}
	rows, err := lighter.ParseExchangeMetrics(answer.Body)
	if err != nil {
		e.log.Warn("metrics of the venue not understood", "kind", q.Kind, "period", q.Period, "error", err)
		return nil, errMetrics
	}
	out := make([]exchange.Metric, len(rows))
	for i, r := range rows {
		out[i] = exchange.Metric{Time: r.Time, Value: r.Data, Source: exchange.Venue}
	}
	return out, nil
}

// LiveStats returns the newest statistics that the venue pushed for a market and when they came, nil where there are none:
// the mark prices that positions are valued at.
func (e *Engine) LiveStats(id model.MarketID) (*model.Stats, model.Micros) { return e.liveStats(id) }
