package http

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hyperlight/engine/model"
)

// fasthttp keeps one goroutine for the Date header and one per client for idle connections.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreTopFunction("time.Sleep"), goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// Checklist 1-4.
func TestEnvelopes(t *testing.T) {
	f := newFixture(t, testOptions{})
	status, e := f.get(t, "/api/v1/orderbook/0")
	if status != 200 || !e.Success || e.Data == nil || !uuidForm.MatchString(e.Meta.RequestID) || e.Meta.Timestamp != int64(testNow) {
		t.Errorf("success: got %d %+v", status, e)
	}
	if e.Meta.Limit != nil || e.Meta.Offset != nil || e.Meta.Total != nil {
		t.Error("an answer that is not paged must not have total, limit and offset")
	}
	status, e = f.get(t, "/api/v1/orderbook/77")
	if status != 404 || e.Success || e.Data["code"] != "not_found" || e.Data["message"] != "no such market" || e.Error != nil || e.Meta.RequestID == "" {
		t.Errorf("error: got %d %+v", status, e)
	}
	for _, path := range []string{"/api/v1/orderbook/0", "/health", "/status", "/metrics", "/nothing", "/api/v1/orderbook/x"} {
		r := f.do(t, "GET", path, "X-Request-Id", testRequestID)
		if r.Header["X-Request-Id"] != testRequestID {
			t.Errorf("%s: an incoming UUID must be used again, got %q", path, r.Header["X-Request-Id"])
		}
		if bytes.Contains(r.Body, []byte("request_id")) && !bytes.Contains(r.Body, []byte(testRequestID)) {
			t.Errorf("%s: meta.request_id differs from the header: %s", path, r.Body)
		}
		r = f.do(t, "GET", path, "X-Request-Id", "550e8400-e29b-41d4-a716-44665544000g")
		if !uuidForm.MatchString(r.Header["X-Request-Id"]) {
			t.Errorf("%s: what is no UUID must not be used, got %q", path, r.Header["X-Request-Id"])
		}
		if r.Header["X-Content-Type-Options"] != "nosniff" || r.Header["Cache-Control"] != "no-store" || r.Header["Access-Control-Allow-Origin"] != "*" {
			t.Errorf("%s: a common header is missing: %v", path, r.Header)
		}
		if !strings.HasPrefix(r.Header["Server-Timing"], "app;dur=") {
			t.Errorf("%s: Server-Timing is %q", path, r.Header["Server-Timing"])
		}
	}
}

// Every code has the status of the contract's table, and none is missing.
func TestErrorTable(t *testing.T) {
	want := map[model.Code]int{"unauthorized": 401, "forbidden": 403, "bad_request": 400, "not_found": 404, "rate_limit_exceeded": 429,
		"batch_too_large": 400, "internal_error": 500, "upstream_error": 502, "quota_exceeded": 429, "conflict": 409,
		"method_not_allowed": 405, "payload_too_large": 413, "service_unavailable": 503}
	for code, status := range want {
		if statusOf(code) != status || titles[code] == "" {
			t.Errorf("%s: got %d %q, want %d", code, statusOf(code), titles[code], status)
		}
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(string(code)) {
			t.Errorf("%s is not lower snake case", code)
		}
	}
	if len(statuses) != len(want) {
		t.Errorf("got %d codes, want %d", len(statuses), len(want))
	}
}

func TestInternalErrorsHideTheirText(t *testing.T) {
	f := newFixture(t, testOptions{})
	f.history.err = errors.New("open /var/lib/secret: boom")
	status, e := f.get(t, "/api/v1/trades/by-time")
	if status != 500 || e.Data["code"] != "internal_error" || strings.Contains(fmt.Sprint(e.Data), "boom") {
		t.Errorf("got %d %v", status, e.Data)
	}
	if !strings.Contains(f.logs.String(), "boom") || !strings.Contains(f.logs.String(), e.Meta.RequestID) {
		t.Error("the text belongs into the log, with the request id")
	}
}

func TestPanicIsAnswered(t *testing.T) {
	f := newFixture(t, testOptions{})
	f.Server.routes[0].raw = func(*call) { panic("broken invariant") }
	status, e := f.get(t, "/health")
	if status != 500 || e.Data["code"] != "internal_error" {
		t.Errorf("got %d %v", status, e.Data)
	}
	if status, _ := f.get(t, "/status"); status != 200 {
		t.Error("the server must live on")
	}
	if !strings.Contains(f.logs.String(), "broken invariant") {
		t.Error("a panic must be logged")
	}
}

