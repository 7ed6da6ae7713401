package http

import (
	"slices"
	"unsafe"

	"hyperlight/engine/model"
)

// size returns the bytes that a body points to.
func (b *readyBody) size() int64 {
	return int64(cap(b.text)) + int64(cap(b.parts))*int64(unsafe.Sizeof(markedPart{})) + int64(cap(b.positions))*int64(unsafe.Sizeof(model.Position{})) +
		int64(cap(b.resting))*int64(unsafe.Sizeof(model.OpenOrder{})) + int64(cap(b.restingIn))*int64(unsafe.Sizeof((*model.Market)(nil)))
}

// madeBody is an object that was just written: where it begins, and where its parts do.
type madeBody struct {
	from, head, orders int
	stood              standing
}

// put keeps a body that was made of a row read after the version: what dst holds of it up to its orders.
func (r *readyBodies) put(k readyKey, version uint32, m *marks, dst []byte, made *madeBody, a *model.Account, parts []markedPart) {
	s := &r.shards[shardOf(k)]
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.entries[k]
	if b == nil {
		return // it went meanwhile
	}
	before := b.size()
	b.written++
	b.version, b.marks, b.stood = version, m.number, made.stood
	b.text = append(slices.Grow(b.text[:0], len(dst)-made.from+standingRoom), dst[made.from:made.orders]...)
	b.head, b.orders, b.standing = made.head-made.from, len(b.text), len(b.text)
	b.text = appendStood(b.text, &b.stood)
	b.resting = b.resting[:0]
	b.parts = append(b.parts[:0], parts...)
	for i := range b.parts {
		b.parts[i].from -= made.from
		b.parts[i].to -= made.from
	}
	b.collateral, b.polled = a.Collateral, a.Polled != 0
	b.positions = append(b.positions[:0], a.Positions...)
	s.grown(b, before, r.budget)
}

// putOrders gives the body of a key, if it is there with this version, the text of its orders.
func (r *readyBodies) putOrders(k readyKey, version uint32, text []byte, orders []model.OpenOrder, m *marks, parts *elementParts) {
	s := &r.shards[shardOf(k)]
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.entries[k]
	if b == nil || b.version != version || len(b.text) == 0 {
		return
	}
	before := b.size()
	b.written++
	b.text = slices.Replace(b.text, b.orders, b.standing, text...)
	b.standing = b.orders + len(text)
	b.resting, b.restingIn = append(b.resting[:0], orders...), b.restingIn[:0]
	for i := range orders {
		b.restingIn = append(b.restingIn, m.market(orders[i].Market))
	}
	b.whales, b.restingMarks = parts.whales, m.number
	s.grown(b, before, r.budget)
}

// grown counts a body's new size.
func (s *readyShard) grown(b *readyBody, before, budget int64) {
	if !b.gone {
		s.bytes += b.size() - before
		s.shrink(budget)
	}
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
		b.gone = true
		s.bytes -= readyOverhead + b.size()
		last := len(s.ring) - 1
		s.ring[s.hand] = s.ring[last]
		s.ring[last] = nil
		s.ring = s.ring[:last]
	}
}
