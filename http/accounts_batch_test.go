package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"hyperlight/config"
	"hyperlight/engine/fills"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// newAccountsFixture is a fixture whose table of accounts is its own.
func newAccountsFixture(t testing.TB, o testOptions) (*fixture, *venueAccounts) {
	v := newVenueAccounts(t, testMarkets())
	v.fill()
	edit := o.edit
	var f *fixture
	o.edit = func(s *Options) {
		s.Accounts = v.options(s.History.(*fakeHistory))
		if edit != nil {
			edit(s)
		}
	}
	f = newFixture(t, o)
	return f, v
}

func (f *fixture) batch(t tester, path, body string) (int, envelope) {
	t.Helper()
	r := f.send(t, "POST", "/api/v1/accounts/batch"+path, body)
	return r.Status, r.envelope(t)
}

// Checklist 43, 44, 46, 48 and 52: order, what an element holds, who is not there, duplicates.
func TestBatch(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	for range 3 { // from the row twice, then from a ready body
		status, e := f.batch(t, "", `{"accounts":[99, 42,3,42,8,7,3],"unknown":[{}]}`)
		if got := e.column("accounts", "account_index"); status != 200 || !slices.Equal(got, []string{"99", "42", "8", "7"}) {
			t.Fatalf("%d %v", status, got)
		}
		if got := fmt.Sprint(e.Data["not_found"], e.Data["errors"]); got != "[3] []" {
			t.Errorf("missing: %s", got)
		}
		a := e.list("accounts")[1]
		if a["collateral"] != "46342.000000" || a["source"] != "poll" || a["stale"] != false || fmt.Sprint(a["as_of"]) != "1706745599500" ||
			len(a["positions"].([]any)) != 2 || len(a["orders"].([]any)) != 1 || len(a["fills"].([]any)) != 10 {
			t.Errorf("account 42: %v", a)
		}
		if a := e.list("accounts")[0]; a["collateral"] != nil || a["source"] != "stream" || a["stale"] != true || a["l1_address"] != nil {
			t.Errorf("account 99: %v", a)
		}
		if a := e.list("accounts")[2]; a["collateral"] != "25.000000" || a["stale"] != true {
			t.Errorf("account 8: %v", a)
		}
	}
	// Whoever is stale is asked for, whoever is not, is not.
	if got := v.venue.asked; !slices.Contains(got, 8) || !slices.Contains(got, 99) || slices.Contains(got, 42) {
		t.Errorf("asked for %v", got)
	}
}

// Checklist 45: every account of an address, the master first; an address in any case, known or not.
func TestBatchByAddress(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	stranger := model.Address{9, 9}
	v.venue.accounts[77] = &model.Account{ID: 77, Index: 77, Address: stranger, Polled: testNow}
	nobody := "0x" + strings.Repeat("ab", 20)
	body := fmt.Sprintf(`{"by":"l1_address","accounts":["%s","0x%x","%s","%s"]}`, ownerText, stranger, strings.ToLower(ownerText), nobody)
	status, e := f.batch(t, "", body)
	if got := e.column("accounts", "account_index"); status != 200 || !slices.Equal(got, []string{"42", fmt.Sprint(subAccount), "77"}) {
		t.Fatalf("%d %v", status, e)
	}
	if got := fmt.Sprint(e.Data["not_found"]); got != "["+nobody+"]" {
		t.Errorf("not found %s", got)
	}
	// Each address once, the known one too: it may have got sub-accounts since.
	if len(v.venue.looked) != 3 {
		t.Errorf("looked up %x", v.venue.looked)
	}
	// Of an address that the venue could not be asked about nobody says that it has no account.
	if status, e = f.batch(t, "", fmt.Sprintf(`{"by":"l1_address","accounts":["0x%x","%s"]}`, unreachableAddress, ownerText)); status != 200 ||
		!slices.Equal(e.column("errors", "account"), []string{fmt.Sprintf("0x%x", unreachableAddress)}) || len(e.list("not_found")) != 0 {
		t.Errorf("an address out of reach: %d %v", status, e)
	}
	if status, e = f.batch(t, "", fmt.Sprintf(`{"by":"l1_address","accounts":["0x%x"]}`, unreachableAddress)); status != 502 {
		t.Errorf("only an address out of reach: %d %v", status, e)
	}
}

