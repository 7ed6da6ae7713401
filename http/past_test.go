package http

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"hyperlight/config"
	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// fakePast is the fixture's record, and a word of the clock that it was asked for.
type fakePast struct {
	*fakeHistory
	at model.Micros
}

func (p fakePast) Book(ctx context.Context, m *model.Market) (*book.View, error) {
	return p.BookAt(ctx, m.ID, p.at)
}

func (p fakePast) Markets(context.Context) ([]*model.Market, error) { return testMarkets(), nil }

func (p fakePast) FundingRates(ctx context.Context) (*model.FundingRates, error) {
	return testFunding(ctx)
}

// Heatmap gives one that was computed five seconds before the clock, of market 0 alone.
func (p fakePast) Heatmap(_ context.Context, m model.MarketID) (*model.Heatmap, error) {
	if m != 0 {
		return nil, history.ErrNoData
	}
	return &model.Heatmap{Time: p.at.Millis() - 5000, LongAtRisk: 7_000_000, Map: &model.HeatmapMap{
		Mark: num.Decimal{Mant: 320000, Scale: 2}, Positions: 1, Tracked: 2_0000, Buckets: []model.HeatmapBucket{
			{Place: 40, Long: model.HeatmapSum{Size: 2_0000, Notional: 6_150_000_000, Count: 1}}}}}, nil
}

func (p fakePast) Native(_ context.Context, name string, query func(string) (string, bool)) (int, []byte, error) {
	if name == "tx" {
		return 400, []byte(`{"code":29404,"message":"not recorded"}`), nil
	}
	id, _ := query("market_id")
	return 200, []byte(`{"code":200,"` + name + `":"` + id + `"}`), nil
}

// The clock of a call is at, the session's, or that of the caller's only session; every other call is refused.
func TestPastClock(t *testing.T) {
	sessions := map[string]model.Micros{"a": (testNow - 5000).Micros() + 1}
	f := newFixture(t, testOptions{edit: func(o *Options) {
		o.ReplayClock = func(account, id string) (at model.Micros, running int) {
			for name, clock := range sessions {
				if id == "" || id == name {
					at = clock
					running++
				}
			}
			return at, running
		}
	}})
	for _, tt := range []struct {
		name, target string
		status       int
		want         string // in the body, or the clock
	}{
		{"at", "/replay/api/v1/currentHeight?at=1706745599000", 200, "1706745599000"},
		{"a date", "/replay/api/v1/currentHeight?at=2024-01-31", 200, "1706659200000"},
		{"the session's", "/replay/api/v1/currentHeight?session=a", 200, "1706745595001"},
		{"the only session's", "/replay/api/v1/currentHeight", 200, "1706745595001"},
		{"of ours", "/replay/api/v1/trades/by-time?market_id=0&session=a", 200, "1706745595001"},
		{"no such session", "/replay/api/v1/currentHeight?session=b", 404, "no such session"},
		{"no time", "/replay/api/v1/currentHeight?at=soon", 400, "at must be"},
		{"the future", "/replay/api/v1/currentHeight?at=2100-01-01", 400, "future"},
		{"not recorded", "/replay/api/v1/tx?at=1706745599000", 400, "29404"},
		{"no past", "/replay/api/v1/keys?at=1706745599000", 404, "no such path"},
		{"nothing of ours", "/replay/api/v1/accounts/7?at=1706745599000", 404, "no such path"},
		{"native candles", "/replay/api/v1/candles?market_id=0&start_timestamp=1&at=1706745599000", 200, `"candles":"0"`},
		{"our candles", "/replay/api/v1/candles?market_id=0&at=1706745599000", 200, `"resolution":"1h"`},
	} {
		r := f.do(t, "GET", tt.target)
		if r.Status != tt.status || !strings.Contains(string(r.Body), tt.want) && r.Header["X-Replay-At"] != tt.want {
			t.Errorf("%s: %d %.200s, clock %s", tt.name, r.Status, r.Body, r.Header["X-Replay-At"])
		}
	}
	if r := f.do(t, "POST", "/replay/api/v1/currentHeight?at=1706745599000"); r.Status != 405 {
		t.Errorf("POST: %d", r.Status)
	}
	sessions["b"] = sessions["a"]
	if r := f.do(t, "GET", "/replay/api/v1/currentHeight"); r.Status != 400 || !strings.Contains(string(r.Body), "several sessions") {
		t.Errorf("two sessions: %d %s", r.Status, r.Body)
	}
	clear(sessions)
	if r := f.do(t, "GET", "/replay/api/v1/currentHeight"); r.Status != 400 || !strings.Contains(string(r.Body), "at is required") {
		t.Errorf("no session: %d %s", r.Status, r.Body)
	}
	if r := f.do(t, "GET", "/replay/api/v1/orderBookDetails"); r.Status != 200 {
		t.Errorf("a list of markets before a session: %d %s", r.Status, r.Body)
	}
}

// A plan without replay has no past, and one that does not reach far has none before that.
func TestPastPlans(t *testing.T) {
	f := newFixture(t, testOptions{plan: "free"})
	if r := f.do(t, "GET", "/replay/api/v1/currentHeight?at=1706745599000"); r.Status != 403 {
		t.Errorf("free: %d %s", r.Status, r.Body)
	}
}

