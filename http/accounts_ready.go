package http

import (
	"sync"

	"hyperlight/engine/model"
)

// readyShards is the number of independently locked parts of the ready bodies.
const readyShards = 64

// readyOverhead is what an entry takes beside its bytes: the struct, and its places in the map and the ring.
const readyOverhead = 192

// readyBodies keeps the encoded rows of the accounts that are asked for most. A body stands while the row's version and
// the mark prices are those that it was made with. A body is made for an account only when it was asked for twice: to
// keep what is asked for once a second, with other marks each time, would cost more than it saves. It is bounded in
// bytes; what was not asked for since the hand passed last goes first.
type readyBodies struct {
	shards [readyShards]readyShard
	budget int64 // of a shard
}

type readyShard struct {
	mu      sync.Mutex
	entries map[readyKey]*readyBody
	ring    []*readyBody
	hand    int
	bytes   int64
}

// readyKey names a body: an account, with or without its flat positions.
type readyKey struct {
	account    model.AccountID
	activeOnly bool
}

// readyBody is an account's object from its beginning to the end of its positions. Its bytes are written again in place;
// readers copy them while the shard is locked.
type readyBody struct {
	key     readyKey
	version uint32
	marks   uint64 // the marks' number; 0: no mark price is in it
	stood   readyStanding
	head    int    // where the member positions begins
	text    []byte // empty: asked for once with this version and marks
	asked   bool   // since the hand passed
}

// readyStanding is what the end of an account's object is made from.
type readyStanding struct {
	updated, polled model.Millis
	source          model.AccountSource
}

// newReadyBodies returns bodies that take at most budget bytes; nil, which keeps nothing, for 0.
func newReadyBodies(budget int64) *readyBodies {
	if budget <= 0 {
		return nil
	}
	r := &readyBodies{budget: budget / readyShards}
	for i := range r.shards {
		r.shards[i].entries = make(map[readyKey]*readyBody)
	}
	return r
}

func (r *readyBodies) shard(k readyKey) *readyShard {
	return &r.shards[uint64(k.account)*0x9e3779b97f4a7c15>>(64-6)]
}

// append copies a body that stands to dst, without its positions where head is set. Where there is none, keep tells
// whether the one that the caller makes now is worth keeping.
func (r *readyBodies) append(dst []byte, k readyKey, version uint32, number uint64, head bool) (_ []byte, stood readyStanding, found, keep bool) {
	if r == nil {
		return dst, stood, false, false
	}
	s := r.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.entries[k]
	if b == nil {
		s.add(&readyBody{key: k, version: version, marks: number}, r.budget)
		return dst, stood, false, false
	}
	b.asked = true
	if b.version != version || b.marks != number && b.marks != 0 {
		b.version, b.marks, b.text = version, number, b.text[:0]
		return dst, stood, false, false
	}
	if len(b.text) == 0 {
		return dst, stood, false, true
	}
	text := b.text
	if head {
		text = text[:b.head]
	}
	return append(dst, text...), b.stood, true, true
}

// put keeps a body that was made of a row read after the version. Marks is 0 where no mark price is in it.
func (r *readyBodies) put(k readyKey, version uint32, number uint64, text []byte, head int, stood readyStanding) {
	s := r.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.entries[k]
	if b == nil {
		return // it went meanwhile
	}
	before := cap(b.text)
	b.version, b.marks, b.head, b.stood = version, number, head, stood
	b.text = append(b.text[:0], text...)
	s.bytes += int64(cap(b.text) - before)
	s.shrink(r.budget)
}

func (s *readyShard) add(b *readyBody, budget int64) {
	s.entries[b.key] = b
	s.ring = append(s.ring, b)
	s.bytes += readyOverhead
	s.shrink(budget)
}

// shrink drops bodies until the budget holds: the hand goes round, spares who was asked for since, once, and drops the
// rest.
func (s *readyShard) shrink(budget int64) {
	for s.bytes > budget && len(s.ring) > 1 {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		b := s.ring[s.hand]
		if b.asked {
			b.asked = false
			s.hand++
			continue
		}
		delete(s.entries, b.key)
		s.bytes -= readyOverhead + int64(cap(b.text))
		last := len(s.ring) - 1
		s.ring[s.hand] = s.ring[last]
		s.ring[last] = nil
		s.ring = s.ring[:last]
	}
}