// Checklist 46 and 47: include and fills_limit; flat positions; orders only for whom attribution is meant.
func TestBatchParts(t *testing.T) {
	f, _ := newAccountsFixture(t, testOptions{})
	for include, want := range map[string][3]bool{`["positions"]`: {true, false, false}, `["orders"]`: {false, true, false}, `["fills","orders"]`: {false, true, true}} {
		for range 3 {
			_, e := f.batch(t, "", `{"accounts":[42],"include":`+include+`}`)
			for i, part := range []string{"positions", "orders", "fills"} {
				if _, there := e.list("accounts")[0][part]; there != want[i] {
					t.Errorf("include %s: %s is there: %v", include, part, there)
				}
			}
		}
	}
	for limit, want := range map[int]int{1: 1, 3: 3, 100: 10, 1000: 10} {
		_, e := f.batch(t, "", fmt.Sprintf(`{"accounts":[42],"fills_limit":%d}`, limit))
		rows := e.list("accounts")[0]["fills"].([]any)
		if len(rows) != want || rows[0].(map[string]any)["trade_id"] != json.Number("12345") {
			t.Errorf("fills_limit %d: %d fills", limit, len(rows))
		}
	}
	free, _ := newAccountsFixture(t, testOptions{plan: "free"})
	if _, e := free.batch(t, "", `{"accounts":[42]}`); len(e.list("accounts")[0]["orders"].([]any)) != 0 {
		t.Error("the free plan is shown whose an order is")
	}
}

// Checklist 49 and 50: the plan's limit holds for the raw list, in all four calls.
func TestBatchLimits(t *testing.T) {
	for i, plan := range config.DefaultPlans() {
		if most := []int{5, 200, 1000, 2500, 5000}[i]; plan.BatchAccounts != most {
			t.Errorf("%s allows %d accounts, want %d", plan.Slug, plan.BatchAccounts, most)
		}
		f := newFixture(t, testOptions{plan: plan.Slug})
		for _, path := range []string{"", "/fills", "/positions", "/liquidations"} {
			list := strings.Repeat("42,", plan.BatchAccounts)
			if status, e := f.batch(t, path, `{"accounts":[`+list[:len(list)-1]+`]}`); status != 200 || len(e.list("accounts")) != 1 {
				t.Errorf("%s%s: %d for as many as allowed: %v", plan.Slug, path, status, e.Data)
			}
			status, e := f.batch(t, path, `{"accounts":[`+list+`7]}`)
			want := fmt.Sprintf("map[limit:%d received:%d]", plan.BatchAccounts, plan.BatchAccounts+1)
			if status != 400 || e.Data["code"] != "batch_too_large" || fmt.Sprint(e.Data["details"]) != want {
				t.Errorf("%s%s: %d %v", plan.Slug, path, status, e.Data)
			}
		}
	}
}

