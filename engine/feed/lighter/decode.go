// Package lighter speaks the Lighter exchange's wire formats: it decodes stream frames and REST answers into the engine's
// events and encodes the same frames for the simulator and for native replay. It keeps no books and opens no sockets; its
// REST client is the only part that does I/O.
package lighter

import (
	"errors"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Resolver knows the markets. The decoder asks it on its own goroutine, once per frame.
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
	// ErrUnknownMarket reports a book or trades of a market that the resolver does not know and refuses.
	ErrUnknownMarket = errors.New("unknown market")
	// ErrDigits reports more decimals than the market has, where the resolver refuses to widen it.
	ErrDigits = errors.New("more decimals than the market has")
)

// Decoder decodes stream frames. It has one owner; its memory is reused from frame to frame, and a book frame is
// decoded without allocation.
type Decoder struct {
	resolver Resolver
	accounts bool // channels of accounts are read; without, they are frames like any other that the engine does not use
	s        scanner
	last     feed.Frame

	// Members of the frame's top level.
	typ         frameType
	typFamily   feed.Family
	time        int64
	offset      uint64
	updated     int64
	nonce       uint64
	height      uint64
	code        int64
	message     string
	bodies      [bodyCount]int // where each body begins, 0 where absent
	bodyChannel feed.Channel   // the channel that the bodies were read with
	market      *model.Market  // of bodyChannel
	needPrice   uint8          // decimals that the frame has beyond the market's
	needSize    uint8
	unknown     bool // the market is not known yet: digits are only counted

	scratch []byte

	event model.Event
	book  model.BookUpdate
	chain chain
	batch model.TradeBatch
	rows  rowReader
	stats []statsRow
	texts map[int64]string // the last statistics row of each market that the resolver took
	tip   model.Height

	account model.AccountUpdate
}

type body uint8

const (
	bodyBook body = iota
	bodyTrades
	bodyLiquidations
	bodyStats
	bodySpotStats
	bodyTicker
	bodyPositions
	bodyError
	bodyCount
)

// NewDecoder returns a decoder that asks r about markets.
func NewDecoder(r Resolver) *Decoder { return &Decoder{resolver: r} }

// Last describes the frame decoded last, as far as it was understood; its channel is right even after most errors.
func (d *Decoder) Last() feed.Frame { return d.last }

// Decode decodes one frame and emits its events: one for a book, trades or height frame, one per market for
// statistics, none for anything else. A refused frame is one *FrameError and emits nothing. An event is lent until emit
// returns; what emit returns ends the frame and is returned as it is.
func (d *Decoder) Decode(frame []byte, recv model.Micros, emit func(*model.Event) error) error {
	d.s.reset(frame)
	d.last = feed.Frame{}
	d.typFamily, d.bodyChannel = feed.FamilyOther, feed.Channel{}
	d.typ, d.time, d.offset, d.updated, d.nonce, d.height, d.code, d.message = 0, 0, 0, 0, 0, 0, 0, ""
	d.bodies = [bodyCount]int{}
	d.market, d.unknown, d.needPrice, d.needSize = nil, false, 0, 0
	if !d.s.begin('{') {
		d.s.fail(ErrMalformed, "expected an object")
		return d.s.err
	}
	for first := true; ; first = false {
		name, ok := d.s.member(first)
		if !ok {
			break
		}
		d.member(name)
		if d.s.err != nil {
			return d.s.err
		}
	}
	if !d.s.end() {
		return d.s.err
	}
	if err := d.settle(recv); err != nil {
		return err
	}
	return d.emit(recv, emit)
}

