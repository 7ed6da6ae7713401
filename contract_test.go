package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/config"
)

// What the contract says of every answer holds for those that open a socket, and for those that refuse to (checklist 4
// and 16).
func TestHandshakeHeaders(t *testing.T) {
	a := startInFront(t, quietVenue(t), nil)
	check := func(name string, resp *http.Response, status int) {
		t.Helper()
		if resp.StatusCode != status {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
		for _, h := range []string{"X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"} {
			if resp.Header.Get(h) == "" {
				t.Errorf("%s: no %s in %v", name, h, resp.Header)
			}
		}
	}
	for _, path := range []string{"/ws", "/stream", "/ws/replay"} {
		conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(a.base, "http")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		check(path, resp, 101)
		client := http.Client{Timeout: time.Minute}
		resp, err = client.Get(a.base + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		client.CloseIdleConnections()
		check(path+" without a handshake", resp, 400)
		r, err := a.as("").call("GET", path, "", "Accept", "application/problem+json")
		if err != nil || r.status != 400 || r.header.Get("Content-Type") != "application/problem+json" ||
			!strings.Contains(string(r.body), `"detail":"this path takes a WebSocket handshake"`) || !strings.Contains(string(r.body), r.header.Get("X-Request-Id")) {
			t.Errorf("%s: %v, got %d %v %s", path, err, r.status, r.header, r.body)
		}
	}
}

// Every metric that the contract names and that what is built so far has something to count for is there from the start
// or after its first event, with its labels (contract 7.4, conventions 6).
func TestMetricNames(t *testing.T) {
	a := startInFront(t, quietVenue(t), nil)
	c := a.as(a.register("metrics@example.com"))
	c.want(t, 200, "GET", "/api/v1/orderbook/0", "", nil)
	for range 2 { // one answer of the venue, and one of the cache
		if r, err := c.call("GET", "/api/v1/systemConfig", ""); err != nil || r.status != 200 {
			t.Fatalf("got %d, %v", r.status, err)
		}
	}
	for range 40 {
		if _, err := c.call("GET", "/api/v1/orderbook/0", ""); err != nil {
			t.Fatal(err)
		}
	}
	var text string
	waitFor(t, time.Minute, func() bool { // a full second goes by: there is a snapshot
		r, err := a.as("").call("GET", "/metrics", "")
		if err != nil {
			t.Fatal(err)
		}
		text = "\n" + string(r.body)
		return strings.Contains(text, "\nhyperlight_snapshots_total") && !strings.Contains(text, "\nhyperlight_snapshots_total 0\n")
	}, func() string { return "there is no snapshot:" + text })
	for _, want := range []string{
		`hyperlight_http_requests_total{method="GET",route="/api/v1/orderbook/{market_id}",status="200"}`,
		`hyperlight_http_requests_total{method="GET",route="/api/v1/orderbook/{market_id}",status="429"}`,
		`hyperlight_http_requests_total{method="GET",route="native",status="200"}`,
		`hyperlight_http_request_duration_seconds{route="native",quantile="0.5"}`, `hyperlight_http_requests_in_flight`,
		`hyperlight_rate_limited_total{tier="free"}`, `hyperlight_credits_total{class="standard"}`,
		`hyperlight_credits_total{class="batch"}`, `hyperlight_credits_total{class="heavy_batch"}`,
		`hyperlight_ws_connections{path="/ws"}`, `hyperlight_ws_connections{path="/stream"}`, `hyperlight_ws_connections{path="/ws/replay"}`,
		`hyperlight_ws_subscriptions{family="order_book"}`, `hyperlight_ws_subscriptions{family="trade"}`,
		`hyperlight_ws_messages_total{direction="in"}`, `hyperlight_ws_messages_total{direction="out"}`,
		`hyperlight_ws_dropped_total{reason="slow_client"}`, `hyperlight_ws_queue_bytes`, `hyperlight_ws_closes_total{code="4012"}`,
		`hyperlight_replays_active`, `hyperlight_snapshots_total`, `hyperlight_snapshot_lag_seconds`, `hyperlight_trades_ingested_total`,
		`hyperlight_markets_synced`, `hyperlight_upstream_requests_total{venue="lighter",endpoint="systemConfig",status="200"}`, `hyperlight_upstream_up`,
		`hyperlight_cache_hits_total`, `hyperlight_cache_misses_total`, `hyperlight_storage_bytes`,
		`hyperlight_argon2_queue`, `hyperlight_build_info{`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	for _, secret := range []string{c.key, c.key[:12], "metrics@example.com"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics name %s", secret)
		}
	}
}

// A sign-in's token is good where a key is: in the first message of a socket, in its handshake, and for data; who has one
// and a key shares the connections of one account (contract 1.2 and 3.2).
func TestTokenOpensSockets(t *testing.T) {
	a := startInFront(t, quietVenue(t), func(c *config.Config) { c.Access.LocalPlan = "" })
	key := a.as(a.register("token@example.com"))
	token := a.login("token@example.com")
	token.want(t, 200, "GET", "/api/v1/orderbook/0", "", nil)
	conn := a.dial("/ws")
	send(t, conn, `{"type":"auth","token":"`+token.token+`","format":"data"}`)
	next(t, conn, "authenticated")
	send(t, conn, `{"type":"auth","token":"`+token.token+`"}`)
	if f := next(t, conn, "error"); f.Code != "bad_request" {
		t.Errorf("a second auth message: %+v", f)
	}
	send(t, conn, `{"type":"ping"}`)
	next(t, conn, "pong")
	if frames := wantClose(t, a.dial("/ws?api_key="+key.key), 4009); len(frames) != 1 || frames[0].Code != "connection_limit" {
		t.Errorf("a second connection of the free plan: %+v", frames)
	}
	conn.Close()
	waitFor(t, time.Minute, func() bool {
		bearer := token.open(t, "/ws")
		defer bearer.conn.Close()
		select {
		case text := <-bearer.frames:
			return strings.Contains(string(text), `"authenticated","tier":"free","max_subscriptions":5`)
		case <-time.After(time.Minute):
			return false
		}
	}, func() string { return "a token in the handshake does not open a socket" })
	for _, bad := range []string{token.token + "x", "eyJ"} {
		conn := a.dial("/ws")
		send(t, conn, `{"type":"auth","token":"`+bad+`"}`)
		f, _, err := readFrame(conn, time.Minute)
		if err != nil || f.Code != "unauthorized" {
			t.Errorf("%.10s: %+v, %v", bad, f, err)
		}
		conn.Close()
	}
}
