package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/sim"
)

// pollCounter passes REST calls on to a venue and counts, by market, those for resting orders.
type pollCounter struct {
	mu    sync.Mutex
	polls map[string]int
}

func countPolls(t *testing.T, v *venue) *pollCounter {
	target, err := url.Parse(v.rest)
	if err != nil {
		t.Fatal(err)
	}
	c := &pollCounter{polls: map[string]int{}}
	pass := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/orderBookOrders" {
			c.mu.Lock()
			c.polls[r.URL.Query().Get("market_id")]++
			c.mu.Unlock()
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	v.rest = front.URL
	return c
}

func (c *pollCounter) of(market string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.polls[market]
}

type ownedBook struct {
	Bids, Asks []ownedLevel
	At         *int64 `json:"attribution_at"`
}

type ownedLevel struct {
	Price, Size string
	Orders      []struct {
		Account int64
		OrderID string `json:"order_id"`
		Size    string
	}
}

// whole tells whether no level has orders of more than its size, and counts the orders.
func (b *ownedBook) whole(t *testing.T, ss uint8) (orders int) {
	t.Helper()
	for _, l := range slices.Concat(b.Bids, b.Asks) {
		var sum int64
		for _, o := range l.Orders {
			size, err := num.Parse([]byte(o.Size), ss)
			if err != nil || size <= 0 || o.Account == 0 {
				t.Errorf("order %+v, %v", o, err)
			}
			sum += size
			orders++
		}
		if size, err := num.Parse([]byte(l.Size), ss); err != nil || sum > size {
			t.Errorf("level %+v has orders of %d, %v", l, sum, err)
		}
	}
	return orders
}

// Whoever watches an enriched book sees whose the orders are, and only for as long is the venue asked. While the venue
// stands still all that its list reaches is exact.
func TestOwnersOfOrders(t *testing.T) {
	t.Parallel()
	x := sim.New(sim.Options{Seed: 8, Markets: 3, Accounts: 100, Rate: 300})
	v := startVenue(t, x, sim.ServeOptions{})
	polls := countPolls(t, &v)
	a := startAppliance(t, applianceConfig(t.TempDir(), v))
	a.waitSynced(3)
	time.Sleep(2 * time.Second)
	if n := polls.of("0") + polls.of("1") + polls.of("2"); n != 0 {
		t.Fatalf("%d polls, and nobody watches", n)
	}
	m := x.Markets()[1]
	market := strconv.FormatInt(m.Native, 10)
	conn := a.dial("/ws")
	next(t, conn, "authenticated")
	began := time.Now()
	send(t, conn, `{"type":"subscribe","channel":"enriched_order_book/`+market+`","depth":250}`)
	next(t, conn, "subscribed")
	read := func() (b ownedBook) {
		t.Helper()
		if err := json.Unmarshal(next(t, conn, "data").Data, &b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for known := 0; known < 4; {
		if b := read(); b.whole(t, m.SizeScale) > 0 && b.At != nil {
			known++
		}
		if time.Since(began) > time.Minute {
			t.Fatal("no owners in a minute")
		}
	}
	if n, most := polls.of(market), int(time.Since(began)/time.Second)+1; n == 0 || n > most {
		t.Errorf("%d polls, at most %d are allowed", n, most)
	}
	if n := polls.of("0") + polls.of("2"); n != 0 {
		t.Errorf("%d polls of markets that nobody watches", n)
	}

	x.Pause()
	paused := time.Now().Add(time.Second)
	b := read()
	for b.At == nil || *b.At < paused.UnixMilli() {
		b = read()
	}
	var truth [2][]sim.Order
	_, _, orders := x.Book(m.Native)
	for _, o := range orders {
		truth[o.Side] = append(truth[o.Side], o)
	}
	price := func(text string) num.Price {
		p, err := num.Parse([]byte(text), m.PriceScale)
		if err != nil {
			t.Fatal(err)
		}
		return num.Price(p)
	}
	exact, untold := 0, 0 // untold: the venue stopped inside a batch, what it changed since the last one is not in the stream
	for s, levels := range [][]ownedLevel{model.Bid: b.Bids, model.Ask: b.Asks} {
		rest := truth[s][:min(len(truth[s]), 250)]
		for _, l := range levels {
			var want, got []string
			var sum num.Size
			for len(rest) > 0 && (rest[0].Price < price(l.Price)) == (s == int(model.Ask)) && rest[0].Price != price(l.Price) {
				rest, untold = rest[1:], untold+1
			}
			for len(rest) > 0 && string(num.Append(nil, int64(rest[0].Price), m.PriceScale)) == l.Price {
				o := rest[0]
				want = append(want, fmt.Sprint(o.Owner, " ", o.Index, " ", string(num.Append(nil, int64(o.Left), m.SizeScale))))
				sum += o.Left
				rest = rest[1:]
			}
			if string(num.Append(nil, int64(sum), m.SizeScale)) != l.Size && len(rest) > 0 {
				untold++
				continue
			}
			for _, o := range l.Orders {
				got = append(got, fmt.Sprint(o.Account, " ", o.OrderID, " ", o.Size))
			}
			if !slices.Equal(got, want) && len(rest) > 0 { // the list may end inside the last one
				t.Errorf("%v %s: the book shows %v, the venue has %v", model.Side(s), l.Price, got, want)
			}
			exact += len(got)
		}
	}
	if exact < 20 || untold > 10 {
		t.Errorf("%d orders were compared, %d levels have changed untold", exact, untold)
	}
	x.Resume()

	// A book that is asked for is polled too.
	var asked ownedBook
	a.get("/api/v1/orderbook/0", &asked)
	waitFor(t, time.Minute, func() bool {
		a.get("/api/v1/orderbook/0", &asked)
		return asked.At != nil && asked.whole(t, x.Markets()[0].SizeScale) > 0
	}, func() string { return "no owners in the order book" })
	send(t, conn, `{"type":"unsubscribe","channel":"enriched_order_book/`+market+`"}`)
	waitFor(t, time.Minute, func() bool {
		before := polls.of(market)
		time.Sleep(3 * time.Second)
		return polls.of(market) == before
	}, func() string { return "a market is polled that nobody watches any more" })
	if polls.of("2") != 0 {
		t.Error("a market was polled that nobody ever asked for")
	}
}
