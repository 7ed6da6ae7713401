package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// bubble is a server inside a synctest bubble: its sockets are pipes in memory and its clock is the bubble's.
type bubble struct {
	t   testing.TB
	s   *Server
	srv *fasthttp.Server
	wg  sync.WaitGroup
}

// inBubble runs f with a server in a bubble.
func inBubble(t *testing.T, o Options, f func(t *testing.T, b *bubble)) {
	t.Helper()
	fasthttp.AppendHTTPDate(nil, time.Now())
	serve(t, Options{}).dial("/ws", nil) // starts what the library keeps for ever, outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, o)
		defer b.close()
		f(t, b)
	})
}

func newBubble(t testing.TB, o Options) *bubble {
	if o.Markets == nil {
		o.Markets = testMarkets{}
	}
	if o.Access == nil {
		o.Access = testAccess{}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b := &bubble{t: t, s: s}
	b.srv = &fasthttp.Server{ReadBufferSize: 16 << 10, Handler: func(ctx *fasthttp.RequestCtx) {
		switch string(ctx.Path()) {
		case pathReplay:
			s.Replay(ctx)
		case pathStream:
			s.Stream(ctx)
		default:
			s.WS(ctx)
		}
	}}
	return b
}

func (b *bubble) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.s.Close(ctx); err != nil {
		b.t.Errorf("close: %v", err)
	}
	b.wg.Wait()
	time.Sleep(time.Minute) // timers that were set run out
}

// peer is a client in the bubble. What comes is collected as it comes.
type peer struct {
	b    *bubble
	conn *websocket.Conn

	mu     sync.Mutex
	frames []frame
	at     []time.Time
	pings  int
	mute   bool // pings are not answered
	code   int  // close code, 0 while open, -1 where there was none
}

func (b *bubble) dial(path string, header http.Header) *peer {
	client, server := net.Pipe()
	b.wg.Go(func() { _ = b.srv.ServeConn(server) })
	d := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return client, nil }}
	conn, _, err := d.Dial("ws://localhost"+path, header)
	if err != nil {
		b.t.Fatalf("dial: %v", err)
	}
	p := &peer{b: b, conn: conn}
	conn.SetPingHandler(func(text string) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pings++
		if p.mute {
			return nil
		}
		return conn.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(time.Second))
	})
	b.wg.Go(p.read)
	return p
}

func (p *peer) read() {
	defer p.conn.Close()
	for {
		_, text, err := p.conn.ReadMessage()
		p.mu.Lock()
		if err != nil {
			p.code = -1
			var e *websocket.CloseError
			if errors.As(err, &e) {
				p.code = e.Code
			}
			p.mu.Unlock()
			return
		}
		f := frame{raw: string(text)}
		if err := json.Unmarshal(text, &f); err != nil {
			p.b.t.Errorf("frame %q: %v", text, err)
		}
		p.frames, p.at = append(p.frames, f), append(p.at, time.Now())
		p.mu.Unlock()
	}
}

// say sends a message, if the socket is open, and returns all that came since the last call once nothing more happens.
func (p *peer) say(format string, args ...any) []frame {
	_ = p.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)) // a closed socket is seen by its code
	return p.take()
}

// take returns what came since the last call, once nothing more happens at this moment.
func (p *peer) take() []frame {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Clone(p.frames)
	p.frames, p.at = p.frames[:0], p.at[:0]
	return out
}

// only takes exactly one frame.
func (p *peer) only(kind string) frame {
	p.b.t.Helper()
	frames := p.take()
	if len(frames) != 1 || frames[0].Type != kind {
		p.b.t.Fatalf("got %d frames (%v), want one %s", len(frames), frames, kind)
	}
	return frames[0]
}

func (p *peer) closed() int {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.code
}

func (p *peer) pinged() int {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pings
}

var growthKey = http.Header{"X-Api-Key": {"hlt_growth"}}

func TestAuthTimeoutIsTenSeconds(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, b *bubble) {
		p := b.dial("/ws", nil)
		time.Sleep(10*time.Second - time.Millisecond)
		if f := p.take(); len(f) != 0 || p.closed() != 0 {
			t.Fatalf("too early: %v, closed %d", f, p.closed())
		}
		time.Sleep(2 * time.Millisecond)
		if f := p.only("error"); f.Code != codeAuthTimeout || p.closed() != int(closeNoAuth) {
			t.Errorf("got %s, closed with %d", f.raw, p.closed())
		}
		// Who has authenticated in the last moment stays.
		p = b.dial("/ws", nil)
		time.Sleep(10*time.Second - time.Millisecond)
		p.say(`{"type":"auth","api_key":"hlt_free"}`)
		time.Sleep(time.Minute)
		if p.closed() != 0 {
			t.Errorf("closed with %d", p.closed())
		}
	})
}

