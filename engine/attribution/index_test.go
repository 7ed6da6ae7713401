package attribution

import (
	"math/rand/v2"
	"slices"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// The index tells what the places of all markets tell, whatever lists come and go and whichever markets are given up.
func TestIndexIsThatOfThePlaces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	x := &index{markets: map[model.AccountID][]*tracked{}}
	var markets []*tracked
	for id := range model.MarketID(8) {
		markets = append(markets, newTracked(id, x))
	}
	for range 5000 {
		i := r.IntN(len(markets))
		m := markets[i]
		m.mu.Lock()
		switch r.IntN(10) {
		case 0:
			m.lists = 1
			m.clear(nil)
		case 1:
			m.lists = 1
			m.mu.Unlock()
			m.end()
			m.mu.Lock()
			markets[i] = newTracked(m.id, x)
		default:
			places := map[model.AccountID][]place{}
			for range r.IntN(6) {
				places[model.AccountID(r.IntN(12))] = []place{{model.Bid, num.Price(1)}}
			}
			m.place(places)
		}
		m.mu.Unlock()
		for account := range model.AccountID(12) {
			var want []*tracked
			for _, m := range markets {
				if p := m.places.Load(); p != nil && len((*p)[account]) > 0 {
					want = append(want, m)
				}
			}
			if got := x.of(account); !slices.Equal(got, want) {
				t.Fatalf("account %d: in %d markets, want %d", account, len(got), len(want))
			}
		}
	}
}

// A list that comes when nobody watches the market any more is not joined: its orders would be told for ever.
func TestListOfAnEndedMarket(t *testing.T) {
	v, w := newVenue(1, 1000), newTracked(0, &index{markets: map[model.AccountID][]*tracked{}})
	for range 60 {
		v.change()
	}
	w.book(v.flush(true))
	l := v.list(20)
	for l.Replied.Add(settle).UnixMicro() >= int64(v.now) {
		v.change()
		w.book(v.flush(false))
	}
	w.end()
	w.book(v.flush(true))
	if _, ok := w.join(l); ok || len(w.index.markets) > 0 {
		t.Errorf("joined %v, %d accounts in the index", ok, len(w.index.markets))
	}
}
