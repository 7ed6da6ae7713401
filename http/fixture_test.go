package http

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"hyperlight/engine/access"
	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// testNow is the moment at which every test runs: 2024-02-01T00:00:00Z, a Thursday.
const testNow = model.Millis(1706745600000)

const testRequestID = "550e8400-e29b-41d4-a716-446655440000"

func newMarket(id model.MarketID, symbol string, price, size uint8) *model.Market {
	return &model.Market{ID: id, Native: int64(id), Symbol: symbol, Type: "perp", Active: true, PriceScale: price, SizeScale: size,
		Scales: []model.Scale{{Price: price, Size: size}}}
}

// levels makes levels of (price, size) texts at 2 and 4 decimals.
func levels(texts ...string) []model.Level {
	var out []model.Level
	for i := 0; i < len(texts); i += 2 {
		p, perr := num.Parse([]byte(texts[i]), 2)
		s, serr := num.Parse([]byte(texts[i+1]), 4)
		if perr != nil || serr != nil {
			panic("bad level in a test")
		}
		out = append(out, model.Level{Price: num.Price(p), Size: num.Size(s)})
	}
	return out
}

// trade makes an ETH or BTC trade.
func trade(id uint64, at model.Millis, price, size string, takerBuys bool) model.Trade {
	l := levels(price, size)[0]
	usd, err := num.MulUSD(l.Price, 2, l.Size, 4)
	if err != nil {
		panic(err)
	}
	return model.Trade{ID: id, Time: at, Recv: at.Micros() + 250, MakerAsk: takerBuys, Price: l.Price, Size: l.Size, USD: usd,
		AskOrder: 281476000000001 + id, BidOrder: 281476000000002 + id, AskAccount: 42, BidAccount: 99, Block: 2204468, TxHash: "18906abc"}
}

// fixture is a server on an in-memory listener, with everything that it was made of.
type fixture struct {
	*Server
	engine  *fakeEngine
	history *fakeHistory
	logs    *syncBuffer
	ln      *fasthttputil.InmemoryListener
	client  *fasthttp.HostClient
	health  Health
	status  Status
	clock   func() time.Time
}

// syncBuffer is a buffer that a server may write while a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// peerListener gives every connection the address of a peer.
type peerListener struct {
	net.Listener
	peer net.Addr
}

type peerConn struct {
	net.Conn
	peer net.Addr
}

func (c peerConn) RemoteAddr() net.Addr { return c.peer }

func (l peerListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &peerConn{c, l.peer}, nil
}

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}

// testOptions changes how a fixture's server is made.
type testOptions struct {
	plan string // local plan; "" means enterprise, "none" nobody
	peer net.Addr
	edit func(*Options)
}

func newFixture(t testing.TB, o testOptions) *fixture {
	t.Helper()
	f := &fixture{engine: &fakeEngine{views: map[model.MarketID]*book.View{}},
		history: &fakeHistory{books: map[model.MarketID][]history.Snapshot{}, rows: map[model.MarketID][]record.BookRow{}, held: map[model.MarketID][]history.Interval{}},
		logs:    &syncBuffer{}, ln: fasthttputil.NewInmemoryListener(),
		health: Health{Status: "ok", Version: "0.1.0", UptimeSeconds: 86400, Storage: "ok", LighterAPI: "ok"},
		status: Status{Status: "ok", REST: "ok", WebSocket: "ok", NetworkID: 1, LighterTimestamp: 1706745599000, LastMessageAt: 1706745599900,
			CheckedAt: testNow, BlockHeight: 2204468, LatencyMS: 84, ActiveMarkets: 2, Subscribed: 2, Wanted: 2, Synced: 2,
			Accounts: &AccountStatus{Known: 81_250, WithPositions: 9400, Stale: 120, Unpolled: 7, OldestPoll: testNow - 300_000, CountedAt: testNow - 4000, Queued: 35, Waited: 2}},
		clock: func() time.Time { return time.UnixMilli(int64(testNow)) }}
	f.fill()
	switch o.plan {
	case "":
		o.plan = "enterprise"
	case "none":
		o.plan = ""
	}
	rules, err := access.New(access.Options{LocalPlan: o.plan})
	if err != nil {
		t.Fatal(err)
	}
	socket := func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusSwitchingProtocols) }
	opts := Options{Engine: f.engine, History: f.history, Access: rules, Health: func() Health { return f.health },
		Status: func() Status { return f.status }, WebSocket: map[string]fasthttp.RequestHandler{"/ws": socket, "/ws/replay": socket, "/stream": socket, "/replay/stream": socket},
		FundingRates: testFunding, Exchange: &testExchange{}, CursorKey: []byte("a key for tests only, 32 bytes.."), Now: func() time.Time { return f.clock() },
		Logger: slog.New(slog.NewJSONHandler(f.logs, nil))}
	opts.Accounts = readOnlyAccounts(t).options(f.history)
	opts.Lake = newFakeLake().options(t, opts.Now)
	opts.Past = func(at model.Micros) Past { return fakePast{f.history, at} }
	if o.edit != nil {
		o.edit(&opts)
	}
	if f.Server, err = New(opts); err != nil {
		t.Fatal(err)
	}
	if o.peer == nil {
		o.peer = loopback
	}
	served := make(chan error, 1)
	go func() { served <- f.Serve(peerListener{f.ln, o.peer}) }()
	f.client = &fasthttp.HostClient{Addr: "localhost", Dial: func(string) (net.Conn, error) { return f.ln.Dial() }, DisablePathNormalizing: true}
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

