package ws

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/fasthttp/websocket"

	"hyperlight/config"
)

const hostileKey = "hlt_0123456789abcdef0123456789abcdef0123456789abcdef"
const hostileToken = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJoeXBlcmxpZ2h0In0.c2lnbmF0dXJl"

// The rules of what leaves are those of REST: whatever some decoder reads as our credential stays, under any name.
func TestUpstreamQueryHoldsNothingOfOurs(t *testing.T) {
	for in, want := range map[string]string{
		"API_KEY=x&a=1": "a=1", "%2561pi_key=x&a=1": "a=1", "api_key[]=x": "", "a=1;api_key=x": "a=1", "token=" + hostileKey: "",
		"a=1&x=Bearer+" + hostileToken: "a=1", "auth=1777000000:1:2:ab&api_key=x": "auth=1777000000:1:2:ab", "a=\x7f": "", "a=b#c": "", "a=\xff": "a=\xff",
	} {
		if got := upstreamQuery(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A credential of ours stays here behind escapes, with the scheme's word in front, and where the handshake showed none.
func TestOurCredentialsStayHereInDisguise(t *testing.T) {
	v, h := serveFake(t, nil)
	c := dialNative(t, h.addr+"/stream")
	for _, s := range []string{
		`{"type":"subscribe","channel":"account_tx/1","auth":"Bearer ` + hostileKey + `"}`,
		`{"type":"subscribe","channel":"account_tx/1","auth":"\u0068lt_` + hostileKey[4:] + `"}`,
		`{"type":"subscribe","channel":"account_tx/1","auth":"` + hostileToken + `"}`,
		`{"type":"subscribe","channel":"account_tx/1","auth":"Bearer ` + hostileToken + `"}`,
		`{"type":"subscribe","channel":"account_tx/` + hostileKey + `"}`,
		`{"type":"jsonapi/sendtx","data":{"tx_info":"` + hostileKey + `"}}`,
		`{"type":"jsonapi/sendtx","data":{"tx_info":"\u0068\u006ct_` + hostileKey[4:] + `"}}`,
	} {
		if got := c.answers([]string{s}); !strings.Contains(got[0], `"code":20013`) {
			t.Errorf("%s was answered %s", s, got[0])
		}
	}
	if len(v.conns) != 0 {
		t.Error("an upstream socket was opened")
	}
}

// Only the venue's two calls of that kind are no messages, and only where everybody reads the type alike: a subscribe
// that mentions one counts here and in the allowance that is shared with the feed.
func TestOnlyTransactionsAreNotCounted(t *testing.T) {
	var taken atomic.Int64
	v, h := serveFake(t, func(o *Options) {
		o.Upstream.Take = func() bool { return taken.Add(1) <= 6 }
		o.Limits.NativeMessages = 8
	})
	c := dialNative(t, h.addr+"/stream?api_key=hlt_enterprise")
	sly := []string{
		`{"type":"subscribe","channel":"ticker/0","x":"jsonapi/"}`,
		`{"type":"subscribe","channel":"jsonapi/x"}`,
		`{"type":"jsonapi/other"}`,
		`{"type":"subscribe","Type":"jsonapi/sendtx","channel":"ticker/0"}`,
		`{"type":"jsonapi/sendtx","type":"jsonapi/sendtx"}`,
		`{"type":"jsonapi/sendtx","TYPE":"jsonapi/sendtx"}`,
	}
	for _, s := range sly {
		c.say("%s", s)
	}
	up := v.next()
	for range sly {
		up.hear(t)
	}
	if got := taken.Load(); got != 6 {
		t.Errorf("%d of %d messages were counted", got, len(sly))
	}
	for i := range 50 {
		c.say(`{"type":"jsonapi/sendtx","data":{"id":"%d","tx_info":{"Type":0,"type":1}}}`, i)
		c.say(`{"type":"jsonapi/sendtxbatch","data":{}}`)
		up.hear(t)
		up.hear(t)
	}
	if got := c.answers([]string{sly[0]}); !strings.Contains(got[0], `"code":30009`) {
		t.Errorf("beyond the shared allowance: %s", got[0])
	}
}

// Nobody behind an address sends transactions without bound: they are counted like other messages.
func TestAnonymousTransactionsAreCounted(t *testing.T) {
	v, h := serveFake(t, func(o *Options) {
		o.Limits.NativeMessages = 3
		o.Access = testAccess{}
		o.ClientIP = func(netip.Addr, string) netip.Addr { return netip.MustParseAddr("198.51.100.1") }
	})
	c := dialHeader(t, h.addr+"/stream", http.Header{"X-Forwarded-For": {"198.51.100.1"}})
	for range 3 {
		c.say(`{"type":"jsonapi/sendtx","data":{}}`)
	}
	up := v.next()
	for range 3 {
		up.hear(t)
	}
	c.say(`{"type":"jsonapi/sendtx","data":{}}`)
	c.await(func(f *nativeFrame) bool { return strings.Contains(f.raw, `"code":30009`) })
}

// A venue that is out of reach is not dialled for each message.
func TestNoStormOfDials(t *testing.T) {
	var dials atomic.Int64
	var log strings.Builder
	_, h := serveFake(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Upstream.Dial = func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return nil, fmt.Errorf("unreachable")
		}
	})
	c := dialNative(t, h.addr+"/stream?api_key=hlt_enterprise&auth=1777000000:1:2:ab")
	for range 50 {
		if got := c.answers([]string{`{"type":"jsonapi/sendtx","data":{}}`}); !strings.Contains(got[0], `"code":30011`) {
			t.Fatalf("answered %s", got[0])
		}
	}
	if n := dials.Load(); n > nativeDials+3 {
		t.Errorf("%d dials for 50 messages", n)
	}
	h.eventually("the failed socket is gone", func() bool { return h.s.privates.Load() == 0 })
	if strings.Contains(log.String(), "1777000000") {
		t.Errorf("a token is logged: %s", log.String())
	}
}

// A message that comes while the socket it goes to fails is answered too.
func TestMessageToAFailingSocket(t *testing.T) {
	_, h := serveFake(t, func(o *Options) {
		o.Upstream.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, fmt.Errorf("unreachable") }
	})
	c := dialNative(t, h.addr+"/stream?api_key=hlt_enterprise")
	c.answers([]string{`{"type":"jsonapi/sendtx","data":{}}`})
	var up *private
	h.s.mu.Lock()
	for conn := range h.s.conns {
		up = conn.private.Load()
	}
	h.s.mu.Unlock()
	<-up.done
	const n = 50
	for range n {
		up.push([]byte("{}"))
	}
	refused := func(f *nativeFrame) bool { return strings.Contains(f.raw, `"code":30011`) }
	h.eventually("each has its answer", func() bool { return len(c.kept(refused)) == 1+n })
}

