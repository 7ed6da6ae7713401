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

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// open is the same server without anything to look up or to count: everybody is one caller without limits.
type open struct {
	Authenticator
	caller *access.Principal
}

func (o open) Authenticate(access.Request) (*access.Principal, error) { return o.caller, nil }

func (o open) Take(_ *access.Principal, now model.Millis) access.Decision {
	return access.Decision{OK: true, Limit: 30_000, Remaining: 29_999, Reset: now + 60_000}
}

func (o open) Reserve(*access.Principal, int64, model.Millis) (access.Credits, error) {
	return access.Credits{Cost: 1, Used: 1, Limit: access.Unlimited}, nil
}

func (o open) Settle(*access.Principal, access.Use, model.Millis) {}

// benchAccounts is a server as in production, and a key that is never refused.
func benchAccounts(b *testing.B) (a *accounts, key string) {
	a = newAccounts(b, accountsOptions{testOptions: testOptions{edit: func(o *Options) {
		o.Now, o.AccessLog, o.Logger = time.Now, io.Discard, slog.New(slog.DiscardHandler)
	}}})
	a.bigBook()
	_, key = a.user(b, "a@example.com", "enterprise")
	return a, key
}

// BenchmarkAccess is the share of a request that goes to authentication, window, credits and usage: the same request for a
// current book, against the server with and without them. cpu-ratio is the CPU time without over that with.
func BenchmarkAccess(b *testing.B) {
	counted, key := benchAccounts(b)
	free, freeKey := benchAccounts(b)
	caller, err := free.rules.Authenticate(access.Request{APIKey: freeKey})
	if err != nil {
		b.Fatal(err)
	}
	free.access = open{free.rules, caller}
	for name, a := range map[string]*accounts{"counted": counted, "free": free} {
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
				a.serve(&ctx, a.mux)
			}
			if ctx.Response.StatusCode() != 200 {
				b.Fatal(ctx.Response.StatusCode())
			}
		})
	}
	dial := func(a *accounts) func() (net.Conn, error) {
		ln := fasthttputil.NewInmemoryListener()
		go func() { _ = a.http.Serve(peerListener{ln, loopback}) }()
		return ln.Dial
	}
	b.Run("memory", func(b *testing.B) { compare(b, dial(free), dial(counted), "X-Api-Key: "+key+"\r\n") })
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
