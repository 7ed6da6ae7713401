package sim

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// naiveOrder is an order of the reference: a list, sorted anew for each take.
type naiveOrder struct {
	id    int64
	price num.Price
	left  num.Size
	age   int
}

type naiveSide struct {
	is   model.Side
	list []naiveOrder
}

func (s *naiveSide) sort() {
	slices.SortStableFunc(s.list, func(a, b naiveOrder) int {
		if a.price != b.price {
			if s.is == model.Bid {
				return cmp.Compare(b.price, a.price)
			}
			return cmp.Compare(a.price, b.price)
		}
		return cmp.Compare(a.age, b.age)
	})
}

// TestMatching compares the matching engine with a sorted list: who is filled, in which order, and what rests.
func TestMatching(t *testing.T) {
	x := New(Options{Seed: 1, Markets: 1, Accounts: 4, Start: testStart})
	m := x.markets[0]
	rapid.Check(t, func(t *rapid.T) {
		for _, s := range [2]*side{&m.bids, &m.asks} {
			for s.best() != nil {
				x.cancel(s.best().head, "canceled")
			}
		}
		maker, taker := x.accounts[2], x.accounts[3]
		sides := [2]*naiveSide{{is: model.Bid}, {is: model.Ask}}
		live := map[int64]*order{}
		age := 0
		for range rapid.IntRange(1, 60).Draw(t, "actions") {
			s := model.Side(rapid.IntRange(0, 1).Draw(t, "side"))
			own := sides[s]
			price := num.Price(rapid.IntRange(433000, 433008).Draw(t, "price"))
			size := num.Size(rapid.IntRange(1, 30).Draw(t, "size"))
			switch rapid.IntRange(0, 3).Draw(t, "action") {
			case 0, 1:
				crosses := false
				for _, o := range sides[1-s].list {
					crosses = crosses || s == model.Bid && price >= o.price || s == model.Ask && price <= o.price
				}
				o := x.place(m, maker, s, price, size)
				if (o == nil) != crosses {
					t.Fatalf("post-only at %d: placed %v, crosses %v", price, o != nil, crosses)
				}
				if o != nil {
					age++
					live[o.index] = o
					own.list = append(own.list, naiveOrder{id: o.index, price: price, left: size, age: age})
				}
			case 2:
				if len(own.list) > 0 {
					i := rapid.IntRange(0, len(own.list)-1).Draw(t, "which")
					x.cancel(live[own.list[i].id], "canceled")
					own.list = slices.Delete(own.list, i, i+1)
				}
			case 3:
				other := sides[1-s]
				other.sort()
				want := num.Size(0)
				for len(other.list) > 0 && want < size {
					o := &other.list[0]
					if s == model.Bid && o.price > price || s == model.Ask && o.price < price {
						break
					}
					part := min(o.left, size-want)
					want += part
					if o.left -= part; o.left == 0 {
						other.list = other.list[1:]
					}
				}
				if got := x.execute(m, taking{account: taker, side: s, limit: price, left: size}); got != want {
					t.Fatalf("filled %d, want %d", got, want)
				}
			}
			_, _, orders := x.Book(m.id)
			var want []naiveOrder
			for _, n := range sides {
				n.sort()
				want = append(want, n.list...)
			}
			if len(orders) != len(want) {
				t.Fatalf("%d orders rest, want %d", len(orders), len(want))
			}
			for i, o := range orders {
				if o.Index != want[i].id || o.Left != want[i].left || o.Price != want[i].price {
					t.Fatalf("place %d: %+v, want %+v", i, o, want[i])
				}
			}
			if err := x.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestLiquidationPriceRecorded evaluates the formula for an account that the venue itself valued.
func TestLiquidationPriceRecorded(t *testing.T) {
	data, err := os.ReadFile(feedtest.Recording(t, "lighter/rest/account-position-ETH-long-testnet-2025-11.json"))
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Accounts []struct {
			Collateral string
			Positions  []struct {
				Position string
				Value    string `json:"position_value"`
				PNL      string `json:"unrealized_pnl"`
				Liq      string `json:"liquidation_price"`
			}
		}
	}
	if err := json.Unmarshal(data, &body); err != nil {
		t.Fatal(err)
	}
	parse := func(s string, scale uint8) int64 {
		v, err := num.Parse([]byte(s), scale)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	a := body.Accounts[0]
	p := a.Positions[0]
	size, value := num.Size(parse(p.Position, 4)), parse(p.Value, 6)
	mark := num.Price(value / int64(size))
	const maintenance = 120
	var req num.Acc
	req.AddProduct(value, maintenance)
	got := liquidationText(mark, 2, num.USD(parse(a.Collateral, 6)+parse(p.PNL, 6)), req, size, maintenance)
	if !strings.HasPrefix(got, p.Liq[:16]) || len(got) < 16 {
		t.Errorf("liquidation price %s, the venue says %s", got, p.Liq)
	}
	// A short cannot be liquidated below its mark; a long with enough collateral never is.
	if got := liquidationText(mark, 2, num.USD(parse("99999999.000000", 6)), req, size, maintenance); got != "" {
		t.Errorf("a long with more money than value has the liquidation price %s", got)
	}
}

// TestOrderIDs checks the numbering that every recording shows: the market above bit 48, asks up, bids down.
func TestOrderIDs(t *testing.T) {
	x := New(Options{Seed: 1, Markets: 3, Accounts: 10, Start: testStart})
	for _, m := range x.markets {
		a1, a2 := m.nextOrder(model.Ask), m.nextOrder(model.Ask)
		b1, b2 := m.nextOrder(model.Bid), m.nextOrder(model.Bid)
		for _, id := range []int64{a1, a2, b1, b2} {
			if id>>48 != m.id+1 {
				t.Errorf("market %d: order %d belongs to %d", m.id, id, id>>48-1)
			}
		}
		if a2 != a1+1 || b2 != b1-1 || a1&(1<<48-1) > 1<<47 || b1&(1<<48-1) < 1<<47 {
			t.Errorf("market %d: asks %d, %d, bids %d, %d", m.id, a1, a2, b1, b2)
		}
	}
}
