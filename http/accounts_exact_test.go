package http

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// exactly compares the data object of an answer with its text.
func (f *fixture) exactly(t *testing.T, method, path, body, want string) {
	t.Helper()
	r := f.send(t, method, "/api/v1/"+path, body)
	_, text, _ := strings.Cut(string(r.Body), `"data":`)
	text, _, _ = strings.Cut(text, `,"meta":{"request_id"`)
	if text != want {
		t.Errorf("%s %s: %d\n got %s\nwant %s", path, body, r.Status, text, want)
	}
}

// newExactFixture is a table of which every number is another one: 900 holds a cross long and an isolated short, 901 a
// long of which the venue told no money, and a flat position.
func newExactFixture(t *testing.T) (*fixture, *venueAccounts) {
	f, v := newAccountsFixture(t, testOptions{})
	eth, btc := openPosition(0, "2", "6000", 2000), openPosition(1, "-0.5", "22000", 1000)
	eth.Realized, eth.FundingPaid, eth.OpenOrders, eth.Pending, eth.Tied = usd("2"), usd("34.2"), 3, 4, 5
	btc.Isolated, btc.Allocated, btc.Realized = true, usd("4000"), usd("-7")
	v.tracker.Polled(&model.Account{ID: 900, Index: 900, Address: model.Address{0xab}, Polled: testNow - 500, Type: 1, Status: 2, Collateral: usd("1000"),
		Available: usd("11"), TotalValue: usd("12"), CrossValue: usd("13"), TotalOrders: 14, PendingOrders: 15, Positions: []model.Position{eth, btc}})
	flat := openPosition(1, "0", "0", 1000)
	flat.Realized = usd("9")
	v.tracker.Polled(&model.Account{ID: 901, Index: 901, Polled: testNow - 500, Collateral: usd("1"), Positions: []model.Position{flat}})
	return f, v
}

const (
	exactETH = `{"market_id":0,"symbol":"ETH","side":"long","sign":1,"position":"2.0000","avg_entry_price":"3000.00","mark_price":"3200.00",` +
		`"position_value":"6400.000000","unrealized_pnl":"400.000000","realized_pnl":"2.000000","liquidation_price":"2577.31958763",` +
		`"initial_margin_fraction":"20.00","leverage":"5","margin_mode":0,"allocated_margin":"0.000000","open_order_count":3,"pending_order_count":4,` +
		`"position_tied_order_count":5,"total_funding_paid_out":"34.200000"}`
	exactBTC = `{"market_id":1,"symbol":"BTC","side":"short","sign":-1,"position":"0.5000","avg_entry_price":"44000.00","mark_price":"43000.00",` +
		`"position_value":"21500.000000","unrealized_pnl":"500.000000","realized_pnl":"-7.000000","liquidation_price":"50485.4368932",` +
		`"initial_margin_fraction":"10.00","leverage":"10","margin_mode":1,"allocated_margin":"4000.000000","open_order_count":0,"pending_order_count":0,` +
		`"position_tied_order_count":0,"total_funding_paid_out":"0.000000"}`
	exactFlat = `{"market_id":1,"symbol":"BTC","side":null,"sign":1,"position":"0.0000","avg_entry_price":"0.00","mark_price":"43000.00",` +
		`"position_value":"0.000000","unrealized_pnl":"0.000000","realized_pnl":"9.000000","liquidation_price":null,` +
		`"initial_margin_fraction":"10.00","leverage":"10","margin_mode":0,"allocated_margin":"0.000000","open_order_count":0,"pending_order_count":0,` +
		`"position_tied_order_count":0,"total_funding_paid_out":"0.000000"}`
	exact99 = `{"market_id":0,"symbol":"ETH","side":"short","sign":-1,"position":"10.0000","avg_entry_price":"3190.00","mark_price":"3200.00",` +
		`"position_value":"32000.000000","unrealized_pnl":"-100.000000","realized_pnl":"0.000000","liquidation_price":null,` +
		`"initial_margin_fraction":"5.00","leverage":"20","margin_mode":0,"allocated_margin":"0.000000","open_order_count":0,"pending_order_count":0,` +
		`"position_tied_order_count":0,"total_funding_paid_out":"0.000000"}`
	exact900     = `"account_index":900,"l1_address":"0xab00000000000000000000000000000000000000"`
	exactStood   = `"updated_at":1706745599500,"source":"poll","as_of":1706745599500,"stale":false}`
	exactStood99 = `"updated_at":1706744700000,"source":"stream","as_of":1706744700000,"stale":true}`
)

