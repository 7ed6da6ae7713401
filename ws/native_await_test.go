package ws

import (
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/model"
)

func everything(*model.Market) bool { return true }

// waiting tells whether somebody waits for a channel's first state.
func (c *nativeChannel) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.arrival != nil
}

// A subscription to what is followed and not there yet waits for it, so that bots who come back all at once after a
// start do not open an upstream socket each.
func TestNativeWaitsForChannel(t *testing.T) {
	t.Parallel() // it waits
	r := followVenue(t, func(o *Options) { o.Follows, o.Limits.NativeWait = everything, time.Hour })
	m, _ := r.registry.ByNative(venueLighter, 3) // nothing comes of it
	late := r.s.hub.feed(m).native[nativeTrade]
	c := dialNative(t, r.addr+"/stream")
	c.say(`{"type":"subscribe","channel":"trade/3"}`)
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	r.eventually("it is waited for", late.waiting)
	if n := len(c.kept(func(f *nativeFrame) bool { return f.data() || f.Error != nil })); n != 0 || r.privates.Load() != 0 {
		t.Fatalf("%d answers and %d private sockets before the channel is there", n, r.privates.Load())
	}
	late.onHeld()
	c.await(ofChannel("trade:3"))
	c.await(ofChannel("order_book:0"))
	if n := r.privates.Load(); n != 0 {
		t.Errorf("%d private sockets", n)
	}
}

// What does not come in time the venue is asked for, and nothing is waited for on that connection again.
func TestNativeWaitsOnce(t *testing.T) {
	t.Parallel() // it waits
	const patience = 500 * time.Millisecond
	var looked atomic.Int64 // for something to wait for
	r := followVenue(t, func(o *Options) {
		o.Follows, o.Limits.NativeWait = func(*model.Market) bool { looked.Add(1); return true }, patience
	})
	c := dialNative(t, r.addr+"/stream")
	asked := time.Now()
	c.say(`{"type":"subscribe","channel":"order_book/3"}`)
	c.await(ofChannel("order_book:3"))
	if took := time.Since(asked); took < patience || r.privates.Load() != 1 || looked.Load() != 1 {
		t.Errorf("the venue was asked after %s, over %d sockets; %d looks", took, r.privates.Load(), looked.Load())
	}
	c.say(`{"type":"subscribe","channel":"market_stats/3"}`)
	c.await(ofChannel("market_stats:3"))
	if n := looked.Load(); n != 1 {
		t.Errorf("it was waited again: %d looks", n)
	}
}

// A client that goes while it waits is let go of at once.
func TestNativeWaitEndsWithConnection(t *testing.T) {
	t.Parallel()
	r := followVenue(t, func(o *Options) { o.Follows, o.Limits.NativeWait = everything, time.Hour })
	m, _ := r.registry.ByNative(venueLighter, 3)
	c := dialNative(t, r.addr+"/stream")
	c.say(`{"type":"subscribe","channel":"order_book/3"}`)
	r.eventually("it is waited for", r.s.hub.feed(m).native[nativeBook].waiting)
	r.s.mu.Lock()
	for conn := range r.s.conns {
		conn.shut(closeRevoked, true)
	}
	r.s.mu.Unlock()
	c.ended()
	r.eventually("the connection is forgotten", func() bool {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		return len(r.s.conns) == 0
	})
}
