package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The file expresses, line by line, the four plans of a metered archive: socket, depth, range, subscriptions and speed
// of each, and the limits that all share.
func TestMeteredArchive(t *testing.T) {
	got := load(t, Source{Environ: []string{"HYPERLIGHT_ACCESS_PLANS_FILE=plans/metered-archive.yaml"}})
	type line struct {
		slug                         string
		socket                       bool
		depth, longest, subscription int
		speed                        float64
	}
	want := []line{
		{"free", false, Unlimited, 30, 0, 0},
		{"build", true, 365, Unlimited, 25, 50},
		{"pro", true, Unlimited, Unlimited, 100, 100},
		{"enterprise", true, Unlimited, Unlimited, 200, 1000},
	}
	if len(got.Config.Plans) != len(want) {
		t.Fatalf("%d plans", len(got.Config.Plans))
	}
	for i, p := range got.Config.Plans {
		if l := (line{p.Slug, p.Connections != 0, p.HistoryDepthDays, p.MaxRangeDays, p.Subscriptions, p.MaxReplaySpeed}); l != want[i] {
			t.Errorf("plan %d is %+v, want %+v", i, l, want[i])
		}
		if p.CreditPerMessage != 1 || !p.HardCap() {
			t.Errorf("%s: %d credits for a message, hard cap %v", p.Slug, p.CreditPerMessage, p.HardCap())
		}
		if p.IdleTimeoutWithSubscriptions != 60*second || p.IdleTimeoutWithoutSubscriptions != 300*second || p.SubscribeOpsPerSecond != 10 {
			t.Errorf("%s: idle %s and %s, %d operations a second", p.Slug, p.IdleTimeoutWithSubscriptions, p.IdleTimeoutWithoutSubscriptions, p.SubscribeOpsPerSecond)
		}
		// One replay a connection is a rule of every socket; the plan must not narrow it to one an account.
		if replays := map[bool]int{false: 0, true: Unlimited}[i > 0]; p.ConcurrentReplays != replays {
			t.Errorf("%s: %d replays at once, want %d", p.Slug, p.ConcurrentReplays, replays)
		}
	}
	if o := got.Origins["plans"]; o.Level != FromEnvironment || !strings.HasPrefix(o.Name, "plans/metered-archive.yaml:") {
		t.Errorf("origin of the plans is %v", o)
	}
}

func TestPlansOfTheFileReplaceTheTable(t *testing.T) {
	l := load(t, Source{File: write(t, `
plans:
  - {slug: bots, requests_per_minute: &n unlimited, credits_per_month: *n, signals: -1, subscribe_ops_per_second: unlimited, overage_usd:, idle_timeout_with_subscriptions: 90s}
access: {default_tier: bots, local_plan: bots}
`)})
	want := Plans{{
		Slug: "bots", RequestsPerMinute: Unlimited, CreditsPerMonth: Unlimited, Signals: Unlimited, HistoryDepthDays: Unlimited, MaxRangeDays: Unlimited,
		IdleTimeoutWithSubscriptions: 90 * second,
	}}
	if !reflect.DeepEqual(l.Config.Plans, want) {
		t.Errorf("got %+v", l.Config.Plans)
	}
	if l := load(t, Source{File: write(t, "plans:\n")}); len(l.Config.Plans) != 5 {
		t.Errorf("a key without a value gives %d plans", len(l.Config.Plans))
	}
}

func TestPlansFileIsStronger(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "p.yaml")
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save("plans:\n  - slug: two\n    requests_per_minute: 5\n    credits_per_month: 1\n")
	file := write(t, "access:\n  plans_file: "+name+"\n  default_tier: two\nplans: [{slug: one, requests_per_minute: 1, credits_per_month: 1}]\n")
	l := load(t, Source{File: file})
	if l.Config.Plans.String() != "two" || l.Origins["plans"].Name != name+":1:1" {
		t.Errorf("plans are %s from %s", l.Config.Plans, l.Origins["plans"])
	}

	// A reload sees a changed plans file as changed plans.
	save("plans:\n  - slug: two\n    requests_per_minute: 6\n    credits_per_month: 1\n")
	next := load(t, Source{File: file})
	applied, restart := Changes(l.Config, next.Config)
	if !reflect.DeepEqual(applied, []string{"plans"}) || restart != nil {
		t.Errorf("applied %v, restart %v", applied, restart)
	}
	l.Config.Apply(next.Config)
	if l.Config.Plans[0].RequestsPerMinute != 6 {
		t.Error("the new table is not applied")
	}

	for text, want := range map[string]string{
		"":                       "access.plans_file: " + name + " has no plans list (from " + file + ":2:3)",
		"plans:\n":               "access.plans_file: " + name + " has no plans list (from " + file + ":2:3)",
		"server: {listen: a}\n":  "unknown key server at 1:1 (from " + name + ")",
		"plan: []\n":             "unknown key plan at 1:1, did you mean plans? (from " + name + ")",
		"plans: 7\n":             "plans: must be a list of plans, each after a dash (from " + name + ":1:1)",
		"plans:\n  - slug: [a\n": "not valid YAML",
	} {
		save(text)
		_, err := Load(Source{File: file})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %s", text, err, want)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Source{File: file}); err == nil || !strings.Contains(err.Error(), "access.plans_file: cannot be read: no such file") {
		t.Errorf("a missing file gives %v", err)
	}
}