// Checklist 46, 55 and 57: every member of an element and of its positions, from the row and from a ready body; flat
// positions only where they are asked for, and no money of whom the venue never told any.
func TestAccountElementsExactly(t *testing.T) {
	f, _ := newExactFixture(t)
	head := `{"accounts":[{` + exact900 + `,"account_type":1,"status":2,"collateral":"1000.000000","available_balance":"11.000000",` +
		`"total_asset_value":"12.000000","cross_asset_value":"13.000000","total_order_count":14,"pending_order_count":15,"positions":[` + exactETH + "," + exactBTC + `],`
	order := `{"order_index":281476000000001,"order_id":"281476000000001","market_id":0,"symbol":"ETH","is_ask":false,"side":"bid","price":"3199.50",` +
		`"initial_base_amount":"10.0000","remaining_base_amount":"7.5000","notional":"23996.25","whale":false,"order_expiry":1709337600000,"timestamp":1706745599000}`
	for range 3 {
		f.exactly(t, "POST", "accounts/batch", `{"accounts":[900],"include":["positions","orders"]}`, head+`"orders":[],`+exactStood+`],"not_found":[],"errors":[]}`)
		if r := f.send(t, "POST", "/api/v1/accounts/batch", `{"accounts":[900,42],"include":["orders"]}`); strings.Count(string(r.Body), `"orders":[`+order+`]`) != 1 ||
			!strings.Contains(string(r.Body), `"orders":[],"updated_at"`) {
			t.Errorf("orders: %s", r.Body)
		}
		for body, want := range map[string]string{``: ``, `,"active_only":true`: ``, `,"active_only":false`: exactFlat} {
			r := f.send(t, "POST", "/api/v1/accounts/batch", `{"accounts":[901]`+body+`}`)
			s := f.send(t, "POST", "/api/v1/accounts/batch/positions", `{"accounts":[901]`+body+`}`)
			if want = `"positions":[` + want + `]`; !strings.Contains(string(r.Body), want) || !strings.Contains(string(s.Body), want) {
				t.Errorf("%s: %s\n%s", body, r.Body, s.Body)
			}
		}
	}
	f.SetWhales(23_996_250_000, nil) // exactly what the order is worth
	if r := f.send(t, "POST", "/api/v1/accounts/batch", `{"accounts":[42]}`); !strings.Contains(string(r.Body), `"notional":"23996.25","whale":true`) {
		t.Errorf("an order at the threshold: %s", r.Body)
	}
	for query, want := range map[string]string{``: ``, `?active_only=true`: ``, `?active_only=false`: exactFlat} {
		f.exactly(t, "GET", "accounts/901/positions"+query, "", `{"account_index":901,"l1_address":null,"collateral":"1.000000","available_balance":"0.000000",`+
			`"total_asset_value":"0.000000","positions":[`+want+`],`+exactStood)
	}
	for query, want := range map[string]string{``: exactETH + "," + exactBTC, `?market_id=1`: exactBTC} {
		f.exactly(t, "GET", "accounts/900/positions"+query, "", `{`+exact900+`,"collateral":"1000.000000","available_balance":"11.000000",`+
			`"total_asset_value":"12.000000","positions":[`+want+`],`+exactStood)
	}
	f.exactly(t, "GET", "accounts/99/positions", "", `{"account_index":99,"l1_address":null,"collateral":null,"available_balance":null,`+
		`"total_asset_value":null,"positions":[`+exact99+`],`+exactStood99)
	f.exactly(t, "POST", "accounts/batch/positions", `{"accounts":[900,99],"market_id":0}`, `{"accounts":[{`+exact900+`,"collateral":"1000.000000","positions":[`+exactETH+
		`],`+exactStood+`,{"account_index":99,"l1_address":null,"collateral":null,"positions":[`+exact99+`],`+exactStood99+
		`],"summary":[{"market_id":0,"symbol":"ETH","accounts":2,"long_size":"2.0000","short_size":"10.0000","net_size":"-8.0000","long_notional":"6400",`+
		`"short_notional":"32000","gross_notional":"38400","net_notional":"-25600"}],"not_found":[],"errors":[]}`)
}

