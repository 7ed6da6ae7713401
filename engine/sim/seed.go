package sim

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// The venue's own accounts, and how many makers stand between them and the traders in Exchange.accounts.
const (
	insuranceIndex = 281474976710655
	poolIndex      = 281474976710654
	makerCount     = 60
	firstTrader    = 2 + makerCount
)

// leverages are initial margin fractions and how often recorded trades showed them, in percent.
var leverages = []struct{ fraction, share int64 }{{200, 44}, {500, 35}, {1000, 10}, {333, 5}, {2000, 3}, {3333, 2}, {10000, 1}}

func (x *Exchange) addAccount(a *account, money num.USD) {
	a.collateral = money
	a.changed = x.clock
	x.funded += money
	x.accounts = append(x.accounts, a)
	x.byIndex[a.index] = a
	x.byL1[a.l1] = append(x.byL1[a.l1], a)
}

// address makes an L1 address from a number: readable as one, and the same in every run.
func address(n uint64) string {
	var b [20]byte
	binary.BigEndian.PutUint64(b[:8], n*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(b[12:], n)
	return "0x" + hex.EncodeToString(b[:])
}

func (x *Exchange) seedAccounts() {
	const million = num.USD(1_000_000_000_000)
	x.fund = &account{index: insuranceIndex, kind: 3, name: "insurance fund", l1: address(0), preferred: 1000}
	x.pool = &account{index: poolIndex, kind: 3, name: "LLP", l1: address(0), preferred: 1000, makerFee: 20}
	x.addAccount(x.fund, 20*million)
	x.addAccount(x.pool, 500*million)
	for i := range makerCount {
		a := &account{index: poolIndex - 10 - int64(i)*7, kind: 2, name: fmt.Sprintf("maker %d", i), preferred: 500, makerFee: 28, takerFee: 200}
		a.l1 = address(uint64(1000 + i/2))
		x.addAccount(a, num.USD(math.Round(lognormal(x.rng, 60, 0.6)))*million)
	}
	for i := range x.opts.Accounts {
		a := &account{index: int64(i + 1), l1: address(uint64(10_000 + i))}
		if i%5 == 4 { // every fifth is a sub-account of the master before it
			a.kind, a.index, a.l1 = 1, poolIndex-100_000-int64(i), address(uint64(10_000+i-1))
		}
		u := int64(x.rng.IntN(100))
		for _, l := range leverages {
			a.preferred = l.fraction
			if u -= l.share; u < 0 {
				break
			}
		}
		a.isolated = x.rng.IntN(10) == 0
		x.addAccount(a, num.USD(math.Round(100*min(3e6, max(20, lognormal(x.rng, 2500, 1.9)))))*10_000)
	}
	for _, m := range x.markets {
		n := 6 + min(18, int(m.volume/40))
		for k := range n {
			m.makers = append(m.makers, x.accounts[2+(m.slot*7+k*5)%makerCount])
		}
	}
}

// seedMarket fills a book to the recorded depth profile around the reference price and sets the statistics' start.
func (x *Exchange) seedMarket(m *market) {
	x.drift(m)
	f := &m.flow
	m.day.begin(m, x.clock)
	for _, s := range [2]model.Side{model.Bid, model.Ask} {
		book := m.side(s)
		n := int(f.levels)
		for k := range n {
			// One order per rank of the profile, moved by up to half a rank.
			u := (float64(k) + x.rng.Float64()) / f.levels
			bps := max(f.spread/2, depthMedian*math.Exp(f.width*quantile(min(0.995, max(u, 0.5/f.levels)))))
			price := m.priceAt(s, min(bps, 5000))
			if _, exact := book.find(price); exact && x.rng.Uint32N(4) > 0 {
				price = max(1, price+num.Price(x.rng.Int64N(9))-4)
			}
			x.rest(m, s, price, bps)
		}
	}
	m.dirty, m.noted = m.dirty[:0], 0
	m.sentNonce = m.nonce
	x.seedFunding(m)
}

// seedPositions opens the positions that the traders begin with, against the pool, at prices of the last days.
func (x *Exchange) seedPositions() {
	for _, a := range x.accounts[firstTrader:] {
		for range x.rng.IntN(4) {
			m := x.pick()
			p := a.touchPosition(m)
			if p.size != 0 {
				continue
			}
			// Between 5 and 90 % of what the margin allows.
			room := float64(a.free()) * (0.05 + 0.85*x.rng.Float64()) * 1e4 / float64(p.fraction)
			price := num.Price(math.Round(float64(m.index) * (1 + 0.004*x.rng.NormFloat64())))
			size := num.Size(room / float64(price))
			if room <= 0 || size < m.minSize {
				continue
			}
			if x.rng.Uint32()&1 == 0 {
				size = -size
			}
			if _, ok := a.affords(m, size, price); !ok {
				continue
			}
			p.apply(size, price)
			x.pool.touchPosition(m).apply(-size, price)
		}
	}
}
