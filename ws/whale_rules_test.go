package ws

import (
	"encoding/json"
	"strings"
	"testing"

	"hyperlight/config"
	"hyperlight/engine/access"
	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// The threshold of a subscription that names none is its market's, and one that was asked for is the one that is shown,
// of books, trades and alerts alike. Whoever asked for more is told less.
func TestThresholds(t *testing.T) {
	h := serve(t, Options{Access: testAccess{}})
	h.s.SetWhales(7_000_000_000, map[model.MarketID]num.USD{0: 3_000_000_000})
	k := newMaker(h.s.Hub(), 0)
	var clients []*client
	for _, threshold := range []string{`,"whale_threshold":9000`, ``, `,"whale_threshold":1000`, `,"whale_threshold":"5000.5"`} {
		c := h.dial("/ws", growthKey)
		c.expect("authenticated")
		c.say(`{"type":"subscribe","channel":"alert/0"%s}`, threshold)
		c.expect("subscribed")
		clients = append(clients, c)
	}
	for i, usd := range []num.USD{999_999999, 1000_000000, 2999_999999, 3000_000000, 5000_499999, 5000_500000, 9000_000000} {
		k.event(&model.TradeBatch{Rows: []model.Trade{{ID: uint64(1 + i), USD: usd, Price: 1, Size: 1}}}, nil)
	}
	for i, want := range [][]uint64{{7}, {4, 5, 6, 7}, {2, 3, 4, 5, 6, 7}, {6, 7}} {
		for _, id := range want {
			if a := clients[i].expect("data").alert(t); *a.TradeID != id || a.Threshold != []string{"9000", "3000", "1000", "5000.5"}[i] {
				t.Errorf("subscription %d got %+v, want trade %d", i, a, id)
			}
		}
		clients[i].say(`{"type":"ping"}`)
		clients[i].expect("pong")
	}
	c := h.dial("/ws", growthKey)
	c.expect("authenticated")
	c.say(`{"type":"subscribe","channel":"alert/1"}`) // a market without a threshold of its own
	c.expect("subscribed")
	other := newMaker(h.s.Hub(), 1)
	for i, usd := range []num.USD{6999_999999, 7000_000000} {
		other.event(&model.TradeBatch{Rows: []model.Trade{{ID: uint64(1 + i), USD: usd, Price: 1, Size: 1}}}, nil)
	}
	if a := c.expect("data").alert(t); *a.TradeID != 2 || a.Threshold != "7000" {
		t.Errorf("got %+v", a)
	}
}

// Steps hold the orders of all their prices, on either side, and nothing of their neighbours'; without options there are 20
// levels, with a depth up to 250.
func TestEnrichedSteps(t *testing.T) {
	m := testMarketList[0]
	var sides [2][]model.Level
	owners := &model.Attribution{}
	for i := range 300 {
		for s, price := range []int{100_00 - i, 100_01 + i} {
			l := level(price, 1000+i)
			sides[s] = append(sides[s], l)
			owners.Levels[s] = append(owners.Levels[s], owned(l.Size, model.RestingOrder{Account: 7, ID: uint64(l.Price), Price: l.Price, Size: l.Size}))
		}
	}
	view := book.NewView(book.Meta{Seq: 9}, sides[0], sides[1])
	show := func(o options) string {
		return string(appendEnrichedBook(nil, &enrichedBook{view: view, owners: owners, market: m}, &o))
	}
	text := show(options{depth: 3, tick: num.Decimal{Mant: 5, Scale: 2}, threshold: defaultWhale, accounts: true})
	_, asks, _ := strings.Cut(text, `"asks":`)
	bids := strings.TrimSuffix(text, asks)
	for step, ids := range map[string][]string{`"price":"100.00"`: {"10000"}, `"price":"99.95"`: {"9999", "9998", "9997", "9996", "9995"}, `"price":"99.90"`: {"9994", "9993", "9992", "9991", "9990"}} {
		expectOrders(t, bids, step, ids)
	}
	for step, ids := range map[string][]string{`"price":"100.05"`: {"10001", "10002", "10003", "10004", "10005"}, `"price":"100.10"`: {"10006", "10007", "10008", "10009", "10010"}} {
		expectOrders(t, asks, step, ids)
	}
	h := serve(t, Options{})
	for raw, want := range map[string]int{`{}`: 20, `{"depth":1}`: 1, `{"depth":21}`: 21, `{"depth":250}`: 250} {
		var msg message
		if err := json.Unmarshal([]byte(raw), &msg); err != nil {
			t.Fatal(err)
		}
		o, err := h.s.hub.optionsOf(enrichedBookFamily, m, &msg, &access.Plan{Plan: config.Plan{Attribution: true}})
		if got := strings.Count(show(o), `"orders":[{`); err != nil || got != 2*want {
			t.Errorf("%s: %d levels, %v", raw, got, err)
		}
	}
}

// expectOrders checks which orders stand in a step.
func expectOrders(t *testing.T, side, step string, ids []string) {
	t.Helper()
	_, text, found := strings.Cut(side, step)
	text, _, _ = strings.Cut(text, `]}`)
	if !found || strings.Count(text, "order_id") != len(ids) {
		t.Errorf("%s: %s", step, text)
	}
	for _, id := range ids {
		if !strings.Contains(text, `"order_id":"`+id+`"`) {
			t.Errorf("%s lacks %s: %s", step, id, text)
		}
	}
}
