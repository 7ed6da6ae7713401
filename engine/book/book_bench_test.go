package book

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// ladderOf returns a snapshot of n levels a side around 1e6, every other price taken.
func ladderOf(n int) *model.BookUpdate {
	u := &model.BookUpdate{Snapshot: true, Seq: 1}
	for i := range n {
		u.Bids = append(u.Bids, model.Level{Price: num.Price(1e6 - 1 - 2*i), Size: num.Size(i + 1)})
		u.Asks = append(u.Asks, model.Level{Price: num.Price(1e6 + 1 + 2*i), Size: num.Size(i + 1)})
	}
	return u
}

// frames returns updates of changed levels within depth of the best price; touch gives them sizes.
func frames(changed, depth int) []model.BookUpdate {
	r := rand.New(rand.NewPCG(5, 6))
	out := make([]model.BookUpdate, 1024)
	for i := range out {
		for k := range changed {
			at := num.Price(1 + r.IntN(2*depth))
			if k%2 == 0 {
				out[i].Bids = append(out[i].Bids, model.Level{Price: 1e6 - at, Size: 1})
			} else {
				out[i].Asks = append(out[i].Asks, model.Level{Price: 1e6 + at, Size: 1})
			}
		}
	}
	return out
}

// touch gives each level of a frame a size that it never had, or none: sizes change, levels come and go.
func touch(levels []model.Level, seq uint64) {
	for i := range levels {
		levels[i].Size = num.Size(seq)
		if (seq+uint64(i))*0x9e3779b97f4a7c15>>62 == 0 {
			levels[i].Size = 0
		}
	}
}

func benchmarkApply(b *testing.B, levels, changed, depth int, view bool) {
	x := New()
	if err := x.Apply(ladderOf(levels), 0, 0); err != nil {
		b.Fatal(err)
	}
	fs := frames(changed, depth)
	seq, i := uint64(1), 0
	b.ReportAllocs()
	for b.Loop() {
		u := &fs[i%len(fs)]
		i++
		u.Prev, u.Seq = seq, seq+1
		seq++
		touch(u.Bids, seq)
		touch(u.Asks, seq)
		if err := x.Apply(u, 0, 0); err != nil {
			b.Fatal(err)
		}
		if view {
			x.View()
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, c := range []struct {
		levels, changed, depth int
	}{{1000, 6, 20}, {3000, 4, 20}, {3000, 4, 3000}, {5000, 6, 20}, {5000, 6, 5000}} {
		name := fmt.Sprintf("levels=%d/changed=%d/depth=%d", c.levels, c.changed, c.depth)
		b.Run(name+"/book", func(b *testing.B) { benchmarkApply(b, c.levels, c.changed, c.depth, false) })
		b.Run(name+"/view", func(b *testing.B) { benchmarkApply(b, c.levels, c.changed, c.depth, true) })
	}
}

func BenchmarkSnapshot(b *testing.B) {
	u, x := ladderOf(3000), New()
	b.ReportAllocs()
	for b.Loop() {
		if err := x.Apply(u, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiff(b *testing.B) {
	x := New()
	if err := x.Apply(ladderOf(3000), 0, 0); err != nil {
		b.Fatal(err)
	}
	old := x.View()
	u := frames(4, 20)[0]
	u.Prev, u.Seq = 1, 2
	touch(u.Bids, 2)
	touch(u.Asks, 3)
	if err := x.Apply(&u, 0, 0); err != nil {
		b.Fatal(err)
	}
	v := x.View()
	b.ReportAllocs()
	for b.Loop() {
		Diff(old, v)
	}
}

func BenchmarkAggregate(b *testing.B) {
	x := New()
	if err := x.Apply(ladderOf(3000), 0, 0); err != nil {
		b.Fatal(err)
	}
	v := x.View()
	b.ReportAllocs()
	for b.Loop() {
		v.Aggregate(model.Ask, 100, 50)
	}
}
