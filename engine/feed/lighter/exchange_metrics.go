package lighter

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// ExchangeMetric is one value of an exchangeMetrics answer.
type ExchangeMetric struct {
	Time model.Millis // normalised to milliseconds
	Data num.Decimal  // as the venue wrote it, an exponent written out; digits beyond a Decimal are rounded half-even
}

// ParseExchangeMetrics reads an exchangeMetrics answer, in the order of the venue.
func ParseExchangeMetrics(body []byte) ([]ExchangeMetric, error) {
	var answer struct {
		Metrics []struct {
			Timestamp text `json:"timestamp"`
			Data      text `json:"data"`
		} `json:"metrics"`
	}
	if err := decodeJSON(body, &answer); err != nil {
		return nil, err
	}
	out := make([]ExchangeMetric, 0, len(answer.Metrics))
	for _, m := range answer.Metrics {
		at, ok := signed([]byte(m.Timestamp))
		data, err := loose([]byte(m.Data))
		if !ok || at < 0 || err != nil {
			return nil, unexpected("exchange metric")
		}
		out = append(out, ExchangeMetric{Time: normalTime(at), Data: data})
	}
	return out, nil
}

// normalTime turns seconds and microseconds into milliseconds, as the size of the number tells.
func normalTime(t int64) model.Millis {
	switch {
	case t < 100_000_000_000:
		return model.Millis(t * 1000)
	case t > 100_000_000_000_000:
		return model.Millis(t / 1000)
	}
	return model.Millis(t)
}
