package attribution

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// venue is the truth: every resting order. Its stream tells levels in batches and fills as they happen, each by a
// number of one scale.
type venue struct {
	rng    *rand.Rand
	sizes  int64 // orders are smaller than this; large enough, no two sums are the same
	now    model.Micros
	nonce  uint64
	orders [2]map[num.Price][]model.RestingOrder
	next   uint64

	dirty [2]map[num.Price]bool
	book  *book.Book
	held  [2]map[num.Price][]model.RestingOrder // as of the last batch
}

func newVenue(seed uint64, sizes int64) *venue {
	v := &venue{rng: rand.New(rand.NewPCG(seed, 1)), sizes: sizes, now: 1_700_000_000_000_000, book: book.New(), next: 1}
	for s := range v.orders {
		v.orders[s], v.dirty[s] = map[num.Price][]model.RestingOrder{}, map[num.Price]bool{}
	}
	return v
}

func (v *venue) size() num.Size { return num.Size(1 + v.rng.Int64N(v.sizes)) }

// change does one thing to a random level, and tells the fill where it was one.
func (v *venue) change() *model.Event {
	v.nonce += 1 + v.rng.Uint64N(5)
	v.now += model.Micros(v.rng.Int64N(40_000))
	s := model.Side(v.rng.IntN(2))
	p := num.Price(100 - v.rng.IntN(8))
	if s == model.Ask {
		p = num.Price(101 + v.rng.IntN(8))
	}
	queue := v.orders[s][p]
	v.dirty[s][p] = true
	switch k := v.rng.IntN(10); {
	case k < 4 || len(queue) == 0:
		size := v.size()
		queue = append(queue, model.RestingOrder{Account: model.AccountID(v.rng.IntN(5) + 1), ID: v.next, Price: p, Size: size, Initial: size})
		v.next++
	case k < 7:
		i := v.rng.IntN(len(queue))
		queue = slices.Delete(slices.Clone(queue), i, i+1)
	default:
		queue = slices.Clone(queue)
		t := model.Trade{Price: p, Size: queue[0].Size, MakerAsk: s == model.Ask, AskOrder: 1 << 60, BidOrder: 1 << 61}
		if k > 7 && t.Size > 1 {
			t.Size = num.Size(1 + v.rng.Int64N(int64(t.Size)-1))
		}
		if t.MakerAsk {
			t.AskOrder, t.AskAccount = queue[0].ID, queue[0].Account
		} else {
			t.BidOrder, t.BidAccount = queue[0].ID, queue[0].Account
		}
		if queue[0].Size -= t.Size; queue[0].Size == 0 {
			queue = queue[1:]
		}
		v.orders[s][p] = queue
		return &model.Event{Recv: v.now, Payload: &model.TradeBatch{Rows: []model.Trade{t}, Nonce: v.nonce}}
	}
	v.orders[s][p] = queue
	return nil
}

func total(queue []model.RestingOrder) (sum num.Size) {
	for _, r := range queue {
		sum += r.Size
	}
	return sum
}

// flush ends a batch.
func (v *venue) flush(snapshot bool) (*model.BookUpdate, *book.View) {
	v.nonce++
	u := &model.BookUpdate{Snapshot: snapshot, Prev: v.book.Seq(), Seq: v.nonce}
	for s := range v.dirty {
		var levels []model.Level
		for p := range v.dirty[s] {
			levels = append(levels, model.Level{Price: p, Size: total(v.orders[s][p])})
		}
		if snapshot {
			levels = levels[:0]
			for p, queue := range v.orders[s] {
				levels = append(levels, model.Level{Price: p, Size: total(queue)})
			}
		}
		clear(v.dirty[s])
		if s == 0 {
			u.Bids = levels
		} else {
			u.Asks = levels
		}
		v.held[s] = maps.Clone(v.orders[s])
	}
	if err := v.book.Apply(u, 0, v.now); err != nil {
		panic(err)
	}
	return u, v.book.View()
}

// list is what the venue answers now.
func (v *venue) list(limit int) *List {
	l := &List{Asked: time.UnixMicro(int64(v.now) - v.rng.Int64N(80_000)), Replied: time.UnixMicro(int64(v.now) + v.rng.Int64N(80_000))}
	for s := range v.orders {
		side := model.Side(s)
		for _, p := range slices.SortedFunc(maps.Keys(v.orders[s]), func(a, b num.Price) int { return order(side, a, b) }) {
			for _, r := range v.orders[s][p] {
				if len(l.Orders[s]) < limit {
					l.Orders[s] = append(l.Orders[s], r)
				}
			}
		}
		l.Complete[s] = len(l.Orders[s]) < limit
	}
	return l
}

