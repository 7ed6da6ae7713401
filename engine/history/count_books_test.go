package history

import (
	"testing"

	"hyperlight/kv/kvtest"
)

// CountUpdates counts what Updates gives, in hot and sealed form, and says when its allowance was too small.
func TestCountUpdates(t *testing.T) {
	seed := testSeed(t)
	g := newRig(t, kvtest.Open(t), seed, 2)
	g.start()
	defer func() { g.stop() }()
	for range 900 {
		g.step()
	}
	g.flush()
	for _, n := range g.markets {
		for range 30 {
			sp := g.span()
			from, to := sp.From.Micros()+7, sp.To.Micros()
			want := uint64(0)
			for _, row := range n.rows {
				if row.recv >= from && row.recv < to {
					want++
				}
			}
			got, left, err := g.r.CountUpdates(t.Context(), n.m.ID, from, to, 100_000)
			if err != nil || got != want || left < 0 {
				t.Fatalf("seed %d: %d updates from %d to %d, %d blocks left, %v; want %d", seed, got, from, to, left, err, want)
			}
		}
		if len(n.rows) == 0 {
			continue
		}
		got, left, err := g.r.CountUpdates(t.Context(), n.m.ID, 0, forever, 0)
		if err != nil || left >= 0 || got != 0 {
			t.Fatalf("without any block allowed: %d updates, %d blocks left, %v", got, left, err)
		}
	}
}
