package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"hyperlight/config"
	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Checklist 57: an account by its index or its address, unknown ones, those that must be waited for.
func TestAccountPositions(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	v.venue.accounts[77] = &model.Account{ID: 77, Index: 77, Address: model.Address{9}, Polled: testNow}
	for path, want := range map[string]string{
		"42/positions": "200 42 2", "42/positions?active_only=false": "200 42 2", "42/positions?market_id=1": "200 42 1", ownerText + "/positions": "200 42 2",
		strings.ToLower(ownerText) + "/positions": "200 42 2", "99/positions": "200 99 1", "77/positions": "200 77 0", "8/positions": "200 8 0",
		"3/positions": "404 not_found", "0x" + strings.Repeat("0b", 20) + "/positions": "404 not_found", "4/positions": "502 upstream_error",
		"x/positions": "400 bad_request", "-1/positions": "400 bad_request", "0x12/positions": "400 bad_request", "42/positions?market_id=x": "400 bad_request",
		"42/positions?active_only=x": "400 bad_request", "42/positions?market_id=9": "404 not_found", "3/fills": "404 not_found", "3/pnl": "404 not_found",
		"3/liquidation-risk": "404 not_found", "4/fills": "502 upstream_error", "99/liquidation-risk": "502 upstream_error",
	} {
		status, e := f.get(t, "/api/v1/accounts/"+path)
		got := fmt.Sprint(status, " ", e.Data["code"])
		if status == 200 {
			got = fmt.Sprint(status, " ", e.Data["account_index"], " ", len(e.list("positions")))
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	off := newFixture(t, testOptions{edit: func(o *Options) { o.Accounts = AccountOptions{} }})
	for _, path := range []string{"accounts/42/positions", "accounts/42/fills", "accounts/42/pnl", "accounts/42/liquidation-risk", "liquidation-heatmap/0",
		"liquidation-heatmap/0/cascade", "markets/0/top-accounts", "exchange/top-accounts"} {
		if status, e := off.get(t, "/api/v1/"+path); status != 502 || e.Data["code"] != "upstream_error" {
			t.Errorf("%s without accounts: %d %v", path, status, e.Data)
		}
	}
}

// Checklist 58: pages and filters, and a walk by cursor; a trade of an account with itself is two fills.
func TestAccountFills(t *testing.T) {
	f := newFixture(t, testOptions{})
	self := trade(777, testNow-100_000, "3200.00", "1", true)
	self.AskAccount, self.BidAccount, self.TakerFee = 42, 42, 500
	f.history.add(0, self)
	_, whole := f.get(t, "/api/v1/accounts/42/fills")
	all := whole.list("fills")
	if len(all) != 11 || fmt.Sprint(*whole.Meta.Total) != fmt.Sprint(len(all)) {
		t.Fatalf("%d fills, total %v", len(all), whole.Meta.Total)
	}
	for _, order := range []string{"desc", "asc"} {
		want := slices.Clone(all)
		if order == "asc" {
			slices.Reverse(want)
		}
		var walked []map[string]any
		for path := "/api/v1/accounts/42/fills?limit=3&order=" + order; ; {
			status, e := f.get(t, path)
			if status != 200 {
				t.Fatalf("%d %v", status, e.Data)
			}
			walked = append(walked, e.list("fills")...)
			if e.Meta.NextCursor == "" {
				break
			}
			path = "/api/v1/accounts/42/fills?limit=3&order=" + order + "&cursor=" + e.Meta.NextCursor
		}
		if fmt.Sprint(walked) != fmt.Sprint(want) {
			t.Errorf("%s: walked %v, want %v", order, walked, want)
		}
	}
	_, e := f.get(t, "/api/v1/accounts/42/fills?role=taker&side=buy")
	if rows := e.list("fills"); len(rows) != 1 || rows[0]["fee"] != "1.6" || rows[0]["counterparty_account_index"] != json.Number("42") {
		t.Errorf("taker's buys: %v", rows)
	}
	_, page := f.get(t, "/api/v1/accounts/42/fills?limit=2")
	if status, e := f.get(t, "/api/v1/accounts/99/fills?cursor="+page.Meta.NextCursor); status != 400 || e.Data["code"] != "bad_request" {
		t.Errorf("a cursor of another account: %d %v", status, e.Data)
	}
}

// Checklist 59 and 60: the last snapshot of each bucket; asking tracks; the first answer is the present.
func TestAccountPnL(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	for resolution, want := range map[string]int{"1m": 180, "5m": 36, "15m": 12, "1h": 3, "4h": 1, "1d": 1} {
		status, e := f.get(t, "/api/v1/accounts/42/pnl?resolution="+resolution)
		rows := e.list("pnl")
		if status != 200 || len(rows) != want || e.Data["resolution"] != resolution || fmt.Sprint(rows[len(rows)-1]["timestamp"]) != "1706745540000" {
			t.Errorf("%s: %d, %d rows", resolution, status, len(rows))
		}
	}
	_, e := f.get(t, "/api/v1/accounts/42/pnl?start=1706734800000&order=desc&limit=1&offset=1")
	if rows := e.list("pnl"); len(rows) != 1 || rows[0]["trade_pnl"] != "280.000119" || fmt.Sprint(*e.Meta.Total) != "3" ||
		fmt.Sprint(e.Data["coverage"]) != "map[complete:true end:1706745540000 start:1706738340000]" {
		t.Errorf("page: %v", e.Data)
	}
	_, e = f.get(t, fmt.Sprintf("/api/v1/accounts/%d/pnl", subAccount))
	if rows := e.list("pnl"); len(rows) != 1 || rows[0]["total_account_value"] != "600.000000" || rows[0]["unrealized_pnl"] != "100.000000" || rows[0]["total_notional"] != "3200" {
		t.Errorf("the first row: %v", e.Data)
	}
	if got := v.venue.tracked; !slices.Contains(got, 42) || !slices.Contains(got, subAccount) {
		t.Errorf("tracked %v", got)
	}
	// Three hours of snapshots are not the day that is asked for.
	_, e = f.get(t, "/api/v1/accounts/42/pnl")
	if rows := e.list("pnl"); fmt.Sprint(e.Data["coverage"]) != "map[complete:false end:1706745540000 start:1706738340000]" || fmt.Sprint(rows[0]["timestamp"]) != "1706738340000" {
		t.Errorf("a day: %v", e.Data)
	}
	f.exactly(t, "GET", "accounts/42/pnl?start=1706734800000&order=desc&limit=1", "", `{"account_index":42,"resolution":"1h","pnl":[{"timestamp":1706745540000,`+
		`"total_account_value":"46620.000179","collateral":"46342.000000","unrealized_pnl":"278.000179","realized_pnl":"2.000000","trade_pnl":"280.000179",`+
		`"funding_paid":"34.200000","position_count":1,"total_notional":"11456.36"}],"coverage":{"start":1706738340000,"end":1706745540000,"complete":true}}`)
	if _, e = f.get(t, "/api/v1/accounts/42/pnl?resolution=1m&start=1706742000000"); len(e.list("pnl")) != 60 || fmt.Sprint(*e.Meta.Total) != "60" || *e.Meta.Limit != 500 {
		t.Errorf("an hour by minutes: %d rows of %v", len(e.list("pnl")), *e.Meta.Total)
	}
	if status, _ := f.get(t, "/api/v1/accounts/42/pnl?resolution=2h"); status != 400 {
		t.Errorf("an unknown resolution: %d", status)
	}
}

// Checklist 61, 62 and 63: the contract's example, its mirror, and an account without positions.
func TestLiquidationRisk(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	v.setMark(0, "3000")
	for id, p := range map[model.AccountID]model.Position{500: openPosition(0, "2", "6000", 1000), 501: openPosition(0, "-2", "6000", 1000), 502: openPosition(0, "0", "0", 1000)} {
		v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Polled: testNow - 500, Collateral: usd("1000"), Positions: []model.Position{p}})
	}
	common := "healthy 0.18 1000.000000 1000.000000 600 180 120 0.18 6000 "
	for id, want := range map[int]string{
		500: common + "2577.31958763 422.68041237 14.08934708 0", 501: common + "3398.05825243 398.05825243 13.26860841 0",
		502: "healthy 0 1000.000000 1000.000000 0 0 0 0 0 <nil>",
	} {
		status, e := f.get(t, fmt.Sprintf("/api/v1/accounts/%d/liquidation-risk", id))
		d := e.Data
		got := fmt.Sprintln(d["status"], d["risk_score"], d["account_value"], d["collateral"], d["initial_margin_requirement"], d["maintenance_margin_requirement"],
			d["close_out_margin_requirement"], d["margin_usage"], d["total_notional"])
		for _, p := range e.list("positions") {
			got += fmt.Sprintln(p["liquidation_price"], p["distance_usd"], p["distance_pct"])
		}
		got = strings.ReplaceAll(got+fmt.Sprint(d["nearest_market_id"]), "\n", " ")
		if status != 200 || got != want {
			t.Errorf("%d: %d %s\nwant %s", id, status, got, want)
		}
	}
	// The bands, by collateral: requirements are 600, 180 and 120.
	for collateral, want := range map[string]string{"600": "healthy 0.3", "599.99": "pre_liquidation 0.300005", "180": "pre_liquidation 1", "179.99": "partial_liquidation 1",
		"120": "partial_liquidation 1", "119.99": "full_liquidation 1", "-5": "full_liquidation 1"} {
		at := testNow - 400
		v.tracker.Polled(&model.Account{ID: 503, Index: 503, Polled: at, Collateral: usd(collateral), Positions: []model.Position{openPosition(0, "2", "6000", 1000)}})
		_, e := f.get(t, "/api/v1/accounts/503/liquidation-risk")
		if got := fmt.Sprint(e.Data["status"], " ", e.Data["risk_score"]); !strings.HasPrefix(got, want) {
			t.Errorf("collateral %s: got %s, want %s", collateral, got, want)
		}
	}
}

