package history

import (
	"bytes"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

// TestPlacesEnd seals a market-hour that is still written to, asks for its last second until the place is known, and goes
// on: the seconds after must show what is written then, by blocks and by another segment.
func TestPlacesEnd(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 1)
	n := g.markets[0]
	if err := SaveMarkets(g.store, []*model.Market{n.m}); err != nil {
		t.Fatal(err)
	}
	g.start()
	r := NewReader(g.store, g.market)
	r.KeepReady(1 << 20)
	g.snapshot(n)
	for round := range 20 {
		g.advance(2 * second)
		if round%6 == 4 {
			g.rescale(n) // begins a segment
		}
		g.delta(n)
		g.advance(second)
		g.flush()
		if round%3 != 1 {
			if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now)+7_200_000_000)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range model.Micros(5) {
			at := g.tick - i*second
			if round%2 == 0 {
				at = g.tick - (4-i)*second
			}
			want, err := NewReader(g.store, g.market).BookAt(t.Context(), n.m.ID, at)
			if round == 0 && err != nil {
				continue // before the record
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				have, err := r.BookAt(t.Context(), n.m.ID, at)
				if err != nil || have.Meta != want.Meta {
					t.Fatalf("round %d, the book at %d: %+v, want %+v (%v)", round, at, have, want, err)
				}
			}
		}
	}
	if s := r.Ready(); s.Hits == 0 {
		t.Errorf("nothing was ready: %+v", s)
	}
	g.stop()
}

// TestLevelsOfAnotherView asks for the text of two views of one second, and in two forms.
func TestLevelsOfAnotherView(t *testing.T) {
	r := NewReader(kvtest.Open(t), nil)
	r.KeepReady(1 << 20)
	views := [...]*book.View{book.NewView(book.Meta{Seq: 1}, nil, nil), book.NewView(book.Meta{Seq: 2}, nil, nil)}
	made := 0
	for _, v := range views {
		for _, form := range []int{1, 2} {
			want := []byte{'x', byte(v.Seq), byte(form)}
			for range 2 {
				have := r.AppendLevels([]byte{'x'}, 0, Snapshot{At: model.Millis(7000), View: v, ready: true}, form, func(dst []byte) []byte {
					made++
					return append(dst, want[1:]...)
				})
				if !bytes.Equal(have, want) {
					t.Fatalf("have %x, want %x", have, want)
				}
			}
		}
	}
	if made != 4 {
		t.Errorf("made %d texts, want 4", made)
	}
}
