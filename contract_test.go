package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
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
		client := http.Client{Timeout: 10 * time.Second}
		resp, err = client.Get(a.base + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		client.CloseIdleConnections()
		check(path+" without a handshake", resp, 400)
	}
}
