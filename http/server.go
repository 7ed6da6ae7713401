// Package http answers REST calls: it owns the route table, the middleware, the envelope, errors, paging, the OpenAPI
// description and the fasthttp server. Handlers parse a request, ask the engine or its history, and append JSON; they
// never write to the response themselves. It must not know sockets (their handlers are given to it), the store or any
// venue, and it must not keep anything of a request after it was answered.
package http

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/engine/relay"
)

// Limits of the server (conventions 8.6).
const (
	maxHead        = 16 << 10
	maxURL         = 8 << 10
	maxBody        = 1 << 20
	readTimeout    = 10 * time.Second
	idleTimeout    = 120 * time.Second
	writeTimeout   = 15 * time.Second
	maxConnections = 10_000
	maxPerIP       = 256
	// writeBuffer is above fasthttp's default of 4 KiB, which splits an ordinary answer into two writes.
	writeBuffer = 16 << 10
	// historyDeadline is how long a read of history may take, once the gate has let it in.
	historyDeadline = 10 * time.Second
	// readyAfter is when a server counts as ready although no market has synchronised.
	readyAfter = 60 * time.Second
)

// Engine is what handlers need of the live engine. Its methods are called from many goroutines at once.
type Engine interface {
	// Markets returns every market that is known, inactive ones too.
	Markets() []*model.Market
	// Market finds a market by the venue's own id.
	Market(native int64) (*model.Market, bool)
	// Book returns a fresh view, or upstream_error where there is none.
	Book(ctx context.Context, m *model.Market) (*book.View, error)
	// Enter passes the gate of history reads; leave must be called.
	Enter(ctx context.Context) (leave func(), err error)
}

