package signal

import (
	"cmp"
	"slices"

	"hyperlight/engine/num"
)

// chunkEntries is how many entries a chunk of a ladder has at most; two that have less than half together are joined.
const chunkEntries = 128

// watch is a condition of a signal in a ladder.
type watch struct {
	value num.Decimal
	of    *entry
	at    uint8 // index of the condition
}

func (a *watch) compare(b *watch) int {
	if c := a.value.Cmp(b.value); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.of.number, b.of.number), cmp.Compare(a.at, b.at))
}

// ladder is the watched conditions of one field and operator, by value. It is a list in short chunks, so that to add and to
// take out cost a search and a small move.
type ladder struct{ chunks [][]watch }

// place is a position in a ladder; the one behind the last entry is {len(chunks), 0}.
type place struct{ chunk, at int }

// add puts a condition in.
func (l *ladder) add(w watch) {
	if len(l.chunks) == 0 {
		l.chunks = append(l.chunks, append(make([]watch, 0, chunkEntries), w))
		return
	}
	i := l.chunkOf(&w)
	c := l.chunks[i]
	if len(c) == chunkEntries {
		half := append(make([]watch, 0, chunkEntries), c[chunkEntries/2:]...)
		clear(c[chunkEntries/2:])
		c = c[:chunkEntries/2]
		l.chunks[i] = c
		l.chunks = slices.Insert(l.chunks, i+1, half)
		if w.compare(&half[0]) > 0 {
			i, c = i+1, half
		}
	}
	at, _ := slices.BinarySearchFunc(c, &w, func(a watch, b *watch) int { return a.compare(b) })
	l.chunks[i] = slices.Insert(c, at, w)
}

// remove takes a condition out, which must be in.
func (l *ladder) remove(w watch) {
	i := l.chunkOf(&w)
	c := l.chunks[i]
	at, found := slices.BinarySearchFunc(c, &w, func(a watch, b *watch) int { return a.compare(b) })
	if !found {
		panic("signal: a watched condition is not in its ladder")
	}
	c = slices.Delete(c, at, at+1)
	l.chunks[i] = c
	switch {
	case len(c) == 0:
		l.chunks = slices.Delete(l.chunks, i, i+1)
	case i+1 < len(l.chunks) && len(c)+len(l.chunks[i+1]) < chunkEntries/2:
		l.chunks[i] = append(c, l.chunks[i+1]...)
		l.chunks = slices.Delete(l.chunks, i+1, i+2)
	}
}

// chunkOf returns the last chunk that begins at or before w, the first one where none does.
func (l *ladder) chunkOf(w *watch) int {
	i, found := slices.BinarySearchFunc(l.chunks, w, func(c []watch, w *watch) int { return c[0].compare(w) })
	if !found {
		i = max(i-1, 0)
	}
	return i
}

// from returns the place of the first entry whose value is v or greater; behind, the first one that is greater.
func (l *ladder) from(v num.Decimal, behind bool) place {
	before := func(w *watch) bool {
		c := w.value.Cmp(v)
		return c < 0 || behind && c == 0
	}
	lo, hi := 0, len(l.chunks) // the first chunk that does not begin before
	for lo < hi {
		if m := int(uint(lo+hi) / 2); before(&l.chunks[m][0]) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == 0 {
		return place{}
	}
	c := l.chunks[lo-1]
	at, end := 1, len(c)
	for at < end {
		if m := int(uint(at+end) / 2); before(&c[m]) {
			at = m + 1
		} else {
			end = m
		}
	}
	if at == len(c) {
		return place{chunk: lo}
	}
	return place{chunk: lo - 1, at: at}
}

// end returns the place behind the last entry.
func (l *ladder) end() place { return place{chunk: len(l.chunks)} }

// each visits the entries in [a, b). visit must not change the ladder.
func (l *ladder) each(a, b place, visit func(*entry)) {
	for i := a.chunk; i < len(l.chunks) && i <= b.chunk; i++ {
		c := l.chunks[i]
		lo, hi := 0, len(c)
		if i == a.chunk {
			lo = a.at
		}
		if i == b.chunk {
			hi = b.at
		}
		for k := lo; k < hi; k++ {
			visit(c[k].of)
		}
	}
}

// holding visits the signals whose watched condition holds for a value that came after another one; hadPrevious says that
// there was one.
func (l *ladder) holding(op Op, previous num.Decimal, hadPrevious bool, v num.Decimal, visit func(*entry)) {
	if len(l.chunks) == 0 {
		return
	}
	switch op {
	case Greater:
		l.each(place{}, l.from(v, false), visit)
	case GreaterEqual:
		l.each(place{}, l.from(v, true), visit)
	case Less:
		l.each(l.from(v, true), l.end(), visit)
	case LessEqual:
		l.each(l.from(v, false), l.end(), visit)
	case Equal:
		l.each(l.from(v, false), l.from(v, true), visit)
	case NotEqual:
		l.each(place{}, l.from(v, false), visit)
		l.each(l.from(v, true), l.end(), visit)
	case CrossesAbove:
		if hadPrevious && previous.Cmp(v) < 0 {
			l.each(l.from(previous, false), l.from(v, false), visit)
		}
	case CrossesBelow:
		if hadPrevious && previous.Cmp(v) > 0 {
			l.each(l.from(v, true), l.from(previous, true), visit)
		}
	}
}
