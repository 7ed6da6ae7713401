package http

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hyperlight/engine/model"
)

// manyFills gives account 5 so many fills, one each 100 ms, the newest of which has the number of them as its id.
func (f *fixture) manyFills(v *venueAccounts, n int) {
	v.tracker.Polled(&model.Account{ID: 5, Index: 5, Polled: testNow})
	for i := range n {
		row := trade(uint64(n-i), testNow-model.Millis(100*i)-100, "3190.00", "1", i%2 == 0)
		row.AskAccount, row.BidAccount = 5, 6
		f.history.add(0, row)
	}
}

// Checklist 47, 54 and 58: how many fills come where the caller does not say, and at most; the newest ones, newest first.
func TestFillLimits(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	const all = 1100
	f.manyFills(v, all)
	check := func(name string, rows []any, want int, total any) {
		t.Helper()
		if len(rows) != want || total != nil && fmt.Sprint(total) != fmt.Sprint(all) {
			t.Fatalf("%s: %d fills of %v, want %d", name, len(rows), total, want)
		}
		for i, row := range rows {
			if got := fmt.Sprint(row.(map[string]any)["trade_id"]); got != fmt.Sprint(all-i) {
				t.Fatalf("%s: fill %d is %s", name, i, got)
			}
		}
	}
	for limit, want := range map[string]int{``: 20, `,"fills_limit":1`: 1, `,"fills_limit":19`: 19, `,"fills_limit":21`: 21, `,"fills_limit":100`: 100, `,"fills_limit":101`: 100} {
		_, e := f.batch(t, "", `{"accounts":[5]`+limit+`}`)
		check(limit, e.list("accounts")[0]["fills"].([]any), want, nil)
	}
	for limit, want := range map[string]int{``: 50, `,"limit":3`: 3, `,"limit":500`: 500, `,"limit":501`: 500} {
		_, e := f.batch(t, "/fills", `{"accounts":[5]`+limit+`}`)
		check(limit, e.list("accounts")[0]["fills"].([]any), want, e.list("accounts")[0]["total"])
	}
	for limit, want := range map[string]int{``: 50, `?limit=3`: 3, `?limit=1000`: 1000, `?limit=1001`: 1000} {
		_, e := f.get(t, "/api/v1/accounts/5/fills"+limit)
		rows, _ := e.Data["fills"].([]any)
		check(limit, rows, want, *e.Meta.Total)
	}
	_, e := f.get(t, "/api/v1/accounts/5/fills?limit=2&offset=7")
	if got := e.column("fills", "trade_id"); !slices.Equal(got, []string{"1093", "1092"}) || fmt.Sprint(*e.Meta.Total) != fmt.Sprint(all) {
		t.Errorf("from an offset: %v of %s", got, e.Meta.Total.String())
	}
}

// Checklist 58: one trade from both sides. Each account has its own side, role, fee, order and counterparty.
func TestFillsExactly(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	v.tracker.Polled(&model.Account{ID: 5, Index: 5, Polled: testNow})
	v.tracker.Polled(&model.Account{ID: 6, Index: 6, Polled: testNow})
	row := trade(777, testNow-1000, "3200.00", "2", true) // the ask made
	row.AskAccount, row.BidAccount, row.AskOrder, row.BidOrder, row.MakerFee, row.TakerFee = 5, 6, 51, 61, -20, 280
	f.history.add(0, row)
	row.ID, row.MakerAsk, row.Time = 778, false, testNow-500
	f.history.add(0, row)
	fill := func(id int, side, role, fee, order string, other int, at model.Millis) string {
		return fmt.Sprintf(`{"trade_id":%d,"market_id":0,"symbol":"ETH","type":"trade","side":"%s","role":"%s","price":"3200.00","size":"2.0000",`+
			`"usd_amount":"6400.000000","fee":"%s","order_id":"%s","counterparty_account_index":%d,`, id, side, role, fee, order, other)
	}
	for account, want := range map[int][]string{
		5: {fill(778, "sell", "taker", "1.792", "51", 6, 0), fill(777, "sell", "maker", "-0.128", "51", 6, 0)},
		6: {fill(778, "buy", "maker", "-0.128", "61", 5, 0), fill(777, "buy", "taker", "1.792", "61", 5, 0)},
	} {
		single := f.do(t, "GET", fmt.Sprintf("/api/v1/accounts/%d/fills", account))
		for _, r := range []reply{single, f.send(t, "POST", "/api/v1/accounts/batch/fills", fmt.Sprintf(`{"accounts":[%d]}`, account)),
			f.send(t, "POST", "/api/v1/accounts/batch", fmt.Sprintf(`{"accounts":[%d]}`, account))} {
			body := string(r.Body)
			if first, second := strings.Index(body, want[0]), strings.Index(body, want[1]); first < 0 || second < first || strings.Count(body, `"trade_id"`) != 2 {
				t.Errorf("account %d: %s\nwant %v", account, body, want)
			}
		}
	}
}

