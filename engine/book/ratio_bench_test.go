package book

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"hyperlight/bench"
	"hyperlight/engine/model"
)

// plain is a book as one writes it in an hour: a sorted slice per side, best price last, so that what changes most is
// moved least.
type plain [2][]model.Level

func (p *plain) apply(s model.Side, l model.Level) {
	side := p[s]
	i, found := slices.BinarySearchFunc(side, l, func(a, b model.Level) int {
		if s == model.Bid {
			return cmp.Compare(a.Price, b.Price)
		}
		return cmp.Compare(b.Price, a.Price)
	})
	switch {
	case found && l.Size == 0:
		p[s] = slices.Delete(side, i, i+1)
	case found:
		side[i].Size = l.Size
	case l.Size != 0:
		p[s] = slices.Insert(side, i, l)
	}
}

func (p *plain) update(u *model.BookUpdate) {
	for _, l := range u.Bids {
		p.apply(model.Bid, l)
	}
	for _, l := range u.Asks {
		p.apply(model.Ask, l)
	}
}

// BenchmarkApplyRatio compares applying updates of four levels near the touch, and anywhere, with a plain sorted slice
// per side and with a map per side; and an immutable view after each update with a copy of the plain slices.
func BenchmarkApplyRatio(b *testing.B) {
	const turn = 512
	for _, c := range []struct {
		name          string
		levels, depth int
		view, mapped  bool
	}{
		{"slice/touch", 3000, 20, false, false},
		{"slice/anywhere", 3000, 3000, false, false},
		{"map/touch", 3000, 20, false, true},
		{"view/touch", 3000, 20, true, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			x, p := New(), &plain{}
			sides := [2]map[int64]int64{{}, {}}
			first := ladderOf(c.levels)
			if err := x.Apply(first, 0, 0); err != nil {
				b.Fatal(err)
			}
			p.update(first)
			for s, levels := range [][]model.Level{first.Bids, first.Asks} {
				for _, l := range levels {
					sides[s][int64(l.Price)] = int64(l.Size)
				}
			}
			fs := frames(4, c.depth)
			seq := [2]uint64{1, 1}
			next := func(who int) *model.BookUpdate {
				u := &fs[seq[who]%uint64(len(fs))]
				u.Prev, u.Seq = seq[who], seq[who]+1
				seq[who]++
				touch(u.Bids, u.Seq)
				touch(u.Asks, u.Seq)
				return u
			}
			var copied plain
			bare := func() {
				u := next(0)
				switch {
				case c.mapped:
					for s, levels := range [][]model.Level{u.Bids, u.Asks} {
						for _, l := range levels {
							if l.Size == 0 {
								delete(sides[s], int64(l.Price))
							} else {
								sides[s][int64(l.Price)] = int64(l.Size)
							}
						}
					}
				default:
					p.update(u)
					if c.view {
						copied = plain{slices.Clone(p[0]), slices.Clone(p[1])}
					}
				}
			}
			ours := func() {
				if err := x.Apply(next(1), 0, 0); err != nil {
					b.Fatal(err)
				}
				if c.view {
					x.View()
				}
			}
			bench.Compare(b, "updates", bench.Times(turn, bare), bench.Times(turn, ours))
			if c.view && len(copied[0]) == 0 {
				b.Fatal("nothing was copied")
			}
			if !c.mapped {
				// Both had the same updates: they must hold the same book.
				if got, want := fmt.Sprint(x.Len(model.Bid), x.Len(model.Ask)), fmt.Sprint(len(p[0]), len(p[1])); got != want {
					b.Fatalf("levels are %s, want %s", got, want)
				}
			}
		})
	}
}
