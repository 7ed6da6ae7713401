package sim

import (
	"sort"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// liquidateDue checks a hundredth of the accounts in each step, so each one once a second.
func (x *Exchange) liquidateDue() {
	for i := int(x.steps % marketSteps); i < len(x.accounts); i += marketSteps {
		a := x.accounts[i]
		if a == x.pool || a == x.fund {
			continue
		}
		x.checkCross(a)
		for _, p := range a.positions {
			if p.isolated && p.size != 0 {
				x.checkIsolated(p)
			}
		}
	}
}

// checkCross applies section 6.2 of the venue's rules to a cross account.
func (x *Exchange) checkCross(a *account) {
	h := a.cross()
	if !h.exposed && h.value < 0 { // a loss beyond its money: the insurance fund bears it
		x.fund.collateral += a.collateral
		a.collateral = 0
		return
	}
	if !h.exposed || h.value >= h.maintenance {
		return
	}
	for len(a.orders) > 0 {
		x.cancel(a.orders[len(a.orders)-1], "canceled-liquidation")
	}
	if h.value >= h.closeOut {
		// Positions are closed one at a time, the largest requirement first, until the account is healthy.
		for _, p := range a.crossPositions() {
			if h = a.cross(); h.value >= h.initial || h.value < h.closeOut {
				break
			}
			x.liquidate(p, h)
		}
		if h = a.cross(); !h.exposed || h.value >= h.closeOut {
			return
		}
	}
	for _, p := range a.crossPositions() {
		x.takeOver(p, h)
	}
}

func (x *Exchange) checkIsolated(p *position) {
	h := p.alone()
	if h.value >= h.maintenance {
		return
	}
	for i := len(p.owner.orders) - 1; i >= 0; i-- {
		if o := p.owner.orders[i]; o.market == p.market {
			x.cancel(o, "canceled-liquidation")
		}
	}
	if h.value >= h.closeOut {
		x.liquidate(p, h)
		if h = p.alone(); !h.exposed || h.value >= h.closeOut {
			return
		}
	}
	x.takeOver(p, h)
}

// crossPositions returns the open cross positions, the largest maintenance requirement first.
func (a *account) crossPositions() []*position {
	var open []*position
	for _, p := range a.positions {
		if !p.isolated && p.size != 0 {
			open = append(open, p)
		}
	}
	sort.SliceStable(open, func(i, j int) bool {
		return fractionOf(open[i].value(), open[i].market.maintenance, 4) > fractionOf(open[j].value(), open[j].market.maintenance, 4)
	})
	return open
}

// liquidate closes as much of a position as the book takes at the zero price or better.
func (x *Exchange) liquidate(p *position, h health) {
	s := model.Ask
	if p.size < 0 {
		s = model.Bid
	}
	zero := p.zeroPrice(h)
	x.counts.Liquidations++
	x.execute(p.market, taking{account: p.owner, side: s, limit: zero, left: abs(p.size), kind: model.KindLiquidation, zero: zero})
}

// takeOver closes a whole position at the zero price: the liquidity pool takes it while the account still has value
// and the pool can bear it; otherwise the best-placed holders of the other side are deleveraged.
func (x *Exchange) takeOver(p *position, h health) {
	zero := p.zeroPrice(h)
	m, s := p.market, model.Ask
	if p.size < 0 {
		s = model.Bid
	}
	x.act()
	f := fill{taker: p.owner, takerSide: s, takerOrder: m.nextOrder(s), price: zero, zero: zero}
	if h.value >= 0 && x.pool.bears(p) {
		x.counts.PoolTakeovers++
		f.maker, f.makerOrder, f.size, f.kind = x.pool, m.nextOrder(opposite(s)), abs(p.size), model.KindLiquidation
		x.fill(m, f)
		x.flushTrades(m)
		return
	}
	x.counts.Deleverages++
	f.kind = model.KindDeleverage
	for _, other := range m.bestPlaced(p) {
		if p.size == 0 {
			break
		}
		f.maker, f.makerOrder, f.size = other.owner, m.nextOrder(opposite(s)), min(abs(p.size), abs(other.size))
		x.fill(m, f)
	}
	x.flushTrades(m)
}

// bears tells whether the pool stays above its initial requirement with the position.
func (a *account) bears(p *position) bool {
	h := a.cross()
	return h.value-h.initial >= fractionOf(p.value(), max(a.preferred, p.market.smallest), 4)
}

// bestPlaced returns the holders of the other side, the highest profit per value first.
func (m *market) bestPlaced(p *position) []*position {
	type ranked struct {
		p    *position
		gain num.Rate
	}
	var list []ranked
	for _, o := range m.holders {
		if sign(o.size) == -sign(p.size) && o.owner != p.owner {
			var a num.Acc
			a.AddProduct(int64(o.pnl()), 1)
			g, err := a.DivRound(max(1, int64(o.value())), 0, 9)
			if err != nil {
				g = 0
			}
			list = append(list, ranked{p: o, gain: num.Rate(g)})
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].gain != list[j].gain {
			return list[i].gain > list[j].gain
		}
		return list[i].p.owner.index < list[j].p.owner.index
	})
	out := make([]*position, len(list))
	for i, r := range list {
		out[i] = r.p
	}
	return out
}
