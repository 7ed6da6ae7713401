package ws

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/engine/access"
	"hyperlight/engine/book"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

func serveNative(t testing.TB, limits Limits) *harness {
	return serve(t, Options{Native: lighterNative(), AllowAnonymous: true, Limits: limits})
}

// A hundred clients on four channels, one of them subscribing to the book twice: the venue has one connection, and all of
// them get the same frames.
func TestManyClientsCostTheVenueOneSubscription(t *testing.T) {
	r := followVenue(t, nil)
	before := r.feeds.Load()
	var clients []*nativeClient
	for range 100 {
		c := dialNative(t, r.addr+"/stream")
		for _, ch := range []string{"order_book/1", "trade/1", "market_stats/1", "height"} {
			c.say(`{"type":"subscribe","channel":%q}`, ch)
		}
		clients = append(clients, c)
	}
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			n := 0
			c.await(func(f *nativeFrame) bool {
				if f.Type == "update/order_book" {
					n++
				}
				return n == 5
			})
		})
	}
	wg.Wait()
	last := texts(clients[len(clients)-1].kept(func(f *nativeFrame) bool { return f.Type == "update/order_book" }))
	for i, c := range clients {
		c.chained("order_book:1")
		if !slices.Contains(texts(c.kept(ofChannel("order_book:1"))), last[0]) {
			t.Fatalf("client %d has not got the frame of another one", i)
		}
	}
	if got := r.feeds.Load(); got != before || r.privates.Load() != 0 {
		t.Errorf("%d upstream connections of the feed, %d of clients, want %d and none", got, r.privates.Load(), before)
	}
}

// A market that is not followed is asked of the venue itself, over the client's own socket, with the venue's answers.
func TestUnfollowedMarketGoesUpstream(t *testing.T) {
	r := followVenue(t, nil)
	c := dialNative(t, r.addr+"/stream")
	c.say(`{"type":"subscribe","channel":"order_book/3"}`)
	c.await(func(f *nativeFrame) bool { return f.Type == "subscribed/order_book" && f.Channel == "order_book:3" })
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	c.await(ofChannel("order_book:0"))
	got := c.answers([]string{`{"type":"subscribe","channel":"order_book/3"}`, `{"type":"unsubscribe","channel":"order_book/3"}`,
		`{"type":"unsubscribe","channel":"order_book/3"}`})
	if want := []string{`{"error":{"code":30003,"message":"Already Subscribed to : order_book:3"}}`, `{"type": "unsubscribed", "channel": "order_book:3"}`,
		`{"error":{"code":30002,"message":"Not Subscribed to : order_book:3"}}`}; !slices.Equal(got, want) {
		t.Errorf("answers %q", got)
	}
	if r.privates.Load() != 1 {
		t.Errorf("%d private sockets", r.privates.Load())
	}
	c.chained("order_book:3")
	c.chained("order_book:0")
}

// applyNative keeps a book from native frames as a client of the venue does, and checks the chain. It returns the nonce.
func applyNative(t testing.TB, b *book.Book, raw string) uint64 {
	t.Helper()
	d := lighter.NewDecoder(twoAndFour{})
	var nonce uint64
	err := d.Decode([]byte(raw), 1, func(e *model.Event) error {
		u := e.Payload.(*model.BookUpdate)
		nonce = u.Seq
		return b.Apply(u, e.Time, e.Recv)
	})
	if err != nil {
		t.Fatalf("%.300s: %v", raw, err)
	}
	return nonce
}

// twoAndFour resolves the test's markets.
type twoAndFour struct{}

func (twoAndFour) Market(native int64) (*model.Market, bool) {
	return testMarkets{}.ByNative(0, native)
}
func (twoAndFour) Observe(native int64, _ string, _, _ uint8) (*model.Market, bool) {
	return testMarkets{}.ByNative(0, native)
}

