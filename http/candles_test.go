package http

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Checklist 83-85: every resolution, against the calendar; weeks open on Monday.
func TestCandles(t *testing.T) {
	f := newFixture(t, testOptions{})
	var id uint64
	for at := testNow - 15*day; at < testNow; at += 37 * 60_000 {
		id++
		f.history.add(0, trade(id, at, fmt.Sprintf("%d.25", 3000+id%97), "0.5", id%2 == 0))
	}
	for _, r := range resolutions {
		length := model.Millis(r.length.Milliseconds())
		from := testNow - 15*day
		status, e := f.get(t, fmt.Sprintf("/api/v1/candles?market_id=0&resolution=%s&start=%d&limit=5000", r.word, from))
		var want []string
		for k := range f.history.Candles(context.Background(), 0, r.length, history.Span{From: from, To: testNow}, false) {
			want = append(want, fmt.Sprintf("%d/%d/%t", k.Time, k.Trades, k.Time+length <= testNow))
		}
		var got []string
		for _, k := range e.list("candles") {
			got = append(got, fmt.Sprintf("%v/%v/%v", k["timestamp"], k["trade_count"], k["closed"]))
		}
		if status != 200 || len(got) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: got %d %v, want %v", r.word, status, got, want)
		}
		if bucketStart(testNow-1, length) != naiveBucket(testNow-1, length) {
			t.Errorf("%s: bucket of now differs from the calendar", r.word)
		}
		if closed := e.list("candles")[len(got)-1]["closed"]; closed != (testNow%length == 0 && length < 7*day) {
			t.Errorf("%s: the last candle has closed=%v", r.word, closed)
		}
		_, again := f.get(t, fmt.Sprintf("/api/v1/candles?market_id=0&interval=%s&start=%d&limit=5000&order=desc", r.word, from))
		back := again.column("candles", "timestamp")
		slices.Reverse(back)
		if !slices.Equal(back, e.column("candles", "timestamp")) {
			t.Errorf("%s: descending differs", r.word)
		}
	}
	// Without a start the running week is there.
	if _, e := f.get(t, "/api/v1/candles?market_id=0&resolution=1w"); len(e.list("candles")) != 1 || e.list("candles")[0]["closed"] != false {
		t.Errorf("1w: got %v", e.Data["candles"])
	}
}

func TestCandleMembers(t *testing.T) {
	f := newFixture(t, testOptions{})
	_, e := f.get(t, fmt.Sprintf("/api/v1/candles?market_id=0&resolution=5m&start=%d", testNow-300_000))
	if got := fmt.Sprint(e.Data["candles"]); got != "[map[close:3200.50 closed:true high:3200.50 last_trade_id:12345 low:3198.00 open:3198.00 quote_volume:145880.200000 "+
		"timestamp:1706745300000 trade_count:5 volume:45.6000]]" {
		t.Errorf("got %s", got)
	}
	if e.Data["resolution"] != "5m" || e.Data["symbol"] != "ETH" {
		t.Errorf("got %v", e.Data)
	}
}

