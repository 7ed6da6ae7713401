package sim

import (
	"math"
	"math/rand/v2"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// The flow of orders is random, with the figures of the recordings (README.md holds the comparison). Binary floats are
// used here and in price.go only: they choose prices and sizes, and never carry money.

// Calibrated figures.
const (
	takerShare     = 0.022 // of all events
	amendShare     = 0.52  // of the other events: a level stays and changes its size
	staleTaken     = 0.04  // of passed orders: taken rather than pulled
	sweepShare     = 0.06  // of taker orders: large ones that walk the book
	takerMedian    = 420   // USD
	takerSigma     = 1.9
	sweepMedian    = 25000
	sweepSigma     = 1.5
	distanceSigma  = 1.6
	distanceSpread = 5.5   // median distance of a change, in spreads
	depthMedian    = 150.0 // bps: half of a side's levels are nearer than this
	dailyMove      = 0.024 // standard deviation of a day's log return
)

// flow is what steers the orders of one market.
type flow struct {
	fair   float64 // in ticks
	moved  int64   // us: when fair was last moved
	sigma  float64 // of the log return per square root of a second
	spread float64 // bps
	levels float64 // a side, in the long run
	width  float64 // sigma of the log distance of the levels
	tiny   float64 // share of tiny orders near the top
	big    float64 // median of the other orders, USD
	weight float64
}

func newFlow(m *market) flow {
	v := float64(m.volume) / 10 // in 10 million
	f := flow{fair: float64(m.index)}
	f.levels = min(4000, max(24, 42*math.Pow(v, 0.71)))
	f.spread = min(40, max(15*math.Pow(v, -0.75), 1e4/float64(m.index)))
	f.width = math.Log(depthMedian/(f.spread/2)) / -quantile(1/f.levels)
	f.sigma = dailyMove / math.Sqrt(86400)
	f.tiny = 0.34
	f.big = min(45000, max(1500, 22000*math.Pow(v/200, 0.25)))
	f.weight = math.Pow(float64(m.volume), 0.35)
	return f
}

// quantile is the inverse of the normal distribution.
func quantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// expected is how many levels of a side should stand within a distance of the fair price.
func (f *flow) expected(bps float64) float64 {
	z := (math.Log(bps) - math.Log(depthMedian)) / f.width
	return f.levels * 0.5 * math.Erfc(-z/math.Sqrt2)
}

func lognormal(r *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*r.NormFloat64())
}

// weigh spreads the flow over the markets by their volume.
func (x *Exchange) weigh() {
	sum := 0.0
	for _, m := range x.markets {
		sum += m.flow.weight
		x.weights = append(x.weights, sum)
	}
	for i := range x.weights {
		x.weights[i] /= sum
	}
}

