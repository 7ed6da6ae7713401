package exchange

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Kinds are the metrics that the venue has (contract 2.6.2).
var Kinds = [...]string{
	"volume", "maker_fee", "taker_fee", "liquidation_fee", "trade_count", "liquidation_count", "liquidation_volume", "inflow",
	"outflow", "transfer_fee", "withdraw_fee", "open_interest", "account_count", "active_account_count", "tps", "buyback", "buyback_usdc",
}

// Periods are the lengths of its series, the default first.
var Periods = [...]string{"d", "h", "w", "m", "q", "y", "all"}

// MetricsQuery asks for a series. From and To cut it, From <= time < To; 0 leaves an end open.
type MetricsQuery struct {
	Kind, Period string
	Market       *model.Market // nil: the exchange
	From, To     model.Millis
}

// Metric is one value of a series: Time is the first moment of its period.
type Metric struct {
	Time   model.Millis
	Value  num.Decimal
	Source Source
}