// fill gives the fixture two markets, a book each, ten seconds of snapshots and a few trades.
func (f *fixture) fill() {
	f.engine.markets = testMarkets()
	view := func(seq uint64, at model.Millis) *book.View {
		return book.NewView(book.Meta{Seq: seq, Time: at, Recv: at.Micros() + 500, Chained: true},
			levels("3199.50", "45.5", "3198.00", "1.25", "3190.00", "10"), levels("3200.00", "18.2", "3201.25", "2", "3215.00", "0.5"))
	}
	f.engine.views[0] = view(999999, testNow-40)
	f.engine.views[1] = book.NewView(book.Meta{Seq: 7, Time: testNow - 90, Chained: true}, nil, levels("43000.00", "1"))
	for s := testNow - 10_000; s < testNow; s += 1000 {
		f.history.books[0] = append(f.history.books[0], history.Snapshot{At: s, View: view(uint64(s/1000), s-60)})
	}
	for i := range model.Micros(5) {
		f.history.rows[0] = append(f.history.rows[0], record.BookRow{Recv: (testNow - 50_000).Micros() + i*i*100_000})
	}
	f.history.stats = []history.StatsRow{{Time: testNow - 30_000}, {Time: testNow - 20_000}, {Time: testNow - 10_000}}
	f.history.add(0,
		trade(12341, testNow-200_000, "3198.00", "0.5", false),
		trade(12342, testNow-150_000, "3199.00", "40", true),
		trade(12343, testNow-100_000, "3200.00", "2.5", true),
		trade(12344, testNow-100_000, "3199.50", "0.1", false),
		trade(12345, testNow-30_000, "3200.50", "2.5", true))
	f.history.add(1, trade(12343, testNow-100_000, "43000.00", "0.1", true))
	f.history.fillMarkets()
	f.history.fillSnapshots()
	f.history.held[0] = []history.Interval{{From: (testNow - 200_000).Micros(), To: (testNow - 120_000).Micros()}, {From: (testNow - 110_000).Micros(), To: testNow.Micros()}}
	f.history.held[1] = []history.Interval{{From: (testNow - 150_000).Micros(), To: testNow.Micros()}}
	f.history.gaps = []history.GapRow{
		{Market: 0, Gap: model.Gap{Kind: model.KindBook, From: (testNow - 120_000).Micros(), To: (testNow - 110_000).Micros(), Cause: model.CauseDisconnect}},
		{Market: 1, Gap: model.Gap{Kind: model.KindTrades, From: (testNow - 120_000).Micros(), To: (testNow - 100_000).Micros(), Cause: model.CauseNonce, Filled: true}},
		{Market: 0, Gap: model.Gap{Kind: model.KindTrades, From: (testNow - 5000).Micros(), Cause: model.CauseStale}},
	}
}

// tester is what the helpers need of a test; a property's test is one too.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// reply is an answer as a test looks at it.
type reply struct {
	Status int
	Header map[string]string
	Body   []byte
}

// do sends a request; headers come in pairs.
func (f *fixture) do(t tester, method, path string, headers ...string) reply {
	t.Helper()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://localhost" + path)
	req.Header.SetMethod(method)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		req.UseHostHeader = req.UseHostHeader || headers[i] == "Host"
	}
	resp.SkipBody = method == "HEAD"
	if err := f.client.DoTimeout(req, resp, time.Minute); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return newReply(resp)
}

// get sends a GET and decodes the envelope.
func (f *fixture) get(t tester, path string, headers ...string) (int, envelope) {
	t.Helper()
	r := f.do(t, "GET", path, headers...)
	return r.Status, r.envelope(t)
}

// envelope decodes the body.
func (r reply) envelope(t tester) (e envelope) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(r.Body))
	d.UseNumber()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%v in %s", err, r.Body)
	}
	return e
}

// envelope is every enveloped answer.
type envelope struct {
	Success bool           `json:"success"`
	Data    map[string]any `json:"data"`
	Meta    struct {
		RequestID  string       `json:"request_id"`
		Timestamp  int64        `json:"timestamp"`
		Total      *json.Number `json:"total"`
		Limit      *int         `json:"limit"`
		Offset     *int         `json:"offset"`
		NextCursor string       `json:"next_cursor"`
	} `json:"meta"`
	Error any `json:"error"`
}

// list returns a member of data that is a list of objects.
func (e envelope) list(name string) []map[string]any {
	var out []map[string]any
	rows, _ := e.Data[name].([]any)
	for _, r := range rows {
		out = append(out, r.(map[string]any))
	}
	return out
}

// column returns one member of every row.
func (e envelope) column(list, member string) []string {
	var out []string
	for _, r := range e.list(list) {
		b, _ := json.Marshal(r[member])
		out = append(out, string(bytes.Trim(b, `"`)))
	}
	return out
}

// raw sends bytes on a connection of its own and returns what comes back until it ends or goes quiet.
func (f *fixture) raw(t testing.TB, request string) (status int, rest string) {
	t.Helper()
	conn, err := f.ln.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = conn.Write([]byte(request)) }()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var resp fasthttp.Response
	r := bufio.NewReader(conn)
	if err := resp.Read(r); err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	closed := "open"
	if resp.ConnectionClose() {
		closed = "close"
	}
	return resp.StatusCode(), closed + " " + string(resp.Body())
}

// rawHead sends bytes on a connection of its own and returns the head of the answer.
func (f *fixture) rawHead(t testing.TB, request string) string {
	t.Helper()
	conn, err := f.ln.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = conn.Write([]byte(request)) }()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var head bytes.Buffer
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		if head.WriteString(line); line == "\r\n" {
			return head.String()
		}
	}
}

func newReader(c net.Conn) *bufio.Reader { return bufio.NewReader(c) }