// Checklist 90 to 93 as a caller sees them, and what is refused.
func TestLiquidationHeatmap(t *testing.T) {
	f, _ := newAccountsFixture(t, testOptions{})
	status, e := f.get(t, "/api/v1/liquidation-heatmap/0?buckets=50&range_pct=40")
	buckets := e.list("buckets")
	if status != 200 || len(buckets) != 50 || buckets[0]["price_low"] != "1920" || buckets[49]["price_high"] != "4480" || e.Data["bucket_size"] != "51.2" {
		t.Fatalf("%d %v", status, e.Data)
	}
	decimal := func(v any) *big.Rat {
		r, ok := new(big.Rat).SetString(fmt.Sprint(v))
		if !ok {
			t.Fatalf("%v is not a number", v)
		}
		return r
	}
	sum, count := new(big.Rat), 0
	mark := decimal(e.Data["mark_price"])
	for i, b := range buckets {
		if i > 0 && b["price_low"] != buckets[i-1]["price_high"] {
			t.Errorf("bucket %d does not begin where the one before ends", i)
		}
		sum.Add(sum, decimal(b["long_notional"])).Add(sum, decimal(b["short_notional"]))
		n, _ := b["long_count"].(json.Number).Int64()
		m, _ := b["short_count"].(json.Number).Int64()
		count += int(n + m)
		if i > 0 && decimal(b["price_high"]).Cmp(mark) <= 0 && decimal(buckets[i-1]["cumulative_long_notional"]).Cmp(decimal(b["cumulative_long_notional"])) < 0 {
			t.Errorf("bucket %d: sums of longs fall away from the mark", i)
		}
	}
	out := e.Data["outside_range"].(map[string]any)
	positions, _ := e.Data["position_count"].(json.Number).Int64()
	if int(positions) < count || count == 0 || decimal(out["long_notional"]).Sign() < 0 {
		t.Errorf("%d positions of %d in range, outside %v", count, positions, out)
	}
	if _, plain := f.get(t, "/api/v1/liquidation-heatmap/0"); plain.Data["range_pct"] != "20" || len(plain.list("buckets")) != 100 || plain.Data["at_risk_pct"] != "5" {
		t.Errorf("defaults: %v", plain.Data)
	}
	for query, want := range map[string]int{"range_pct=0.9": 400, "range_pct=90": 200, "range_pct=90.1": 400, "range_pct=1e1": 400, "buckets=9": 400, "buckets=501": 400,
		"buckets=10": 200, "at_risk_pct=0.1": 200, "at_risk_pct=0.09": 400, "at_risk_pct=50.5": 400, "range_pct=-5": 400, "range_pct=1.1234567": 400} {
		if status, e := f.get(t, "/api/v1/liquidation-heatmap/0?"+query); status != want {
			t.Errorf("%s: %d %v", query, status, e.Data)
		}
	}
	for path, want := range map[string]int{"/api/v1/liquidation-heatmap/9": 404, "/api/v1/liquidation-heatmap/x": 400} {
		if status, _ := f.get(t, path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// Checklist 94, 95 and 96 as a caller sees them.
func TestLiquidationCascade(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	const path = "/api/v1/liquidation-heatmap/0/cascade"
	status, e := f.get(t, path)
	if s := e.list("scenarios"); status != 200 || len(s) != 2 || s[0]["initial_move_pct"] != "-5" || s[0]["trigger_price"] != "3040" || s[1]["initial_move_pct"] != "5" || s[1]["direction"] != "up" {
		t.Errorf("%d %v", status, e.Data)
	}
	for query, want := range map[string]string{"trigger_price=3000": "down 3000 -6.25", "move_pct=-6.25": "down 3000 -6.25", "move_pct=0.5": "up 3216 0.5"} {
		_, e := f.get(t, path+"?"+query)
		s := e.list("scenarios")
		if len(s) != 1 || fmt.Sprint(s[0]["direction"], " ", s[0]["trigger_price"], " ", s[0]["initial_move_pct"]) != want {
			t.Errorf("%s: %v", query, e.Data)
		}
	}
	// Two longs whose closing walks through the bids: 1 is taken at 3000, the next round meets what is left.
	for id, entry := range map[model.AccountID]string{600: "5900", 601: "5860"} {
		v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Polled: testNow, Collateral: usd("1"), Positions: []model.Position{openPosition(0, "2", entry, 1000)}})
	}
	v.desk.Step()
	f.engine.set(0, book.NewView(book.Meta{Seq: 5, Time: testNow, Chained: true}, levels("3100.00", "1", "3030.00", "1", "2990.00", "100"), levels("3200.00", "1")))
	_, e = f.get(t, path+"?trigger_price=3035")
	s := e.list("scenarios")[0]
	steps := s["steps"].([]any)
	if first := steps[0].(map[string]any); len(steps) != 2 || first["price_to"] != "2990" || s["book_exhausted"] != false || s["final_price"] != "2990" {
		t.Errorf("%v", s)
	}
	if _, e = f.get(t, path+"?trigger_price=3035&max_steps=1"); len(e.list("scenarios")[0]["steps"].([]any)) != 1 {
		t.Errorf("max_steps: %v", e.Data)
	}
	for query, want := range map[string]int{"trigger_price=3000&move_pct=1": 400, "trigger_price=3200": 400, "trigger_price=0": 400, "trigger_price=-1": 400, "move_pct=0": 400,
		"move_pct=-91": 400, "move_pct=x": 400, "max_steps=0": 400, "max_steps=501": 400, "trigger_price=99999999999": 400, "trigger_price=3000.123456789": 400} {
		if status, e := f.get(t, path+"?"+query); status != want {
			t.Errorf("%s: %d %v", query, status, e.Data)
		}
	}
	f.engine.set(0, nil)
	if status, _ := f.get(t, path); status != 502 {
		t.Errorf("without a book: %d", status)
	}
}

// Checklist 102 and 103: the order, and the plan's cap, which offset and limit never reach past.
func TestTopAccounts(t *testing.T) {
	v := newVenueAccounts(t, testMarkets())
	for id := range model.AccountID(1100) {
		p := openPosition(0, "1", "3000", 1000)
		if p.Size = num.Size(10_000 + id*7%1100); id%2 == 1 {
			p.Size = -p.Size
		}
		v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Polled: testNow, Collateral: usd("100") + num.USD(id*13%1100), Positions: []model.Position{p}})
	}
	v.desk.Step()
	for i, plan := range config.DefaultPlans() {
		most := []int{10, 50, 100, 500, 1000}[i]
		f := newFixture(t, testOptions{plan: plan.Slug, edit: func(o *Options) { o.Accounts = v.options(&fakeHistory{}) }})
		for _, path := range []string{"/api/v1/markets/0/top-accounts", "/api/v1/exchange/top-accounts"} {
			_, e := f.get(t, path+"?limit=5000")
			if len(e.list("accounts")) != most || *e.Meta.Limit != most || fmt.Sprint(*e.Meta.Total) != fmt.Sprint(most) {
				t.Errorf("%s %s: %d rows, limit %d", plan.Slug, path, len(e.list("accounts")), *e.Meta.Limit)
			}
			_, e = f.get(t, fmt.Sprintf("%s?limit=7&offset=%d", path, most-3))
			if rows := e.column("accounts", "rank"); len(rows) != 3 || rows[2] != fmt.Sprint(most) {
				t.Errorf("%s %s: ranks %v", plan.Slug, path, rows)
			}
			if _, e = f.get(t, fmt.Sprintf("%s?offset=%d", path, most)); len(e.list("accounts")) != 0 {
				t.Errorf("%s %s: rows past the cap", plan.Slug, path)
			}
		}
	}
	f := newFixture(t, testOptions{edit: func(o *Options) { o.Accounts = v.options(&fakeHistory{}) }})
	for query, member := range map[string]string{"markets/0/top-accounts": "position", "markets/0/top-accounts?side=long": "position", "markets/0/top-accounts?side=short": "position",
		"exchange/top-accounts": "total_notional", "exchange/top-accounts?sort=unrealized_pnl": "unrealized_pnl", "exchange/top-accounts?sort=collateral": "collateral"} {
		_, e := f.get(t, "/api/v1/"+query)
		column := e.column("accounts", member)
		for i := 1; i < len(column); i++ {
			a, _ := new(big.Rat).SetString(column[i-1])
			b, _ := new(big.Rat).SetString(column[i])
			if a.Cmp(b) < 0 {
				t.Fatalf("%s: %s before %s", query, column[i-1], column[i])
			}
		}
		if side := strings.TrimPrefix(query, "markets/0/top-accounts?side="); side != query && slices.ContainsFunc(e.column("accounts", "side"), func(s string) bool { return s != side }) {
			t.Errorf("%s: sides %v", query, e.column("accounts", "side"))
		}
	}
	for path, want := range map[string]int{"markets/0/top-accounts?side=x": 400, "exchange/top-accounts?sort=x": 400, "exchange/top-accounts?limit=0": 400, "markets/9/top-accounts": 404} {
		if status, _ := f.get(t, "/api/v1/"+path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// The text of a fraction that was written before is the one that it is written with at first.
func TestLeverages(t *testing.T) {
	for initial, want := range map[int32]string{500: `,"initial_margin_fraction":"5.00","leverage":"20"`, 10_000: `,"initial_margin_fraction":"100.00","leverage":"1"`,
		333: `,"initial_margin_fraction":"3.33","leverage":"30.03003003"`, 0: `,"initial_margin_fraction":null,"leverage":null`,
		20_000: `,"initial_margin_fraction":"200.00","leverage":"0.5"`, -1: `,"initial_margin_fraction":null,"leverage":null`} {
		for range 2 {
			if got := string(appendLeverage([]byte("x"), initial)); got != "x"+want {
				t.Errorf("%d: %s", initial, got)
			}
		}
	}
	for initial := range int32(len(leverages)) {
		want := appendNewLeverage(nil, initial)
		for range 2 {
			if got := appendLeverage(nil, initial); !bytes.Equal(got, want) {
				t.Fatalf("%d: %s, want %s", initial, got, want)
			}
		}
	}
}
