package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

func TestAuthStates(t *testing.T) {
	h := serve(t, Options{Access: testAccess{}})

	c := h.dial("/ws", nil)
	c.say(`{"type":"auth","api_key":"hlt_starter","format":"typed"}`)
	if f := c.expect("authenticated"); f.Tier != "starter" || f.MaxSubs != 1000 || f.MaxDays != nil {
		t.Errorf("got %s", f.raw)
	}
	c.say(`{"type":"ping"}`)
	c.expect("pong")

	for _, first := range []string{`{"type":"ping"}`, `{"type":"subscribe","channel":"trade/0"}`, `not json`, `{}`,
		`{"type":"auth"}`, `{"type":"auth","api_key":"hlt_nobody"}`, `{"type":"auth","token":"eyJ"}`} {
		c = h.dial("/ws", nil)
		c.say("%s", first)
		c.expectError(codeUnauthorized)
		c.expectClose(closeAuth)
	}
	c = h.dial("/ws", nil)
	c.say(`{"type":"auth","api_key":"hlt_expired"}`)
	c.expectError(codeForbidden)
	c.expectClose(closeRefused)

	hasty := serve(t, Options{Access: testAccess{}, Limits: Limits{AuthTimeout: 100 * time.Millisecond}})
	c = hasty.dial("/ws", nil)
	c.expectError(codeAuthTimeout)
	c.expectClose(closeNoAuth)
}

func TestLocalCallerMayStillNameItself(t *testing.T) {
	h := serve(t, Options{})
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	c.expect("subscribed")
	c.say(`{"type":"auth","api_key":"hlt_free"}`)
	if f := c.expect("authenticated"); f.Tier != "free" {
		t.Errorf("got %s", f.raw)
	}
	// The subscription moved along: free has five.
	for i := 1; i < 5; i++ {
		c.say(`{"type":"subscribe","channel":"trade/%d"}`, i)
		c.expect("subscribed")
	}
	c.say(`{"type":"subscribe","channel":"trade/5"}`)
	c.expectError(codeSubscriptionLimit)
	c = h.local("/ws")
	c.say(`{"type":"auth","api_key":"hlt_nobody"}`)
	c.expectError(codeUnauthorized)
	c.expectClose(closeAuth)
}

func TestConnectionLimitIsFreedOnDisconnect(t *testing.T) {
	h := serve(t, Options{})
	key := http.Header{"X-Api-Key": {"hlt_free"}}
	first := h.dial("/ws", key)
	first.expect("authenticated")
	second := h.dial("/ws/replay", key)
	second.expectError(codeConnectionLimit)
	second.expectClose(closeLimit)
	first.conn.Close()
	eventually(t, func() bool { h.s.quota.mu.Lock(); defer h.s.quota.mu.Unlock(); return len(h.s.quota.used) == 0 })
	h.dial("/ws", key).expect("authenticated")
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("did not happen within a minute")
		}
	}
}

func TestBadMessagesKeepTheConnection(t *testing.T) {
	h := serve(t, Options{})
	for _, path := range []string{"/ws", "/ws/replay"} {
		c := h.local(path)
		for _, bad := range []string{`{`, `[]`, `"x"`, `{"type":5}`, `{"type":"nonsense"}`, `{"type":""}`, `{"type":"ping"} {}`, ``} {
			c.say("%s", bad)
			c.expectError(codeBadRequest)
		}
		c.say(`{"type":"ping","unknown":[1,2]}`)
		c.expect("pong")
	}
}

