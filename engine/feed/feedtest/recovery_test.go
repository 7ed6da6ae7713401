package feedtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/engine/num"

	"github.com/fasthttp/websocket"
)

const recoveryMarkets = 4

// liveVenue changes its books all the time and serves them with chained nonces.
type liveVenue struct {
	mu    sync.Mutex
	nonce uint64
	last  [recoveryMarkets]uint64
	books [recoveryMarkets]map[num.Price]num.Size
	conns map[*liveConn]bool
	rng   *rand.Rand
}

type liveConn struct {
	ws   *websocket.Conn
	mu   sync.Mutex // of writes
	held map[string]bool
}

func (c *liveConn) send(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.ws.SetWriteDeadline(time.Now().Add(time.Second))
	_ = c.ws.WriteMessage(websocket.TextMessage, b)
}

func recoveryMarket(native int64) *model.Market {
	return &model.Market{ID: model.MarketID(native), Native: native, Symbol: fmt.Sprint("M", native), PriceScale: 1, SizeScale: 1, Scales: []model.Scale{{Price: 1, Size: 1}}}
}

func (v *liveVenue) snapshot(m int64) []byte {
	u := model.BookUpdate{Snapshot: true, Seq: v.last[m], Chained: true}
	for p, s := range v.books[m] {
		u.Bids = append(u.Bids, model.Level{Price: p, Size: s})
	}
	return lighter.AppendBookFrame(nil, recoveryMarket(m), 0, &u, 1)
}

// step changes one book and tells whoever holds it.
func (v *liveVenue) step() {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := v.rng.IntN(recoveryMarkets)
	v.nonce += uint64(1 + v.rng.IntN(5))
	u := model.BookUpdate{Prev: v.last[m], Seq: v.nonce, Chained: true}
	v.last[m] = v.nonce
	for range 1 + v.rng.IntN(3) {
		l := model.Level{Price: num.Price(1 + v.rng.IntN(50)), Size: num.Size(v.rng.IntN(3))}
		u.Bids = append(u.Bids, l)
		apply(v.books[m], l)
	}
	frame := lighter.AppendBookFrame(nil, recoveryMarket(int64(m)), 0, &u, 1)
	for c := range v.conns {
		if c.held[fmt.Sprintf("order_book:%d", m)] {
			c.send(frame)
		}
	}
}

func apply(book map[num.Price]num.Size, l model.Level) {
	if l.Size == 0 {
		delete(book, l.Price)
	} else {
		book[l.Price] = l.Size
	}
}

func (v *liveVenue) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	c := &liveConn{ws: ws, held: map[string]bool{}}
	v.mu.Lock()
	v.conns[c] = true
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		delete(v.conns, c)
		v.mu.Unlock()
	}()
	for {
		_, raw, err := ws.ReadMessage()
		if err != nil {
			return
		}
		var m struct{ Type, Channel string }
		_ = json.Unmarshal(raw, &m)
		ch := strings.Replace(m.Channel, "/", ":", 1)
		family, arg, _ := strings.Cut(ch, ":")
		v.mu.Lock()
		var answer []byte
		switch {
		case m.Type == "unsubscribe" && !c.held[ch]:
			answer = lighter.AppendErrorFrame(nil, 30002, "Not Subscribed to : "+ch)
		case m.Type == "unsubscribe":
			delete(c.held, ch)
			answer = lighter.AppendUnsubscribedFrame(nil, ch)
		case c.held[ch]:
			answer = lighter.AppendErrorFrame(nil, 30003, "Already Subscribed to : "+ch)
		default:
			c.held[ch] = true
			var native int64
			_, _ = fmt.Sscan(arg, &native)
			switch family {
			case "order_book":
				answer = v.snapshot(native)
			case "height":
				answer = lighter.AppendHeightFrame(nil, 1, 0, true)
			default:
				answer = fmt.Appendf(nil, `{"channel":%q,"type":"subscribed/%s"}`, ch, family)
			}
		}
		c.send(answer)
		v.mu.Unlock()
	}
}

// follower keeps naive books from what the feed delivers. Every hole in a chain must be noticed by it, or told by a gap.
type follower struct {
	mu     sync.Mutex
	s      *feed.Supervisor
	books  [recoveryMarkets]map[num.Price]num.Size // nil while out of sync
	seq    [recoveryMarkets]uint64
	causes map[string]int
}

