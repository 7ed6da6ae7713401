package book

import (
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func TestAtFindsEveryLevelAndNoOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &updates{width: 300, mid: rapid.Int64Range(-100, 400).Draw(t, "mid")}
		u := &model.BookUpdate{Snapshot: true, Bids: g.levels(t, model.Bid, 200), Asks: g.levels(t, model.Ask, 200)}
		v := NewView(Meta{}, u.Bids, u.Asks)
		for s := range model.Side(2) {
			want := map[num.Price]num.Size{}
			for l := range v.Levels(s, 0) {
				want[l.Price] = l.Size
			}
			for p := num.Price(-500); p < 900; p++ {
				if got := v.At(s, p); got != want[p] {
					t.Fatalf("%s at %d: %d, want %d", s, p, got, want[p])
				}
			}
		}
	})
}
