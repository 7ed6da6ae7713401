package attribution

import (
	"slices"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	// settle is how long the stream may show later than the list what the list already knows: frames are told in batches
	// of some 50 ms.
	settle = 250 * time.Millisecond
	// keptArrivals is how many lists' arrivals are told, for readers that do not see each list.
	keptArrivals = 3
)

// listed is what has to be known of the list before.
type listed struct {
	orders map[uint64]struct{}
	edge   [2]num.Price // the last price of a side
	rows   [2]int
	whole  [2]bool
}

// covers tells whether the list would have shown an order at a price.
func (l *listed) covers(s model.Side, p num.Price) bool {
	return l.whole[s] || l.rows[s] > 0 && better(s, p, l.edge[s])
}

// window is the views that were in force from the moment a list was asked for until its answer was there, and a little
// longer; none where the stream broke meanwhile. The lock is held.
func (t *tracked) window(l *List) (from, to int) {
	asked, replied := model.Micros(l.Asked.UnixMicro()), model.Micros(l.Replied.Add(settle).UnixMicro())
	for to < len(t.views) && (to == 0 || t.views[to].Recv <= replied) {
		to++
	}
	for from < to-1 && t.views[from+1].Recv <= asked {
		from++
	}
	return from, to
}

// join takes a list, and returns the accounts that it names for the first time; false where it cannot be joined, because
// the stream broke meanwhile.
func (t *tracked) join(l *List) (seen []model.AccountID, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, to := t.window(l)
	if t.ended || from == to || t.views[from].Epoch != l.Epoch || t.views[from].Recv > model.Micros(l.Asked.UnixMicro()) {
		return nil, false
	}
	at := model.Millis(l.Asked.UnixMilli())
	places := map[model.AccountID][]place{}
	for s := range l.Orders {
		side := model.Side(s)
		var levels []*level
		for rows := l.Orders[s]; len(rows) > 0; {
			n := 1
			for n < len(rows) && rows[n].Price == rows[0].Price {
				n++
			}
			cut := n == len(rows) && !l.Complete[s]
			if lv := t.joinLevel(side, rows[:n], from, to, at, cut); lv != nil {
				levels = append(levels, lv)
				for _, r := range lv.base.entries {
					where := place{side, lv.price}
					if p := places[r.Account]; r.ID != 0 && (len(p) == 0 || p[len(p)-1] != where) {
						places[r.Account] = append(p, where)
					}
				}
			}
			rows = rows[n:]
		}
		t.sides[s] = levels
	}
	t.waiting = t.waiting[:0]
	for _, levels := range t.sides {
		for _, lv := range levels {
			if lv.waits(t.now().Seq) {
				t.waiting = append(t.waiting, lv)
			}
		}
	}
	seen = t.compare(l, at)
	t.at, t.complete, t.changed = at, l.Complete, true
	t.place(places)
	t.publish()
	return seen, true
}

// joinLevel compares the rows of one price with the sizes that the level had in the window, and follows the level from
// there to now. nil where the level is gone.
func (t *tracked) joinLevel(s model.Side, rows []model.RestingOrder, from, to int, at model.Millis, cut bool) *level {
	p, v := rows[0].Price, t.now()
	if v.At(s, p) == 0 {
		return nil
	}
	l := &level{price: p, at: at, base: queue{entries: slices.Clone(rows)}}
	sum := l.base.total()
	matched, runs := -1, 0
	for i := from; i < to; i++ {
		if t.views[i].At(s, p) == sum {
			if matched < 0 || matched != i-1 {
				runs++
			}
			matched = i
		}
	}
	switch {
	case matched >= 0:
		l.base.inferred = runs > 1 // the size came back: what the list tells may be of before or of after
	case cut && sum < t.views[to-1].At(s, p):
		matched = to - 1
		l.base.fit(t.views[matched].At(s, p)) // the list ends inside the level
	default:
		if i, found := find(t.sides[s], s, p); found && t.sides[s][i].shown.State == model.OwnersConfirmed {
			return t.sides[s][i] // what was known goes on being exact; the list is of a moment between two frames
		}
		// An estimate.
		matched = to - 1
		if t.views[matched].At(s, p) == 0 {
			return nil
		}
		l.base.fit(t.views[matched].At(s, p))
		l.base.flagged = true
	}
	l.seq = t.views[matched].Seq
	for _, f := range t.fills {
		if f.side == s && f.price == p {
			l.fill(f.fill, v.Seq)
		}
	}
	return l.follow(s, t.views[matched:])
}

// follow repeats what a level did since the first of the views; nil where it was gone meanwhile.
func (l *level) follow(s model.Side, views []*book.View) *level {
	for _, v := range views[1:] {
		switch size := v.At(s, l.price); {
		case size == 0:
			return nil
		case size != l.size() || l.due(v.Seq):
			l.step(step{v.Seq, v.Recv, size})
		}
	}
	l.show()
	return l
}

// compare finds the orders that were not in the list before, and the accounts that were not.
func (t *tracked) compare(l *List, at model.Millis) (seen []model.AccountID) {
	orders := make(map[uint64]struct{}, len(l.Orders[0])+len(l.Orders[1]))
	news := &model.Arrivals{List: t.lists + 1, At: at}
	next := listed{orders: orders, whole: l.Complete}
	for s, rows := range l.Orders {
		for _, r := range rows {
			orders[r.ID] = struct{}{}
			if _, known := t.last.orders[r.ID]; known {
				continue
			}
			seen = append(seen, r.Account)
			if t.lists > 0 && t.last.covers(model.Side(s), r.Price) {
				news.Orders[s] = append(news.Orders[s], r)
			}
		}
		if next.rows[s] = len(rows); len(rows) > 0 {
			next.edge[s] = rows[len(rows)-1].Price
		}
	}
	t.lists++
	t.last = next
	kept := t.arrivals[max(0, len(t.arrivals)-keptArrivals+1):]
	t.arrivals = append(slices.Clone(kept), news)
	return seen
}
