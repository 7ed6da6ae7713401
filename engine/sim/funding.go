package sim

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Funding terms of every market, as recorded: interest 0.01 % per 8 hours, clamps 0.05 % and 4 %.
const (
	interestRate = num.Rate(100_000_000)
	clampSmall   = num.Rate(500_000_000)
	clampBig     = num.Rate(40_000_000_000)
	hourTicks    = num.Rate(1_000_000) // hourly rates have 6 decimals as a fraction, 4 as a percentage
	fundingRows  = 2000                // settled hours kept per market
)

// fundingState is a market's settled funding.
type fundingState struct {
	rate    num.Rate // of the last settlement, hourly fraction
	at      int64    // ms
	settled []fundingRow
}

// fundingRow is one settled hour.
type fundingRow struct {
	second int64
	rate   num.Rate
	mark   num.Price
}

// fundingPayment is what an account paid for one position in one hour.
type fundingPayment struct {
	id     int64
	market *market
	second int64
	change num.USD // signed: negative is paid
	rate   num.Rate
	size   num.Size
}

// samplePremiums takes one sample a minute: how far the impact prices stand from the index.
func (x *Exchange) samplePremiums() {
	for _, m := range x.markets {
		bid, ok1 := m.impact(model.Bid)
		ask, ok2 := m.impact(model.Ask)
		if ok1 && ok2 {
			m.premium.sum += rateOf(max(0, bid-m.index)-max(0, m.index-ask), m.index)
		}
		m.premium.samples++
	}
}

// rateNow is the hourly rate that the samples so far would give: the average premium plus the clamped interest
// component, an eighth of it, cut to the decimals in which it is told and paid.
func (m *market) rateNow() num.Rate {
	p := num.Rate(0)
	if m.premium.samples > 0 {
		p = m.premium.sum / num.Rate(m.premium.samples)
	}
	r := clampRate(p+clampRate(interestRate-p, clampSmall), clampBig) / 8
	return r / hourTicks * hourTicks
}

func (x *Exchange) seedFunding(m *market) {
	hour := x.clock / hourMicros * hourMicros
	r := (interestRate / 8) / hourTicks * hourTicks
	m.funding = fundingState{rate: r, at: hour / 1000, settled: []fundingRow{{second: hour / 1_000_000, rate: r, mark: m.mark}}}
}

// settleFunding moves the hour's funding between longs and shorts of every market, by position size at this moment.
// Rounding leaves a remainder, which the insurance fund takes.
func (x *Exchange) settleFunding() {
	x.counts.FundingRounds++
	second := x.clock / hourMicros * 3600
	for _, m := range x.markets {
		r := m.rateNow()
		m.premium.sum, m.premium.samples = 0, 0
		m.funding.rate, m.funding.at = r, second*1000
		m.funding.settled = append(m.funding.settled, fundingRow{second: second, rate: r, mark: m.mark})
		if n := len(m.funding.settled); n > fundingRows {
			m.funding.settled = append(m.funding.settled[:0], m.funding.settled[n-fundingRows:]...)
		}
		var sum num.USD
		for _, p := range m.holders {
			due := num.USD(scaleBy(int64(worth(m.mark, p.size)), r)) // positive: a long pays
			sum += due
			if p.isolated {
				p.allocated -= due
			} else {
				p.owner.collateral -= due
			}
			p.paid += due
			p.owner.changed = x.clock
			p.owner.funding = keepLast(append(p.owner.funding, fundingPayment{id: second/3600*10_000 + m.id, market: m,
				second: second, change: -due, rate: r, size: p.size}), accountRows)
			x.touch(p.owner)
		}
		x.fund.collateral += sum
	}
}

// keepLast bounds a list from the front.
func keepLast[T any](s []T, n int) []T {
	if len(s) <= 2*n {
		return s
	}
	return append(s[:0], s[len(s)-n:]...)
}
