package risk

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// naivePool is a margin pool in fractions: what it is worth and what it has to keep.
type naivePool struct{ value, initial, maintenance, closeOut *big.Rat }

func newNaivePool(money num.USD) *naivePool {
	return &naivePool{big.NewRat(int64(money), 1e6), new(big.Rat), new(big.Rat), new(big.Rat)}
}

// state is the band by the numbers that are shown: in whole millionths.
func (p *naivePool) state() State {
	value := rounded(p.value, num.USDScale)
	switch {
	case value >= rounded(p.initial, num.USDScale):
		return Healthy
	case value >= rounded(p.maintenance, num.USDScale):
		return PreLiquidation
	case value >= rounded(p.closeOut, num.USDScale):
		return PartialLiquidation
	}
	return FullLiquidation
}

// liquidation is the price at which the pool is worth what it has to keep, from the contract's words: long
// mark - (AV - MMR) / (q x (1 - M)), short mark + (AV - MMR) / (q x (1 + M)).
func (p *naivePool) liquidation(mark, size, m *big.Rat) *big.Rat {
	over, one := new(big.Rat).Sub(p.value, p.maintenance), big.NewRat(1, 1)
	if size.Sign() > 0 {
		return new(big.Rat).Sub(mark, over.Quo(over, one.Sub(one, m).Mul(one, size)))
	}
	return new(big.Rat).Add(mark, over.Quo(over, one.Add(one, m).Mul(one, new(big.Rat).Abs(size))))
}

func scaled(mant int64, scale uint8) *big.Rat { return big.NewRat(mant, num.Pow10(scale)) }

func rounded(r *big.Rat, scale uint8) int64 {
	return roundHalfEven(new(big.Rat).Mul(r, big.NewRat(num.Pow10(scale), 1)))
}