func (f *follower) Deliver(ctx context.Context, e model.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := int(e.Market)
	switch p := e.Payload.(type) {
	case *model.Gap:
		if f.causes[p.Cause.String()]++; p.Kind == model.KindBook {
			f.books[m] = nil
		}
	case *model.BookUpdate:
		if p.Snapshot {
			f.books[m] = map[num.Price]num.Size{}
		} else if f.books[m] == nil || p.Seq <= f.seq[m] {
			return nil
		} else if p.Prev != f.seq[m] {
			f.causes["nonce_gap"]++
			f.books[m] = nil
			f.s.Resync(e.Market)
			return nil
		}
		f.seq[m] = p.Seq
		for _, l := range p.Bids {
			apply(f.books[m], l)
		}
	}
	return nil
}

type resolver struct{}

func (resolver) Market(native int64) (*model.Market, bool)                 { return recoveryMarket(native), true }
func (resolver) Observe(int64, string, uint8, uint8) (*model.Market, bool) { return nil, false }

// TestRecovery sends a live venue through every fault and wants the very books of the venue in the end.
func TestRecovery(t *testing.T) {
	v := &liveVenue{conns: map[*liveConn]bool{}, rng: rand.New(rand.NewPCG(1, 2)), nonce: 10}
	for i := range v.books {
		v.books[i] = map[num.Price]num.Size{}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", v.serve)
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(ln) }()
	defer server.Close()

	proxy, err := feedtest.NewProxy("ws://"+ln.Addr().String()+"/stream", "", feedtest.Faults{
		Drop: 0.01, Duplicate: 0.01, Reorder: 0.01, Corrupt: 0.01, Stall: 0.0005, Disconnect: 0.0007, HalfOpen: 0.0005,
		SlowAck: 0.2, SlowAckFor: 50 * time.Millisecond, StallFor: 100 * time.Millisecond,
	}, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()

	f := &follower{causes: map[string]int{}}
	f.s = feed.New(feed.Options{
		Venue: "test", StreamURL: proxy.StreamURL(), Dialect: lighter.Dialect{Resolver: resolver{}}, Sink: f,
		Limits: feed.Limits{
			MessagesPerMinute: 100_000, Stale: 700 * time.Millisecond, Answer: 500 * time.Millisecond, BackoffFirst: 20 * time.Millisecond,
			BackoffMax: 100 * time.Millisecond, ResyncFirst: time.Millisecond, ResyncMax: 20 * time.Millisecond,
		},
	})
	var markets []model.Market
	for i := range int64(recoveryMarkets) {
		markets = append(markets, *recoveryMarket(i))
	}
	f.s.SetMarkets(markets)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.s.Run(ctx) }()

	wanted := []feedtest.Kind{feedtest.Drop, feedtest.Duplicate, feedtest.Reorder, feedtest.Corrupt, feedtest.SlowAck}
	met := func() bool {
		counts, causes := proxy.Counts(), f.seen()
		return !slices.ContainsFunc(wanted, func(k feedtest.Kind) bool { return counts[k] == 0 }) &&
			causes["nonce_gap"] > 0 && causes["parse_error"] > 0 && causes["upstream_disconnect"]+causes["stale"] > 0
	}
	// At least four seconds; a slow machine takes longer until it has met everything.
	for began := time.Now(); time.Since(began) < 4*time.Second || !met() && time.Since(began) < time.Minute; {
		v.step()
		time.Sleep(time.Millisecond)
	}
	proxy.SetFaults(feedtest.Faults{})
	same := errors.New("not compared yet")
	for end := time.Now().Add(time.Minute); same != nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		v.step() // a lost last frame shows only with the next one
		same = f.compare(v)
	}
	if same != nil {
		t.Error(same)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	counts := proxy.Counts()
	for _, k := range wanted {
		if counts[k] == 0 {
			t.Errorf("no %s among %v", k, counts)
		}
	}
	if f.causes["nonce_gap"] == 0 || f.causes["parse_error"] == 0 || f.causes["upstream_disconnect"]+f.causes["stale"] == 0 {
		t.Errorf("causes %v, faults %v", f.causes, counts)
	}
}

// seen returns how often each cause of a gap came so far.
func (f *follower) seen() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.causes)
}

func (f *follower) compare(v *liveVenue) error {
	time.Sleep(50 * time.Millisecond)
	v.mu.Lock()
	defer v.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range v.books {
		if f.books[i] == nil || f.seq[i] != v.last[i] || !maps.Equal(f.books[i], v.books[i]) {
			return fmt.Errorf("market %d: held %v at %d, the venue has %v at %d; causes %v", i, f.books[i], f.seq[i], v.books[i], v.last[i], f.causes)
		}
	}
	return nil
}
