package ws

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/config"
	"hyperlight/engine/access"
)

// idleConn is a connection without a socket: only its time-outs run.
func idleConn(t *testing.T, s *Server, p config.Plan, native bool) *Conn {
	c := &Conn{server: s, queue: newQueue(8, 1<<20)}
	c.native.Store(native)
	c.owner.Store(&access.Principal{Plan: &access.Plan{Plan: p}, Account: "a"})
	c.beginIdle()
	t.Cleanup(c.idle.end)
	return c
}

func TestIdleTimeouts(t *testing.T) {
	with, without := 60*time.Second, 5*time.Minute
	limited := anyPlan()
	limited.IdleTimeoutWithSubscriptions, limited.IdleTimeoutWithoutSubscriptions = config.Duration(with), config.Duration(without)
	hears := func(c *Conn, every time.Duration, times int) {
		for range times {
			time.Sleep(every)
			c.idle.hear(time.Now())
		}
	}
	const never = -1
	for _, x := range []struct {
		name   string
		plan   config.Plan
		native bool
		do     func(c *Conn)
		after  time.Duration // from the end of do to the close
	}{
		{"nothing is limited", anyPlan(), false, func(*Conn) {}, never},
		{"nothing subscribed", limited, false, func(*Conn) {}, without},
		{"nothing subscribed, though it talks", limited, false, func(c *Conn) { hears(c, 30*time.Second, 9) }, without - 270*time.Second},
		{"subscribed and silent", limited, false, func(c *Conn) { c.hold(1) }, with},
		{"subscribed and talking", limited, false, func(c *Conn) { c.hold(1); hears(c, 59*time.Second, 10) }, with},
		{"unsubscribed", limited, false, func(c *Conn) { c.hold(1); hears(c, 50*time.Second, 6); c.hold(-1) }, without},
		{"two subscriptions, one given up", limited, false, func(c *Conn) { c.hold(1); c.hold(1); time.Sleep(20 * time.Second); c.hold(-1) }, with - 20*time.Second},
		{"native and silent", anyPlan(), true, func(*Conn) {}, 2 * time.Minute},
		{"native and talking", anyPlan(), true, func(c *Conn) { hears(c, 119*time.Second, 5) }, 2 * time.Minute},
		{"native under a narrower plan", limited, true, func(c *Conn) { c.hold(1) }, with},
		{"a plan that gets limits", anyPlan(), false, func(c *Conn) {
			time.Sleep(time.Hour)
			c.hold(1)
			c.idle.hear(time.Now())
			c.owner.Store(&access.Principal{Plan: &access.Plan{Plan: limited}})
			c.armIdle()
		}, with},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Server{limits: Limits{}.withDefaults(), o: Options{Now: time.Now}}
				c := idleConn(t, s, x.plan, x.native)
				defer c.idle.end()
				x.do(c)
				if c.closing.Load() {
					t.Fatal("closed before its time")
				}
				if x.after == never {
					time.Sleep(100 * time.Hour)
					if synctest.Wait(); c.closing.Load() {
						t.Fatal("closed")
					}
					return
				}
				time.Sleep(x.after - time.Millisecond)
				if synctest.Wait(); c.closing.Load() {
					t.Fatal("closed a millisecond too early")
				}
				time.Sleep(2 * time.Millisecond)
				if synctest.Wait(); !c.closing.Load() || c.code != closeNormal {
					t.Fatalf("closing %v, code %d", c.closing.Load(), c.code)
				}
				if want := map[bool]string{true: "i/o timeout", false: "idle"}[x.native]; c.reason != want {
					t.Errorf("reason %q", c.reason)
				}
			})
		})
	}
}

// Over a socket: a client of /stream that says nothing, not even its first word, goes with 1000 as at the venue; one that
// only sends pings of the protocol below stays.
func TestNativeSilence(t *testing.T) {
	const idle = 200 * time.Millisecond
	var ahead atomic.Int64
	begin := time.Now().Add(time.Hour) // a clock that stands: deadlines of sockets are far away
	h := serve(t, Options{Native: lighterNative(), AllowAnonymous: true, Limits: Limits{NativeIdle: idle, AuthTimeout: time.Millisecond},
		Now: func() time.Time { return begin.Add(time.Duration(ahead.Load())) }})
	silent, alive := dialNative(t, h.addr+"/stream"), dialNative(t, h.addr+"/stream")
	ahead.Store(int64(idle * 3 / 4))
	if err := alive.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	h.eventually("the ping is heard", func() bool {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		for c := range h.s.conns {
			if c.idle.heard.Load() > 0 {
				return true
			}
		}
		return false
	})
	ahead.Store(int64(idle * 5 / 4))
	if code, reason := silent.ended(); code != 1000 || reason != "i/o timeout" {
		t.Errorf("closed with %d %q", code, reason)
	}
	time.Sleep(2 * idle) // its timer has looked at the clock, too
	alive.answers([]string{`{"type":"ping"}`})
}