// Checklist 51: what a batch call refuses, and the member that it names.
func TestBatchRefusals(t *testing.T) {
	f := newFixture(t, testOptions{})
	for body, field := range map[string]string{
		``: "accounts", `{}`: "accounts", `{"accounts":[]}`: "accounts", `{"accounts":null}`: "accounts", `{"accounts":{}}`: "accounts", `{"accounts":[-1]}`: "accounts",
		`{"accounts":[1.5]}`: "accounts", `{"accounts":[1e3]}`: "accounts", `{"accounts":["1"]}`: "accounts", `{"accounts":[[1]]}`: "accounts",
		`{"accounts":[1,null]}`: "accounts", `{"accounts":[99999999999999999999]}`: "accounts", `{"accounts":[72057594037927936]}`: "accounts",
		`{"accounts":["0x1"],"by":"l1_address"}`: "accounts", `{"accounts":[1],"by":"l1_address"}`: "accounts",
		`{"accounts":["` + ownerText + `0"],"by":"l1_address"}`: "accounts", `{"accounts":["` + ownerText + `00"],"by":"l1_address"}`: "accounts",
		`{"accounts":["` + ownerText[:40] + `"],"by":"l1_address"}`: "accounts", `{"accounts":["` + ownerText[:41] + `g"],"by":"l1_address"}`: "accounts",
		`{"accounts":[1],"by":"name"}`: "by", `{"accounts":[1],"by":1}`: "by", `{"accounts":[1],"include":[]}`: "include", `{"accounts":[1],"include":["x"]}`: "include",
		`{"accounts":[1],"include":["orders","x"]}`: "include", `{"accounts":[1],"fills_limit":0}`: "fills_limit", `{"accounts":[1],"fills_limit":1.5}`: "fills_limit",
		`{"accounts":[1],"active_only":1}`: "active_only",
		`{"accounts":[1,]}`:                "accounts", `{"accounts":[,1]}`: "accounts", `{"accounts":[1 2]}`: "accounts", `{"accounts":[01]}`: "accounts",
		`{"accounts":[1],"accounts":[2]}`: "", `{"accounts":[1]`: "", `[1]`: "", `{"accounts":[1]}x`: "", `{"accounts":[1],"x":{"a":1,"a":2}}`: "", "{\"accounts\":[1],\"\xff\":1}": "",
	} {
		status, e := f.batch(t, "", body)
		details, _ := e.Data["details"].(map[string]any)
		if status != 400 || e.Data["code"] != "bad_request" || field != "" && details["field"] != field {
			t.Errorf("%s: %d %v, want %s", body, status, e.Data, field)
		}
	}
	for body, field := range map[string]string{
		`"side":"long"`: "side", `"role":"x"`: "role", `"type":"x"`: "type", `"limit":0`: "limit", `"order":"up"`: "order", `"market_id":"0"`: "market_id",
		`"start":"x"`: "start", `"start":1706745600000,"end":1706745600000`: "start",
	} {
		status, e := f.batch(t, "/fills", `{"accounts":[42],`+body+`}`)
		if details, _ := e.Data["details"].(map[string]any); status != 400 || details["field"] != field {
			t.Errorf("%s: %d %v", body, status, e.Data)
		}
	}
	if status, e := f.batch(t, "/fills", `{"accounts":[42],"market_id":9}`); status != 404 || e.Data["code"] != "not_found" {
		t.Errorf("no such market: %d %v", status, e.Data)
	}
}

// Checklist 53: a thousand accounts in one call; those never seen are waited for, and the call fails only where all do.
func TestBatchOfThousand(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	var want []string
	list := []byte("[4,")
	for id := model.AccountID(1000); id < 2000; id++ {
		a := &model.Account{ID: id, Index: int64(id), Polled: testNow, Collateral: num.USD(id)}
		if id%3 == 0 {
			v.venue.accounts[id] = a
		} else {
			v.tracker.Polled(a)
		}
		list = fmt.Appendf(list, "%d,", id)
		want = append(want, fmt.Sprint(id))
	}
	status, e := f.batch(t, "", `{"accounts":`+string(list)+`5]}`)
	if got := e.column("accounts", "account_index"); status != 200 || !slices.Equal(got, want) {
		t.Fatalf("%d, %d accounts", status, len(got))
	}
	errs := e.list("errors")
	if len(errs) != 1 || fmt.Sprint(errs[0]) != "map[account:4 code:upstream_error message:account could not be refreshed in time]" || fmt.Sprint(e.Data["not_found"]) != "[5]" {
		t.Errorf("errors %v, not found %v", errs, e.Data["not_found"])
	}
	for _, path := range []string{"", "/fills", "/positions", "/liquidations"} {
		if status, e := f.batch(t, path, `{"accounts":[4]}`); status != 502 || e.Data["code"] != "upstream_error" {
			t.Errorf("%s: nobody reached: %d %v", path, status, e.Data)
		}
		if status, _ := f.batch(t, path, `{"accounts":[4,5]}`); status != 200 {
			t.Errorf("%s: one is not there: %d", path, status)
		}
	}
}

