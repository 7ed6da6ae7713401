package feed_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"

	"github.com/fasthttp/websocket"
)

// venue is a small Lighter: it answers subscribes with a book, trades, statistics or the height, and refuses what the
// real one refuses. It lives on net.Pipe, so that synctest can run its clock.
type venue struct {
	t     *testing.T
	delay time.Duration // before each answer

	mu       sync.Mutex
	conns    []*venueConn // every one ever opened
	messages []message
	dials    []time.Duration
	refuse   func(conn int, m message) (code int, text string, ok bool) // before all else
	silent   func(m message) bool                                       // no answer at all
	html     bool                                                       // refuse the handshake
	down     bool                                                       // refuse the connection
	nonce    uint64
	start    time.Time
	mostOpen int // most messages without an answer
	open     int
}

type message struct {
	at            time.Duration
	conn          int
	Type, Channel string
}

type venueConn struct {
	v      *venue
	number int
	ws     *websocket.Conn
	out    chan []byte
	held   map[string]bool
	closed chan struct{}
	mute   bool
	binary bool // frames are called so
	pings  []time.Duration
}

func newVenue(t *testing.T) *venue {
	return &venue{t: t, nonce: 100, start: time.Now(), delay: 50 * time.Millisecond}
}

// dial is feed.Options.Dial.
func (v *venue) dial(context.Context, string, string) (net.Conn, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dials = append(v.dials, time.Since(v.start))
	if v.down {
		return nil, fmt.Errorf("connection refused")
	}
	client, server := net.Pipe()
	go v.accept(server)
	return client, nil
}

// hijacker lets the upgrader take over a pipe.
type hijacker struct {
	conn   net.Conn
	rw     *bufio.ReadWriter
	header http.Header
}

func (h *hijacker) Header() http.Header         { return h.header }
func (h *hijacker) Write(b []byte) (int, error) { return h.conn.Write(b) }
func (h *hijacker) WriteHeader(code int)        {}
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, h.rw, nil
}

func (v *venue) accept(conn net.Conn) {
	br := bufio.NewReader(conn)
	req, err := http.ReadRequest(br)
	if err != nil {
		_ = conn.Close()
		return
	}
	if req.UserAgent() != "hyperlight/test" {
		v.t.Errorf("User-Agent %q", req.UserAgent())
	}
	v.mu.Lock()
	html := v.html
	v.mu.Unlock()
	if html {
		_, _ = conn.Write([]byte("HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"))
		_ = conn.Close()
		return
	}
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := up.Upgrade(&hijacker{conn, bufio.NewReadWriter(br, bufio.NewWriter(conn)), http.Header{}}, req, nil)
	if err != nil {
		v.t.Error(err)
		return
	}
	v.mu.Lock()
	c := &venueConn{v: v, number: len(v.conns), ws: ws, out: make(chan []byte, 4096), held: map[string]bool{}, closed: make(chan struct{})}
	v.conns = append(v.conns, c)
	v.mu.Unlock()
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		v.mu.Lock()
		c.pings = append(c.pings, time.Since(v.start))
		mute := c.mute
		v.mu.Unlock()
		if mute {
			return nil
		}
		return pong(data)
	})
	go c.writer()
	c.send(lighter.AppendConnectedFrame(nil, "s"))
	c.reader()
}

func (c *venueConn) writer() {
	for {
		select {
		case <-c.closed:
			return
		case m := <-c.out:
			c.v.mu.Lock()
			mute, kind := c.mute, websocket.TextMessage
			if c.binary {
				kind = websocket.BinaryMessage
			}
			c.v.mu.Unlock()
			if !mute && c.ws.WriteMessage(kind, m) != nil {
				return
			}
		}
	}
}

func (c *venueConn) send(m []byte) { c.out <- m }

func (c *venueConn) close() { _ = c.ws.Close() }

func (c *venueConn) reader() {
	defer close(c.closed)
	defer c.close()
	for {
		_, raw, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		m := message{at: time.Since(c.v.start), conn: c.number}
		if json.Unmarshal(raw, &m) != nil {
			c.v.t.Errorf("not JSON: %s", raw)
		}
		c.v.handle(c, m)
	}
}

// handle takes a message and answers it after the delay.
func (v *venue) handle(c *venueConn, m message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages = append(v.messages, m)
	if m.Type == "pong" {
		return
	}
	v.open++
	v.mostOpen = max(v.mostOpen, v.open)
	answer := func(b []byte) {
		time.AfterFunc(v.delay, func() {
			v.mu.Lock()
			v.open--
			v.mu.Unlock()
			select {
			case <-c.closed:
			default:
				c.send(b)
			}
		})
	}
	if v.refuse != nil {
		if code, text, ok := v.refuse(c.number, m); ok {
			answer(lighter.AppendErrorFrame(nil, code, text))
			return
		}
	}
	if v.silent != nil && v.silent(m) {
		v.open--
		return
	}
	colon := strings.Replace(m.Channel, "/", ":", 1)
	switch {
	case m.Type == "unsubscribe" && !c.held[colon]:
		answer(lighter.AppendErrorFrame(nil, 30002, "Not Subscribed to : "+colon))
	case m.Type == "unsubscribe":
		delete(c.held, colon)
		answer(lighter.AppendUnsubscribedFrame(nil, colon))
	case c.held[colon]:
		answer(lighter.AppendErrorFrame(nil, 30003, "Already Subscribed to : "+colon))
	default:
		c.held[colon] = true
		answer(v.first(colon))
	}
}

