package http

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/feed"
	"hyperlight/engine/relay"
)

// venueServer is a venue on loopback that notes every request as it came: head and body.
type venueServer struct {
	url string

	mu     sync.Mutex
	answer func(ctx *fasthttp.RequestCtx)
	heard  []string
}

func newVenueServer(t testing.TB) *venueServer {
	t.Helper()
	v := &venueServer{answer: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json; charset=utf-8")
		fmt.Fprintf(ctx, `{"code":200,"target":%q}`, ctx.RequestURI())
	}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v.url = "http://" + ln.Addr().String()
	s := &fasthttp.Server{NoDefaultContentType: true, Handler: func(ctx *fasthttp.RequestCtx) {
		v.mu.Lock()
		v.heard = append(v.heard, string(ctx.Request.Header.Header())+string(ctx.Request.Body()))
		answer := v.answer
		v.mu.Unlock()
		answer(ctx)
	}}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Shutdown(); <-done })
	return v
}

// answers changes what the venue says from now on.
func (v *venueServer) answers(f func(ctx *fasthttp.RequestCtx)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = f
}

func (v *venueServer) calls() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.heard...)
}

func (v *venueServer) last() string {
	calls := v.calls()
	if len(calls) == 0 {
		return ""
	}
	return calls[len(calls)-1]
}

// withVenue adds a relay in front of a venue to a server's options.
func withVenue(t testing.TB, v *venueServer, o relay.Options) func(*Options) {
	t.Helper()
	o.BaseURL, o.UserAgent = v.url, "hyperlight/test"
	// fasthttp's own dialer leaves a goroutine running for good.
	o.Dial = func(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, time.Second) }
	r, err := relay.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return func(s *Options) { s.Relay, s.AllowAnonymous = r, true }
}

