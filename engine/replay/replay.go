// Package replay plays the recorded past: it merges trades, books and gaps of several markets into one timeline in the
// contract's order, and paces that timeline against an absolute clock. It reads through a small interface of package
// history, knows no wire format and owns no socket. A Source and the function that receives its events run on one
// goroutine, the player's; only the player's controls may be called from others.
package replay

import (
	"context"
	"errors"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// Kind says what an event carries.
type Kind uint8

// The kinds of event, in the order in which events of equal time are sent (contract 9.3); a gap stands where the last
// record before it stood.
const (
	Trade       Kind = iota // Event.Trade
	Liquidation             // Event.Trade, a forced one, again beside the trade that it is
	Funding                 // Event.Funding, at the time of its settlement
	Stats                   // Event.Stats, at our receive time
	BookUpdate              // Event.Row
	Snapshot                // Event.View
	Gap                     // Event.Gap
)

var kindNames = [...]string{"trade", "liquidation", "funding", "market_stats", "order_book", "orderbook_snapshot", "gap"}

// String returns the name that requests and event frames use.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "other"
}

// ParseKind returns the kind of a name in a request's `include`. Gaps are always told and cannot be asked for.
func ParseKind(s string) (Kind, bool) {
	for k, name := range kindNames {
		if name == s && Kind(k) != Gap {
			return Kind(k), true
		}
	}
	return 0, false
}

// KindSet is a set of kinds.
type KindSet uint16

// Kinds returns the set of its arguments.
func Kinds(ks ...Kind) KindSet {
	var s KindSet
	for _, k := range ks {
		s |= 1 << k
	}
	return s
}

// Has tells whether k is in the set.
func (s KindSet) Has(k Kind) bool { return s&(1<<k) != 0 }

// Order is the order of the timeline.
type Order uint8

const (
	// EventOrder sorts by the venue's time of trades and our receive time of books, both in milliseconds.
	EventOrder Order = iota
	// ReceiveOrder sorts by receive time throughout, as a bot saw it. Rows that were fetched later and so never
	// received in time stand at their venue time.
	ReceiveOrder
)

// Event is one entry of the timeline. It and all that it points to, except View and Market, belong to the source and
// are valid until the next call of Next.
type Event struct {
	Kind   Kind
	Market *model.Market
	TS     model.Micros // original time: orders and paces the timeline
	// Skip is how much of the time since the event before lies where nothing at all was recorded: the player's clock
	// jumps over it.
	Skip model.Micros

	Trade   *model.Trade
	Funding *model.Funding
	Stats   *model.Stats
	Row     *record.BookRow
	View    *book.View // immutable, may be kept
	Top     *Top       // of a one-second Snapshot in place of View, where the request has a Depth
	Gap     *model.Gap // To is 0 while the hole is still open

	// Start says that the event belongs to the state at the start or at the target of a seek, or stands before the last
	// event that does: such events are sent at once, even while paused.
	Start   bool
	Initial bool // Snapshot: the book at the start, or at the target of a seek
	Resync  bool // Snapshot: a whole book received again on the way
}

// Top is the best levels of a book, best first.
type Top struct {
	Bids, Asks []model.Level
	Seq        uint64
	Epoch      uint8
}

// Request says what to read.
type Request struct {
	Markets  []*model.Market
	From, To model.Millis // [From, To)
	Include  KindSet
	Order    Order
	// Columns of the trades; 0 means record.Core.
	Columns record.Columns
	// Depth, if not 0, makes one-second snapshots come as the best levels, at most so many a side, in Event.Top: that takes
	// a fraction of what whole books take.
	Depth int
	// StartBooks begins with each market's book as held at From (again after a seek), and sends every book that was
	// received again as a Snapshot with Resync. Without it a re-received book shows only in the one-second snapshots.
	StartBooks bool
}

// Source is a timeline.
type Source interface {
	// Next returns the next event, io.EOF at the end.
	Next(ctx context.Context) (*Event, error)
	// Seek moves to the first event at or after t, start states first; ErrRange outside the request's range.
	Seek(t model.Millis) error
	// Release closes what the source holds open in the store, without losing its place. It is called before a wait.
	Release()
	Close() error
}

// ErrRange reports a seek outside the range of the replay.
var ErrRange = errors.New("time outside the replayed range")
