package ws

import (
	"testing"
	"time"

	"hyperlight/engine/model"
)

// A subscription to what is followed and not there yet waits for it, so that bots who come back all at once after a
// start do not open an upstream socket each; what does not come in time the venue is asked for, and nothing is waited
// for on that connection again.
func TestNativeWaitsForChannel(t *testing.T) {
	t.Parallel() // it waits
	r := followVenue(t, func(o *Options) { o.Follows = func(*model.Market) bool { return true } })
	m, _ := r.registry.ByNative(venueLighter, 3) // nothing comes of it
	c := dialNative(t, r.addr+"/stream")
	c.say(`{"type":"subscribe","channel":"trade/3"}`)
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	time.Sleep(time.Second)
	if n := len(c.kept(func(f *nativeFrame) bool { return f.data() || f.Error != nil })); n != 0 || r.privates.Load() != 0 {
		t.Fatalf("%d answers and %d private sockets before the channel is there", n, r.privates.Load())
	}
	r.s.hub.feed(m).native[nativeTrade].onHeld()
	c.await(ofChannel("trade:3"))
	c.await(ofChannel("order_book:0"))
	if n := r.privates.Load(); n != 0 {
		t.Errorf("%d private sockets", n)
	}

	asked := time.Now()
	c.say(`{"type":"subscribe","channel":"order_book/3"}`)
	c.await(ofChannel("order_book:3"))
	if took := time.Since(asked); took < nativeWait || r.privates.Load() != 1 {
		t.Errorf("the venue was asked after %s, over %d sockets", took, r.privates.Load())
	}
	asked = time.Now()
	c.say(`{"type":"subscribe","channel":"market_stats/3"}`)
	c.await(ofChannel("market_stats:3"))
	if took := time.Since(asked); took > nativeWait-time.Second {
		t.Errorf("it was waited again, for %s", took)
	}
}

// A client that goes while it waits is let go of at once.
func TestNativeWaitEndsWithConnection(t *testing.T) {
	t.Parallel()
	r := followVenue(t, func(o *Options) { o.Follows = func(*model.Market) bool { return true } })
	c := dialNative(t, r.addr+"/stream")
	c.say(`{"type":"subscribe","channel":"order_book/3"}`)
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
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
	if took := time.Since(began); took > nativeWait-2*time.Second {
		t.Errorf("it took %s", took)
	}
}