// Checklist 56: what a forced close says, and the filter by its type.
func TestForcedClosesExactly(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	v.tracker.Polled(&model.Account{ID: 5, Index: 5, Polled: testNow})
	row := trade(777, testNow-1000, "3200.00", "2", false) // the taker sold: a long was closed
	row.AskAccount, row.BidAccount, row.Kind = 5, 6, model.KindLiquidation
	f.history.add(0, row)
	row.ID, row.Time, row.MakerAsk, row.Kind, row.AskAccount, row.BidAccount = 778, testNow-900, true, model.KindDeleverage, 7, 5
	f.history.add(0, row)
	row.ID, row.MakerAsk, row.Kind = 779, false, model.KindLiquidation // that of 7: account 5 took it over
	f.history.add(0, row)
	closed := func(id int, kind, side string, other int, at model.Millis) string {
		return fmt.Sprintf(`{"liquidation_id":"0-%d","trade_id":%d,"market_id":0,"symbol":"ETH","type":"%s","account_index":5,"side":"%s","price":"3200.00",`+
			`"size":"2.0000","usd_amount":"6400.000000","counterparty_account_index":%d,"timestamp":%d,`, id, id, kind, side, other, at)
	}
	long, short := closed(777, "liquidation", "long", 6, testNow-1000), closed(778, "deleverage", "short", 7, testNow-900)
	for body, want := range map[string][]string{``: {short, long}, `,"order":"asc"`: {long, short}, `,"type":"liquidation"`: {long}, `,"type":"deleverage"`: {short}, `,"limit":1`: {short}} {
		r := f.send(t, "POST", "/api/v1/accounts/batch/liquidations", `{"accounts":[5]`+body+`}`)
		text := string(r.Body)
		at := 0
		for _, w := range want {
			i := strings.Index(text[at:], w)
			if i < 0 {
				t.Fatalf("%s: %s\nwant %s", body, text, w)
			}
			at += i
		}
		total := len(want)
		if strings.Contains(body, "limit") {
			total = 2
		}
		if strings.Count(text, "liquidation_id") != len(want) || !strings.Contains(text, fmt.Sprintf(`"total":%d`, total)) {
			t.Errorf("%s: %s", body, text)
		}
	}
}

// Checklist 58: market_id narrows the fills of an account, their number and the walk through them.
func TestFillsOfMarket(t *testing.T) {
	f, v := newAccountsFixture(t, testOptions{})
	v.tracker.Polled(&model.Account{ID: 5, Index: 5, Polled: testNow})
	for i := range 6 {
		row := trade(uint64(700+i), testNow-1000+model.Millis(i), "3200.00", "1", false)
		row.AskAccount, row.BidAccount = 5, 6
		f.history.add(model.MarketID(i%2), row)
	}
	for query, want := range map[string][]string{"limit=2": {"705", "704", "703", "702", "701", "700"}, "limit=2&market_id=0": {"704", "702", "700"},
		"limit=2&market_id=1": {"705", "703", "701"}, "limit=2&market_id=1&order=asc": {"701", "703", "705"}} {
		var walked []string
		for path := "/api/v1/accounts/5/fills?" + query; path != ""; {
			status, e := f.get(t, path)
			if status != 200 || fmt.Sprint(*e.Meta.Total) != fmt.Sprint(len(want)) {
				t.Fatalf("%s: %d, total %v of %d: %v", path, status, e.Meta.Total, len(want), e.Data)
			}
			walked = append(walked, e.column("fills", "trade_id")...)
			if path = ""; e.Meta.NextCursor != "" {
				path = "/api/v1/accounts/5/fills?" + query + "&cursor=" + e.Meta.NextCursor
			}
		}
		if !slices.Equal(walked, want) {
			t.Errorf("%s: %v, want %v", query, walked, want)
		}
	}
	_, e := f.get(t, "/api/v1/accounts/5/fills?limit=2&market_id=0")
	if status, e := f.get(t, "/api/v1/accounts/5/fills?limit=2&market_id=1&cursor="+e.Meta.NextCursor); status != 400 {
		t.Errorf("a cursor of another market: %d %v", status, e.Data)
	}
}
