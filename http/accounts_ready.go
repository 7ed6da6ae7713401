package http

import (
	"sync"
	"unsafe"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// readyShards is the number of independently locked parts of the ready bodies.
const readyShards = 64

// readyOverhead is what an entry takes beside what it points to: the struct, and its places in the map and the ring.
const readyOverhead = 224

// readyBodies keeps the encoded rows of the accounts that are asked for most. A body stands while the row's version is the
// one that it was made with; with other mark prices only the members that follow them are written anew. A body is made for
// an account when it was asked for twice. It is bounded in bytes; what was not asked for since the hand passed last goes
// first.
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
type readyKey uint64

func readyKeyOf(id model.AccountID, activeOnly bool) readyKey {
	k := readyKey(id) << 1 // the number of the venue, in the highest bits, is a small one
	if activeOnly {
		k |= 1
	}
	return k
}

// readyBody is an account's object from its beginning to the end of its positions. Its bytes are written again in place;
// readers copy them while the shard is locked.
type readyBody struct {
	key     readyKey
	version uint32
	marks   uint64 // the marks' number
	stood   readyStanding
	head    int    // where the member positions begins
	text    []byte // empty: asked for once with this version
	asked   bool   // since the hand passed

	// What the members that follow the marks are made of.
	parts      []markedPart
	collateral num.USD
	polled     bool
	positions  []model.Position
}

// markedParts are the parts of an account's text that follow the mark prices.
type markedParts struct{ list []markedPart }

// markedPart is such a part of one position.
type markedPart struct {
	market   *model.Market // nil: it is not known, and the position not in the text
	position int           // its place among the account's
	from, to int           // where the text stands
}

func (p *markedParts) add(part markedPart) { p.list = append(p.list, part) }

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
	return &r.shards[uint64(k)*0x9e3779b97f4a7c15>>(64-6)]
}

// append copies a body that stands to dst, without its positions where head is set; scratch is memory to use. Where there
// is none, keep tells whether the one that the caller makes now is worth keeping.
func (r *readyBodies) append(dst []byte, k readyKey, version uint32, m *marks, head bool, scratch *risk.Assessment) (_ []byte, stood readyStanding, found, keep bool) {
	if r == nil {
		return dst, stood, false, false
	}
	s := r.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.entries[k]
	switch {
	case b == nil:
		s.add(&readyBody{key: k, version: version}, r.budget)
		return dst, stood, false, false
	case b.version != version:
		b.asked, b.version, b.text = true, version, b.text[:0]
		return dst, stood, false, false
	}
	b.asked = true
	switch {
	case len(b.text) == 0 || !head && b.marks != m.number && !b.stands(m):
		return dst, stood, false, true
	case head:
		return append(dst, b.text[:b.head]...), b.stood, true, true
	case b.marks != m.number && len(b.parts) > 0:
		before := b.size()
		dst = b.mark(dst, m, scratch)
		s.bytes += b.size() - before
		s.shrink(r.budget)
		return dst, b.stood, true, true
	}
	return append(dst, b.text...), b.stood, true, true
}

// stands tells whether all of a body but what follows the marks is still right: its markets are what they were.
func (b *readyBody) stands(m *marks) bool {
	for i := range b.parts {
		var now *model.Market
		if k := m.of(b.positions[b.parts[i].position].Market); k != nil {
			now = k.Info
		}
		if now != b.parts[i].market {
			return false
		}
	}
	return true
}

// mark brings a body that stands to other marks and appends it to dst.
func (b *readyBody) mark(dst []byte, m *marks, scratch *risk.Assessment) []byte {
	scratch.Assess(&model.Account{Collateral: b.collateral, Positions: b.positions}, m.lookup)
	exposures := scratch.Exposures
	start, done := len(dst), 0
	for i := range b.parts {
		part := &b.parts[i]
		if part.market == nil {
			continue
		}
		p := &b.positions[part.position]
		var e *risk.Exposure
		if len(exposures) > 0 && exposures[0].Position == p {
			e, exposures = &exposures[0], exposures[1:]
		}
		dst = append(dst, b.text[done:part.from]...)
		done, part.from = part.to, len(dst)-start
		dst = appendMarked(dst, p, e, m.of(p.Market), b.polled)
		part.to = len(dst) - start
	}
	dst = append(dst, b.text[done:]...)
	b.marks, b.text = m.number, append(b.text[:0], dst[start:]...)
	return dst
}

// size returns the bytes that a body points to.
func (b *readyBody) size() int64 {
	return int64(cap(b.text)) + int64(cap(b.parts))*int64(unsafe.Sizeof(markedPart{})) + int64(cap(b.positions))*int64(unsafe.Sizeof(model.Position{}))
}

// put keeps a body that was made of a row read after the version: what dst holds from a place on.
func (r *readyBodies) put(k readyKey, version uint32, number uint64, dst []byte, from, head int, stood readyStanding, a *model.Account, parts []markedPart) {
	s := r.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.entries[k]
	if b == nil {
		return // it went meanwhile
	}
	before := b.size()
	b.version, b.marks, b.head, b.stood = version, number, head, stood
	b.text = append(b.text[:0], dst[from:]...)
	b.parts = append(b.parts[:0], parts...)
	for i := range b.parts {
		b.parts[i].from -= from
		b.parts[i].to -= from
	}
	b.collateral, b.polled = a.Collateral, a.Polled != 0
	b.positions = append(b.positions[:0], a.Positions...)
	s.bytes += b.size() - before
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
		s.bytes -= readyOverhead + b.size()
		last := len(s.ring) - 1
		s.ring[s.hand] = s.ring[last]
		s.ring[last] = nil
		s.ring = s.ring[:last]
	}
}