// Checklist 54: filters of fills, and totals; 56: forced closes.
func TestBatchOfRecord(t *testing.T) {
	f := newFixture(t, testOptions{})
	for _, body := range []string{``, `,"market_id":1`, `,"side":"buy"`, `,"side":"sell","role":"maker"`, `,"role":"taker"`, `,"type":"trade"`, `,"type":"all"`,
		`,"type":"deleverage","start":1706486400000`, `,"start":1706745500000`, `,"end":1706745500000`} {
		for _, page := range []string{``, `,"limit":2`, `,"limit":2,"order":"asc"`} {
			status, e := f.batch(t, "/fills", `{"accounts":[42,99]`+body+page+`}`)
			naive := naiveFills(f, body)
			for i, a := range e.list("accounts") {
				want := naive[i]
				if strings.Contains(page, "asc") {
					slices.Reverse(want)
				}
				total := len(want)
				if page != "" {
					want = want[:min(2, len(want))]
				}
				var got []string
				for _, f := range a["fills"].([]any) {
					got = append(got, fmt.Sprint(f.(map[string]any)["trade_id"]))
				}
				if status != 200 || !slices.Equal(got, want) || fmt.Sprint(a["total"]) != fmt.Sprint(total) {
					t.Errorf("%s%s: account %v: %v of %v, want %v of %d", body, page, a["account_index"], got, a["total"], want, total)
				}
			}
		}
	}
	status, e := f.batch(t, "/liquidations", `{"accounts":[99,42,7],"start":1706486400000}`)
	var rows []string
	for _, a := range e.list("accounts") {
		for _, l := range a["liquidations"].([]any) {
			rows = append(rows, fmt.Sprint(a["account_index"], " ", l.(map[string]any)["liquidation_id"], " ", l.(map[string]any)["side"]))
		}
		rows = append(rows, fmt.Sprint("total ", a["total"]))
	}
	if want := []string{"99 0-1000 long", "99 0-900 long", "total 2", "total 0", "7 1-1001 short", "total 1"}; status != 200 || !slices.Equal(rows, want) {
		t.Errorf("%d %v", status, rows)
	}
	f.history.building = true
	if _, e := f.batch(t, "/liquidations", `{"accounts":[99],"start":1706745590000}`); e.Data["coverage"].(map[string]any)["complete"] != false {
		t.Error("coverage is complete while fills are still being found")
	}
}

// naiveFills lists the trades of 42 and 99 that a body's members take, newest first, straight from the trades.
func naiveFills(f *fixture, members string) (lists [2][]string) {
	var body map[string]any
	if err := json.Unmarshal([]byte(`{"x":0`+members+`}`), &body); err != nil {
		panic(err)
	}
	number := func(name string, otherwise float64) float64 {
		if v, ok := body[name].(float64); ok {
			return v
		}
		return otherwise
	}
	all := slices.Concat(f.history.trades, f.history.forced)
	slices.SortFunc(all, compareTrades)
	slices.Reverse(all)
	end := number("end", float64(testNow))
	for _, t := range all {
		taker, maker, does, counter := t.AskAccount, t.BidAccount, "sell", "buy"
		if t.TakerBuys() {
			taker, maker, does, counter = maker, taker, counter, does
		}
		for i, id := range []model.AccountID{42, 99} {
			role, side := "taker", does
			if id == maker {
				role, side = "maker", counter
			} else if id != taker {
				continue
			}
			is := func(name, have string) bool { return body[name] == nil || body[name] == "all" || body[name] == have }
			if at := float64(t.Time); is("role", role) && is("side", side) && is("type", t.Kind.String()) &&
				number("market_id", float64(t.Market)) == float64(t.Market) && at < end && at >= number("start", end-float64(day)) {
				lists[i] = append(lists[i], fmt.Sprint(t.ID))
			}
		}
	}
	return lists
}

// Checklist 55: the summary is what the positions add up to.
func TestBatchPositions(t *testing.T) {
	f := newFixture(t, testOptions{})
	status, e := f.batch(t, "/positions", fmt.Sprintf(`{"accounts":[42,99,7,%d,3]}`, subAccount))
	if got := e.column("accounts", "account_index"); status != 200 || len(got) != 4 || fmt.Sprint(e.Data["not_found"]) != "[3]" {
		t.Fatalf("%d %v", status, e.Data)
	}
	want := []string{
		"map[accounts:4 gross_notional:228800 long_notional:193600 long_size:60.5000 market_id:0 net_notional:158400 net_size:49.5000 short_notional:35200 short_size:11.0000 symbol:ETH]",
		"map[accounts:1 gross_notional:86000 long_notional:0 long_size:0.0000 market_id:1 net_notional:-86000 net_size:-2.0000 short_notional:86000 short_size:2.0000 symbol:BTC]",
	}
	for i, s := range e.list("summary") {
		if fmt.Sprint(s) != want[i] {
			t.Errorf("summary %v\nwant %s", s, want[i])
		}
	}
	_, e = f.batch(t, "/positions", `{"accounts":[42],"market_id":1,"active_only":false}`)
	if got := e.list("summary"); len(got) != 1 || got[0]["symbol"] != "BTC" || len(e.list("accounts")[0]["positions"].([]any)) != 1 {
		t.Errorf("one market: %v", e.Data)
	}
}

