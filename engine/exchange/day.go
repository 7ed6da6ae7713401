package exchange

import (
	"fmt"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// Day is what one market's trades of 24 hours come to. It is immutable.
type Day struct {
	From   model.Millis // the first moment counted
	Trades uint64
	Base   num.Decimal
	Quote  num.USD
	// Low and High are known where Trades is not 0.
	Low, High num.Decimal
	// Last is the price of the last trade, of whatever day, and LastAt its minute; known where HasLast.
	Last    num.Decimal
	LastAt  model.Millis
	HasLast bool
	// Change is in percent, with changeScale decimals: from the last trade before From, or from the first one after it
	// where none is known. Known where HasChange.
	Change    num.Decimal
	HasChange bool
}

// changeScale are the decimals of a change: it is a quotient (contract 1.8).
const changeScale = 8

// day returns the sum of the window at now. It goes through at most 26 blocks and 60 minutes, and through none where
// neither a trade nor a minute has passed since the last call.
func (r *rolling) day(m *model.Market, now model.Millis) (*Day, error) {
	from := WindowStart(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil && r.lastOf == r.version && r.last.From == from {
		return r.last, nil
	}
	sum, before, last := record.Candle{}, r.before, r.before
	for _, b := range r.hours {
		if b == nil {
			continue
		}
		if err := b.split(m, from, &sum, &before, &last); err != nil {
			return nil, fmt.Errorf("sum the day of market %d: %w", m.ID, err)
		}
	}
	d, err := newDay(m, from, &sum, before, last)
	if err != nil {
		return nil, fmt.Errorf("sum the day of market %d: %w", m.ID, err)
	}
	r.last, r.lastOf = d, r.version
	return d, nil
}

// split adds what lies in the window to sum, and looks for the last trade before it and for the last of all.
func (b *hourBlock) split(m *model.Market, from model.Millis, sum *record.Candle, before, last *lastTrade) error {
	end := b.newest()
	last.take(b.start+model.Millis(end)*minuteMillis, &b.minutes[end])
	if b.start >= from {
		return history.MergeCandle(sum, &b.sum, m)
	}
	first := min((from-b.start)/minuteMillis, 60)
	for i := first - 1; i >= 0; i-- {
		if c := &b.minutes[i]; c.Trades > 0 {
			before.take(b.start+i*minuteMillis, c)
			break
		}
	}
	for i := first; i < 60; i++ {
		if err := history.MergeCandle(sum, &b.minutes[i], m); err != nil {
			return err
		}
	}
	return nil
}

// newest is the last minute with a trade, 0 where there is none.
func (b *hourBlock) newest() int {
	for i := len(b.minutes) - 1; i > 0; i-- {
		if b.minutes[i].Trades > 0 {
			return i
		}
	}
	return 0
}

func newDay(m *model.Market, from model.Millis, sum *record.Candle, before, last lastTrade) (*Day, error) {
	price, size := m.ScaleAt(sum.Epoch)
	d := &Day{From: from, Trades: sum.Trades, Base: num.Decimal{Mant: int64(sum.Volume), Scale: size}, Quote: sum.QuoteVolume}
	if !last.known {
		return d, nil
	}
	lastScale, _ := m.ScaleAt(last.epoch)
	d.HasLast, d.LastAt = true, last.minute
	d.Last = num.Decimal{Mant: int64(last.price), Scale: lastScale}
	prior := d.Last // nothing was traded: the price has not changed
	if sum.Trades > 0 {
		d.Low, d.High = num.Decimal{Mant: int64(sum.Low), Scale: price}, num.Decimal{Mant: int64(sum.High), Scale: price}
		prior = num.Decimal{Mant: int64(sum.Open), Scale: price}
	}
	if before.known {
		scale, _ := m.ScaleAt(before.epoch)
		prior = num.Decimal{Mant: int64(before.price), Scale: scale}
	}
	var err error
	d.Change, d.HasChange, err = change(prior, d.Last)
	return d, err
}

// change is how far a price has moved, in percent; false where it began at nothing.
func change(from, to num.Decimal) (num.Decimal, bool, error) {
	if from.Mant <= 0 {
		return num.Decimal{}, false, nil
	}
	scale := max(from.Scale, to.Scale)
	a, err := num.Rescale(from.Mant, from.Scale, scale)
	if err != nil {
		return num.Decimal{}, false, err
	}
	b, err := num.Rescale(to.Mant, to.Scale, scale)
	if err != nil {
		return num.Decimal{}, false, err
	}
	var moved num.Acc
	moved.AddProduct(b-a, 100)
	mant, err := moved.DivRound(a, 0, changeScale)
	return num.Decimal{Mant: mant, Scale: changeScale}, err == nil, err
}
