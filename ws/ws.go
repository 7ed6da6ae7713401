// Package ws owns the WebSocket side of the API: the hub that fans events out to subscribers, the connections with
// their bounded queues, and the replay socket. It turns engine events into frames and client frames into calls; it
// decides nothing about books or history and never imports package http. A frame is encoded once and shared as bytes by
// everybody who gets it, and a slow client hurts only itself.
package ws

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/replay"
)

// Markets tells what is known of a market; *market.Registry is one.
type Markets interface {
	Get(id model.MarketID) (*model.Market, bool)
	ByNative(venue uint8, native int64) (*model.Market, bool)
	All() []*model.Market // not to be changed
}

// Access authenticates callers, and tells later whether they still stand; *access.Access is one.
type Access interface {
	Authenticate(r access.Request) (*access.Principal, error)
	// Recheck returns the caller as he stands now: the same pointer where nothing changed, an unauthorized or forbidden
	// *model.Error where he is no longer let in.
	Recheck(p *access.Principal, client netip.Addr) (*access.Principal, error)
	// Changed is closed at the next change of a user, a key or the plans; nil where nothing ever changes.
	Changed() <-chan struct{}
	// Spend takes credits for data messages, false where the plan's hard cap is reached.
	Spend(p *access.Principal, credits int64, now model.Millis) bool
	// TakeIP counts against the window of an address.
	TakeIP(client netip.Addr, class access.IPClass, now model.Millis) access.Decision
	// Plans returns the plans, the lowest first.
	Plans() []*access.Plan
}

// Options configures a Server. Markets and Access are needed; without History replays find no data.
type Options struct {
	Markets Markets
	History replay.HistoryReader
	Access  Access
	Now     func() time.Time // nil means time.Now
	Logger  *slog.Logger     // nil discards
	Limits  Limits           // zero members mean the defaults
	// SnapshotDepth is the most levels a side that the one-second books of a replay have; 0 means as many as are asked
	// for. The whole book that updates follow upon is never cut by it.
	SnapshotDepth int
	// Pacer, if not nil, makes paced replays exact to a tenth of a millisecond.
	Pacer *replay.Pacer
	// Native writes the venue's own frames. Without it replays in format native, and /stream, are refused.
	Native Native
	// Upstream is where /stream takes what we do not follow ourselves; without a URL that is refused as an unknown channel.
	Upstream Upstream
	// Follows tells whether a market is followed, nil: whether the venue's channels of all markets are. Clients of /stream
	// wait a little for what is followed and not there yet, instead of asking the venue; where it is nil nobody waits.
	Follows func(m *model.Market) bool
	// PrivateSockets is the most upstream sockets that clients of /stream have at once; 0 means 100, negative none.
	PrivateSockets int
	// AllowAnonymous lets clients of /stream in who show no credential, one socket for each address under the lowest plan.
	AllowAnonymous bool
	// ClientIP tells the caller's address from the peer's and the X-Forwarded-For header; nil means the peer's. It is
	// called at each handshake and may change its mind about trusted proxies.
	ClientIP func(peer netip.Addr, forwardedFor string) netip.Addr
	// WhaleNotional is the value from which something is a whale's or worth an alert, where a subscription does not say;
	// 0 means 100,000 USD. WhaleByMarket overrides it per market. SetWhales changes them.
	WhaleNotional num.USD
	WhaleByMarket map[model.MarketID]num.USD
	// Owners names the owners of resting orders; nil: none is known.
	Owners Owners
	// Heatmaps serves liquidation_heatmap; nil: the channel is refused.
	Heatmaps Heatmaps
	// Compression accepts permessage-deflate on the live paths. Clients' messages stay within Limits.MessageBytes inflated.
	Compression bool
}