// A range never reaches past the clock.
func TestPastEndsAtTheClock(t *testing.T) {
	f := newFixture(t, testOptions{})
	r := f.do(t, "GET", "/replay/api/v1/data-quality/coverage?market_id=0&end=2024-01-31T23:59:59Z&at=1706745595000")
	if r.Status != 200 || !strings.Contains(string(r.Body), `"end":1706745595000,"kinds"`) {
		t.Errorf("%d %.300s", r.Status, r.Body)
	}
	r = f.do(t, "GET", "/replay/api/v1/data-quality/coverage?market_id=0&start=1706745596000&at=1706745595000")
	if r.Status != 400 {
		t.Errorf("a start after the clock: %d %.300s", r.Status, r.Body)
	}
}

// A walk goes on while the clock of its session does: what the range ends with is what was asked, not where the clock was.
func TestPastWalkWithAMovingClock(t *testing.T) {
	clock := (testNow - 100_000 + 1).Micros()
	f := newFixture(t, testOptions{edit: func(o *Options) {
		o.ReplayClock = func(string, string) (model.Micros, int) { return clock, 1 }
	}})
	for _, target := range []string{"/replay/api/v1/trades/by-time?market_id=0&limit=1&start=2024-01-31&end=2024-02-01", "/replay/api/v1/candles?market_id=0&resolution=1m&limit=1&end=2024-02-01"} {
		rows, cursor := 0, ""
		for more := true; more; rows++ {
			status, e := f.get(t, target+cursor)
			if status != 200 {
				t.Fatalf("%s%s: %d %v", target, cursor, status, e.Data)
			}
			next := e.Meta.NextCursor
			more, cursor = next != "", "&cursor="+next
			clock += 1_000_000
		}
		if rows < 3 {
			t.Errorf("%s: %d pages", target, rows)
		}
	}
	if _, e := f.get(t, "/replay/api/v1/trades/by-time?start=2024-01-31T23:59:59Z&end=2024-02-01"); !strings.Contains(fmt.Sprint(e.Data), "before the clock") {
		t.Errorf("a start behind the clock: %v", e.Data)
	}
}

// The newest liquidations of the past reach back as far as the plan does from now on, and their day is that of a live answer:
// the minute under way and the 1,439 before it.
func TestPastRecentLiquidations(t *testing.T) {
	plan := config.DefaultPlans()[4]
	plan.Slug, plan.HistoryDepthDays = "short", 1
	f := newAccounts(t, accountsOptions{plans: []config.Plan{plan}, testOptions: testOptions{plan: "none"}})
	_, key := f.user(t, "a@example.com", "short")
	const clock = testNow - day/2 + 30_000
	f.history.forced = nil
	for i, at := range []model.Millis{testNow - day - 1, clock - day + 29_999, clock - day + 30_000, testNow - day, clock - 1} {
		tr := trade(uint64(i+1), at, "3000.00", "1", false)
		tr.Kind = model.KindLiquidation
		f.history.forced = append(f.history.forced, history.MarketTrade{Trade: &tr})
	}
	status, e := f.get(t, fmt.Sprintf("/replay/api/v1/liquidations/recent?at=%d", clock), "X-Api-Key", key)
	if ids := strings.Join(e.column("liquidations", "liquidation_id"), " "); status != 200 || ids != "0-5 0-4" {
		t.Errorf("%d %q", status, ids)
	}
	if sum := e.Data["summary_24h"].(map[string]any); fmt.Sprint(sum["count"]) != "4" {
		t.Errorf("summary %v", sum)
	}
}

var _ History = (*fakeHistory)(nil)

// The heatmap of the past is the last one that had been kept, with the members of the live one.
func TestPastHeatmap(t *testing.T) {
	t.Parallel()
	f, _ := newAccountsFixture(t, testOptions{})
	status, e := f.get(t, "/replay/api/v1/liquidation-heatmap/0?at=1706745599000")
	buckets := e.list("buckets")
	if status != 200 || e.Data["mark_price"] != "3200.00" || e.Data["long_at_risk"] != "7" || len(buckets) != 100 || fmt.Sprint(e.Data["computed_at"]) != "1706745594000" {
		t.Fatalf("%d %v", status, e.Data)
	}
	if b := buckets[40]; b["long_size"] != "2.0000" || b["long_notional"] != "6150" || b["price_low"] != "3072" || buckets[30]["cumulative_long_notional"] != "6150" {
		t.Errorf("bucket %v", b)
	}
	_, live := f.get(t, "/api/v1/liquidation-heatmap/0")
	if a, b := slices.Sorted(maps.Keys(e.Data)), slices.Sorted(maps.Keys(live.Data)); !slices.Equal(a, b) {
		t.Errorf("members %v, live %v", a, b)
	}
	for target, want := range map[string]int{"0?range_pct=30&at=1706745599000": 400, "0?range_pct=20&at=1706745599000": 200, "1?at=1706745599000": 404, "0": 400} {
		if status, e := f.get(t, "/replay/api/v1/liquidation-heatmap/"+target); status != want {
			t.Errorf("%s: %d %v", target, status, e.Data)
		}
	}
}
