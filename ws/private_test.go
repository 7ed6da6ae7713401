package ws

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/fasthttp/websocket"
)

// fakeVenue is an upstream whose every word the test decides.
type fakeVenue struct {
	t     testing.TB
	addr  string
	conns chan *fakeConn
}

type fakeConn struct {
	*gorilla.Conn
	query, headers string
	got            chan string
}

func newFakeVenue(t testing.TB) *fakeVenue {
	v := &fakeVenue{t: t, conns: make(chan *fakeConn, 100)}
	var open sync.WaitGroup
	var mu sync.Mutex
	var all []*gorilla.Conn
	up := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		conn, err := up.Upgrade(w, q, nil)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		mu.Lock()
		all = append(all, conn)
		mu.Unlock()
		c := &fakeConn{Conn: conn, query: q.URL.RawQuery, headers: fmt.Sprint(q.Header), got: make(chan string, 1000)}
		c.tell(`{"session_id":"upstream","type":"connected"}`)
		v.conns <- c
		open.Go(func() {
			for {
				_, b, err := conn.ReadMessage()
				if err != nil {
					close(c.got)
					return
				}
				c.got <- string(b)
			}
		})
	}))
	v.addr = "ws" + strings.TrimPrefix(s.URL, "http") + "/stream"
	t.Cleanup(func() {
		mu.Lock()
		for _, c := range all {
			c.Close()
		}
		mu.Unlock()
		open.Wait()
		s.Close()
	})
	return v
}

func (c *fakeConn) tell(text string) { _ = c.WriteMessage(gorilla.TextMessage, []byte(text)) }

func (v *fakeVenue) next() *fakeConn {
	v.t.Helper()
	select {
	case c := <-v.conns:
		return c
	case <-time.After(time.Minute):
		v.t.Fatal("no upstream connection within a minute")
		return nil
	}
}

func (c *fakeConn) hear(t testing.TB) string {
	t.Helper()
	select {
	case s, ok := <-c.got:
		if !ok {
			t.Fatal("the upstream socket was closed")
		}
		return s
	case <-time.After(time.Minute):
		t.Fatal("nothing came upstream within a minute")
		return ""
	}
}

func (c *fakeConn) gone(t testing.TB) {
	t.Helper()
	for until := time.After(time.Minute); ; {
		select {
		case _, ok := <-c.got:
			if !ok {
				return
			}
		case <-until:
			t.Fatal("the upstream socket was not closed within a minute")
		}
	}
}

func serveFake(t testing.TB, edit func(*Options)) (*fakeVenue, *harness) {
	v := newFakeVenue(t)
	o := Options{Native: lighterNative(), Upstream: Upstream{URL: v.addr, UserAgent: "hyperlight/test"}, AllowAnonymous: true}
	if edit != nil {
		edit(&o)
	}
	return v, serve(t, o)
}

func isText(text string) func(*nativeFrame) bool {
	return func(f *nativeFrame) bool { return f.raw == text }
}