// Checklist 55: positions of an older scale are summed at the market's own, and what has no mark price has no notional.
func TestSummaryScales(t *testing.T) {
	f, v := newExactFixture(t)
	old := openPosition(0, "3", "9600", 1000)
	eth := f.engine.markets[0]
	eth.Scales = []model.Scale{{Price: 3, Size: 3}, {Price: 2, Size: 4}}
	eth.Epoch, old.Size = 1, 3_000
	now := openPosition(0, "2", "6000", 1000)
	now.Epoch = 1
	v.tracker.Polled(&model.Account{ID: 902, Index: 902, Polled: testNow, Positions: []model.Position{old}})
	v.tracker.Polled(&model.Account{ID: 903, Index: 903, Polled: testNow, Positions: []model.Position{now}})
	want := `"summary":[{"market_id":0,"symbol":"ETH","accounts":2,"long_size":"5.0000","short_size":"0.0000","net_size":"5.0000","long_notional":`
	if r := f.send(t, "POST", "/api/v1/accounts/batch/positions", `{"accounts":[902,903]}`); !strings.Contains(string(r.Body), want+`"16000",`) {
		t.Errorf("%s", r.Body)
	}
	other, w := newAccountsFixture(t, testOptions{})
	w.mu.Lock()
	delete(w.marks, 1)
	w.mu.Unlock()
	if _, e := other.batch(t, "/positions", `{"accounts":[42]}`); e.list("summary")[1]["short_size"] != "2.0000" || e.list("summary")[1]["gross_notional"] != nil ||
		e.list("summary")[0]["gross_notional"] == nil {
		t.Errorf("without a mark: %v", e.Data["summary"])
	}
}

// Checklist 61: every number of a risk answer, of cross and isolated positions together; the worst pool says the state.
func TestRiskExactly(t *testing.T) {
	f, v := newExactFixture(t)
	f.exactly(t, "GET", "accounts/900/liquidation-risk", "", `{"account_index":900,"status":"healthy","risk_score":"0.14186441","account_value":"5900.000000",`+
		`"collateral":"1000.000000","unrealized_pnl":"900.000000","initial_margin_requirement":"3430","maintenance_margin_requirement":"837",`+
		`"close_out_margin_requirement":"558","margin_usage":"0.14186441","total_notional":"27900","positions":[{"market_id":0,"symbol":"ETH","side":"long",`+
		`"position":"2.0000","mark_price":"3200.00","liquidation_price":"2577.31958763","distance_usd":"622.68041237","distance_pct":"19.45876289",`+
		`"notional":"6400","maintenance_margin":"192","margin_mode":0},{"market_id":1,"symbol":"BTC","side":"short","position":"0.5000","mark_price":"43000.00",`+
		`"liquidation_price":"50485.4368932","distance_usd":"7485.4368932","distance_pct":"17.40799277","notional":"21500","maintenance_margin":"645",`+
		`"margin_mode":1}],"unvalued_positions":0,"nearest_market_id":1,`+exactStood)
	isolated := openPosition(0, "1", "3200", 1000)
	isolated.Isolated, isolated.Allocated = true, usd("70") // requirements are 320, 96 and 64
	v.tracker.Polled(&model.Account{ID: 904, Index: 904, Polled: testNow, Collateral: usd("100000"), Positions: []model.Position{isolated, {Market: 7, Size: 1}}})
	if _, e := f.get(t, "/api/v1/accounts/904/liquidation-risk"); e.Data["status"] != "partial_liquidation" || fmt.Sprint(e.Data["unvalued_positions"]) != "1" {
		t.Errorf("an isolated position near its end: %v", e.Data)
	}
	// Lighter's own price stands as long as it gives one.
	told := openPosition(0, "1", "3200", 1000)
	told.Liquidation = num.Decimal{Mant: 27_115, Scale: 1}
	over := openPosition(0, "-1", "3200", 1000)
	v.tracker.Polled(&model.Account{ID: 905, Index: 905, Polled: testNow, Collateral: usd("1000"), Positions: []model.Position{told}})
	v.tracker.Polled(&model.Account{ID: 906, Index: 906, Polled: testNow, Collateral: usd("1000000"), Positions: []model.Position{openPosition(0, "1", "3200", 1000)}})
	v.tracker.Polled(&model.Account{ID: 907, Index: 907, Polled: testNow, Collateral: usd("48"), Positions: []model.Position{over}})
	for id, want := range map[int]string{905: "2711.5 0.096 488.5", 906: "<nil> 0.000096 <nil>", 907: "3153.39805825 1 -46.60194175"} {
		_, e := f.get(t, fmt.Sprintf("/api/v1/accounts/%d/liquidation-risk", id))
		p := e.list("positions")[0]
		if got := fmt.Sprint(p["liquidation_price"], " ", e.Data["risk_score"], " ", p["distance_usd"]); got != want {
			t.Errorf("%d: %s, want %s", id, got, want)
		}
	}
	if _, e := f.get(t, "/api/v1/accounts/907/liquidation-risk"); e.Data["margin_usage"] != "2" {
		t.Errorf("usage %v", e.Data["margin_usage"])
	}
	v.tracker.Polled(&model.Account{ID: 908, Index: 908, Polled: testNow, Collateral: usd("-5")})
	if _, e := f.get(t, "/api/v1/accounts/908/liquidation-risk"); e.Data["status"] != "healthy" || e.Data["risk_score"] != "0" {
		t.Errorf("without positions: %v", e.Data)
	}
}

