package past

import (
	"context"

	"hyperlight/engine/exchange"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// ExchangeStats returns the statistics of markets as they were known at the clock, over the 24 hours before it. A market
// that was not known has none.
func (v *View) ExchangeStats(ctx context.Context, markets []*model.Market) ([]exchange.MarketStats, error) {
	rows := make([]exchange.MarketStats, 0, len(markets))
	for _, m := range markets {
		m, known, err := v.knows(ctx, m)
		if err != nil {
			return nil, err
		}
		if !known {
			continue
		}
		row, err := exchange.RowAt(ctx, v, m, v.now())
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Sums are the series of the exchange that our record has; *exchange.Sums is one.
type Sums interface {
	SeriesAt(ctx context.Context, q exchange.MetricsQuery, at model.Millis) ([]exchange.Metric, error)
}

// WithSums returns the same view with the sums of the exchange.
func (v *View) WithSums(s Sums) *View {
	with := *v
	with.sums = s
	return &with
}

// ExchangeMetrics returns a series by ascending time as it stood at the clock: of periods that had ended, from our own trades.
// history.ErrNoData where the record has no such series.
func (v *View) ExchangeMetrics(ctx context.Context, q exchange.MetricsQuery) ([]exchange.Metric, error) {
	if v.sums == nil || !exchange.Recorded(q.Kind, q.Period) {
		return nil, history.ErrNoData
	}
	return v.sums.SeriesAt(ctx, q, v.now())
}