// Values, requirements with the account's own fraction, states and liquidation prices of cross and isolated positions are
// those of fractions of any size, whatever scale a position is of.
func TestRulesEqualFractions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &model.Account{Collateral: num.USD(rapid.Int64Range(-1e12, 1e14).Draw(t, "collateral"))}
		markets := map[model.MarketID]Market{}
		cross, worst := newNaivePool(a.Collateral), Healthy
		exposed := false
		isolated := map[model.MarketID]*naivePool{}
		for i := range rapid.IntRange(1, 6).Draw(t, "positions") {
			id, ps := model.MarketID(i), uint8(rapid.IntRange(0, 5).Draw(t, "price scale"))
			maintenance := rapid.Int32Range(1, 3000).Draw(t, "maintenance")
			m := perp(id, ps, 6-ps, 2*maintenance, maintenance, maintenance/2)
			m.Scales = []model.Scale{{Price: ps, Size: 5 - ps}, {Price: ps, Size: 6 - ps}} // the market has had one digit less
			m.Epoch, m.MinInitialMargin = 1, rapid.Int32Range(1, 2*maintenance).Draw(t, "least initial")
			markets[id] = Market{Info: m, Mark: num.Decimal{Mant: rapid.Int64Range(1, 1e8).Draw(t, "mark"), Scale: ps}}
			p := model.Position{Market: id, Epoch: uint8(rapid.IntRange(0, 1).Draw(t, "epoch")),
				Size: num.Size(rapid.Int64Range(-1e6, 1e6).Draw(t, "size")), Entry: num.USD(rapid.Int64Range(0, 1e14).Draw(t, "entry")),
				Initial:  rapid.SampledFrom([]int32{0, 1, 100, 500, 2000, 10_000}).Draw(t, "initial"),
				Isolated: rapid.Bool().Draw(t, "isolated"), Allocated: num.USD(rapid.Int64Range(0, 1e13).Draw(t, "allocated"))}
			a.Positions = append(a.Positions, p)
			if p.Size == 0 {
				continue
			}
			pool := cross
			if p.Isolated {
				pool = newNaivePool(p.Allocated)
				isolated[id] = pool
			} else {
				exposed = true
			}
			mark, size := scaled(markets[id].Mark.Mant, ps), scaled(int64(p.Size), m.Scales[p.Epoch].Size)
			value := new(big.Rat).Mul(mark, new(big.Rat).Abs(size))
			profit := new(big.Rat).Sub(value, big.NewRat(int64(p.Entry), 1e6))
			if p.Size < 0 {
				profit.Neg(profit)
			}
			own := p.Initial
			if own == 0 {
				own = m.DefaultInitialMargin
			}
			pool.value.Add(pool.value, profit)
			for fraction, sum := range map[*big.Rat]*big.Rat{big.NewRat(int64(max(own, m.MinInitialMargin)), 1e4): pool.initial,
				big.NewRat(int64(maintenance), 1e4): pool.maintenance, big.NewRat(int64(m.CloseOutMargin), 1e4): pool.closeOut} {
				sum.Add(sum, fraction.Mul(fraction, value))
			}
		}
		s := Assess(a, func(id model.MarketID) (Market, bool) { m, ok := markets[id]; return m, ok })
		all := newNaivePool(0)
		for _, pool := range append([]*naivePool{cross}, values(isolated)...) {
			all.value.Add(all.value, pool.value)
			all.initial.Add(all.initial, pool.initial)
			all.maintenance.Add(all.maintenance, pool.maintenance)
			all.closeOut.Add(all.closeOut, pool.closeOut)
			if pool != cross || exposed {
				worst = max(worst, pool.state())
			}
		}
		got := [4]int64{int64(s.Account.Value), int64(s.Account.Initial), int64(s.Account.Maintenance), int64(s.Account.CloseOut)}
		want := [4]int64{rounded(all.value, 6), rounded(all.initial, 6), rounded(all.maintenance, 6), rounded(all.closeOut, 6)}
		if got != want || s.State != worst || s.Unknown != 0 {
			t.Fatalf("%v %s, %d unknown, want %v %s", got, s.State, s.Unknown, want, worst)
		}
		for i := range s.Exposures {
			e := &s.Exposures[i]
			pool := cross
			if e.Position.Isolated {
				pool = isolated[e.Position.Market]
			}
			m := e.Market.Info
			size := scaled(int64(e.Position.Size), m.Scales[e.Position.Epoch].Size)
			price := pool.liquidation(scaled(e.Market.Mark.Mant, e.Market.Mark.Scale), size, big.NewRat(int64(m.MaintenanceMargin), 1e4))
			if new(big.Rat).Abs(price).Cmp(big.NewRat(1e10, 1)) > 0 {
				continue // beyond what 64 bits hold
			}
			want := rounded(price, PriceScale)
			if got, ok := e.Price(); ok != (want > 0) || ok && got.Mant != want {
				t.Fatalf("liquidation price %s (%v), want %s", got, ok, price.FloatString(10))
			}
		}
	})
}

func values(m map[model.MarketID]*naivePool) (out []*naivePool) {
	for _, p := range m {
		out = append(out, p)
	}
	return out
}

// Numbers whose sums 64 bits do not hold make a position unknown; none of them wraps.
func TestSumsOutOfRange(t *testing.T) {
	m := perp(0, 2, 4, 1000, 300, 200)
	markets := func(model.MarketID) (Market, bool) { return Market{Info: m, Mark: decimal(t, "3000")}, true }
	const much = 2_200_000_000_000_000_000 // a little less than what a single position may be worth
	for name, a := range map[string]*model.Account{
		"collateral":  {Collateral: math.MaxInt64, Positions: []model.Position{{Size: 1_0000}}},
		"debt":        {Collateral: math.MinInt64, Positions: []model.Position{{Size: -1_0000}}},
		"allocated":   {Positions: []model.Position{{Size: 1_0000, Isolated: true, Allocated: math.MaxInt64}}},
		"many pools":  {Collateral: much, Positions: manyPositions(model.Position{Size: 1_0000, Isolated: true, Allocated: much})},
		"many losses": {Positions: manyPositions(model.Position{Size: 1_0000, Entry: much})},
	} {
		s := Assess(a, markets)
		if s.Unknown == 0 {
			t.Errorf("%s: every position is valued", name)
		}
		if value := s.Account.Value; name != "debt" && name != "many losses" && value < 0 || name == "many losses" && value > 0 || name == "debt" && value != a.Collateral {
			t.Errorf("%s: worth %d", name, value)
		}
	}
}

func manyPositions(p model.Position) (ps []model.Position) {
	for i := range 6 {
		p.Market = model.MarketID(i)
		ps = append(ps, p)
	}
	return ps
}