// Checklist 10 and 9.5: only the public paths work without a credential.
func TestPublicPaths(t *testing.T) {
	for name, f := range map[string]*fixture{
		"no local plan": newFixture(t, testOptions{plan: "none"}),
		"remote peer":   newFixture(t, testOptions{peer: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 1}}),
	} {
		for _, r := range f.routes {
			path := strings.NewReplacer("{market_id}", "0", "{account_id}", "42", "{call}", firstCalls[0]).Replace(r.pattern)
			answer := f.do(t, r.method, path)
			switch r.auth {
			case authNone:
				if answer.Status == 401 {
					t.Errorf("%s: %s must be public", name, path)
				}
			case authData, authUser, authJWT:
				status, e := answer.Status, answer.envelope(t)
				if status != 401 || e.Data["code"] != "unauthorized" || e.Data["message"] != "missing or invalid API key" {
					t.Errorf("%s: %s: got %d %v", name, path, status, e.Data)
				}
			}
		}
	}
}

func TestWhatMakesACallLocal(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/orderbook/0"
	for _, headers := range [][]string{
		{"X-Forwarded-For", "1.2.3.4"}, {"X-Forwarded-Proto", "https"}, {"Forwarded", "for=1.2.3.4"}, {"Via", "1.1 proxy"}, {"X-Real-IP", "1.2.3.4"},
		{"Origin", "https://evil.example.org"}, {"Host", "rebound.example.org"}, {"X-Api-Key", "hlt_x"},
		{"Authorization", "Bearer hlt_x"}, {"Authorization", "bearer eyJ"},
	} {
		if r := f.do(t, "GET", path, headers...); r.Status != 401 {
			t.Errorf("%v: got %d, want 401", headers, r.Status)
		}
	}
	if r := f.do(t, "GET", path+"?api_key=hlt_x"); r.Status != 401 {
		t.Errorf("?api_key: got %d, want 401", r.Status)
	}
	for _, headers := range [][]string{nil, {"Origin", "http://localhost"}, {"Authorization", "Basic abc"}} {
		if r := f.do(t, "GET", path, headers...); r.Status != 200 {
			t.Errorf("%v: got %d, want 200", headers, r.Status)
		}
	}
}

// Checklist 18.
func TestHead(t *testing.T) {
	f, _ := newLakeFixture(t, testOptions{})
	for _, r := range f.routes {
		if r.auth == authSigned { // TestFileConformance compares their HEAD
			continue
		}
		if r.method != "GET" || r.auth == authSocket || r.auth == authUser || r.pattern == "/metrics" || r.pattern == "/assets/{file}" {
			continue
		}
		path := strings.NewReplacer("{market_id}", "0", "{account_id}", "42", "{call}", firstCalls[0], "{export_id}", ethDay,
			"{dataset}/metadata/{name}", "trades/metadata/version-hint.text", "{dataset}/{market}/{date}", "trades/market_id=0/date=2024-01-31",
			"{dataset}/{date}", "funding_rates/date=2024-01-31", "{part}", "part-0000.parquet", "{dataset}", "trades").Replace(r.pattern)
		switch r.pattern {
		case "/api/v1/candles", "/api/v1/trades/aggregate", "/api/v1/funding-rates/history", "/api/v1/data-quality/coverage":
			path += "?market_id=0"
		}
		for _, accept := range []string{"", "gzip"} {
			get := f.do(t, "GET", path, "X-Request-Id", testRequestID, "Accept-Encoding", accept)
			head := f.do(t, "HEAD", path, "X-Request-Id", testRequestID, "Accept-Encoding", accept)
			for _, moves := range []string{"Date", "X-Credits-Used", "X-Ratelimit-Remaining", "Ratelimit"} {
				if (get.Header[moves] == "") != (head.Header[moves] == "") {
					t.Errorf("%s: HEAD has %s %q, GET %q", path, moves, head.Header[moves], get.Header[moves])
				}
				delete(get.Header, moves)
				delete(head.Header, moves)
			}
			if get.Status != 200 || head.Status != get.Status || len(head.Body) != 0 || fmt.Sprint(head.Header) != fmt.Sprint(get.Header) {
				t.Errorf("%s: HEAD %d %v, GET %d %v", path, head.Status, head.Header, get.Status, get.Header)
			}
		}
	}
}