// After a hole everybody gets a new first frame, and the chain goes on from it.
func TestNativeHole(t *testing.T) {
	h := serveNative(t, Limits{})
	k := newMaker(h.s.Hub(), 0)
	k.chained = true
	k.snapshot(level(100, 5), level(99, 1))
	c := dialNative(t, h.addr+"/stream")
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	c.await(ofChannel("order_book:0"))
	k.update(level(100, 6))
	k.event(&model.Gap{Kind: model.KindBook, From: 5_000_000, Cause: model.CauseNonce}, nil)
	other := dialNative(t, h.addr+"/stream")
	// While the hole lasts there is no state to begin with; without an upstream that is an unknown channel.
	if got := other.answers([]string{`{"type":"subscribe","channel":"order_book/0"}`}); got[0] != `{"error":{"code":30005,"message":"Invalid Channel"}}` {
		t.Errorf("got %s", got[0])
	}
	k.event(&model.Gap{Kind: model.KindBook, From: 5_000_000, To: 7_000_000, Cause: model.CauseNonce}, nil)
	k.snapshot(level(100, 7))
	k.update(level(101, 2))
	last := k.seq
	c.await(func(f *nativeFrame) bool { return f.Book.Nonce == last })
	c.chained("order_book:0")
	b := book.New()
	var kinds []string
	for _, f := range c.kept(ofChannel("order_book:0")) {
		nonce := applyNative(t, b, f.raw)
		if got := viewText(b.View()); got != k.state(nonce) {
			t.Fatalf("book %s, want %s", got, k.state(nonce))
		}
		kinds = append(kinds, f.Type)
	}
	if want := []string{"subscribed/order_book", "update/order_book", "subscribed/order_book", "update/order_book"}; !slices.Equal(kinds, want) {
		t.Errorf("frames %q", kinds)
	}
}

// A slow reader gets a new first frame instead of what it was too slow for, with a chain that holds; a fast one beside it
// gets every update.
func TestSlowNativeClient(t *testing.T) {
	h := serveNative(t, Limits{ConflateAt: 16})
	k := newMaker(h.s.Hub(), 0)
	k.chained = true
	var deep []model.Level
	for i := range 400 {
		deep = append(deep, level(9_000-i, 5))
	}
	k.snapshot(deep...)
	fast := dialNative(t, h.addr+"/stream")
	fast.say(`{"type":"subscribe","channel":"order_book/0"}`)
	fast.await(ofChannel("order_book:0"))
	d := websocket.Dialer{ReadBufferSize: 1024}
	slow, _, err := d.Dial("ws://"+h.addr+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if err := slow.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","channel":"order_book/0"}`)); err != nil {
		t.Fatal(err)
	}
	ch := h.s.hub.feed(testMarketList[0]).native[nativeBook]
	conflated := func() bool {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		return slices.ContainsFunc(ch.subs, func(s *subscription) bool { return s.conflated })
	}
	h.eventually("both have subscribed", func() bool { ch.mu.Lock(); defer ch.mu.Unlock(); return len(ch.subs) == 2 })
	updates := 0
	for until := time.Now().Add(2 * time.Minute); !conflated(); updates++ {
		if time.Now().After(until) {
			t.Fatal("the slow client was never put aside")
		}
		for i := range deep {
			deep[i].Size = deep[i].Size%97 + 1
		}
		k.update(deep...)
		nonce := k.seq // the fast one keeps up: it must not be put aside too
		fast.await(func(f *nativeFrame) bool { return f.Book.Nonce == nonce })
		fast.forget()
	}
	for range 20 {
		k.update(level(9_100, updates%50+1))
		updates++
	}
	last := k.seq
	b, firsts := book.New(), 0
	slow.SetReadDeadline(time.Now().Add(2 * time.Minute))
	for {
		_, raw, err := slow.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "session_id") {
			continue
		}
		if strings.Contains(string(raw), "subscribed/") {
			firsts++
		}
		nonce := applyNative(t, b, string(raw)) // fails where the chain is broken
		if got := viewText(b.View()); got != k.state(nonce) {
			t.Fatalf("the book at %d is not what it was", nonce)
		}
		if nonce == last {
			break
		}
	}
	if firsts < 2 {
		t.Errorf("%d first frames, want a second one", firsts)
	}
}