// Limits bounds what one connection may cost. The zero value means the contract's numbers.
type Limits struct {
	AuthTimeout  time.Duration // to the first message, 10 s
	PingInterval time.Duration // 30 s
	PongTimeout  time.Duration // 10 s
	WriteTimeout time.Duration // of one write, 10 s
	CloseTimeout time.Duration // for the client's answer to a close frame, 2 s

	Connections   int   // sockets open at once, 10,000
	Strangers     int   // sockets of one address that have not authenticated, 256; loopback has no limit
	MessageBytes  int64 // one client message, 64 KiB
	MessageRate   int   // client messages per second, 30
	MessageBurst  int   // 60
	QueueFrames   int   // frames that wait per connection before it closes with 4011, 1,024
	QueueBytes    int   // bytes that wait, 8 MiB
	ConflateAt    int   // waiting frames from which book channels conflate, 256
	RingFrames    int   // frames kept per channel for `since`, 10,000
	RingBytes     int   // bytes kept over all channels, 64 MiB
	RingAge       time.Duration
	ReplayBuffer  int           // joined bytes between a replay and its socket, 256 KiB
	HeartbeatTime time.Duration // silence on a channel before a heartbeat, 5 s

	NativeIdle     time.Duration // silence of a client of /stream, 2 min as at the venue
	NativeWait     time.Duration // of a subscription of /stream for what is followed and not there yet, 5 s
	NativeMessages int           // messages of a client of /stream in any minute, 200 as at the venue
}

func (l Limits) withDefaults() Limits {
	orDuration := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	orInt := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	orDuration(&l.AuthTimeout, 10*time.Second)
	orDuration(&l.PingInterval, 30*time.Second)
	orDuration(&l.PongTimeout, 10*time.Second)
	orDuration(&l.WriteTimeout, 10*time.Second)
	orDuration(&l.CloseTimeout, 2*time.Second)
	orDuration(&l.RingAge, time.Minute)
	orDuration(&l.HeartbeatTime, 5*time.Second)
	orDuration(&l.NativeIdle, 2*time.Minute)
	orDuration(&l.NativeWait, 5*time.Second)
	orInt(&l.NativeMessages, 200)
	if l.MessageBytes == 0 {
		l.MessageBytes = 64 << 10
	}
	orInt(&l.Connections, 10_000)
	orInt(&l.Strangers, 256)
	orInt(&l.MessageRate, 30)
	orInt(&l.MessageBurst, 60)
	orInt(&l.QueueFrames, 1024)
	orInt(&l.QueueBytes, 8<<20)
	orInt(&l.ConflateAt, 256)
	orInt(&l.RingFrames, 10_000)
	orInt(&l.RingBytes, 64<<20)
	orInt(&l.ReplayBuffer, 256<<10)
	return l
}

// Server serves /ws, /stream and /ws/replay. Its methods may be called from any goroutine.
type Server struct {
	o      Options
	limits Limits
	hub    *Hub
	quota  *quota
	lobby  *lobby
	ctx    context.Context // ends with Close: replays and private upstream sockets run under it
	cancel context.CancelFunc

	privates atomic.Int64 // upstream sockets of clients, those being opened included

	mu     sync.Mutex
	conns  map[*Conn]struct{}
	closed bool
	done   sync.WaitGroup // one per connection, the sweeper and the watcher

	pastMu sync.Mutex // before a session's clock
	pasts  map[*pastSession]struct{}
}

// New returns a server and starts its sweeper, which Close ends. The server's hub belongs into the listeners of the
// market registry.
func New(o Options) (*Server, error) {
	if o.Markets == nil || o.Access == nil {
		return nil, errors.New("ws needs Markets and Access")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, limits: o.Limits.withDefaults(), quota: newQuota(), lobby: newLobby(), conns: map[*Conn]struct{}{}}
	if s.o.PrivateSockets == 0 {
		s.o.PrivateSockets = defaultPrivateSockets
	}
	s.hub = newHub(o.Markets, &s.o.Native, o.Now, s.limits)
	s.hub.own.owners, s.hub.own.heatmaps = o.Owners, o.Heatmaps
	s.SetWhales(o.WhaleNotional, o.WhaleByMarket)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	showMetrics()
	s.done.Go(s.sweep)
	s.done.Go(s.watch)
	return s, nil
}

// Hub returns the listener that feeds the live channels.
func (s *Server) Hub() *Hub { return s.hub }

// sweep runs what the hub does once a second.
func (s *Server) sweep() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
			s.hub.sweep(s.o.Now())
		}
	}
}

// remember counts a connection in; false once the server is closing.
func (s *Server) remember(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	s.done.Add(1)
	return true
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Close refuses new connections and closes all with 1001 after what is queued for them. It waits for them until ctx
// ends, then cuts those that are left and returns ctx's error.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.shut(closeGoing, false)
	}
	s.mu.Unlock()
	s.cancel()
	gone := make(chan struct{})
	go func() {
		s.done.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.abort()
	}
	s.mu.Unlock()
	<-gone
	return ctx.Err()
}
