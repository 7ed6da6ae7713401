package kv

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"hyperlight/kv/key"
)

// Stamp is a state of a part of the store (key.Part). While Store.Stamp gives the same one, other than 0, every row of the
// part reads as it did when it was given first: what was read in between may be kept instead of being read again.
type Stamp uint64

// changes counts the commits to each part, before a commit can be seen by anybody and again when it is whole. Parts share
// a fixed number of counters by their hash, so that one may seem to change where it does not, never the other way round.
type changes struct {
	parts [partCounters]counter
	all   counter // of what touches more than one part at once
}

type counter struct{ begun, ended atomic.Uint64 }

// partCounters makes it rare that a part of the past has its counter in common with one of some thousand that are written.
const partCounters = 1 << 15

// PartID names a part of the store.
type PartID uint16

var partSeed = maphash.MakeSeed()

// PartOf returns the part that a key, or any beginning of one that reaches beyond its part, belongs to.
func PartOf(k []byte) PartID {
	return PartID(maphash.Bytes(partSeed, key.Part(k)) % partCounters)
}

// Stamp returns the state of a part; 0 while a commit to it is under way.
func (s *Store) Stamp(p PartID) Stamp {
	c, all := &s.changes.parts[p], &s.changes.all
	// What has ended is read first: where as many have begun afterwards, none was under way in between.
	ended, allEnded := c.ended.Load(), all.ended.Load()
	begun, allBegun := c.begun.Load(), all.begun.Load()
	if begun != ended || allBegun != allEnded {
		return 0
	}
	return Stamp(begun + allBegun + 1) // both only grow, so that a sum stays only where both do
}

// touched are the parts that a batch writes to.
type touched struct {
	parts []PartID
	last  []byte // the part that was noted last
	wide  bool   // parts that are not listed
}

func (t *touched) add(k []byte) {
	part := key.Part(k)
	if len(t.parts) > 0 && bytes.Equal(part, t.last) {
		return
	}
	t.last = append(t.last[:0], part...)
	t.parts = append(t.parts, PartOf(part))
}

func (t *touched) addRange(r key.Range) {
	if !bytes.Equal(key.Part(r.Start), key.Part(r.End)) {
		t.wide = true
		return
	}
	t.add(r.Start)
}

func (t *touched) reset() { t.parts, t.wide = t.parts[:0], false }

// begin counts a commit before it can be seen; the returned function counts its end.
func (c *changes) begin(t *touched) (end func()) {
	slices.Sort(t.parts)
	t.parts = slices.Compact(t.parts)
	for _, p := range t.parts {
		c.parts[p].begun.Add(1)
	}
	if t.wide {
		c.all.begun.Add(1)
	}
	return func() {
		for _, p := range t.parts {
			c.parts[p].ended.Add(1)
		}
		if t.wide {
			c.all.ended.Add(1)
		}
	}
}
