package feed_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/engine/num"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The first summary starts a goroutine that lives as long as the process; it must not be born in a bubble.
	feed.New(feed.Options{Venue: "test"})
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

func numUSD(v int64) num.USD { return num.USD(v) }

// settle lets a time pass in the bubble.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestSubscribeOrder(t *testing.T) {
	spot := market(2048, 5)
	spot.Type = "spot"
	run(t, feed.Limits{}, []model.Market{market(3, 10), market(1, 30), spot, market(2, 30)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		equal(t, "messages", v.asked(), []string{
			"subscribe height", "subscribe market_stats/all", "subscribe spot_market_stats/all",
			"subscribe order_book/1", "subscribe order_book/2", "subscribe order_book/3", "subscribe order_book/2048",
			"subscribe trade/1", "subscribe trade/2", "subscribe trade/3", "subscribe trade/2048",
		})
		st := s.Status()
		if !st.Connected || st.Subscribed != 10 || st.Wanted != 10 || st.Height == 0 || st.Sockets != 1 || st.LastMessage == 0 || st.Err != nil {
			t.Errorf("status %+v", st)
		}
	})
}

// TestPacing subscribes 300 markets and resyncs some on the way: the venue's limits hold at every moment, and resyncs
// do not wait behind first subscribes.
func TestPacing(t *testing.T) {
	var markets []model.Market
	for i := range 300 {
		markets = append(markets, market(int64(i), int64(1000-i)))
	}
	run(t, feed.Limits{}, markets, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		v.mu.Lock()
		v.delay = 700 * time.Millisecond
		v.mu.Unlock()
		settle(20 * time.Second)
		if n := s.Status().Subscribed; n < 150 || n > 200 {
			t.Errorf("%d subscribed after 20 s", n)
		}
		v.forget()
		for id := range 10 {
			s.Resync(model.MarketID(id))
		}
		settle(5 * time.Second)
		var want []string
		for id := range 10 {
			want = append(want, fmt.Sprintf("unsubscribe order_book/%d", id), fmt.Sprintf("subscribe order_book/%d", id))
		}
		equal(t, "resyncs", v.asked(), want)
		settle(5 * time.Minute)
		if st := s.Status(); st.Subscribed != st.Wanted || st.Wanted != 601 || st.Sockets != 2 {
			t.Errorf("status %+v", st)
		}
		if v.mostOpen > 35 {
			t.Errorf("%d messages without an answer", v.mostOpen)
		}
		checkRate(t, v, 200)
		if len(v.conns) != 2 {
			t.Errorf("%d connections", len(v.conns))
		}
	})
}

// TestTakeMessage: sockets of others share the allowance, down to the part that is kept for resyncs.
func TestTakeMessage(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(0, 1)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(2 * time.Minute)
		v.forget()
		taken := 0
		for s.TakeMessage() {
			taken++
		}
		if taken != 160 {
			t.Errorf("%d messages taken, want four fifths of 200", taken)
		}
		s.Resync(0)
		settle(time.Second)
		equal(t, "resync", v.asked(), []string{"unsubscribe order_book/0", "subscribe order_book/0"})
		settle(time.Minute)
		if !s.TakeMessage() {
			t.Error("a minute later none may be taken")
		}
	})
}

// checkRate checks by brute force that no 60 seconds held more than limit messages.
func checkRate(t *testing.T, v *venue, limit int) {
	t.Helper()
	for _, m := range v.messages {
		n := 0
		for _, o := range v.messages {
			if o.at <= m.at && m.at-o.at < time.Minute {
				n++
			}
		}
		if n > limit {
			t.Errorf("%d messages in the minute before %v", n, m.at)
			return
		}
	}
}

