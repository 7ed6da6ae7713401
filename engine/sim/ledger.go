package sim

import (
	"errors"
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Account is a copy of an account's ledger: the truth that a follower of the venue is compared with.
type Account struct {
	Index      int64
	Kind       int64 // the venue's account_type
	L1         string
	Collateral num.USD // cross collateral
	Value      num.USD // cross collateral plus unrealised profit of the cross positions
	Total      num.USD // with the isolated positions
	Initial    num.USD // requirements of the cross positions
	Maintain   num.USD
	CloseOut   num.USD
	Trades     int64
	Volume     num.USD
	Positions  []Position
	Orders     []Order
}

// Position is a copy of a position, flat ones included.
type Position struct {
	Market           int64
	Size             num.Size // signed
	Entry            num.USD  // entry value
	Fraction         int64    // initial margin fraction, 1e-4
	Isolated         bool
	Allocated        num.USD
	Realized, Paid   num.USD // profit realised; funding paid out
	Mark             num.Price
	LiquidationPrice string // "" where there is none
}

// Order is a copy of a resting order.
type Order struct {
	Index, Market, Owner int64
	Side                 model.Side
	Price                num.Price
	Initial, Left        num.Size
}

// Ledger copies every account with its positions; orders only where asked for.
func (x *Exchange) Ledger(orders bool) []Account {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	out := make([]Account, len(x.accounts))
	for i, a := range x.accounts {
		total, h := a.total()
		out[i] = Account{Index: a.index, Kind: a.kind, L1: a.l1, Collateral: a.collateral, Value: h.value, Total: total,
			Initial: h.initial, Maintain: h.maintenance, CloseOut: h.closeOut, Trades: a.trades, Volume: a.volume}
		for _, p := range a.positions {
			out[i].Positions = append(out[i].Positions, Position{Market: p.market.id, Size: p.size, Entry: p.entry, Fraction: p.fraction,
				Isolated: p.isolated, Allocated: p.allocated, Realized: p.realized, Paid: p.paid, Mark: p.market.mark,
				LiquidationPrice: p.liquidationPrice()})
		}
		if orders {
			for _, o := range a.orders {
				out[i].Orders = append(out[i].Orders, o.copy())
			}
		}
	}
	return out
}

func (o *order) copy() Order {
	return Order{Index: o.index, Market: o.market.id, Owner: o.owner.index, Side: o.side, Price: o.price, Initial: o.initial, Left: o.left}
}

// Book returns a market's levels, best first, and the resting orders behind them in price-time priority.
func (x *Exchange) Book(id int64) (bids, asks []model.Level, orders []Order) {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	m := x.byID[id]
	if m == nil {
		return nil, nil, nil
	}
	list := func(s *side) (out []model.Level) {
		for i := len(s.levels) - 1; i >= 0; i-- {
			out = append(out, model.Level{Price: s.levels[i].price, Size: s.levels[i].size})
			for o := s.levels[i].head; o != nil; o = o.next {
				orders = append(orders, o.copy())
			}
		}
		return out
	}
	return list(&m.bids), list(&m.asks), orders
}

// Markets returns the ids, symbols and decimals of the markets.
func (x *Exchange) Markets() []model.Market {
	out := make([]model.Market, len(x.markets))
	for i, m := range x.markets {
		out[i] = model.Market{ID: model.MarketID(m.id), Native: m.id, Symbol: m.symbol, Type: "perp", Active: true,
			PriceScale: m.priceDecimals(), SizeScale: m.sizeDecimals, DefaultInitialMargin: int32(m.initial),
			MinInitialMargin: int32(m.smallest), MaintenanceMargin: int32(m.maintenance), CloseOutMargin: int32(m.closeOut)}
	}
	return out
}

// Check verifies what must hold after every step and reports all that does not: positions of a market sum up to zero,
// levels equal the sums of their orders, books are not crossed, and not a millionth of money came or went.
func (x *Exchange) Check() error {
	x.hub.mu.Lock()
	defer x.hub.mu.Unlock()
	var faults []error
	money := x.treasury
	sums := make(map[int64]num.Size)
	for _, a := range x.accounts {
		money += a.collateral
		var reserved num.USD
		for _, o := range a.orders {
			reserved += o.reserve
		}
		if reserved != a.reserved {
			faults = append(faults, fmt.Errorf("account %d reserves %d, its orders %d", a.index, a.reserved, reserved))
		}
		for _, p := range a.positions {
			sums[p.market.id] += p.size
			money += p.allocated - num.USD(sign(p.size))*p.entry
			if (p.size == 0) != (p.holder < 0) || p.size == 0 && (p.entry != 0 || p.allocated != 0 && p.paid == 0) {
				faults = append(faults, fmt.Errorf("account %d market %d: flat position holds entry %d margin %d", a.index, p.market.id, p.entry, p.allocated))
			}
		}
	}
	if money != x.funded {
		faults = append(faults, fmt.Errorf("money: %d in the ledgers, %d deposited", money, x.funded))
	}
	for _, m := range x.markets {
		if sums[m.id] != 0 {
			faults = append(faults, fmt.Errorf("market %d: positions sum up to %d", m.id, sums[m.id]))
		}
		if b, a := m.bids.best(), m.asks.best(); b != nil && a != nil && b.price >= a.price {
			faults = append(faults, fmt.Errorf("market %d: crossed at %d, %d", m.id, b.price, a.price))
		}
		faults = append(faults, m.bids.check(m.id), m.asks.check(m.id))
	}
	return errors.Join(faults...)
}

func (s *side) check(id int64) error {
	for i := range s.levels {
		l := &s.levels[i]
		var size num.Size
		count := int32(0)
		for o := l.head; o != nil; o = o.next {
			size += o.left
			count++
			if o.price != l.price || o.left <= 0 {
				return fmt.Errorf("market %d: order %d does not belong at %d", id, o.index, l.price)
			}
		}
		if size != l.size || count != l.count || count == 0 || i > 0 && !s.better(l.price, s.levels[i-1].price) {
			return fmt.Errorf("market %d: level %d holds %d, its %d orders %d", id, l.price, l.size, count, size)
		}
	}
	return nil
}
