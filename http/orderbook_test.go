package http

import (
	"context"
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Checklist 64, 66-69.
func TestBook(t *testing.T) {
	f := newFixture(t, testOptions{})
	_, e := f.get(t, "/api/v1/orderbook/0")
	for member, want := range map[string]string{"market_id": "0", "symbol": "ETH", "best_bid": "3199.50", "best_ask": "3200.00", "spread": "0.50",
		"mid_price": "3199.75", "nonce": "999999", "attribution_at": "<nil>", "timestamp": fmt.Sprint(testNow - 40)} {
		if got := fmt.Sprint(e.Data[member]); got != want {
			t.Errorf("%s: got %s, want %s", member, got, want)
		}
	}
	if got := fmt.Sprint(e.column("bids", "price"), e.column("bids", "size"), e.column("bids", "whale")); got != "[3199.50 3198.00 3190.00] [45.5000 1.2500 10.0000] [true false false]" {
		t.Errorf("bids: %s", got)
	}
	if got := fmt.Sprint(e.column("asks", "price")); got != "[3200.00 3201.25 3215.00]" {
		t.Errorf("asks: %s", got)
	}
	if got := fmt.Sprint(e.column("asks", "orders")); got != "[[] [] []]" {
		t.Errorf("orders: %s", got)
	}
	_, e = f.get(t, "/api/v1/orderbook/0?depth=1")
	if len(e.list("bids")) != 1 || len(e.list("asks")) != 1 {
		t.Errorf("depth=1: %v", e.Data)
	}
	// An empty side.
	_, e = f.get(t, "/api/v1/orderbook/1")
	for _, member := range []string{"best_bid", "spread", "mid_price"} {
		if v, ok := e.Data[member]; !ok || v != nil {
			t.Errorf("%s: got %v, want null", member, v)
		}
	}
	if e.Data["best_ask"] != "43000.00" || e.Data["bids"] == nil {
		t.Errorf("got %v", e.Data)
	}
	for path, want := range map[string]string{"/api/v1/orderbook/2": "404 not_found market_id", "/api/v1/orderbook/x": "400 bad_request market_id",
		"/api/v1/orderbook/0.5": "400 bad_request market_id", "/api/v1/orderbook/-1": "404 not_found market_id",
		"/api/v1/orderbook/99999999999999999999": "400 bad_request market_id", "/api/v1/orderbook/0?depth=0": "400 bad_request depth",
		"/api/v1/orderbook/0?depth=": "400 bad_request depth", "/api/v1/orderbook/0?depth=1e3": "400 bad_request depth"} {
		if got := f.failure(t, path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	f.engine.set(1, nil)
	if got := f.failure(t, "/api/v1/orderbook/1"); got != "502 upstream_error <nil>" {
		t.Errorf("out of sync: got %s", got)
	}
}

// failure returns status, code and field of an answer.
func (f *fixture) failure(t tester, path string) string {
	t.Helper()
	status, e := f.get(t, path)
	details, _ := e.Data["details"].(map[string]any)
	return fmt.Sprint(status, " ", e.Data["code"], " ", details["field"])
}

// Checklist 67: the free plan sees no accounts, but whales.
func TestBookIsAnonymousOnFree(t *testing.T) {
	free, starter := newFixture(t, testOptions{plan: "free"}), newFixture(t, testOptions{plan: "starter"})
	_, e := free.get(t, "/api/v1/orderbook/0")
	if level := e.list("bids")[0]; level["orders"] != nil || level["whale"] != true || e.Data["attribution_at"] != nil {
		t.Errorf("free: %v", level)
	}
	if _, e = starter.get(t, "/api/v1/orderbook/0"); e.list("bids")[0]["orders"] == nil {
		t.Error("starter must see orders")
	}
}

func TestWhaleThresholdPerMarket(t *testing.T) {
	f := newFixture(t, testOptions{edit: func(o *Options) {
		o.WhaleNotional, o.WhaleByMarket = 1_607_500_000, map[model.MarketID]num.USD{1: 50_000_000_000}
	}})
	_, e := f.get(t, "/api/v1/orderbook/0")
	if got := fmt.Sprint(e.column("asks", "whale")); got != "[true true true]" { // 0.5 x 3215 = 1607.50, which reaches it
		t.Errorf("got %s", got)
	}
	if _, e = f.get(t, "/api/v1/orderbook/1"); e.list("asks")[0]["whale"] != false {
		t.Error("43,000 is below the market's own threshold")
	}
}

// The shared encoding must never outlive the view, the market's metadata or the variant that it was made for.
func TestBookCacheIsExact(t *testing.T) {
	f := newFixture(t, testOptions{})
	m := f.engine.markets[0]
	rapid.Check(t, func(t *rapid.T) {
		if rapid.Bool().Draw(t, "update") {
			price := rapid.Int64Range(1, 1e6).Draw(t, "price")
			f.engine.set(0, book.NewView(book.Meta{Seq: uint64(price), Time: testNow}, []model.Level{{Price: num.Price(price), Size: 5}}, nil))
		}
		depth := rapid.IntRange(1, 300).Draw(t, "depth")
		v, _ := f.engine.Book(context.Background(), m)
		for range 2 {
			_, e := f.get(t, fmt.Sprintf("/api/v1/orderbook/0?depth=%d", depth))
			if got, want := fmt.Sprint(e.Data["nonce"]), fmt.Sprint(v.Seq); got != want {
				t.Fatalf("got nonce %s, want %s", got, want)
			}
			if n := len(e.list("bids")); n != min(depth, v.Len(model.Bid)) {
				t.Fatalf("got %d levels of %d at depth %d", n, v.Len(model.Bid), depth)
			}
		}
	})
}

// Checklist 70, 71: the contract's own figures.
func TestDepth(t *testing.T) {
	f := newFixture(t, testOptions{})
	_, e := f.get(t, "/api/v1/orderbook/0/depth?tick_size=1&levels=2&bps=10,5000")
	if got, want := fmt.Sprint(e.Data["bids"]), "[map[cumulative_notional:145577.25 cumulative_size:45.5000 level_count:1 notional:145577.25 price:3199.00 size:45.5000]"+
		" map[cumulative_notional:149574.75 cumulative_size:46.7500 level_count:1 notional:3997.5 price:3198.00 size:1.2500]]"; got != want {
		t.Errorf("bids: got %s", got)
	}
	if got := fmt.Sprint(e.column("asks", "price")); got != "[3200.00 3202.00]" {
		t.Errorf("asks go up: got %s", got)
	}
	// 10 bps of 3199.75 is 3.19975: bids from 3196.55025, asks to 3202.94975.
	if got, want := fmt.Sprint(e.list("bands")[0]), "map[ask_notional:64642.5 ask_size:20.2000 bid_notional:149574.75 bid_size:46.7500 bps:10 imbalance:0.3965646]"; got != want {
		t.Errorf("band: got %s, want %s", got, want)
	}
	if e.Data["tick_size"] != "1" || e.Data["mid_price"] != "3199.75" {
		t.Errorf("got %v", e.Data)
	}
	_, e = f.get(t, "/api/v1/orderbook/0/depth")
	if e.Data["tick_size"] != "1" || len(e.list("bands")) != 4 { // 0.319975 -> 1
		t.Errorf("default: got %v", e.Data)
	}
	_, e = f.get(t, "/api/v1/orderbook/1/depth")
	if e.Data["tick_size"] != "10" || e.Data["mid_price"] != nil || fmt.Sprint(e.list("bands")[0]) != "map[ask_notional:<nil> ask_size:<nil> bid_notional:<nil> bid_size:<nil> bps:10 imbalance:<nil>]" {
		t.Errorf("one side: got %v", e.Data)
	}
}

// Checklist 72.
func TestDepthRefusals(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/orderbook/0/depth?"
	for query, field := range map[string]string{"tick_size=0": "tick_size", "tick_size=-1": "tick_size", "tick_size=0.001": "tick_size", "tick_size=0.015": "tick_size",
		"tick_size=x": "tick_size", "tick_size=1e3": "tick_size", "tick_size=99999999999999999": "tick_size", "levels=0": "levels", "levels=x": "levels",
		"bps=": "bps", "bps=0": "bps", "bps=5001": "bps", "bps=1,": "bps", "bps=1.5": "bps", "bps=1,2,3,4,5,6,7,8,9,10,11": "bps"} {
		if got := f.failure(t, path+query); got != "400 bad_request "+field {
			t.Errorf("%s: got %s", query, got)
		}
	}
	for _, query := range []string{"tick_size=0.01", "tick_size=0.010", "tick_size=0.03", "tick_size=1000000", "levels=9999", "bps=1,5000", "bps=1,2,3,4,5,6,7,8,9,10"} {
		if status, _ := f.get(t, path+query); status != 200 {
			t.Errorf("%s: got %d", query, status)
		}
	}
}

// The default tick is the rule, computed with rationals.
func TestDefaultTick(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := uint8(rapid.IntRange(0, 8).Draw(t, "price scale"))
		bid := rapid.Int64Range(1, 1e12).Draw(t, "bid")
		ask := bid + rapid.Int64Range(1, 1e6).Draw(t, "spread")
		v := book.NewView(book.Meta{}, []model.Level{{Price: num.Price(bid), Size: 1}}, []model.Level{{Price: num.Price(ask), Size: 1}})
		least := new(big.Rat).SetFrac64(bid+ask, 20_000) // mid x 0.0001, in price ticks
		if ps >= 8 {                                     // the mid price itself is rounded half-even there
			least.SetFrac64((bid+ask)/2+(bid+ask)%2*((bid+ask)/2%2), 10_000)
		}
		want := int64(1)
		for new(big.Rat).SetInt64(want).Cmp(least) < 0 {
			want *= 10
		}
		if got := defaultTick(v, ps); got != want {
			t.Fatalf("got %d, want %d for %d/%d at scale %d", got, want, bid, ask, ps)
		}
	})
	// A ten-thousandth of the mid that is a power of ten is the tick itself.
	v := book.NewView(book.Meta{}, []model.Level{{Price: 999_999, Size: 1}}, []model.Level{{Price: 1_000_001, Size: 1}})
	if got := defaultTick(v, 2); got != 100 {
		t.Errorf("got %d, want 100", got)
	}
}

// A band holds exactly the levels within its distance, by rational arithmetic.
func TestBands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := uint8(rapid.IntRange(0, 9).Draw(t, "price scale"))
		mid := rapid.Int64Range(1000, 1e9).Draw(t, "mid")
		var bids, asks []model.Level
		for range rapid.IntRange(1, 30).Draw(t, "levels") {
			bids = append(bids, model.Level{Price: num.Price(mid - rapid.Int64Range(1, 900).Draw(t, "below")), Size: num.Size(rapid.Int64Range(1, 1e9).Draw(t, "size"))})
			asks = append(asks, model.Level{Price: num.Price(mid + rapid.Int64Range(1, 900).Draw(t, "above")), Size: num.Size(rapid.Int64Range(1, 1e9).Draw(t, "size"))})
		}
		v := book.NewView(book.Meta{}, bids, asks)
		bps := rapid.Int64Range(1, 5000).Draw(t, "bps")
		m, ok := midPrice(v, ps)
		got := bandOf(v, m, ok, bps, ps)
		bestBid, _ := v.Best(model.Bid)
		bestAsk, _ := v.Best(model.Ask)
		middle := new(big.Rat).SetFrac64(int64(bestBid.Price+bestAsk.Price), 2)
		if ps >= 8 { // the mid price itself is rounded half-even there
			scaled, _ := new(big.Rat).SetString(m.String())
			middle = scaled.Mul(scaled, new(big.Rat).SetInt64(num.Pow10(ps)))
		}
		for side, factor := range map[model.Side]int64{model.Bid: 10_000 - bps, model.Ask: 10_000 + bps} {
			edge := new(big.Rat).Mul(middle, new(big.Rat).SetFrac64(factor, 10_000))
			var size, notional num.Acc
			for l := range v.Levels(side, 0) {
				c := new(big.Rat).SetInt64(int64(l.Price)).Cmp(edge)
				if side == model.Bid && c >= 0 || side == model.Ask && c <= 0 {
					size.AddProduct(int64(l.Size), 1)
					notional.AddProduct(int64(l.Price), int64(l.Size))
				}
			}
			if got.size[side] != size || got.notional[side] != notional {
				t.Fatalf("%v: got %v %v, want %v %v", side, got.size[side], got.notional[side], size, notional)
			}
		}
	})
}
