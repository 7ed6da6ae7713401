// Package sim is a Lighter-compatible venue on loopback. One server speaks the native REST and stream dialogue
// (greeting, subscribe, snapshot then chained updates, limits and their error codes); behind it stands a Source: either
// Exchange, a deterministic simulated exchange with matching, accounts, margin, liquidation and funding, or Capture, a
// recording played at its own pace. The package owns the venue's side of the wire and nothing of ours: it must not
// import the store, the history, or anything that follows a venue, so that a fault of the follower cannot hide here.
package sim

import (
	"context"
	"log/slog"
	"time"
)

// Defaults of Options and CaptureOptions.
const (
	DefaultListen   = "127.0.0.1:9300"
	DefaultMarkets  = 100
	DefaultAccounts = 5000
	DefaultRate     = 2000 // level changes per second over all markets
)

// Options sets up a simulated exchange. The zero value of every field means its default.
type Options struct {
	Seed     int64
	Markets  int     // number of perp markets; beyond the table of known symbols further ones are made up
	Accounts int     // number of trading accounts besides the venue's own
	Rate     float64 // level changes per second over all markets
	// Volatility is a multiple of the normal one: higher values bring more margin calls.
	Volatility float64
	// Start is the logical time of the first step; Now() where zero. Ids begin at numbers derived from it, so that a
	// restarted venue never repeats one.
	Start  time.Time
	Now    func() time.Time
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Markets <= 0 {
		o.Markets = DefaultMarkets
	}
	if o.Accounts <= 0 {
		o.Accounts = DefaultAccounts
	}
	if o.Rate <= 0 {
		o.Rate = DefaultRate
	}
	if o.Volatility <= 0 {
		o.Volatility = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Start.IsZero() {
		o.Start = o.Now()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Source is what a server shows: an *Exchange or a *Capture. One server at a time runs a source.
type Source interface {
	// run drives the source by the wall clock until ctx ends.
	run(ctx context.Context) error
	// stream is the source's registry of channels; its mutex guards the whole source.
	stream() *hub
	// open checks a channel; nil means it exists.
	open(ch channel) *venueError
	// snapshot appends the frame that answers a subscribe. The hub's mutex is held.
	snapshot(dst []byte, ch channel) []byte
	// answer appends the body of a REST read below /api/v1/. The hub's mutex is held.
	answer(dst []byte, route string, q query) ([]byte, *venueError)
	// now is the time that the venue shows.
	now() time.Time
}
