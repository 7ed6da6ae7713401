package delivery

import (
	"container/heap"
	"slices"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// entry is a delivery that waits or is being made. What is sent lies in the store.
type entry struct {
	id, signal uuid.UUID
	triggered  model.Millis
	due        model.Millis // what its key in the store says
	before     int          // attempts made before it was sent again by hand
	attempts   int
	resent     bool
	dropped    bool      // its signal is gone
	event      time.Time // zero once the delay was measured
	point      *endpoint
}

// place names an endpoint: an address that an owner calls.
type place struct {
	owner uuid.UUID
	url   string
}

// endpoint is the queue of one address: one call at a time, so that a receiver that hangs holds up nobody else.
type endpoint struct {
	place
	waiting entries
	count   int // waiting, staged and being made
	busy    bool
	parked  bool // due, but its owner has as many calls under way as one may
	at      int  // index in the heap of the ready; -1: not in it
}

// entries is a heap by due time.
type entries []*entry

// Len implements heap.Interface.
func (h entries) Len() int { return len(h) }

// Less implements heap.Interface.
func (h entries) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].triggered < h[j].triggered
}

// Swap implements heap.Interface.
func (h entries) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *entries) Push(x any) { *h = append(*h, x.(*entry)) }

// Pop implements heap.Interface.
func (h *entries) Pop() any {
	n := len(*h) - 1
	e := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return e
}

// endpoints is a heap by the due time of each one's first entry.
type endpoints []*endpoint

// Len implements heap.Interface.
func (h endpoints) Len() int { return len(h) }

// Less implements heap.Interface.
func (h endpoints) Less(i, j int) bool { return h[i].waiting[0].due < h[j].waiting[0].due }

// Swap implements heap.Interface.
func (h endpoints) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *endpoints) Push(x any) {
	p := x.(*endpoint)
	p.at = len(*h)
	*h = append(*h, p)
}

// Pop implements heap.Interface.
func (h *endpoints) Pop() any {
	n := len(*h) - 1
	p := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	p.at = -1
	return p
}

// ownerLoad is how many calls of an owner are under way, and which endpoints wait for one to end.
type ownerLoad struct {
	running int
	parked  []*endpoint
}

// waitingRoom holds everything that is not finished. Its methods need the queue's lock.
type waitingRoom struct {
	points  map[place]*endpoint
	entries map[uuid.UUID]*entry
	owners  map[uuid.UUID]*ownerLoad
	ready   endpoints
	running int
}

func newWaitingRoom() waitingRoom {
	return waitingRoom{points: map[place]*endpoint{}, entries: map[uuid.UUID]*entry{}, owners: map[uuid.UUID]*ownerLoad{}}
}

// reserve takes a place in an endpoint's queue; false where it is full, unless forced.
func (w *waitingRoom) reserve(at place, forced bool) (*endpoint, bool) {
	p := w.points[at]
	if p == nil {
		p = &endpoint{place: at, at: -1}
		w.points[at] = p
	}
	running := 0
	if p.busy {
		running = 1
	}
	if p.count-running >= MaxWaiting && !forced {
		return p, false
	}
	p.count++
	return p, true
}

// release gives a place back.
func (w *waitingRoom) release(p *endpoint) {
	if p.count--; p.count == 0 {
		delete(w.points, p.place)
	}
}

// put adds an entry whose place is reserved.
func (w *waitingRoom) put(e *entry) {
	w.entries[e.id] = e
	heap.Push(&e.point.waiting, e)
	w.settle(e.point)
}

// settle brings an endpoint to where it belongs in the heap of the ready.
func (w *waitingRoom) settle(p *endpoint) {
	switch {
	case p.busy || p.parked || len(p.waiting) == 0:
		if p.at >= 0 {
			heap.Remove(&w.ready, p.at)
		}
	case p.at >= 0:
		heap.Fix(&w.ready, p.at)
	default:
		heap.Push(&w.ready, p)
	}
}

// share is how many calls an owner may have under way: fewer the more are, so that even several owners whose receivers all
// hang leave workers to others, and whoever has none can always have one while there is a worker.
func (w *waitingRoom) share() int { return min(max((Workers-w.running)/4, 1), workersOfOwner) }

// next takes the entry that is to be sent now; else it returns when to ask again, 0 where nothing is known to come. What is
// due farther ahead than anything can be is due now.
func (w *waitingRoom) next(now, farthest model.Millis) (e *entry, at model.Millis) {
	for len(w.ready) > 0 {
		p := w.ready[0]
		if due := p.waiting[0].due; due > now && due-now <= farthest {
			return nil, due
		}
		if w.running >= Workers {
			return nil, 0 // the end of a call asks again
		}
		load := w.owners[p.owner]
		if load == nil {
			load = &ownerLoad{}
			w.owners[p.owner] = load
		}
		if load.running >= w.share() {
			p.parked = true
			load.parked = append(load.parked, p)
			w.settle(p)
			continue
		}
		e := heap.Pop(&p.waiting).(*entry)
		p.busy = true
		w.settle(p)
		load.running++
		w.running++
		return e, 0
	}
	return nil, 0
}

// ended is told that a call is over. A finished entry gives its place back, another goes on waiting.
func (w *waitingRoom) ended(e *entry, finished bool) {
	p := e.point
	p.busy = false
	w.running--
	load := w.owners[p.owner]
	load.running--
	w.unpark(p.owner, load)
	if finished {
		w.finish(e)
	} else {
		heap.Push(&p.waiting, e)
	}
	w.settle(p)
}

// unpark lets as many endpoints of an owner be chosen again as it may have calls; the others go on waiting for the next end.
func (w *waitingRoom) unpark(owner uuid.UUID, load *ownerLoad) {
	for room := w.share() - load.running; room > 0 && len(load.parked) > 0; {
		p := load.parked[0]
		load.parked = load.parked[1:]
		p.parked = false
		if w.settle(p); p.at >= 0 {
			room--
		}
	}
	if load.running == 0 && len(load.parked) == 0 {
		delete(w.owners, owner)
	}
}

func (w *waitingRoom) finish(e *entry) {
	delete(w.entries, e.id)
	w.release(e.point)
}

// forget drops what waits of a signal; a call under way finds out when it ends.
func (w *waitingRoom) forget(signal uuid.UUID) {
	for _, e := range w.entries {
		if e.signal != signal || e.dropped {
			continue
		}
		e.dropped = true
		for i, x := range e.point.waiting {
			if x == e {
				heap.Remove(&e.point.waiting, i)
				w.finish(e)
				w.rouse(e.point)
				w.settle(e.point)
				break
			}
		}
	}
	// What was to be called next may be among it, and with it the end that parked endpoints wait for.
	for owner, load := range w.owners {
		w.unpark(owner, load)
	}
}

// rouse takes an endpoint out of those that wait for a call of their owner to end: what was due of it is gone.
func (w *waitingRoom) rouse(p *endpoint) {
	if p.parked {
		p.parked = false
		load := w.owners[p.owner]
		load.parked = slices.DeleteFunc(load.parked, func(x *endpoint) bool { return x == p })
	}
}
