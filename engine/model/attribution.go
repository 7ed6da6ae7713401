package model

import "hyperlight/engine/num"

// RestingOrder is one order of the public per-order book.
type RestingOrder struct {
	Account AccountID
	ID      uint64
	Price   num.Price
	Size    num.Size // what is left of it
}

// Attribution is who owned the resting orders of a market when they were read last. It is immutable.
type Attribution struct {
	At     Millis            // when they were read
	Epoch  uint8             // scale epoch of prices and sizes
	Orders [2][]RestingOrder // by side, best price first
}
