package config

import "strings"

// Unlimited is how "no limit" is written in a plan, and sent on the wire.
const Unlimited = -1

// Plan is one row of the plan table: everything that a caller may do, and how often. Counts are per account unless said
// otherwise; Unlimited (-1) lifts a limit. The order of the table is the order of the plans: the first is the lowest.
type Plan struct {
	Slug           string `yaml:"slug" doc:"Name on the wire: lower-case letters, digits and dashes."`
	Tagline        string `yaml:"tagline" doc:"What it is for, in a few words."`
	PriceUSD       string `yaml:"price_usd" doc:"Price per month; empty: on request."`
	PriceYearlyUSD string `yaml:"price_yearly_usd" doc:"Price per month when billed yearly."`

	RequestsPerMinute int   `yaml:"requests_per_minute" doc:"Requests of one key in any 60 seconds."`
	BatchAccounts     int   `yaml:"batch_accounts" doc:"Accounts in one batch call."`
	CreditsPerMonth   int64 `yaml:"credits_per_month" doc:"Credits in a calendar month, UTC."`
	// OverageUSD is the price of 100,000 credits above the allowance; empty makes the allowance a hard cap.
	OverageUSD       string `yaml:"overage_usd" doc:"Price of each started 100,000 credits above the allowance; empty: calls above it are refused."`
	CreditPerMessage int    `yaml:"credit_per_message" doc:"Credits for each data message on a socket."`

	Connections           int `yaml:"max_connections" doc:"Sockets open at once, /ws, /stream and /ws/replay together; 0: none."`
	Subscriptions         int `yaml:"max_subscriptions" doc:"Subscriptions over all sockets."`
	SubscribeOpsPerSecond int `yaml:"subscribe_ops_per_second" doc:"Subscribe and unsubscribe messages in a second on one socket; 0: not counted."`

	IdleTimeoutWithSubscriptions    Duration `yaml:"idle_timeout_with_subscriptions" doc:"Silence of a client that has subscriptions before its socket is closed; 0: never."`
	IdleTimeoutWithoutSubscriptions Duration `yaml:"idle_timeout_without_subscriptions" doc:"Time that a socket may have neither subscription nor replay; 0: for ever."`

	HistoryDepthDays int `yaml:"history_depth_days" doc:"How far back requests may reach, in days."`
	MaxRangeDays     int `yaml:"max_range_days" doc:"Longest range of one request, in days."`

	ReplayWindowDays  int     `yaml:"replay_window_days" doc:"Longest range of one replay, in days; 0: no replay."`
	ConcurrentReplays int     `yaml:"concurrent_replays" doc:"Replays running at once; 0: none."`
	MaxReplaySpeed    float64 `yaml:"max_replay_speed" doc:"Highest speed of a replay; from 1000 on also max."`

	Attribution      bool `yaml:"attribution" doc:"Whether the accounts behind orders are shown."`
	DataLake         bool `yaml:"data_lake" doc:"Whether Parquet files may be listed and fetched."`
	TopAccounts      int  `yaml:"top_accounts" doc:"Rows of the top-accounts lists."`
	Signals          int  `yaml:"signals" doc:"Signals that a user may have."`
	Keys             int  `yaml:"keys" doc:"Active API keys that a user may have."`
	BacktestDays     int  `yaml:"backtest_days" doc:"Longest range of a signal's backtest, in days."`
	DedicatedSupport bool `yaml:"dedicated_support" doc:"Whether dedicated support is part of it."`
}

// Plans is a plan table, lowest plan first.
type Plans []Plan

// String writes the names with commas.
func (p Plans) String() string { return strings.Join(p.Slugs(), ",") }

// Slugs returns the names in their order.
func (p Plans) Slugs() []string {
	slugs := make([]string, len(p))
	for i := range p {
		slugs[i] = p[i].Slug
	}
	return slugs
}

// HardCap tells whether calls above the month's allowance are refused.
func (p *Plan) HardCap() bool { return p.CreditsPerMonth != Unlimited && p.OverageUSD == "" }

// ReplayAtMax tells whether the plan may replay as fast as the client reads.
func (p *Plan) ReplayAtMax() bool { return p.MaxReplaySpeed >= 1000 }

// DefaultPlans returns the contract's tier table (sections 1.9 and 9.3), lowest first. The caller owns the slice.
func DefaultPlans() []Plan {
	return []Plan{
		{
			Slug: "free", Tagline: "Explore the API", PriceUSD: "0", PriceYearlyUSD: "0",
			RequestsPerMinute: 30, BatchAccounts: 5, CreditsPerMonth: 75_000,
			Connections: 1, Subscriptions: 5, HistoryDepthDays: Unlimited, MaxRangeDays: Unlimited,
			MaxReplaySpeed: 100, TopAccounts: 10, Signals: 3, Keys: 2, BacktestDays: 1,
		},
		{
			Slug: "starter", Tagline: "For solo traders and bot developers", PriceUSD: "199", PriceYearlyUSD: "169",
			RequestsPerMinute: 300, BatchAccounts: 200, CreditsPerMonth: 750_000, OverageUSD: "29",
			Connections: 50, Subscriptions: 1_000, HistoryDepthDays: Unlimited, MaxRangeDays: Unlimited,
			ReplayWindowDays: 7, ConcurrentReplays: 2, MaxReplaySpeed: 100,
			Attribution: true, DataLake: true, TopAccounts: 50, Signals: 25, Keys: 10, BacktestDays: 7,
		},
		{
			Slug: "growth", Tagline: "For teams that need attribution and history", PriceUSD: "849", PriceYearlyUSD: "699",
			RequestsPerMinute: 3_000, BatchAccounts: 1_000, CreditsPerMonth: 5_000_000, OverageUSD: "9",
			Connections: 500, Subscriptions: 10_000, HistoryDepthDays: Unlimited, MaxRangeDays: Unlimited,
			ReplayWindowDays: 30, ConcurrentReplays: 5, MaxReplaySpeed: 100,
			Attribution: true, DataLake: true, TopAccounts: 100, Signals: 100, Keys: 50, BacktestDays: 30,
		},
		{
			Slug: "scale", Tagline: "For desks and data products", PriceUSD: "1799", PriceYearlyUSD: "1479",
			RequestsPerMinute: 30_000, BatchAccounts: 2_500, CreditsPerMonth: 25_000_000, OverageUSD: "4",
			Connections: 1_000, Subscriptions: 25_000, HistoryDepthDays: Unlimited, MaxRangeDays: Unlimited,
			ReplayWindowDays: 90, ConcurrentReplays: 10, MaxReplaySpeed: 100,
			Attribution: true, DataLake: true, TopAccounts: 500, Signals: 500, Keys: 100, BacktestDays: 90,
		},
		{
			Slug: "enterprise", Tagline: "Without limits",
			RequestsPerMinute: Unlimited, BatchAccounts: 5_000, CreditsPerMonth: Unlimited,
			Connections: Unlimited, Subscriptions: Unlimited, HistoryDepthDays: Unlimited, MaxRangeDays: Unlimited,
			ReplayWindowDays: Unlimited, ConcurrentReplays: Unlimited, MaxReplaySpeed: 1_000,
			Attribution: true, DataLake: true, TopAccounts: 1_000, Signals: Unlimited, Keys: Unlimited, BacktestDays: Unlimited,
			DedicatedSupport: true,
		},
	}
}
