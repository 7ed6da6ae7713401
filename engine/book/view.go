package book

import (
	"iter"
	"slices"
	"unsafe"

	"hyperlight/engine/model"
)

// View is a state of a book. It never changes, may be read by any number of goroutines and kept for ever. Its levels are
// unreachable except through methods; whoever makes a view with NewView sets Meta before passing it on.
type View struct {
	Meta
	sides [2]ladder
}

// ladder is one side of a view: chunks of levels, best first.
type ladder struct {
	chunks []*chunk
	len    int
}

// NewView makes a view of levels in any order, as Apply takes those of a snapshot: the last one of equal prices wins,
// sizes of 0 or less are dropped. The slices are not kept.
func NewView(m Meta, bids, asks []model.Level) *View {
	v := &View{Meta: m}
	var sorting []model.Level
	for s, levels := range [2][]model.Level{bids, asks} {
		d := side{}
		if model.Side(s) == model.Bid {
			d.flip = -1
		}
		sorting = d.load(levels, sorting, 0)
		v.sides[s] = ladder{chunks: d.chunks, len: d.len}
	}
	return v
}

// Len returns the number of levels of a side.
func (v *View) Len(s model.Side) int { return v.sides[s].len }

// Best returns the best level of a side, false where the side is empty.
func (v *View) Best(s model.Side) (model.Level, bool) {
	if c := v.sides[s].chunks; len(c) > 0 {
		return c[0].levels[0], true
	}
	return model.Level{}, false
}

// Levels iterates over the n best levels of a side, best first; all where n <= 0.
func (v *View) Levels(s model.Side, n int) iter.Seq[model.Level] {
	return func(yield func(model.Level) bool) {
		left := v.sides[s].len
		if n > 0 && n < left {
			left = n
		}
		for _, c := range v.sides[s].chunks {
			for _, l := range c.used() {
				if left == 0 || !yield(l) {
					return
				}
				left--
			}
		}
	}
}

// Append appends the n best levels of a side, best first; all where n <= 0.
func (v *View) Append(dst []model.Level, s model.Side, n int) []model.Level {
	return appendLevels(dst, v.sides[s].chunks, n)
}

func appendLevels(dst []model.Level, chunks []*chunk, n int) []model.Level {
	for _, c := range chunks {
		levels := c.used()
		if n > 0 {
			if len(levels) >= n {
				return append(dst, levels[:n]...)
			}
			n -= len(levels)
		}
		dst = append(dst, levels...)
	}
	return dst
}

// Weight returns about how many bytes v needs beside another view, from which it was changed; nil: by itself.
func (v *View) Weight(other *View) int64 {
	weight := int64(unsafe.Sizeof(*v))
	for s := range v.sides {
		chunks := v.sides[s].chunks
		var old []*chunk
		if other != nil {
			old = other.sides[s].chunks
		}
		if len(chunks) > 0 && len(old) > 0 && &chunks[0] == &old[0] {
			continue // the very list
		}
		weight += int64(8 * cap(chunks))
		at := 0 // chunks keep their order, so that shared ones are met in turn
		for _, c := range chunks {
			if i := slices.Index(old[at:min(len(old), at+8)], c); i >= 0 {
				at += i + 1
				continue
			}
			weight += int64(unsafe.Sizeof(*c))
		}
	}
	return weight
}
