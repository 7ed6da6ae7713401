package http

import (
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// bigBook gives the fixture's first market a book of 1,000 levels a side.
func (f *fixture) bigBook() {
	var bids, asks []model.Level
	for i := range num.Price(1000) {
		bids = append(bids, model.Level{Price: 319_950 - i, Size: num.Size(10_000 + i*37)})
		asks = append(asks, model.Level{Price: 320_000 + i, Size: num.Size(10_000 + i*41)})
	}
	f.engine.set(0, book.NewView(book.Meta{Seq: 999999, Time: testNow, Recv: testNow.Micros(), Chained: true}, bids, asks))
}

// load asks one path over many connections from this process, like any client would, and reports requests per second.
func load(b *testing.B, dial func() (net.Conn, error)) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(16)
	request := []byte("GET /api/v1/orderbook/0 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n\r\n")
	b.RunParallel(func(pb *testing.PB) {
		conn, err := dial()
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		r := newReader(conn)
		var resp fasthttp.Response
		for pb.Next() {
			if _, err := conn.Write(request); err != nil {
				b.Error(err)
				return
			}
			if err := resp.ReadLimitBody(r, 1<<20); err != nil || resp.StatusCode() != 200 {
				b.Errorf("got %d %v", resp.StatusCode(), err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkCurrentBook compares /orderbook/{m} with a bare fasthttp handler that sends the same bytes, in the same run,
// over real loopback connections and over in-memory ones. The access log is written as in production.
func BenchmarkCurrentBook(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	f := newFixture(b, testOptions{edit: func(o *Options) {
		o.Now, o.AccessLog, o.Logger = time.Now, null, slog.New(slog.NewJSONHandler(io.Discard, nil))
	}})
	f.bigBook()
	same := f.do(b, "GET", "/api/v1/orderbook/0").Body
	bare := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.SetContentType(contentJSON)
		ctx.Response.SetBodyRaw(same)
	}, ReadBufferSize: maxHead, WriteBufferSize: writeBuffer, NoDefaultServerHeader: true, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout}
	tcp := func(serve func(net.Listener) error) (func() (net.Conn, error), net.Listener) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = serve(ln) }()
		return func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }, ln
	}
	oursTCP, oursLn := tcp(f.http.Serve)
	defer oursLn.Close()
	bareTCP, bareLn := tcp(bare.Serve)
	defer bareLn.Close()
	memory := fasthttputil.NewInmemoryListener()
	go func() { _ = bare.Serve(memory) }()
	defer memory.Close()
	for _, round := range []string{"1", "2", "3"} {
		b.Run("loopback/bare/"+round, func(b *testing.B) { load(b, bareTCP) })
		b.Run("loopback/ours/"+round, func(b *testing.B) { load(b, oursTCP) })
		b.Run("memory/bare/"+round, func(b *testing.B) { load(b, memory.Dial) })
		b.Run("memory/ours/"+round, func(b *testing.B) { load(b, f.ln.Dial) })
	}
}

// BenchmarkHandler is the work of one request without any connection.
func BenchmarkHandler(b *testing.B) {
	f := newFixture(b, testOptions{edit: func(o *Options) { o.Now, o.AccessLog = time.Now, io.Discard }})
	f.bigBook()
	var req fasthttp.Request
	req.SetRequestURI("http://localhost/api/v1/orderbook/0")
	req.Header.SetHost("localhost")
	var ctx fasthttp.RequestCtx
	ctx.Init(&req, loopback, nil)
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		f.serve(&ctx)
	}
	if ctx.Response.StatusCode() != 200 {
		b.Fatal(ctx.Response.StatusCode())
	}
}

// BenchmarkEncodeBook is what the first request after an update pays.
func BenchmarkEncodeBook(b *testing.B) {
	f := newFixture(b, testOptions{})
	f.bigBook()
	m, v := f.engine.markets[0], f.engine.views[0]
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = appendBook(dst[:0], m, v, defaultDepth, true, f.whale)
	}
	b.SetBytes(int64(len(dst)))
}
