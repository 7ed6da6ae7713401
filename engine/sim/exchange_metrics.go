package sim

import (
	"slices"
	"strings"

	"hyperlight/engine/num"
)

var (
	metricKinds = strings.Fields(`volume maker_fee taker_fee liquidation_fee trade_count liquidation_count liquidation_volume inflow
		outflow transfer_fee withdraw_fee open_interest account_count active_account_count tps buyback buyback_usdc`)
	metricPeriods = strings.Fields("h d w m q y all")
)

// answerExchangeMetrics serves the hours that lie within the last day, of volume and trade_count; other series are empty:
// the simulation has no days behind it.
func (x *Exchange) answerExchangeMetrics(b []byte, q query) ([]byte, *venueError) {
	kind, period := q.text("kind"), q.text("period")
	if !slices.Contains(metricKinds, kind) || !slices.Contains(metricPeriods, period) {
		return nil, errInvalidParam
	}
	symbol, byMarket := q.text("value"), q.text("filter") == "byMarket"
	b = append(b, `{"code":200,"metrics":[`...)
	if period != "h" || kind != "volume" && kind != "trade_count" {
		return append(b, `]}`...), nil
	}
	quote, trades := map[int64]num.USD{}, map[int64]int64{}
	found := false
	for _, m := range x.markets {
		if byMarket && m.symbol != symbol {
			continue
		}
		found = true
		for i := range m.day.ring {
			if s := &m.day.ring[i]; s.initialized {
				quote[s.minute/60] += s.quote
				trades[s.minute/60] += s.trades
			}
		}
	}
	if !found {
		return nil, errInvalidParam
	}
	hours := make([]int64, 0, len(quote))
	for h := range quote {
		hours = append(hours, h)
	}
	slices.Sort(hours)
	for i, h := range hours {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendInt(b, `{"timestamp":`, h*3_600_000)
		if kind == "volume" {
			b = append(appendNumber(b, `,"data":`, int64(quote[h]), num.USDScale), '}')
		} else {
			b = append(appendInt(b, `,"data":`, trades[h]), '}')
		}
	}
	return append(b, `]}`...), nil
}