// check compares what is published with the book and, where it is said to be exact, with the truth of the last batch.
func (v *venue) check(t *tracked, exact bool, states *[4]int) error {
	a, now := t.published.Load(), v.book.View()
	if a == nil {
		return nil
	}
	if a.Seq != now.Seq {
		return fmt.Errorf("published for %d, the book is at %d", a.Seq, now.Seq)
	}
	for s, levels := range a.Levels {
		for i, l := range levels {
			if i > 0 && !better(model.Side(s), levels[i-1].Price, l.Price) {
				return fmt.Errorf("%v after %v", l.Price, levels[i-1].Price)
			}
			sum := l.Rest
			for _, r := range l.Orders {
				if sum += r.Size; r.Size <= 0 || r.ID == 0 || r.Account == 0 || r.Price != l.Price {
					return fmt.Errorf("order %+v at %v", r, l.Price)
				}
			}
			if size := now.At(model.Side(s), l.Price); sum != size || l.Size != size || size == 0 || l.Rest < 0 {
				return fmt.Errorf("level %+v adds up to %d of %d", l, sum, size)
			}
			if l.State == model.OwnersUnknown != (len(l.Orders) == 0) || l.Rest > 0 && l.State < model.OwnersPartial {
				return fmt.Errorf("level %+v is %v", l, l.State)
			}
			states[l.State]++
			if truth := v.held[s][l.Price]; exact && l.State == model.OwnersConfirmed && !slices.Equal(l.Orders, truth) {
				return fmt.Errorf("level %v %d is confirmed as\n%+v, and is\n%+v", model.Side(s), l.Price, l.Orders, truth)
			}
		}
	}
	return nil
}

// Books, fills, cancels and lists in random order: what is known of a level always adds up to it, and what is said to be
// exact is. Fills come before the book that shows them, or after it.
func TestJoinAgainstTruth(t *testing.T) {
	var states [4]int
	for seed := range uint64(200) {
		run(t, seed, 1<<40, &states)
	}
	t.Logf("confirmed %d, inferred %d, partial %d, unknown %d", states[0], states[1], states[2], states[3])
	sum := states[0] + states[1] + states[2] + states[3]
	for s, n := range states {
		if n*100 < sum {
			t.Errorf("%v came %d times of %d: not much is tested", model.OwnerState(s), n, sum)
		}
	}
}

// With small sizes one cannot be told from another, and nothing is exact; but nothing adds up to more than its level.
func TestJoinOfEqualSizes(t *testing.T) {
	var states [4]int
	for seed := range uint64(200) {
		run(t, seed, 3, &states)
	}
}

func run(t *testing.T, seed uint64, sizes int64, states *[4]int) {
	v, w := newVenue(seed, sizes), newTracked(0, &index{markets: map[model.AccountID][]*tracked{}})
	for range 60 {
		v.change()
	}
	w.book(v.flush(true))
	limit := []int{8, 20, 250}[seed%3]
	delayed := seed%2 == 0
	var fills []*model.Event // not told yet
	var list *List
	lists := 0
	for step := range 600 {
		if e := v.change(); e != nil {
			if fills = append(fills, e); !delayed {
				fills = nil
				w.trades(e, e.Payload.(*model.TradeBatch))
			}
		}
		for len(fills) > 0 && v.rng.IntN(3) == 0 {
			e := fills[0]
			e.Recv, fills = v.now, fills[1:]
			w.trades(e, e.Payload.(*model.TradeBatch))
		}
		if err := v.check(w, sizes > 1000, states); err != nil {
			t.Fatalf("seed %d step %d, after a fill: %v", seed, step, err)
		}
		switch k := v.rng.IntN(100); {
		case k < 50:
			w.book(v.flush(false))
		case k == 51:
			w.reset()
			w.book(v.flush(true))
			if w.published.Load() != nil {
				t.Fatalf("seed %d step %d: something is known after a hole", seed, step)
			}
		case k > 90 && list == nil:
			list = v.list(limit)
		case k > 85 && list != nil && list.Replied.Add(settle).UnixMicro() < int64(v.now):
			if _, ok := w.join(list); ok {
				lists++
			}
			list = nil
		}
		if err := v.check(w, sizes > 1000, states); err != nil {
			t.Fatalf("seed %d step %d: %v", seed, step, err)
		}
	}
	if lists < 3 {
		t.Errorf("seed %d: %d lists were joined", seed, lists)
	}
}
