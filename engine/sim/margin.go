package sim

import (
	"math/big"
	"strings"

	"hyperlight/engine/num"
)

// health is the state of one margin pool: the cross account, or one isolated position.
type health struct {
	value       num.USD // collateral plus unrealised profit
	initial     num.USD
	maintenance num.USD
	closeOut    num.USD
	exposed     bool // anything is open at all
}

type requirement struct{ initial, maintenance, closeOut num.Acc }

func (r *requirement) add(p *position) {
	v := int64(p.value())
	r.initial.AddProduct(v, p.fraction)
	r.maintenance.AddProduct(v, p.market.maintenance)
	r.closeOut.AddProduct(v, p.market.closeOut)
}

func roundFraction(a num.Acc) num.USD {
	v, err := a.Round(num.USDScale+4, num.USDScale)
	if err != nil {
		panic("sim: margin requirement out of range")
	}
	return num.USD(v)
}

func (r *requirement) health(value num.USD, exposed bool) health {
	return health{value: value, initial: roundFraction(r.initial), maintenance: roundFraction(r.maintenance),
		closeOut: roundFraction(r.closeOut), exposed: exposed}
}

// cross returns the health of the cross account.
func (a *account) cross() health {
	var r requirement
	value, exposed := a.collateral, false
	for _, p := range a.positions {
		if p.isolated || p.size == 0 {
			continue
		}
		exposed = true
		value += p.pnl()
		r.add(p)
	}
	return r.health(value, exposed)
}

// alone returns the health of an isolated position.
func (p *position) alone() health {
	var r requirement
	r.add(p)
	return r.health(p.allocated+p.pnl(), p.size != 0)
}

// pool returns the health that decides over a position: its own, or the cross account's.
func (p *position) pool() health {
	if p.isolated {
		return p.alone()
	}
	return p.owner.cross()
}

// free is what new orders may still reserve.
func (a *account) free() num.USD {
	h := a.cross()
	return h.value - h.initial - a.reserved
}

// affords tells whether the account may add an order: what closes an open position needs no margin.
func (a *account) affords(m *market, by num.Size, price num.Price) (num.USD, bool) {
	p := a.position(m)
	fraction := max(a.preferred, m.smallest)
	grows := abs(by)
	if p != nil {
		fraction = p.fraction
		if p.size != 0 && sign(p.size) != sign(by) {
			grows = max(0, abs(by)-abs(p.size))
		}
	}
	need := fractionOf(worth(price, grows), fraction, 4)
	return need, need == 0 || need <= a.free()
}

// liquidationPrice is the mark price at which the position's pool reaches its maintenance requirement, all other
// positions held fixed, as decimal text; "" where there is none. The rule is the venue's own:
// mark + (AV - MMR) / (size x (M - sign)).
func (p *position) liquidationPrice() string {
	if p.size == 0 {
		return ""
	}
	h := p.pool()
	var r requirement
	if p.isolated {
		r.add(p)
	} else {
		for _, o := range p.owner.positions {
			if !o.isolated && o.size != 0 {
				r.add(o)
			}
		}
	}
	return liquidationText(p.market.mark, p.market.priceDecimals(), h.value, r.maintenance, p.size, p.market.maintenance)
}

// liquidationText evaluates the formula exactly; maintenance is the unrounded requirement at scale 10.
func liquidationText(mark num.Price, decimals uint8, value num.USD, maintenance num.Acc, size num.Size, m int64) string {
	var gap num.Acc
	gap.AddProduct(int64(value), num.Pow10(4))
	gap.Add(maintenance.Neg())
	over, err := gap.Int64()
	if err != nil {
		return ""
	}
	divisor := big.NewInt(int64(abs(size)))
	divisor.Mul(divisor, big.NewInt(m-sign(size)*num.Pow10(4)))
	liq := new(big.Rat).SetFrac(big.NewInt(over), divisor)
	liq.Add(liq, new(big.Rat).SetInt64(int64(mark)))
	liq.Quo(liq, new(big.Rat).SetInt64(num.Pow10(decimals)))
	if liq.Sign() <= 0 {
		return ""
	}
	whole := len(new(big.Int).Quo(liq.Num(), liq.Denom()).String())
	text := liq.FloatString(max(0, 17-whole)) // the venue prints about 17 digits
	if strings.IndexByte(text, '.') >= 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// zeroPrice is the price at which closing leaves AV / MMR unchanged: mark x (1 - sign x M x AV / MMR), on the tick
// that favours the account least and at least one tick.
func (p *position) zeroPrice(h health) num.Price {
	if h.maintenance <= 0 {
		return p.market.mark
	}
	var a num.Acc
	a.AddProduct(int64(p.market.mark)*p.market.maintenance, int64(h.value))
	off, err := a.DivRound(int64(h.maintenance), 4, 0)
	if err != nil {
		off = 0
	}
	return max(1, p.market.mark-num.Price(sign(p.size)*off))
}
