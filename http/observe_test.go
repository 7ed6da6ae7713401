package http

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"
)

func TestCompression(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/orderbook/0"
	plain := f.do(t, "GET", "/openapi.yaml").Body
	for accept, want := range map[string]string{"gzip": "gzip", "zstd": "zstd", "gzip, zstd": "zstd", "gzip;q=1, zstd;q=0.5": "gzip", "br": "", "*": "zstd",
		"gzip;q=0": "", "identity": "", "gzip;q=x": "", "*;q=0, gzip": "gzip"} {
		r := f.do(t, "GET", "/openapi.yaml", "Accept-Encoding", accept)
		if r.Header["Content-Encoding"] != want || !strings.Contains(r.Header["Vary"], "Accept-Encoding") {
			t.Errorf("%q: got %q, want %q (%v)", accept, r.Header["Content-Encoding"], want, r.Header)
			continue
		}
		body := r.Body
		switch want {
		case "gzip":
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		case "zstd":
			d, err := zstd.NewReader(nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = d.DecodeAll(body, nil); err != nil {
				t.Fatal(err)
			}
			d.Close()
		}
		if !bytes.Equal(body, plain) {
			t.Errorf("%q: the body changed", accept)
		}
	}
	if r := f.do(t, "GET", path, "Accept-Encoding", "gzip"); len(r.Body) >= compressFrom || r.Header["Content-Encoding"] != "" {
		t.Errorf("a body of %d bytes must stay as it is, got %q", len(r.Body), r.Header["Content-Encoding"])
	}
}

// Checklist 15.
func TestClientIP(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct{ peer, header, want string }{
		{"1.2.3.4", "5.6.7.8", "1.2.3.4"},
		{"10.0.0.1", "", "10.0.0.1"},
		{"10.0.0.1", "5.6.7.8", "5.6.7.8"},
		{"10.0.0.1", "9.9.9.9, 5.6.7.8", "5.6.7.8"},
		{"10.0.0.1", "5.6.7.8, 10.9.9.9", "5.6.7.8"},
		{"10.0.0.1", "10.1.1.1, 10.9.9.9", "10.1.1.1"},
		{"10.0.0.1", "garbage", "10.0.0.1"},
		{"10.0.0.1", "9.9.9.9, garbage, 10.9.9.9", "10.9.9.9"},
		{"10.0.0.1", "::ffff:5.6.7.8", "5.6.7.8"},
		{"10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"},
		{"10.0.0.1", "fe80::1%eth0", "fe80::1"},
	} {
		got := clientIP(netip.MustParseAddr(c.peer), []byte(c.header), trusted)
		if got.String() != c.want {
			t.Errorf("%s with %q: got %s, want %s", c.peer, c.header, got, c.want)
		}
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	f := newFixture(t, testOptions{plan: "none", peer: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 1}})
	// Whatever is asked first, a path that does not exist too.
	asked := 0
	paths := []string{"/healthz", "/nowhere", "/api/v1/orderbook/0"}
	open := make([]net.Conn, 0, maxPerIP)
	ask := func() (net.Conn, int) {
		conn, err := f.ln.Dial()
		if err != nil {
			t.Fatal(err)
		}
		path := paths[asked%len(paths)]
		asked++
		r := fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(r)
		go func() { _, _ = conn.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")) }()
		if err := r.Read(newReader(conn)); err != nil {
			t.Fatal(err)
		}
		return conn, r.StatusCode()
	}
	for range maxPerIP {
		conn, status := ask()
		if status == 429 {
			t.Fatalf("connection %d: got %d", len(open), status)
		}
		open = append(open, conn)
	}
	for range paths {
		extra, status := ask()
		if status != 429 {
			t.Errorf("connection %d: got %d, want 429", maxPerIP+1, status)
		}
		open = append(open, extra)
	}
	for _, c := range open {
		c.Close()
	}
	deadline := time.Now().Add(time.Minute)
	for {
		conn, status := ask()
		conn.Close()
		if status != 429 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("closed connections must leave the count, still %d", status)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// closer is a connection that can only be closed.
type closer struct{ close func() }

func (c closer) Close() error                   { c.close(); return nil }
func (closer) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (closer) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (closer) LocalAddr() net.Addr              { return nil }
func (closer) RemoteAddr() net.Addr             { return nil }
func (closer) SetDeadline(time.Time) error      { return nil }
func (closer) SetReadDeadline(time.Time) error  { return nil }
func (closer) SetWriteDeadline(time.Time) error { return nil }

// An authenticated connection follows its plan, and loopback is never counted.
func TestConnectionCount(t *testing.T) {
	n := newConnectionCount()
	var closed []net.Conn
	remote := func() net.Conn {
		c := &peerConn{nil, &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}}
		c.Conn = closer{func() { closed = append(closed, c); n.observe(c, fasthttp.StateClosed) }}
		return c
	}
	var last net.Conn
	for range maxPerIP + 1 {
		last = remote()
		n.observe(last, fasthttp.StateNew)
		if n.admit(last, false) != nil && len(n.open) <= maxPerIP {
			t.Fatalf("connection %d is refused", len(n.open))
		}
	}
	if n.admit(last, false) == nil {
		t.Error("one connection too many must be refused")
	}
	if err := n.admit(last, true); err != nil {
		t.Errorf("a credential lifts the cap, got %v", err)
	}
	other := remote()
	n.observe(other, fasthttp.StateNew)
	n.observe(other, fasthttp.StateHijacked)
	n.observe(other, fasthttp.StateClosed)
	of := n.crowds[blockOf(netip.MustParseAddr("2001:db8::ffff"))]
	if of.open != maxPerIP || of.silent.Len() != 0 {
		t.Errorf("got %d counted and %d silent, want %d and none", of.open, of.silent.Len(), maxPerIP)
	}
	// Those that say nothing are let in, but the longest silent makes room.
	var silent []net.Conn
	for range maxPerIP + 3 {
		silent = append(silent, remote())
		n.observe(silent[len(silent)-1], fasthttp.StateNew)
	}
	if !slices.Equal(closed, silent[:3]) || of.silent.Len() != maxPerIP {
		t.Errorf("%d were closed, %d are silent", len(closed), of.silent.Len())
	}
	for _, c := range silent {
		n.observe(c, fasthttp.StateClosed)
	}
	if of.open != maxPerIP || of.silent.Len() != 0 {
		t.Errorf("got %d counted and %d silent, want %d and none", of.open, of.silent.Len(), maxPerIP)
	}
	local := &peerConn{nil, loopback}
	n.observe(local, fasthttp.StateNew)
	if len(n.open) != maxPerIP {
		t.Error("loopback must not be counted")
	}
}

// Checklist 204.
func TestMetrics(t *testing.T) {
	f := newFixture(t, testOptions{})
	read := func() map[string]float64 {
		r := f.do(t, "GET", "/metrics")
		var p expfmt.TextParser
		families, err := p.TextToMetricFamilies(bytes.NewReader(r.Body))
		if err != nil {
			t.Fatalf("%v in\n%s", err, r.Body)
		}
		if !strings.HasPrefix(r.Header["Content-Type"], "text/plain") {
			t.Errorf("content type is %q", r.Header["Content-Type"])
		}
		out := map[string]float64{}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				var labels []string
				for _, l := range m.GetLabel() {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
				slices.Sort(labels)
				name := family.GetName() + "{" + strings.Join(labels, ",") + "}"
				out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue() + float64(m.GetSummary().GetSampleCount())
			}
		}
		return out
	}
	const book = "hyperlight_http_requests_total{method=GET,route=/api/v1/orderbook/{market_id},status=200}"
	before := read()
	f.do(t, "GET", "/api/v1/orderbook/0")
	f.do(t, "HEAD", "/api/v1/orderbook/0")
	f.do(t, "GET", "/api/v1/orderbook/1?depth=0")
	f.do(t, "GET", "/nothing")
	after := read()
	for name, step := range map[string]float64{book: 1, strings.Replace(book, "GET", "HEAD", 1): 1, strings.Replace(book, "=200", "=400", 1): 1,
		"hyperlight_http_requests_total{method=other,route=unmatched,status=404}": 1} {
		if after[name]-before[name] != step {
			t.Errorf("%s moved by %v, want %v", name, after[name]-before[name], step)
		}
	}
	if after["hyperlight_http_requests_in_flight{}"] != 1 {
		t.Errorf("in flight: got %v, want this request alone", after["hyperlight_http_requests_in_flight{}"])
	}
	found := false
	for name := range after {
		found = found || strings.HasPrefix(name, "hyperlight_http_request_duration_seconds")
	}
	if !found {
		t.Error("no request durations")
	}
}

func TestMetricsToken(t *testing.T) {
	f := newFixture(t, testOptions{edit: func(o *Options) { o.MetricsToken = "t0ken" }})
	if r := f.do(t, "GET", "/metrics"); r.Status != 401 {
		t.Errorf("without the token: got %d", r.Status)
	}
	if r := f.do(t, "GET", "/metrics", "Authorization", "Bearer t0ken"); r.Status != 200 {
		t.Errorf("with the token: got %d", r.Status)
	}
}

// Checklist 205: one line per request, JSON, with the pattern and no secret, in both ways of writing it.
func TestAccessLog(t *testing.T) {
	members := []string{"time", "level", "msg", "component", "request_id", "method", "route", "status", "duration_ms", "bytes",
		"account_id", "key_prefix", "client_ip", "cache"}
	for name, direct := range map[string]bool{"batched": true, "logger": false} {
		out := &syncBuffer{}
		f := newFixture(t, testOptions{edit: func(o *Options) {
			if direct {
				o.AccessLog = out
			}
		}})
		f.do(t, "GET", "/api/v1/orderbook/0?depth=3")
		f.do(t, "GET", "/api/v1/orderbook/0?api_key=hlt_secret", "X-Api-Key", "hlt_secret2", "Authorization", "Bearer hlt_secret3")
		f.do(t, "GET", "/nothing/hlt_secret4")
		deadline := time.Now().Add(time.Minute)
		text := ""
		for strings.Count(text, `"msg":"request"`) < 3 {
			if text = out.String(); !direct {
				text = f.logs.String()
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %q", name, text)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if strings.Contains(text, "secret") || strings.Contains(text, "depth") {
			t.Errorf("%s: a query string or a credential was logged: %s", name, text)
		}
		var lines []map[string]any
		for line := range strings.Lines(text) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("%s: %v in %s", name, err, line)
			}
			for _, k := range members {
				if _, ok := m[k]; !ok {
					t.Errorf("%s: %s is missing in %s", name, k, line)
				}
			}
			lines = append(lines, m)
		}
		slices.SortFunc(lines, func(a, b map[string]any) int { return cmp.Compare(a["status"].(float64), b["status"].(float64)) })
		if len(lines) != 3 || lines[0]["route"] != "/api/v1/orderbook/{market_id}" || lines[0]["status"] != 200.0 || lines[0]["account_id"] != "local" ||
			lines[0]["client_ip"] != "127.0.0.1" || lines[1]["status"] != 401.0 || lines[2]["route"] != "unmatched" {
			t.Errorf("%s: got %v", name, lines)
		}
	}
}

// A stop that comes before the listener is served, or while it is being set up, still ends it.
func TestShutdownDuringStart(t *testing.T) {
	for range 50 {
		newFixture(t, testOptions{}) // its clean-up stops it at once and waits for Serve
	}
	f := newFixture(t, testOptions{})
	f.do(t, "GET", "/healthz")
	f.closing.Store(true)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Serve(ln); err != nil {
		t.Error(err)
	}
}
