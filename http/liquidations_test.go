package http

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/exchange"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Checklist 87.
func TestLiquidations(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/liquidations/by-time?"
	all := "start=2024-01-29"
	for query, want := range map[string]string{
		"":                                 "0-1000 1-1001 0-1002", // by time, market, id
		"order=desc":                       "0-1002 1-1001 0-1000",
		all:                                "0-900 0-1000 1-1001 0-1002",
		all + "&market_id=0":               "0-900 0-1000 0-1002",
		all + "&market_id=1":               "1-1001",
		all + "&type=liquidation":          "0-900 0-1000 0-1002",
		all + "&type=deleverage":           "1-1001",
		all + "&side=long":                 "0-900 0-1000",
		all + "&side=short":                "1-1001 0-1002",
		all + "&account_index=99":          "0-900 0-1000",
		all + "&account_index=7":           "1-1001",
		all + "&account_index=42":          "", // took over, was not closed
		all + "&min_notional=6600":         "1-1001 0-1002",
		all + "&min_notional=6600.000001":  "1-1001",
		all + "&limit=2&offset=1":          "0-1000 1-1001",
		"start=1706745300000":              "0-1000 1-1001 0-1002", // inclusive
		"end=1706745500000":                "0-1000 1-1001",        // exclusive
		"start=1706745300001&order=desc":   "0-1002",
		all + "&side=long&account_index=8": "",
	} {
		status, e := f.get(t, path+query)
		if got := strings.Join(e.column("liquidations", "liquidation_id"), " "); status != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", query, status, got, want)
		}
		if !strings.Contains(query, "limit") && e.Meta.Total.String() != strconv.Itoa(len(strings.Fields(want))) {
			t.Errorf("%s: total is %s", query, e.Meta.Total)
		}
	}
	_, e := f.get(t, path+"market_id=0&limit=1")
	if got := fmt.Sprint(e.Data["coverage"]); got != "map[complete:false end:1706745600000 start:1706745400000]" || e.Meta.Total.String() != "2" {
		t.Errorf("coverage %s, total %s", got, e.Meta.Total)
	}
	if r := f.do(t, "HEAD", path); r.Status != 200 || len(r.Body) != 0 {
		t.Errorf("HEAD: %d %s", r.Status, r.Body)
	}
	f.Server.countLimit = 1
	if _, e := f.get(t, path); e.Meta.Total != nil || len(e.list("liquidations")) != 3 {
		t.Errorf("beyond the limit: total %v of %v", e.Meta.Total, e.Data)
	}
}

