package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	venuefeed "hyperlight/engine/feed"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/sim"
)

// lighterNative is the venue's form as the server is given it.
func lighterNative() Native {
	return Native{
		Book: lighter.AppendBookFrame, Trades: lighter.AppendTradeFrame, Stats: lighter.AppendMarketStatsFrame,
		AllStats: lighter.AppendMarketStatsAllFrame, Height: lighter.AppendHeightFrame, Connected: lighter.AppendConnectedFrame,
		Unsubscribed: lighter.AppendUnsubscribedFrame, Error: lighter.AppendErrorFrame, Pong: lighter.AppendPongFrame,
	}
}

// venueRig is a simulated venue, the feed that follows it, and the server that serves it on.
type venueRig struct {
	*harness
	venue    string // address of the venue
	registry *market.Registry
	feeds    atomic.Int64 // connections of the feed so far
	privates atomic.Int64 // connections of clients so far
	stop     context.CancelFunc
}

// followVenue starts all three. edit may change the server's options.
func followVenue(t testing.TB, edit func(*Options)) *venueRig {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &venueRig{venue: ln.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	var parts sync.WaitGroup
	t.Cleanup(func() { stop(); parts.Wait() })
	exchange := sim.New(sim.Options{Seed: 3, Markets: 4, Accounts: 200, Rate: 2000})
	parts.Go(func() {
		if err := sim.Serve(ctx, ln, exchange, sim.ServeOptions{}); err != nil {
			t.Errorf("venue: %v", err)
		}
	})
	r.registry = market.NewRegistry(market.Options{Shards: 2, Now: time.Now})
	rest := lighter.NewREST(lighter.RESTOptions{BaseURL: "http://" + r.venue, Budget: venuefeed.NewBudget(1000, time.Now), Now: time.Now, Timeout: time.Minute})
	t.Cleanup(rest.Close)
	list, err := rest.Markets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.registry.Upsert(list); err != nil {
		t.Fatal(err)
	}
	count := func(n *atomic.Int64) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			n.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	}
	o := Options{Markets: r.registry, Native: lighterNative(), AllowAnonymous: true,
		Upstream: Upstream{URL: "ws://" + r.venue + "/stream", Dial: count(&r.privates)}}
	if edit != nil {
		edit(&o)
	}
	r.harness = serve(t, o)
	r.registry.Listen(r.s.Hub())
	supervisor := venuefeed.New(venuefeed.Options{Venue: "ws-test", StreamURL: "ws://" + r.venue + "/stream", Sink: r.registry,
		Dialect: &lighter.Dialect{Resolver: r.registry.Resolver(0, false)}, Dial: count(&r.feeds), Now: time.Now})
	var wanted []model.Market
	for _, m := range r.registry.All() {
		if m.Native != 3 { // one that is not followed
			wanted = append(wanted, *m)
		}
	}
	supervisor.SetMarkets(wanted)
	parts.Go(func() { _ = r.registry.Run(ctx) })
	parts.Go(func() { _ = supervisor.Run(ctx) })
	r.eventually("markets 0 to 2 are held", func() bool {
		for i := range 3 {
			m, _ := r.registry.Get(model.MarketID(i))
			for _, c := range r.s.hub.feed(m).native {
				if !c.ready() {
					return false
				}
			}
		}
		return r.s.hub.height.ready() && r.s.hub.allStats.ready()
	})
	return r
}

// ready asks the channel as a subscriber would.
func (c *nativeChannel) ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.available()
}

// eventually waits for what takes an unknown time.
func (h *harness) eventually(what string, ok func() bool) {
	h.t.Helper()
	for until := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			h.t.Fatalf("not so within a minute: %s", what)
		}
	}
}

// nativeClient is a client of the venue's protocol. It keeps every frame.
type nativeClient struct {
	t    testing.TB
	conn *websocket.Conn

	mu     sync.Mutex
	frames []nativeFrame
	more   chan struct{}
	err    error
}

type nativeFrame struct {
	Channel string
	Type    string
	Session string `json:"session_id"`
	Nonce   uint64
	Book    struct {
		Nonce uint64
		Begin uint64 `json:"begin_nonce"`
	} `json:"order_book"`
	Error *struct {
		Code    int
		Message string
	}
	raw string
}

