package http

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// fakeBookOwners stands for the engine.
type fakeBookOwners struct {
	mu      sync.Mutex
	reading *model.Attribution
	asked   int
}

func (o *fakeBookOwners) Attribution(m model.MarketID) *model.Attribution {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m != 0 {
		return nil
	}
	return o.reading
}

func (o *fakeBookOwners) Asked(model.MarketID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
}

// Checklist 67, 68: owners of known orders, for whoever may see them; the whale flag is that of the orders where some are
// known, and of the level where none is.
func TestBookOwners(t *testing.T) {
	owners := &fakeBookOwners{reading: &model.Attribution{At: testNow - 1000, Levels: [2][]*model.OwnedLevel{
		model.Bid: {
			{Price: 320000, Size: 1, Orders: []model.RestingOrder{{Account: 9, ID: 9, Price: 320000, Size: 1}}}, // gone since
			{Price: 319950, Size: 455000, Rest: 55000, State: model.OwnersPartial, Orders: []model.RestingOrder{
				{Account: 42, ID: 281476000000002, Price: 319950, Size: 300000}, {Account: 43, ID: 3, Price: 319950, Size: 100000}}},
			{Price: 319800, Size: 12501, Orders: []model.RestingOrder{{Account: 44, ID: 4, Price: 319800, Size: 12501}}}, // another size by now
		},
		model.Ask: {{Price: 320125, Size: 20000, Orders: []model.RestingOrder{{Account: 42, ID: 5, Price: 320125, Size: 20000}}}},
	}}}
	edit := func(o *Options) { o.Owners = owners }
	starter, free := newFixture(t, testOptions{plan: "starter", edit: edit}), newFixture(t, testOptions{plan: "free", edit: edit})
	_, e := free.get(t, "/api/v1/orderbook/0")
	if owners.asked != 0 {
		t.Error("who may not see owners has them fetched")
	}
	best := e.list("bids")[0]
	if _, has := best["orders"]; has || best["whale"] != false || e.Data["attribution_at"] != nil {
		t.Errorf("free: %v", e.Data)
	}
	_, e = starter.get(t, "/api/v1/orderbook/0")
	if owners.asked == 0 {
		t.Error("nobody asked for owners")
	}
	if got := fmt.Sprint(e.Data["attribution_at"]); got != fmt.Sprint(testNow-1000) {
		t.Errorf("as of %s", got)
	}
	// 95,985 and 31,995 USD: the level is worth more than 100,000, but no order is.
	want := `[[{"account":42,"order_id":"281476000000002","side":"bid","size":"30.0000","whale":false},{"account":43,"order_id":"3","side":"bid","size":"10.0000","whale":false}] [] []]`
	if got := fmt.Sprint(e.column("bids", "orders")); got != want {
		t.Errorf("bids\ngot  %s\nwant %s", got, want)
	}
	if got := fmt.Sprint(e.column("asks", "orders")); got != `[[] [{"account":42,"order_id":"5","side":"ask","size":"2.0000","whale":false}] []]` {
		t.Errorf("asks %s", got)
	}
	// What is known changes while the book does not; so may the threshold.
	owners.mu.Lock()
	owners.reading = nil
	owners.mu.Unlock()
	_, e = starter.get(t, "/api/v1/orderbook/0")
	if got := fmt.Sprint(e.column("bids", "orders"), e.column("bids", "whale")); got != "[[] [] []] [true false false]" || e.Data["attribution_at"] != nil {
		t.Errorf("got %s", got)
	}
	starter.SetWhales(1_000_000_000_000, map[model.MarketID]num.USD{1: 1})
	_, e = starter.get(t, "/api/v1/orderbook/0")
	if got := fmt.Sprint(e.column("bids", "whale")); got != "[false false false]" {
		t.Errorf("after the threshold changed: %s", got)
	}
}

// Checklist 67: callers of two plans ask one server in turns, and neither gets what was encoded for the other.
func TestBookOwnersByPlan(t *testing.T) {
	owners := &fakeBookOwners{reading: &model.Attribution{At: testNow - 1000, Levels: [2][]*model.OwnedLevel{model.Bid: {
		{Price: 319950, Size: 455000, Orders: []model.RestingOrder{{Account: 42, ID: 2, Price: 319950, Size: 455000}}}}}}}
	a := newAccounts(t, accountsOptions{testOptions: testOptions{edit: func(o *Options) { o.Owners = owners }}})
	_, free := a.user(t, "free@example.com", "free")
	_, starter := a.user(t, "starter@example.com", "starter")
	for range 2 {
		for key, sees := range map[string]bool{free: false, starter: true} {
			_, e := a.get(t, "/api/v1/orderbook/0", "X-Api-Key", key)
			if _, has := e.list("bids")[0]["orders"]; has != sees {
				t.Errorf("sees owners: %v, want %v: %v", has, sees, e.Data)
			}
		}
	}
}

// Checklist 68: a level with known orders is a whale's where one of them is, wherever in the queue it stands, and each order
// says it of itself.
func TestLevelOfWhaleOrder(t *testing.T) {
	owners := &fakeBookOwners{}
	f := newFixture(t, testOptions{plan: "starter", edit: func(o *Options) { o.Owners = owners }})
	const whale = 320000 // 102,384 USD at 3,199.50
	for _, sizes := range [][]num.Size{{300000, 155000}, {whale, 135000}, {67500, whale, 67500}, {135000, whale}} {
		level := &model.OwnedLevel{Price: 319950, Size: 455000}
		var flags []bool
		for i, size := range sizes {
			level.Orders = append(level.Orders, model.RestingOrder{Account: 42, ID: uint64(i + 1), Price: level.Price, Size: size})
			flags = append(flags, size == whale)
		}
		owners.mu.Lock()
		owners.reading = &model.Attribution{At: testNow - 1000, Levels: [2][]*model.OwnedLevel{model.Bid: {level}}}
		owners.mu.Unlock()
		_, e := f.get(t, "/api/v1/orderbook/0")
		best := e.list("bids")[0]
		if best["whale"] != slices.Contains(sizes, whale) || len(best["orders"].([]any)) != len(sizes) {
			t.Errorf("orders of %v: %v", sizes, best)
		}
		for i, o := range best["orders"].([]any) {
			if o.(map[string]any)["whale"] != flags[i] {
				t.Errorf("order %d of %v: %v", i, sizes, o)
			}
		}
	}
}