func TestMarketRefusals(t *testing.T) {
	f := newFixture(t, testOptions{})
	for path, faults := range map[string][]string{
		"/api/v1/liquidations/by-time?":                {"type=trade type", "type= type", "side=buy side", "account_index=-1 account_index", "min_notional=-1 min_notional", "market_id=x market_id", "limit=0 limit", "offset=100001 offset", "cursor=x cursor", "order=up order", "start=2030-01-01 start"},
		"/api/v1/liquidations/recent?":                 {"type=x type", "side=x side", "limit=0 limit", "market_id=x market_id"},
		"/api/v1/funding-rates/history?market_id=0&":   {"resolution=1m resolution", "resolution= resolution", "limit=x limit", "offset=-1 offset", "order=x order", "cursor= cursor", "start=2024-02-02&end=2024-02-01 start", "end=2024-13-01 end"},
		"/api/v1/funding-rates/history?resolution=1h&": {"start=2024-01-01 market_id", "market_id= market_id"},
		"/api/v1/trades/aggregate?market_id=0&":        {"fill=x fill", "limit=0 limit", "offset=x offset", "order=x order", "start=x start", "end= end"},
	} {
		for _, c := range faults {
			query, field, _ := strings.Cut(c, " ")
			if got := f.failure(t, path+query); got != "400 bad_request "+field {
				t.Errorf("%s%s: got %s, want field %s", path, query, got, field)
			}
		}
		if got := f.failure(t, strings.Replace(path, "market_id=0", "market_id=9", 1)+"market_id=9"); got != "404 not_found market_id" {
			t.Errorf("%s: an unknown market: got %s", path, got)
		}
	}
	for path, want := range map[string]int{"/api/v1/liquidations/by-time?": 1000, "/api/v1/liquidations/recent?": 500, "/api/v1/trades/aggregate?market_id=0&": 5000,
		"/api/v1/funding-rates/history?market_id=0&": 1000} {
		if status, e := f.get(t, path+"limit=999999999999"); status != 200 || *e.Meta.Limit != want {
			t.Errorf("%s: got %d, limit %v, want %d", path, status, e.Meta.Limit, want)
		}
	}
	// A cursor only continues the same question.
	_, e := f.get(t, "/api/v1/liquidations/by-time?limit=1")
	cursor := e.Meta.NextCursor
	for _, path := range []string{"liquidations/by-time?market_id=0", "liquidations/by-time?side=long", "liquidations/by-time?type=liquidation", "liquidations/by-time?account_index=99",
		"liquidations/by-time?min_notional=1", "liquidations/by-time?order=desc", "liquidations/by-time?start=2024-01-31", "trades/aggregate?market_id=0", "funding-rates/history?market_id=0"} {
		if got := f.failure(t, "/api/v1/"+path+"&cursor="+cursor); got != "400 bad_request cursor" {
			t.Errorf("%s: got %s", path, got)
		}
	}
	f.engine.busy = true
	for _, path := range []string{"liquidations/by-time", "liquidations/recent", "funding-rates/history?market_id=0", "trades/aggregate?market_id=0"} {
		if got := f.failure(t, "/api/v1/"+path); got != "503 service_unavailable <nil>" {
			t.Errorf("%s: gate: got %s", path, got)
		}
	}
}

// keptDay answers as the statistics of a day do, and notes what it was asked.
type keptDay struct{ asked []exchange.ForcedFilter }

func (d *keptDay) Forced(_ model.Millis, f exchange.ForcedFilter) exchange.Forced {
	d.asked = append(d.asked, f)
	return exchange.Forced{Count: 12, Long: 120_000_000_000, Short: 45_000_000_000}
}

// Checklist 88.
func TestRecentLiquidations(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/liquidations/recent?"
	for query, want := range map[string]string{
		"":                  "0-1002 1-1001 0-1000 0-900: 3 2571.000000 28100.000000 30671.000000",
		"limit=1":           "0-1002: 3 2571.000000 28100.000000 30671.000000",
		"market_id=0":       "0-1002 0-1000 0-900: 2 2571.000000 6600.000000 9171.000000",
		"type=deleverage":   "1-1001: 1 0.000000 21500.000000 21500.000000",
		"side=long":         "0-1000 0-900: 1 2571.000000 0.000000 2571.000000",
		"side=long&limit=1": "0-1000: 1 2571.000000 0.000000 2571.000000",
	} {
		status, e := f.get(t, path+query)
		day, _ := e.Data["summary_24h"].(map[string]any)
		got := fmt.Sprint(strings.Join(e.column("liquidations", "liquidation_id"), " "), ": ", day["count"], " ", day["long_notional"], " ", day["short_notional"], " ", day["total_notional"])
		if status != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", query, status, got, want)
		}
	}
	kept := &keptDay{}
	f = newFixture(t, testOptions{edit: func(o *Options) { o.Day = kept }})
	_, e := f.get(t, path+"market_id=1&type=deleverage&side=short")
	if got := fmt.Sprint(e.Data["summary_24h"]); got != "map[count:12 long_notional:120000.000000 short_notional:45000.000000 total_notional:165000.000000]" {
		t.Errorf("got %s", got)
	}
	f.get(t, path)
	if len(kept.asked) != 2 || kept.asked[0].Market.ID != 1 || kept.asked[0].Kind != model.KindDeleverage || kept.asked[0].Side != "short" || kept.asked[1] != (exchange.ForcedFilter{}) {
		t.Errorf("asked for %+v", kept.asked)
	}
	// As of a past moment the kept sums would tell the future.
	if _, e := f.get(t, "/replay/api/v1/liquidations/recent?at=1706745599000"); fmt.Sprint(e.Data["summary_24h"].(map[string]any)["count"]) != "3" {
		t.Errorf("past: got %v", e.Data["summary_24h"])
	}
}

