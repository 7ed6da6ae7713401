package http

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

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
	for path, want := range map[string]string{"/api/v1/candles?market_id=0&resolution=1m&interval=5m": "400 bad_request resolution",
		"/api/v1/candles": "400 bad_request market_id", "/api/v1/candles?market_id=9": "404 not_found market_id",
		"/api/v1/data-quality/coverage": "400 bad_request market_id", "/api/v1/data-quality/coverage?market_id=9": "404 not_found market_id",
		"/api/v1/data-quality/coverage?market_id=0&start=x": "400 bad_request start", "/api/v1/trades/by-time?market_id=9": "404 not_found market_id",
		"/api/v1/orderbook/9/snapshots": "404 not_found market_id", "/api/v1/orderbook/x/snapshots": "400 bad_request market_id",
		"/api/v1/orderbook/9/depth": "404 not_found market_id"} {
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
// The setting cuts what is asked for, and never fills up.
func TestSnapshotDepthIsCapped(t *testing.T) {
	f := newFixture(t, testOptions{edit: func(o *Options) { o.SnapshotDepth = 2 }})
	for query, want := range map[string]int{"": 2, "&depth=1": 1, "&depth=1000": 2} {
		for _, which := range []string{"limit=1", fmt.Sprintf("at=%d", testNow)} {
			_, e := f.get(t, "/api/v1/orderbook/0/snapshots?"+which+query)
			s := e.list("snapshots")[0]
			if bids, asks := s["bids"].([]any), s["asks"].([]any); len(bids) != want || len(asks) != want {
				t.Errorf("%s%s: %d bids and %d asks, want %d", which, query, len(bids), len(asks), want)
			}
		}
	}
}

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
