package book

import (
	"cmp"
	"slices"

	"hyperlight/engine/model"
)

const (
	// chunkLevels makes a chunk exactly 1,024 bytes, a size class of the allocator, and free of pointers.
	chunkLevels = 63
	// loadLevels is how full a snapshot makes its chunks, so that the first insertions do not split them.
	loadLevels = 48
	// mergeBelow is when a chunk looks for a neighbour to join; together they fill at most loadLevels.
	mergeBelow = 16
)

// chunk is a run of levels, best first. Everybody may read a chunk that a view shares; the book whose generation it
// bears may change it.
type chunk struct {
	gen    uint64
	n      int
	levels [chunkLevels]model.Level
}

func (c *chunk) used() []model.Level { return c.levels[:c.n] }

// side is one side of a book: chunks in order, none empty.
type side struct {
	chunks  []*chunk
	listGen uint64 // the generation that may change the list in place
	len     int
	flip    int64 // price ^ flip rises from best to worst: 0 for asks, -1 for bids
}

func (d *side) best() (model.Level, bool) {
	if len(d.chunks) == 0 {
		return model.Level{}, false
	}
	return d.chunks[0].levels[0], true
}

func (d *side) clear() { d.chunks, d.listGen, d.len = nil, 0, 0 }

// load replaces the side by levels in any order; tmp is scratch memory, returned for the next time.
func (d *side) load(levels, tmp []model.Level, gen uint64) []model.Level {
	flip := d.flip
	order := func(a, b model.Level) int { return cmp.Compare(int64(a.Price)^flip, int64(b.Price)^flip) }
	tmp = append(tmp[:0], levels...)
	if !slices.IsSortedFunc(tmp, order) {
		slices.SortStableFunc(tmp, order)
	}
	kept := tmp[:0]
	for i, l := range tmp {
		if i+1 < len(tmp) && tmp[i+1].Price == l.Price {
			continue
		}
		if l.Size > 0 {
			kept = append(kept, l)
		}
	}
	old := d.chunks
	if d.listGen != gen {
		old = nil
	}
	count := (len(kept) + loadLevels - 1) / loadLevels
	list := slices.Grow(old[:0:cap(old)], count)
	for i := range count {
		var c *chunk
		if i < len(old) && old[i].gen == gen {
			c = old[i]
		} else {
			c = &chunk{gen: gen}
		}
		c.n = copy(c.levels[:loadLevels], kept[i*loadLevels:])
		list = append(list, c)
	}
	if count < len(old) {
		clear(old[count:])
	}
	d.chunks, d.listGen, d.len = list, gen, len(kept)
	return tmp
}

// rescaled returns a copy of the side's chunks with f applied to every level.
func (d *side) rescaled(gen uint64, f func(model.Level) (model.Level, error)) ([]*chunk, error) {
	list := make([]*chunk, len(d.chunks))
	for i, c := range d.chunks {
		n := &chunk{gen: gen, n: c.n}
		for k, l := range c.used() {
			var err error
			if n.levels[k], err = f(l); err != nil {
				return nil, err
			}
		}
		list[i] = n
	}
	return list, nil
}

// apply sets and removes levels and returns how many removals found nothing.
func (d *side) apply(levels []model.Level, gen uint64) (unknown uint64) {
	for _, l := range levels {
		key := int64(l.Price) ^ d.flip
		i := d.find(key)
		if i < 0 {
			if l.Size <= 0 {
				unknown++
				continue
			}
			d.ownList(gen)
			c := &chunk{gen: gen, n: 1}
			c.levels[0] = l
			d.chunks = append(d.chunks, c)
			d.len++
			continue
		}
		c := d.chunks[i]
		k := d.seek(c, key)
		found := k < c.n && c.levels[k].Price == l.Price
		switch {
		case l.Size <= 0 && !found:
			unknown++
		case l.Size <= 0:
			d.remove(i, k, gen)
		case !found:
			d.insert(i, k, l, gen)
		case c.levels[k].Size != l.Size:
			d.own(i, gen).levels[k].Size = l.Size
		}
	}
	return unknown
}

// find returns the index of the chunk that holds the key or would: the last one that starts at or before it, else the
// first; -1 for an empty side. Most changes are near the best price, so the search gallops from there.
func (d *side) find(key int64) int {
	n := len(d.chunks)
	if n == 0 {
		return -1
	}
	lo, hi := 0, 1
	for hi < n && int64(d.chunks[hi].levels[0].Price)^d.flip <= key {
		lo, hi = hi, hi*2
	}
	hi = min(hi, n)
	for hi-lo > 1 {
		if m := int(uint(lo+hi) / 2); int64(d.chunks[m].levels[0].Price)^d.flip <= key {
			lo = m
		} else {
			hi = m
		}
	}
	return lo
}

// seek returns the index of the first level of a chunk at or after the key.
func (d *side) seek(c *chunk, key int64) int {
	lo, hi := 0, c.n
	for lo < hi {
		m := int(uint(lo+hi) / 2)
		if int64(c.levels[m].Price)^d.flip < key {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// ownList makes the list of chunks changeable in place.
func (d *side) ownList(gen uint64) {
	if d.listGen != gen {
		d.chunks, d.listGen = slices.Clone(d.chunks), gen
	}
}

// own returns chunk i, copied first where a view shares it.
func (d *side) own(i int, gen uint64) *chunk {
	c := d.chunks[i]
	if c.gen == gen {
		return c
	}
	d.ownList(gen)
	n := &chunk{gen: gen, n: c.n}
	copy(n.levels[:c.n], c.levels[:c.n])
	d.chunks[i] = n
	return n
}

func (d *side) insert(i, k int, l model.Level, gen uint64) {
	c := d.own(i, gen)
	if c.n == chunkLevels {
		d.ownList(gen)
		const half = chunkLevels / 2
		n := &chunk{gen: gen, n: chunkLevels - half}
		copy(n.levels[:], c.levels[half:])
		c.n = half
		d.chunks = slices.Insert(d.chunks, i+1, n)
		if k > half {
			c, k = n, k-half
		}
	}
	copy(c.levels[k+1:c.n+1], c.levels[k:c.n])
	c.levels[k] = l
	c.n++
	d.len++
}

func (d *side) remove(i, k int, gen uint64) {
	c := d.own(i, gen)
	copy(c.levels[k:], c.levels[k+1:c.n])
	c.n--
	d.len--
	if c.n >= mergeBelow {
		return
	}
	// A removal from a chunk that is already small looks at both neighbours; the smaller chunk is the one that moves.
	switch {
	case c.n == 0:
		d.ownList(gen)
		d.chunks = slices.Delete(d.chunks, i, i+1)
	case i > 0 && d.chunks[i-1].n+c.n <= loadLevels:
		d.join(i-1, gen)
	case i+1 < len(d.chunks) && d.chunks[i+1].n+c.n <= loadLevels:
		d.join(i, gen)
	}
}

// join appends chunk i+1 to chunk i and drops it from the list.
func (d *side) join(i int, gen uint64) {
	d.ownList(gen)
	c, next := d.own(i, gen), d.chunks[i+1]
	c.n += copy(c.levels[c.n:], next.used())
	d.chunks = slices.Delete(d.chunks, i+1, i+2)
}
