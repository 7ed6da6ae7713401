package ws

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// What a message has wrong is named, and what the member must be is told.
func TestWrongMembersAreNamed(t *testing.T) {
	h := serveTape(t, Options{})
	for path, cases := range map[string]map[string]string{
		"/ws": {
			`{}`:                                      "type is required",
			`{"type":5}`:                              "type must be a string",
			`{"type":"nonsense"}`:                     "type must be subscribe, unsubscribe or ping",
			`{"type":"subscribe","channel":[]}`:       "channel must be a string",
			`{"type":"subscribe","since":5}`:          "since must be an object",
			`{"type":"auth","heartbeats":"yes"}`:      "heartbeats must be true or false",
			`{"type":"subscribe","since":{"seq":-1}}`: "since.seq must be an integer that is not negative",
			`nonsense`:                                "message must be one JSON object",
		},
		"/ws/replay": {
			`{"type":"nonsense"}`:                                         "type must be replay, pause, resume, stop, seek, set_speed or ping",
			`{"type":"replay","market_id":"0"}`:                           "market_id must be an integer",
			`{"type":"replay","market_ids":0}`:                            "market_ids must be a list",
			`{"type":"replay","market_id":0,"start":1,"depth":"5"}`:       "depth must be an integer",
			`{"type":"replay","market_id":99,"start":1}`:                  "market_id 99 is unknown",
			`{"type":"replay","market_id":0,"start":null}`:                "start is required",
			`{"type":"replay","market_id":0,"start":1,"speed":"10"}`:      `speed must be a number or "max"`,
			`{"type":"replay","market_id":0,"start":1,"include":["all"]}`: "include must be a list of " + includeWords,
		},
	} {
		c := h.local(path)
		for msg, want := range cases {
			c.say("%s", msg)
			if f := c.expectError(codeBadRequest); f.Message != want {
				t.Errorf("%s\n got %q\nwant %q", msg, f.Message, want)
			}
		}
	}
}

// A long name is not sent back, a short one is, whatever is in it.
func TestWrongChannelNames(t *testing.T) {
	h := serve(t, Options{})
	c := h.local("/ws")
	for name, want := range map[string]string{
		"trade/99": "trade/99", `x"\y`: `x"\y`, strings.Repeat("x", 129): "", "": "", "trade/-1": "trade/-1", "trade/00": "trade/00",
	} {
		b, err := json.Marshal(map[string]string{"type": "subscribe", "channel": name})
		if err != nil {
			t.Fatal(err)
		}
		c.say("%s", b)
		if f := c.expectError(codeInvalidChannel); f.Channel != want {
			t.Errorf("%q: got %s", name, f.raw)
		}
	}
}

// RFC 6455 wants a connection whose text is no UTF-8 to be failed with 1007.
func TestBrokenTextCloses(t *testing.T) {
	h := serve(t, Options{})
	c := h.local("/ws")
	c.say("{\"type\":\"ping\",\"x\":\"\xff\xfe\"}")
	c.expectClose(closeNotUTF8)
}

func TestNullMembersAreLeftOut(t *testing.T) {
	h := serveTape(t, Options{})
	c := h.local("/ws/replay")
	c.say(`{"type":"replay","market_id":0,"market_ids":null,"start":%d,"end":null,"speed":null,"include":null,"depth":null,"format":null}`, tapeStart)
	if f := c.expect("replay_started"); string(f.Speed) != "1" {
		t.Errorf("got %s", f.raw)
	}
	c.say(`{"type":"seek","to":null}`)
	for {
		f := c.read()
		if f.Type == "error" {
			if f.Message != "to is required" {
				t.Errorf("got %s", f.raw)
			}
			return
		}
	}
}

// The setting cuts the one-second books of a replay, never the whole book that its updates follow upon.
func TestSnapshotDepthIsCapped(t *testing.T) {
	h := serveTape(t, Options{SnapshotDepth: 1})
	c := h.local("/ws/replay")
	c.startAll(`,"include":["order_book","orderbook_snapshot"],"depth":50`)
	_, events, _ := c.replayed()
	most, whole := 0, 0
	for _, e := range events {
		var d struct {
			Bids            [][2]string
			Initial, Resync bool
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		switch {
		case d.Initial || d.Resync:
			whole = max(whole, len(d.Bids))
		case e.EventType == "orderbook_snapshot":
			most = max(most, len(d.Bids))
		}
	}
	if most != 1 || whole < 2 {
		t.Errorf("one-second books have up to %d levels, whole ones up to %d", most, whole)
	}
}

// A client that goes without a close frame, politely (FIN) or not (RST), is gone at once: it must not be found out by a
// ping half a minute later.
func TestVanishedClientsAreGoneAtOnce(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(model.Level{Price: 1, Size: 1})
	for _, linger := range []int{-1, 0} {
		for _, path := range []string{"/ws", "/ws/replay"} {
			c := h.local(path)
			if path == "/ws" {
				c.say(`{"type":"subscribe","channel":"order_book/0"}`)
				c.expect("subscribed")
			}
			tcp := c.conn.NetConn().(*net.TCPConn)
			if err := errors.Join(tcp.SetLinger(linger), tcp.Close()); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool {
				h.s.mu.Lock()
				defer h.s.mu.Unlock()
				return len(h.s.conns) == 0
			})
		}
	}
}