// fill=true shows every bucket; where nothing is held nothing is claimed.
func TestCandlesFilled(t *testing.T) {
	f := newFixture(t, testOptions{})
	path := fmt.Sprintf("/api/v1/candles?market_id=0&resolution=1m&fill=true&start=%d", testNow-360_000)
	_, e := f.get(t, path)
	counts := e.column("candles", "trade_count")
	// Held: 200 s ago to 120 s ago, and from 110 s ago. Minute buckets from 6 minutes ago.
	if got := strings.Join(counts, " "); got != "null null 1 1 2 1" {
		t.Errorf("got %s", got)
	}
	f.history.held[0] = []history.Interval{{From: 0, To: testNow.Micros() - 900_000}}
	f.history.trades = nil
	if _, e = f.get(t, path); strings.Join(e.column("candles", "trade_count"), " ") != "0 0 0 0 0 0" {
		t.Errorf("got %v", e.Data["candles"])
	}
	if got := fmt.Sprint(e.list("candles")[0]); got != "map[close:<nil> closed:true high:<nil> last_trade_id:<nil> low:<nil> open:<nil> quote_volume:0.000000 timestamp:1706745240000 trade_count:0 volume:0.0000]" {
		t.Errorf("got %s", got)
	}
	for _, order := range []string{"asc", "desc"} {
		var all []string
		cursor := ""
		for {
			_, e := f.get(t, path+"&limit=4&order="+order+cursor)
			if e.Meta.Total.String() != "6" {
				t.Errorf("total is %s", e.Meta.Total)
			}
			all = append(all, e.column("candles", "timestamp")...)
			if e.Meta.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + e.Meta.NextCursor
		}
		sorted := slices.IsSortedFunc(all, func(a, b string) int {
			if order == "desc" {
				return cmp.Compare(b, a)
			}
			return cmp.Compare(a, b)
		})
		if len(all) != 6 || !sorted {
			t.Errorf("%s: got %v", order, all)
		}
	}
}

func TestGaps(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/data-quality/gaps?"
	_, e := f.get(t, path)
	if got := fmt.Sprint(e.Data["gaps"]); got != "[map[cause:upstream_disconnect filled:false from:1706745480000 kind:order_book market_id:0 to:1706745490000] "+
		"map[cause:nonce_gap filled:true from:1706745480000 kind:trade market_id:1 to:1706745500000] map[cause:stale filled:false from:1706745595000 kind:trade market_id:0 to:<nil>]]" {
		t.Errorf("got %s", got)
	}
	for query, want := range map[string]string{"market_id=0": "order_book trade", "kind=trade": "trade trade", "kind=market_stats": "", "order=desc": "trade trade order_book",
		"start=1706745590000": "trade", "end=1706745590000": "order_book trade", "limit=1&offset=1": "trade"} {
		if _, e := f.get(t, path+query); strings.Join(e.column("gaps", "kind"), " ") != want {
			t.Errorf("%s: got %v, want %s", query, e.Data, want)
		}
	}
	for _, order := range []string{"asc", "desc"} {
		var all []string
		cursor := ""
		for {
			_, e := f.get(t, path+"limit=1&order="+order+cursor)
			all = append(all, e.column("gaps", "cause")...)
			if e.Meta.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + e.Meta.NextCursor
		}
		want := []string{"upstream_disconnect", "nonce_gap", "stale"}
		if order == "desc" {
			slices.Reverse(want)
		}
		if !slices.Equal(all, want) {
			t.Errorf("%s: got %v", order, all)
		}
	}
}

func TestCoverageReport(t *testing.T) {
	f := newFixture(t, testOptions{})
	_, e := f.get(t, "/api/v1/data-quality/coverage?market_id=0")
	kinds := e.list("kinds")
	if len(kinds) != 3 || kinds[0]["kind"] != "order_book" || kinds[1]["kind"] != "trade" || kinds[2]["kind"] != "market_stats" {
		t.Fatalf("got %v", kinds)
	}
	// Updates at 0, 0.1, 0.4, 0.9 and 1.6 s: steps 0.1, 0.3, 0.5, 0.7.
	if got := fmt.Sprint(kinds[0]["records"], kinds[0]["cadence"]); got != "5map[median_us:300000 p95_us:500000]" {
		t.Errorf("books: got %s", got)
	}
	if got := fmt.Sprint(kinds[0]["intervals"]); got != "[map[end:1706745480000 start:1706745400000] map[end:1706745600000 start:1706745490000]]" {
		t.Errorf("intervals: got %s", got)
	}
	if got := fmt.Sprint(kinds[1]["records"], len(kinds[1]["gaps"].([]any))); got != "51" {
		t.Errorf("trades: got %s", got)
	}
	if got := fmt.Sprint(kinds[2]["records"], kinds[2]["cadence"]); got != "3map[median_us:10000000 p95_us:10000000]" {
		t.Errorf("stats: got %s", got)
	}
	f = newFixture(t, testOptions{edit: func(o *Options) { o.CountLimit = 4 }})
	_, e = f.get(t, "/api/v1/data-quality/coverage?market_id=0")
	if got := fmt.Sprint(e.list("kinds")[0]["records"], e.list("kinds")[0]["cadence"]); got != "<nil> map[median_us:<nil> p95_us:<nil>]" {
		t.Errorf("beyond the limit: got %s", got)
	}
}

