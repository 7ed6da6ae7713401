package exchange

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Day is what one market's trades of 24 hours come to. It is immutable.
type Day struct {
	From   model.Millis // the first moment counted
	Trades uint64
	Base   num.Decimal
	Quote  num.USD
	// Low and High are known where Trades is not 0.
	Low, High num.Decimal
	// Last is the price of the last trade, of whatever day; Change is in percent since the last trade before From, or
	// the first one after it where none is known. Both are known where HasLast.
	Last, Change num.Decimal
	LastAt       model.Millis // the minute of the last trade
	HasLast      bool
}

// heldSince says from when on a market's trades are held without a hole.
type heldSince struct {
	since model.Micros // as the store told; 0: not held
	floor model.Micros // the end of a hole that the store may not have told yet
	at    model.Micros // when floor was set, on the clock of its event
}
