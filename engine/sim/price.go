package sim

import (
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// premium is the smoothed distance of the own book from the index, and the samples of the funding hour.
type premium struct {
	smooth  num.Rate
	sum     num.Rate
	samples int64
}

// maxPremium caps the smoothed premium inside the mark price: 0.5 %.
const maxPremium = num.Rate(5_000_000_000)

// second moves a market's index and mark price and publishes its statistics.
func (x *Exchange) second(m *market) {
	x.drift(m)
	// The index is other venues' price: the fair one with a small error of its own.
	m.index = max(1, num.Price(math.Round(m.flow.fair*(1+2e-5*x.rng.NormFloat64()))))
	other := max(1, num.Price(math.Round(m.flow.fair*(1+3e-5*x.rng.NormFloat64()))))
	own, ok := m.impactMid()
	if !ok {
		own = m.index
	}
	m.premium.smooth += (rateOf(own-m.index, m.index) - m.premium.smooth) / 30
	near := m.index + num.Price(scaleBy(int64(m.index), clampRate(m.premium.smooth, maxPremium)))
	m.mark = max(1, median(near, other, own))
	m.addMark(x.clock / 1000)
	x.publishStats(m)
}

func median(a, b, c num.Price) num.Price {
	return max(min(a, b), min(max(a, b), c))
}

func clampRate(r, limit num.Rate) num.Rate { return max(-limit, min(limit, r)) }

// rateOf returns part / whole as a rate.
func rateOf(part, whole num.Price) num.Rate {
	var a num.Acc
	a.AddProduct(int64(part), 1)
	r, err := a.DivRound(int64(whole), 0, num.RateScale)
	if err != nil {
		return 0
	}
	return num.Rate(r)
}

// scaleBy returns v x r, half-even.
func scaleBy(v int64, r num.Rate) int64 {
	var a num.Acc
	a.AddProduct(v, int64(r))
	out, err := a.Round(num.RateScale, 0)
	if err != nil {
		return 0
	}
	return out
}

// impact returns the average price of taking the impact notional, 500 USDC / smallest initial fraction, from a side.
func (m *market) impact(s model.Side) (num.Price, bool) {
	left := num.USD(500 * 1_000_000 * 10_000 / m.smallest)
	var cost num.Acc
	var size num.Size
	book := m.side(s)
	for i := len(book.levels) - 1; i >= 0 && left > 0; i-- {
		l := &book.levels[i]
		part := l.size
		if v := worth(l.price, l.size); v > left {
			part = max(1, num.Size(int64(left)/int64(l.price)))
		}
		cost.AddProduct(int64(l.price), int64(part))
		size += part
		left -= worth(l.price, part)
		if part < l.size {
			break
		}
	}
	if size == 0 {
		return 0, false
	}
	p, err := cost.DivRound(int64(size), 0, 0)
	return num.Price(p), err == nil
}

func (m *market) impactMid() (num.Price, bool) {
	bid, ok1 := m.impact(model.Bid)
	ask, ok2 := m.impact(model.Ask)
	return (bid + ask) / 2, ok1 && ok2
}
