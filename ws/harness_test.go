package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"hyperlight/engine/access"
	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func TestMain(m *testing.M) {
	// The metrics library keeps one goroutine per summary window for the life of the process, fasthttp one for its date;
	// the cleaner of its workers ends some seconds after the server.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// Of its client, which asks the simulated venue for its markets: three more of that kind.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*Client).mCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"))
}

// testMarkets are the markets 0 to 9.
type testMarkets struct{}

var testMarketList = func() []*model.Market {
	var ms []*model.Market
	for i := range 10 {
		ms = append(ms, &model.Market{ID: model.MarketID(i), Native: int64(i), Symbol: fmt.Sprint("M", i), Active: true,
			PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}})
	}
	return ms
}()

func (testMarkets) All() []*model.Market { return testMarketList }

func (testMarkets) Get(id model.MarketID) (*model.Market, bool) {
	if int(id) < len(testMarketList) {
		return testMarketList[id], true
	}
	return nil, false
}

func (t testMarkets) ByNative(_ uint8, native int64) (*model.Market, bool) {
	return t.Get(model.MarketID(min(max(native, 0), 1<<20)))
}

// testPlans are shared by all callers, as package access does it.
var testPlans = access.DefaultPlans()

// testAccess knows the keys hlt_<plan>; local names the plan of callers without a key.
type testAccess struct{ local string }

func (a testAccess) Authenticate(r access.Request) (*access.Principal, error) {
	key, shown := r.Credential()
	if key == "hlt_expired" {
		return nil, &model.Error{Code: model.CodeForbidden, Message: "API key expired"}
	}
	slug := strings.TrimPrefix(key, "hlt_")
	if !shown {
		slug = a.local
	}
	for i := range testPlans {
		if p := &testPlans[i]; p.Slug == slug {
			return &access.Principal{Plan: p, Account: slug, Local: !shown}, nil
		}
	}
	return nil, &model.Error{Code: model.CodeUnauthorized, Message: "missing or invalid API key"}
}

func (testAccess) Recheck(p *access.Principal, _ netip.Addr) (*access.Principal, error) {
	return p, nil
}
func (testAccess) Changed() <-chan struct{}                          { return nil }
func (testAccess) Spend(*access.Principal, int64, model.Millis) bool { return true }
func (testAccess) TakeIP(netip.Addr, access.IPClass, model.Millis) access.Decision {
	return access.Decision{OK: true}
}

func (testAccess) Plans() []*access.Plan {
	var out []*access.Plan
	for i := range testPlans {
		out = append(out, &testPlans[i])
	}
	return out
}

// harness is a server on loopback.
type harness struct {
	t    testing.TB
	s    *Server
	addr string
}

func serve(t testing.TB, o Options) *harness {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, o)
}

func serveOn(t testing.TB, ln net.Listener, o Options) *harness {
	t.Helper()
	if o.Markets == nil {
		o.Markets = testMarkets{}
	}
	if o.Access == nil {
		o.Access = testAccess{local: "enterprise"}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	// The buffer is as large as that of package http's server: each upgraded connection keeps its own.
	srv := &fasthttp.Server{ReadBufferSize: 16 << 10, Handler: func(ctx *fasthttp.RequestCtx) {
		switch string(ctx.Path()) {
		case pathReplay:
			s.Replay(ctx)
		case pathPast:
			s.Past(ctx)
		case pathStream:
			s.Stream(ctx)
		default:
			s.WS(ctx)
		}
	}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(ln)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close server: %v", err)
		}
		srv.ShutdownWithContext(ctx)
		ln.Close() // a test may end before Serve has begun, which Shutdown then knows nothing of
		<-served
	})
	return &harness{t: t, s: s, addr: ln.Addr().String()}
}

// client is a test's side of a socket.
type client struct {
	t    testing.TB
	conn *websocket.Conn
}

func (h *harness) dial(path string, header http.Header) *client {
	h.t.Helper()
	d := websocket.Dialer{HandshakeTimeout: time.Minute}
	conn, resp, err := d.Dial("ws://"+h.addr+path, header)
	if err != nil {
		h.t.Fatalf("dial %s: %v (%v)", path, err, resp)
	}
	h.t.Cleanup(func() { conn.Close() })
	return &client{h.t, conn}
}

// local dials as the local caller and takes the authenticated message.
func (h *harness) local(path string) *client {
	h.t.Helper()
	c := h.dial(path, nil)
	c.expect("authenticated")
	return c
}

func (c *client) say(format string, args ...any) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// frame is any server message.
type frame struct {
	Type       string
	Code       string
	Message    string
	Channel    string
	Tier       string
	Epoch      string
	Seq        uint64
	Recovered  *bool
	Snapshot   bool
	Reason     string
	From, To   int64
	Trade      json.RawMessage
	OrderBook  bookJSON `json:"order_book"`
	Data       json.RawMessage
	EventType  string `json:"event_type"`
	Initial    bool
	Resync     bool
	TS         int64
	ReplayTS   int64           `json:"replay_ts"`
	Sent       uint64          `json:"events_sent"`
	Total      *uint64         `json:"events_total"`
	Speed      json.RawMessage `json:"speed"`
	MaxSubs    int             `json:"max_subscriptions"`
	MaxDays    *int            `json:"max_replay_window_days"`
	MaxReplays *int            `json:"max_concurrent_replays"`
	Age        *int64          `json:"upstream_age_ms"`
	Timestamp  int64
	raw        string
}