func TestSocketsAreCounted(t *testing.T) {
	h := serve(t, Options{Limits: Limits{Connections: 2}})
	h.local("/ws")
	h.local("/ws/replay")
	_, resp, err := websocket.DefaultDialer.Dial("ws://"+h.addr+"/ws", nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("the third of two sockets: %v %v", err, resp)
	}
}

func TestStrangersAreCounted(t *testing.T) {
	s, err := New(Options{Markets: testMarkets{}, Access: testAccess{}, Limits: Limits{Strangers: 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	stranger := blockOf(netip.MustParseAddr("192.0.2.7"))
	a, b := &Conn{server: s}, &Conn{server: s}
	s.lobby.enter(a, stranger)
	if !s.lobby.room(stranger, 2) {
		t.Error("one of two has no room")
	}
	s.lobby.enter(b, stranger)
	handshake := func(peer string, key string) int {
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.ParseIP(peer), Port: 5}, nil)
		for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "X-Api-Key": key} {
			if v != "" {
				ctx.Request.Header.Set(k, v)
			}
		}
		s.WS(&ctx)
		if ctx.Response.StatusCode() == http.StatusTooManyRequests && len(ctx.Response.Header.Peek("Retry-After")) == 0 {
			t.Error("429 without Retry-After")
		}
		return ctx.Response.StatusCode()
	}
	for _, x := range []struct {
		peer, key string
		want      int
	}{
		{"192.0.2.7", "", http.StatusTooManyRequests},
		{"192.0.2.7", "hlt_free", http.StatusSwitchingProtocols},
		{"192.0.2.8", "", http.StatusSwitchingProtocols},
		{"127.0.0.1", "", http.StatusSwitchingProtocols},
	} {
		if got := handshake(x.peer, x.key); got != x.want {
			t.Errorf("%s with %q: status %d, want %d", x.peer, x.key, got, x.want)
		}
	}
	// Who authenticates makes room.
	a.queue, a.session = newQueue(10, 1000), newLive(a)
	a.authTimer = time.AfterFunc(time.Hour, func() {})
	a.accept(&access.Principal{Plan: &access.DefaultPlans()[0], Account: "x"})
	s.lobby.leave(b)
	s.lobby.leave(b)
	if len(s.lobby.waiting) != 0 {
		t.Errorf("still waiting: %v", s.lobby.waiting)
	}
	if blockOf(netip.MustParseAddr("2001:db8::1")) != blockOf(netip.MustParseAddr("2001:db8::2:3")) ||
		blockOf(netip.MustParseAddr("::ffff:192.0.2.7")) != stranger || blockOf(netip.MustParseAddr("::1")).IsValid() {
		t.Error("blocks are wrong")
	}
}

// Whoever stands in between is noticed, and what a handshake shows is read from its three places.
func TestWhatAHandshakeShows(t *testing.T) {
	for _, x := range []struct {
		name, value string
		want        access.Request
	}{
		{"X-Forwarded-Proto", "https", access.Request{Forwarded: true}},
		{"Forwarded", "for=1.2.3.4", access.Request{Forwarded: true}},
		{"Via", "1.1 proxy", access.Request{Forwarded: true}},
		{"X-Real-IP", "1.2.3.4", access.Request{Forwarded: true}},
		{"Origin", "null", access.Request{Origin: "null"}},
		{"X-Api-Key", "hlt_a", access.Request{APIKey: "hlt_a"}},
		{"Authorization", "bearer  hlt_a ", access.Request{Bearer: "hlt_a"}},
		{"Authorization", "Basic abc", access.Request{}},
	} {
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5}, nil)
		ctx.Request.SetRequestURI("/ws?api_key=hlt_q")
		ctx.Request.Header.SetHost("localhost")
		ctx.Request.Header.Set(x.name, x.value)
		x.want.Query, x.want.Host, x.want.Peer, x.want.Client = "hlt_q", "localhost", netip.MustParseAddrPort("127.0.0.1:5"), netip.MustParseAddr("127.0.0.1")
		got := (&Server{}).credentials(&ctx)
		got.Peer = netip.AddrPortFrom(got.Peer.Addr().Unmap(), got.Peer.Port())
		if got != x.want {
			t.Errorf("%s: %s\n got %+v\nwant %+v", x.name, x.value, got, x.want)
		}
	}
}

func TestMetricsAreThereFromTheStart(t *testing.T) {
	serve(t, Options{})
	var b strings.Builder
	metrics.WritePrometheus(&b, false)
	for _, name := range []string{`hyperlight_ws_dropped_total{reason="slow_client"}`, `hyperlight_ws_connections{path="/ws/replay"}`,
		`hyperlight_ws_subscriptions{family="trade"}`, `hyperlight_ws_closes_total{code="4011"}`, `hyperlight_ws_messages_total{direction="in"}`} {
		if !strings.Contains(b.String(), "\n"+name+" ") && !strings.HasPrefix(b.String(), name+" ") {
			t.Errorf("no %s", name)
		}
	}
}
