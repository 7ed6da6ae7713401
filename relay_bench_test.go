package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/bench"
	"hyperlight/engine/sim"
)

// relayBench is a venue and a server in front of it, both on loopback ports of this process. The venue has traded and
// stands still: what runs beside the calls is the same in every turn. A bare reverse proxy stands beside the server.
type relayBench struct {
	exchange           *sim.Exchange
	venue, proxy, base string
	key                string
}

func newRelayBench(b *testing.B) *relayBench {
	b.Helper()
	x := sim.New(sim.Options{Seed: 11, Markets: 100, Accounts: 300, Rate: 10_000, Start: time.Now().Add(-time.Minute)})
	x.AdvanceBy(time.Minute)
	x.Pause()
	v := startVenue(b, x, sim.ServeOptions{Limits: sim.Limits{MessagesPerMinute: -1, RESTPerMinute: -1}})
	cfg := applianceConfig(b.TempDir(), v)
	cfg.Access.DefaultTier = "enterprise" // a window would end the run
	cfg.Venues.Lighter.RESTBudgetPerMinute, cfg.Venues.Lighter.AccountBudgetPerMinute = 1_000_000, 1_000_000
	a := startAppliance(b, cfg)
	a.waitSynced(100)
	r := &relayBench{exchange: x, venue: v.rest, base: a.base, proxy: bareProxy(b, v.rest), key: a.register("bench@example.com")}
	x.Resume()
	time.Sleep(2 * time.Second) // some trades come live: those before are read from the store
	x.Pause()
	return r
}

// bareProxy passes requests on and answers back, and looks at neither.
func bareProxy(b *testing.B, venue string) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	client := &fasthttp.HostClient{Addr: strings.TrimPrefix(venue, "http://")}
	s := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
		if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
			ctx.SetStatusCode(fasthttp.StatusBadGateway)
		}
	}}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	b.Cleanup(func() {
		ln.Close()
		if err := <-ended; err != nil {
			b.Errorf("proxy: %v", err)
		}
		client.CloseIdleConnections()
	})
	return "http://" + ln.Addr().String()
}

// waitFor asks until the answer comes from where it should.
func (r *relayBench) waitFor(b *testing.B, target, origin string) {
	b.Helper()
	got := ""
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if got = r.origin(b, target); got == origin {
			return
		}
	}
	b.Fatalf("%s comes as %s, not as %s", target, got, origin)
}

// clients returns clients of one question: of the venue or the proxy, and of the server.
func (r *relayBench) clients(b *testing.B, n int, bareBase, method, target, body string) (bare, ours []*bench.Client) {
	b.Helper()
	open := func(base, credential string) []*bench.Client {
		host := strings.TrimPrefix(base, "http://")
		question := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\n" + credential
		if body != "" {
			question += fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(body))
		}
		dial := func() (net.Conn, error) { return net.Dial("tcp", host) }
		return bench.Clients(b, n, dial, question+"\r\n"+body)
	}
	return open(bareBase, ""), open(r.base, "X-Api-Key: "+r.key+"\r\n")
}

// origin asks once and returns X-Cache.
func (r *relayBench) origin(b *testing.B, target string) string {
	b.Helper()
	resp, err := http.Get(r.base + target)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		b.Fatal(err)
	}
	return resp.Header.Get("X-Cache")
}

// localTargets are calls that the server answers from what it holds.
var localTargets = []string{
	"/api/v1/orderBooks", "/api/v1/orderBookDetails", "/api/v1/orderBookDetails?market_id=1", "/api/v1/exchangeStats",
	"/api/v1/currentHeight", "/api/v1/recentTrades?market_id=0&limit=20",
}

// BenchmarkRelay compares native calls through the server, by a caller with a key, with the same calls made to the venue
// itself: one after the other by one client, and by 16 clients at a time. The simulated venue answers in some
// microseconds: what stands here is what the server takes or spares, without any network.
func BenchmarkRelay(b *testing.B) {
	r := newRelayBench(b)
	const tx = "tx_type=14&tx_info=%7B%22AccountIndex%22%3A1%2C%22ApiKeyIndex%22%3A2%2C%22Sig%22%3A%22abcdef%22%7D"
	one := func(name, bareBase, method, target, body string) {
		b.Run(name, func(b *testing.B) {
			bare, ours := r.clients(b, 1, bareBase, method, target, body)
			bench.CompareLatency(b, bare[0], ours[0])
		})
	}
	many := func(name, bareBase, method, target, body string) {
		b.Run(name, func(b *testing.B) {
			bare, ours := r.clients(b, 16, bareBase, method, target, body)
			turn := func(clients []*bench.Client) func() int {
				return func() int { return bench.Load(b, clients, 25*time.Millisecond) }
			}
			bench.Compare(b, "req", turn(bare), turn(ours))
		})
	}
	for _, c := range []struct{ name, method, target, body, origin string }{
		{"get", "GET", "/api/v1/nextNonce?account_index=1&api_key_index=2", "", "MISS"}, // never kept
		{"hit", "GET", "/api/v1/systemConfig", "", "HIT"},
		{"sendTx", "POST", "/api/v1/sendTx", tx, ""},
	} {
		if c.origin != "" {
			r.waitFor(b, c.target, c.origin)
		}
		one(c.name+"/one", r.venue, c.method, c.target, c.body)
		many(c.name+"/many", r.venue, c.method, c.target, c.body)
		if c.origin != "HIT" {
			one(c.name+"/proxy/one", r.proxy, c.method, c.target, c.body)
			many(c.name+"/proxy/many", r.proxy, c.method, c.target, c.body)
		}
	}
	for _, target := range localTargets {
		r.exchange.Resume() // what stands still for long is asked of the venue again
		r.waitFor(b, target, "LOCAL")
		r.exchange.Pause()
		name := strings.NewReplacer("?", "/", "=", "-", "&", "/").Replace(strings.TrimPrefix(target, "/api/v1/"))
		one("local/"+name, r.venue, "GET", target, "")
	}
}
