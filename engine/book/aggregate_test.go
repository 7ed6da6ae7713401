package book

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// roundTo is the reference of step, in big integers: floor for bids, ceiling for asks.
func roundTo(s model.Side, p, tick int64) int64 {
	q, r := new(big.Int).DivMod(big.NewInt(p), big.NewInt(tick), new(big.Int)) // Euclidean: rounds down
	if s == model.Ask && r.Sign() != 0 {
		q.Add(q, big.NewInt(1))
	}
	q.Mul(q, big.NewInt(tick))
	switch {
	case q.IsInt64():
		return q.Int64()
	case q.Sign() < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}

func TestStep(t *testing.T) {
	prices := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-30, 30), rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1}))
	rapid.Check(t, func(t *rapid.T) {
		p := prices.Draw(t, "price")
		tick := rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, math.MaxInt64)).Draw(t, "tick")
		for _, s := range []model.Side{model.Bid, model.Ask} {
			if got, want := step(s, p, tick), roundTo(s, p, tick); int64(got) != want {
				t.Fatalf("step(%s, %d, %d) = %d, want %d", s, p, tick, got, want)
			}
		}
	})
}

func TestAggregateAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &updates{width: 300, mid: rapid.Int64Range(-100, 400).Draw(t, "mid")}
		m := newNaive()
		u := &model.BookUpdate{Snapshot: true, Bids: g.levels(t, model.Bid, 200), Asks: g.levels(t, model.Ask, 200)}
		if err := m.apply(u); err != nil {
			t.Fatal(err)
		}
		v := NewView(Meta{}, u.Bids, u.Asks)
		tick := rapid.Int64Range(-1, 50).Draw(t, "tick")
		n := rapid.IntRange(-1, 60).Draw(t, "n")
		for _, s := range []model.Side{model.Bid, model.Ask} {
			var want []Bucket
			var size, notional num.Acc
			for _, l := range m.levels(s) {
				p := num.Price(roundTo(s, int64(l.Price), max(tick, 1)))
				i := slices.IndexFunc(want, func(b Bucket) bool { return b.Price == p })
				if i < 0 {
					i = len(want)
					want = append(want, Bucket{Price: p})
				}
				size.AddProduct(int64(l.Size), 1)
				notional.AddProduct(int64(l.Size), int64(l.Price))
				want[i].Size.AddProduct(int64(l.Size), 1)
				want[i].Notional.AddProduct(int64(l.Size), int64(l.Price))
				want[i].CumulativeSize, want[i].CumulativeNotional = size, notional
				want[i].Levels++
			}
			if n > 0 && n < len(want) {
				want = want[:n]
			}
			if got := v.Aggregate(s, tick, n); !slices.Equal(got, want) {
				t.Fatalf("%s by %d, %d:\n got %v\nwant %v", s, tick, n, got, want)
			}
		}
	})
}