// changingOrders are the resting orders of accounts.
type changingOrders map[model.AccountID][]model.OpenOrder

func (o changingOrders) AppendOrders(dst []model.OpenOrder, id model.AccountID) []model.OpenOrder {
	return append(dst, o[id]...)
}

// one returns what a batch writes of one account up to where it stands.
func (b *batch) one(d *accountDesk, id model.AccountID, m *marks, parts *elementParts) (text []byte, stood standing, known bool) {
	b.look(d, []model.AccountID{id}, m, parts)
	text, stood, whole, known := b.appendKnown(d, nil, 0, id, m, parts)
	if known && !whole {
		text = appendStood(text, &stood)
	}
	return text, stood, known
}

// A batch answers from ready bodies exactly as from rows, whatever trades, polls, orders and marks do in between.
func TestReadyBodiesEqualRows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := newVenueAccounts(t, testMarkets())
		orders := changingOrders{}
		d := newAccountDesk(AccountOptions{Accounts: v.tracker, Orders: orders, Stats: v.stats, ReadyBodies: rapid.Int64Range(1, 200_000).Draw(rt, "budget")})
		plain := newAccountDesk(AccountOptions{Accounts: v.tracker, Orders: orders, Stats: v.stats})
		markets := testMarkets()
		whales := &whaleRules{notional: defaultWhale}
		number := uint64(1)
		for i := range rapid.IntRange(10, 120).Draw(rt, "steps") {
			id := model.AccountID(rapid.IntRange(0, 5).Draw(rt, "account"))
			switch rapid.IntRange(0, 10).Draw(rt, "step") {
			case 0:
				row := trade(uint64(i+1), testNow, "3100.00", "1", rapid.Bool().Draw(rt, "buys"))
				row.AskAccount, row.BidAccount = id, id+1
				v.tracker.Trade(0, &row, false)
			case 1:
				v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Polled: model.Millis(i + 1), Collateral: num.USD(i),
					Positions: []model.Position{openPosition(0, "0", "0", 500), openPosition(1, fmt.Sprint(i%3-1), "100", 500)}})
			case 2:
				v.setMark(0, fmt.Sprintf("%d.5", 3000+i))
				number++
			case 3: // isolated, with the venue's own price or without; of a market that may not be known
				p := openPosition(0, fmt.Sprint(i%5-2), "3100", 1000)
				p.Isolated, p.Allocated, p.Liquidation = true, usd("400"), num.Decimal{Mant: int64(i % 2 * 3_592_233_009_708_738), Scale: 12}
				v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Polled: model.Millis(i + 1), Collateral: usd("900"),
					Positions: []model.Position{p, openPosition(1, "0.5", "20000", 500), openPosition(7, "1", "5", 500)}})
			case 4: // a market comes, is told anew, or goes
				markets = testMarkets()
				if i%3 == 0 {
					markets = append(markets, newMarket(7, fmt.Sprint("NEW", i), 2, 4))
				}
				number++
			case 5: // of a market that may not be known
				list := make([]model.OpenOrder, rapid.IntRange(0, 3).Draw(rt, "orders"))
				for k := range list {
					list[k] = model.OpenOrder{Market: model.MarketID([]int{0, 1, 7}[rapid.IntRange(0, 2).Draw(rt, "market")]), At: model.Millis(i),
						RestingOrder: model.RestingOrder{Account: id, ID: uint64(k), Price: num.Price(i), Size: num.Size(1 + k)}}
				}
				orders[id] = list
			case 6:
				whales = &whaleRules{notional: num.USD(i)}
			}
			m := d.makeMarks(markets, testNow)
			m.number = number
			parts := elementParts{positions: rapid.Bool().Draw(rt, "positions"), orders: rapid.Bool().Draw(rt, "with orders"), last: rapid.Bool().Draw(rt, "last"), whales: whales}
			parts.owned = parts.orders && rapid.IntRange(0, 3).Draw(rt, "anonymous") > 0
			b, p := &batch{activeOnly: i%2 == 0}, &batch{activeOnly: i%2 == 0}
			got, gotStood, ok := b.one(d, id, m, &parts)
			want, wantStood, wantOK := p.one(plain, id, m, &parts)
			if !bytes.Equal(got, want) || gotStood != wantStood || ok != wantOK {
				rt.Fatalf("step %d, account %d: got\n%s\nwant\n%s", i, id, got, want)
			}
		}
		for i := range d.ready.shards {
			if s := &d.ready.shards[i]; s.bytes > d.ready.budget+4096 || len(s.ring) != len(s.entries) {
				rt.Fatalf("%d bytes of %d, %d entries in a ring of %d", s.bytes, d.ready.budget, len(s.entries), len(s.ring))
			}
		}
	})
}