// Messages with auth, sendtx and unknown channels go upstream byte for byte and in order, answers come back the same way;
// nothing opens a socket before it is needed, and each client has its own.
func TestPrivateMessagesAreCopiedVerbatim(t *testing.T) {
	v, h := serveFake(t, nil)
	c := dialNative(t, h.addr+"/stream?readonly=true&api_key=hlt_enterprise&encoding=json&api%5Fkey=hlt_x")
	c.say(`{"type":"ping"}`)
	c.await(isText(`{"type":"pong"}`))
	if len(v.conns) != 0 {
		t.Fatal("a ping opened an upstream socket")
	}
	sent := []string{
		`{"type":"subscribe",  "channel":"account_all_orders/7","auth":"1790000000:7:3:ab"}`,
		`{"type":"jsonapi/sendtx","data":{"id":"x","tx_type":14,"tx_info":{"a":1.50,"b":"é"}}}`,
		`{"type":"jsonapi/sendtxbatch","data":{"tx_types":"[14,15]","tx_infos":"[\"{}\",\"{}\"]"}}`,
		`{"type":"subscribe","channel":"ticker/0"}`,
		`{"type":"subscribe","channel":"order_book/0","auth":"1790000000:7:3:ab"}`,
		`{"type":"ping"}`,
		`{"type":"pong"}`,
		`{"type":"unsubscribe","channel":"ticker/0"}`,
	}
	for _, s := range sent {
		c.say("%s", s)
	}
	up := v.next()
	for _, want := range sent {
		if got := up.hear(t); got != want {
			t.Fatalf("upstream got %s, want %s", got, want)
		}
	}
	if up.query != "readonly=true&encoding=json" {
		t.Errorf("query upstream is %q", up.query)
	}
	if strings.Contains(up.headers, "hlt_") || !strings.Contains(up.headers, "hyperlight/test") {
		t.Errorf("headers upstream are %s", up.headers)
	}
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprintf(`{"type":"update/account_all_orders","n":%d, "x":"%s"}`, i, strings.Repeat("y", i)))
	}
	want = append(want, `{"type":"ping"}`, `{"error":{"code":20001,"message":"invalid param "}}`)
	for _, s := range want {
		up.tell(s)
	}
	c.await(isText(want[len(want)-1]))
	got := c.kept(func(*nativeFrame) bool { return true })[2:] // after the greeting and the first pong
	for i := range want {
		if got[i].raw != want[i] {
			t.Fatalf("message %d is %s, want %s", i, got[i].raw, want[i])
		}
	}
	other := dialNative(t, h.addr+"/stream?api_key=hlt_enterprise")
	other.say(`{"type":"subscribe","channel":"ticker/1"}`)
	second := v.next()
	if second.hear(t) != `{"type":"subscribe","channel":"ticker/1"}` {
		t.Error("the second client's message is another one's")
	}
	c.conn.Close()
	up.gone(t)
	second.tell(`{"still":"here"}`)
	other.await(isText(`{"still":"here"}`))
}

// A credential of ours never goes upstream, wherever a client puts it.
func TestOurCredentialsStayHere(t *testing.T) {
	v, h := serveFake(t, nil)
	c := dialNative(t, h.addr+"/stream?api_key=hlt_enterprise")
	for _, s := range []string{
		`{"type":"subscribe","channel":"account_tx/1","auth":"hlt_enterprise"}`,
		`{"type":"subscribe","channel":"account_tx/1","auth":"hlt_other"}`,
		`{"type":"subscribe","channel":"ticker/1","api_key":"hlt_enterprise"}`,
		`{"type":"jsonapi/sendtx","data":"hlt_enterprise"}`,
	} {
		if got := c.answers([]string{s}); !strings.Contains(got[0], `"code":20013`) {
			t.Errorf("%s was answered %s", s, got[0])
		}
	}
	if got := c.answers([]string{`{"type":"auth","api_key":"hlt_enterprise"}`}); !strings.Contains(got[0], `"code":30001`) {
		t.Errorf("an auth message in native mode was answered %s", got[0])
	}
	if len(v.conns) != 0 {
		t.Error("an upstream socket was opened")
	}
}

func TestPrivateSocketCap(t *testing.T) {
	v, h := serveFake(t, func(o *Options) { o.PrivateSockets = 2 })
	var conns []*nativeClient
	for i := range 3 {
		c := dialNative(t, h.addr+"/stream")
		c.say(`{"type":"subscribe","channel":"ticker/%d"}`, i)
		conns = append(conns, c)
		if i < 2 {
			v.next().hear(t)
		}
	}
	conns[2].await(isText(`{"error":{"code":23003,"message":"Too Many Connections!"}}`))
	conns[0].conn.Close()
	h.eventually("the first socket is free", func() bool { return h.s.privates.Load() == 1 })
	conns[2].say(`{"type":"subscribe","channel":"ticker/2"}`)
	if got := v.next().hear(t); got != `{"type":"subscribe","channel":"ticker/2"}` {
		t.Errorf("upstream got %s", got)
	}
}

