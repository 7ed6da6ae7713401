// Package desk owns the live side of signals: which ones there are, in memory and in the store, the evaluators that look at
// what the markets' shards tell, and the writer that makes a trigger durable together with its deliveries. Calls to the
// outside are package delivery's, the meaning of rules is package signal's. It must not know HTTP.
//
// A signal's state, and the deliveries of a trigger, are written in one batch that is synced before anything is sent: what
// has been sent is known after a crash, and what is known is sent. Shards never wait: where the writer falls behind,
// triggers are counted as lost.
package desk

import (
	"log/slog"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/seal"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/kv"
)

// Markets tells what is known of markets; *market.Registry is one.
type Markets interface {
	Get(id model.MarketID) (*model.Market, bool)
}

// Options of a Desk. Store, Markets and Box are required.
type Options struct {
	Store   *kv.Store
	Markets Markets
	Box     *seal.Box // seals the channels' secrets
	// Record is what backtests read; its zero value where there are none.
	Record signal.Record
	// LastStats returns the time of the newest stored row of a market's statistics, 0 where there is none; may be nil.
	LastStats func(model.MarketID) model.Millis
	// Delivery says how channels are called; Store, Now and Logger and what the desk answers itself are set by Open.
	Delivery delivery.Options
	// Admits tells whether an owner may call still: nothing is sent for one that was disabled. It is called under a lock and
	// must not block; nil admits all.
	Admits func(owner uuid.UUID) bool
	// Plans says how many signals of an owner may be live; nil sets no limit.
	Plans  Plans
	Now    func() time.Time // nil: the wall clock
	Logger *slog.Logger     // nil: discard
}

// Anyone is the owner that an operator acts as: every signal is its own.
var Anyone = uuid.Max

// Signal is a signal as its owner sees it. It is immutable.
type Signal struct {
	ID, Owner     uuid.UUID
	Name          string
	Market        model.MarketID
	Native        int64 // the venue's id of the market
	Symbol        string
	Rule          signal.Rule
	Channels      []Channel
	Cooldown      time.Duration // whole seconds
	Enabled       bool
	Suspended     bool // after too many failed deliveries; enabling it again lifts that
	Paused        bool // the owner's plan allows fewer signals than there are, and this is one of the newest
	Triggers      uint64
	LastTriggered model.Millis // our clock; 0: never
	Created       model.Millis
	Updated       model.Millis
}

// Channel is where a signal is delivered to.
type Channel struct {
	URL      string
	Disabled bool // the receiver answered 410; enabling the signal again, or changing the channels, lifts that
}

// Draft is what a client says of a signal; nil members are absent. Rule is the JSON text of rule_definition.
type Draft struct {
	Name     *string
	Market   *model.MarketID
	Rule     []byte
	Channels *[]ChannelDraft
	Cooldown *int64 // seconds
	Enabled  *bool
	ID       uuid.UUID // of a new signal; uuid.Nil draws one
}

// ChannelDraft is what a client says of a channel. Where Secret is Masked, the channel of the same URL keeps its own.
type ChannelDraft struct{ Type, URL, Secret string }

// Masked stands for every secret.
const Masked = "********"

// The limits of the contract, section 2.8.
const (
	MaxName         = 100 // characters
	MaxChannels     = 5
	MinSecret       = 16 // characters
	MaxSecret       = 256
	MaxCooldown     = 86_400 // seconds
	DefaultCooldown = 60
	// MaxFailures is how many failed deliveries in a row suspend a signal.
	MaxFailures = 20
	// RecentDeliveries is how many deliveries of a signal are listed.
	RecentDeliveries = 20
	// Rotation is how long an old secret signs beside the new one.
	Rotation = 24 * time.Hour
)

// Filter says which signals are listed; nil members take all.
type Filter struct {
	Market  *model.MarketID
	Enabled *bool
}

// Test is the outcome of a backtest.
type Test struct {
	Signal Signal
	signal.Result
}

// Span is what a backtest goes through.
type Span = history.Span

// Unlimited is no limit, of Create and of Plans.
const Unlimited = -1
