package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// follower builds a book from frames alone, with a map per side: the naive reference.
type follower struct {
	sides [2]map[num.Price]num.Size
	nonce int64
}

type bookFrame struct {
	Channel   string `json:"channel"`
	Type      string `json:"type"`
	OrderBook struct {
		Asks, Bids []struct{ Price, Size string }
		Nonce      int64 `json:"nonce"`
		Begin      int64 `json:"begin_nonce"`
	} `json:"order_book"`
}

func (f *follower) apply(m *model.Market, b *bookFrame) error {
	if b.Type == "subscribed/order_book" {
		f.sides = [2]map[num.Price]num.Size{{}, {}}
	} else if b.OrderBook.Begin != f.nonce {
		return fmt.Errorf("begin_nonce %d behind nonce %d", b.OrderBook.Begin, f.nonce)
	}
	f.nonce = b.OrderBook.Nonce
	for s, list := range [2][]struct{ Price, Size string }{b.OrderBook.Bids, b.OrderBook.Asks} {
		for _, l := range list {
			p, err1 := num.Parse([]byte(l.Price), m.PriceScale)
			z, err2 := num.Parse([]byte(l.Size), m.SizeScale)
			if err1 != nil || err2 != nil || num.Decimals([]byte(l.Price)) != m.PriceScale || num.Decimals([]byte(l.Size)) != m.SizeScale {
				return fmt.Errorf("level %v does not have the market's decimals", l)
			}
			if _, held := f.sides[s][num.Price(p)]; z == 0 && !held {
				return fmt.Errorf("removal of the unknown level %s", l.Price)
			}
			if f.sides[s][num.Price(p)] = num.Size(z); z == 0 {
				delete(f.sides[s], num.Price(p))
			}
		}
	}
	return nil
}

// equal compares with the exchange's own book; the exchange must have nothing unsent.
func (f *follower) equal(bids, asks []model.Level) error {
	for s, list := range [2][]model.Level{bids, asks} {
		if len(list) != len(f.sides[s]) {
			return fmt.Errorf("side %d: %d levels, the exchange has %d", s, len(f.sides[s]), len(list))
		}
		for _, l := range list {
			if f.sides[s][l.Price] != l.Size {
				return fmt.Errorf("side %d price %d: %d, the exchange has %d", s, l.Price, f.sides[s][l.Price], l.Size)
			}
		}
	}
	return nil
}

// TestBooksAtRandomMoments has followers join at random moments of the logical clock; after every batch each of them
// must hold exactly the exchange's book.
func TestBooksAtRandomMoments(t *testing.T) {
	x := New(Options{Seed: 5, Markets: 3, Accounts: 200, Rate: 1500, Start: testStart})
	markets := x.Markets()
	r := rand.New(rand.NewPCG(1, 2))
	held := make(map[int64][]*follower)
	x.Tap(func(channel string, frame []byte) {
		for i := range markets {
			m := &markets[i]
			if channel != fmt.Sprintf("order_book:%d", m.Native) {
				continue
			}
			var b bookFrame
			if err := json.Unmarshal(frame, &b); err != nil {
				t.Fatal(err)
			}
			for _, f := range held[m.Native] {
				if err := f.apply(m, &b); err != nil {
					t.Fatalf("market %d: %v", m.Native, err)
				}
			}
		}
	})
	for i := range 300 {
		x.AdvanceBy(10 * time.Millisecond)
		for k := range markets {
			m := &markets[k]
			if r.IntN(40) == 0 {
				ch, _ := parseChannel(fmt.Sprintf("order_book/%d", m.Native))
				x.hub.mu.Lock()
				frame := x.snapshot(nil, ch)
				x.hub.mu.Unlock()
				var b bookFrame
				if err := json.Unmarshal(frame, &b); err != nil || b.OrderBook.Begin != 0 {
					t.Fatalf("snapshot: %v, begin_nonce %d", err, b.OrderBook.Begin)
				}
				f := &follower{}
				if err := f.apply(m, &b); err != nil {
					t.Fatal(err)
				}
				held[m.Native] = append(held[m.Native], f)
			}
			if len(x.byID[m.Native].dirty) > 0 {
				continue // the batch is still open
			}
			bids, asks, _ := x.Book(m.Native)
			for _, f := range held[m.Native] {
				if err := f.equal(bids, asks); err != nil {
					t.Fatalf("step %d market %d: %v", i, m.Native, err)
				}
			}
		}
	}
	if len(held[0])+len(held[1])+len(held[2]) < 8 {
		t.Fatal("too few followers")
	}
}

// TestSocketsFollow runs several real sockets that subscribe at different moments while the exchange runs live.
func TestSocketsFollow(t *testing.T) {
	x := New(Options{Seed: 5, Markets: 4, Accounts: 200, Rate: 4000})
	markets := x.Markets()
	addr := serve(t, x, ServeOptions{})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			time.Sleep(time.Duration(i*37) * time.Millisecond)
			c := dial(t, addr)
			held := make([]follower, len(markets))
			updates := 0
			for k := range markets {
				c.subscribe(fmt.Sprintf("order_book/%d", markets[k].Native))
			}
			for updates < 150 {
				var b bookFrame
				if err := json.Unmarshal([]byte(c.read()), &b); err != nil {
					t.Error(err)
					return
				}
				for k := range markets {
					if b.Channel != fmt.Sprintf("order_book:%d", markets[k].Native) {
						continue
					}
					updates++
					if err := held[k].apply(&markets[k], &b); err != nil {
						t.Errorf("client %d %s: %v", i, b.Channel, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
