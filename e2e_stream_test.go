package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/sim"
)

// nativeClient is a client of the venue's protocol that believes what the venue promises: a chain of nonces that never
// breaks but by a new first frame, and every trade once.
type nativeClient struct {
	conn   *websocket.Conn
	light  bool // it looks at an update's nonces and remembers its bytes; whole books it reads all the same
	books  map[string]*nativeBook
	trades map[string]bool // "market id", those of the first frames too
	frames map[string]int
	states []bookState
	bytes  map[string]uint64 // "market nonce": digest of the update's frame
	pings  int64             // of the test's goroutine
	pongs  atomic.Int64
	again  int // first frames of books after the first ones
	faults []string
	ready  chan struct{} // closed when every channel has begun
	wanted int
	ending atomic.Bool
	done   chan struct{}
}

type nativeBook struct {
	nonce uint64
	book  clientBook
}

// dialNative connects to a /stream and follows so many markets.
func dialNative(t *testing.T, address string, markets int, light bool) *nativeClient {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	c := &nativeClient{conn: conn, light: light, bytes: map[string]uint64{}, books: map[string]*nativeBook{}, trades: map[string]bool{}, frames: map[string]int{},
		ready: make(chan struct{}), wanted: 2*markets + 2, done: make(chan struct{})}
	if f, raw, err := readFrame(conn, time.Minute); err != nil || f.Type != "connected" {
		t.Fatalf("greeting %s, %v", raw, err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	for m := range markets {
		send(t, conn, fmt.Sprintf(`{"type":"subscribe","channel":"order_book/%d"}`, m))
		send(t, conn, fmt.Sprintf(`{"type":"subscribe","channel":"trade/%d"}`, m))
	}
	send(t, conn, `{"type":"subscribe","channel":"market_stats/all"}`)
	send(t, conn, `{"type":"subscribe","channel":"height"}`)
	go c.run()
	t.Cleanup(c.end)
	return c
}

func (c *nativeClient) end() {
	c.ending.Store(true)
	c.conn.Close()
	<-c.done
}

func (c *nativeClient) fault(format string, args ...any) {
	if len(c.faults) < 5 {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

func (c *nativeClient) run() {
	defer close(c.done)
	begun := map[string]bool{}
	for {
		_, raw, err := c.conn.ReadMessage()
		if err != nil {
			if !c.ending.Load() {
				c.fault("the connection ended: %v", err)
			}
			return
		}
		if c.takeUpdate(raw) && c.light {
			continue
		}
		var f struct {
			frame
			Trades       []recordedTrade `json:"trades"`
			Liquidations []recordedTrade `json:"liquidation_trades"`
		}
		if err := json.Unmarshal(raw, &f); err != nil {
			c.fault("%v in %.100q", err, raw)
			continue
		}
		c.frames[f.Type]++
		family, market, _ := strings.Cut(f.Channel, ":")
		switch f.Type {
		case "subscribed/order_book", "update/order_book":
			c.takeBook(&f.frame, market)
		case "update/trade", "subscribed/trade":
			for _, tr := range append(f.Trades, f.Liquidations...) {
				name := fmt.Sprintf("%s %d", market, tr.TradeID)
				if c.trades[name] && begun[f.Channel] {
					c.fault("trade %s came twice", name)
				}
				c.trades[name] = true
			}
		case "subscribed/market_stats", "update/market_stats", "subscribed/height", "update/height":
		case "pong":
			c.pongs.Add(1)
			continue
		default:
			c.fault("%.200s", raw)
		}
		if strings.HasPrefix(f.Type, "subscribed/") && !begun[f.Channel] {
			if begun[f.Channel] = true; len(begun) == c.wanted {
				close(c.ready)
			}
		} else if !begun[f.Channel] {
			c.fault("%s began with %s", family, f.Type)
		}
	}
}

// takeUpdate notes the bytes of an update of a book, as every client gets the same ones, and follows its chain where
// nothing else does. It returns false for other frames.
func (c *nativeClient) takeUpdate(raw []byte) bool {
	text := string(raw)
	rest, ok := strings.CutPrefix(text, `{"channel":"order_book:`)
	if !ok || !strings.HasSuffix(text, `"type":"update/order_book"}`) {
		return false
	}
	market, _, _ := strings.Cut(rest, `"`)
	nonce, begin := numberBehind(text, `"nonce":`), numberBehind(text, `"begin_nonce":`)
	h := fnv.New64a()
	_, _ = h.Write(raw)
	c.bytes[market+" "+strconv.FormatUint(nonce, 10)] = h.Sum64()
	if !c.light {
		return true
	}
	switch b := c.books[market]; {
	case b == nil:
		c.fault("order_book:%s began with an update", market)
	case b.nonce != begin:
		c.fault("order_book:%s: an update begins at %d, the book is at %d", market, begin, b.nonce)
		b.nonce = nonce
	default:
		b.nonce = nonce
	}
	return true
}

func numberBehind(text, name string) (n uint64) {
	if i := strings.LastIndex(text, name); i >= 0 {
		_, _ = fmt.Sscanf(text[i+len(name):], "%d", &n)
	}
	return n
}

func (c *nativeClient) takeBook(f *frame, market string) {
	b := c.books[market]
	first := strings.HasPrefix(f.Type, "subscribed/")
	switch {
	case b == nil && !first:
		return // told by run
	case b == nil:
		b = &nativeBook{}
		c.books[market] = b
	case first:
		c.again++
	case f.Book.BeginNonce != b.nonce:
		c.fault("%s: an update begins at %d, the book is at %d", f.Channel, f.Book.BeginNonce, b.nonce)
	}
	if first {
		b.book.reset()
	}
	b.book.apply(f.Book.Bids, f.Book.Asks)
	b.nonce = f.Book.Nonce
	c.states = append(c.states, bookState{market + " " + strconv.FormatUint(b.nonce, 10), b.book.digest, fmt.Sprintf("%s %s", f.Type, f.Channel)})
}

// waitReady waits until every channel has begun.
func (c *nativeClient) waitReady(t *testing.T) {
	t.Helper()
	select {
	case <-c.ready:
	case <-c.done:
		t.Fatalf("a native client ended: %v", c.faults)
	case <-time.After(time.Minute):
		t.Fatal("the channels of a native client did not begin in a minute")
	}
}

func (c *nativeClient) ping(t *testing.T) {
	t.Helper()
	c.pings++
	send(t, c.conn, `{"type":"ping"}`)
}

// stayFor lets time pass in which clients say as much as keeps them connected.
func stayFor(t *testing.T, bots []*nativeClient, d time.Duration) {
	t.Helper()
	for ; d > 0; d -= 30 * time.Second {
		time.Sleep(min(d, 30*time.Second))
		for _, c := range bots {
			c.ping(t)
		}
	}
}

// drain waits until a client has read all that was sent to it so far.
func (c *nativeClient) drain(t *testing.T) {
	t.Helper()
	c.ping(t)
	waitFor(t, time.Minute, func() bool { return c.pongs.Load() == c.pings }, func() string { return fmt.Sprintf("a client does not read on: %v", c.faults) })
}

// A hundred native clients cost the venue what one does: no socket and no subscription more. Each of them sees the
// venue's own book at each nonce and every trade once, also while frames are lost and the venue's socket breaks: the
// chain goes on, or begins anew with a first frame, and nobody is disconnected.
func TestHundredNativeClients(t *testing.T) {
	t.Parallel() // it waits
	const markets, clients = 1, 100
	quiet, rough := time.Second, 4*time.Second
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		quiet, rough = 10*time.Second, 3*time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	v := startVenue(t, sim.New(sim.Options{Seed: int64(seed >> 1), Markets: markets, Accounts: 100, Rate: 60}), sim.ServeOptions{
		Limits: sim.Limits{MessagesPerMinute: -1, IdleTimeout: time.Hour}, // the witness only listens
	})
	proxy, err := feedtest.NewProxy(v.stream, v.rest, feedtest.Faults{}, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	witness := watchVenue(t, v, markets)
	g := newGate(t, venue{rest: proxy.RESTURL(), stream: proxy.StreamURL()})
	a := startInFrontOf(t, g.venue, markets, nil)
	address := "ws" + strings.TrimPrefix(a.base, "http") + "/stream"

	nobody := g.seen(nil)
	bots := []*nativeClient{dialNative(t, address, markets, false)}
	bots[0].waitReady(t)
	one := g.seen(nil)
	for n := range clients - 1 {
		bots = append(bots, dialNative(t, address, markets, n >= 4))
	}
	for _, c := range bots {
		c.waitReady(t)
	}
	joined := time.Now()
	time.Sleep(quiet)
	hundred := g.seen(nil)
	t.Logf("upstream before clients %+v, with one %+v, with a hundred %+v", nobody, one, hundred)
	if one.sockets != nobody.sockets || one.subscriptions != nobody.subscriptions ||
		hundred.sockets != nobody.sockets || hundred.subscriptions != nobody.subscriptions || hundred.sent > nobody.sent+5 {
		t.Error("clients cost the venue sockets or subscriptions")
	}

	proxy.SetFaults(feedtest.Faults{Drop: .02, Duplicate: .02, Reorder: .02, Corrupt: .01})
	stayFor(t, bots, rough/2)
	proxy.DisconnectAll()
	stayFor(t, bots, rough/2)
	proxy.SetFaults(feedtest.Faults{})
	a.waitSynced(markets)
	over := time.Now()
	time.Sleep(2 * time.Second) // what was missed is fetched
	for _, c := range bots {
		c.drain(t)
	}
	for _, c := range bots {
		c.end()
	}
	roughly := g.seen(nil)
	faults := 0
	for kind, n := range proxy.Counts() {
		if kind == feedtest.Disconnect {
			n *= 2*markets + 2
		}
		faults += n
	}
	t.Logf("faults %v; upstream afterwards %+v; a client got %v and %d books anew", proxy.Counts(), roughly, bots[0].frames, bots[0].again)
	if n := roughly.subscriptions - hundred.subscriptions; n == 0 || n > faults+20 { // a busy machine may open a socket again
		t.Errorf("%d new subscriptions for %d faults", n, faults)
	}
	checkNative(t, witness, bots, joined, over)
}

// checkNative compares what clients saw with what the venue sent.
func checkNative(t *testing.T, witness *venueWitness, bots []*nativeClient, joined, over time.Time) {
	t.Helper()
	witness.mu.Lock()
	defer witness.mu.Unlock()
	shown := 0
	for i, c := range bots {
		for _, f := range c.faults {
			if shown++; shown < 20 {
				t.Errorf("client %d: %s", i, f)
			}
		}
		compared := 0
		for _, s := range c.states {
			want, ok := witness.digests[s.key]
			if !ok {
				continue
			}
			if compared++; s.digest != want {
				t.Errorf("client %d: %s shows another book than the venue's at nonce %s", i, s.where, s.key)
				break
			}
		}
		same := 0
		for at, digest := range c.bytes {
			want, ok := bots[0].bytes[at]
			if ok && digest != want {
				t.Errorf("client %d: the update to %s has other bytes than that of the first client", i, at)
			}
			if ok {
				same++
			}
		}
		if !c.light && compared < len(c.states)*9/10 || compared < 2 || same < len(c.bytes)*9/10 || same < 20 {
			t.Errorf("client %d: only %d of %d books and %d of %d updates could be compared", i, compared, len(c.states), same, len(c.bytes))
		}
		missing, traded := 0, 0
		for name, at := range witness.trades {
			if at < joined.UnixMilli() || at > over.UnixMilli()-500 {
				continue
			}
			if traded++; !c.trades[name] {
				missing++
			}
		}
		if missing > 0 || traded == 0 {
			t.Errorf("client %d: %d of %d trades did not come", i, missing, traded)
		}
		if c.again == 0 || c.frames["update/market_stats"] == 0 || c.frames["update/height"] == 0 {
			t.Errorf("client %d: %d books anew, frames %v", i, c.again, c.frames)
		}
	}
}

// An unchanged client of other people lives through the loss of the server's upstream socket and sees the venue's books
// before and after.
func TestClientsThroughDisconnect(t *testing.T) {
	needClients(t)
	v := liveVenue(t)
	g := newGate(t, v)
	a := startInFront(t, g.venue, nil)
	direct, through := twoStreamsDuring(t, v.rest, a.base, 4, func() {
		time.Sleep(time.Second)
		g.disconnect()
		a.waitSynced(4)
		time.Sleep(1500 * time.Millisecond)
	})
	meet(t, direct, through)
	if through.Chains.Snapshots <= 3 {
		t.Error("no book began anew: the test proved nothing")
	}
}
