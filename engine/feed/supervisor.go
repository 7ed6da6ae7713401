package feed

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/model"
)

// Options configure a Supervisor. StreamURL, Dialect and Sink are required.
type Options struct {
	Venue     string // metric label and log attribute
	StreamURL string // ws:// or wss://
	UserAgent string
	Dialect   Dialect
	Limits    Limits
	Sink      Sink
	Now       func() time.Time                                                  // nil: the wall clock
	Dial      func(ctx context.Context, network, addr string) (net.Conn, error) // nil: TCP
	Jitter    func() float64                                                    // uniform in [0, 1); nil: math/rand/v2
	Logger    *slog.Logger                                                      // nil: discard

	// Accounts, where set, takes what the channels of SetAccounts tell. It is called on the goroutines of the sockets, must
	// not block, and the update is lent until it returns. The sink never sees these.
	Accounts func(u *model.AccountUpdate, recv model.Micros)
}

// Status tells how the feed is.
type Status struct {
	Connected   bool         // at least one socket is up
	LastMessage model.Millis // when the last frame came, 0 before the first
	Subscribed  int          // channels that answered and are held
	Wanted      int          // channels that should be held
	Height      uint64       // the venue's block height, 0 where unknown
	Reconnects  uint64       // lost and failed connections since the start
	Sockets     int          // connections that are up
	Accounts    int          // accounts whose channel answered and is held; not among Subscribed
	Err         error        // why the last connection failed or ended; nil while all are up
}

// Supervisor keeps the venue's sockets: it connects, subscribes within the venue's limits, answers refusals, notices
// silence, and tells the sink of every hole. Its methods are safe for concurrent use; Run is called once.
//
// Lock order: mu is a leaf. It is never held while the sink, the network or a decoder is called.
type Supervisor struct {
	o      Options
	limits Limits
	log    *slog.Logger
	m      *instruments

	wake   chan struct{} // capacity 1: the scheduler has something to look at
	last   atomic.Int64  // Micros of the last frame
	height atomic.Uint64

	mu         sync.Mutex
	want       []*subscription                  // in the order of first subscribing
	known      map[Channel]*subscription        // want, accounts, and what is still to be unsubscribed
	books      map[model.MarketID]*subscription // the book channels of want
	accounts   []*subscription                  // channels of accounts that are wanted, the most wanted first
	slots      int                              // sockets started
	sockets    []*socket                        // those that are up
	perSocket  int                              // subscriptions that a connection takes, as far as known
	perAccount int                              // channels of accounts among them, likewise
	sent       []time.Time                      // client messages of the last 60 s, oldest first
	unanswered int                              // client messages without an answer
	window     int                              // unanswered messages allowed now, up to MaxUnanswered
	paused     time.Time                        // nothing is sent before
	pause      time.Duration                    // length of the last pause
	late       []Channel                        // subscribes without an answer, to be logged
	reconnects uint64
	err        error
}

// New returns a supervisor that does nothing until Run.
func New(o Options) *Supervisor {
	s := &Supervisor{
		o: o, limits: o.Limits.WithDefaults(), log: o.Logger, m: newInstruments(o.Venue),
		wake: make(chan struct{}, 1), known: map[Channel]*subscription{}, books: map[model.MarketID]*subscription{},
	}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	if s.o.Dial == nil {
		s.o.Dial = (&net.Dialer{}).DialContext
	}
	if s.o.Jitter == nil {
		s.o.Jitter = rand.Float64
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("venue", o.Venue)
	// A resync is two messages, and each socket carries the height besides its channels.
	s.limits.MessagesPerMinute = max(s.limits.MessagesPerMinute, 4)
	s.limits.MaxUnanswered = max(s.limits.MaxUnanswered, 2)
	s.perSocket, s.window = max(s.limits.MaxSubscriptionsPerConnection, 2), s.limits.MaxUnanswered
	s.perAccount = s.limits.MaxAccountsPerConnection
	return s
}

// Run keeps the sockets until ctx ends, then closes them and returns nil. It returns an error only where it could not
// start. Gaps are not told at the end: whoever stops the feed knows.
func (s *Supervisor) Run(ctx context.Context) error {
	if s.o.StreamURL == "" || s.o.Dialect == nil || s.o.Sink == nil {
		return errors.New("run feed: stream url, dialect and sink are required")
	}
	set := s.m.gauges(s.Status)
	defer unregister(set)
	var slots sync.WaitGroup
	defer slots.Wait()
	for {
		wait := s.schedule(func() { slots.Go(func() { s.keep(ctx) }) })
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (s *Supervisor) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// SetMarkets says which markets to follow, in any order; books and trades of what is new are subscribed, most traded
// first, those of what is missing are unsubscribed, and everything else stays as it is.
func (s *Supervisor) SetMarkets(markets []model.Market) {
	want := planned(markets)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.want {
		sub.wanted = false
	}
	s.want, s.books = s.want[:0], map[model.MarketID]*subscription{}
	for _, p := range want {
		sub, ok := s.known[p.channel]
		if !ok {
			sub = &subscription{channel: p.channel}
			s.known[p.channel] = sub
		}
		sub.wanted, sub.market = true, p.market
		s.want = append(s.want, sub)
		if p.channel.Family == FamilyBook {
			s.books[p.market] = sub
		}
	}
	s.trimAccounts() // markets come first
	s.dropIdle()
	s.poke()
}

// dropIdle forgets channels that nobody wants and no connection carries.
func (s *Supervisor) dropIdle() {
	for c, sub := range s.known {
		if !sub.wanted && sub.socket == nil {
			delete(s.known, c)
		}
	}
}

// Resync asks for a new snapshot of a market's book. It does not block. It does nothing while a snapshot is on its way;
// resyncs of a market that follow each other are spaced out.
func (s *Supervisor) Resync(id model.MarketID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub := s.books[id]; sub != nil {
		s.requestResync(sub)
	}
}

// requestResync marks a subscription for an unsubscribe and a subscribe.
func (s *Supervisor) requestResync(sub *subscription) {
	if sub.state != stateLive || sub.resync {
		return
	}
	now := s.o.Now()
	if now.Sub(sub.resynced) > s.limits.HealthyAfter {
		sub.spacing = 0
	}
	sub.resync = true
	sub.notBefore = sub.resynced.Add(sub.spacing)
	sub.spacing = min(max(2*sub.spacing, s.limits.ResyncFirst), s.limits.ResyncMax)
	s.m.resyncs.Inc()
	s.poke()
}

// Status returns the state now.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Connected: len(s.sockets) > 0, Sockets: len(s.sockets), LastMessage: model.Micros(s.last.Load()).Millis(),
		Height: s.height.Load(), Reconnects: s.reconnects, Wanted: len(s.want),
	}
	for _, sub := range s.want {
		if sub.state == stateLive {
			st.Subscribed++
		}
	}
	for _, sub := range s.accounts {
		if sub.state == stateLive {
			st.Accounts++
		}
	}
	if len(s.sockets) < s.slots {
		st.Err = s.err
	}
	return st
}
