package ws

import (
	"sync"
	"sync/atomic"
	"time"
)

// nativeSilence is the reason that the venue gives with its close code 1000.
const nativeSilence = "i/o timeout"

// idleness knows for how long a client has been silent and since when it has nothing subscribed. One timer serves all
// time-outs of a connection; without any there is none.
type idleness struct {
	began time.Time
	heard atomic.Int64 // from then to the last frame from the client: a set clock does not change it

	mu    sync.Mutex
	held  int       // subscriptions, running replays and private sockets
	bare  time.Time // since when held is 0
	timer *time.Timer
	ended bool
}

func (i *idleness) hear(now time.Time) { i.heard.Store(int64(now.Sub(i.began))) }

// end stops the timer for good.
func (i *idleness) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	if i.timer != nil {
		i.timer.Stop()
	}
}

func (c *Conn) beginIdle() {
	now := c.server.o.Now()
	c.idle.mu.Lock()
	c.idle.began, c.idle.bare = now, now
	c.idle.mu.Unlock()
	c.armIdle()
}

// hold counts what the client has going: n is 1 or -1. It may be called from any goroutine.
func (c *Conn) hold(n int) {
	c.idle.mu.Lock()
	defer c.idle.mu.Unlock()
	was := c.idle.held
	c.idle.held += n
	switch {
	case c.idle.held == 0:
		c.idle.bare = c.server.o.Now()
	case was != 0:
		return
	}
	c.setIdle()
}

// armIdle sets the timer after a change of what limits the connection.
func (c *Conn) armIdle() {
	c.idle.mu.Lock()
	defer c.idle.mu.Unlock()
	c.setIdle()
}

// setIdle sets the timer to the next moment at which a time-out could be over. idle.mu is held.
func (c *Conn) setIdle() {
	left, limited := c.idleLeft(c.server.o.Now())
	switch t := c.idle.timer; {
	case c.idle.ended || !limited && t == nil:
	case !limited:
		t.Stop()
	case t == nil:
		c.idle.timer = time.AfterFunc(max(left, 0), c.checkIdle)
	default:
		t.Reset(max(left, 0))
	}
}

// checkIdle runs when a time-out may be over.
func (c *Conn) checkIdle() {
	c.idle.mu.Lock()
	defer c.idle.mu.Unlock()
	if left, limited := c.idleLeft(c.server.o.Now()); !limited || left > 0 {
		c.setIdle()
		return
	}
	reason := "idle"
	if c.native.Load() {
		reason = nativeSilence
	}
	c.shutFor(closeNormal, reason, false)
}

// idleLeft returns how long the connection may still be idle, false where it may be for ever. idle.mu is held.
func (c *Conn) idleLeft(now time.Time) (left time.Duration, limited bool) {
	limit := func(since time.Time, d time.Duration) {
		if d <= 0 {
			return
		}
		if l := d - now.Sub(since); !limited || l < left {
			left, limited = l, true
		}
	}
	heard := c.idle.began.Add(time.Duration(c.idle.heard.Load()))
	if c.native.Load() {
		limit(heard, c.server.limits.NativeIdle)
	}
	if p := c.owner.Load(); p != nil {
		if c.idle.held > 0 {
			limit(heard, time.Duration(p.Plan.IdleTimeoutWithSubscriptions))
		} else {
			limit(c.idle.bare, time.Duration(p.Plan.IdleTimeoutWithoutSubscriptions))
		}
	}
	return left, limited
}