type bookJSON struct {
	Asks, Bids    []levelJSON
	Nonce, Offset uint64
	BeginNonce    uint64 `json:"begin_nonce"`
	Code          *int
}

type levelJSON struct{ Price, Size string }

// next reads one message; err is what the socket says at its end.
func (c *client) next() (frame, error) {
	c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	_, b, err := c.conn.ReadMessage()
	if err != nil {
		return frame{}, err
	}
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		return frame{}, fmt.Errorf("frame %q: %w", b, err)
	}
	f.raw = string(b)
	return f, nil
}

func (c *client) read() frame {
	c.t.Helper()
	f, err := c.next()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return f
}

func (c *client) expect(kind string) frame {
	c.t.Helper()
	f := c.read()
	if f.Type != kind {
		c.t.Fatalf("got %s, want a message of type %s", f.raw, kind)
	}
	return f
}

func (c *client) expectError(code string) frame {
	c.t.Helper()
	f := c.expect("error")
	if f.Code != code || f.Message == "" {
		c.t.Fatalf("got %s, want error %s", f.raw, code)
	}
	return f
}

// expectClose skips what is still sent and checks the close code.
func (c *client) expectClose(code closeCode) {
	c.t.Helper()
	for {
		_, err := c.next()
		if err == nil {
			continue
		}
		var e *websocket.CloseError
		if !errors.As(err, &e) || e.Code != int(code) {
			c.t.Fatalf("the socket ended with %v, want close %d", err, code)
		}
		return
	}
}

// maker makes the events of one market's book and publishes them as its shard would.
type maker struct {
	hub     *Hub
	market  model.MarketID
	mu      sync.Mutex
	book    *book.Book
	seq     uint64
	states  map[uint64]string // the book as text by nonce
	chained bool              // with nonces, as the venue has them today
	trade   uint64
}

func newMaker(hub *Hub, m model.MarketID) *maker {
	return &maker{hub: hub, market: m, book: book.New(), states: map[uint64]string{}}
}

func recvNow() model.Micros { return model.Micros(time.Now().UnixMicro()) }

func (k *maker) event(p model.Payload, v *book.View) {
	k.hub.OnEvent(&model.Event{Market: k.market, Recv: recvNow(), Payload: p}, v)
}

func (k *maker) snapshot(levels ...model.Level) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seq += 100
	u := &model.BookUpdate{Snapshot: true, Seq: k.seq, Offset: k.seq, Bids: levels, Asks: []model.Level{{Price: 1_000_000, Size: 10_000}}}
	k.apply(u)
}

func (k *maker) update(levels ...model.Level) {
	k.mu.Lock()
	defer k.mu.Unlock()
	u := &model.BookUpdate{Prev: k.seq, Seq: k.seq + 3, Offset: k.seq, Bids: levels}
	k.seq += 3
	k.apply(u)
}

func (k *maker) apply(u *model.BookUpdate) {
	u.Chained = k.chained
	if err := k.book.Apply(u, 0, 0); err != nil {
		panic(err)
	}
	v := k.book.View()
	k.states[k.seq] = viewText(v)
	k.event(u, v)
}

// hole opens and closes a gap, and resynchronises.
func (k *maker) hole(levels ...model.Level) {
	k.event(&model.Gap{Kind: model.KindBook, From: 5_000_000, Cause: model.CauseNonce}, nil)
	k.event(&model.Gap{Kind: model.KindBook, From: 5_000_000, To: 7_000_000, Cause: model.CauseNonce}, nil)
	k.snapshot(levels...)
}

func (k *maker) trades(n int, b model.TradeBatch) {
	b.Rows = slices.Grow(b.Rows, n)
	for range n {
		k.trade++
		b.Rows = append(b.Rows, model.Trade{ID: k.trade, Time: 1700000000123, Price: 320050, Size: 25000, USD: 8001250000,
			MakerAsk: true, AskAccount: 42, BidAccount: 99, AskOrder: 281476000000001, BidOrder: 281476000000002, TxHash: "ab", Block: 7})
	}
	k.event(&b, nil)
}

func (k *maker) state(seq uint64) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.states[seq]
}

func viewText(v *book.View) string {
	var b bytes.Buffer
	for _, s := range []model.Side{model.Bid, model.Ask} {
		for l := range v.Levels(s, 0) {
			fmt.Fprintf(&b, "%s@%s ", num.Append(nil, int64(l.Size), 4), num.Append(nil, int64(l.Price), 2))
		}
		b.WriteString("| ")
	}
	return b.String()
}
