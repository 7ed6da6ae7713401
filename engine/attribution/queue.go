package attribution

import (
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// maxStrangers bounds the amounts without an owner that a level tells apart; older ones are joined.
const maxStrangers = 32

// queue is what is known of the orders of a level at one moment, first in the queue first. An entry without an ID is an
// amount that nobody is known to own: what came in one update, as far as it is still there.
type queue struct {
	entries  []model.RestingOrder
	inferred bool // something was concluded
	flagged  bool // something does not fit: the orders are an estimate
}

func (q *queue) clone() queue {
	c := *q
	c.entries = slices.Clone(q.entries)
	return c
}

func (q *queue) total() (sum num.Size) {
	for i := range q.entries {
		sum += q.entries[i].Size
	}
	return sum
}

// filled reduces the order that a fill names; where it is not known, or was smaller, the strangers, oldest first.
func (q *queue) filled(order uint64, size num.Size) {
	if i := slices.IndexFunc(q.entries, func(r model.RestingOrder) bool { return r.ID == order }); i >= 0 && order != 0 {
		part := min(size, q.entries[i].Size)
		q.entries[i].Size -= part
		if size -= part; size > 0 {
			q.flagged = true
		}
	}
	for i := range q.entries {
		if size == 0 {
			break
		}
		if q.entries[i].ID == 0 {
			part := min(size, q.entries[i].Size)
			q.entries[i].Size -= part
			size -= part
		}
	}
	q.entries = slices.DeleteFunc(q.entries, func(r model.RestingOrder) bool { return r.Size == 0 })
}

// fit makes the entries add up to the level's size: more is a newcomer, less somebody who left.
func (q *queue) fit(size num.Size) {
	switch diff := size - q.total(); {
	case diff > 0:
		q.came(diff)
	case diff < 0:
		q.left(-diff, size)
	}
}

func (q *queue) came(size num.Size) {
	q.entries = append(q.entries, model.RestingOrder{Size: size})
	strangers, first := 0, -1
	for i := range q.entries {
		if q.entries[i].ID != 0 {
			continue
		}
		if strangers++; first < 0 {
			first = i
		}
	}
	if strangers <= maxStrangers {
		return
	}
	next := first + 1
	for q.entries[next].ID != 0 {
		next++
	}
	q.entries[next].Size += q.entries[first].Size
	q.entries = slices.Delete(q.entries, first, first+1)
}

// left takes a fall that no fill explains. Exactly one entry of its size is taken for the one that left. Else only
// orders larger than the fall are sure to be still there; which of the others are is not known.
func (q *queue) left(fall, size num.Size) {
	at, several := -1, false
	var doubtful num.Size
	for i, r := range q.entries {
		if r.Size == fall {
			several, at = at >= 0, i
		}
		if r.Size <= fall || r.ID == 0 {
			doubtful += r.Size
		}
	}
	if at >= 0 && !several {
		q.entries = slices.Delete(q.entries, at, at+1)
		q.inferred = true
		return
	}
	q.flagged = true
	if doubtful < fall { // not even all of those: somebody's order became smaller
		q.entries = q.entries[:0]
		if size > 0 {
			q.entries = append(q.entries, model.RestingOrder{Size: size})
		}
		return
	}
	q.entries = slices.DeleteFunc(q.entries, func(r model.RestingOrder) bool { return r.Size <= fall || r.ID == 0 })
	if rest := doubtful - fall; rest > 0 {
		q.entries = append(q.entries, model.RestingOrder{Size: rest})
	}
}

// shown is the queue as readers see it.
func (q *queue) shown(price num.Price, at model.Millis) *model.OwnedLevel {
	l := &model.OwnedLevel{Price: price, At: at, Orders: make([]model.RestingOrder, 0, len(q.entries))}
	for _, r := range q.entries {
		l.Size += r.Size
		if r.ID == 0 {
			l.Rest += r.Size
		} else {
			l.Orders = append(l.Orders, r)
		}
	}
	switch {
	case len(l.Orders) == 0:
		l.State = model.OwnersUnknown
	case l.Rest > 0 || q.flagged:
		l.State = model.OwnersPartial
	case q.inferred:
		l.State = model.OwnersInferred
	}
	return l
}
