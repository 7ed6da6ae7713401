package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/config"
	"hyperlight/engine/model"
	api "hyperlight/http"
)

// freePort returns an address that nobody listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// trusting is how a client connects that trusts the certificate of a file and nothing else.
func trusting(t *testing.T, file string) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatal("the certificate cannot be read")
	}
	return &tls.Config{RootCAs: roots, ServerName: "data.example.com", Time: func() time.Time { return tlsNow }}
}

// With certificates from files both listeners speak TLS and nothing else, and a reload changes the certificate of the
// connections that come, not of those that are there.
func TestServeWithTLS(t *testing.T) {
	cfg := applianceConfig(t.TempDir(), quietVenue(t))
	cfg.TLS = tlsFiles(t).TLS
	cfg.Server.SocketsListen = freePort(t)
	// Everything on this machine calls without a credential: the doors are what is looked at.
	a := startAppliance(t, cfg)
	if !strings.HasPrefix(a.base, "https://") {
		t.Fatalf("the address is %s", a.base)
	}
	first := trusting(t, cfg.TLS.CertFile)
	client := func(trust *tls.Config) *caller {
		return &caller{base: a.base, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}}}
	}
	dial := func(trust *tls.Config, address, path string) (*websocket.Conn, error) {
		d := websocket.Dialer{TLSClientConfig: trust, HandshakeTimeout: time.Minute}
		conn, resp, err := d.Dial("wss://"+strings.TrimPrefix(address, "https://")+path, nil)
		if err == nil {
			resp.Body.Close()
			t.Cleanup(func() { conn.Close() })
		}
		return conn, err
	}
	waitFor(t, time.Minute, func() bool {
		r, err := client(first).call("GET", "/api/v1/orderbook/0?depth=1", "")
		return err == nil && r.status == 200
	}, func() string { return "no book over TLS" })
	if r := client(first).want(t, 200, "GET", "/health", "", nil); r.header.Get("Strict-Transport-Security") == "" {
		t.Error("the answer does not ask for TLS from now on")
	}
	plain, err := http.Get("http" + strings.TrimPrefix(a.base, "https") + "/health")
	if err == nil {
		plain.Body.Close()
		if plain.StatusCode == 200 {
			t.Error("the port with TLS answers without")
		}
	}
	var open []*websocket.Conn
	for _, address := range []string{a.base, cfg.Server.SocketsListen} {
		for path, greeting := range map[string]string{"/ws": "authenticated", "/ws/replay": "authenticated", "/stream": "connected"} {
			conn, err := dial(first, address, path)
			if err != nil {
				t.Fatalf("%s%s: %v", address, path, err)
			}
			next(t, conn, greeting)
			open = append(open, conn)
		}
	}

	writeCertificate(t, cfg.TLS.CertFile, cfg.TLS.KeyFile, 2, tlsNow.AddDate(1, 0, 0))
	a.reload(func(*config.Config) {})
	second := trusting(t, cfg.TLS.CertFile)
	client(second).want(t, 200, "GET", "/health", "", nil)
	if _, err := client(first).call("GET", "/health", ""); err == nil {
		t.Error("the old certificate is shown after the reload")
	}
	for _, address := range []string{a.base, cfg.Server.SocketsListen} {
		if _, err := dial(second, address, "/ws"); err != nil {
			t.Errorf("%s after the reload: %v", address, err)
		}
	}
	if err := os.WriteFile(cfg.TLS.CertFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.reload(func(*config.Config) {}) // told in the log; the last good one stays
	client(second).want(t, 200, "GET", "/health", "", nil)
	for _, conn := range open {
		send(t, conn, `{"type":"ping"}`)
		next(t, conn, "pong")
	}
}

// The second listener has the three sockets and nothing else, not even what is forwarded to the venue.
func TestSocketsListenServesSocketsOnly(t *testing.T) {
	address := freePort(t)
	a := startInFront(t, quietVenue(t), func(c *config.Config) { c.Server.SocketsListen = address })
	door := a.as("")
	door.base = "http://" + address
	for _, path := range []string{"/health", "/status", "/metrics", "/openapi.yaml", "/setup", "/", "/info", "/api/v1/orderbook/0",
		"/api/v1/orderBooks", "/api/v1/auth/login", "/api/v1/keys", "/ws/", "/stream/x"} {
		for _, method := range []string{"GET", "POST"} {
			if r, err := door.call(method, path, ""); err != nil || r.status != 404 && r.status != 400 {
				t.Errorf("%s %s: %d, %v", method, path, r.status, err)
			}
		}
	}
	for path, greeting := range map[string]string{"/ws": "authenticated", "/ws/replay": "authenticated", "/stream": "connected"} {
		door.open(t, path).expect(t, greeting)
		a.as("").open(t, path).expect(t, greeting)
	}
}

