package risk

import (
	"cmp"
	"slices"

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
	longs := 0
	for i := range entries {
		if entries[i].Long {
			longs++
		}
	}
	m.long.entries, m.short.entries = make([]Entry, 0, longs), make([]Entry, 0, len(entries)-longs)
	for i := range entries {
		s := m.of(entries[i].Long)
		s.entries = append(s.entries, entries[i])
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
