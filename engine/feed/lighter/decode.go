// Package lighter speaks the Lighter exchange's wire formats: it decodes stream frames and REST answers into the engine's
// events and encodes the same frames for the simulator and for native replay. It keeps no books and opens no sockets; its
// REST client is the only part that does I/O.
package lighter

import (
	"errors"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

// Resolver knows the markets.
type Resolver interface {
	// Market returns what is known of the venue's market.
	Market(native int64) (*model.Market, bool)
	// Observe tells of an unknown market, of a symbol that differs from the known one, or of more decimals than known;
	// "" and 0 where the frame shows none. It returns the market to use, or false where it refuses.
	Observe(native int64, symbol string, price, size uint8) (*model.Market, bool)
}

var (
	// ErrMalformed reports a frame that is not one whole JSON object.
	ErrMalformed = errors.New("malformed frame")
	// ErrValue reports a member whose value cannot be what its name says.
	ErrValue = errors.New("impossible value")
	// ErrUnknownMarket reports a frame of a market that the resolver does not know and refuses.
	ErrUnknownMarket = errors.New("unknown market")
	// ErrDigits reports more decimals than the market has, where the resolver refuses to widen it.
	ErrDigits = errors.New("more decimals than the market has")
)

// Decoder decodes stream frames.
type Decoder struct{ last feed.Frame }

// NewDecoder returns a decoder; it has one owner.
func NewDecoder(r Resolver) *Decoder { return &Decoder{} }

// Decode decodes one frame.
func (d *Decoder) Decode(frame []byte, recv model.Micros, emit func(*model.Event) error) error {
	return nil
}

// Last describes the frame decoded last.
func (d *Decoder) Last() feed.Frame { return d.last }

// Dialect is Lighter's feed.Dialect.
type Dialect struct{ Resolver Resolver }