// When the upstream socket ends the client is closed as the venue closed it, so that it connects again.
func TestUpstreamDeathClosesItsClient(t *testing.T) {
	v, h := serveFake(t, nil)
	for _, x := range []struct {
		end    func(*fakeConn)
		code   int
		reason string
	}{
		{func(c *fakeConn) { c.Conn.Close() }, 1001, "upstream connection ended"},
		{func(c *fakeConn) {
			_ = c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(1012, "deploying"))
		}, 1012, "deploying"},
		{func(c *fakeConn) { c.tell(`{"n":1}`); _ = c.WriteMessage(gorilla.CloseMessage, nil) }, 1001, "upstream connection ended"},
	} {
		c := dialNative(t, h.addr+"/stream")
		c.say(`{"type":"subscribe","channel":"ticker/0"}`)
		up := v.next()
		up.hear(t)
		x.end(up)
		if code, reason := c.ended(); code != x.code || reason != x.reason {
			t.Errorf("client closed with %d %q, want %d %q", code, reason, x.code, x.reason)
		}
	}
	h.eventually("the sockets are given back", func() bool { return h.s.privates.Load() == 0 })
}

// A venue that cannot be reached is told by its own error; the connection stays, and the next message tries again.
func TestUpstreamOutOfReach(t *testing.T) {
	var down sync.Map
	down.Store("down", true)
	v, h := serveFake(t, func(o *Options) {
		o.Upstream.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if _, is := down.Load("down"); is {
				return nil, fmt.Errorf("unreachable")
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	})
	c := dialNative(t, h.addr+"/stream")
	for range 2 {
		if got := c.answers([]string{`{"type":"subscribe","channel":"ticker/0"}`}); got[0] != `{"error":{"code":30011,"message":"Connect Failed"}}` {
			t.Fatalf("answered %s", got[0])
		}
	}
	down.Delete("down")
	h.eventually("the failed socket is gone", func() bool { return h.s.privates.Load() == 0 })
	c.say(`{"type":"subscribe","channel":"ticker/0"}`)
	v.next().hear(t)
}

// A client that does not read holds its own upstream back and loses nothing; others do not notice.
func TestPrivateBackPressure(t *testing.T) {
	v, h := serveFake(t, nil)
	c := dialNative(t, h.addr+"/stream")
	raw := c // its reader is fast; the slow one reads by hand
	d := gorilla.Dialer{ReadBufferSize: 1024}
	slow, _, err := d.Dial("ws://"+h.addr+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if err := slow.WriteMessage(gorilla.TextMessage, []byte(`{"type":"subscribe","channel":"ticker/0"}`)); err != nil {
		t.Fatal(err)
	}
	up := v.next()
	up.hear(t)
	const n = 1000
	piece := strings.Repeat("z", 16<<10)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			up.tell(fmt.Sprintf(`{"type":"update/x","n":%d,"z":%q}`, i, piece))
		}
	}()
	raw.say(`{"type":"ping"}`)
	raw.await(isText(`{"type":"pong"}`))
	slow.SetReadDeadline(time.Now().Add(60 * time.Second))
	for i := -1; i < n; i++ {
		_, b, err := slow.ReadMessage()
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if want := fmt.Sprintf(`"n":%d,`, i); i >= 0 && !strings.Contains(string(b), want) {
			t.Fatalf("message %d is %.60s", i, b)
		}
	}
	<-sent
}

