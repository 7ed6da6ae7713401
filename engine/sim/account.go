package sim

import (
	"math/bits"
	"sort"

	"hyperlight/engine/num"
)

// account is a trading account. Money is exact: every fill, fee and payment moves whole 1e-6 units between ledgers.
type account struct {
	index      int64
	kind       int64 // the venue's account_type: 0 master, 1 sub-account, 2 public pool, 3 the venue's own
	l1         string
	name       string
	collateral num.USD // cross collateral, without what isolated positions hold
	reserved   num.USD // initial margin of the resting orders
	positions  []*position
	orders     []*order
	preferred  int64 // initial margin fraction that its new positions get
	isolated   bool  // its new positions are isolated
	makerFee   int64 // 1e-6 of the value
	takerFee   int64

	trades  int64
	volume  num.USD
	touched bool // waits in Exchange.touched for its channel updates
	rows    []accountRow
	funding []fundingPayment // newest last, bounded
	client  int64            // last client order id used
	changed int64            // us, last change
}

// position is one market's holding of an account; a flat one stays, as at the venue.
type position struct {
	owner     *account
	market    *market
	size      num.Size // signed
	entry     num.USD  // entry value, never negative
	fraction  int64    // initial margin fraction, 1e-4
	isolated  bool
	allocated num.USD // margin of an isolated position
	realized  num.USD
	paid      num.USD // funding paid out, negative when received
	orders    int64   // open orders of this market
	holder    int     // place in market.holders, -1 while flat
}

func sign[T ~int64](v T) int64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

func abs[T ~int64](v T) T {
	if v < 0 {
		return -v
	}
	return v
}

// worth is price x size as money; exact, because the decimals of both sum up to those of money.
func worth(p num.Price, s num.Size) num.USD { return num.USD(int64(p) * int64(s)) }

// share returns v x part / whole, half-even.
func share(v num.USD, part, whole num.Size) num.USD {
	if part == whole {
		return v
	}
	var a num.Acc
	a.AddProduct(int64(v), int64(part))
	r, err := a.DivRound(int64(whole), num.USDScale, num.USDScale)
	if err != nil {
		panic("sim: share of a position out of range")
	}
	return num.USD(r)
}

// keep returns what is left of the entry value when a part of a position is left, rounded down as the venue does.
func keep(v num.USD, left, held num.Size) num.USD {
	hi, lo := bits.Mul64(uint64(v), uint64(left))
	q, _ := bits.Div64(hi, lo, uint64(held)) // below v, since left < held
	return num.USD(q)
}

// fraction returns v x f / 10^scale, half-even.
func fractionOf(v num.USD, f int64, scale uint8) num.USD {
	var a num.Acc
	a.AddProduct(int64(v), f)
	r, err := a.Round(num.USDScale+scale, num.USDScale)
	if err != nil {
		panic("sim: fraction out of range")
	}
	return num.USD(r)
}

// position returns the account's position in a market, nil if it never had one.
func (a *account) position(m *market) *position {
	i := sort.Search(len(a.positions), func(i int) bool { return a.positions[i].market.slot >= m.slot })
	if i < len(a.positions) && a.positions[i].market == m {
		return a.positions[i]
	}
	return nil
}

// touch returns the account's position in a market and creates a flat one where there is none.
func (a *account) touchPosition(m *market) *position {
	i := sort.Search(len(a.positions), func(i int) bool { return a.positions[i].market.slot >= m.slot })
	if i < len(a.positions) && a.positions[i].market == m {
		return a.positions[i]
	}
	p := &position{owner: a, market: m, holder: -1, isolated: a.isolated,
		fraction: max(a.preferred, m.smallest)}
	a.positions = append(a.positions, nil)
	copy(a.positions[i+1:], a.positions[i:])
	a.positions[i] = p
	return p
}

// pnl is the unrealised profit at the market's mark price.
func (p *position) pnl() num.USD {
	return worth(p.market.mark, p.size) - num.USD(sign(p.size))*p.entry
}

// value is the unsigned value at the mark price.
func (p *position) value() num.USD { return abs(worth(p.market.mark, p.size)) }

// apply books a fill of the signed size at a price. Profit of the closed part goes to the account's collateral; an
// isolated position takes margin from it when it grows and gives margin back when it shrinks. The sum
// collateral + allocated - sign x entry changes by exactly -price x size, whatever the rounding of a part.
func (p *position) apply(by num.Size, price num.Price) {
	before := p.size
	if before != 0 && sign(before) != sign(by) {
		part := min(abs(by), abs(before))
		entry := p.entry - keep(p.entry, abs(before)-part, abs(before))
		profit := num.USD(sign(before)) * (worth(price, part) - entry)
		margin := share(p.allocated, part, abs(before))
		p.entry -= entry
		p.allocated -= margin
		p.realized += profit
		p.owner.collateral += profit + margin
		p.size -= num.Size(sign(before)) * part
		by -= num.Size(sign(by)) * part
	}
	if by != 0 {
		v := worth(price, abs(by))
		p.entry += v
		p.size += by
		if p.isolated {
			margin := fractionOf(v, p.fraction, 4)
			p.allocated += margin
			p.owner.collateral -= margin
		}
	}
	p.market.hold(p)
}

// hold keeps the market's list of holders: positions that are not flat.
func (m *market) hold(p *position) {
	switch {
	case p.size != 0 && p.holder < 0:
		p.holder = len(m.holders)
		m.holders = append(m.holders, p)
	case p.size == 0 && p.holder >= 0:
		last := m.holders[len(m.holders)-1]
		m.holders[p.holder] = last
		last.holder = p.holder
		m.holders = m.holders[:len(m.holders)-1]
		p.holder = -1
	}
}