func TestPlanFaults(t *testing.T) {
	const good = "requests_per_minute: 1, credits_per_month: 1"
	tests := []struct {
		name, plans string
		want        []string
	}{
		{"none", "[]", []string{"plans: must hold at least one plan (from hyperlight.yaml:2:1)"}},
		{"no mapping", "\n  - 7\n", []string{"plans[0]: must hold keys with values (from hyperlight.yaml:3:5)"}},
		{"unknown key", "\n  - {slug: free, " + good + "}\n  - slug: pro\n    max_subscription: 5\n    requests_per_minute: 1\n    credits_per_month: 1\n",
			[]string{"unknown key plans[1].max_subscription at 5:5, did you mean max_subscriptions? (from hyperlight.yaml)"}},
		{"not numbers", "\n  - slug: free\n    requests_per_minute: many\n    credits_per_month: 1.5\n    attribution: perhaps\n    max_replay_speed: fast\n    idle_timeout_with_subscriptions: 60\n    signals: [1]\n",
			[]string{
				"plans[0].requests_per_minute: must be a whole number or unlimited (from hyperlight.yaml:4:5)",
				"plans[0].credits_per_month: must be a whole number or unlimited (from hyperlight.yaml:5:5)",
				"plans[0].attribution: must be true or false (from hyperlight.yaml:6:5)",
				"plans[0].max_replay_speed: must be a number (from hyperlight.yaml:7:5)",
				"plans[0].idle_timeout_with_subscriptions: must be a duration as 10s, 1h30m or 90d (from hyperlight.yaml:8:5)",
				"plans[0].signals: must be one value (from hyperlight.yaml:9:5)",
			}},
		{"slugs", "\n  - {slug: free, " + good + "}\n  - {slug: free, " + good + "}\n  - {slug: Big One, " + good + "}\n  - {" + good + "}\n",
			[]string{
				"plans[1].slug: is free, as plans[0] is (from hyperlight.yaml:4:6)",
				"plans[2].slug: must be 1 to 32 lower-case letters, digits and dashes, with no dash at either end (from hyperlight.yaml:5:6)",
				"plans[3].slug: must be given (from hyperlight.yaml:6:6)",
			}},
		{"limits", "\n  - slug: free\n    requests_per_minute: -2\n    max_subscriptions: -5\n    credit_per_message: -1\n    history_depth_days: 0\n    price_usd: 1,5\n    idle_timeout_without_subscriptions: 1ms\n",
			[]string{
				"plans[0].price_usd: must be an amount as 29 or 29.50, or empty (from hyperlight.yaml:8:5)",
				"plans[0].requests_per_minute: must be from 1 to 1000000, or unlimited (from hyperlight.yaml:4:5)",
				"plans[0].credits_per_month: must be from 1 to 1000000000000000, or unlimited (from hyperlight.yaml:3:5)",
				"plans[0].credit_per_message: must be from 0 to 1000000 (from hyperlight.yaml:6:5)",
				"plans[0].max_subscriptions: must be from 0 to 1000000, or unlimited (from hyperlight.yaml:5:5)",
				"plans[0].history_depth_days: must be from 1 to 36500, or unlimited (from hyperlight.yaml:7:5)",
				"plans[0].idle_timeout_without_subscriptions: must be 0, or from 1s to 365d (from hyperlight.yaml:9:5)",
			}},
		{"replay in parts", "\n  - slug: free\n    " + strings.ReplaceAll(good, ", ", "\n    ") + "\n    replay_window_days: 7\n  - slug: b\n    " +
			strings.ReplaceAll(good, ", ", "\n    ") + "\n    replay_window_days: 7\n    concurrent_replays: 1\n",
			[]string{
				"plans[0].concurrent_replays: must not be 0 where replay_window_days allows replay (from hyperlight.yaml:3:5)",
				"plans[1].max_connections: must not be 0 where replay is allowed: a replay runs on a socket (from hyperlight.yaml:7:5)",
				"plans[1].max_replay_speed: must be from 0.1 to 1000000 where replay is allowed; from 1000 on clients may also ask for max (from hyperlight.yaml:7:5)",
			}},
		{"overage", "\n  - {slug: free, requests_per_minute: 1, credits_per_month: unlimited, overage_usd: 4}\n",
			[]string{"plans[0].overage_usd: must be empty: nothing is above unlimited credits (from hyperlight.yaml:3:72)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := faultsOf(t, Source{File: write(t, "access: {default_tier: free}\nplans: "+tt.plans+"\n")})
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestPlansOnlyFromAFile(t *testing.T) {
	got := faultsOf(t, Source{Flags: []Flag{{Path: "plans", Name: "--set", Text: "free"}}})
	if len(got) != 1 || got[0] != "plans: is a table: write it in a file and name that with access.plans_file (from --set)" {
		t.Errorf("flag gives %q", got)
	}
	got = faultsOf(t, Source{Environ: []string{"HYPERLIGHT_PLANS=free"}})
	if len(got) != 1 || got[0] != "environment variable HYPERLIGHT_PLANS: plans is a table: write it in a file and name that with HYPERLIGHT_ACCESS_PLANS_FILE" {
		t.Errorf("variable gives %q", got)
	}
}

func TestPlanNames(t *testing.T) {
	got := faultsOf(t, Source{Environ: []string{"HYPERLIGHT_ACCESS_LOCAL_PLAN=gold", "HYPERLIGHT_ACCESS_DEFAULT_TIER="}})
	want := []string{
		`access.local_plan: no plan is named "gold"; use free, starter, growth, scale, enterprise, or nothing (from HYPERLIGHT_ACCESS_LOCAL_PLAN)`,
		`access.default_tier: no plan is named ""; use free, starter, growth, scale, enterprise (from HYPERLIGHT_ACCESS_DEFAULT_TIER)`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

// Any table that is valid is written as YAML that loads to the same table.
func TestPlansRoundTrip(t *testing.T) {
	count := func(low int) *rapid.Generator[int] {
		return rapid.OneOf(rapid.Just(Unlimited), rapid.IntRange(low, 36_500))
	}
	dir := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		table := make(Plans, rapid.IntRange(1, 4).Draw(r, "plans"))
		for i := range table {
			p := Plan{
				Slug: fmt.Sprintf("p%d", i), Tagline: rapid.StringMatching(`[a-zA-Z0-9 #:'"\[\]{}-]{0,30}`).Draw(r, "tagline"),
				PriceUSD: rapid.SampledFrom([]string{"", "0", "29.50"}).Draw(r, "price"), RequestsPerMinute: count(1).Draw(r, "requests"),
				CreditsPerMonth: int64(count(1).Draw(r, "credits")), Connections: count(1).Draw(r, "connections"), Subscriptions: count(0).Draw(r, "subscriptions"),
				HistoryDepthDays: count(1).Draw(r, "depth"), MaxRangeDays: count(1).Draw(r, "range"), ReplayWindowDays: 7, ConcurrentReplays: count(1).Draw(r, "replays"),
				MaxReplaySpeed: rapid.Float64Range(minSpeed, 5000).Draw(r, "speed"), Attribution: rapid.Bool().Draw(r, "attribution"),
				IdleTimeoutWithSubscriptions: Duration(rapid.IntRange(1, 1e6).Draw(r, "idle")) * second,
			}
			table[i] = p
		}
		c := Default()
		c.Plans, c.Access.DefaultTier = table, "p0"
		name := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(name, c.Template(), 0o600); err != nil {
			r.Fatal(err)
		}
		l, err := Load(Source{File: name})
		if err != nil {
			r.Fatalf("load: %v\n%s", err, c.Template())
		}
		if !reflect.DeepEqual(l.Config.Plans, table) {
			r.Fatalf("got %+v\nwant %+v", l.Config.Plans, table)
		}
	})
}

// Whatever a file holds, reading it gives a table that is valid or faults, never a panic.
func FuzzPlans(f *testing.F) {
	f.Add("plans: [{slug: a, requests_per_minute: 1, credits_per_month: 1}]")
	f.Add("plans: [&a {slug: a}, *a, !x {slug: [b]}, 7, null]")
	f.Add("plans: {a: b}")
	archive, err := os.ReadFile("plans/metered-archive.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(archive))
	f.Fuzz(func(t *testing.T, text string) {
		l := newLoader()
		l.readFile("fuzz", []byte(text), map[string]Field{"plans": l.fields["plans"]}, FromFile)
		l.validate(nil)
		for _, fault := range l.faults {
			if fault.Message == "" {
				t.Errorf("a fault says nothing: %+v", fault)
			}
		}
	})
}
