package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxPlans      = 100
	maxTagline    = 200       // characters
	maxCount      = 1_000_000 // of what is counted or kept in memory for each account
	maxDays       = 36_500
	minSpeed      = 0.1 // contract 9.3
	maxSpeed      = 1_000_000
	maxSocketPath = 103 // the shortest that a system we run on allows
)

var (
	slugForm  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	moneyForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$`)
)

// plans checks a plan table; each fault names its plan by its place in the list.
func (v *validator) plans(table Plans) {
	v.check(len(table) > 0, "plans", "must hold at least one plan")
	v.check(len(table) <= maxPlans, "plans", fmt.Sprintf("must hold at most %d plans", maxPlans))
	seen := map[string]int{}
	for i := range table {
		p, at := &table[i], fmt.Sprintf("plans[%d].", i)
		first, twice := seen[p.Slug]
		switch {
		case p.Slug == "":
			v.check(false, at+"slug", "must be given")
		case !slugForm.MatchString(p.Slug):
			v.check(false, at+"slug", "must be 1 to 32 lower-case letters, digits and dashes, with no dash at either end")
		case twice:
			v.check(false, at+"slug", fmt.Sprintf("is %s, as plans[%d] is", p.Slug, first))
		default:
			seen[p.Slug] = i
		}
		v.planTexts(at, p)
		v.planLimits(at, p)
		v.planReplay(at, p)
	}
}

func (v *validator) planTexts(at string, p *Plan) {
	v.check(utf8.RuneCountInString(p.Tagline) <= maxTagline && strings.IndexFunc(p.Tagline, func(r rune) bool { return !unicode.IsPrint(r) }) < 0,
		at+"tagline", fmt.Sprintf("must be one line of at most %d characters", maxTagline))
	for _, m := range [][2]string{{"price_usd", p.PriceUSD}, {"price_yearly_usd", p.PriceYearlyUSD}, {"overage_usd", p.OverageUSD}} {
		v.check(m[1] == "" || moneyForm.MatchString(m[1]), at+m[0], "must be an amount as 29 or 29.50, or empty")
	}
	v.check(p.OverageUSD == "" || p.CreditsPerMonth != Unlimited, at+"overage_usd", "must be empty: nothing is above unlimited credits")
}

func (v *validator) planLimits(at string, p *Plan) {
	for _, c := range []struct {
		key       string
		n         int64
		low, high int64
		unlimited bool
	}{
		{"requests_per_minute", int64(p.RequestsPerMinute), 1, maxCount, true},
		{"batch_accounts", int64(p.BatchAccounts), 0, maxCount, true},
		{"credits_per_month", p.CreditsPerMonth, 1, 1e15, true},
		{"credit_per_message", int64(p.CreditPerMessage), 0, maxCount, false},
		{"max_connections", int64(p.Connections), 0, maxCount, true},
		{"max_subscriptions", int64(p.Subscriptions), 0, maxCount, true},
		{"subscribe_ops_per_second", int64(p.SubscribeOpsPerSecond), 0, maxCount, false},
		{"history_depth_days", int64(p.HistoryDepthDays), 1, maxDays, true},
		{"max_range_days", int64(p.MaxRangeDays), 1, maxDays, true},
		{"replay_window_days", int64(p.ReplayWindowDays), 0, maxDays, true},
		{"concurrent_replays", int64(p.ConcurrentReplays), 0, maxCount, true},
		{"top_accounts", int64(p.TopAccounts), 0, maxCount, true},
		{"signals", int64(p.Signals), 0, maxCount, true},
		{"keys", int64(p.Keys), 0, maxCount, true},
		{"backtest_days", int64(p.BacktestDays), 0, maxDays, true},
	} {
		if c.n >= c.low && c.n <= c.high || c.unlimited && c.n == Unlimited {
			continue
		}
		message := fmt.Sprintf("must be from %d to %d", c.low, c.high)
		if c.unlimited {
			message += ", or unlimited"
		}
		v.check(false, at+c.key, message)
	}
	idle := func(key string, d Duration) {
		v.check(d == 0 || d >= second && d <= 365*day, at+key, "must be 0, or from 1s to 365d")
	}
	idle("idle_timeout_with_subscriptions", p.IdleTimeoutWithSubscriptions)
	idle("idle_timeout_without_subscriptions", p.IdleTimeoutWithoutSubscriptions)
}

// planReplay checks the keys that together allow replay: one without the others allows nothing.
func (v *validator) planReplay(at string, p *Plan) {
	window, count := p.ReplayWindowDays != 0, p.ConcurrentReplays != 0
	v.check(count || !window, at+"concurrent_replays", "must not be 0 where replay_window_days allows replay")
	v.check(window || !count, at+"replay_window_days", "must not be 0 where concurrent_replays allows replay")
	if !window || !count {
		v.check(p.MaxReplaySpeed >= 0 && p.MaxReplaySpeed <= maxSpeed, at+"max_replay_speed", fmt.Sprintf("must be from 0 to %d", maxSpeed))
		return
	}
	v.check(p.Connections != 0, at+"max_connections", "must not be 0 where replay is allowed: a replay runs on a socket")
	v.check(p.MaxReplaySpeed >= minSpeed && p.MaxReplaySpeed <= maxSpeed, at+"max_replay_speed",
		fmt.Sprintf("must be from %g to %d where replay is allowed; from 1000 on clients may also ask for max", minSpeed, maxSpeed))
}

// access checks who may call, against the table that says as what.
func (v *validator) access(a *Access, table Plans) {
	v.oneOf("access.registration", a.Registration, "open", "closed")
	v.check(a.TokenLifetime >= 60*second && a.TokenLifetime <= 365*day, "access.token_lifetime", "must be from 1m to 365d")
	if a.LocalPlan != "" {
		v.planName("access.local_plan", a.LocalPlan, table, ", or nothing")
	}
	v.planName("access.default_tier", a.DefaultTier, table, "")
}

func (v *validator) planName(path, slug string, table Plans, or string) {
	slugs := slices.DeleteFunc(table.Slugs(), func(s string) bool { return s == "" })
	if len(slugs) == 0 || slices.Contains(slugs, slug) {
		return
	}
	v.check(false, path, fmt.Sprintf("no plan is named %q; use %s%s", slug, strings.Join(slugs, ", "), or))
}