// Checklist 34: a walk shows each row once, while rows are being added.
func TestLiquidationCursorWalk(t *testing.T) {
	f := newFixture(t, testOptions{})
	id := uint64(20_000)
	rapid.Check(t, func(t *rapid.T) {
		f.history.mu.Lock()
		f.history.forced = nil
		f.history.mu.Unlock()
		add := func() {
			id++
			tr := trade(id, testNow-model.Millis(rapid.IntRange(1, 20).Draw(t, "ms ago")), "3200.00", "1", rapid.Bool().Draw(t, "buy"))
			tr.Kind = rapid.SampledFrom([]model.TradeKind{model.KindLiquidation, model.KindDeleverage}).Draw(t, "kind")
			f.history.mu.Lock()
			f.history.forced = append(f.history.forced, history.MarketTrade{Market: model.MarketID(rapid.IntRange(0, 1).Draw(t, "market")), Trade: &tr})
			f.history.mu.Unlock()
		}
		for range rapid.IntRange(0, 40).Draw(t, "rows") {
			add()
		}
		path := "/api/v1/liquidations/by-time?order=" + rapid.SampledFrom([]string{"asc", "desc"}).Draw(t, "order") +
			rapid.SampledFrom([]string{"", "&market_id=0", "&side=long", "&type=deleverage", "&start=2024-01-31"}).Draw(t, "filter")
		all := func() []string {
			_, e := f.get(t, path+"&limit=1000")
			return e.column("liquidations", "trade_id")
		}
		before := all()
		var walked []string
		for cursor := ""; ; {
			_, e := f.get(t, path+"&limit="+strconv.Itoa(rapid.IntRange(1, 7).Draw(t, "limit"))+cursor)
			walked = append(walked, e.column("liquidations", "trade_id")...)
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
		if kept := slices.DeleteFunc(all(), func(s string) bool { return !slices.Contains(walked, s) }); !slices.Equal(kept, walked) {
			t.Fatalf("order broken: %v, want %v", walked, kept)
		}
		for _, s := range before {
			if !slices.Contains(walked, s) {
				t.Fatalf("%s was there when the walk began, and is missing: %v", s, walked)
			}
		}
	})
}

// Checklist 99.
func TestFundingHistory(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/funding-rates/history?market_id=0"
	_, e := f.get(t, path)
	if rows := e.list("rates"); len(rows) != 24 || e.Meta.Total.String() != "24" || fmt.Sprint(rows[0]["timestamp"]) != fmt.Sprint(testNow-day) {
		t.Fatalf("got %d rows, total %s", len(e.list("rates")), e.Meta.Total)
	}
	_, e = f.get(t, fmt.Sprintf("%s&start=%d&end=%d", path, testNow-2*day, testNow-2*day+4*hour))
	if got := fmt.Sprint(e.Data["rates"]); got != "[map[direction:long rate:0.000012 timestamp:1706572800000 value:0.0384] map[direction:long rate:0.000013 timestamp:1706576400000 value:0.0385] "+
		"map[direction:long rate:0.000014 timestamp:1706580000000 value:0.0386] map[direction:short rate:-0.000012 timestamp:1706583600000 value:0.0387]]" {
		t.Errorf("got %s", got)
	}
	if e.Data["resolution"] != "1h" || e.Data["symbol"] != "ETH" || e.Data["coverage"] == nil {
		t.Errorf("got %v", e.Data)
	}
	for query, want := range map[string]string{
		"&resolution=1d":                            "1706659200000", // yesterday; today has just begun
		"&resolution=1d&start=2024-01-30":           "1706572800000 1706659200000",
		"&resolution=1d&start=2024-01-30T00:00:01Z": "1706659200000", // days that open in the range
		"&resolution=1d&start=2024-01-30&end=2024-02-01T00:00:00.001Z&order=desc": "1706745600000 1706659200000 1706572800000",
		"&resolution=1d&start=2024-01-30&limit=1&offset=1":                        "1706659200000",
		"&limit=2&order=desc": "1706742000000 1706738400000",
	} {
		status, e := f.get(t, path+query)
		if got := strings.Join(e.column("rates", "timestamp"), " "); status != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", query, status, got, want)
		}
	}
	// A day is the sum of its hours, whoever paid in them.
	var rate, value int64
	for _, r := range f.history.fundings[0][:24] {
		rate += int64(r.Rate)
		if r.LongPays {
			value += r.Value.Mant
		} else {
			value -= r.Value.Mant
		}
	}
	_, e = f.get(t, path+"&resolution=1d&start=2024-01-30&limit=1")
	want := fmt.Sprint("map[direction:long hours:24 rate:", string(num.AppendTrim(nil, rate, num.RateScale)), " timestamp:1706572800000 value:", string(num.Append(nil, value, 4)), "]")
	if got := fmt.Sprint(e.list("rates")[0]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if r := f.do(t, "HEAD", path); r.Status != 200 {
		t.Errorf("HEAD: %d", r.Status)
	}
}

// A day in which the shorts paid more is theirs: its value is what they paid.
func TestSumFunding(t *testing.T) {
	long := model.Funding{Rate: 10, Value: num.Decimal{Mant: 5, Scale: 1}, LongPays: true}
	short := model.Funding{Rate: -30, Value: num.Decimal{Mant: 125, Scale: 2}}
	r := sumFunding([]model.Funding{long, short})
	if r.rate != -20 || r.value.String() != "0.75" || !r.known || r.hours != 2 {
		t.Errorf("got %+v", r)
	}
	if r := sumFunding([]model.Funding{short}); r.rate != -30 || r.value.String() != "1.25" {
		t.Errorf("got %+v", r)
	}
	huge := model.Funding{Rate: 1, Value: num.Decimal{Mant: 1 << 62}, LongPays: true}
	if r := sumFunding([]model.Funding{huge, huge}); r.known {
		t.Errorf("what cannot be written is not known: %+v", r)
	}
}

// Checklist 34: hours and days are walked without a hole or a double while hours are being settled.
func TestFundingCursorWalk(t *testing.T) {
	f := newFixture(t, testOptions{})
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 90).Draw(t, "hours")
		f.history.mu.Lock()
		f.history.fundings[0] = nil
		f.history.mu.Unlock()
		add := func() {
			f.history.mu.Lock()
			defer f.history.mu.Unlock()
			rows := f.history.fundings[0]
			f.history.fundings[0] = append(rows, model.Funding{Time: testNow - 5*day + model.Millis(len(rows))*hour, Rate: 1, LongPays: true})
		}
		for range n {
			add()
		}
		path := fmt.Sprintf("/api/v1/funding-rates/history?market_id=0&start=%d&resolution=%s&order=%s", testNow-5*day,
			rapid.SampledFrom([]string{"1h", "1d"}).Draw(t, "resolution"), rapid.SampledFrom([]string{"asc", "desc"}).Draw(t, "order"))
		_, e := f.get(t, path+"&limit=1000")
		before := e.column("rates", "timestamp")
		var walked []string
		for cursor := ""; ; {
			_, e := f.get(t, path+"&limit="+strconv.Itoa(rapid.IntRange(1, 20).Draw(t, "limit"))+cursor)
			walked = append(walked, e.column("rates", "timestamp")...)
			if e.Meta.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + e.Meta.NextCursor
			if n++; n < 110 {
				add()
			}
		}
		if len(slices.Compact(slices.Sorted(slices.Values(walked)))) != len(walked) {
			t.Fatalf("a row came twice: %v", walked)
		}
		for _, at := range before {
			if !slices.Contains(walked, at) {
				t.Fatalf("%s was there when the walk began, and is missing: %v", at, walked)
			}
		}
	})
}
