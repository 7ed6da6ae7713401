package http

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Checklist 76, 78, 35.
func TestTrades(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/trades/by-time?"
	for query, want := range map[string]string{
		"market_id=0":                     "[12341 12342 12343 12344 12345]",
		"market_id=0&order=desc":          "[12345 12344 12343 12342 12341]",
		"market_id=0&limit=2":             "[12341 12342]",
		"market_id=0&limit=2&offset=4":    "[12345]",
		"market_id=0&limit=2&offset=9":    "[]",
		"":                                "[12341 12342 12343 12344 12343 12345]", // by time, market, id
		"order=desc":                      "[12345 12343 12344 12343 12342 12341]",
		"side=buy":                        "[12342 12343 12343 12345]",
		"side=sell":                       "[12341 12344]",
		"min_size=2.5":                    "[12342 12343 12345]",
		"min_size=2.50001":                "[12342]",
		"min_notional=8001.25":            "[12342 12345]",
		"whale_only=true":                 "[12342]",
		"type=trade&market_id=1":          "[12343]",
		"type=liquidation":                "[]",
		"account_index=42&market_id=1":    "[12343]",
		"account_index=99&min_size=40":    "[12342]",
		"account_index=7":                 "[]",
		"start=1706745500000":             "[12343 12344 12343 12345]", // inclusive
		"end=1706745500000":               "[12341 12342]",             // exclusive
		"start=1706745500&end=1706745501": "[12343 12344 12343]",
	} {
		status, e := f.get(t, path+query)
		if got := "[" + strings.Join(e.column("trades", "trade_id"), " ") + "]"; status != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", query, status, got, want)
		}
		if strings.Contains(query, "limit=2") {
			continue
		}
		if want := strconv.Itoa(len(e.list("trades"))); e.Meta.Total.String() != want {
			t.Errorf("%s: total is %s, want %s", query, e.Meta.Total, want)
		}
	}
	_, e := f.get(t, path+"market_id=0&limit=2&offset=1")
	if e.Meta.Total.String() != "5" || *e.Meta.Limit != 2 || *e.Meta.Offset != 1 || e.Meta.NextCursor == "" {
		t.Errorf("paging: got %+v", e.Meta)
	}
	row := e.list("trades")[0]
	for member, want := range map[string]string{"trade_id": "12342", "tx_hash": "18906abc", "type": "trade", "market_id": "0", "symbol": "ETH",
		"price": "3199.00", "size": "40.0000", "usd_amount": "127960.000000", "side": "buy", "is_maker_ask": "true", "whale": "true",
		"timestamp": fmt.Sprint(testNow - 150_000), "recv_ts": fmt.Sprint((testNow - 150_000).Micros() + 250)} {
		if got := fmt.Sprint(row[member]); got != want {
			t.Errorf("%s: got %s, want %s", member, got, want)
		}
	}
	if got := fmt.Sprint(e.Data["coverage"]); got != "map[complete:false end:1706745600000 start:1706745400000]" {
		t.Errorf("coverage: %s", got)
	}
}