func TestPingEveryThirtySeconds(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, b *bubble) {
		p := b.dial("/ws", growthKey)
		time.Sleep(30*time.Second - time.Millisecond)
		if p.pinged() != 0 {
			t.Fatal("pinged too early")
		}
		time.Sleep(2 * time.Millisecond)
		if p.pinged() != 1 {
			t.Fatal("no ping after 30 s")
		}
		time.Sleep(10 * time.Minute)
		if n := p.pinged(); n != 21 || p.closed() != 0 {
			t.Errorf("%d pings in ten and a half minutes, closed %d", n, p.closed())
		}
		p.mu.Lock()
		p.mute = true
		p.mu.Unlock()
		time.Sleep(30*time.Second + 10*time.Second - 2*time.Millisecond)
		if p.pinged() != 22 || p.closed() != 0 {
			t.Fatalf("%d pings, closed %d before the pong was due", p.pinged(), p.closed())
		}
		time.Sleep(3 * time.Millisecond)
		if p.closed() != int(closeNoPong) {
			t.Errorf("closed with %d", p.closed())
		}
	})
}

func TestHeartbeatsAfterFiveSeconds(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, b *bubble) {
		k := newMaker(b.s.Hub(), 0)
		p := b.dial("/ws", nil)
		p.say(`{"type":"auth","api_key":"hlt_growth","heartbeats":true}`)
		for _, ch := range []string{"trade/0", "enriched_trade/0", "alert/0"} {
			p.say(`{"type":"subscribe","channel":%q}`, ch)
		}
		k.trades(1, model.TradeBatch{})
		p.take()
		began := time.Now()
		var beats []time.Duration
		for range 60 {
			time.Sleep(500 * time.Millisecond)
			for _, f := range p.take() {
				if f.Type != "heartbeat" || f.Age == nil || *f.Age < 5000 {
					t.Fatalf("got %s", f.raw)
				}
				if f.Channel == "alert/0" {
					beats = append(beats, time.Since(began))
				}
			}
		}
		if len(beats) < 5 || len(beats) > 6 || beats[0] < 5*time.Second || beats[0] > 6500*time.Millisecond {
			t.Errorf("heartbeats after %v", beats)
		}
	})
}

func TestMessageRateByTheClock(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, b *bubble) {
		p := b.dial("/ws", growthKey)
		p.take()
		for i := range 60 {
			if f := p.say(`{"type":"ping"}`); len(f) != 1 || f[0].Type != "pong" {
				t.Fatalf("message %d: %v", i, f)
			}
		}
		refused := func(times int) (n int) {
			for range times {
				if f := p.say(`{"type":"ping"}`); len(f) == 1 && f[0].Code == codeRateLimit {
					n++
				}
			}
			return n
		}
		if refused(2) != 2 {
			t.Fatal("more than 60 at once are taken")
		}
		time.Sleep(time.Second / 30)
		if refused(1) != 0 || refused(2) != 2 {
			t.Fatal("one token after a thirtieth of a second, no more")
		}
		if p.closed() != 0 {
			t.Fatal("an accepted message did not set the count back")
		}
		if refused(1) != 1 || p.closed() != int(closeRate) {
			t.Errorf("closed with %d after the third violation in a row", p.closed())
		}
	})
}

func TestSubscribeRateOfAPlan(t *testing.T) {
	limited := anyPlan()
	limited.SubscribeOpsPerSecond, limited.Connections, limited.Subscriptions = 10, -1, -1
	keys := newKeyring(nil)
	keys.changed = nil // nothing changes, and a channel from outside would keep the bubble's clock from going on
	keys.plans["hlt_x"] = &access.Plan{Plan: limited}
	inBubble(t, Options{Access: keys}, func(t *testing.T, b *bubble) {
		p := b.dial("/ws", http.Header{"X-Api-Key": {"hlt_x"}})
		p.take()
		for range 2 {
			for i := range 14 {
				want := "subscribed"
				if i >= 10 {
					want = "error"
				}
				if f := p.say(`{"type":"subscribe","channel":"trade/%d"}`, i%5); len(f) != 1 || f[0].Type != want || want == "error" && f[0].Code != codeRateLimit {
					t.Fatalf("operation %d: %v, want %s", i, f, want)
				}
			}
			if f := p.say(`{"type":"ping"}`); len(f) != 1 || f[0].Type != "pong" || p.closed() != 0 {
				t.Fatalf("refused subscriptions count as violations: %v", f)
			}
			time.Sleep(time.Second)
		}
	})
}
