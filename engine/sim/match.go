package sim

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const orderLife = 28 * 24 * 3600 * 1000 // ms: the expiry of the recorded orders

// nextOrder returns the next order id of a side: the market's number in the upper bits; asks count up, bids down.
func (m *market) nextOrder(s model.Side) int64 {
	if s == model.Ask {
		m.askSeq++
		return (m.id+1)<<48 + m.askSeq
	}
	m.bidSeq++
	return (m.id+2)<<48 - m.bidSeq
}

func (m *market) side(s model.Side) *side {
	if s == model.Ask {
		return &m.asks
	}
	return &m.bids
}

func opposite(s model.Side) model.Side {
	if s == model.Ask {
		return model.Bid
	}
	return model.Ask
}

// crosses tells whether a resting order at the price would take from the other side.
func (m *market) crosses(s model.Side, p num.Price) bool {
	best := m.side(opposite(s)).best()
	return best != nil && (s == model.Ask && p <= best.price || s == model.Bid && p >= best.price)
}

// place rests a post-only order. It returns nil where the order would cross or the account cannot afford it.
func (x *Exchange) place(m *market, a *account, s model.Side, p num.Price, size num.Size) *order {
	if p <= 0 || size <= 0 || m.crosses(s, p) || len(a.orders) >= maxOrders {
		return nil
	}
	by := size
	if s == model.Ask {
		by = -size
	}
	need, ok := a.affords(m, by, p)
	if !ok {
		return nil
	}
	x.act()
	a.client++
	o := &order{index: m.nextOrder(s), client: a.client, owner: a, market: m, side: s, price: p, initial: size, left: size,
		reserve: need, created: x.clock, expiry: x.clock/1000 + orderLife, slot: len(a.orders)}
	a.orders = append(a.orders, o)
	a.reserved += need
	a.touchPosition(m).orders++
	x.note(m, s, p)
	m.side(s).push(o)
	x.orderChanged(o)
	return o
}

const maxOrders = 1_000_000 // the venue allows 1500; the makers here stand for many accounts each

// cancel takes a resting order out; why is the status that its owner is told.
func (x *Exchange) cancel(o *order, why string) {
	x.act()
	o.ended = why
	x.take(o, o.left)
}

// take removes size from a resting order and releases its margin; the caller has counted the action.
func (x *Exchange) take(o *order, by num.Size) {
	x.note(o.market, o.side, o.price)
	freed := share(o.reserve, by, o.left)
	o.reserve -= freed
	o.owner.reserved -= freed
	o.market.side(o.side).reduce(o, by)
	if o.left == 0 {
		a := o.owner
		last := a.orders[len(a.orders)-1]
		a.orders[o.slot] = last
		last.slot = o.slot
		a.orders[len(a.orders)-1] = nil
		a.orders = a.orders[:len(a.orders)-1]
		a.position(o.market).orders--
	}
	x.orderChanged(o)
}

// taking is an immediate-or-cancel order on its way through the book.
type taking struct {
	account *account
	side    model.Side // of the taker: Bid buys
	limit   num.Price  // worst price accepted
	left    num.Size
	kind    model.TradeKind
	zero    num.Price // liquidations: the zero price, from which the fee is measured
	index   int64
	client  int64
}

// execute runs an immediate-or-cancel order and publishes its trades in one frame. It returns the size filled.
func (x *Exchange) execute(m *market, t taking) num.Size {
	x.act()
	t.index = m.nextOrder(t.side)
	if t.kind == model.KindTrade {
		t.account.client++
		t.client = t.account.client
	}
	book := m.side(opposite(t.side))
	var filled num.Size
	for t.left > 0 {
		best := book.best()
		if best == nil || t.side == model.Bid && best.price > t.limit || t.side == model.Ask && best.price < t.limit {
			break
		}
		maker := best.head
		if maker.owner == t.account { // a self-trade is prevented: the resting order goes
			maker.ended = "canceled-self-trade"
			x.take(maker, maker.left)
			continue
		}
		size := min(t.left, maker.left)
		x.fill(m, fill{
			taker: t.account, maker: maker.owner, takerSide: t.side, takerOrder: t.index, takerClient: t.client,
			makerOrder: maker.index, makerClient: maker.client, price: maker.price, size: size, kind: t.kind, zero: t.zero,
		})
		if maker.filled += size; maker.left == size {
			maker.ended = "filled"
		}
		x.take(maker, size)
		t.left -= size
		filled += size
	}
	x.flushTrades(m)
	return filled
}

// fill is one trade about to be booked.
type fill struct {
	taker, maker             *account
	takerSide                model.Side
	takerOrder, makerOrder   int64
	takerClient, makerClient int64
	price                    num.Price
	size                     num.Size
	kind                     model.TradeKind
	zero                     num.Price
}

// fill books a trade: both positions, fees, the tape. The row joins the market's pending frame.
func (x *Exchange) fill(m *market, f fill) {
	value := worth(f.price, f.size)
	by := f.size
	if f.takerSide == model.Ask {
		by = -f.size
	}
	taker, maker := f.taker.touchPosition(m), f.maker.touchPosition(m)
	t := trade{fill: f, market: m, value: value, nonce: x.nonce, time: x.clock, takerBefore: before(taker), makerBefore: before(maker)}
	taker.apply(by, f.price)
	maker.apply(-by, f.price)
	if f.kind == model.KindTrade {
		t.takerFee = f.taker.takerFee
	} else if f.kind == model.KindLiquidation {
		t.takerFee = liquidationFee(m, f, value)
	}
	if f.kind != model.KindDeleverage {
		t.makerFee = f.maker.makerFee
	}
	x.charge(f.taker, f.kind, t.takerFee, value)
	x.charge(f.maker, model.KindTrade, t.makerFee, value)
	t.takerAfter, t.makerAfter = before(taker), before(maker)
	x.record(m, &t)
	for _, a := range [2]*account{f.taker, f.maker} {
		a.trades++
		a.volume += value
		a.changed = x.clock
		x.touch(a)
	}
}

// charge moves a fee to the treasury, a liquidation's to the liquidity pool.
func (x *Exchange) charge(a *account, kind model.TradeKind, fee int64, value num.USD) {
	v := fractionOf(value, fee, 6)
	a.collateral -= v
	if kind == model.KindLiquidation {
		x.pool.collateral += v
		return
	}
	x.treasury += v
}

// liquidationFee is at most 1 % and at most the improvement over the zero price, in 1e-6 of the value.
func liquidationFee(m *market, f fill, value num.USD) int64 {
	better := f.price - f.zero
	if f.takerSide == model.Bid {
		better = f.zero - f.price
	}
	if better <= 0 || value == 0 || m.feeFree {
		return 0
	}
	var a num.Acc
	a.AddProduct(int64(worth(better, f.size)), num.Pow10(6))
	ticks, err := a.DivRound(int64(value), 0, 0)
	if err != nil {
		return 0
	}
	return min(10000, ticks)
}

// standing is a side's position at a moment, as trade rows tell it.
type standing struct {
	size      num.Size
	entry     num.USD
	fraction  int64
	isolated  bool
	allocated num.USD
}

func before(p *position) standing {
	return standing{size: p.size, entry: p.entry, fraction: p.fraction, isolated: p.isolated, allocated: p.allocated}
}
