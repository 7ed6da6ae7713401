package risk

import (
	"math"
	"math/big"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// LiquidationPrice returns the mark price at which the position's pool falls to its maintenance requirement while every
// other position stays at its mark, with PriceScale decimals, rounded half-even; false where there is none: the price
// would not be above zero, or the numbers are out of range. The rule is the venue's own:
//
//	mark + (value - maintenance) / (size x (fraction - sign))
//
// It holds for the pool as it is; below its maintenance requirement the price lies on the other side of the mark.
func (e *Exposure) LiquidationPrice() (num.Decimal, bool) {
	over, divisor, scale, ok := e.distance()
	if !ok {
		return num.Decimal{}, false
	}
	quotient, err := over.DivRound(divisor, scale, PriceScale)
	if err != nil {
		return num.Decimal{}, false
	}
	mark, err := num.Rescale(e.Market.Mark.Mant, e.Market.Mark.Scale, PriceScale)
	if err != nil || quotient > math.MaxInt64/2 || quotient < math.MinInt64/2 || mark > math.MaxInt64/2 {
		return num.Decimal{}, false
	}
	if e.Position.Size > 0 {
		quotient = -quotient
	}
	price := mark + quotient
	return num.Decimal{Mant: price, Scale: PriceScale}, price > 0
}

// distance returns what the pool has above its requirement, and what divides it to a distance from the mark: the unsigned
// size times one minus (long) or plus (short) the maintenance fraction. The quotient of both has scale decimals.
func (e *Exposure) distance() (over num.Acc, divisor int64, scale uint8, ok bool) {
	over.AddProduct(int64(e.Pool.Value), num.Pow10(fractionScale))
	over.Add(e.Pool.maintenance.Neg())
	_, ss := e.Market.Info.ScaleAt(e.Position.Epoch)
	share := int64(e.Market.Info.MaintenanceMargin) - num.Pow10(fractionScale)
	size := int64(e.Position.Size)
	if size < 0 {
		size, share = -size, int64(e.Market.Info.MaintenanceMargin)+num.Pow10(fractionScale)
	}
	share = max(share, -share)
	// The venue's decimals of price and size sum up to those of money, so that no size has more than money.
	if ss > num.USDScale || share == 0 || size > math.MaxInt64/share {
		return over, 0, 0, false
	}
	return over, size * share, requirementScale - fractionScale - ss, true
}

// exactLiquidationPrice returns the same without rounding: the oracle of the tests, and the venue's every digit.
func (e *Exposure) exactLiquidationPrice() *big.Rat {
	over, divisor, scale, ok := e.distance()
	if !ok {
		return nil
	}
	whole, err := over.Int64()
	if err != nil {
		return nil
	}
	q := new(big.Rat).SetFrac64(whole, divisor)
	q.Quo(q, new(big.Rat).SetInt64(num.Pow10(scale)))
	if e.Position.Size > 0 {
		q.Neg(q)
	}
	mark := new(big.Rat).SetFrac64(e.Market.Mark.Mant, num.Pow10(e.Market.Mark.Scale))
	return q.Add(q, mark)
}

// Price returns where the position is closed by force: the venue's own price as long as it is known, else
// LiquidationPrice. What the venue told is brought to PriceScale decimals, half-even.
func (e *Exposure) Price() (num.Decimal, bool) {
	own := e.Position.Liquidation
	if own.Mant <= 0 {
		return e.LiquidationPrice()
	}
	if v, ok := toPriceScale(own); ok {
		return num.Decimal{Mant: v, Scale: PriceScale}, v > 0
	}
	return e.LiquidationPrice()
}

func toPriceScale(d num.Decimal) (int64, bool) {
	var a num.Acc
	a.AddProduct(d.Mant, 1)
	v, err := a.Round(d.Scale, PriceScale)
	return v, err == nil
}

// Entry is a position in a market's Map: how much is closed by force at which price.
type Entry struct {
	Account  model.AccountID
	Price    int64   // at PriceScale, above zero
	Size     int64   // unsigned, at the map's size scale
	Notional num.USD // size x price
	Long     bool
}

// Entry returns the position as a row of its market's map, whose sizes have the given scale; false where it has no price.
func (e *Exposure) Entry(account model.AccountID, sizeScale uint8) (Entry, bool) {
	price, ok := e.Price()
	if !ok {
		return Entry{}, false
	}
	_, ss := e.Market.Info.ScaleAt(e.Position.Epoch)
	size, err := num.Rescale(int64(max(e.Position.Size, -e.Position.Size)), ss, sizeScale)
	if err != nil {
		return Entry{}, false
	}
	notional, err := num.MulUSD(num.Price(price.Mant), PriceScale, num.Size(size), sizeScale)
	if err != nil {
		return Entry{}, false
	}
	return Entry{Account: account, Price: price.Mant, Size: size, Notional: notional, Long: e.Position.Size > 0}, true
}