func TestCoverageOverMarkets(t *testing.T) {
	f := newFixture(t, testOptions{})
	_, e := f.get(t, "/api/v1/trades/by-time?start=1706745500000")
	if got := fmt.Sprint(e.Data["coverage"]); got != "map[complete:true end:1706745600000 start:1706745500000]" {
		t.Errorf("both hold it: got %s", got)
	}
	_, e = f.get(t, "/api/v1/trades/by-time?start=1706745405000")
	if got := fmt.Sprint(e.Data["coverage"]); got != "map[complete:false end:1706745600000 start:1706745450000]" {
		t.Errorf("common part: got %s", got)
	}
	_, e = f.get(t, "/api/v1/trades/by-time?start=2020-01-01&end=2020-01-02")
	if got := fmt.Sprint(e.Data["coverage"]); got != "map[complete:false end:<nil> start:<nil>]" {
		t.Errorf("nothing held: got %s", got)
	}
}

// Checklist 202, 203.
func TestHealthAndStatus(t *testing.T) {
	f := newFixture(t, testOptions{plan: "none"})
	r := f.do(t, "GET", "/health")
	if r.Status != 200 || string(r.Body) != `{"status":"ok","version":"0.1.0","uptime_seconds":86400,"checks":{"storage":"ok","lighter_api":"ok"}}` {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
	f.health.Status, f.health.LighterAPI = "degraded", "error"
	if r := f.do(t, "GET", "/health"); r.Status != 200 || !strings.Contains(string(r.Body), `"lighter_api":"error"`) {
		t.Errorf("degraded: got %d %s", r.Status, r.Body)
	}
	f.health.Status, f.health.Storage = "error", "error"
	if r := f.do(t, "GET", "/health"); r.Status != 503 {
		t.Errorf("error: got %d", r.Status)
	}
	if r := f.do(t, "GET", "/healthz"); r.Status != 200 {
		t.Errorf("the process lives, got %d", r.Status)
	}
	if r := f.do(t, "GET", "/readyz"); r.Status != 503 || !strings.Contains(string(r.Body), "storage") {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
	f.health.Storage, f.status.Synced = "ok", 0
	if r := f.do(t, "GET", "/readyz"); r.Status != 503 || !strings.Contains(string(r.Body), "synchronised") {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
	f.clock = func() time.Time { return time.UnixMilli(int64(testNow)).Add(readyAfter) }
	if r := f.do(t, "GET", "/readyz"); r.Status != 200 {
		t.Errorf("after a minute: got %d", r.Status)
	}
	f.closing.Store(true)
	if r := f.do(t, "GET", "/readyz"); r.Status != 503 || !strings.Contains(string(r.Body), "shutting down") {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
	status, e := f.get(t, "/status")
	if status != 200 || e.Data["rest"] != "ok" || fmt.Sprint(e.Data["block_height"]) != "2204468" || fmt.Sprint(e.Data["latency_ms"]) != "84" || fmt.Sprint(e.Data["synced_markets"]) != "0" {
		t.Errorf("got %d %v", status, e.Data)
	}
	f.status.Status, f.status.LastMessageAt = "down", 0
	if status, e = f.get(t, "/status"); status != 200 || e.Data["status"] != "down" || e.Data["last_message_at"] != nil {
		t.Errorf("got %d %v", status, e.Data)
	}
}