// A recording goes through decoder, shard and hub to a native client, who gets every recorded update byte for byte behind
// a first frame with the nonce that it continues.
func TestRecordedChainReachesNativeClients(t *testing.T) {
	for _, file := range []string{"captures/lighter/ws-hype-20260419.ndjson.gz", "lighter/ws/mainnet-CRV-order_book-complete-2026-07-29.jsonl"} {
		t.Run(file[strings.LastIndexByte(file, '/')+1:], func(t *testing.T) {
			frames := recordedBookFrames(t, feedtest.Recording(t, file))
			registry := market.NewRegistry(market.Options{Shards: 1, Now: time.Now})
			d := lighter.NewDecoder(registry.Resolver(0, true))
			var first nativeFrame
			if err := json.Unmarshal(frames[0], &first); err != nil {
				t.Fatal(err)
			}
			h := serve(t, Options{Markets: registry, Native: lighterNative(), AllowAnonymous: true})
			b := book.New()
			publish := func(frame []byte) {
				err := d.Decode(frame, recvNow(), func(e *model.Event) error {
					c := e.Clone()
					if err := b.Apply(c.Payload.(*model.BookUpdate), c.Time, c.Recv); err != nil {
						return err
					}
					h.s.Hub().OnEvent(&c, b.View())
					return nil
				})
				if err != nil {
					t.Fatalf("%.200s: %v", frame, err)
				}
			}
			publish(frames[0])
			c := dialNative(t, h.addr+"/stream")
			c.say(`{"type":"subscribe","channel":%q}`, strings.Replace(first.Channel, ":", "/", 1))
			if got := c.await(ofChannel(first.Channel)); got.Book.Nonce != first.Book.Nonce || got.raw != string(frames[0]) {
				t.Errorf("first frame\n%.300s\nrecorded\n%.300s", got.raw, frames[0])
			}
			for _, f := range frames[1:] {
				publish(f)
			}
			var last nativeFrame
			if err := json.Unmarshal(frames[len(frames)-1], &last); err != nil {
				t.Fatal(err)
			}
			c.await(func(f *nativeFrame) bool { return f.Book.Nonce == last.Book.Nonce })
			got := c.kept(ofChannel(first.Channel))
			if len(got) != len(frames) {
				t.Fatalf("%d frames, want %d", len(got), len(frames))
			}
			for i := range frames {
				if got[i].raw != string(frames[i]) {
					t.Fatalf("frame %d\n%.300s\nwant\n%.300s", i, got[i].raw, frames[i])
				}
			}
			c.chained(first.Channel)
		})
	}
}

