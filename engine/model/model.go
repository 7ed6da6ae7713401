// Package model holds the domain types that every part of the engine shares: markets, events and their payloads, the
// API error. It has no behaviour beyond conversions and JSON text of its own types; no I/O, no clock, no store.
package model

import "hyperlight/engine/num"

// Millis is Unix time in milliseconds: the venue's clock and every time of the API.
type Millis int64

// Micros is Unix time in microseconds: our own receive clock, and nothing else.
type Micros int64

// Micros converts to microseconds.
func (m Millis) Micros() Micros { return Micros(m) * 1000 }

// Millis converts to milliseconds, rounding down.
func (u Micros) Millis() Millis {
	if u < 0 {
		return Millis((u - 999) / 1000)
	}
	return Millis(u / 1000)
}

// Second returns the full second that u lies in.
func (u Micros) Second() Micros { return u - ((u%1e6)+1e6)%1e6 }

// MarketID names a market across venues: venue in the top 8 bits, the venue's own index below. Lighter is venue 0, so
// its ids stay as they are. Native ids from 2^23 up get an index of our own (registry of package market).
type MarketID uint32

// NoMarket is the market of events that belong to a venue as a whole.
const NoMarket MarketID = 1<<24 - 1

// AccountID names an account across venues: venue in the top 8 bits, the venue's own index below.
type AccountID uint64

// Side is a side of the book.
type Side uint8

// The two sides.
const (
	Bid Side = iota
	Ask
)

// String returns "bid" or "ask".
func (s Side) String() string {
	if s == Bid {
		return "bid"
	}
	return "ask"
}

// Level is a price level of a book; in an update a size of 0 removes it.
type Level struct {
	Price num.Price
	Size  num.Size
}

// Scale is a pair of decimals that a market's mantissas have from a moment on.
type Scale struct {
	Price, Size uint8
	From        Millis
}

// Market is what is known of a market. Values are immutable once published: a change makes a new Market.
type Market struct {
	ID     MarketID
	Native int64  // the venue's own id; paths and answers show this one
	Symbol string // the venue's own, for instance "ETH"
	Type   string // "perp" or "spot"; "" where unknown
	Active bool

	PriceScale, SizeScale uint8   // decimals of the current epoch
	Epoch                 uint8   // index of the current scale in Scales
	Scales                []Scale // every scale the market ever had, oldest first; never empty

	// Margin fractions in 1/10,000, 0 where unknown.
	DefaultInitialMargin, MinInitialMargin, MaintenanceMargin, CloseOutMargin int32

	// Texts as the venue sent them, "" where unknown.
	TakerFee, MakerFee, LiquidationFee, MinBaseAmount, MinQuoteAmount string

	// DailyQuoteVolume orders subscriptions (most traded first); quote money, 0 where unknown.
	DailyQuoteVolume num.USD
}

// ScaleAt returns the decimals of an epoch; the current ones where the epoch is unknown.
func (m *Market) ScaleAt(epoch uint8) (price, size uint8) {
	if int(epoch) < len(m.Scales) {
		return m.Scales[epoch].Price, m.Scales[epoch].Size
	}
	return m.PriceScale, m.SizeScale
}