// data tells a frame of a channel from an answer.
func (f *nativeFrame) data() bool { return strings.Contains(f.Type, "/") }

func dialNative(t testing.TB, address string) *nativeClient { return dialHeader(t, address, nil) }

func dialHeader(t testing.TB, address string, header http.Header) *nativeClient {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: time.Minute}
	conn, resp, err := d.Dial("ws://"+address, header)
	if err != nil {
		t.Fatalf("dial %s: %v (%v)", address, err, resp)
	}
	c := &nativeClient{t: t, conn: conn, more: make(chan struct{}, 1)}
	var reader sync.WaitGroup
	reader.Go(c.read)
	t.Cleanup(func() { conn.Close(); reader.Wait() })
	if f := c.await(func(f *nativeFrame) bool { return true }); f.Type != "connected" || f.Session == "" {
		t.Fatalf("greeting %s", f.raw)
	}
	return c
}

func (c *nativeClient) read() {
	for {
		_, b, err := c.conn.ReadMessage()
		f := nativeFrame{raw: string(b)}
		if err == nil {
			err = json.Unmarshal(withoutLevels(b), &f)
		}
		c.mu.Lock()
		if err != nil {
			c.err = err
		} else {
			c.frames = append(c.frames, f)
		}
		c.mu.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (c *nativeClient) say(format string, args ...any) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// await waits for the first frame kept so far or coming that is wanted.
func (c *nativeClient) await(wanted func(*nativeFrame) bool) nativeFrame {
	c.t.Helper()
	for i, until := 0, time.After(time.Minute); ; {
		c.mu.Lock()
		for ; i < len(c.frames); i++ {
			if wanted(&c.frames[i]) {
				f := c.frames[i]
				c.mu.Unlock()
				return f
			}
		}
		err := c.err
		c.mu.Unlock()
		if err != nil {
			c.t.Fatalf("socket ended: %v", err)
		}
		select {
		case <-c.more:
		case <-until:
			c.t.Fatal("the frame did not come within a minute")
		}
	}
}

// ended waits for the end of the socket and returns the close code and reason.
func (c *nativeClient) ended() (int, string) {
	c.t.Helper()
	for until := time.After(time.Minute); ; {
		c.mu.Lock()
		err := c.err
		c.mu.Unlock()
		if closed, ok := err.(*websocket.CloseError); ok {
			return closed.Code, closed.Text
		}
		if err != nil {
			c.t.Fatalf("socket ended with %v, want a close frame", err)
		}
		select {
		case <-c.more:
		case <-until:
			c.t.Fatal("the socket did not end within a minute")
		}
	}
}

// kept returns the frames so far that are wanted.
func (c *nativeClient) kept(wanted func(*nativeFrame) bool) (out []nativeFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.frames {
		if wanted(&c.frames[i]) {
			out = append(out, c.frames[i])
		}
	}
	return out
}

// answers asks one thing after the other and returns what is no data.
func (c *nativeClient) answers(script []string) (out []string) {
	c.t.Helper()
	answer := func(f *nativeFrame) bool { return !f.data() && f.Type != "connected" }
	for _, message := range script {
		before := len(c.kept(answer))
		c.say("%s", message)
		n := 0
		c.await(func(f *nativeFrame) bool {
			if answer(f) {
				n++
			}
			return n > before
		})
		out = append(out, c.kept(answer)[before].raw)
	}
	return out
}

func ofChannel(channel string) func(*nativeFrame) bool {
	return func(f *nativeFrame) bool { return f.data() && f.Channel == channel }
}

// forget drops the frames kept so far.
func (c *nativeClient) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = nil
}

// withoutLevels cuts the levels out of a book frame: a hundred clients would spend their time with parsing them.
func withoutLevels(b []byte) []byte {
	from, to := bytes.Index(b, []byte(`"asks":[`)), bytes.LastIndex(b, []byte(`],"offset":`))
	if from < 0 || to < from {
		return b
	}
	return append(append(bytes.Clone(b[:from]), `"levels":[`...), b[to:]...)
}
