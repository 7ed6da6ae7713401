package book

import (
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Bucket is the liquidity of one price step. Sums are exact; sizes have the market's size scale, notionals the sum of its
// price and size scales.
type Bucket struct {
	Price              num.Price // the step's price: bids rounded down to a multiple of the tick, asks up
	Size               num.Acc
	Notional           num.Acc // sum of level price x size: not of the bucket's price
	CumulativeSize     num.Acc // of this and all better buckets
	CumulativeNotional num.Acc
	Levels             int // price levels inside
}

// Aggregate groups a side into steps of tick (a mantissa at the price scale, at least 1; less counts as 1) and returns
// the n best non-empty ones, best first; all where n <= 0.
func (v *View) Aggregate(s model.Side, tick int64, n int) []Bucket {
	var out []Bucket
	var size, notional num.Acc
	tick = max(tick, 1)
	for _, c := range v.sides[s].chunks {
		for _, l := range c.used() {
			p := step(s, int64(l.Price), tick)
			if len(out) == 0 || out[len(out)-1].Price != p {
				if n > 0 && len(out) == n {
					return out
				}
				out = append(out, Bucket{Price: p})
			}
			size.AddProduct(int64(l.Size), 1)
			notional.AddProduct(int64(l.Price), int64(l.Size))
			b := &out[len(out)-1]
			b.Size.AddProduct(int64(l.Size), 1)
			b.Notional.AddProduct(int64(l.Price), int64(l.Size))
			b.CumulativeSize, b.CumulativeNotional = size, notional
			b.Levels++
		}
	}
	return out
}

// step rounds a price to the tick: down for bids, up for asks, so that no liquidity looks better than it is. At the ends
// of the 64-bit range, where the multiple does not fit, it is the end.
func step(s model.Side, p, tick int64) num.Price {
	r := p % tick
	switch {
	case r == 0:
		return num.Price(p)
	case s == model.Bid && r < 0:
		r += tick
	case s == model.Ask && r > 0:
		r -= tick
	}
	if r > 0 && p < math.MinInt64+r {
		return math.MinInt64
	}
	if r < 0 && p > math.MaxInt64+r {
		return math.MaxInt64
	}
	return num.Price(p - r)
}