// History is what handlers read of the record; *history.Reader is one.
type History interface {
	Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error]
	TradesOf(ctx context.Context, ids []model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[history.MarketTrade, error]
	CountTrades(ctx context.Context, m model.MarketID, sp history.Span) (n uint64, exact bool, err error)
	Aggregates(ctx context.Context, m model.MarketID, grid history.Grid, sp history.Span, reverse bool) iter.Seq2[history.Aggregate, error]
	Liquidations(ctx context.Context, sp history.Span, reverse bool) iter.Seq2[history.MarketTrade, error]
	Fundings(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[history.FundingRow, error]
	BookAt(ctx context.Context, m model.MarketID, t model.Micros) (*book.View, error)
	Books(ctx context.Context, m model.MarketID, sp history.Span, every time.Duration) iter.Seq2[history.Snapshot, error]
	BookTimes(ctx context.Context, m model.MarketID, sp history.Span, every time.Duration, reverse bool) iter.Seq2[model.Millis, error]
	Updates(ctx context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error]
	Candles(ctx context.Context, m model.MarketID, resolution time.Duration, sp history.Span, reverse bool) iter.Seq2[record.Candle, error]
	Stats(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error]
	Coverage(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error)
	Covered(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) (start, end model.Millis, complete, any bool, err error)
	Gaps(ctx context.Context, kinds []model.Kind, ids []model.MarketID, sp history.Span) ([]history.GapRow, error)
}

// Health is the answer of /health: the storage check and the last result of the venue probe.
type Health struct {
	Status, Version     string
	UptimeSeconds       int64
	Storage, LighterAPI string
}

// Status is the answer of /status.
type Status struct {
	Status, REST, WebSocket                    string
	NetworkID                                  int64
	LighterTimestamp, LastMessageAt, CheckedAt model.Millis
	BlockHeight                                uint64
	LatencyMS                                  int64
	ActiveMarkets, Subscribed, Wanted, Synced  int
	Backfill                                   []BackfillProgress // nil where nothing is fetched
	Accounts                                   *AccountStatus     // nil where the venue is not asked about accounts
}

// Handler answers a path whose protocol is not ours to know: an upgrade.
type Handler = fasthttp.RequestHandler

// Relay passes native calls on; *relay.Relay is one.
type Relay interface {
	Do(ctx context.Context, q *relay.Request) (*relay.Response, error)
}

// Options configures a Server. Engine, History, Access, Health and Status are required.
type Options struct {
	Engine  Engine
	History History
	Access  Authenticator
	Health  func() Health // may touch the disk
	Status  func() Status // must not block

	// WebSocket holds the handlers of /ws and /ws/replay; a path without one is not found.
	WebSocket map[string]Handler
	// Relay answers paths under /api/v1/, / and /info that are not ours; nil: not found.
	Relay Relay
	// FundingRates returns the current funding rates, asking the venue where it has to; nil: upstream_error.
	FundingRates func(ctx context.Context) (*model.FundingRates, error)
	// Exchange tells what concerns the exchange as a whole; nil: upstream_error.
	Exchange Exchange
	// Accounts is what the calls about accounts are answered from.
	Accounts AccountOptions
	// Signals is what the calls about signals are answered from.
	Signals SignalOptions
	// Lake is what the calls about the data lake are answered from.
	Lake LakeOptions
	// Fill asks for a range that is not held; nil without a venue.
	Fill FillFunc
	// Day knows the forced trades of the last 24 hours; nil: they are read from the record.
	Day Day
	// Past returns the record as everything received before a moment makes it, which calls below /replay are answered
	// from; nil: not found.
	Past func(at model.Micros) Past
	// PastOnly leaves nothing but what is below /replay, /ws/replay and the paths of health.
	PastOnly bool
	// ReplayClock returns where a running session of /replay/stream stands (ws.Server.ReplayClock); nil: there are none.
	ReplayClock func(account, id string) (at model.Micros, running int)
	// AllowAnonymous lets native calls in without a credential, under the lowest plan's limit per address.
	AllowAnonymous bool

	PublicURL string // base of every URL that is handed out
	// CORSOrigins are the web origins that may read answers; nil means every one ("*").
	CORSOrigins []string
	// TrustedProxies are the peers whose X-Forwarded-For counts; SetTrustedProxies changes them.
	TrustedProxies []netip.Prefix
	// TLS tells that every listener speaks TLS: browsers are told to remember it.
	TLS bool
	// CursorKey signs paging cursors. It should survive restarts; where empty a random one is made.
	CursorKey []byte
	// MetricsToken, where set, must be shown as a bearer token to read /metrics.
	MetricsToken string

	// WhaleNotional is the quote value from which a level or trade is a whale's; 0 means 100,000 USD. WhaleByMarket
	// overrides it per market. SetWhales changes them.
	WhaleNotional num.USD
	WhaleByMarket map[model.MarketID]num.USD
	// Owners names the owners of resting orders; nil: none is known.
	Owners Owners
	// SnapshotDepth is the most levels a side that /snapshots answers with; 0 means as many as are asked for.
	SnapshotDepth int
	// CountLimit is how many rows a total may decode before it is null; 0 means 1,000,000.
	CountLimit int

	Now    func() time.Time
	Logger *slog.Logger
	// AccessLog takes one JSON line per request, in batches at most 100 ms old. Where nil, the lines go to Logger one by
	// one, which costs several times as much.
	AccessLog io.Writer
}

// Server is the REST server. New makes it, Serve may be called for several listeners.
type Server struct {
	engine    Engine
	history   History
	access    Authenticator
	health    func() Health
	status    func() Status
	relay     Relay
	funding   func(ctx context.Context) (*model.FundingRates, error)
	exchange  Exchange
	accounts  *accountDesk
	signals   SignalOptions
	backtests backtests
	lake      LakeOptions
	listed    steadyLinks
	fill      FillFunc
	day       Day
	past      func(at model.Micros) Past
	clocks    func(account, id string) (at model.Micros, running int)
	now       func() time.Time
	log       *slog.Logger

	publicURL    string
	cors         corsRules
	trusted      atomic.Pointer[[]netip.Prefix]
	tls          bool
	anonymous    bool // native calls need no credential
	cursorKey    []byte
	metricsToken string
	whales       atomic.Pointer[whaleRules]
	owners       Owners
	snapshots    int // levels a side at most; 0: no cap
	countLimit   int

	routes      []*route
	mux         *router
	everything  *router // mux, or with PastOnly what the paths below /replay are looked up in
	socketMux   *router // the paths of a listener for sockets only
	unmatched   *route  // of requests that no route took
	natives     []*route
	pasts       map[*route]*route // what answers a route's path below /replay
	pastNative  *route            // what answers the venue's own calls there
	books       bookCache
	openapi     documents
	metrics     *serverMetrics
	journal     *journal
	connections *connectionCount
	calls       sync.Pool
	started     time.Time
	closing     atomic.Bool
	life        context.Context // ends when Shutdown begins: what handlers wait with, see call.waiting
	end         context.CancelFunc
	listenersMu sync.Mutex // a leaf lock
	listeners   []net.Listener
	http        *fasthttp.Server
	socketHTTP  *fasthttp.Server
}

// New checks the options and returns a server. Its goroutine (the journal's) ends with Shutdown.
func New(o Options) (*Server, error) {
	if o.Engine == nil || o.History == nil || o.Access == nil || o.Health == nil || o.Status == nil {
		return nil, errors.New("make http server: engine, history, access, health and status are required")
	}
	s := &Server{
		engine: o.Engine, history: o.History, access: o.Access, health: o.Health, status: o.Status, relay: o.Relay, funding: o.FundingRates, exchange: o.Exchange,
		signals: o.Signals, lake: o.Lake, fill: o.Fill, day: o.Day, past: o.Past, clocks: o.ReplayClock,
		now: o.Now, log: o.Logger, publicURL: strings.TrimSuffix(o.PublicURL, "/"), cors: newCORSRules(o.CORSOrigins),
		cursorKey: o.CursorKey, metricsToken: o.MetricsToken, tls: o.TLS, anonymous: o.AllowAnonymous,
		owners: o.Owners, snapshots: o.SnapshotDepth, countLimit: o.CountLimit,
	}
	s.accounts = newAccountDesk(o.Accounts)
	s.SetTrustedProxies(o.TrustedProxies)
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.SetWhales(o.WhaleNotional, o.WhaleByMarket)
	if s.countLimit == 0 {
		s.countLimit = 1_000_000
	}
	if len(s.cursorKey) == 0 {
		s.cursorKey = make([]byte, 32)
		if _, err := crand.Read(s.cursorKey); err != nil {
			return nil, errors.New("make http server: no randomness for the cursor key")
		}
	}
	s.started = s.now()
	s.life, s.end = context.WithCancel(context.Background())
	s.calls.New = func() any { return &call{server: s, shard: rand.IntN(1 << 20)} }
	s.connections = newConnectionCount()
	s.connections.exempt = func(ip netip.Addr) bool { return contains(*s.trusted.Load(), ip) }
	s.metrics = newServerMetrics()
	var err error
	if s.openapi, err = loadDocuments(s.publicURL); err != nil {
		return nil, err
	}
	s.routes = routeTable(o.WebSocket)
	if s.past != nil {
		s.pasts, s.pastNative = pastRoutes(s.routes)
		s.routes = append(s.routes, s.pastNative)
	}
	s.everything, s.socketMux = newRouter(s.routes), newRouter(socketRoutes(s.routes))
	s.mux = s.everything
	if o.PastOnly {
		s.mux = newRouter(pastOnly(s.routes))
	}
	s.unmatched, s.natives = &route{pattern: "unmatched", auth: authOptional}, nativeRoutes()
	for _, r := range slices.Concat(s.routes, slices.Collect(maps.Values(s.pasts)), s.natives, []*route{s.unmatched}) {
		s.metrics.register(r)
		r.usage = s.access.Route(r.usageName())
	}
	s.journal = newJournal(o.AccessLog, s.log)
	s.http = s.newHTTP(func(ctx *fasthttp.RequestCtx) { s.serve(ctx, s.mux) })
	s.socketHTTP = s.newHTTP(func(ctx *fasthttp.RequestCtx) { s.serve(ctx, s.socketMux) })
	// Its connections become sockets, which would keep the 16 KiB that the handshake was read into for as long as they
	// live: half of an idle client's memory. Requests pay for it with a read more each, so that s.http has it not.
	s.socketHTTP.ReduceMemoryUsage = true
	return s, nil
}

// SetTrustedProxies says whose X-Forwarded-For counts from the next request on.
func (s *Server) SetTrustedProxies(proxies []netip.Prefix) {
	proxies = slices.Clone(proxies)
	s.trusted.Store(&proxies)
}

// serverLogger passes fasthttp's own messages on: single connections that broke are a client's business, the rest is ours.
type serverLogger struct{ log *slog.Logger }

// Printf implements fasthttp.Logger.
func (l serverLogger) Printf(format string, args ...any) {
	level := slog.LevelWarn
	if strings.HasPrefix(format, "error when serving connection") {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, "http server", "component", "http", "event", fmt.Sprintf(format, args...))
}