// What is not known yet is null, never 0.
func TestStatusOfAVenueThatIsNotThere(t *testing.T) {
	f := newFixture(t, testOptions{})
	f.status = Status{Status: "down", REST: "error", WebSocket: "error", CheckedAt: testNow, ActiveMarkets: 2, Wanted: 5}
	status, e := f.get(t, "/status")
	for name, want := range map[string]string{"network_id": "<nil>", "lighter_timestamp": "<nil>", "block_height": "<nil>", "latency_ms": "<nil>",
		"last_message_at": "<nil>", "checked_at": fmt.Sprint(testNow), "subscribed_channels": "0", "wanted_channels": "5", "synced_markets": "0"} {
		if got := fmt.Sprint(e.Data[name]); status != 200 || got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// Checklist 39.
func TestUnknownPathsAndMethods(t *testing.T) {
	f := newFixture(t, testOptions{})
	for _, path := range []string{"/", "/info", "/healthy", "/health/", "/api/v1", "/api/v1/", "/api/v1/orderbook", "/api/v1/orderbook/0/x",
		"/api/v1/orderbook/0/depth/", "/api/v1/signals/a/nothing", "/api/v1/nextNonce", "/ws/x", "/streams"} {
		if status, e := f.get(t, path); status != 404 || e.Data["code"] != "not_found" {
			t.Errorf("%s: got %d %v", path, status, e.Data)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		r := f.do(t, method, "/api/v1/orderbook/0")
		if r.Status != 405 || r.Header["Allow"] != "GET, HEAD, OPTIONS" || !bytes.Contains(r.Body, []byte(`"method_not_allowed"`)) {
			t.Errorf("%s: got %d %q %s", method, r.Status, r.Header["Allow"], r.Body)
		}
	}
	if r := f.do(t, "OPTIONS", "/health"); r.Status != 204 || r.Header["Allow"] == "" {
		t.Errorf("OPTIONS: got %d %v", r.Status, r.Header)
	}
}

func TestForwardable(t *testing.T) {
	upstream := &fakeRelay{}
	f := newFixture(t, testOptions{edit: func(o *Options) { o.Relay = upstream }})
	for _, path := range []string{"/", "/info", "/api/v1/nextNonce", "/api/v1/deposit/history"} {
		if r := f.do(t, "GET", path); r.Status != 299 {
			t.Errorf("%s: got %d, want it relayed", path, r.Status)
		}
	}
	for _, own := range ownSegments {
		if r := f.do(t, "GET", "/api/v1/"+own+"/nothing/more/of/it"); r.Status != 404 {
			t.Errorf("%s: got %d, want 404", own, r.Status)
		}
		want := 404
		if own == "keys" || own == "signals" {
			want = 401 // a path of ours, and the local caller has none
		}
		if r := f.do(t, "GET", "/api/v1/"+own); r.Status != want {
			t.Errorf("%s: got %d, want %d", own, r.Status, want)
		}
	}
	if r := f.do(t, "GET", "/elsewhere"); r.Status != 404 {
		t.Errorf("got %d, want 404", r.Status)
	}
	if len(upstream.paths) != 4 {
		t.Errorf("relayed %v", upstream.paths)
	}
}

// Checklist 39, bodies: too large, encoded.
func TestBodies(t *testing.T) {
	f := newFixture(t, testOptions{})
	status, rest := f.raw(t, "POST /api/v1/orderbook/0 HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: "+testRequestID+"\r\nContent-Length: 1048577\r\n\r\n")
	if status != 413 || !strings.Contains(rest, `"payload_too_large"`) || !strings.HasPrefix(rest, "close") || !strings.Contains(rest, testRequestID) {
		t.Errorf("got %d %s", status, rest)
	}
	status, rest = f.raw(t, "POST /api/v1/orderbook/0 HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx")
	if status != 400 || !strings.Contains(rest, "content-encoding") {
		t.Errorf("got %d %s", status, rest)
	}
	status, _ = f.raw(t, "POST /api/v1/orderbook/0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n"+strings.Repeat("x", 1<<20))
	if status != 405 {
		t.Errorf("a body of 1 MiB must be read, got %d", status)
	}
}

// Conventions 8.5: heads that two programs may read differently.
func TestHeadGuard(t *testing.T) {
	f := newFixture(t, testOptions{})
	const start = "GET /health HTTP/1.1\r\nHost: localhost\r\n"
	for _, bad := range []string{
		"Transfer-Encoding: identity\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: +5\r\n",
		"X Y: 1\r\n", "X-A : 1\r\n", "X-A: 1\r\n folded\r\n", "X-A: 1\r\n\tfolded\r\n", ": empty\r\n", "X(: 1\r\n", "nocolon\r\n",
		"Connection: X-Api-Key\r\n", "Connection: keep-alive, X-Api-Key\r\n",
	} {
		status, rest := f.raw(t, start+bad+"\r\n0\r\n\r\n")
		if status != 400 || !strings.HasPrefix(rest, "close") || !strings.Contains(rest, `"bad_request"`) {
			t.Errorf("%q: got %d %s", bad, status, rest)
		}
	}
	for _, good := range []string{"", "Connection: keep-alive\r\n", "Connection: Keep-Alive, Upgrade\r\n", "X-A:\r\n", "X-Very.Odd~Name!: 1\r\n"} {
		if status, rest := f.raw(t, start+good+"\r\n"); status != 200 {
			t.Errorf("%q: got %d %s", good, status, rest)
		}
	}
	long := "/health?" + strings.Repeat("x", maxURL)
	if status, rest := f.raw(t, "GET "+long+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); status != 400 || !strings.Contains(rest, "8 KiB") {
		t.Errorf("long URL: got %d %s", status, rest)
	}
	if status, rest := f.raw(t, start+"X-A: "+strings.Repeat("x", maxHead)+"\r\n\r\n"); status != 400 || !strings.Contains(rest, "16 KiB") {
		t.Errorf("long head: got %d %s", status, rest)
	}
	if status, rest := f.raw(t, "GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n"); status != 400 || !strings.Contains(rest, "HTTP/1.1") {
		t.Errorf("HTTP/2.0: got %d %s", status, rest)
	}
	if status, rest := f.raw(t, "BROKEN\r\n\r\n"); status != 400 || !strings.Contains(rest, `"bad_request"`) {
		t.Errorf("no HTTP: got %d %s", status, rest)
	}
}

// Checklist 40.
func TestCORS(t *testing.T) {
	f := newFixture(t, testOptions{plan: "none"})
	r := f.do(t, "OPTIONS", "/api/v1/orderbook/0", "Origin", "https://page.example.org", "Access-Control-Request-Method", "GET")
	if r.Status != 204 || r.Header["Access-Control-Allow-Origin"] != "*" || !strings.Contains(r.Header["Access-Control-Allow-Methods"], "GET") ||
		!strings.Contains(r.Header["Access-Control-Allow-Headers"], "X-Api-Key") || len(r.Body) != 0 {
		t.Errorf("preflight: got %d %v", r.Status, r.Header)
	}
	r = f.do(t, "GET", "/health", "Origin", "https://page.example.org")
	for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After", "X-Request-Id", "X-Credits-Cost", "X-Cache"} {
		if !strings.Contains(r.Header["Access-Control-Expose-Headers"], name) {
			t.Errorf("%s is not exposed", name)
		}
	}
	f = newFixture(t, testOptions{edit: func(o *Options) { o.CORSOrigins = []string{"https://ours.example.org"} }})
	for origin, want := range map[string]string{"https://ours.example.org": "https://ours.example.org", "https://page.example.org": "", "": ""} {
		r := f.do(t, "GET", "/health", "Origin", origin)
		if r.Header["Access-Control-Allow-Origin"] != want || !strings.Contains(r.Header["Vary"], "Origin") {
			t.Errorf("%q: got %v", origin, r.Header)
		}
	}
}

func TestProblemJSON(t *testing.T) {
	f := newFixture(t, testOptions{edit: func(o *Options) { o.PublicURL = "https://api.example.org/" }})
	r := f.do(t, "GET", "/api/v1/orderbook/0?depth=x", "Accept", "application/problem+json", "X-Request-Id", testRequestID)
	const want = `{"type":"https://api.example.org/docs/errors#bad_request","title":"Bad request","status":400,"detail":"depth must be an integer",` +
		`"instance":"urn:uuid:` + testRequestID + `","code":"bad_request","request_id":"` + testRequestID + `","details":{"field":"depth"}}`
	if r.Status != 400 || r.Header["Content-Type"] != "application/problem+json" || string(r.Body) != want {
		t.Errorf("got %d %s\n%s", r.Status, r.Header["Content-Type"], r.Body)
	}
}

func TestPlanTooLow(t *testing.T) {
	f := newFixture(t, testOptions{plan: "starter"})
	i := slices.IndexFunc(f.routes, func(r *route) bool { return r.pattern == "/api/v1/orderbook/{market_id}" })
	f.routes[i].plan = "growth"
	status, e := f.get(t, "/api/v1/orderbook/0")
	details, _ := e.Data["details"].(map[string]any)
	if status != 403 || e.Data["message"] != "this endpoint requires the growth tier or above" || details["required_tier"] != "growth" {
		t.Errorf("got %d %v", status, e.Data)
	}
	f.routes[i].plan = "starter"
	if status, _ := f.get(t, "/api/v1/orderbook/0"); status != 200 {
		t.Errorf("got %d", status)
	}
}
