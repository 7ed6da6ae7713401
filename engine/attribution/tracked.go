package attribution

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	// remembered is how long the sizes of levels and the fills are known afterwards: a list is compared with the sizes
	// that the levels had while it was asked for.
	remembered = model.Micros(10e6)
	maxViews   = 1024
	maxFills   = 4096
)

// tracked is one watched market. Its lock is held for as long as one frame or one list takes, by the market's shard and
// by whoever polls.
type tracked struct {
	id    model.MarketID
	index *index
	until atomic.Int64 // unix ns up to which it is watched

	published atomic.Pointer[model.Attribution]
	places    atomic.Pointer[map[model.AccountID][]place] // where the accounts of the last list have orders

	// Of the goroutine that polls:
	asked    time.Time // when the last poll began; zero: never
	polling  bool
	failures int

	mu       sync.Mutex
	ended    bool         // nobody watches it any more
	views    []*book.View // of the last seconds, oldest first; the last one is the book now; none while out of sync
	fills    []pastFill   // of the last seconds, as they came
	sides    [2][]*level  // best first
	waiting  []*level     // those with a fill that the book does not show yet
	changed  bool         // levels differ from the published ones
	lists    uint64       // lists joined so far; 0 again after a hole
	at       model.Millis // of the last one
	complete [2]bool
	last     listed
	arrivals []*model.Arrivals
}

// place is a level.
type place struct {
	side  model.Side
	price num.Price
}

// pastFill is a fill and where it was.
type pastFill struct {
	fill
	place
	recv model.Micros
}

func newTracked(id model.MarketID, x *index) *tracked { return &tracked{id: id, index: x} }

// reset forgets everything: there is a hole in the stream.
func (t *tracked) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear(nil)
}

// clear begins anew with a book, which may be nil.
func (t *tracked) clear(v *book.View) {
	t.views, t.fills, t.waiting = nil, nil, nil
	if v != nil {
		t.views = append(t.views, v)
	}
	t.sides, t.arrivals, t.last, t.complete = [2][]*level{}, nil, listed{}, [2]bool{}
	if t.lists > 0 {
		t.lists = 0
		t.published.Store(nil)
		t.place(nil)
	}
}

// place takes where the accounts of a list have orders; nil: nowhere that is known. The lock is held.
func (t *tracked) place(places map[model.AccountID][]place) {
	var before map[model.AccountID][]place
	if old := t.places.Swap(&places); old != nil {
		before = *old
	}
	t.index.move(t, before, places)
}

// end forgets everything for good: nobody watches the market any more. A list that is still under way is not joined.
func (t *tracked) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear(nil)
	t.ended = true
}

// seed begins with the live book where no frame has come since the market is watched.
func (t *tracked) seed(v *book.View) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.views) == 0 {
		t.views = append(t.views, v)
	}
}

// now is the book as of the last frame; nil while out of sync. The lock is held.
func (t *tracked) now() *book.View {
	if len(t.views) == 0 {
		return nil
	}
	return t.views[len(t.views)-1]
}

// book follows a frame; v is the book after it.
func (t *tracked) book(u *model.BookUpdate, v *book.View) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.now()
	switch {
	case v == nil:
		return
	case v == before || before != nil && v.Seq == before.Seq && !u.Snapshot:
		return // seeded with it
	case u.Snapshot || before == nil || before.Epoch != v.Epoch || before.Seq != u.Prev:
		t.clear(v)
		return
	}
	t.remember(v)
	for s, levels := range [2][]model.Level{model.Bid: u.Bids, model.Ask: u.Asks} {
		for _, changed := range levels {
			t.touch(model.Side(s), changed.Price, v)
		}
	}
	t.waiting = slices.DeleteFunc(t.waiting, func(l *level) bool {
		if l.due(v.Seq) {
			t.changed = true
			l.step(step{v.Seq, v.Recv, l.size()})
		}
		return !l.waits(v.Seq)
	})
	t.publish()
}

