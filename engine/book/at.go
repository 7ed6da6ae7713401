package book

import (
	"cmp"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// At returns the size of a side's level at a price, 0 where there is none. It looks at one chunk only.
func (v *View) At(s model.Side, p num.Price) num.Size {
	var flip int64
	if s == model.Bid {
		flip = -1
	}
	key := int64(p) ^ flip
	chunks := v.sides[s].chunks
	i, _ := slices.BinarySearchFunc(chunks, key, func(c *chunk, key int64) int {
		return cmp.Compare(int64(c.levels[c.n-1].Price)^flip, key)
	})
	if i == len(chunks) {
		return 0
	}
	levels := chunks[i].used()
	k, found := slices.BinarySearchFunc(levels, key, func(l model.Level, key int64) int { return cmp.Compare(int64(l.Price)^flip, key) })
	if !found {
		return 0
	}
	return levels[k].Size
}