// What is cut out of a body reads as the whole body does: the same accounts, or refused both times.
func FuzzBatchBody(f *testing.F) {
	for _, body := range []string{
		`{"accounts":[1,2,3]}`, `{"by":"l1_address","accounts":["` + ownerText + `"]}`, `{"x":"\"accounts\":[1]","accounts":[2]}`, `{"accounts":[1],"accounts":[2]}`,
		`{"a":{"accounts":[1]},"accounts":[7]}`, `{"accounts":[1,"2"]}`, `{ "accounts" : [ 1 , 2 ] , "by":"index"}`, `{"\u0061ccounts":[5]}`, `{"accounts":[1.0]}`,
		`{"accounts":["0x7\u0030"],"by":"l1_address"}`, `["accounts":[1]`, `{"accounts":[1]]}`, `{"accounts":[01]}`, `{"accounts":[,]}`, `{"x":"accounts","accounts":[3]}`,
	} {
		f.Add([]byte(body))
	}
	s := newFixture(f, testOptions{}).Server
	f.Fuzz(func(t *testing.T, body []byte) {
		c := s.calls.New().(*call)
		c.ctx = &fasthttp.RequestCtx{}
		c.ctx.Request.SetBody(body)
		var w wanted
		o := c.batch(&w, 5000)
		by, ids, addresses, ok := naiveBatch(body)
		if (o.err == nil) != ok {
			t.Fatalf("%q: %v, a plain reader says %v", body, o.err, ok)
		}
		if ok && (w.byAddress != (by == "l1_address") || !w.byAddress && !slices.Equal(w.ids, ids) || w.byAddress && !slices.Equal(w.addresses, addresses)) {
			t.Fatalf("%q: read as %v %x, want %v %x", body, w.ids, w.addresses, ids, addresses)
		}
	})
}

// naiveBatch reads a body with the standard library alone.
func naiveBatch(body []byte) (by string, ids []model.AccountID, addresses []model.Address, ok bool) {
	if !utf8.Valid(body) || !json.Valid(body) || checkJSON(body) != nil {
		return "", nil, nil, false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return "", nil, nil, false
	}
	if raw := members["by"]; raw != nil && string(raw) != "null" && json.Unmarshal(raw, &by) != nil || by != "" && by != "index" && by != "l1_address" ||
		string(members["by"]) == `""` {
		return "", nil, nil, false
	}
	var list []json.RawMessage
	if json.Unmarshal(members["accounts"], &list) != nil || len(list) == 0 || len(list) > 5000 {
		return "", nil, nil, false
	}
	for _, raw := range list {
		if by == "l1_address" {
			var text string
			a, good := model.Address{}, json.Unmarshal(raw, &text) == nil && raw[0] == '"'
			if good {
				a, good = parseAddress([]byte(text))
			}
			if !good {
				return "", nil, nil, false
			}
			if !slices.Contains(addresses, a) {
				addresses = append(addresses, a)
			}
			continue
		}
		var n uint64
		if json.Unmarshal(raw, &n) != nil || raw[0] == 'n' || n > maxIndex {
			return "", nil, nil, false
		}
		if id := model.AccountID(n); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return by, ids, addresses, true
}

// Checklist 26: what a batch costs does not depend on how many accounts are in it.
func TestBatchCredits(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "starter")
	used := 0
	for path, cost := range map[string]int{"": 25, "/fills": 50, "/positions": 25, "/liquidations": 50} {
		for _, list := range []string{"42", "42" + strings.Repeat(",7", 199)} {
			r := a.send(t, "POST", "/api/v1/accounts/batch"+path, `{"accounts":[`+list+`]}`, "X-Api-Key", key)
			used += cost
			if r.Status != 200 || r.Header["X-Credits-Cost"] != fmt.Sprint(cost) || r.Header["X-Credits-Used"] != fmt.Sprint(used) {
				t.Errorf("%s of %d letters: %d %v", path, len(list), r.Status, r.Header)
			}
		}
	}
}

