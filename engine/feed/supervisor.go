package feed

import (
	"context"
	"log/slog"
	"net"
	"time"

	"hyperlight/engine/model"
)

// Options configure a Supervisor. StreamURL, Dialect and Sink are required.
type Options struct {
	Venue     string // metric label
	StreamURL string // ws:// or wss://
	UserAgent string
	Dialect   Dialect
	Limits    Limits
	Sink      Sink
	Now       func() time.Time                                                  // nil: the wall clock
	Dial      func(ctx context.Context, network, addr string) (net.Conn, error) // nil: TCP
	Jitter    func() float64                                                    // uniform in [0, 1); nil: math/rand/v2
	Logger    *slog.Logger                                                      // nil: discard
}

// Status tells how the feed is.
type Status struct {
	Connected   bool         // at least one socket is up
	LastMessage model.Millis // when the last frame came, 0 before the first
	Subscribed  int          // channels that answered
	Wanted      int          // channels that should be held
	Height      uint64       // the venue's block height, 0 where unknown
	Reconnects  uint64       // lost or failed connections since the start
	Sockets     int
}

// Supervisor keeps the venue's sockets.
type Supervisor struct{}

// New returns a supervisor that does nothing until Run.
func New(o Options) *Supervisor { return &Supervisor{} }

// Run keeps the sockets until ctx ends.
func (s *Supervisor) Run(ctx context.Context) error { return nil }

// SetMarkets says which markets to follow.
func (s *Supervisor) SetMarkets(markets []model.Market) {}

// Resync asks for a new snapshot of a market's book.
func (s *Supervisor) Resync(id model.MarketID) {}

// Status returns the state now.
func (s *Supervisor) Status() Status { return Status{} }
