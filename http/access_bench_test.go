package http

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"hyperlight/config"
	"hyperlight/engine/access"
)

// benchAccounts is a server as in production, and a key of a plan with a window. Its clock runs a thousand times as fast
// as the one on the wall, so that some hundred thousand requests a second fill a window as some hundred would.
func benchAccounts(b *testing.B) (a *accounts, key string) {
	began := time.Now()
	now := func() time.Time { return began.Add(time.Since(began) * 1000) }
	plan := config.DefaultPlans()[3]
	plan.Slug, plan.RequestsPerMinute, plan.CreditsPerMonth = "bench", 1_000_000, 1_000_000_000_000
	a = newAccounts(b, accountsOptions{plans: append(config.DefaultPlans(), plan), testOptions: testOptions{edit: func(o *Options) {
		o.Now, o.AccessLog, o.Logger = now, io.Discard, slog.New(slog.DiscardHandler)
	}}})
	a.bigBook()
	_, key = a.user(b, "a@example.com", "bench")
	return a, key
}

// free answers a request as serve does, but asks nobody who calls, counts nothing and tells nothing of it.
func (a *accounts) free(caller *access.Principal) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		s := a.Server
		c := s.calls.Get().(*call)
		c.begin(ctx)
		c.mux = s.mux
		s.metrics.inFlight.Add(1)
		defer func() {
			c.principal = nil // nothing to settle
			s.finish(c)
		}()
		if err := c.head.read(&ctx.Request.Header); err != nil {
			panic(err)
		}
		c.identify()
		c.client = clientIP(c.client, c.head.forwardedFor, *s.trusted.Load())
		c.commonHeaders()
		c.route, _ = s.match(c)
		c.principal = caller
		if err := c.envelope(); err != nil {
			c.fail(err)
		}
		c.compress()
	}
}

// BenchmarkAccess is the share of a request that goes to authentication, window, credits and usage, and to the headers
// that tell of them: the same request for a current book, against the server with and without them. cpu-ratio is the CPU
// time without over that with.
func BenchmarkAccess(b *testing.B) {
	counted, key := benchAccounts(b)
	uncounted, freeKey := benchAccounts(b)
	caller, err := uncounted.rules.Authenticate(access.Request{APIKey: freeKey})
	if err != nil {
		b.Fatal(err)
	}
	free := uncounted.newHTTP(uncounted.free(caller))
	b.Cleanup(func() {
		if err := free.Shutdown(); err != nil {
			b.Error(err)
		}
	})
	handlers := map[string]fasthttp.RequestHandler{"free": free.Handler, "counted": func(ctx *fasthttp.RequestCtx) { counted.serve(ctx, counted.mux) }}
	for name, handler := range handlers {
		b.Run("handler/"+name, func(b *testing.B) {
			var req fasthttp.Request
			text := "GET " + bookPath + " HTTP/1.1\r\nHost: localhost:8080\r\nX-Api-Key: " + key + "\r\n\r\n"
			if err := req.Read(bufio.NewReader(strings.NewReader(text))); err != nil {
				b.Fatal(err)
			}
			var ctx fasthttp.RequestCtx
			ctx.Init(&req, loopback, nil)
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				handler(&ctx)
			}
			if ctx.Response.StatusCode() != 200 {
				b.Fatal(ctx.Response.StatusCode())
			}
		})
	}
	credential := "X-Api-Key: " + key + "\r\n"
	tcp := func(s *fasthttp.Server) func() (net.Conn, error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = s.Serve(ln) }()
		return func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
	}
	memory := func(s *fasthttp.Server) func() (net.Conn, error) {
		ln := fasthttputil.NewInmemoryListener()
		go func() { _ = s.Serve(peerListener{ln, loopback}) }()
		return ln.Dial
	}
	b.Run("loopback", func(b *testing.B) { compare(b, tcp(free), tcp(counted.http), credential) })
	b.Run("memory", func(b *testing.B) { compare(b, memory(free), memory(counted.http), credential) })
	same := counted.do(b, "GET", "/api/v1/orderbook/0", "X-Api-Key", key).Body
	bare := bareServer(same)
	b.Cleanup(func() {
		if err := bare.Shutdown(); err != nil {
			b.Error(err)
		}
	})
	b.Run("bare", func(b *testing.B) { compare(b, tcp(bare), tcp(counted.http), credential) })
}

// BenchmarkRateHeaders is what telling the window and the credits costs.
func BenchmarkRateHeaders(b *testing.B) {
	f := newFixture(b, testOptions{})
	var ctx fasthttp.RequestCtx
	c := &call{server: f.Server, ctx: &ctx, start: time.Now(), credits: access.Credits{Cost: 1, Used: 123_456, Limit: 750_000}}
	d := access.Decision{OK: true, Limit: 300, Remaining: 299, Reset: c.nowMillis() + 60_000}
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Header.Reset()
		c.rateHeaders(&d)
		c.creditHeaders()
	}
}