// member reads one member of the top level.
func (d *Decoder) member(name []byte) {
	switch string(name) {
	case "channel":
		d.last.Channel = parseChannel(d.s.text("channel"))
		if ofAccount(d.last.Channel.Family) && !d.accounts {
			d.last.Channel = feed.Channel{}
		}
	case "type":
		d.typ, d.typFamily = parseType(d.s.text("type"))
	case "timestamp":
		d.time = d.integer("timestamp")
	case "offset":
		d.offset = d.unsigned("offset")
	case "last_updated_at":
		d.updated = d.integer("last_updated_at")
	case "nonce":
		d.nonce = d.unsigned("nonce")
	case "height":
		d.height = d.unsigned("height")
	case "code":
		d.code = d.integer("code")
	case "message":
		d.message = string(d.s.text("message"))
	case "order_book":
		d.body(bodyBook, feed.FamilyBook)
	case "trades":
		d.body(bodyTrades, feed.FamilyTrade)
	case "liquidation_trades":
		d.body(bodyLiquidations, feed.FamilyTrade)
	case "market_stats":
		d.body(bodyStats, feed.FamilyStats)
	case "spot_market_stats":
		d.body(bodySpotStats, feed.FamilySpotStats)
	case "ticker":
		d.body(bodyTicker, feed.FamilyTicker)
	case "positions":
		d.later(bodyPositions)
	case "error":
		d.later(bodyError)
	default:
		d.s.skip(1)
	}
}

// body notes where a body stands. A book is read at once if its channel is known by then, as it always is in what the
// venue sends; the others cost a second look, which their size allows.
func (d *Decoder) body(b body, f feed.Family) {
	if b != bodyBook || d.last.Channel.Family != f || d.last.Channel.Native < 0 {
		d.later(b)
		return
	}
	d.s.peek()
	d.bodies[b] = d.s.pos
	d.bodyChannel = d.last.Channel
	if d.resolve() {
		d.readBook()
	} else {
		d.s.skip(1)
	}
}

func (d *Decoder) later(b body) {
	d.s.peek()
	d.bodies[b] = d.s.pos
	d.s.skip(1)
}

// resolve looks the channel's market up; false where it is unknown.
func (d *Decoder) resolve() bool {
	m, ok := d.resolver.Market(d.bodyChannel.Native)
	if !ok {
		m = nil
	}
	d.market, d.unknown = m, !ok
	return ok
}

// scales returns the decimals to read mantissas with; none where the market is unknown and digits are only counted.
func (d *Decoder) scales() (price, size uint8) {
	if d.market == nil {
		return 0, 0
	}
	return d.market.PriceScale, d.market.SizeScale
}

// widen asks the resolver for a market that holds all decimals of the frame; false where none is needed, or it refuses,
// which fails the frame. After true the bodies must be read again.
func (d *Decoder) widen() bool {
	price, size := d.scales()
	if d.s.err != nil || !d.unknown && d.needPrice <= price && d.needSize <= size {
		return false
	}
	price, size = max(price, d.needPrice), max(size, d.needSize)
	if max(price, size) > num.MaxScale {
		d.s.fail(ErrValue, "more than 18 decimals")
		return false
	}
	m, ok := d.resolver.Observe(d.bodyChannel.Native, "", price, size)
	switch {
	case ok && m.PriceScale >= price && m.SizeScale >= size:
		d.market, d.unknown = m, false
		return true
	case d.unknown:
		d.s.fail(ErrUnknownMarket, "channel")
	default:
		d.s.fail(ErrDigits, "price or size")
	}
	return false
}

// mantissa reads a price or a size at the given scale and raises need where it has more decimals.
func (d *Decoder) mantissa(b []byte, scale uint8, need *uint8, what string) int64 {
	if d.unknown {
		*need = max(*need, decimals(b))
	}
	v, err := exact(b, scale)
	if err == num.ErrScale {
		if n := decimals(b); n > scale {
			*need = max(*need, n)
			return 0
		} // else more digits stand before an exponent than any scale holds: to widen would not help
	}
	if err != nil {
		d.s.fail(ErrValue, what)
	}
	return v
}

func (d *Decoder) integer(what string) int64 {
	v, ok := signed(d.s.text(what))
	if !ok {
		d.s.fail(ErrValue, what)
	}
	return v
}

func (d *Decoder) unsigned(what string) uint64 {
	v, ok := unsigned(d.s.text(what))
	if !ok {
		d.s.fail(ErrValue, what)
	}
	return v
}
