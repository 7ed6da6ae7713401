package ws

import (
	"time"

	"hyperlight/engine/model"
)

// await waits, at most for Limits.NativeWait, until a channel that is followed can be subscribed to: after a start, or
// while the venue's socket is opened anew, ours has nothing to begin with. All bots come back at such a moment, and what
// each of them then took over a socket of its own it would keep there. A venue that is slower than that is asked by the
// client itself. It holds up this client's messages only, and where it waited in vain the connection does not wait again:
// what does not come once may never come.
func (n *nativeSession) await(c *nativeChannel) {
	follows := n.c.server.o.Follows
	if n.hurried || follows == nil {
		return
	}
	var m *model.Market
	if c != n.c.server.hub.height && !c.all() {
		m = c.market.Load()
	}
	if !follows(m) {
		return
	}
	var limit <-chan time.Time
	for {
		c.mu.Lock()
		if c.available() {
			c.mu.Unlock()
			return
		}
		if c.arrival == nil {
			c.arrival = make(chan struct{})
		}
		arrival := c.arrival
		c.mu.Unlock()
		if limit == nil {
			t := time.NewTimer(n.c.server.limits.NativeWait)
			defer t.Stop()
			limit = t.C
		}
		select {
		case <-arrival:
		case <-n.c.written: // the connection has ended
			return
		case <-limit:
			n.hurried = true
			return
		}
	}
}

// arrived wakes those who wait for the channel's first state. The lock is held.
func (c *nativeChannel) arrived() {
	if c.arrival != nil {
		close(c.arrival)
		c.arrival = nil
	}
}
