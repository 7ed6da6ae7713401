package http

import (
	"slices"
	"sync"
	"unsafe"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// readyShards is the number of independently locked parts of the ready bodies.
const readyShards = 64

// readyOverhead is what an entry takes beside what it points to: the struct, and its places in the map and the ring.
const readyOverhead = int64(unsafe.Sizeof(readyBody{})) + 64

// standingRoom is more than a standing takes.
const standingRoom = 96

// readyBodies keeps the encoded rows of the accounts that are asked for most. A body stands while the row's version is the
// one that it was made with; with other mark prices only the members that follow them are written anew, with other orders
// only these. A body is made for an account when it was asked for twice. It is bounded in bytes; what was not asked for
// since the hand passed last goes first.
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

// readyBody is an account's object from its beginning to the end of where it stands, which stale follows. Its bytes are
// written again in place; readers copy them while the shard is locked.
type readyBody struct {
	key      readyKey
	version  uint32
	written  uint32 // how often it or its orders were written
	asked    bool   // since the hand passed
	gone     bool   // it is kept no longer
	marks    uint64 // the marks' number
	stood    standing
	text     []byte // empty: asked for once with this version
	head     int    // where the member positions begins
	orders   int    // where the member orders begins, if it is there
	standing int    // where the standing begins: at orders where there are none

	// What the text of the orders was made of: with other marks their markets may be others too.
	resting      []model.OpenOrder
	whales       *whaleRules
	restingMarks uint64
	restingIn    []*model.Market

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

// shardOf returns the number of a key's shard.
func shardOf(k readyKey) uint64 { return uint64(k) * 0x9e3779b97f4a7c15 >> (64 - 6) }

// look finds the bodies of accounts that stand, by the versions in a, and tells of the others whether one that is made now
// is worth keeping. Each shard is locked once.
func (r *readyBodies) look(a *ahead, ids []model.AccountID, activeOnly bool, m *marks, parts *elementParts) {
	var ends [readyShards]int // of the ids' places, by shard
	for _, id := range ids {
		ends[shardOf(readyKeyOf(id, activeOnly))]++
	}
	n := 0
	for i, of := range ends {
		ends[i] = n
		n += of
	}
	var places [lookAhead]uint8
	for i, id := range ids {
		end := &ends[shardOf(readyKeyOf(id, activeOnly))]
		places[*end] = uint8(i)
		*end++
	}
	from := 0
	for i, to := range ends {
		if from < to {
			s := &r.shards[i]
			s.mu.Lock()
			for _, at := range places[from:to] {
				a.bodies[at] = s.entries[readyKeyOf(ids[at], activeOnly)]
			}
			for _, at := range places[from:to] {
				s.look(a, at, readyKeyOf(ids[at], activeOnly), r.budget)
			}
			for _, at := range places[from:to] {
				if b := a.bodies[at]; b != nil {
					a.written[at], a.resting[at] = b.written, parts.owned && b.rest(a.orders[at], m, parts)
				}
			}
			s.mu.Unlock()
		}
		from = to
	}
}

// look takes a body out of a where it does not stand.
func (s *readyShard) look(a *ahead, at uint8, k readyKey, budget int64) {
	b, version := a.bodies[at], a.versions[at]
	a.keep[at] = false
	if b == nil {
		s.add(&readyBody{key: k, version: version}, budget)
		return
	}
	b.asked = true
	switch {
	case b.version != version:
		b.version, b.text = version, b.text[:0]
		a.bodies[at] = nil
	case len(b.text) == 0:
		a.bodies[at], a.keep[at] = nil, true
	}
}

// take copies to dst what stands of the i-th body that was looked up, as far as the parts go; scratch is memory to use.
func (r *readyBodies) take(dst []byte, a *ahead, i int, m *marks, parts *elementParts, scratch *risk.Assessment) ([]byte, standing, reach) {
	b := a.bodies[i]
	s := &r.shards[shardOf(b.key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.version != a.versions[i] || len(b.text) == 0 {
		return dst, standing{}, reachedNothing
	}
	if parts.positions && b.marks != m.number && len(b.parts) > 0 {
		if !b.stands(m) {
			return dst, standing{}, reachedNothing
		}
		before := b.size()
		dst = b.mark(dst, m, scratch)
		s.grown(b, before, r.budget)
	}
	resting := a.resting[i] && b.written == a.written[i]
	switch {
	case !parts.positions && resting:
		dst = append(dst, b.text[:b.head]...)
		return append(dst, b.text[b.orders:b.standing]...), b.stood, reachedOrders
	case !parts.positions:
		return append(dst, b.text[:b.head]...), b.stood, reachedPositions
	case !resting:
		return append(dst, b.text[:b.orders]...), b.stood, reachedPositions
	case !parts.last:
		return append(dst, b.text[:b.standing]...), b.stood, reachedOrders
	}
	return append(dst, b.text...), b.stood, reachedStanding
}

// rest tells whether the text of a body's orders is that of these.
func (b *readyBody) rest(orders []model.OpenOrder, m *marks, parts *elementParts) bool {
	if b.standing == b.orders || b.whales != parts.whales || !slices.Equal(b.resting, orders) {
		return false
	}
	if b.restingMarks != m.number {
		for i := range orders {
			if b.restingIn[i] != m.market(orders[i].Market) {
				return false
			}
		}
		b.restingMarks = m.number
	}
	return true
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

// mark brings a body that stands to other marks. It writes behind dst, which it returns as it was but for its capacity.
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
	longer := len(dst) - start - done
	dst = append(dst, b.text[done:]...)
	b.orders, b.standing = b.orders+longer, b.standing+longer
	b.marks, b.text = m.number, append(b.text[:0], dst[start:]...)
	return dst[:start]
}