// Who floods in the venue's protocol is cut off in the end, as on /ws.
func TestNativeFloodEnds(t *testing.T) {
	_, h := serveFake(t, func(o *Options) { o.Limits.NativeMessages = 3 })
	c := dialNative(t, h.addr+"/stream?api_key=hlt_enterprise")
	for range 3 + nativeStrikes {
		c.say(`{"type":"nonsense"}`)
	}
	if code, _ := c.ended(); code != int(closeRate) {
		t.Errorf("closed with %d", code)
	}
}

// A handshake with a bad credential takes no more room than one without any.
func TestBadCredentialsWaitInTheLobby(t *testing.T) {
	keys := newKeyring(map[string]config.Plan{"a": anyPlan()})
	keys.most = 1 << 20
	stranger := netip.MustParseAddr("192.0.2.7")
	h := serve(t, Options{Access: keys, Limits: Limits{Strangers: 2, CloseTimeout: 5 * time.Second},
		ClientIP: func(netip.Addr, string) netip.Addr { return stranger }})
	waiting := func() int {
		h.s.lobby.mu.Lock()
		defer h.s.lobby.mu.Unlock()
		return h.s.lobby.waiting[blockOf(stranger)]
	}
	full, opened := 0, 0
	for range 12 {
		conn, resp, err := gorilla.DefaultDialer.Dial("ws://"+h.addr+"/ws?api_key=wrong", nil)
		if err != nil {
			if resp == nil || resp.StatusCode != 429 {
				t.Fatal(err)
			}
			full++
			continue
		}
		defer conn.Close()
		// A handshake is answered a moment before its socket is counted.
		opened++
		eventually(t, func() bool { return waiting() >= min(opened, 4) })
	}
	if full == 0 {
		t.Error("12 sockets with a bad credential are open from one address that may have 4 waiting")
	}
	if n := waiting(); n > 4 {
		t.Errorf("%d wait", n)
	}
}