func TestBinaryAndHugeMessages(t *testing.T) {
	h := serve(t, Options{})
	c := h.local("/ws")
	c.conn.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"ping"}`))
	c.expectClose(closeBinary)
	c = h.local("/ws")
	c.say(`{"type":"ping","pad":"%s"}`, strings.Repeat("x", 65_000))
	c.expect("pong")
	c.conn.WriteMessage(websocket.TextMessage, make([]byte, 64<<10+1))
	c.expectClose(closeTooBig)
	// In fragments too.
	c = h.local("/ws")
	w, _ := c.conn.NextWriter(websocket.TextMessage)
	for range 100 {
		io.WriteString(w, strings.Repeat(" ", 1000))
	}
	w.Close()
	c.expectClose(closeTooBig)
}

func TestMessageRate(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	h := serve(t, Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	c := h.local("/ws")
	for range 60 {
		c.say(`{"type":"ping"}`)
		c.expect("pong")
	}
	for range 2 {
		c.say(`{"type":"ping"}`)
		c.expectError(codeRateLimit)
	}
	mu.Lock()
	now = now.Add(time.Second / 30)
	mu.Unlock()
	c.say(`{"type":"ping"}`)
	c.expect("pong") // sets the count back
	for range 2 {
		c.say(`{"type":"ping"}`)
		c.expectError(codeRateLimit)
	}
	c.say(`{"type":"ping"}`)
	c.expectError(codeRateLimit)
	c.expectClose(closeRate)
}

func TestPingAndPong(t *testing.T) {
	h := serve(t, Options{Limits: Limits{PingInterval: 20 * time.Millisecond, PongTimeout: time.Minute}})
	c := h.local("/ws")
	pings := 0
	answer := c.conn.PingHandler()
	c.conn.SetPingHandler(func(s string) error {
		pings++
		return errors.Join(answer(s), c.conn.WriteControl(websocket.PingMessage, []byte("hello"), time.Now().Add(time.Minute)))
	})
	ponged := errors.New("ponged")
	c.conn.SetPongHandler(func(s string) error {
		if s != "hello" {
			t.Errorf("pong says %q", s)
		}
		return ponged
	})
	if _, err := c.next(); !errors.Is(err, ponged) {
		t.Fatalf("ended with %v", err)
	}
	if pings != 1 {
		t.Errorf("%d pings", pings)
	}
	h = serve(t, Options{Limits: Limits{PingInterval: 60 * time.Millisecond, PongTimeout: 30 * time.Millisecond}})
	c = h.local("/ws")
	c.conn.SetPingHandler(func(string) error { return nil })
	c.expectClose(closeNoPong)
}

func TestClientSaysGoodbye(t *testing.T) {
	h := serve(t, Options{})
	c := h.local("/ws")
	c.conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye"))
	c.expectClose(closeNormal)
	eventually(t, func() bool { h.s.mu.Lock(); defer h.s.mu.Unlock(); return len(h.s.conns) == 0 })
}

func TestShutdownDrainsAndCloses(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 0)
	var clients []*client
	for range 3 {
		c := h.local("/ws")
		c.say(`{"type":"subscribe","channel":"trade/0"}`)
		c.expect("subscribed")
		clients = append(clients, c)
	}
	k.trades(500, model.TradeBatch{})
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		done <- h.s.Close(ctx)
	}()
	for _, c := range clients {
		for range 500 {
			c.expect("trade_update")
		}
		c.expectClose(closeGoing)
	}
	if err := <-done; err != nil {
		t.Errorf("Close: %v", err)
	}
	_, resp, err := websocket.DefaultDialer.Dial("ws://"+h.addr+"/ws", nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a dial afterwards gave %v, %v", resp, err)
	}
}

func TestPlainRequestGetsAnError(t *testing.T) {
	h := serve(t, Options{})
	for method, status := range map[string]int{http.MethodGet: 400, http.MethodHead: 400, http.MethodPost: 405} {
		req, _ := http.NewRequest(method, "http://"+h.addr+"/ws", nil)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var e struct {
			Success bool
			Data    struct{ Code, Message string }
			Meta    struct {
				RequestID string `json:"request_id"`
			}
		}
		if method == http.MethodHead {
			if resp.StatusCode != status || len(body) != 0 || resp.ContentLength <= 0 {
				t.Errorf("HEAD: %d %q", resp.StatusCode, body)
			}
			continue
		}
		if err := json.Unmarshal(body, &e); err != nil || resp.StatusCode != status || e.Success || e.Data.Code == "" || e.Meta.RequestID != resp.Header.Get("X-Request-Id") {
			t.Errorf("%s: %d %s (%v)", method, resp.StatusCode, body, err)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// Two of five clients stop reading: the others get everything in order, the two are closed with 4011 and find, once they
// read again, frames without a hole up to there.
func TestSlowClientsHurtOnlyThemselves(t *testing.T) {
	h := serve(t, Options{Limits: Limits{QueueFrames: 256, WriteTimeout: 10 * time.Minute}})
	k := newMaker(h.s.Hub(), 0)
	var clients []*client
	var first uint64
	for range 5 {
		c := h.local("/ws")
		c.say(`{"type":"subscribe","channel":"trade/0"}`)
		first = c.expect("subscribed").Seq
		clients = append(clients, c)
	}
	reading := map[string]bool{}
	for _, c := range clients[:3] {
		reading[c.conn.LocalAddr().String()] = true
	}
	const n = 30_000
	var wg sync.WaitGroup
	for _, c := range clients[:3] {
		wg.Go(func() {
			for i := range uint64(n) {
				f, err := c.next()
				if err != nil || f.Seq != first+i+1 {
					t.Errorf("frame %d: seq %d, %v", i, f.Seq, err)
					return
				}
			}
		})
	}
	for range n / 50 {
		k.trades(50, model.TradeBatch{})
		for h.s.lagging(reading, 200) {
			time.Sleep(time.Millisecond)
		}
	}
	wg.Wait()
	for _, c := range clients[3:] {
		seq := first
		for {
			f, err := c.next()
			if err != nil {
				var e *websocket.CloseError
				if !errors.As(err, &e) || e.Code != int(closeSlow) || !strings.Contains(e.Text, "too slow") {
					t.Errorf("slow client ended with %v", err)
				}
				break
			}
			if seq++; f.Seq != seq {
				t.Fatalf("slow client got seq %d, want %d", f.Seq, seq)
			}
		}
		if seq == first+n {
			t.Error("the slow client was not slow")
		}
	}
}

// lagging tells whether one of these clients has many frames waiting: it slows the publisher of a test down to what its
// reading clients take, where the machine is too busy for them.
func (s *Server) lagging(clients map[string]bool, frames int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if clients[c.raw.RemoteAddr().String()] && c.queue.waiting() > frames {
			return true
		}
	}
	return false
}

// A client that is slow for a while gets the newest book when it reads again: a jump in seq under snapshot:true, every
// trade, and the gap that happened meanwhile.
func TestConflationKeepsTradesAndGaps(t *testing.T) {
	// Who does not read for as long as a busy machine publishes stays all the same.
	h := serve(t, Options{Limits: Limits{ConflateAt: 32, QueueFrames: 5000, WriteTimeout: time.Hour, PingInterval: time.Hour}})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(99_00, 1))
	c := h.local("/ws")
	book, trades, tradeSeq := &reference{}, uint64(0), uint64(0)
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	tradeSeq = c.expect("subscribed").Seq
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	if err := book.take(c.expect("subscribed")); err != nil {
		t.Fatal(err)
	}
	wide := make([]model.Level, 200)
	fill := func(n int) {
		for i := range n {
			for j := range wide {
				wide[j] = level(1_00+j, 1+(i+j)%7)
			}
			k.update(wide...)
			if i%10 == 0 {
				k.trades(1, model.TradeBatch{})
			}
		}
	}
	fill(700)
	k.hole(level(99_00, 1))
	fill(200)
	k.trades(1, model.TradeBatch{})
	last := k.trade

	for trades < last || book.nonce < k.seq {
		f := c.read()
		switch {
		case f.Channel == "order_book/0":
			if err := book.take(f); err != nil {
				t.Fatal(err)
			}
			if book.synced && book.text() != k.state(book.nonce) {
				t.Fatalf("book after nonce %d is not what it was", book.nonce)
			}
		case f.Type == "trade_update":
			if trades++; f.Seq != tradeSeq+1 {
				t.Fatalf("trade seq %d after %d", f.Seq, tradeSeq)
			}
			tradeSeq = f.Seq
		}
	}
	if book.jumps == 0 || book.gaps != 1 {
		t.Errorf("%d jumps, %d gaps; want some and 1", book.jumps, book.gaps)
	}
	if got := k.state(k.seq); book.text() != got {
		t.Error("the last book is not the newest")
	}
}

func TestQueueCountsWhatWaits(t *testing.T) {
	q := newQueue(10, 100)
	for i := range 10 {
		if r, n := q.push(item{raw: []byte{byte(i)}, size: 1}); r != pushed || n != i+1 {
			t.Fatalf("push %d: %v, %d", i, r, n)
		}
	}
	if r, _ := q.push(item{size: 1}); r != pushFull {
		t.Errorf("frame 11 was taken: %v", r)
	}
	items, _, _ := q.take(make([]item, 0, 4), 1000)
	if len(items) != 4 || items[0].raw[0] != 0 || items[3].raw[0] != 3 {
		t.Errorf("took %v", items)
	}
	if r, _ := q.push(item{size: 95}); r != pushFull {
		t.Errorf("101 bytes were taken: %v", r)
	}
	q.seal(true)
	if r, _ := q.push(item{size: 1}); r != pushDead || q.waiting() != 0 || q.bytes != 0 {
		t.Errorf("after seal: %v, %d waiting, %d bytes", r, q.waiting(), q.bytes)
	}
}

func TestFrameHeaders(t *testing.T) {
	for _, n := range []int{2, 125, 126, 127, 65535, 65536, 100_000} {
		payload := []byte(strings.Repeat("x", n))
		made := newFrame(payload)
		b, start := beginFrame([]byte("before"))
		b = endFrame(append(b, payload...), start)
		if string(b) != "before"+string(made) {
			t.Errorf("%d bytes: the two ways differ", n)
		}
		if payloadLen(made) != n || string(made[len(made)-n:]) != string(payload) {
			t.Errorf("%d bytes: header %v", n, made[:min(10, len(made))])
		}
		if want := map[bool]int{true: 2}[n < 126] + map[bool]int{true: 4}[n >= 126 && n <= 65535] + map[bool]int{true: 10}[n > 65535]; len(made)-n != want {
			t.Errorf("%d bytes: header of %d bytes, want %d", n, len(made)-n, want)
		}
	}
	if f := closeFrame(closeSlow, strings.Repeat("y", 200)); len(f) != 127 {
		t.Errorf("close frame of %d bytes", len(f))
	}
}

func FuzzClientMessage(f *testing.F) {
	for _, s := range []string{`{"type":"auth","api_key":"hlt_1"}`, `{"type":"subscribe","channel":"order_book/0","since":{"epoch":"a","seq":1}}`,
		`{"type":"replay","market_ids":[0,1],"start":"2026-01-01","end":1767225600000,"speed":"max","include":["trade"],"depth":5}`, `{"type":"seek","to":1}`} {
		f.Add([]byte(s))
	}
	s, err := New(Options{Markets: testMarkets{}, Access: testAccess{local: "enterprise"}})
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close(context.Background())
	principal, _ := testAccess{local: "enterprise"}.Authenticate(access.Request{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			if m != nil || err.Error() == "" {
				t.Fatal("an error comes without a message and with words")
			}
			return
		}
		if !json.Valid(b) || m.Type == "" {
			t.Fatalf("%q was taken", b)
		}
		if fam, native, ok := parseChannel(m.Channel); ok {
			if name := fmt.Sprint(fam.name, m.Channel[len(fam.name):len(fam.name)+1], native); name != m.Channel {
				t.Fatalf("channel %q was read as %q", m.Channel, name)
			}
		}
		r, err := s.parseReplay(m, principal.Plan)
		if err == nil && (r.source.From >= r.source.To || len(r.source.Markets) == 0 || r.source.Include == 0 || r.speed != 0 && r.speed < minSpeed) {
			t.Fatalf("request %+v was taken", r)
		}
	})
}

// The writer that has taken everything is woken by what comes while it writes; one that left something looks again by itself.
func TestQueueWakesForWhatComesWhileWriting(t *testing.T) {
	q := newQueue(1000, 1<<20)
	woken := func() bool {
		select {
		case <-q.wake:
			return true
		default:
			return false
		}
	}
	if items, _, left := q.take(make([]item, 0, 2), 1000); len(items) != 0 || left {
		t.Fatalf("%d items, left %v", len(items), left)
	}
	for range 3 {
		q.push(item{raw: []byte("x"), size: 1})
	}
	if !woken() || woken() {
		t.Error("three pushes to an idle queue wake once")
	}
	if items, _, left := q.take(make([]item, 0, 2), 1000); len(items) != 2 || !left {
		t.Errorf("%d items, left %v", len(items), left)
	}
	q.push(item{raw: []byte("x"), size: 1})
	if woken() {
		t.Error("woken although the writer looks again")
	}
	if items, _, left := q.take(make([]item, 0, 2), 1000); len(items) != 2 || left {
		t.Errorf("%d items, left %v", len(items), left)
	}
	q.pushUrgent([]byte("pong"))
	if !woken() {
		t.Error("not woken for what came while the last items were written")
	}
	if _, urgent, left := q.take(make([]item, 0, 2), 1000); string(urgent) != "pong" || left {
		t.Errorf("urgent %q, left %v", urgent, left)
	}
	q.poke()
	if !woken() {
		t.Error("not woken for a replay's bytes")
	}
}
