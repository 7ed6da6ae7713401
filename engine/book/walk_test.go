package book

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// TestLongWalk fills and drains regions of a deep book again and again, so that chunks split, join and vanish in every
// way, and compares with the map model as it goes. HYPERLIGHT_SOAK makes it longer.
func TestLongWalk(t *testing.T) {
	rounds := 80
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		rounds = 20_000
	}
	const prices = 3000
	r := rand.New(rand.NewPCG(7, 8))
	b, m := New(), newNaive()
	snapshot := &model.BookUpdate{Snapshot: true, Seq: 1}
	if err := b.Apply(snapshot, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := m.apply(snapshot); err != nil {
		t.Fatal(err)
	}
	var old *View
	var was [2][]model.Level
	for round := range rounds {
		from := r.IntN(prices)
		width := 1 + r.IntN(1+r.IntN(400))
		drain := r.IntN(2) == 0
		views := r.IntN(3) == 0 // in a third of the rounds a view follows each update
		for range 1 + r.IntN(60) {
			u := &model.BookUpdate{Prev: b.Seq(), Seq: b.Seq() + 1}
			for range r.IntN(12) {
				at := num.Price(from + r.IntN(width))
				size := num.Size(1 + r.IntN(100))
				if drain != (r.IntN(10) == 0) {
					size = 0
				}
				u.Bids = append(u.Bids, model.Level{Price: -1 - at, Size: size})
				u.Asks = append(u.Asks, model.Level{Price: 1 + at, Size: size})
			}
			if err := m.apply(u); err != nil {
				t.Fatal(err)
			}
			if err := b.Apply(u, 0, 0); err != nil {
				t.Fatal(err)
			}
			if views {
				b.View()
			}
		}
		for s := range b.sides {
			want := m.levels(model.Side(s))
			if got := b.Append(nil, model.Side(s), 0); !slices.Equal(got, want) || b.Len(model.Side(s)) != len(want) {
				t.Fatalf("round %d: side %d has %d levels, want %d", round, s, len(got), len(want))
			}
			for _, c := range b.sides[s].chunks {
				if c.n == 0 {
					t.Fatalf("round %d: empty chunk", round)
				}
			}
			// Joining keeps neighbours from both being small: a chunk holds a quarter of its room on average at least.
			if n := len(b.sides[s].chunks); n > 2 && len(want) < (n-1)*loadLevels/4 {
				t.Fatalf("round %d: %d levels lie in %d chunks", round, len(want), n)
			}
			if old != nil {
				if got := old.Append(nil, model.Side(s), 0); !slices.Equal(got, was[s]) {
					t.Fatalf("round %d: an old view changed", round)
				}
			}
			was[s] = want
		}
		if b.Unknown() != m.unknown {
			t.Fatalf("round %d: %d unknown removals, want %d", round, b.Unknown(), m.unknown)
		}
		old = b.View()
	}
}
