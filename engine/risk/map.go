package risk

import (
	"cmp"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Map is where the positions of one market are closed by force: its entries by price, with running sums, so that any
// range of prices is summed in logarithmic time. It is immutable and may be read from any goroutine.
type Map struct {
	SizeScale uint8
	long      side
	short     side
}

// side is the longs or the shorts, ascending by price. sums[i] is the sum of the entries before i.
type side struct {
	entries []Entry
	sums    []Sum
}

// Sum is the total of some entries.
type Sum struct {
	Size     int64
	Notional num.USD
	Count    int
}

func (s Sum) minus(o Sum) Sum {
	return Sum{s.Size - o.Size, s.Notional - o.Notional, s.Count - o.Count}
}

// NewMap returns the map of the entries, in any order; they are copied.
func NewMap(sizeScale uint8, entries []Entry) *Map {
	m := &Map{SizeScale: sizeScale}
	for _, e := range entries {
		s := m.of(e.Long)
		s.entries = append(s.entries, e)
	}
	for _, s := range []*side{&m.long, &m.short} {
		slices.SortFunc(s.entries, compareEntries)
		s.sum()
	}
	return m
}

func compareEntries(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(a.Account, b.Account))
}

// With returns the map without the entries of the accounts that gone tells, and with the added ones. It costs one pass
// over the map and a sort of what is added.
func (m *Map) With(gone func(model.AccountID) bool, added []Entry) *Map {
	n := &Map{SizeScale: m.SizeScale}
	added = slices.Clone(added)
	slices.SortFunc(added, compareEntries)
	for _, long := range []bool{true, false} {
		from, to := m.of(long), n.of(long)
		to.entries = make([]Entry, 0, len(from.entries)+len(added))
		next := 0
		take := func(before *Entry) {
			for ; next < len(added) && (before == nil || compareEntries(added[next], *before) < 0); next++ {
				if added[next].Long == long {
					to.entries = append(to.entries, added[next])
				}
			}
		}
		for i := range from.entries {
			e := &from.entries[i]
			if gone(e.Account) {
				continue
			}
			take(e)
			to.entries = append(to.entries, *e)
		}
		take(nil)
		to.sum()
	}
	return n
}

func (m *Map) of(long bool) *side {
	if long {
		return &m.long
	}
	return &m.short
}

func (s *side) sum() {
	s.sums = make([]Sum, len(s.entries)+1)
	for i, e := range s.entries {
		t := s.sums[i]
		s.sums[i+1] = Sum{t.Size + e.Size, t.Notional + e.Notional, t.Count + 1}
	}
}

// before returns how many entries lie below a price.
func (s *side) before(price int64) int {
	i, _ := slices.BinarySearchFunc(s.entries, price, func(e Entry, p int64) int { return cmp.Compare(e.Price, p) })
	return i
}

// between returns the sum of the entries with from <= price < to.
func (s *side) between(from, to int64) Sum {
	if to <= from {
		return Sum{}
	}
	return s.sums[s.before(to)].minus(s.sums[s.before(from)])
}

func (s *side) total() Sum { return s.sums[len(s.entries)] }

// Total returns the sums of all longs and all shorts.
func (m *Map) Total() (long, short Sum) { return m.long.total(), m.short.total() }
