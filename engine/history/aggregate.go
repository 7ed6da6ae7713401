package history

import (
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// Grid divides time into buckets of one length, one of which opens at Origin.
type Grid struct{ Length, Origin model.Millis }

// Start returns the opening of the bucket that a moment lies in.
func (g Grid) Start(t model.Millis) model.Millis {
	rest := (t - g.Origin) % g.Length
	if rest < 0 {
		rest += g.Length
	}
	return t - rest
}

// Aggregate is the sum of the trades of a bucket that lie in the span asked for. Time is the bucket's opening, which may
// lie before the span; open and close are those of the smallest and the greatest id, as a candle's.
type Aggregate struct {
	record.Candle
	BuyVolume num.Size // of takers that bought, on the scale of Epoch
	// Notional is the exact sum of price x size, NotionalScale its decimals.
	Notional      num.Acc
	NotionalScale uint8
	mixed         bool // NotionalScale is not that of Epoch, because the scale of the market has shrunk
}

// VWAP returns the average price at scale, half-even; false where there is no volume, or where it cannot be written in 64
// bits.
func (a *Aggregate) VWAP(m *model.Market, scale uint8) (num.Decimal, bool) {
	_, ss := m.ScaleAt(a.Epoch)
	mant, err := a.Notional.DivRound(int64(a.Volume), a.NotionalScale-ss, scale)
	return num.Decimal{Mant: mant, Scale: scale}, err == nil
}

// AddToAggregate adds a trade of a market to an aggregate of it, whose Time the caller has set.
func AddToAggregate(a *Aggregate, t *model.Trade, m *model.Market) error {
	return addPrice(a, &record.PriceRow{ID: t.ID, Time: t.Time, Price: t.Price, Size: t.Size, USD: t.USD, Epoch: t.Epoch, TakerBuy: t.TakerBuys()}, m.ID, only(m))
}

// MergeAggregate adds an aggregate of the same market to a, whose Time the caller has set.
func MergeAggregate(a, o *Aggregate, m *model.Market) error {
	return mergeAggregate(a, o, m.ID, only(m))
}

// addPrice adds a trade. Where it is on the scale of the aggregate, as nearly all are, that is a few additions.
func addPrice(a *Aggregate, t *record.PriceRow, id model.MarketID, markets marketsFunc) error {
	if a.Trades == 0 || a.Epoch != t.Epoch || a.mixed {
		m, ok := markets(id)
		if !ok {
			return fmt.Errorf("sum trades: market %d is unknown", id)
		}
		ps, ss := m.ScaleAt(t.Epoch)
		one := Aggregate{NotionalScale: ps + ss, Candle: record.Candle{
			Epoch: t.Epoch, Open: t.Price, High: t.Price, Low: t.Price, Close: t.Price,
			Volume: t.Size, QuoteVolume: t.USD, Trades: 1, FirstID: t.ID, LastID: t.ID,
		}}
		one.Notional.AddProduct(int64(t.Price), int64(t.Size))
		if t.TakerBuy {
			one.BuyVolume = t.Size
		}
		return mergeAggregate(a, &one, id, markets)
	}
	if t.ID < a.FirstID {
		a.FirstID, a.Open = t.ID, t.Price
	}
	if t.ID > a.LastID {
		a.LastID, a.Close = t.ID, t.Price
	}
	a.High, a.Low = max(a.High, t.Price), min(a.Low, t.Price)
	a.Volume += t.Size
	a.QuoteVolume += t.USD
	a.Trades++
	if t.TakerBuy {
		a.BuyVolume += t.Size
	}
	a.Notional.AddProduct(int64(t.Price), int64(t.Size))
	return nil
}

func mergeAggregate(a, o *Aggregate, id model.MarketID, markets marketsFunc) error {
	if o.Trades == 0 {
		return nil
	}
	if a.Trades == 0 {
		at := a.Time
		*a = *o
		a.Time = at
		return nil
	}
	buys, other := a.BuyVolume, o.BuyVolume
	sum := a.Candle
	if err := mergeCandle(&sum, &o.Candle, id, markets); err != nil {
		return err
	}
	if a.Epoch != o.Epoch {
		m, ok := markets(id)
		if !ok {
			return fmt.Errorf("sum trades: market %d is unknown", id)
		}
		price, to := m.ScaleAt(sum.Epoch)
		for _, v := range []struct {
			size  *num.Size
			epoch uint8
		}{{&buys, a.Epoch}, {&other, o.Epoch}} {
			_, from := m.ScaleAt(v.epoch)
			mant, err := num.Rescale(int64(*v.size), from, to)
			if err != nil {
				return fmt.Errorf("bring volume from scale epoch %d to %d: %w", v.epoch, sum.Epoch, err)
			}
			*v.size = num.Size(mant)
		}
		a.mixed = max(a.NotionalScale, o.NotionalScale) != price+to
	}
	a.mixed = a.mixed || o.mixed
	a.Candle, a.BuyVolume = sum, buys+other
	notional, scale := o.Notional, o.NotionalScale
	if scale < a.NotionalScale {
		notional.Widen(a.NotionalScale - scale)
	} else {
		a.Notional.Widen(scale - a.NotionalScale)
		a.NotionalScale = scale
	}
	a.Notional.Add(notional)
	return nil
}