// Checklist 46: a batch whose fills do not all fit into memory at once answers every one of them all the same.
func TestBatchBeyondFillsBudget(t *testing.T) {
	var small *fills.Fills
	roomy, _ := newAccountsFixture(t, testOptions{})
	tight, _ := newAccountsFixture(t, testOptions{edit: func(o *Options) {
		now := func() time.Time { return time.UnixMilli(int64(testNow)) }
		small = fills.New(fills.Options{Reader: o.History.(*fakeHistory), Budget: 2000, Now: now})
		o.Accounts.Fills = small
	}})
	const body = `{"accounts":[42,99,8,7],"include":["fills"]}`
	_, want := roomy.batch(t, "", body)
	for range 3 {
		status, got := tight.batch(t, "", body)
		if status != 200 || !reflect.DeepEqual(got.Data, want.Data) {
			t.Fatalf("%d\n got %v\nwant %v", status, got.Data, want.Data)
		}
	}
	if bytes, _ := small.Bytes(); bytes > 2000 {
		t.Errorf("%d bytes are held", bytes)
	}
}

// Where no fills are kept in memory every call reads them from the record: the same answers, those of an account that is
// unknown at first as well.
func TestBatchWithoutRecentFills(t *testing.T) {
	f, _ := newAccountsFixture(t, testOptions{})
	bare, v := newAccountsFixture(t, testOptions{edit: func(o *Options) { o.Accounts.Fills = nil }})
	for _, body := range []string{`{"accounts":[99,42,3,8,7]}`, `{"accounts":[7,42],"include":["fills"],"fills_limit":3}`, `{"accounts":[42],"include":["orders"]}`} {
		_, want := f.batch(t, "", body)
		status, got := bare.batch(t, "", body)
		if status != 200 || !reflect.DeepEqual(got.Data, want.Data) {
			t.Errorf("%s: %d %v\nwant %v", body, status, got.Data, want.Data)
		}
	}
	v.venue.accounts[5] = &model.Account{ID: 5, Index: 5, Polled: testNow}
	bare.history.mu.Lock()
	cold := trade(99_999, testNow-1000, "3190.00", "10", false)
	cold.AskAccount, cold.BidAccount = 5, 6
	bare.history.trades = append(bare.history.trades, history.MarketTrade{Trade: &cold})
	bare.history.mu.Unlock()
	if _, e := bare.batch(t, "", `{"accounts":[42,5]}`); len(e.list("accounts")) != 2 || len(e.list("accounts")[1]["fills"].([]any)) != 1 {
		t.Errorf("an account that came: %v", e.Data)
	}
	bare.history.err = history.ErrNoData
	if status, _ := bare.batch(t, "", `{"accounts":[42]}`); status == 200 {
		t.Error("fills that cannot be read were left out")
	}
}

// While the venue does not answer for an unknown account, batches of known ones answer, the accounts of the batch that
// waits as well, and so do all calls about one; then the batch that waited has everything.
func TestColdAccountsDoNotBlockWarmOnes(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	v.venue.hangs, v.venue.reached, v.venue.answer = 5, make(chan struct{}, 1), make(chan struct{})
	v.venue.accounts[5] = &model.Account{ID: 5, Index: 5, Polled: testNow}
	type answer struct {
		status int
		e      envelope
	}
	waited := make(chan answer, 1)
	go func() {
		status, e := f.batch(t, "", `{"accounts":[42,5,99]}`)
		waited <- answer{status, e}
	}()
	<-v.venue.reached
	for range 3 { // from rows, and from ready bodies
		for _, path := range []string{"", "/positions", "/fills"} {
			if status, e := f.batch(t, path, `{"accounts":[42,99,8]}`); status != 200 || len(e.list("accounts")) != 3 {
				t.Errorf("%s: %d %v", path, status, e.Data)
			}
		}
	}
	for _, path := range []string{"positions", "fills"} {
		if status, _ := f.get(t, "/api/v1/accounts/42/"+path); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	select {
	case a := <-waited:
		t.Fatalf("the venue did not answer yet: %d %v", a.status, a.e.Data)
	default:
	}
	close(v.venue.answer)
	if a := <-waited; a.status != 200 || !slices.Equal(a.e.column("accounts", "account_index"), []string{"42", "5", "99"}) {
		t.Errorf("%d %v", a.status, a.e.Data)
	}
}
