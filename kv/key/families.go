package key

// Families lists every family, in the order of its byte.
var Families = [...]Family{
	Books, Candles, DeliveryLog, ExchangeSums, Funding, Gaps, Heatmaps, Fills, Keyframes, Liquidations, Stats, AccountSnapshots, DeliveryQueue,
	Trades, Usage, RateWindows, Idempotency, AccountState, BillingEvents, Addresses, Emails, Meta, KeyHashes, Index, APIKeys,
	Markets, Coverage, MonthTotals, Signals, SignalStates, Users, Exports,
}

var names = map[Family]string{
	Trades: "trades", Keyframes: "keyframes", Books: "books", Candles: "candles", Funding: "funding", Liquidations: "liquidations",
	Stats: "stats", Gaps: "gaps", Heatmaps: "heatmaps", AccountSnapshots: "account_snapshots", Fills: "fills", Usage: "usage",
	RateWindows: "rate_windows", Idempotency: "idempotency", DeliveryLog: "delivery_log", DeliveryQueue: "delivery_queue",
	AccountState: "account_states", Addresses: "addresses", Users: "users", Emails: "emails", APIKeys: "api_keys",
	KeyHashes: "key_hashes", MonthTotals: "month_totals", Signals: "signals", SignalStates: "signal_states", Exports: "exports",
	Index: "index", Coverage: "coverage", Markets: "markets", BillingEvents: "billing_events", Meta: "meta",
	ExchangeSums: "exchange_sums",
}

// Name returns what a family is called in reports and metrics, "unknown" for a byte that is none.
func (f Family) Name() string {
	if n := names[f]; n != "" {
		return n
	}
	return "unknown"
}
