package relay

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// benchVenue is a server quick enough to show what the relay adds.
func benchVenue(b *testing.B, body string) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType(jsonText)
		ctx.SetBodyString(body)
	}}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	b.Cleanup(func() { _ = s.Shutdown(); <-done })
	return "http://" + ln.Addr().String()
}

var benchBody = `{"code":200,"x":"` + strings.Repeat("y", 8<<10) + `"}`

// BenchmarkBareClient is what a program pays that calls the venue itself.
func BenchmarkBareClient(b *testing.B) {
	url := benchVenue(b, benchBody) + "/api/v1/orderBookDetails?market_id=1"
	c := &fasthttp.Client{}
	b.ReportAllocs()
	for b.Loop() {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		req.SetRequestURI(url)
		if err := c.DoTimeout(req, resp, time.Second); err != nil || len(resp.Body()) != len(benchBody) {
			b.Fatal(err)
		}
		fasthttp.ReleaseRequest(req)
		fasthttp.ReleaseResponse(resp)
	}
}

// BenchmarkForward is the same call through the relay, never kept.
func BenchmarkForward(b *testing.B) {
	r := newTestRelay(b, Options{BaseURL: benchVenue(b, benchBody)})
	q := get("/api/v1/orderBookDetails?market_id=1")
	q.Authorization = []byte("1777000000:1:2:abcdef")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Do(context.Background(), q); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMiss is a shared call whose answer is not kept.
func BenchmarkMiss(b *testing.B) {
	r := newTestRelay(b, Options{BaseURL: benchVenue(b, benchBody), CacheBytes: -1})
	q := get("/api/v1/orderBookDetails?market_id=1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Do(context.Background(), q); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHit is an answer from the cache.
func BenchmarkHit(b *testing.B) {
	r := newTestRelay(b, Options{BaseURL: benchVenue(b, benchBody), Now: newClock().now})
	q := get("/api/v1/orderBookDetails?market_id=1&filter=all")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Do(context.Background(), q); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHitParallel has every core ask for the same.
func BenchmarkHitParallel(b *testing.B) {
	r := newTestRelay(b, Options{BaseURL: benchVenue(b, benchBody), Now: newClock().now})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		q := get("/api/v1/orderBookDetails?market_id=1&filter=all")
		for p.Next() {
			if _, err := r.Do(context.Background(), q); err != nil {
				b.Error(err)
			}
		}
	})
}
