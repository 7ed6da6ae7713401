package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// unserved is a server without a listener.
func unserved(t testing.TB, o Options) *Server {
	t.Helper()
	o.Markets, o.Access = testMarkets{}, testAccess{}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// queueClient is a connection without a socket: what the writer would send is taken from its queue.
type queueClient struct {
	c    *Conn
	live *live
}

func newQueueClient(s *Server, plan string) *queueClient {
	c := &Conn{server: s, queue: newQueue(s.limits.QueueFrames, s.limits.QueueBytes)}
	p, err := testAccess{}.Authenticate(access.Request{APIKey: "hlt_" + plan})
	if err != nil {
		panic(err)
	}
	c.owner.Store(p)
	l := newLive(c).(*live)
	c.session = l
	return &queueClient{c, l}
}

// deaf is a client whose messages are counted as queued and thrown away: its queue is full of room.
func deaf(s *Server) *queueClient {
	q := newQueueClient(s, "enterprise")
	q.c.queue.sealed = true
	return q
}

func (q *queueClient) say(text string) {
	m, err := parseMessage([]byte(text))
	if err != nil {
		panic(err)
	}
	q.live.handle(m)
}

// take returns the payloads that the writer would send now.
func (q *queueClient) take() (out [][]byte) {
	as := format(q.c.as.Load())
	for {
		items, _, _ := q.c.queue.take(make([]item, 0, 64), 1<<30)
		if len(items) == 0 {
			return out
		}
		for _, it := range items {
			var frames [][]byte
			switch {
			case it.newest:
				for _, f := range it.sub.source.catchUp(it.sub) {
					frames = append(frames, f.bytes(as))
				}
			case it.frame != nil:
				frames = [][]byte{it.frame.bytes(as)}
			default:
				frames = [][]byte{it.raw}
			}
			for _, f := range frames {
				for len(f) > 0 {
					n := frameLen(f)
					out = append(out, f[n-payloadLen(f):n])
					f = f[n:]
				}
			}
		}
	}
}

// seqOf reads the seq of a data or gap message, which stands behind everything that could hold another one.
func seqOf(b []byte) (seq uint64) {
	i := bytes.LastIndex(b, []byte(`"seq":`))
	fmt.Sscan(string(b[i+6:bytes.IndexAny(b[i+6:], ",}")+i+6]), &seq)
	return seq
}

// cuts of a client: ten thousand times it goes away in the middle, misses something or nothing, and comes back with
// `since`. A witness that never goes away has the full sequence of each channel. What the client had and what it gets must
// be that sequence byte by byte; or it is told recovered:false, and where the channel has a state begins with it.
func TestTenThousandCuts(t *testing.T) {
	synctest.Test(t, tenThousandCuts)
}

func tenThousandCuts(t *testing.T) {
	maps := &fakeHeatmaps{data: []byte(`{"n":0}`)}
	s := unserved(t, Options{Heatmaps: maps, Limits: Limits{RingFrames: 40, RingBytes: 150_000}})
	k := newMaker(s.Hub(), 0)
	k.snapshot(level(99_00, 1))
	channels := []string{`"channel":"order_book/0"`, `"channel":"trade/0"`, `"channel":"enriched_order_book/0"`,
		`"channel":"enriched_order_book/0","depth":3,"tick_size":1,"whale_threshold":5000`, `"channel":"enriched_trade/0"`,
		`"channel":"enriched_trade/0","whale_threshold":1000`, `"channel":"alert/0","whale_threshold":1000`, `"channel":"liquidation_heatmap/0"`}
	r := rand.New(rand.NewSource(11))
	for _, ch := range channels {
		cutChannel(t, s, k, maps, ch, r)
	}
}

// cutChannel cuts one channel's client again and again.
func cutChannel(t *testing.T, s *Server, k *maker, maps *fakeHeatmaps, channel string, r *rand.Rand) {
	pass := func(d time.Duration) {
		time.Sleep(d)
		synctest.Wait()
	}
	witness := newQueueClient(s, "growth")
	witness.say(`{"type":"subscribe",` + channel + `}`)
	ack := frame{}
	full := map[uint64][]byte{}
	var last uint64
	note := func() {
		for _, b := range witness.take() {
			if bytes.HasPrefix(b, []byte(`{"type":"subscribed"`)) {
				if err := json.Unmarshal(b, &ack); err != nil {
					t.Fatal(err)
				}
				last = ack.Seq
				continue
			}
			if seq := seqOf(b); seq != last+1 {
				t.Fatalf("%s: the witness gets seq %d after %d", channel, seq, last)
			}
			last++
			full[last] = slices.Clone(b)
		}
	}
	note()
	stated := strings.Contains(channel, "book") || strings.Contains(channel, "heatmap")
	happen := func() {
		for range r.Intn(20) {
			switch r.Intn(24) {
			case 0:
				k.hole(level(80_00+r.Intn(50), 1+r.Intn(9)), level(70_00, 1))
			case 1:
				k.event(&model.Gap{Kind: model.KindTrades, From: 1, To: 2_000_000, Cause: model.CauseDisconnect}, nil)
			case 2, 3, 4, 5, 6, 7:
				k.trades(1+r.Intn(3), model.TradeBatch{})
			case 8:
				maps.set(fmt.Sprintf(`{"n":%d}`, r.Int()))
			case 9, 10:
				pass(time.Duration(r.Intn(1500)) * time.Millisecond)
			case 11:
				if r.Intn(5) == 0 {
					pass(25 * time.Second)
				}
			default:
				k.update(level(50_00+r.Intn(300), 1+r.Intn(2_000_000)), level(50_00+r.Intn(300), r.Intn(4)))
			}
		}
	}
	recovered, begun := 0, 0
	epoch, seq := ack.Epoch, uint64(0)
	for cut := range cutsPerChannel {
		since := ""
		if seq > 0 {
			asked := seq
			if r.Intn(40) == 0 {
				asked += uint64(r.Intn(50)) // may lie in the future
			}
			e := epoch
			if r.Intn(60) == 0 {
				e = "another"
			}
			since = fmt.Sprintf(`,"since":{"epoch":%q,"seq":%d}`, e, asked)
			seq = asked
		}
		q := newQueueClient(s, "growth")
		q.say(`{"type":"subscribe",` + channel + since + `}`)
		before := s.seqOf(channel)
		got := q.take()
		var a frame
		if err := json.Unmarshal(got[0], &a); err != nil || a.Type != "subscribed" || a.Epoch != epoch {
			t.Fatalf("%s, cut %d: %s", channel, cut, got[0])
		}
		if a.Recovered == nil != (since == "") {
			t.Fatalf("%s, cut %d: asked %q, got %s", channel, cut, since, got[0])
		}
		note()
		mine := got[1:]
		switch {
		case a.Recovered != nil && *a.Recovered:
			recovered++
			if a.Seq != seq || uint64(len(mine)) != before-seq {
				t.Fatalf("%s, cut %d: %d messages after seq %d of %d", channel, cut, len(mine), seq, before)
			}
		default:
			begun++
			if stated && len(mine) > 0 {
				first := mine[0]
				if !bytes.Contains(first, []byte(`"snapshot":true`)) && !strings.Contains(channel, "heatmap") {
					t.Fatalf("%s, cut %d: begins with %s", channel, cut, first)
				}
				// The raw book's first frame is the book as a whole; the others repeat their last one.
				if seq = a.Seq + 1; seqOf(first) != seq || !strings.Contains(channel, `"order_book`) && full[seq] != nil && !bytes.Equal(first, full[seq]) {
					t.Fatalf("%s, cut %d: begins with\n%s\nthe witness had\n%s", channel, cut, first, full[seq])
				}
				mine = mine[1:]
			} else if seq = a.Seq; seq != before {
				t.Fatalf("%s, cut %d: begins at seq %d, the channel is at %d", channel, cut, seq, before)
			}
		}
		happen()
		note()
		for _, b := range append(mine, q.take()...) {
			if seq++; !bytes.Equal(b, full[seq]) {
				t.Fatalf("%s, cut %d: seq %d is\n%s\nthe witness had\n%s", channel, cut, seq, b, full[seq])
			}
		}
		if seq != last {
			t.Fatalf("%s, cut %d: has seq %d, the witness %d", channel, cut, seq, last)
		}
		q.live.end()
		if r.Intn(3) > 0 {
			happen()
		}
		if r.Intn(100) == 0 { // a long way away
			pass(time.Minute)
			happen()
			k.trades(50, model.TradeBatch{})
		}
		note()
	}
	if recovered < cutsPerChannel/12 || begun < cutsPerChannel/60 {
		t.Errorf("%s: %d recovered, %d begun anew", channel, recovered, begun)
	}
	witness.live.end()
	pass(2 * time.Minute)
}

// seqOf is the seq that a channel of market 0 is at.
func (s *Server) seqOf(subscribe string) uint64 {
	var m message
	if err := json.Unmarshal([]byte("{"+subscribe+"}"), &m); err != nil {
		panic(err)
	}
	f, mk, _ := s.hub.find(m.Channel)
	feed := s.hub.feed(mk)
	plan := access.DefaultPlans()[2]
	o, _ := s.hub.optionsOf(f, mk, &m, &plan)
	var c *channel
	if f.own() < 0 {
		c = feed.channels[f.index]
	} else {
		c = feed.desk.find(f, o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seq
}

// channel finds a channel without options by its name.
func (h *Hub) channel(name string) (*channel, bool) {
	f, m, ok := h.find(name)
	if !ok || f.own() >= 0 {
		return nil, false
	}
	return h.feed(m).channels[f.index], true
}
