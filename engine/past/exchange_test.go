package past

import (
	"context"
	"errors"
	"testing"

	"hyperlight/engine/exchange"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

type fakeSums struct{ at model.Millis }

func (s *fakeSums) SeriesAt(_ context.Context, _ exchange.MetricsQuery, at model.Millis) ([]exchange.Metric, error) {
	s.at = at
	return []exchange.Metric{{Time: 1}}, nil
}

// The sums are asked for the clock's millisecond, rounded down; what they do not have is not asked for.
func TestExchangeMetrics(t *testing.T) {
	volumes := exchange.MetricsQuery{Kind: "volume", Period: "h"}
	v := At(nil, nil, 1_706_745_599_999_999)
	if _, err := v.ExchangeMetrics(t.Context(), volumes); !errors.Is(err, history.ErrNoData) {
		t.Errorf("without sums: %v", err)
	}
	s := &fakeSums{}
	v = v.WithSums(s)
	for _, q := range []exchange.MetricsQuery{{Kind: "inflow", Period: "h"}, {Kind: "volume", Period: "all"}} {
		if _, err := v.ExchangeMetrics(t.Context(), q); !errors.Is(err, history.ErrNoData) || s.at != 0 {
			t.Errorf("%+v: %v, asked for %d", q, err, s.at)
		}
	}
	if rows, err := v.ExchangeMetrics(t.Context(), volumes); err != nil || len(rows) != 1 || s.at != 1_706_745_599_999 {
		t.Errorf("%v (%v), asked for %d", rows, err, s.at)
	}
}
