// Package market owns the live state of every market: the registry of markets and their scale epochs, the shards that
// apply events to books and tell the listeners, and the snapshot clock. A market belongs to one shard, whose goroutine
// alone changes its book; everybody else reads immutable views. The package does no I/O: storing and fetching are
// callbacks of Options.
package market

import (
	"errors"
	"log/slog"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// Listener is told everything that happens to the markets, on the goroutine of the market's shard and in order. It must
// not block longer than its own bounded queue does. Events and views are immutable and may be kept.
type Listener interface {
	// OnEvent is called after the event was applied. v is the market's book after e; nil where e is no book event or the
	// book is out of sync. Only updates that continue the chain, snapshots and new trades get here.
	OnEvent(e *model.Event, v *book.View)
	// OnTick is called at each full second, after every event received before it and before any received later. It names
	// the shard's markets that hold something, by ascending id; the slice may be kept. After a stall of more than
	// a minute only the first and the last missed second are ticked.
	OnTick(second model.Micros, held []Held)
}

// Repeater is a Listener that goes along where the clock is set back. To the others no second comes twice: they hear of none
// until the clock has come to where it was. Events are received no earlier than the last second that was ticked, for everybody.
type Repeater interface {
	// OnRepeat is called like OnTick, at each full second that lies before the last one of OnTick. No minute is full at it.
	OnRepeat(second model.Micros, held []Held)
}

// Held is what a market holds at a full second.
type Held struct {
	Market     *model.Market
	View       *book.View // the book at that second; nil while out of sync
	TradesHeld bool       // the trade record is whole up to now
	Minute     bool       // the first tick of the market's own minute (staggered over the markets): time for a keyframe
}

// Options of a Registry; the zero value of each has the meaning given.
type Options struct {
	Shards int // goroutines that share the markets; 0 means GOMAXPROCS
	Queue  int // events that wait per shard; 0 means 4,096

	Now       func() time.Time // the receive clock; nil means time.Now
	Logger    *slog.Logger     // nil discards
	Listeners []Listener       // told in this order; Registry.Listen adds more

	// Save makes markets durable, all or none, before their new state is used; on an error the old state stays. nil keeps
	// markets in memory only.
	Save func([]*model.Market) error
	// Resync asks the feed for a new snapshot of a market. It must not block. nil where nobody can answer (import).
	Resync func(model.MarketID)
	// NeedTrades asks for the trades after an id over REST. It must not block. Whoever takes it must deliver one
	// TradeBatch with REST set, empty where the venue gave nothing. nil where nobody can answer (import).
	NeedTrades func(id model.MarketID, after uint64)
}

// Start is what the store knows of a market when the process starts.
type Start struct {
	LastTradeID   uint64       // 0 where there is no trade
	LastTradeTime model.Millis // the venue's time of that trade
	// Open gaps (To is 0), usually with cause downtime; nil where there is no record before. The gaps are taken as told
	// already: listeners hear of their end only.
	BookGap, TradeGap, StatsGap *model.Gap
}

// State is the condition of a market's record.
type State struct {
	Synced     bool         // the book is whole and current
	Seq        uint64       // chain number of the last good book
	LastUpdate model.Micros // receive time of the last good book frame
	GapSince   model.Micros // start of the open book gap; 0 where there is none
	GapCause   model.Cause
	TradesHeld bool // trades arrive and no trade gap is open
}

var (
	// ErrStopped reports an event that came after the registry stopped.
	ErrStopped = errors.New("market registry is stopped")
	// ErrMarket reports a market that cannot be registered.
	ErrMarket = errors.New("market cannot be registered")
)
