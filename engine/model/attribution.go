package model

import (
	"strconv"

	"hyperlight/engine/num"
)

// RestingOrder is one order of the public per-order book.
type RestingOrder struct {
	Account AccountID
	ID      uint64
	Price   num.Price
	Size    num.Size // what is left of it
	Initial num.Size // what it began with; 0 where unknown
	Expiry  Millis   // 0 where unknown
}

// OwnerState says how well the owners of a level are known.
type OwnerState uint8

// The states, best first.
const (
	// OwnersConfirmed: the orders are all of the level's, as the venue listed them, less the fills since.
	OwnersConfirmed OwnerState = iota
	// OwnersInferred: they add up to the level, but something was concluded, such as whose cancel made it smaller.
	OwnersInferred
	// OwnersPartial: some of the level has no known owner, or the list did not fit the level: the orders are an estimate.
	OwnersPartial
	// OwnersUnknown: no order is known.
	OwnersUnknown
)

// String returns the state's name.
func (s OwnerState) String() string {
	return [...]string{"confirmed", "inferred", "partial", "unknown"}[min(s, OwnersUnknown)]
}

// OwnedLevel is what is known of the orders behind one level of a book: the sizes of Orders and Rest add up to Size,
// always. It is immutable.
type OwnedLevel struct {
	Price  num.Price
	Size   num.Size       // the level's, by the stream
	Orders []RestingOrder // first in the queue first; none has a size of 0
	Rest   num.Size       // what has no known owner, never negative
	At     Millis         // when the venue was asked for the list that this is based on
	State  OwnerState
}

// Attribution is who owns the resting orders of a market. It is immutable.
type Attribution struct {
	At    Millis // when the venue was asked for the list last
	Epoch uint8  // scale epoch of prices and sizes
	Seq   uint64 // chain number of the book whose levels these are
	// Levels are those of which something may be known, by side, best price first; of any other level nothing is.
	Levels [2][]*OwnedLevel
	// Complete tells of a side that the venue listed whole; else the list ended at some price.
	Complete [2]bool
	// Arrivals are the last few lists' new orders, oldest list first.
	Arrivals []*Arrivals
}

// Arrivals are the orders that were in one list and not in the one before it, though it went as deep.
type Arrivals struct {
	List   uint64 // number of the list, rising
	At     Millis
	Orders [2][]RestingOrder // by side
}

// OpenOrder is a resting order and where it stands.
type OpenOrder struct {
	RestingOrder
	Market MarketID
	Epoch  uint8 // scale epoch of price and sizes
	Side   Side
	At     Millis // when the venue was asked for the list that this is based on
	State  OwnerState
}

// AppendJSON writes the order as the API does; m is its market. whale is written as given.
func (o *OpenOrder) AppendJSON(dst []byte, m *Market, whale bool) []byte {
	ps, ss := m.ScaleAt(o.Epoch)
	dst = append(dst, `{"order_index":`...)
	dst = appendTwins(dst, o.ID, `,"order_id":"`)
	dst = append(dst, `","market_id":`...)
	dst = strconv.AppendInt(dst, m.Native, 10)
	dst = append(dst, `,"symbol":`...)
	dst = AppendString(dst, m.Symbol)
	if o.Side == Ask {
		dst = append(dst, `,"is_ask":true,"side":"ask","price":"`...)
	} else {
		dst = append(dst, `,"is_ask":false,"side":"bid","price":"`...)
	}
	dst = num.Append(dst, int64(o.Price), ps)
	dst = append(dst, `","initial_base_amount":`...)
	if o.Initial == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '"')
		dst = num.Append(dst, int64(o.Initial), ss)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"remaining_base_amount":"`...)
	dst = num.Append(dst, int64(o.Size), ss)
	dst = append(dst, `","notional":`...)
	if value, err := num.MulUSD(o.Price, ps, o.Size, ss); err != nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '"')
		dst = num.AppendTrim(dst, int64(value), num.USDScale)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"whale":`...)
	dst = strconv.AppendBool(dst, whale)
	dst = append(dst, `,"order_expiry":`...)
	if o.Expiry == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = num.Append(dst, int64(o.Expiry), 0)
	}
	dst = append(dst, `,"timestamp":`...)
	return append(num.Append(dst, int64(o.At), 0), '}')
}