// liquidatedAt is a cross position that Lighter says will be closed at a price.
func liquidatedAt(v *venueAccounts, id model.AccountID, size, price string) {
	p := openPosition(0, size, "3200", 1000)
	d, err := num.ParseDecimal([]byte(price))
	if err != nil {
		panic(err)
	}
	p.Liquidation = d
	v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Polled: testNow, Collateral: usd("1000"), Positions: []model.Position{p}})
}

// Checklist 90 to 93: a heatmap whose every number can be added up by hand. The price range is 2560 to 3840 and a bucket
// 128 wide.
func TestHeatmapExactly(t *testing.T) {
	v := newVenueAccounts(t, testMarkets())
	f := newFixture(t, testOptions{edit: func(o *Options) { o.Accounts = v.options(&fakeHistory{}) }})
	for i, p := range [][2]string{{"2", "3000"}, {"1", "3100"}, {"-3", "3264"}, {"-1", "5000"}, {"1", "1000"}, {"0.5", "2944"}, {"-1", "3200"}, {"1", "3840"}} {
		liquidatedAt(v, model.AccountID(100+i), p[0], p[1])
	}
	row := trade(1, testNow, "3190.00", "10", false) // of these two nobody knows the collateral
	row.AskAccount, row.BidAccount = 99, 7
	row.TakerBefore, row.MakerBefore = model.PositionBefore{Known: true, InitialMargin: 500}, model.PositionBefore{Known: true, InitialMargin: 500}
	v.tracker.Trade(0, &row, false)
	v.desk.Step()
	bucket := func(low, high, middle, long, short, cumulative string) string {
		return fmt.Sprintf(`{"price_low":"%s","price_high":"%s","price":"%s",%s,%s,%s}`, low, high, middle, long, short, cumulative)
	}
	longs := func(size, notional, count string) string {
		return fmt.Sprintf(`"long_size":"%s","long_notional":"%s","long_count":%s`, size, notional, count)
	}
	shorts := func(size, notional, count string) string {
		return strings.ReplaceAll(longs(size, notional, count), "long_", "short_")
	}
	sums := func(long, short string) string {
		return fmt.Sprintf(`"cumulative_long_notional":"%s","cumulative_short_notional":"%s"`, long, short)
	}
	noLongs, noShorts := longs("0.0000", "0", "0"), shorts("0.0000", "0", "0")
	const below, above = "10572", "12992" // 3100 + 2 x 3000 + 0.5 x 2944; 3200 + 3 x 3264
	buckets := strings.Join([]string{
		bucket("2560", "2688", "2624", noLongs, noShorts, sums(below, "0")), bucket("2688", "2816", "2752", noLongs, noShorts, sums(below, "0")),
		bucket("2816", "2944", "2880", noLongs, noShorts, sums(below, "0")),
		bucket("2944", "3072", "3008", longs("2.5000", "7472", "2"), noShorts, sums(below, "0")),
		bucket("3072", "3200", "3136", longs("1.0000", "3100", "1"), noShorts, sums("3100", "0")),
		bucket("3200", "3328", "3264", noLongs, shorts("4.0000", above, "2"), sums("0", above)),
		bucket("3328", "3456", "3392", noLongs, noShorts, sums("0", above)), bucket("3456", "3584", "3520", noLongs, noShorts, sums("0", above)),
		bucket("3584", "3712", "3648", noLongs, noShorts, sums("0", above)), bucket("3712", "3840", "3776", noLongs, noShorts, sums("0", above)),
	}, ",")
	const coverage = `"coverage":{"tracked_open_interest":"15.5000","market_open_interest":"235.25","ratio":"0.06588735"},"computed_at":1706745600000}`
	for pct, risk := range map[string][2]string{"2": {"0", above}, "3.125": {"3100", above}, "1.99": {"0", "3200"}} {
		f.exactly(t, "GET", "liquidation-heatmap/0?buckets=10&at_risk_pct="+pct, "", `{"market_id":0,"symbol":"ETH","mark_price":"3200.00","range_pct":"20",`+
			`"bucket_size":"128","buckets":[`+buckets+`],"long_at_risk":"`+risk[0]+`","short_at_risk":"`+risk[1]+`","at_risk_pct":"`+pct+`","position_count":8,`+
			`"outside_range":{"long_notional":"4840","short_notional":"5000"},`+coverage)
	}
	// What signals are fed with.
	if long, short, ok := v.desk.Latest().Market(0).AtRisk(); !ok || long != usd("3100") || short != usd("12992") {
		t.Errorf("at risk %d and %d", long, short)
	}
	if status, e := f.get(t, "/api/v1/liquidation-heatmap/0?buckets=500"); status != 200 || len(e.list("buckets")) != 500 {
		t.Errorf("500 buckets: %d", status)
	}
}

