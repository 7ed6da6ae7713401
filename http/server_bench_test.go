package http

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"hyperlight/bench"
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

// load asks one path over 16 connections for a while, like any client would, and returns how many answers came.
func load(b *testing.B, conns []net.Conn, span time.Duration, headers string) (requests int64, cpu time.Duration) {
	b.Helper()
	request := []byte("GET /api/v1/orderbook/0 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: bench\r\n" + headers + "\r\n")
	var done atomic.Int64
	var all sync.WaitGroup
	before, until := cpuTime(b), time.Now().Add(span)
	for _, conn := range conns {
		all.Go(func() {
			r := bufio.NewReaderSize(conn, writeBuffer)
			for n := int64(1); ; n++ {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				if err := bench.SkipAnswer(r); err != nil {
					b.Error(err)
					return
				}
				if n%16 == 0 && time.Now().After(until) {
					done.Add(n)
					return
				}
			}
		})
	}
	all.Wait()
	return done.Load(), cpuTime(b) - before
}

// compare lets both servers work in turns of 50 ms, so that whatever else the machine does hits both alike, and reports
// the requests per second of each and their ratio.
func compare(b *testing.B, bare, ours func() (net.Conn, error), headers string) {
	b.Helper()
	open := func(dial func() (net.Conn, error)) (conns []net.Conn) {
		for range 16 {
			c, err := dial()
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
			conns = append(conns, c)
		}
		return conns
	}
	conns := [2][]net.Conn{open(bare), open(ours)}
	var requests [2]int64
	var cpu, wall [2]time.Duration
	for b.Loop() {
		for i := range conns {
			start := time.Now()
			n, c := load(b, conns[i], 50*time.Millisecond, headers)
			requests[i] += n
			cpu[i] += c
			wall[i] += time.Since(start)
		}
	}
	var rate [2]float64
	for i, name := range []string{"bare-", ""} {
		rate[i] = float64(requests[i]) / wall[i].Seconds()
		b.ReportMetric(rate[i], name+"req/s")
		b.ReportMetric(float64(cpu[i])/float64(requests[i]), name+"cpu-ns/req")
	}
	b.ReportMetric(rate[1]/rate[0], "ratio")
	b.ReportMetric(float64(cpu[0])/float64(requests[0])/(float64(cpu[1])/float64(requests[1])), "cpu-ratio")
}

// cpuTime is what this process has used so far. On a machine with other work it says more than the clock on the wall.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
	bare := bareServer(same)
	tcp := func(serve func(net.Listener) error) (func() (net.Conn, error), net.Listener) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = serve(ln) }()
		return func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }, ln
	}
	oursTCP, oursLn := tcp(f.http.Serve)
	_ = oursLn // closed by the fixture's shutdown
	bareTCP, bareLn := tcp(bare.Serve)
	defer bareLn.Close()
	memory := fasthttputil.NewInmemoryListener()
	go func() { _ = bare.Serve(memory) }()
	defer memory.Close()
	direct := fasthttputil.NewInmemoryListener()
	go func() { _ = f.http.Serve(peerListener{direct, loopback}) }()
	b.Run("loopback", func(b *testing.B) { compare(b, bareTCP, oursTCP, "") })
	b.Run("memory", func(b *testing.B) { compare(b, memory.Dial, direct.Dial, "") })
}

// bareServer sends the same bytes to everybody, with the settings of ours.
func bareServer(body []byte) *fasthttp.Server {
	return &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.SetContentType(contentJSON)
		ctx.Response.SetBodyRaw(body)
	}, ReadBufferSize: maxHead, WriteBufferSize: writeBuffer, NoDefaultServerHeader: true, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout}
}

// BenchmarkHandler is the work of one request without any connection.
func BenchmarkHandler(b *testing.B) {
	f := newFixture(b, testOptions{edit: func(o *Options) { o.Now, o.AccessLog = time.Now, io.Discard }})
	f.bigBook()
	var req fasthttp.Request
	req.SetRequestURI("/api/v1/orderbook/0")
	req.Header.SetHost("localhost:8080")
	var ctx fasthttp.RequestCtx
	ctx.Init(&req, loopback, nil)
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		ctx.Response.Reset()
		f.serve(&ctx, f.mux)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
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
		dst = (&bookAnswer{view: v, market: m, depth: defaultDepth, attribution: true, whale: defaultWhale}).append(dst[:0])
	}
	b.SetBytes(int64(len(dst)))
}