func TestUpstreamQuery(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "api_key=x": "", "readonly=true": "readonly=true", "a=1&api_key=x&b=2": "a=1&b=2", "api%5fkey=x&c": "c",
		"a=%2F+&&b": "a=%2F+&b", "%zz=1&a": "a", "api_key": "", "xapi_key=1": "xapi_key=1",
	} {
		if got := upstreamQuery(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Without a credential a client is let in once for each address, and not at all where that is forbidden.
func TestAnonymousClients(t *testing.T) {
	remote := func(o *Options) {
		o.Access = testAccess{}
		o.ClientIP = func(_ netip.Addr, chain string) netip.Addr { ip, _ := netip.ParseAddr(chain); return ip }
	}
	_, h := serveFake(t, remote)
	from := func(ip string) *nativeClient {
		return dialHeader(t, h.addr+"/stream", http.Header{"X-Forwarded-For": {ip}})
	}
	first := from("198.51.100.1")
	first.answers([]string{`{"type":"ping"}`})
	second := from("198.51.100.1")
	second.say(`{"type":"ping"}`)
	second.await(isText(`{"error":{"code":23003,"message":"Too Many Connections!"}}`))
	if code, _ := second.ended(); code != int(closeLimit) {
		t.Errorf("closed with %d", code)
	}
	from("198.51.100.2").answers([]string{`{"type":"ping"}`})
	first.conn.Close()
	h.eventually("the slot is free", func() bool {
		h.s.quota.mu.Lock()
		defer h.s.quota.mu.Unlock()
		return h.s.quota.used["ip:198.51.100.1/32"] == nil
	})
	from("198.51.100.1").answers([]string{`{"type":"ping"}`})

	_, closed := serveFake(t, func(o *Options) { remote(o); o.AllowAnonymous = false })
	c := dialNative(t, closed.addr+"/stream")
	c.say(`{"type":"ping"}`)
	if code, _ := c.ended(); code != int(closeAuth) {
		t.Errorf("closed with %d, want 4001", code)
	}
	// A credential identifies without a word, a bad one is refused at once.
	named := dialNative(t, closed.addr+"/stream?api_key=hlt_starter")
	if got := named.answers([]string{`{"type":"ping"}`}); got[0] != `{"type":"pong"}` {
		t.Errorf("got %s", got[0])
	}
	bad := dialNative(t, closed.addr+"/stream?api_key=hlt_nobody")
	if code, _ := bad.ended(); code != int(closeAuth) {
		t.Errorf("closed with %d, want 4001", code)
	}
}

// An auth message first makes the connection one of /ws, frame by frame.
func TestStreamWithAuthIsWS(t *testing.T) {
	h := serve(t, Options{Native: lighterNative(), Access: testAccess{}})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(100, 5))
	stream, live := h.dial("/stream", nil), h.dial("/ws", nil)
	stream.expect("connected")
	var got [2][]string
	for i, c := range []*client{stream, live} {
		for _, m := range []string{
			`{"type":"auth","api_key":"hlt_starter","heartbeats":true}`, `{"type":"subscribe","channel":"order_book/0"}`, `{"type":"ping"}`,
			`{"type":"subscribe","channel":"height"}`, `{"type":"auth","api_key":"hlt_starter"}`, `nonsense`,
			`{"type":"subscribe","channel":"order_book/1","auth":"x"}`, `{"type":"unsubscribe","channel":"order_book:0"}`,
		} {
			c.say("%s", m)
			f := c.read()
			got[i] = append(got[i], f.Type+f.Code+f.Channel+f.Tier)
			if f.Type == "subscribed" && f.Channel == "order_book/0" {
				got[i] = append(got[i], c.expect("order_book_update").Type)
			}
		}
	}
	if !slices.Equal(got[0], got[1]) {
		t.Errorf("stream %q\nws     %q", got[0], got[1])
	}
	// The handshake's credential only identifies: the mode is still open, and the message replaces the owner.
	c := h.dial("/stream?api_key=hlt_growth", nil)
	c.expect("connected")
	c.say(`{"type":"auth","api_key":"hlt_starter"}`)
	if f := c.expect("authenticated"); f.Tier != "starter" {
		t.Errorf("tier %s", f.Tier)
	}
	bad := h.dial("/stream", nil)
	bad.expect("connected")
	bad.say(`{"type":"auth","api_key":"hlt_nobody"}`)
	bad.expectError(codeUnauthorized)
	bad.expectClose(closeAuth)
	h.eventually("only one owner is counted", func() bool {
		h.s.quota.mu.Lock()
		defer h.s.quota.mu.Unlock()
		u := h.s.quota.used["growth"]
		return u == nil && h.s.quota.used["starter"][slotConnection] == 3
	})
}
