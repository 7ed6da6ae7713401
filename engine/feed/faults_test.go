package feed_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
)

// TestUnaskedUnsubscribe lets the venue end channels that nobody gave up: nothing more would come on them, so the hole is
// told and they are taken again.
func TestUnaskedUnsubscribe(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(1, 0), market(2, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		out.gaps()
		v.forget()
		c := v.latest()
		v.mu.Lock()
		delete(c.held, "trade:1")
		delete(c.held, "order_book:2")
		v.mu.Unlock()
		c.send(lighter.AppendUnsubscribedFrame(nil, "trade:1"))
		c.send(lighter.AppendUnsubscribedFrame(nil, "order_book:2"))
		settle(30 * time.Second)
		equal(t, "gaps", out.gaps(), []string{"order_book 2 upstream_disconnect", "trade 1 upstream_disconnect"})
		for _, channel := range []string{"trade:1", "order_book:2"} {
			v.mu.Lock()
			held := c.held[channel]
			v.mu.Unlock()
			if !held {
				t.Errorf("%s is not subscribed again; sent %v", channel, v.asked())
			}
		}
		if st := s.Status(); st.Subscribed != st.Wanted || st.Reconnects != 0 {
			t.Errorf("status %+v", st)
		}
	})
}

// TestUnaskedSnapshot has the venue end a channel and begin it again, as it may when it moves it: nothing need be sent.
func TestUnaskedSnapshot(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(1, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		v.forget()
		c := v.latest()
		c.send(lighter.AppendUnsubscribedFrame(nil, "order_book:1"))
		c.send(v.first("order_book:1"))
		settle(time.Minute)
		equal(t, "messages", v.asked(), nil)
		if st := s.Status(); st.Subscribed != st.Wanted {
			t.Errorf("status %+v", st)
		}
	})
}

// TestBinaryFrame sends trades in a binary frame: JSON counts, whatever the frame is called.
func TestBinaryFrame(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(1, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		out.gaps()
		frame := []byte(`{"channel":"trade:1","trades":[{"trade_id":9,"price":"1","size":"1"}],"type":"update/trade"}`)
		c := v.latest()
		v.mu.Lock()
		c.binary = true
		v.mu.Unlock()
		v.broadcast("trade:1", frame)
		settle(time.Second)
		out.mu.Lock()
		defer out.mu.Unlock()
		n := 0
		for _, e := range out.events {
			if b, ok := e.Payload.(*model.TradeBatch); ok {
				n += len(b.Rows)
			}
		}
		if n != 1 {
			t.Errorf("%d trades, want 1", n)
		}
	})
}

// TestStaleWhileTheClockIsSetBack mutes the venue and sets the clock back by an hour: the silence is noticed in time all
// the same.
func TestStaleWhileTheClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		v, out := newVenue(t), &sink{}
		var back atomic.Int64
		s := feed.New(feed.Options{
			Venue: "test", StreamURL: "ws://venue.test/stream", UserAgent: "hyperlight/test",
			Dialect: lighter.Dialect{Resolver: anyMarket{}}, Sink: out, Dial: v.dial, Jitter: func() float64 { return 0 },
			Now:    func() time.Time { return time.Now().Add(-time.Duration(back.Load())) },
			Limits: feed.Limits{Ping: 24 * time.Hour}, // deadlines of writes are not of this clock outside of tests
		})
		s.SetMarkets([]model.Market{market(1, 0)})
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		go v.beat(ctx)
		settle(10 * time.Second)
		c := v.latest()
		v.mu.Lock()
		c.mute = true
		v.mu.Unlock()
		settle(time.Second)
		back.Store(int64(time.Hour))
		settle(time.Minute)
		if st := s.Status(); st.Reconnects == 0 {
			t.Errorf("a minute later the silence is not noticed: %+v", st)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, c := range v.conns {
			c.close()
		}
	})
}

// TestTooManySubscriptionsInAll: the venue counts the channels of the address, not of the connection, so that another one
// gets nothing, not even the height. That ends nothing, and all is taken once there is room.
func TestTooManySubscriptionsInAll(t *testing.T) {
	var markets []model.Market
	for i := range 6 {
		markets = append(markets, market(int64(i), 0))
	}
	run(t, feed.Limits{}, nil, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		limit := 8
		v.mu.Lock()
		v.refuse = func(_ int, m message) (int, string, bool) {
			n := 0
			for _, c := range v.conns {
				n += len(c.held)
			}
			return 23001, "Too Many Subscriptions!", m.Type == "subscribe" && n >= limit
		}
		v.mu.Unlock()
		s.SetMarkets(markets)
		settle(time.Minute)
		if st := s.Status(); st.Reconnects != 0 || st.Subscribed == 0 {
			t.Errorf("status %+v", st)
		}
		v.mu.Lock()
		limit = 1000
		v.mu.Unlock()
		settle(8 * time.Minute)
		if st := s.Status(); st.Subscribed != st.Wanted {
			t.Errorf("status %+v", st)
		}
	})
}
