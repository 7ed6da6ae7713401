// Package risk holds the venue's margin rules as pure functions: what an account is worth, what it has to keep, at which
// price a position is closed by force, where such prices of a market lie (Map, Heatmap) and what closing them does to the
// book (Cascade). All of it is exact up to the stated rounding of quotients. It does no I/O, has no clock and no store,
// and does not know where positions come from.
package risk

import (
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// PriceScale is the number of decimals of the prices that the rules make: quotients are rounded half-even to it.
const PriceScale = 8

// fractionScale is the number of decimals of margin fractions.
const fractionScale = 4

// requirementScale is the number of decimals of an exact margin requirement: money times a fraction.
const requirementScale = num.USDScale + fractionScale

// Market is what the rules need to know of a market at a moment. Info's margin fractions and Mark must be above zero;
// Known tells.
type Market struct {
	Info *model.Market
	Mark num.Decimal
}

// Known tells whether positions of the market can be valued: it has a mark price and margin fractions.
func (m *Market) Known() bool {
	return m.Info != nil && m.Mark.Mant > 0 && m.Mark.Scale <= PriceScale && m.Info.MaintenanceMargin > 0
}

// Value returns the unsigned value of a size at the mark price.
func (m *Market) Value(s num.Size, epoch uint8) (num.USD, error) {
	_, ss := m.Info.ScaleAt(epoch)
	return num.MulUSD(num.Price(m.Mark.Mant), m.Mark.Scale, max(s, -s), ss)
}

// State is the band that a margin pool is in.
type State uint8

// The states, best first.
const (
	Healthy State = iota
	PreLiquidation
	PartialLiquidation
	FullLiquidation
)

// String returns the name that the API uses.
func (s State) String() string {
	switch s {
	case PreLiquidation:
		return "pre_liquidation"
	case PartialLiquidation:
		return "partial_liquidation"
	case FullLiquidation:
		return "full_liquidation"
	}
	return "healthy"
}

// Pool is money that stands for positions together: an account's cross collateral, or the margin of one isolated position.
type Pool struct {
	Value                          num.USD // collateral and unrealised profit
	Profit                         num.USD // the unrealised profit in it
	Notional                       num.USD // of its positions, unsigned
	Initial, Maintenance, CloseOut num.USD // requirements, rounded half-even
	Exposed                        bool    // any position is open

	initial, maintenance, closeOut num.Acc // the same at requirementScale, exact
}

// State returns the pool's band; without a position it is healthy.
func (p *Pool) State() State {
	switch {
	case !p.Exposed || p.Value >= p.Initial:
		return Healthy
	case p.Value >= p.Maintenance:
		return PreLiquidation
	case p.Value >= p.CloseOut:
		return PartialLiquidation
	}
	return FullLiquidation
}

// Exposure is an open position at the mark price.
type Exposure struct {
	Position *model.Position
	Market   Market
	Notional num.USD // unsigned
	Profit   num.USD // unrealised
	// Maintenance is what the position adds to its pool's maintenance requirement.
	Maintenance num.USD
	Pool        *Pool
}

// Assessment is what the rules say about an account.
type Assessment struct {
	// Account sums up all pools; Cross is the account without its isolated positions.
	Account, Cross Pool
	State          State // of the worst pool
	Exposures      []Exposure
	// Unknown counts open positions that cannot be valued: no mark price, no margin fractions, or numbers out of range. They
	// are in no sum.
	Unknown int

	isolated []Pool
	room     num.USD // what the sums may still grow by, either way
}

// Assess values an account. market is asked once for each open position. The result refers to the account's positions;
// the exposures are in their order.
func Assess(a *model.Account, market func(model.MarketID) (Market, bool)) *Assessment {
	s := &Assessment{}
	s.Assess(a, market)
	return s
}

// Assess values an account into s, whose memory it uses again.
func (s *Assessment) Assess(a *model.Account, market func(model.MarketID) (Market, bool)) {
	*s = Assessment{Exposures: s.Exposures[:0], isolated: s.isolated[:0]}
	s.Cross.Value = a.Collateral
	s.room = math.MaxInt64 - max(a.Collateral, -(a.Collateral+1)) // of the least number too
	open := 0
	for i := range a.Positions {
		if p := &a.Positions[i]; p.Size != 0 && p.Isolated {
			open++
		}
	}
	if cap(s.isolated) < open {
		s.isolated = make([]Pool, 0, open) // exposures point into it: it must not grow below
	}
	for i := range a.Positions {
		p := &a.Positions[i]
		if p.Size == 0 {
			continue
		}
		m, ok := market(p.Market)
		if !ok || !m.Known() || !s.add(p, m) {
			s.Unknown++
		}
	}
	s.Cross.finish()
	s.State = s.Cross.State()
	s.Account = s.Cross
	for i := range s.isolated {
		pool := &s.isolated[i]
		pool.finish()
		s.State = max(s.State, pool.State())
		s.Account.merge(pool)
	}
	s.Account.finish()
}

// add puts an open position into its pool; false where its numbers are out of range.
func (s *Assessment) add(p *model.Position, m Market) bool {
	value, err := m.Value(p.Size, p.Epoch)
	if err != nil || !s.fits(value) || !s.fits(p.Entry) || p.Isolated && !s.fits(max(p.Allocated, -p.Allocated)) {
		return false
	}
	profit := value - p.Entry
	if p.Size < 0 {
		profit = -profit
	}
	pool := &s.Cross
	if p.Isolated {
		s.isolated = append(s.isolated, Pool{Value: p.Allocated})
		pool = &s.isolated[len(s.isolated)-1]
	}
	initial := p.Initial
	if initial == 0 {
		initial = m.Info.DefaultInitialMargin
	}
	pool.add(value, profit, max(initial, m.Info.MinInitialMargin), m.Info.MaintenanceMargin, m.Info.CloseOutMargin)
	s.Exposures = append(s.Exposures, Exposure{
		Position: p, Market: m, Notional: value, Profit: profit, Pool: pool,
		Maintenance: requirement(product(value, m.Info.MaintenanceMargin)),
	})
	return true
}

// fits takes an amount from the room that the sums have; false where it is not left.
func (s *Assessment) fits(amount num.USD) bool {
	if amount < 0 || amount > s.room {
		return false
	}
	s.room -= amount
	return true
}

func (p *Pool) add(value, profit num.USD, initial, maintenance, closeOut int32) {
	p.Exposed = true
	p.Value += profit
	p.Profit += profit
	p.Notional += value
	p.initial.AddProduct(int64(value), int64(initial))
	p.maintenance.AddProduct(int64(value), int64(maintenance))
	p.closeOut.AddProduct(int64(value), int64(closeOut))
}

func (p *Pool) merge(o *Pool) {
	p.Exposed = p.Exposed || o.Exposed
	p.Value += o.Value
	p.Profit += o.Profit
	p.Notional += o.Notional
	p.initial.Add(o.initial)
	p.maintenance.Add(o.maintenance)
	p.closeOut.Add(o.closeOut)
}

func (p *Pool) finish() {
	p.Initial, p.Maintenance, p.CloseOut = requirement(p.initial), requirement(p.maintenance), requirement(p.closeOut)
}

func product(value num.USD, fraction int32) num.Acc {
	var a num.Acc
	a.AddProduct(int64(value), int64(fraction))
	return a
}

// requirement rounds an exact requirement to money. Fractions are at most 1, so that it fits where the values do.
func requirement(a num.Acc) num.USD {
	v, err := a.Round(requirementScale, num.USDScale)
	if err != nil {
		return math.MaxInt64
	}
	return num.USD(v)
}