// Checklist 33, 36, 37, and the refusals of every history route.
func TestHistoryRefusals(t *testing.T) {
	f := newFixture(t, testOptions{})
	common := []string{"limit=x limit", "limit=0 limit", "limit=-1 limit", "limit= limit", "limit=1.5 limit", "offset=-1 offset", "offset=x offset",
		"offset=100001 offset", "order=up order", "start=x start", "end=2024-13-01 end", "start=-1 start", "start=2024-02-01&end=2024-02-01 start",
		"start=2024-02-02&end=2024-02-01 start", "start=2030-01-01 start", "cursor=x cursor", "cursor= cursor", "start=2024-02-01T25:00:00Z start"}
	routes := map[string][]string{
		"/api/v1/trades/by-time?": {"market_id=x market_id", "type=x type", "side=x side", "account_index=-1 account_index", "account_index=x account_index",
			"min_size=-1 min_size", "min_size=1e3 min_size", "min_notional=x min_notional", "whale_only=x whale_only", "whale_only= whale_only"},
		"/api/v1/candles?market_id=0&": {"resolution=2h resolution", "resolution= resolution", "interval=2h interval", "fill=x fill",
			"fill=true&resolution=1m&start=2023-01-01 start", "start_timestamp=1 start_timestamp", "count_back=1 count_back"},
		"/api/v1/orderbook/0/snapshots?": {"interval=2s interval", "depth=0 depth", "at=x at", "at=1706745590000&start=1706745590000 at", "at=1706745590000&end=1706745590000 at"},
		"/api/v1/data-quality/gaps?":     {"market_id=x market_id", "kind=x kind"},
	}
	for path, own := range routes {
		for _, c := range append(slices.Clone(common), own...) {
			query, field, _ := strings.Cut(c, " ")
			if got := f.failure(t, path+query); got != "400 bad_request "+field {
				t.Errorf("%s%s: got %s, want field %s", path, query, got, field)
			}
		}
	}
	for path, want := range map[string]string{"/api/v1/candles": "400 bad_request market_id", "/api/v1/candles?market_id=9": "404 not_found <nil>",
		"/api/v1/data-quality/coverage": "400 bad_request market_id", "/api/v1/data-quality/coverage?market_id=9": "404 not_found <nil>",
		"/api/v1/data-quality/coverage?market_id=0&start=x": "400 bad_request start", "/api/v1/trades/by-time?market_id=9": "404 not_found <nil>",
		"/api/v1/orderbook/9/snapshots": "404 not_found <nil>", "/api/v1/orderbook/x/snapshots": "400 bad_request market_id",
		"/api/v1/orderbook/9/depth": "404 not_found <nil>"} {
		if got := f.failure(t, path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	// Above the maximum a limit is lowered, and said so.
	for path, want := range map[string]int{"/api/v1/trades/by-time?": 1000, "/api/v1/candles?market_id=0&": 5000, "/api/v1/orderbook/0/snapshots?": 1000, "/api/v1/data-quality/gaps?": 1000} {
		status, e := f.get(t, path+"limit=999999999999")
		if status != 200 || *e.Meta.Limit != want {
			t.Errorf("%s: got %d, limit %d, want %d", path, status, *e.Meta.Limit, want)
		}
	}
	f.engine.busy = true
	if got := f.failure(t, "/api/v1/trades/by-time"); got != "503 service_unavailable <nil>" {
		t.Errorf("gate: got %s", got)
	}
}

func TestSlowQueriesAreTold(t *testing.T) {
	f := newFixture(t, testOptions{})
	f.history.err = fmt.Errorf("read block: %w", context.DeadlineExceeded)
	if got := f.failure(t, "/api/v1/trades/by-time"); got != "503 service_unavailable <nil>" {
		t.Errorf("got %s", got)
	}
}

// A total that would take too many rows is null, never a guess.
func TestTotalBeyondTheLimit(t *testing.T) {
	f := newFixture(t, testOptions{edit: func(o *Options) { o.CountLimit = 3 }})
	_, e := f.get(t, "/api/v1/trades/by-time?market_id=0&side=buy")
	if e.Meta.Total != nil || len(e.list("trades")) != 3 {
		t.Errorf("got total %v of %d rows", e.Meta.Total, len(e.list("trades")))
	}
	r := f.do(t, "GET", "/api/v1/trades/by-time?market_id=0&side=buy")
	if !strings.Contains(string(r.Body), `"total":null`) {
		t.Error("an unknown total is null, not left out")
	}
}

// Checklist 34: a walk by cursor shows each row exactly once, while rows are being added, in both directions.
func TestCursorWalk(t *testing.T) {
	f := newFixture(t, testOptions{})
	id := uint64(20_000)
	rapid.Check(t, func(t *rapid.T) {
		f.history.mu.Lock()
		f.history.trades = nil
		f.history.mu.Unlock()
		order := rapid.SampledFrom([]string{"asc", "desc"}).Draw(t, "order")
		add := func() {
			id++
			at := testNow - model.Millis(rapid.IntRange(1, 20).Draw(t, "ms ago"))
			f.history.add(model.MarketID(rapid.IntRange(0, 1).Draw(t, "market")), trade(id, at, "3200.00", "1", rapid.Bool().Draw(t, "buy")))
		}
		for range rapid.IntRange(0, 40).Draw(t, "rows") {
			add()
		}
		filter := rapid.SampledFrom([]string{"", "&market_id=0", "&side=buy", "&start=2024-01-31"}).Draw(t, "filter")
		path := "/api/v1/trades/by-time?order=" + order + filter
		all := func() []string {
			_, e := f.get(t, path+"&limit=1000")
			return e.column("trades", "trade_id")
		}
		before := all()
		var walked []string
		cursor := ""
		for range 200 {
			_, e := f.get(t, path+"&limit="+strconv.Itoa(rapid.IntRange(1, 7).Draw(t, "limit"))+cursor)
			walked = append(walked, e.column("trades", "trade_id")...)
			if e.Meta.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + e.Meta.NextCursor
			if rapid.Bool().Draw(t, "add") && len(walked) < 60 {
				add()
			}
		}
		if len(slices.Compact(slices.Sorted(slices.Values(walked)))) != len(walked) {
			t.Fatalf("a row came twice: %v", walked)
		}
		after := all()
		kept := slices.DeleteFunc(slices.Clone(after), func(s string) bool { return !slices.Contains(walked, s) })
		if !slices.Equal(kept, walked) {
			t.Fatalf("order broken: %v of %v", walked, after)
		}
		for _, s := range before {
			if !slices.Contains(walked, s) {
				t.Fatalf("%s was there when the walk began, and is missing: %v", s, walked)
			}
		}
	})
}

// A range that was asked without a start keeps the start of its first page, although "now" moves on.
func TestCursorKeepsTheDefaultStart(t *testing.T) {
	f := newFixture(t, testOptions{})
	f.history.trades = nil
	for i := range 10 {
		f.history.add(0, trade(uint64(i), testNow-day+model.Millis(i)*1000, "3200.00", "1", true))
	}
	now := testNow
	f.clock = func() time.Time { return time.UnixMilli(int64(now)) }
	for _, order := range []string{"asc", "desc"} {
		path := "/api/v1/trades/by-time?market_id=0&limit=3&order=" + order
		now = testNow
		var ids []string
		cursor := ""
		for {
			_, e := f.get(t, path+cursor)
			ids = append(ids, e.column("trades", "trade_id")...)
			if e.Meta.Total.String() != "10" {
				t.Errorf("%s: total is %s, want the whole range", order, e.Meta.Total)
			}
			if e.Meta.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + e.Meta.NextCursor
			now += 20_000
		}
		if len(ids) != 10 {
			t.Errorf("%s: got %v", order, ids)
		}
	}
}

func TestCursorOfAnotherQuery(t *testing.T) {
	f := newFixture(t, testOptions{})
	_, e := f.get(t, "/api/v1/trades/by-time?market_id=0&limit=1")
	cursor := e.Meta.NextCursor
	for _, path := range []string{"/api/v1/trades/by-time?market_id=1", "/api/v1/trades/by-time?", "/api/v1/trades/by-time?market_id=0&side=buy",
		"/api/v1/trades/by-time?market_id=0&order=desc", "/api/v1/trades/by-time?market_id=0&start=2024-01-31", "/api/v1/trades/by-time?market_id=0&min_size=1",
		"/api/v1/data-quality/gaps?market_id=0", "/api/v1/candles?market_id=0"} {
		if got := f.failure(t, path+"&cursor="+cursor); got != "400 bad_request cursor" {
			t.Errorf("%s: got %s", path, got)
		}
	}
	for i := range cursor {
		bad := []byte(cursor)
		bad[i] ^= 1
		if got := f.failure(t, "/api/v1/trades/by-time?market_id=0&cursor="+string(bad)); got != "400 bad_request cursor" {
			t.Fatalf("byte %d changed: got %s", i, got)
		}
	}
	if status, _ := f.get(t, "/api/v1/trades/by-time?market_id=0&limit=900&cursor="+cursor); status != 200 {
		t.Error("another limit is the same query")
	}
}

// Checklist 73-75.
func TestSnapshots(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/orderbook/0/snapshots?"
	base := testNow - 10_000
	times := func(seconds ...int) string {
		var out []string
		for _, s := range seconds {
			out = append(out, fmt.Sprint(base+model.Millis(s)*1000))
		}
		return strings.Join(out, " ")
	}
	for query, want := range map[string]string{
		fmt.Sprintf("at=%d", base+3000):                      times(3),
		fmt.Sprintf("at=%d", base+3999):                      times(3),
		fmt.Sprintf("at=%d", testNow+59_000):                 times(9),
		"interval=1s":                                        times(0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
		"interval=5s":                                        times(4, 9),
		"interval=5s&order=desc":                             times(9, 4),
		"interval=1h":                                        times(9),
		fmt.Sprintf("start=%d&end=%d", base+2000, base+5000): times(2, 3, 4),
		"limit=3":                     times(0, 1, 2),
		"limit=3&offset=8":            times(8, 9),
		"limit=3&order=desc":          times(9, 8, 7),
		"limit=2&offset=3&order=desc": times(6, 5),
	} {
		status, e := f.get(t, path+query)
		if got := strings.Join(e.column("snapshots", "timestamp"), " "); status != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", query, status, got, want)
		}
	}
	_, e := f.get(t, path+"depth=1&limit=1")
	if got := fmt.Sprint(e.list("snapshots")[0]); got != "map[asks:[[3200.00 18.2000]] best_ask:3200.00 best_bid:3199.50 bids:[[3199.50 45.5000]] mid_price:3199.75 "+
		"nonce:1706745590 recv_ts:1706745589940500 spread:0.50 timestamp:1706745590000]" {
		t.Errorf("got %s", got)
	}
	if e.Meta.Total.String() != "10" {
		t.Errorf("total is %s", e.Meta.Total)
	}
	for _, at := range []model.Millis{base - 1, testNow + 59_001} {
		if got := f.failure(t, fmt.Sprintf("%sat=%d", path, at)); got != "404 not_found <nil>" {
			t.Errorf("at=%d: got %s", at, got)
		}
	}
	// A walk, both ways.
	for _, order := range []string{"asc", "desc"} {
		var seen []string
		cursor := ""
		for {
			_, e := f.get(t, path+"limit=4&order="+order+cursor)
			seen = append(seen, e.column("snapshots", "timestamp")...)
			if e.Meta.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + e.Meta.NextCursor
		}
		want := strings.Fields(times(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
		if order == "desc" {
			slices.Reverse(want)
		}
		if !slices.Equal(seen, want) {
			t.Errorf("%s: got %v", order, seen)
		}
	}
}

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