// Checklist 94, 95 and 96: cascades that can be followed by hand, down to the text.
func TestCascadeExactly(t *testing.T) {
	v := newVenueAccounts(t, testMarkets())
	f := newFixture(t, testOptions{edit: func(o *Options) { o.Accounts = v.options(&fakeHistory{}) }})
	for i, p := range [][2]string{{"2", "3030"}, {"1", "3010"}, {"0.2", "3000"}, {"4", "2989"}, {"-1", "3010"}} {
		liquidatedAt(v, model.AccountID(100+i), p[0], p[1])
	}
	v.desk.Step()
	const tail = `],"coverage":{"tracked_open_interest":"7.2000","market_open_interest":"235.25","ratio":"0.03060574"},"computed_at":1706745600000}`
	const head = `{"market_id":0,"symbol":"ETH","mark_price":"3200.00","scenarios":[{"direction":"down","trigger_price":"3030","initial_move_pct":"-5.3125",`
	const path = "liquidation-heatmap/0/cascade?trigger_price=3030"
	bids := func(texts ...string) {
		f.engine.set(0, book.NewView(book.Meta{Seq: 5, Time: testNow, Chained: true}, levels(texts...), levels("3200.00", "100")))
	}
	// Bids above the trigger are gone, the one at it is not. Of 3000 the second round finds what the first has left.
	bids("3100.00", "9", "3035.00", "9", "3030.00", "0.5", "3020.00", "1", "3000.00", "2", "2990.00", "9")
	f.exactly(t, "GET", path, "", head+`"final_price":"3000","total_move_pct":"-6.25","amplification":"1.17647059","positions_liquidated":3,`+
		`"liquidated_size":"3.2000","liquidated_notional":"9670","book_exhausted":false,"steps":[`+
		`{"step":1,"price_from":"3030","price_to":"3000","positions":1,"liquidated_size":"2.0000","liquidated_notional":"6060","cumulative_notional":"6060"},`+
		`{"step":2,"price_from":"3000","price_to":"3000","positions":2,"liquidated_size":"1.2000","liquidated_notional":"3610","cumulative_notional":"9670"}]}`+tail)
	// With less at 3000 the second round goes on to 2985, which reaches the last long, and the book ends.
	bids("3100.00", "9", "3030.00", "0.5", "3020.00", "1", "3000.00", "1", "2985.00", "2")
	f.exactly(t, "GET", path, "", head+`"final_price":"2985","total_move_pct":"-6.71875","amplification":"1.26470588","positions_liquidated":4,`+
		`"liquidated_size":"7.2000","liquidated_notional":"21626","book_exhausted":true,"steps":[`+
		`{"step":1,"price_from":"3030","price_to":"3000","positions":1,"liquidated_size":"2.0000","liquidated_notional":"6060","cumulative_notional":"6060"},`+
		`{"step":2,"price_from":"3000","price_to":"2985","positions":2,"liquidated_size":"1.2000","liquidated_notional":"3610","cumulative_notional":"9670"},`+
		`{"step":3,"price_from":"2985","price_to":"2985","positions":1,"liquidated_size":"4.0000","liquidated_notional":"11956","cumulative_notional":"21626"}]}`+tail)
	// All of the book counts, however deep.
	deep := []string{"3030.00", "0.5"}
	for price := 3029; price > 3000; price-- {
		deep = append(deep, fmt.Sprintf("%d.00", price), "0.01")
	}
	bids(append(deep, "2990.00", "9")...)
	if _, e := f.get(t, "/api/v1/"+path); e.list("scenarios")[0]["final_price"] != "2990" {
		t.Errorf("a deep book: %v", e.Data)
	}
	// One long and one bid for each of 60 steps.
	var steps []string
	for i := range 60 {
		liquidatedAt(v, model.AccountID(200+i), "0.1", fmt.Sprint(2900-i))
		steps = append(steps, fmt.Sprintf("%d.00", 2899-i), "0.1")
	}
	v.desk.Step()
	bids(append([]string{"2900.00", "7.2"}, steps...)...)
	for query, want := range map[string]int{"": 50, "&max_steps=1": 1, "&max_steps=7": 7, "&max_steps=500": 61} {
		if _, e := f.get(t, "/api/v1/liquidation-heatmap/0/cascade?trigger_price=2901"+query); len(e.list("scenarios")[0]["steps"].([]any)) != want {
			t.Errorf("max_steps %q: %d steps, want %d", query, len(e.list("scenarios")[0]["steps"].([]any)), want)
		}
	}
}