// remember keeps a view for the lists to come.
func (t *tracked) remember(v *book.View) {
	t.views = append(t.views, v)
	n := 0
	// The view before the first one in reach was in force then.
	for n < len(t.views)-1 && (t.views[n+1].Recv < v.Recv-remembered || len(t.views)-n > maxViews) {
		n++
	}
	t.views = slices.Delete(t.views, 0, n)
}

// touch takes a level's new size.
func (t *tracked) touch(s model.Side, p num.Price, v *book.View) {
	i, found := find(t.sides[s], s, p)
	if !found {
		return
	}
	l := t.sides[s][i]
	size := v.At(s, p)
	if size == l.size() && !l.due(v.Seq) {
		return
	}
	t.changed = true
	if size == 0 {
		t.sides[s] = slices.Delete(t.sides[s], i, i+1)
		t.waiting = slices.DeleteFunc(t.waiting, func(w *level) bool { return w == l })
		return
	}
	l.step(step{v.Seq, v.Recv, size})
}

// trades follows fills. Rows that repeat the past, or come after an outage, are behind the lists.
func (t *tracked) trades(e *model.Event, b *model.TradeBatch) {
	if b.History || b.REST || b.Recovered {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.now()
	if v == nil {
		return
	}
	for i := range b.Rows {
		r := &b.Rows[i]
		if r.Epoch != v.Epoch || r.Size <= 0 || r.Kind != model.KindTrade && r.Kind != model.KindLiquidation {
			continue // the others do not meet in the book
		}
		f := pastFill{fill: fill{nonce: b.Nonce, order: r.BidOrder, size: r.Size}, place: place{model.Bid, r.Price}, recv: e.Recv}
		if r.MakerAsk {
			f.order, f.side = r.AskOrder, model.Ask
		}
		if f.nonce == 0 {
			f.nonce = v.Seq
		}
		t.fill(f, v)
	}
	t.publish()
}

func (t *tracked) fill(f pastFill, v *book.View) {
	n := 0
	for n < len(t.fills) && (t.fills[n].recv < f.recv-remembered || len(t.fills)-n >= maxFills) {
		n++
	}
	t.fills = append(slices.Delete(t.fills, 0, n), f)
	i, found := find(t.sides[f.side], f.side, f.price)
	if !found {
		return
	}
	l := t.sides[f.side][i]
	switch past := l.fill(f.fill, v.Seq); {
	case past && l.due(v.Seq):
		l.step(step{v.Seq, f.recv, l.size()})
		t.changed = true
	case past:
		l.show()
		t.changed = true
	case l.waits(v.Seq) && !slices.Contains(t.waiting, l):
		t.waiting = append(t.waiting, l)
	}
}

// publish makes the present state what readers see. The lock is held.
func (t *tracked) publish() {
	v := t.now()
	if t.lists == 0 || v == nil {
		return
	}
	a := &model.Attribution{At: t.at, Epoch: v.Epoch, Seq: v.Seq, Complete: t.complete, Arrivals: t.arrivals}
	if old := t.published.Load(); old != nil && !t.changed {
		if old.Seq == a.Seq {
			return // a fill that the book does not show yet
		}
		a.Levels = old.Levels
	} else {
		for s, levels := range t.sides {
			a.Levels[s] = make([]*model.OwnedLevel, len(levels))
			for i, l := range levels {
				a.Levels[s][i] = l.shown
			}
		}
	}
	t.changed = false
	t.published.Store(a)
}

// better tells whether a price is better than another on a side.
func better(s model.Side, p, than num.Price) bool {
	if s == model.Bid {
		return p > than
	}
	return p < than
}

// order compares prices of a side, best first.
func order(s model.Side, a, b num.Price) int {
	switch {
	case a == b:
		return 0
	case better(s, a, b):
		return -1
	}
	return 1
}

func find(levels []*level, s model.Side, p num.Price) (int, bool) {
	return slices.BinarySearchFunc(levels, p, func(l *level, p num.Price) int { return order(s, l.price, p) })
}

func findShown(levels []*model.OwnedLevel, s model.Side, p num.Price) *model.OwnedLevel {
	i, found := slices.BinarySearchFunc(levels, p, func(l *model.OwnedLevel, p num.Price) int { return order(s, l.Price, p) })
	if !found {
		return nil
	}
	return levels[i]
}