// The first frame of trades has the last fifty of each list, newest first, whatever order they were learned in, and the
// store fills up what was there before us.
func TestNativeTape(t *testing.T) {
	var tp tape
	row := func(id int, kind model.TradeKind) model.Trade { return model.Trade{ID: uint64(id), Kind: kind} }
	for i := 100; i > 0; i -= 2 {
		tp.add(&model.TradeBatch{Rows: []model.Trade{row(i, model.KindTrade)}, Nonce: uint64(i)})
	}
	for i := 1; i < 100; i += 2 {
		tp.add(&model.TradeBatch{Rows: []model.Trade{row(i, model.KindTrade), row(i, model.KindTrade), row(1000+i, model.KindLiquidation)}})
	}
	b := tp.batch()
	var ids [2][]uint64
	for i := range b.Rows {
		ids[listOf(&b.Rows[i])] = append(ids[listOf(&b.Rows[i])], b.Rows[i].ID)
	}
	for l, least := range [2]uint64{51, 1001} {
		if len(ids[l]) != tapeRows || !slices.IsSorted(ids[l]) || ids[l][0] != least || len(slices.Compact(ids[l])) != tapeRows {
			t.Errorf("list %d: %d", l, ids[l])
		}
	}
	if b.Nonce != 2 || !b.History {
		t.Errorf("nonce %d, history %v", b.Nonce, b.History)
	}

	stored := sharedTape()
	last := &stored.trades[len(stored.trades)-1]
	s, err := New(Options{Markets: testMarkets{}, Access: testAccess{}, History: stored, Now: func() time.Time { return time.UnixMicro(int64(last.Recv)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	ch := s.hub.feed(testMarketList[0]).native[nativeTrade]
	ch.onTrades(&model.TradeBatch{Rows: []model.Trade{row(int(last.ID)+1, model.KindTrade)}}, testMarketList[0])
	s.seed(ch)
	if rows := ch.trades.batch().Rows; len(rows) != tapeRows || rows[tapeRows-1].ID != last.ID+1 || rows[tapeRows-2].ID != last.ID {
		t.Errorf("%d rows, the last of them %d", len(rows), rows[len(rows)-1].ID)
	}
}

func TestNativeTrades(t *testing.T) {
	h := serveNative(t, Limits{})
	c := dialNative(t, h.addr+"/stream")
	// Nothing has traded yet, and nothing has been missed: that is a state to begin with.
	h.s.Hub().OnTick(0, []market.Held{{Market: testMarketList[0], TradesHeld: true}})
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	if f := c.await(ofChannel("trade:0")); f.raw != `{"channel":"trade:0","liquidation_trades":[],"trades":[],"type":"subscribed/trade"}` {
		t.Errorf("first frame %.200s", f.raw)
	}
	newest := uint64(1000)
	k := newMaker(h.s.Hub(), 0)
	k.trade = newest
	k.trades(2, model.TradeBatch{Nonce: 77})
	u := c.await(func(f *nativeFrame) bool { return f.Type == "update/trade" })
	if u.Nonce != 77 || strings.Index(u.raw, fmt.Sprint(newest+2)) > strings.Index(u.raw, fmt.Sprint(newest+1)) {
		t.Errorf("update %.300s", u.raw)
	}
	// What was recovered comes as an update too; history that nobody missed does not.
	k.trades(1, model.TradeBatch{History: true, Recovered: true, Nonce: 78})
	k.trades(1, model.TradeBatch{History: true, Nonce: 79})
	k.trades(1, model.TradeBatch{Nonce: 80})
	c.await(func(f *nativeFrame) bool { return f.Nonce == 80 })
	if n := len(c.kept(func(f *nativeFrame) bool { return f.Type == "update/trade" })); n != 3 {
		t.Errorf("%d updates, want 3", n)
	}
}

// The venue's own limit of messages, as the venue says it; transactions are not counted.
func TestNativeMessageLimit(t *testing.T) {
	h := serveNative(t, Limits{NativeMessages: 5})
	c := dialNative(t, h.addr+"/stream")
	for i, got := range c.answers(slices.Repeat([]string{`{"type":"ping"}`}, 8)) {
		want := `{"type":"pong"}`
		if i >= 5 {
			want = `{"error":{"code":30009,"message":"Too Many Websocket Messages!"}}`
		}
		if got != want {
			t.Errorf("message %d was answered %s", i, got)
		}
	}
	if got := c.answers([]string{`{"type":"jsonapi/sendtx"}`}); strings.Contains(got[0], "30009") {
		t.Errorf("a transaction was counted: %s", got[0])
	}
	var w window
	at := time.Unix(0, 0)
	taken := 0
	for range 1000 {
		if w.take(10, at) {
			taken++
		}
		at = at.Add(time.Second)
	}
	if taken < 160 || taken > 170 {
		t.Errorf("%d taken in 1,000 s at ten a minute", taken)
	}
}

// Subscriptions in the venue's form count against the plan as ours do.
func TestNativeSubscriptionLimit(t *testing.T) {
	h := serve(t, Options{Native: lighterNative(), Access: testAccess{}, AllowAnonymous: true})
	for i := range 6 {
		newMaker(h.s.Hub(), model.MarketID(i)).snapshot(level(100, 5))
	}
	c := dialNative(t, h.addr+"/stream")
	for i := range 5 {
		c.say(`{"type":"subscribe","channel":"order_book/%d"}`, i)
		c.await(ofChannel(fmt.Sprintf("order_book:%d", i)))
	}
	got := c.answers([]string{`{"type":"subscribe","channel":"order_book/5"}`, `{"type":"unsubscribe","channel":"order_book/0"}`})
	if got[0] != `{"error":{"code":23001,"message":"Too Many Subscriptions!"}}` {
		t.Errorf("got %s", got[0])
	}
	c.say(`{"type":"subscribe","channel":"order_book/5"}`)
	c.await(ofChannel("order_book:5"))
	c.conn.Close()
	h.eventually("nothing is held", func() bool {
		h.s.quota.mu.Lock()
		defer h.s.quota.mu.Unlock()
		return len(h.s.quota.used) == 0
	})
}

// No client message panics, hangs, or closes a socket of the venue's protocol, and each is answered with at most one frame.
func FuzzNativeMessage(f *testing.F) {
	for _, s := range []string{
		`{"type":"subscribe","channel":"order_book/0"}`, `{"type":"unsubscribe","channel":"order_book/0"}`, `{"type":"subscribe","channel":"trade/-1"}`,
		`{"type":"subscribe","channel":"market_stats/all","auth":null}`, `{"type":"jsonapi/sendtx"}`, `{"type":"ping"}`, `[]`, `"`, `{"auth":{}}`,
		`{"type":"subscribe","channel":"order_book/9223372036854775808"}`, `{"type":"subscribe","channel":"height/"}`, `null`,
	} {
		f.Add([]byte(s))
	}
	s, err := New(Options{Markets: testMarkets{}, Access: testAccess{local: "enterprise"}, Native: lighterNative()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close(f.Context()) })
	newMaker(s.Hub(), 0).snapshot(level(100, 5))
	p := &access.Principal{Plan: testAccess{}.Plans()[0], Account: "fuzz"}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &Conn{server: s, queue: newQueue(1024, 1<<20)}
		n := newNativeSession(c).(*nativeSession)
		c.session, n.begun = n, true
		c.owner.Store(p)
		c.beginIdle() // as a connection does before it reads: a client that was never heard would be silent for too long
		n.answer(text)
		if c.queue.waiting() > 1 || c.closing.Load() {
			t.Errorf("%q: %d frames, closing %v", text, c.queue.waiting(), c.closing.Load())
		}
		n.end()
		c.idle.end()
		if s.quota.used["fuzz"] != nil && s.quota.used["fuzz"][slotSubscription] != 0 {
			t.Errorf("%q: a subscription is still counted", text)
		}
	})
}

// recordedBookFrames returns the book frames of a recording's first channel, oldest first.
func recordedBookFrames(t *testing.T, path string) (out [][]byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Bytes()
		var w struct {
			Frame, Msg json.RawMessage
			Raw        string
		}
		if json.Unmarshal(line, &w) == nil {
			switch {
			case w.Frame != nil:
				line = w.Frame
			case w.Msg != nil:
				line = w.Msg
			case w.Raw != "":
				line = []byte(w.Raw)
			}
		}
		if strings.Contains(string(line), `/order_book"`) {
			out = append(out, bytes.Clone(line))
		}
	}
	if len(out) < 2 {
		t.Fatalf("%s has %d book frames", path, len(out))
	}
	return out
}