func (v *venue) first(channel string) []byte {
	family, arg, _ := strings.Cut(channel, ":")
	var native int64
	_, _ = fmt.Sscan(arg, &native)
	m := market(native, 0)
	switch family {
	case "height":
		return lighter.AppendHeightFrame(nil, 7, 0, true)
	case "market_stats", "spot_market_stats":
		return []byte(`{"channel":"` + channel + `","` + family + `":{},"type":"subscribed/` + family + `"}`)
	case "account_all":
		return []byte(`{"account":` + arg + `,"channel":"` + channel + `","positions":{"1":{"market_id":1,"sign":-1,"position":"2"}},"trades":{},"type":"subscribed/account_all"}`)
	case "trade":
		return lighter.AppendTradeFrame(nil, &m, &model.TradeBatch{History: true})
	}
	v.nonce++
	return lighter.AppendBookFrame(nil, &m, 0, &model.BookUpdate{Snapshot: true, Seq: v.nonce, Offset: 1, Chained: true, Bids: []model.Level{{Price: 100, Size: 1}}}, 0)
}

// update sends a book update to whoever holds the book.
func (v *venue) update(native int64, prev, seq uint64) {
	m := market(native, 0)
	frame := lighter.AppendBookFrame(nil, &m, 0, &model.BookUpdate{Prev: prev, Seq: seq, Chained: true, Bids: []model.Level{{Price: 100, Size: 2}}}, 0)
	v.broadcast(fmt.Sprintf("order_book:%d", native), frame)
}

func (v *venue) broadcast(channel string, frame []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.conns {
		select {
		case <-c.closed:
		default:
			if c.held[channel] {
				c.send(frame)
			}
		}
	}
}

// beat sends the height twice a second until ctx ends.
func (v *venue) beat(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for h := uint64(8); ; h++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			v.broadcast("height", lighter.AppendHeightFrame(nil, h, 0, false))
		}
	}
}

// latest returns the newest connection.
func (v *venue) latest() *venueConn {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.conns[len(v.conns)-1]
}

// asked returns what was sent, as "subscribe order_book/0".
func (v *venue) asked() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []string
	for _, m := range v.messages {
		list = append(list, m.Type+" "+m.Channel)
	}
	return list
}

func (v *venue) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages = nil
}

// sink keeps events.
type sink struct {
	mu     sync.Mutex
	events []model.Event
	told   map[model.AccountID]int // updates of accounts
	hook   func(model.Event)
}

func (s *sink) Deliver(ctx context.Context, e model.Event) error {
	s.mu.Lock()
	s.events = append(s.events, e)
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook(e)
	}
	return ctx.Err()
}

func (s *sink) onEvent(hook func(model.Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

func (s *sink) account(u *model.AccountUpdate, recv model.Micros) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told = map[model.AccountID]int{}
	}
	if u.Whole && recv > 0 && len(u.Positions) == 1 && u.Positions[0].Market == 1 && u.Positions[0].Size < 0 {
		s.told[u.Account]++
	}
}

// gaps returns the gaps as "order_book 3 stale", and forgets all events.
func (s *sink) gaps() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, e := range s.events {
		if g, ok := e.Payload.(*model.Gap); ok {
			list = append(list, fmt.Sprintf("%v %d %v", g.Kind, e.Market, g.Cause))
			if g.To != 0 || g.From == 0 || g.From > e.Recv {
				list = append(list, fmt.Sprintf("bad times %+v received %d", g, e.Recv))
			}
		}
	}
	s.events = nil
	slices.Sort(list)
	return list
}

func market(native int64, volume int64) model.Market {
	return model.Market{ID: model.MarketID(native), Native: native, Symbol: fmt.Sprint("M", native), PriceScale: 2, SizeScale: 2,
		Scales: []model.Scale{{Price: 2, Size: 2}}, Active: true, DailyQuoteVolume: numUSD(volume)}
}

type anyMarket struct{}

func (anyMarket) Market(native int64) (*model.Market, bool) {
	m := market(native, 0)
	return &m, true
}
func (anyMarket) Observe(int64, string, uint8, uint8) (*model.Market, bool) { return nil, false }

// run starts a supervisor against a venue in a bubble with its own clock.
func run(t *testing.T, limits feed.Limits, markets []model.Market, test func(t *testing.T, v *venue, s *feed.Supervisor, out *sink)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		v, out := newVenue(t), &sink{}
		s := feed.New(feed.Options{
			Venue: "test", StreamURL: "ws://venue.test/stream", UserAgent: "hyperlight/test",
			Dialect: lighter.Dialect{Resolver: anyMarket{}, Accounts: true}, Accounts: out.account, Limits: limits, Sink: out, Now: time.Now, Dial: v.dial,
			Jitter: func() float64 { return 1 },
		})
		s.SetMarkets(markets)
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		go v.beat(ctx)
		test(t, v, s, out)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, c := range v.conns {
			c.close()
		}
	})
}