func TestResync(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(5, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		v.forget()
		s.Resync(5)
		s.Resync(5)
		settle(time.Second)
		pair := []string{"unsubscribe order_book/5", "subscribe order_book/5"}
		equal(t, "first resync", v.asked(), pair)
		// A book that breaks each time its snapshot comes is not allowed to eat the allowance.
		out.onEvent(func(e model.Event) {
			if u, ok := e.Payload.(*model.BookUpdate); ok && u.Snapshot {
				s.Resync(5)
			}
		})
		v.forget()
		s.Resync(5)
		settle(10 * time.Minute)
		n := len(v.asked())
		if n < 20 || n > 60 {
			t.Errorf("%d messages in 10 minutes for a book that never holds", n)
		}
		out.onEvent(nil)
		settle(5 * time.Minute)
		v.forget()
		s.Resync(5)
		settle(time.Second)
		equal(t, "resync after a quiet time", v.asked(), pair)
		if st := s.Status(); st.Reconnects != 0 {
			t.Errorf("status %+v", st)
		}
	})
}

var allGaps = func(cause string) []string {
	return []string{"market_stats 16777215 " + cause, "order_book 1 " + cause, "order_book 2 " + cause, "trade 1 " + cause, "trade 2 " + cause}
}

func TestDisconnect(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(1, 0), market(2, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		equal(t, "gaps before", out.gaps(), nil)
		v.latest().close()
		settle(500 * time.Millisecond)
		equal(t, "gaps", out.gaps(), allGaps("upstream_disconnect"))
		if st := s.Status(); st.Connected || st.Subscribed != 0 || st.Reconnects != 1 || st.Err == nil {
			t.Errorf("status %+v", st)
		}
		settle(2 * time.Second)
		if st := s.Status(); !st.Connected || st.Subscribed != st.Wanted {
			t.Errorf("status %+v", st)
		}
	})
}

// TestStale mutes the venue: the socket is given up after 15 s, whatever the TCP connection says.
func TestStale(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(1, 0), market(2, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(40 * time.Second) // quiet markets are no reason
		if st := s.Status(); st.Reconnects != 0 {
			t.Fatalf("status %+v", st)
		}
		out.gaps()
		c := v.latest()
		v.mu.Lock()
		c.mute = true
		v.mu.Unlock()
		last := time.Now()
		settle(14 * time.Second)
		equal(t, "gaps after 14 s", out.gaps(), nil)
		settle(4 * time.Second)
		out.mu.Lock()
		for _, e := range out.events {
			if g, ok := e.Payload.(*model.Gap); ok {
				if from := time.UnixMicro(int64(g.From)); last.Sub(from) > time.Second || from.After(last) {
					t.Errorf("gap from %v, last frame at %v", from, last)
				}
			}
		}
		out.mu.Unlock()
		equal(t, "gaps", out.gaps(), allGaps("stale"))
		settle(time.Second)
		if st := s.Status(); !st.Connected || st.Subscribed != st.Wanted || st.Reconnects != 1 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestBackoff(t *testing.T) {
	run(t, feed.Limits{}, nil, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		v.mu.Lock()
		v.down, v.dials = true, nil
		v.mu.Unlock()
		v.latest().close()
		at := time.Since(v.start)
		settle(3 * time.Minute)
		var pauses []string
		v.mu.Lock()
		for _, d := range v.dials {
			pauses = append(pauses, (d - at).Round(time.Second).String())
			at = d
		}
		v.down = false
		v.mu.Unlock()
		equal(t, "pauses", pauses[:8], []string{"1s", "2s", "4s", "8s", "16s", "30s", "30s", "30s"})
		if st := s.Status(); st.Connected || !errors.Is(st.Err, feed.ErrUpstream) {
			t.Errorf("status %+v", st)
		}
		settle(2 * time.Minute) // up again, and healthy for a minute
		if !s.Status().Connected {
			t.Fatal("not connected")
		}
		v.mu.Lock()
		v.dials = nil
		v.mu.Unlock()
		at = time.Since(v.start)
		v.latest().close()
		settle(10 * time.Second)
		if len(v.dials) != 1 || (v.dials[0]-at).Round(time.Second) != time.Second {
			t.Errorf("dials %v after a healthy connection, closed at %v", v.dials, at)
		}
	})
}

func TestHandshakeRefused(t *testing.T) {
	run(t, feed.Limits{}, nil, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		v.mu.Lock()
		v.html = true
		v.mu.Unlock()
		settle(10 * time.Millisecond)
		if len(v.conns) > 0 {
			v.latest().close()
		}
		settle(5 * time.Second)
		var ue *feed.UpstreamError
		if err := s.Status().Err; !errors.As(err, &ue) || ue.Status != http.StatusForbidden || strings.Contains(err.Error(), "<") {
			t.Errorf("error %v", err)
		}
	})
}

