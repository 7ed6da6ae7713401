package account

import "github.com/VictoriaMetrics/metrics"

var (
	// Positions that the next trade, or a poll, tells otherwise than we held them: something passed us by.
	disagreedTrades = metrics.NewCounter(`hyperlight_account_disagreements_total{with="trade"}`)
	disagreedPolls  = metrics.NewCounter(`hyperlight_account_disagreements_total{with="poll"}`)
	tradesRefused   = metrics.NewCounter("hyperlight_account_trades_refused_total")
	accountsSaved   = metrics.NewCounter("hyperlight_accounts_saved_total")
)