// Checklist 196: status, body and content type come back unchanged, HEAD has the headers of GET, and X-Cache tells where
// an answer came from.
func TestNativeUnchanged(t *testing.T) {
	v := newVenueServer(t)
	at := time.Unix(1_700_000_000, 0)
	f := newFixture(t, testOptions{edit: withVenue(t, v, relay.Options{Now: func() time.Time { return at }})})
	if r := f.do(t, "GET", "/api/v1/orderBooks?market_id=1"); r.Status != 200 || r.Header["X-Cache"] != "MISS" ||
		string(r.Body) != `{"code":200,"target":"/api/v1/orderBooks?market_id=1"}` || r.Header["Content-Type"] != "application/json; charset=utf-8" {
		t.Errorf("got %d %v %s", r.Status, r.Header, r.Body)
	}
	for _, method := range []string{"GET", "HEAD"} {
		r := f.do(t, method, "/api/v1/orderBooks?market_id=1")
		if r.Status != 200 || r.Header["X-Cache"] != "HIT" || r.Header["Content-Length"] != "54" || r.Header["Content-Type"] != "application/json; charset=utf-8" {
			t.Errorf("%s: got %d %v", method, r.Status, r.Header)
		}
	}
	if n := len(v.calls()); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	for _, c := range []struct {
		status    int
		typ, body string
	}{
		{400, "application/json", `{"code":21100,"message":"account not found "}`}, {403, "text/html", "<html>\r\n403</html>"},
		{429, "application/json", `{"code":23000,"message":"Too Many Requests!"}`}, {502, "text/html", "bad gateway"},
		{200, "application/json", ""}, {418, "x/y; z=\"w\"", "\x00\xff"}, {200, "application/json", `{"a":"` + strings.Repeat("b", 4000) + `"}`},
	} {
		v.answers(func(ctx *fasthttp.RequestCtx) {
			ctx.SetStatusCode(c.status)
			if c.typ != "" {
				ctx.SetContentType(c.typ)
			}
			ctx.Response.Header.Set("Set-Cookie", "a=b")
			ctx.Response.Header.Set("X-Venue", "c")
			ctx.SetBodyString(c.body)
		})
		for _, method := range []string{"GET", "POST"} {
			r := f.send(t, method, "/api/v1/nextNonce?a=1", "", "Accept-Encoding", "identity")
			if r.Status != c.status || r.Header["Content-Type"] != c.typ || string(r.Body) != c.body || r.Header["X-Cache"] != "MISS" {
				t.Errorf("%s: got %d %v %q, want %v", method, r.Status, r.Header, r.Body, c)
			}
			if r.Header["Set-Cookie"] != "" || r.Header["X-Venue"] != "" || r.Header["X-Request-Id"] == "" || r.Header["X-Credits-Cost"] == "" {
				t.Errorf("%s: headers %v", method, r.Header)
			}
		}
	}
	v.answers(func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("untyped") })
	conn, err := f.ln.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /api/v1/nextNonce HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(raw), "\r\n\r\nuntyped") || strings.Contains(string(raw), "\r\nContent-Type:") {
		t.Errorf("%v, %q", err, raw)
	}
	v.answers(func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(strings.Repeat("b", 4008)) })
	// What is compressed on the way to the client is the same once decoded.
	r := f.do(t, "GET", "/api/v1/nextNonce?a=1", "Accept-Encoding", "gzip")
	g, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(g); err != nil || len(body) != 4008 || r.Header["Content-Encoding"] != "gzip" {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

// Checklist 199 and 200: whatever form a credential of ours has, it does not leave, and it decides; the venue's own does
// leave, and is nobody to us.
func TestNativeCredentials(t *testing.T) {
	v := newVenueServer(t)
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none", edit: withVenue(t, v, relay.Options{})}})
	_, key := a.user(t, "bot@example.com", "growth")
	_, token := a.member(t, "member@example.com", "growth", "")
	const native = "1777000000:123:4:ABCdef0123"
	for _, c := range []struct {
		name, query string
		headers     []string
		status      int
		limit       string // of the window it counts in
		leaves      string
	}{
		{name: "nobody", status: 200, limit: "30"},
		{name: "key", headers: []string{"X-Api-Key", key}, status: 200, limit: "3000"},
		{name: "key as bearer", headers: []string{"Authorization", "Bearer " + key}, status: 200, limit: "3000"},
		{name: "key in the query", query: "?api_key=" + key, status: 200, limit: "3000"},
		{name: "key in the query, escaped", query: "?x=1&%61pi%5fkey=" + key, status: 200, limit: "3000", leaves: "?x=1"},
		{name: "token", headers: []string{"Authorization", "Bearer " + token}, status: 200, limit: "3000"},
		{name: "wrong key", headers: []string{"X-Api-Key", "hlt_" + strings.Repeat("0", 48)}, status: 401},
		{name: "wrong key in the query", query: "?api_key=x", status: 401},
		{name: "wrong token", headers: []string{"Authorization", "Bearer eyJ.x.y"}, status: 401},
		{name: "native", headers: []string{"Authorization", native}, status: 200, limit: "30", leaves: "Authorization: " + native},
		{name: "native as bearer", headers: []string{"Authorization", "Bearer " + native}, status: 200, limit: "30", leaves: "Authorization: Bearer " + native},
		{name: "native in the query", query: "?auth=" + native, status: 200, limit: "30", leaves: "?auth=" + native},
		{name: "both", headers: []string{"X-Api-Key", key, "Authorization", native}, status: 200, limit: "3000", leaves: "Authorization: " + native},
		{name: "both, key in the query", headers: []string{"Authorization", native}, query: "?api_key=" + key, status: 200, limit: "3000", leaves: native},
		{name: "key where the native token belongs", query: "?auth=" + key, status: 200, limit: "30"},
		{name: "bare key", headers: []string{"Authorization", key}, status: 401},
	} {
		for _, method := range []string{"GET", "POST"} {
			before := len(v.calls())
			headers := append([]string{"Cookie", "secret=1", "X-Forwarded-For", "203.0.113.7", "Referer", "https://x.example", "X-Other", "1"}, c.headers...)
			r := a.do(t, method, "/api/v1/nextNonce"+c.query, headers...)
			if r.Status != c.status || c.limit != "" && r.Header["X-Ratelimit-Limit"] != c.limit {
				t.Errorf("%s, %s: got %d, limit %q, want %d and %q: %s", c.name, method, r.Status, r.Header["X-Ratelimit-Limit"], c.status, c.limit, r.Body)
			}
			if sent := len(v.calls()) - before; sent != map[bool]int{true: 1}[c.status == 200] {
				t.Errorf("%s, %s: %d calls", c.name, method, sent)
			}
			if cost, metered := r.Header["X-Credits-Cost"], c.limit == "3000"; metered != (cost == "1") {
				t.Errorf("%s, %s: costs %q", c.name, method, cost)
			}
			if c.status == 200 && !strings.Contains(v.last(), c.leaves) {
				t.Errorf("%s, %s: %q has no %q", c.name, method, v.last(), c.leaves)
			}
		}
	}
	for _, h := range v.calls() {
		for _, secret := range []string{key, key[4:], token, "hlt_", "api_key", "Cookie", "Forwarded", "203.0.113.7", "Referer", "X-Other", "Request-Id"} {
			if strings.Contains(h, secret) {
				t.Errorf("%q left in %q", secret, h)
			}
		}
	}
}

// Checklist 200: 30 a minute per address without a key, and a switch.
func TestNativeAnonymous(t *testing.T) {
	v := newVenueServer(t)
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none", edit: withVenue(t, v, relay.Options{})}})
	for i := range 31 {
		r := a.do(t, "GET", fmt.Sprintf("/api/v1/account?by=index&value=%d", i))
		if want := map[bool]int{true: 200, false: 429}[i < 30]; r.Status != want {
			t.Errorf("call %d: got %d, want %d", i, r.Status, want)
		}
	}
	a.advance(time.Minute)
	if r := a.do(t, "GET", "/api/v1/candles?market_id=0&count_back=1"); r.Status != 200 {
		t.Errorf("a minute later: %d", r.Status)
	}
	edit := withVenue(t, v, relay.Options{})
	closed := newFixture(t, testOptions{plan: "none", edit: func(o *Options) { edit(o); o.AllowAnonymous = false }})
	before := len(v.calls())
	for _, path := range []string{"/", "/info", "/api/v1/account", "/api/v1/candles?count_back=1", "/api/v1/account?auth=1:2:3:4"} {
		if r := closed.do(t, "GET", path); r.Status != 401 {
			t.Errorf("%s: got %d, want 401", path, r.Status)
		}
	}
	if n := len(v.calls()) - before; n != 0 {
		t.Errorf("%d calls left", n)
	}
}

// What was routed and let in is what is forwarded: targets that two programs read differently go nowhere.
func TestNativeTargets(t *testing.T) {
	v := newVenueServer(t)
	f := newFixture(t, testOptions{edit: withVenue(t, v, relay.Options{})})
	for _, target := range []string{
		"/api/v1/x/../account", "/api/v1/x/..", "/api/v1/../../admin", "/api/v1/%2e%2e/admin", "/api/v1/.%2e/%2e./admin", "/api/v1/a%2fb",
		"/api/v1/..%2f..%2fadmin", "/api/v1/%252e%252e/x", "/api/v1/a%5c..%5cb", "/api/v1//account", "//api/v1/account", "/./info", "/x/../info",
		"/api/v1/account;x=1", "/api/v1/..;/x", "/api/v1/a%00", "/api/v1/a%0d%0ax", "/api/v1/a%3fb", "/api/v1/a%23b", "/api/v1/a%zz",
		"http://evil.example/api/v1/account", "http://localhost/api/v1/account", "/%61pi/v1/account",
		"/api/v1/account?a#b", "/api/v1/account#b", "/api/v1/%61ccounts/x/..%2faccount", "/api/v1/signals/../account", "/api/v1/keys%2f..%2faccount",
		"/api/v1/accounts/x", "/api/v1/%61ccounts/x", "/api/v1/keys/x/y/z", "/api/v1/auth/sendTx", "/elsewhere", "/api/v2/account", "/infos",
	} {
		status, rest := f.raw(t, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if status < 400 || status > 404 {
			t.Errorf("%s: got %d %s", target, status, rest)
		}
	}
	for _, raw := range []string{
		"GET /api/v1/account HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nfat",
		"OPTIONS /api/v1/account HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"TRACE /api/v1/account HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /api/v1/sendTx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /api/v1/sendTx HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
	} {
		if status, rest := f.raw(t, raw); status < 400 || status > 405 {
			t.Errorf("%q: got %d %s", raw, status, rest)
		}
	}
	if n := len(v.calls()); n != 0 {
		t.Errorf("%d left: %q", n, v.calls())
	}
	for _, target := range []string{"/", "/info", "/?x=1", "/api/v1/account?x=a/../b", "/api/v1/account?x=http://evil.example/", "/api/v1/a%20b", "/api/v1/account?%2e%2e", "/api/v1/deposit/history/"} {
		if status, rest := f.raw(t, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); status != 200 || !strings.HasPrefix(v.last(), "GET "+target+" HTTP/1.1\r\n") {
			t.Errorf("%s: got %d %s, left as %q", target, status, rest, v.last())
		}
	}
	body := "tx_type=14&tx_info=" + strings.Repeat("%7B", 5000) + "\x00\xff"
	chunked := fmt.Sprintf("POST /api/v1/sendTx HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	if status, rest := f.raw(t, chunked); status != 200 || !strings.HasSuffix(v.last(), "\r\n\r\n"+body) || !strings.Contains(v.last(), fmt.Sprintf("Content-Length: %d\r\n", len(body))) {
		t.Errorf("a chunked body: got %d %s, left as %.300q", status, rest, v.last())
	}
}

// Checklist 201: without the venue a native call is upstream_error, and what is kept is served.
func TestNativeWithoutVenue(t *testing.T) {
	v := newVenueServer(t)
	at := time.Unix(1_700_000_000, 0)
	budget := feed.NewBudget(2, func() time.Time { return at })
	f := newFixture(t, testOptions{edit: withVenue(t, v, relay.Options{Now: func() time.Time { return at }, Timeout: 3 * time.Second, Budget: budget})})
	f.do(t, "GET", "/api/v1/orderBooks")
	release := make(chan struct{})
	defer close(release)
	v.answers(func(*fasthttp.RequestCtx) { <-release })
	for _, want := range []string{"lighter did not answer in time", "the budget of calls to lighter is spent"} {
		status, e := f.get(t, "/api/v1/account?by=index&value=1")
		if message, _ := e.Data["message"].(string); status != 502 || e.Data["code"] != "upstream_error" || !strings.Contains(message, want) || e.Meta.RequestID == "" {
			t.Errorf("got %d %v, want %q", status, e, want)
		}
	}
	if r := f.do(t, "GET", "/api/v1/orderBooks"); r.Status != 200 || r.Header["X-Cache"] != "HIT" {
		t.Errorf("got %d %v", r.Status, r.Header)
	}
}

// Contract 1.5: a 429 says how long to wait, in seconds and at least 1. Of a native call only the venue knows: its word is
// passed on where it is such a number, and on no other status.
func TestNativeRetryAfter(t *testing.T) {
	v := newVenueServer(t)
	f := newFixture(t, testOptions{edit: withVenue(t, v, relay.Options{})})
	for _, c := range []struct {
		status     int
		sent, want string
	}{
		{429, "7", "7"}, {429, "007", "7"}, {429, "0", "1"}, {429, "", ""}, {429, "-1", ""}, {429, "soon", ""},
		{429, "Sun, 22 Nov 2026 10:00:00 GMT", ""}, {429, "99999999999999999999", ""}, {503, "7", ""}, {200, "7", ""},
	} {
		v.answers(func(ctx *fasthttp.RequestCtx) {
			ctx.SetStatusCode(c.status)
			if c.sent != "" {
				ctx.Response.Header.Set("Retry-After", c.sent)
			}
			ctx.SetBodyString(`{"code":23000,"message":"Too Many Requests!"}`)
		})
		for _, method := range []string{"GET", "POST"} {
			if r := f.send(t, method, "/api/v1/nextNonce", ""); r.Status != c.status || r.Header["Retry-After"] != c.want {
				t.Errorf("%s: %d with %q is passed on as %d with %q", method, c.status, c.sent, r.Status, r.Header["Retry-After"])
			}
		}
	}
}