// TestTooManyMessages refuses some subscribes with 30009: nothing is sent for a while, nothing is reconnected, and
// everything is subscribed in the end.
func TestTooManyMessages(t *testing.T) {
	markets := []model.Market{market(1, 0), market(2, 0), market(3, 0)}
	run(t, feed.Limits{}, nil, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		refused := 0
		v.mu.Lock()
		v.refuse = func(_ int, m message) (int, string, bool) {
			if strings.HasPrefix(m.Channel, "order_book") && refused < 3 {
				refused++
				return 30009, "Too Many Websocket Messages!", true
			}
			return 0, "", false
		}
		v.mu.Unlock()
		s.SetMarkets(markets)
		settle(2 * time.Second)
		n := len(v.asked())
		settle(5 * time.Second)
		if len(v.asked()) != n {
			t.Errorf("messages sent during the pause: %v", v.asked()[n:])
		}
		if s.TakeMessage() {
			t.Error("a message for another socket during the pause")
		}
		settle(30 * time.Second)
		if st := s.Status(); st.Subscribed != st.Wanted || st.Reconnects != 0 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestRefusedChannels(t *testing.T) {
	markets := []model.Market{market(1, 9), market(2, 8), market(3, 7)}
	run(t, feed.Limits{}, nil, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		duplicate := false
		v.mu.Lock()
		v.refuse = func(_ int, m message) (int, string, bool) {
			switch {
			case m.Channel == "order_book/2":
				return 30005, "Invalid Channel:  (marketId)", true
			case m.Channel == "order_book/3" && m.Type == "subscribe" && !duplicate:
				duplicate = true
				return 30003, "Already Subscribed to : order_book:3", true
			}
			return 0, "", false
		}
		v.mu.Unlock()
		s.SetMarkets(markets)
		settle(30 * time.Second)
		if st := s.Status(); st.Subscribed != st.Wanted-1 || st.Reconnects != 0 {
			t.Errorf("status %+v", st)
		}
		v.forget()
		settle(30 * time.Minute)
		if n := len(v.asked()); n < 6 || n > 40 {
			t.Errorf("%d messages in 30 minutes for a channel that does not exist: %v", n, v.asked())
		}
		v.mu.Lock()
		v.refuse = nil
		v.mu.Unlock()
		settle(6 * time.Minute)
		if st := s.Status(); st.Subscribed != st.Wanted {
			t.Errorf("status %+v", st)
		}
	})
}

// TestLostSnapshot drops the answer to a subscribe: the channel is let go and taken again.
func TestLostSnapshot(t *testing.T) {
	run(t, feed.Limits{}, nil, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		lost := false
		v.mu.Lock()
		v.silent = func(m message) bool {
			if m.Channel == "order_book/1" && !lost {
				lost = true
				v.conns[m.conn].held["order_book:1"] = true
				return true
			}
			return false
		}
		v.mu.Unlock()
		s.SetMarkets([]model.Market{market(1, 0)})
		settle(12 * time.Second)
		equal(t, "messages", v.asked()[4:], []string{"unsubscribe order_book/1", "subscribe order_book/1"})
		if st := s.Status(); st.Subscribed != st.Wanted {
			t.Errorf("status %+v", st)
		}
	})
}

