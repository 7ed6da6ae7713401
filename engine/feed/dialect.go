package feed

import (
	"strconv"

	"hyperlight/engine/model"
)

// Family is a kind of channel.
type Family uint8

// The families that the engine uses; everything else is FamilyOther.
const (
	FamilyOther Family = iota
	FamilyBook
	FamilyTrade
	FamilyStats
	FamilySpotStats
	FamilyHeight
	FamilyTicker
	FamilyAccount          // everything of an account; Channel.Native is the venue's index of it
	FamilyAccountPositions // its positions only
	familyCount
)

var familyNames = [familyCount]string{"other", "order_book", "trade", "market_stats", "spot_market_stats", "height", "ticker", "account_all", "account_all_positions"}

// String returns the family's name.
func (f Family) String() string {
	if f < familyCount {
		return familyNames[f]
	}
	return "other"
}

// All is the Channel.Native of a channel that covers every market, or none in particular.
const All int64 = -1

// Channel names one subscription: a family, and the venue's own market id, the index of an account, or All.
type Channel struct {
	Family Family
	Native int64
}

// String returns the channel for logs, for instance "order_book:0".
func (c Channel) String() string {
	if c.Native == All {
		return c.Family.String()
	}
	return c.Family.String() + ":" + strconv.FormatInt(c.Native, 10)
}

// FrameKind tells what a frame is.
type FrameKind uint8

// The kinds of frames. FrameUnknown is legal and ignored: venues add types without notice.
const (
	FrameUnknown FrameKind = iota
	FrameBook
	FrameTrades
	FrameStats
	FrameHeight
	FrameTicker
	FrameAccount
	FrameConnected
	FramePing
	FramePong
	FrameUnsubscribed
	FrameError
	frameKinds
)

var frameNames = [frameKinds]string{"unknown", "order_book", "trade", "market_stats", "height", "ticker", "account", "connected", "ping", "pong", "unsubscribed", "error"}

// String returns the kind's name as metrics show it.
func (k FrameKind) String() string {
	if k < frameKinds {
		return frameNames[k]
	}
	return "unknown"
}

// Frame is what a decoder learned about a frame besides its events.
type Frame struct {
	Kind    FrameKind
	Channel Channel // zero where the frame named none
	First   bool    // the answer to a subscribe: it holds the channel's whole state
	Code    int     // of a FrameError
	Text    string  // of a FrameError
}

// Decoder turns frames into events. It has one owner. Decode emits nothing of a frame that it refuses; the event it
// emits is lent until emit returns, and an error of emit is returned as it is. Last describes the frame decoded last,
// as far as it was understood.
type Decoder interface {
	Decode(frame []byte, recv model.Micros, emit func(*model.Event) error) error
	Last() Frame
}

// Refusal says what an error frame of the venue asks for.
type Refusal uint8

// The refusals. Unattributed ones carry no channel: whatever they refused is sent again when its answer is overdue.
const (
	RefusalOther       Refusal = iota
	RefusalDuplicate           // the channel is held already, and no snapshot will come
	RefusalNotHeld             // an unsubscribe of something not held: harmless
	RefusalTooFast             // too many messages: wait, never reconnect
	RefusalTooMany             // too many unanswered messages: send fewer at once
	RefusalFull                // the connection holds too many subscriptions
	RefusalAccounts            // the connection holds channels of too many accounts
	RefusalConnections         // too many connections
	RefusalUnavailable         // the channel does not exist
)

// Dialect is what a venue's socket protocol needs beyond frames in and frames out. It is stateless and safe for
// concurrent use.
type Dialect interface {
	NewDecoder() Decoder
	AppendSubscribe(dst []byte, c Channel) []byte
	AppendUnsubscribe(dst []byte, c Channel) []byte
	AppendPong(dst []byte) []byte
	// Refusal classifies an error frame; the channel is given where the text names it.
	Refusal(f Frame) (r Refusal, c Channel, named bool)
}