// pick draws a market by its share.
func (x *Exchange) pick() *market {
	u := x.rng.Float64()
	lo, hi := 0, len(x.weights)-1
	for lo < hi {
		if mid := (lo + hi) / 2; x.weights[mid] <= u {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return x.markets[lo]
}

// drift moves the fair price up to the logical clock.
func (x *Exchange) drift(m *market) {
	f := &m.flow
	if f.moved == 0 {
		f.moved = x.clock
	}
	dt := float64(x.clock-f.moved) / 1e6
	if dt <= 0 {
		return
	}
	f.moved = x.clock
	f.fair *= math.Exp(x.opts.Volatility * f.sigma * math.Sqrt(dt) * x.rng.NormFloat64())
	f.fair = max(f.fair, 50)
}

// event is one action of somebody in a market. Orders that the fair price has passed go first: somebody takes them, or
// their owner pulls them.
func (x *Exchange) event(m *market) {
	x.drift(m)
	for _, s := range [2]model.Side{model.Ask, model.Bid} {
		best := m.side(s).best()
		if best == nil || s == model.Ask && float64(best.price) >= m.flow.fair || s == model.Bid && float64(best.price) <= m.flow.fair {
			continue
		}
		if x.rng.Float64() < staleTaken {
			x.takerOrder(m, opposite(s), lognormal(x.rng, takerMedian, takerSigma))
			return
		}
		x.cancel(best.tail, "canceled")
		if bps := m.flow.spread * (0.4 + 0.8*x.rng.Float64()); x.rng.Uint32N(4) == 0 { // its owner follows on the other side
			x.rest(m, opposite(s), m.priceAt(opposite(s), bps), bps)
		}
		break // the price has moved: the rest of the book is amended meanwhile
	}
	if x.rng.Float64() < takerShare {
		size := lognormal(x.rng, takerMedian, takerSigma)
		if x.rng.Float64() < sweepShare {
			size = lognormal(x.rng, sweepMedian, sweepSigma)
		}
		s := model.Bid
		if x.rng.Uint32()&1 == 0 {
			s = model.Ask
		}
		x.takerOrder(m, s, size)
		return
	}
	x.quote(m)
}

// takerOrder sends an immediate-or-cancel order of a random trader. Half of those who hold a position reduce it.
func (x *Exchange) takerOrder(m *market, s model.Side, usd float64) {
	best := m.side(opposite(s)).best()
	if best == nil {
		return
	}
	var a *account
	if len(m.holders) > 0 && x.rng.Uint32()&1 == 0 {
		p := m.holders[x.rng.IntN(len(m.holders))]
		if p.owner.kind < 2 && (p.size > 0) == (s == model.Ask) {
			a = p.owner
		}
	}
	if a == nil {
		a = x.trader()
	}
	size := m.lots(usd, best.price)
	slip := max(1, best.price/200) // half a percent
	limit := best.price + slip
	by := size
	if s == model.Ask {
		limit, by = best.price-slip, -size
	}
	if p := a.position(m); p != nil && p.size != 0 && sign(p.size) != sign(by) && abs(p.size) < abs(by)*2 {
		by = -p.size // close it whole rather than leave a crumb
		size = abs(by)
	}
	if _, ok := a.affords(m, by, limit); !ok || limit <= 0 {
		x.counts.Rejected++
		x.changes++ // a refused order is work, too: the loop must end
		return
	}
	x.execute(m, taking{account: a, side: s, limit: limit, left: size})
}

// lots turns an amount of money into a size of the market; odd sizes, as traders send them.
func (m *market) lots(usd float64, p num.Price) num.Size {
	return max(m.minSize, num.Size(usd*1e6/float64(p)))
}

// quote adds, amends or removes a resting order at a random distance from the fair price. Where fewer levels stand
// than the recorded depth profile asks for, adding is more likely, and the other way round.
func (x *Exchange) quote(m *market) {
	f := &m.flow
	s := model.Bid
	if x.rng.Uint32()&1 == 0 {
		s = model.Ask
	}
	bps := f.spread/2 + lognormal(x.rng, distanceSpread*f.spread, distanceSigma)
	if bps > 6000 {
		return
	}
	price := m.priceAt(s, bps)
	book := m.side(s)
	i, exact := book.find(price)
	if len(book.levels) > 0 && x.rng.Float64() < amendShare {
		x.amend(m, s, book, min(i, len(book.levels)-1))
		return
	}
	rank := float64(len(book.levels) - i)
	want := f.expected(bps)
	lack := math.Tanh((want - rank) / (1 + math.Sqrt(want)))
	if x.rng.Float64() < 0.5+0.5*lack {
		outward := num.Price(1)
		if s == model.Bid {
			outward = -1
		}
		for exact && price > 1 { // the next free price
			price += outward
			_, exact = book.find(price)
		}
		x.rest(m, s, price, bps)
		return
	}
	if o := lonely(book, i); o != nil {
		x.cancel(o, "canceled")
	}
}

// priceAt is the tick at a distance from the fair price, outward, and beyond the other side's best.
func (m *market) priceAt(s model.Side, bps float64) num.Price {
	if s == model.Ask {
		p := num.Price(math.Ceil(m.flow.fair * (1 + bps/1e4)))
		if best := m.bids.best(); best != nil {
			p = max(p, best.price+1)
		}
		return p
	}
	p := num.Price(math.Floor(m.flow.fair * (1 - bps/1e4)))
	if best := m.asks.best(); best != nil {
		p = min(p, best.price-1)
	}
	return max(p, 1)
}

// lonely returns an order near place i that is alone at its price, so that its cancel removes a level.
func lonely(book *side, i int) *order {
	for d := range 8 {
		for _, j := range [2]int{i + d, i - d - 1} {
			if j >= 0 && j < len(book.levels) && book.levels[j].count == 1 {
				return book.levels[j].head
			}
		}
	}
	if i >= 0 && i < len(book.levels) {
		return book.levels[i].tail
	}
	return nil
}

// rest places a new order of a maker, or deeper in the book of any trader.
func (x *Exchange) rest(m *market, s model.Side, price num.Price, bps float64) {
	usd, tiny := x.orderValue(m, bps)
	a := m.makers[x.rng.IntN(len(m.makers))]
	if tiny && (bps > 10*m.flow.spread || x.rng.Float64() < 0.3) {
		a = x.trader()
	}
	if x.place(m, a, s, price, m.lots(usd, price)) == nil {
		x.place(m, m.makers[x.rng.IntN(len(m.makers))], s, price, m.lots(usd, price))
	}
}

// orderValue draws the value of a resting order: a mixture of tiny and of market makers' sizes, the tiny ones more
// common away from the top.
func (x *Exchange) orderValue(m *market, bps float64) (usd float64, tiny bool) {
	share := min(0.8, m.flow.tiny+0.1*math.Log1p(bps/(10*m.flow.spread)))
	if x.rng.Float64() < share {
		return lognormal(x.rng, 75, 0.9), true
	}
	return min(900_000, lognormal(x.rng, m.flow.big, 1.3)), false
}

// amend changes a level without removing it: a smaller or larger order, a newcomer in the queue, one of several gone.
func (x *Exchange) amend(m *market, s model.Side, book *side, i int) {
	l := &book.levels[i]
	switch o := l.tail; {
	case l.count > 1 && (l.count > 3 || x.rng.Uint32()&1 == 0):
		x.cancel(o, "canceled")
	case x.rng.Uint32N(3) == 0 && o.left > 2*m.minSize:
		x.act()
		x.take(o, num.Size(1+x.rng.Int64N(int64(o.left/2))))
	default:
		bps := math.Abs(float64(l.price)/m.flow.fair-1) * 1e4
		x.rest(m, s, l.price, bps)
	}
}

// trader draws a trading account; small indexes trade more.
func (x *Exchange) trader() *account {
	u := x.rng.Float64()
	return x.accounts[firstTrader+int(u*u*float64(len(x.accounts)-firstTrader))]
}