func TestTooManySubscriptions(t *testing.T) {
	var markets []model.Market
	for i := range 10 {
		markets = append(markets, market(int64(i), 0))
	}
	run(t, feed.Limits{}, nil, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		v.mu.Lock()
		v.refuse = func(conn int, m message) (int, string, bool) {
			return 23001, "Too Many Subscriptions!", m.Type == "subscribe" && len(v.conns[conn].held) >= 8
		}
		v.mu.Unlock()
		s.SetMarkets(markets)
		settle(5 * time.Minute)
		if st := s.Status(); st.Subscribed != st.Wanted || st.Reconnects != 0 || st.Sockets < 3 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestSetMarkets(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(1, 0), market(2, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		v.forget()
		out.gaps()
		s.SetMarkets([]model.Market{market(2, 0), market(3, 0)})
		settle(time.Second)
		got := v.asked()
		slices.Sort(got)
		equal(t, "messages", got, []string{"subscribe order_book/3", "subscribe trade/3", "unsubscribe order_book/1", "unsubscribe trade/1"})
		equal(t, "gaps", out.gaps(), []string{"order_book 1 upstream_disconnect", "trade 1 upstream_disconnect"})
		v.forget()
		s.SetMarkets([]model.Market{market(1, 0), market(2, 0), market(3, 0)})
		settle(time.Second)
		equal(t, "messages", v.asked(), []string{"subscribe order_book/1", "subscribe trade/1"})
		if st := s.Status(); st.Subscribed != 7 || st.Wanted != 7 || st.Reconnects != 0 {
			t.Errorf("status %+v", st)
		}
		s.Resync(77) // not followed: nothing happens
		s.SetMarkets(nil)
		settle(time.Second)
		if st := s.Status(); st.Subscribed != 1 || st.Wanted != 1 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestDamagedFrames(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(1, 0), market(2, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		out.gaps()
		v.forget()
		m := market(1, 0)
		frame := lighter.AppendBookFrame(nil, &m, 0, &model.BookUpdate{Seq: 5, Prev: 4, Chained: true, Bids: []model.Level{{Price: 1, Size: 1}}}, 0)
		v.broadcast("order_book:1", frame[:len(frame)/2])
		v.broadcast("trade:2", []byte(`{"channel":"trade:2","trades":[{"trade_id":0}],"type":"update/trade"}`))
		v.broadcast("order_book:1", []byte(`garbage`))
		settle(time.Second)
		equal(t, "gaps", out.gaps(), []string{"order_book 1 parse_error", "trade 2 parse_error"})
		got := v.asked()
		slices.Sort(got)
		equal(t, "messages", got, []string{"subscribe order_book/1", "subscribe trade/2", "unsubscribe order_book/1", "unsubscribe trade/2"})
		if st := s.Status(); st.Reconnects != 0 || st.Subscribed != st.Wanted {
			t.Errorf("status %+v", st)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(1, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		v.forget()
		v.broadcast("height", []byte(`{"type":"ping"}`))
		settle(100 * time.Second)
		equal(t, "answer to a ping", v.asked(), []string{"pong "})
		if n := len(v.latest().pings); n != 3 {
			t.Errorf("%d ping frames in 100 s", n)
		}
	})
}

// TestEventsAreOwned checks that a delivered event does not change with the frames that follow.
func TestEventsAreOwned(t *testing.T) {
	run(t, feed.Limits{}, []model.Market{market(1, 0)}, func(t *testing.T, v *venue, s *feed.Supervisor, out *sink) {
		settle(time.Second)
		out.gaps()
		for i := range uint64(500) {
			v.update(1, i, i+1)
		}
		settle(time.Second)
		n := uint64(0)
		for _, e := range out.events {
			u, ok := e.Payload.(*model.BookUpdate)
			if !ok {
				continue
			}
			if n++; u.Seq != n || u.Prev != n-1 || len(u.Bids) != 1 || u.Bids[0] != (model.Level{Price: 100, Size: 2}) || e.Recv == 0 {
				t.Fatalf("event %d is %+v", n, u)
			}
		}
		if n != 500 {
			t.Errorf("%d updates, want 500", n)
		}
	})
}