// Checklist 102 and 103: every member of a row, by rank.
func TestTopAccountsExactly(t *testing.T) {
	f, _ := newAccountsFixture(t, testOptions{})
	owner := `"l1_address":"` + strings.ToLower(ownerText) + `"`
	f.exactly(t, "GET", "markets/0/top-accounts", "", `{"market_id":0,"symbol":"ETH","accounts":[`+
		`{"rank":1,"account_index":42,`+owner+`,"side":"long","position":"50.5000","position_value":"161600","avg_entry_price":"3024.66",`+
		`"liquidation_price":"2143.17301215","unrealized_pnl":"8854.670000","share_of_open_interest":"0.21466525"},`+
		`{"rank":2,"account_index":7,"l1_address":null,"side":"long","position":"10.0000","position_value":"32000","avg_entry_price":"3190.00",`+
		`"liquidation_price":null,"unrealized_pnl":"100.000000","share_of_open_interest":"0.04250797"},`+
		`{"rank":3,"account_index":99,"l1_address":null,"side":"short","position":"10.0000","position_value":"32000","avg_entry_price":"3190.00",`+
		`"liquidation_price":null,"unrealized_pnl":"-100.000000","share_of_open_interest":"0.04250797"},`+
		`{"rank":4,"account_index":281474976710654,`+owner+`,"side":"short","position":"1.0000","position_value":"3200","avg_entry_price":"3300.00",`+
		`"liquidation_price":"3592.23300971","unrealized_pnl":"100.000000","share_of_open_interest":"0.0042508"}],`+
		`"coverage":{"tracked_open_interest":"60.5000","market_open_interest":"235.25","ratio":"0.25717322"},"updated_at":1706745600000}`)
	f.exactly(t, "GET", "exchange/top-accounts?limit=2", "", `{"accounts":[{"rank":1,"account_index":42,`+owner+`,"total_notional":"247600",`+
		`"long_notional":"161600","short_notional":"86000","net_notional":"75600","unrealized_pnl":"12854.670000","collateral":"46342.000000",`+
		`"leverage":"5.3428855","position_count":2,"largest_market_id":0},{"rank":2,"account_index":7,"l1_address":null,"total_notional":"32000",`+
		`"long_notional":"32000","short_notional":"0","net_notional":"32000","unrealized_pnl":"100.000000","collateral":null,"leverage":null,`+
		`"position_count":1,"largest_market_id":0}],"tracked_accounts":5,"updated_at":1706745600000}`)
	for query, want := range map[string][]string{"": {"42", "7", "99", "281474976710654"}, "?sort=unrealized_pnl": {"42", "7", "281474976710654", "99"},
		"?sort=collateral": {"42", "281474976710654", "8"}} {
		if _, e := f.get(t, "/api/v1/exchange/top-accounts"+query); !slices.Equal(e.column("accounts", "account_index"), want) {
			t.Errorf("%q: %v", query, e.column("accounts", "account_index"))
		}
	}
}