// The operator's commands act on the server that runs: what they make works at once, what they revoke ends at once.
func TestOperatorOfRunningServer(t *testing.T) {
	a := startInFront(t, quietVenue(t), nil)
	info, err := os.Stat(a.cfg.ControlPath())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("control socket: %v, %v", info, err)
	}
	var user api.ControlUser
	a.command("user/create", api.ControlNewUser{Email: "desk@example.com", Tier: "starter"}, &user)
	var key api.ControlKey
	a.command("key/create", api.ControlNewKey{Email: "desk@example.com", Name: "bot"}, &key)
	bot := a.as(key.APIKey)
	if got := bot.want(t, 200, "GET", "/api/v1/orderbook/0", "", nil).number("X-RateLimit-Limit"); got != 300 {
		t.Errorf("the new key has %d requests per minute", got)
	}
	live := bot.open(t, "/ws")
	live.expect(t, `"tier":"starter"`)
	a.as("").want(t, 200, "GET", "/api/v1/orderbook/0", "", nil)
	var revoked api.ControlRevoked
	a.command("key/revoke", api.ControlID{ID: key.ID}, &revoked)
	live.closed(t, 4012, time.Minute)
	bot.want(t, 401, "GET", "/api/v1/orderbook/0", "", nil)

	// The usage that is still in memory is told as well.
	var usage api.ControlList[api.ControlUsage]
	now := model.Millis(time.Now().UnixMilli())
	a.command("usage/list", api.ControlUsageQuery{From: now - 3_600_000, To: now + 3_600_000, Kind: api.ControlLocal}, &usage)
	if len(usage.Rows) != 1 || usage.Rows[0].Totals.Requests == 0 {
		t.Errorf("usage of the local caller: %+v", usage)
	}
}

// Behind a trusted proxy it is the client's own address that allow lists and windows look at; nobody else can say who
// they are.
func TestAllowListBehindProxy(t *testing.T) {
	a := startInFront(t, quietVenue(t), func(c *config.Config) {
		c.Access.DefaultTier = "growth"
		c.Server.TrustedProxies = config.List{"127.0.0.0/8", "10.0.0.0/8"}
	})
	owner := a.as(a.register("proxied@example.com"))
	made := owner.makeKey(t, `{"allowed_ips":["203.0.113.7"]}`)
	const path = "/api/v1/orderbook/0?depth=1"
	for via, status := range map[string]int{
		"203.0.113.7":                         200,
		"198.51.100.1, 203.0.113.7":           200, // what a client made up stands further left
		"203.0.113.7, 10.1.2.3":               200, // a second proxy of ours
		"203.0.113.7, 198.51.100.1":           403,
		"203.0.113.7, 198.51.100.1, 10.0.0.1": 403,
		"":                                    403,
		"203.0.113.8":                         403,
	} {
		c := a.as(made.Key)
		c.via = via
		c.want(t, status, "GET", path, "", nil)
		s := c.open(t, "/ws")
		if status == 200 {
			s.expect(t, `"authenticated"`)
			s.stays(t)
		} else {
			s.closed(t, 4003, time.Minute)
		}
	}
	// Each address has a window of its own for calls without a credential.
	drained := a.as("")
	drained.via = "192.0.2.1"
	for n := range 31 {
		want := 200
		if n == 30 {
			want = 429
		}
		drained.want(t, want, "GET", "/api/v1/currentHeight", "", nil)
	}
	drained.via = "192.0.2.2"
	drained.want(t, 200, "GET", "/api/v1/currentHeight", "", nil)
	drained.via = fmt.Sprint("192.0.2.99, ", "192.0.2.1") // what a client says of itself is no way out
	drained.want(t, 429, "GET", "/api/v1/currentHeight", "", nil)

	a.reload(func(c *config.Config) { c.Server.TrustedProxies = nil })
	c := a.as(made.Key)
	c.via = "203.0.113.7"
	c.want(t, 403, "GET", path, "", nil)
}
