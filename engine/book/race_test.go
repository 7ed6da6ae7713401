package book

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// TestReadersBesideTheOwner has readers walk published views while the owner goes on applying. Each update moves one unit
// of size between two levels, so the total tells whether a reader ever sees half of one. It proves most under -race.
func TestReadersBesideTheOwner(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // packages that other tests import have goroutines of their own
	const levels, unit = 500, 1000
	b := New()
	u := &model.BookUpdate{Snapshot: true, Seq: 1}
	for i := range levels {
		u.Bids = append(u.Bids, model.Level{Price: num.Price(levels - i), Size: unit})
		u.Asks = append(u.Asks, model.Level{Price: num.Price(levels + 1 + i), Size: unit})
	}
	if err := b.Apply(u, 0, 0); err != nil {
		t.Fatal(err)
	}
	var current atomic.Pointer[View]
	current.Store(b.View())
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := uint64(0)
			for !done.Load() {
				v := current.Load()
				if v.Seq < last {
					t.Errorf("view went back from %d to %d", last, v.Seq)
					return
				}
				last = v.Seq
				for _, s := range []model.Side{model.Bid, model.Ask} {
					var sum num.Size
					for l := range v.Levels(s, 0) {
						sum += l.Size
					}
					if sum != levels*unit {
						t.Errorf("view %d: %s holds %d", v.Seq, s, sum)
						return
					}
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(3, 4))
	sizes := [2][]num.Size{make([]num.Size, levels), make([]num.Size, levels)}
	for s := range sizes {
		for i := range sizes[s] {
			sizes[s][i] = unit
		}
	}
	for seq := uint64(2); seq < 5_000; seq++ {
		u := &model.BookUpdate{Prev: seq - 1, Seq: seq}
		for s := range sizes {
			from, to := r.IntN(levels), r.IntN(levels)
			n := num.Size(r.Int64N(int64(sizes[s][from]) + 1)) // often all: the level goes and comes back later
			if r.IntN(3) == 0 {
				n = sizes[s][from]
			}
			sizes[s][from] -= n
			sizes[s][to] += n
			for _, i := range []int{from, to} {
				price := num.Price(levels - i)
				if s == int(model.Ask) {
					price = num.Price(levels + 1 + i)
				}
				l := model.Level{Price: price, Size: sizes[s][i]}
				if s == int(model.Bid) {
					u.Bids = append(u.Bids, l)
				} else {
					u.Asks = append(u.Asks, l)
				}
			}
		}
		if err := b.Apply(u, 0, 0); err != nil {
			t.Fatal(err)
		}
		current.Store(b.View())
	}
	done.Store(true)
	wg.Wait()
}
