package ws

import (
	"encoding/json"
	"math/rand"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func level(price, size int) model.Level {
	return model.Level{Price: num.Price(price), Size: num.Size(size)}
}

func TestBookStartsWholeAndChains(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 3)
	k.snapshot(level(99_00, 1), level(98_00, 2))
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"order_book:3","depth":5}`)
	ack := c.expect("subscribed")
	if ack.Channel != "order_book/3" || ack.Epoch == "" || ack.Recovered != nil {
		t.Fatalf("acknowledged with %s", ack.raw)
	}
	first := c.expect("order_book_update")
	if !first.Snapshot || first.Seq != ack.Seq+1 || first.Channel != "order_book/3" || first.Timestamp == 0 || first.OrderBook.Code == nil {
		t.Fatalf("first frame %s after seq %d", first.raw, ack.Seq)
	}
	k.update(level(99_00, 0), level(97_00, 5))
	u := c.read()
	if u.Snapshot || u.Seq != first.Seq+1 || u.OrderBook.BeginNonce != first.OrderBook.Nonce {
		t.Errorf("update %s does not follow %s", u.raw, first.raw)
	}
	want := []levelJSON{{"99.00", "0"}, {"97.00", "0.0005"}}
	if !slices.Equal(u.OrderBook.Bids, want) {
		t.Errorf("levels %v, want %v", u.OrderBook.Bids, want)
	}
	c.say(`{"type":"unsubscribe","channel":"order_book/3"}`)
	c.expect("unsubscribed")
	k.update(level(96_00, 1))
	c.say(`{"type":"ping"}`)
	c.expect("pong")
}

func TestUpstreamHoleIsTold(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(99_00, 1))
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	c.expect("subscribed")
	before := c.expect("order_book_update")
	k.hole(level(95_00, 4))
	gap := c.expect("gap")
	if gap.From != 5000 || gap.To != 7000 || gap.Reason != "nonce_gap" || gap.Seq != before.Seq+1 || gap.Channel != "order_book/0" {
		t.Errorf("gap frame %s", gap.raw)
	}
	if s := c.expect("order_book_update"); !s.Snapshot || s.Seq != gap.Seq+1 || s.OrderBook.Bids[0].Price != "95.00" {
		t.Errorf("after the gap %s", s.raw)
	}
}

func TestSubscribeWhileOutOfSyncWaits(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(99_00, 1))
	k.event(&model.Gap{Kind: model.KindBook, From: 5_000_000, Cause: model.CauseStale}, nil)
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	ack := c.expect("subscribed")
	c.say(`{"type":"ping"}`)
	c.expect("pong") // no stale book in between
	k.snapshot(level(98_00, 1))
	if s := c.expect("order_book_update"); !s.Snapshot || s.Seq != ack.Seq+1 {
		t.Errorf("got %s after seq %d", s.raw, ack.Seq)
	}
}

func TestTradesOnePerFrame(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 0)
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	ack := c.expect("subscribed")
	k.trades(2, model.TradeBatch{History: true}) // the venue's history frame is not sent on
	k.trades(2, model.TradeBatch{})
	k.trades(1, model.TradeBatch{History: true, Recovered: true})
	for i := range 3 {
		f := c.expect("trade_update")
		if f.Seq != ack.Seq+uint64(i)+1 || f.Timestamp == 0 {
			t.Errorf("frame %s", f.raw)
		}
		if got := f.Recovered != nil && *f.Recovered; got != (i == 2) {
			t.Errorf("recovered = %v in %s", got, f.raw)
		}
		var tr map[string]any
		if err := json.Unmarshal(f.Trade, &tr); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"trade_id": float64(3 + i), "price": "3200.50", "size": "2.5000", "usd_amount": "8001.250000", "type": "trade",
			"is_maker_ask": true, "ask_account_id": 42.0, "bid_account_id": 99.0, "market_id": 0.0, "timestamp": 1700000000123.0,
			"ask_id_str": "281476000000001", "bid_id": 281476000000002.0, "block_height": 7.0, "tx_hash": "ab"}
		for name, v := range want {
			if tr[name] != v {
				t.Errorf("%s = %v, want %v", name, tr[name], v)
			}
		}
	}
}

func TestDataFormatWrapsRawChannels(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(99_00, 1))
	plain, c := h.local("/ws"), h.local("/ws")
	c.say(`{"type":"auth","format":"data"}`)
	c.expect("authenticated")
	for _, x := range []*client{plain, c} {
		x.say(`{"type":"subscribe","channel":"trade/0"}`)
		x.say(`{"type":"subscribe","channel":"order_book/0"}`)
		x.expect("subscribed")
		x.expect("subscribed")
	}
	k.trades(1, model.TradeBatch{})
	for range 2 {
		p, d := plain.read(), c.expect("data")
		inner := p.Trade
		if p.Type == "order_book_update" {
			inner, _ = json.Marshal(p.OrderBook)
			inner = json.RawMessage(p.raw[strings.Index(p.raw, `"order_book":`)+13 : strings.Index(p.raw, `,"snapshot"`)])
		}
		if string(d.Data) != string(inner) || d.Channel != p.Channel || d.Seq != p.Seq || d.Snapshot != p.Snapshot || d.Timestamp == 0 {
			t.Errorf("data form %s\nof         %s", d.raw, p.raw)
		}
	}
	c.say(`{"type":"auth","format":"data"}`)
	c.expectError(codeBadRequest)
}

func TestResumeWithSince(t *testing.T) {
	h := serve(t, Options{Limits: Limits{RingFrames: 20}})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(99_00, 1))
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"order_book/0"}`)
	r := &reference{}
	ack := c.expect("subscribed")
	for _, f := range []frame{ack, c.read()} {
		if err := r.take(f); err != nil {
			t.Fatal(err)
		}
	}
	c.conn.Close()
	for i := range 20 {
		k.update(level(90_00+i, i+1))
	}
	c = h.local("/ws")
	c.say(`{"type":"subscribe","channel":"order_book/0","since":{"epoch":%q,"seq":%d}}`, r.epoch, r.seq)
	back := c.expect("subscribed")
	if back.Recovered == nil || !*back.Recovered || back.Epoch != r.epoch || back.Seq != r.seq {
		t.Fatalf("resumed with %s", back.raw)
	}
	for range 20 {
		if err := r.take(c.read()); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := r.text(), k.state(r.nonce); got != want || r.snapshots != 1 {
		t.Errorf("book %q, want %q", got, want)
	}
	k.update(level(91_00, 7))
	if err := r.take(c.read()); err != nil {
		t.Fatal(err)
	}
	// Another epoch, the future, and more than the ring holds: a snapshot instead.
	for _, since := range []string{`{"epoch":"other","seq":1}`, `{"epoch":"` + r.epoch + `","seq":99999}`, `{"epoch":"` + r.epoch + `","seq":` + "1}"} {
		c.say(`{"type":"subscribe","channel":"order_book/0","since":%s}`, since)
		if f := c.expect("subscribed"); f.Recovered == nil || *f.Recovered {
			t.Fatalf("since %s: %s", since, f.raw)
		}
		if f := c.read(); !f.Snapshot || f.OrderBook.Nonce != k.seq {
			t.Fatalf("since %s: %s", since, f.raw)
		}
	}
}

// A channel that nobody listened to for the ring's age has a new epoch.
func TestEpochEndsWithTheRing(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	h := serve(t, Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	epoch := func() string {
		c := h.local("/ws")
		defer c.conn.Close()
		c.say(`{"type":"subscribe","channel":"trade/0"}`)
		defer func() { c.say(`{"type":"unsubscribe","channel":"trade/0"}`); c.expect("unsubscribed") }()
		return c.expect("subscribed").Epoch
	}
	first := epoch()
	pass := func(d time.Duration) {
		mu.Lock()
		now = now.Add(d)
		mu.Unlock()
		h.s.hub.sweep(now)
	}
	pass(59 * time.Second)
	if epoch() != first {
		t.Error("the epoch changed within the ring's age")
	}
	pass(61 * time.Second)
	if epoch() == first {
		t.Error("the epoch is still the same after the ring's age")
	}
}

func TestRingBytesAreBoundedOldestFirst(t *testing.T) {
	h := serve(t, Options{Limits: Limits{RingBytes: 20_000}})
	a, b := newMaker(h.s.Hub(), 0), newMaker(h.s.Hub(), 1)
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	c.say(`{"type":"subscribe","channel":"trade/1"}`)
	first, second := c.expect("subscribed"), c.expect("subscribed")
	a.trades(40, model.TradeBatch{})
	b.trades(40, model.TradeBatch{})
	for range 80 {
		c.expect("trade_update")
	}
	if got := h.s.hub.budget.bytes; got > 20_000 || got < 10_000 {
		t.Errorf("%d bytes kept", got)
	}
	c.say(`{"type":"subscribe","channel":"trade/0","since":{"epoch":%q,"seq":%d}}`, first.Epoch, first.Seq)
	if f := c.expect("subscribed"); *f.Recovered {
		t.Error("frames that made room were given")
	}
	c.say(`{"type":"subscribe","channel":"trade/1","since":{"epoch":%q,"seq":%d}}`, second.Epoch, second.Seq+30)
	if f := c.expect("subscribed"); !*f.Recovered {
		t.Error("the newest frames are gone")
	}
}

func TestHeartbeatsOnlyWhenAsked(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 0)
	quiet, c := h.local("/ws"), h.local("/ws")
	c.say(`{"type":"auth","heartbeats":true}`)
	c.expect("authenticated")
	var seq uint64
	for _, x := range []*client{quiet, c} {
		x.say(`{"type":"subscribe","channel":"trade/0"}`)
		seq = x.expect("subscribed").Seq
	}
	began := time.Now()
	k.trades(1, model.TradeBatch{})
	quiet.expect("trade_update")
	c.expect("trade_update")
	h.s.hub.sweep(began.Add(4 * time.Second))
	h.s.hub.sweep(time.Now().Add(6 * time.Second))
	if f := c.expect("heartbeat"); f.Seq != seq+1 || f.Channel != "trade/0" || f.Age == nil || *f.Age < 5000 || *f.Age > 7000+time.Since(began).Milliseconds() {
		t.Errorf("heartbeat %s", f.raw)
	}
	for _, x := range []*client{quiet, c} {
		x.say(`{"type":"ping"}`)
		x.expect("pong")
	}
}

func TestSubscriptionErrors(t *testing.T) {
	h := serve(t, Options{Access: testAccess{local: "free"}})
	c := h.local("/ws")
	for _, ch := range []string{"trade/99", "trade/-1", "trade/x", "trade", "trade/01", "trade/1/2", "other/1", "liquidation_heatmap/0", ""} {
		c.say(`{"type":"subscribe","channel":%q}`, ch)
		c.expectError(codeInvalidChannel)
	}
	c.say(`{"type":"unsubscribe","channel":"trade/1"}`)
	c.expectError(codeNotSubscribed)
	for i := range 5 {
		c.say(`{"type":"subscribe","channel":"trade/%d"}`, i)
		c.expect("subscribed")
	}
	c.say(`{"type":"subscribe","channel":"trade/4"}`)
	c.expect("subscribed") // again is not counted
	c.say(`{"type":"subscribe","channel":"trade/7"}`)
	if f := c.expectError(codeSubscriptionLimit); f.Channel != "trade/7" {
		t.Errorf("error names %q", f.Channel)
	}
	c.say(`{"type":"unsubscribe","channel":"trade/0"}`)
	c.expect("unsubscribed")
	c.say(`{"type":"subscribe","channel":"trade/7"}`)
	c.expect("subscribed")
}

// Random publishing, holes, subscribing and unsubscribing from several clients at once: after every frame each client's
// book is exactly the one that the frame's nonce names.
func TestNoHoleInAnyInterleaving(t *testing.T) {
	h := serve(t, Options{Limits: Limits{MessageRate: 1e6, MessageBurst: 1e6}})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(99_00, 1))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		r := rand.New(rand.NewSource(1))
		for {
			select {
			case <-stop:
				return
			default:
			}
			switch r.Intn(60) {
			case 0:
				k.hole(level(80_00+r.Intn(50), 1+r.Intn(9)), level(70_00, 1))
			case 1, 2, 3:
				time.Sleep(time.Millisecond) // the clients share this machine
			default:
				k.update(level(50_00+r.Intn(300), r.Intn(4)), level(50_00+r.Intn(300), 1+r.Intn(9)))
			}
		}
	})
	var clients sync.WaitGroup
	for i := range 3 {
		c := h.local("/ws")
		clients.Go(func() { interleave(t, c, k, int64(i)) })
	}
	clients.Wait()
	close(stop)
	wg.Wait()
}

// interleave subscribes, resumes and unsubscribes at random and checks every frame.
func interleave(t *testing.T, c *client, k *maker, seed int64) {
	r, ref := rand.New(rand.NewSource(seed)), &reference{}
	for range 15 {
		if ref.epoch != "" && r.Intn(2) == 0 {
			c.say(`{"type":"subscribe","channel":"order_book/0","since":{"epoch":%q,"seq":%d}}`, ref.epoch, ref.seq)
		} else {
			c.say(`{"type":"subscribe","channel":"order_book/0"}`)
		}
		for range 1 + r.Intn(120) {
			f, err := c.next()
			if err == nil {
				err = ref.take(f)
			}
			if err != nil {
				t.Error(err)
				return
			}
			if ref.synced && f.Type == "order_book_update" {
				if got, want := ref.text(), k.state(ref.nonce); got != want {
					t.Errorf("after nonce %d the client has\n%s\nthe book was\n%s", ref.nonce, got, want)
					return
				}
			}
		}
		c.say(`{"type":"unsubscribe","channel":"order_book/0"}`)
		for {
			f, err := c.next()
			if err != nil {
				t.Error(err)
				return
			}
			if f.Type == "unsubscribed" {
				break
			}
			if err := ref.take(f); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

func TestCredentialInHandshake(t *testing.T) {
	h := serve(t, Options{Access: testAccess{}})
	for name, dial := range map[string]func() *client{
		"header": func() *client { return h.dial("/ws", http.Header{"X-Api-Key": {"hlt_growth"}}) },
		"bearer": func() *client { return h.dial("/ws", http.Header{"Authorization": {"Bearer hlt_growth"}}) },
		"query":  func() *client { return h.dial("/ws?api_key=hlt_growth", nil) },
	} {
		c := dial()
		if f := c.expect("authenticated"); f.Tier != "growth" || f.MaxSubs != 10_000 {
			t.Errorf("%s: %s", name, f.raw)
		}
		c.say(`{"type":"auth","api_key":"hlt_growth"}`)
		c.expectError(codeBadRequest)
	}
	c := h.dial("/ws?api_key=hlt_nobody", nil)
	c.expectError(codeUnauthorized)
	c.expectClose(closeAuth)
	c = h.dial("/ws?api_key=hlt_expired", nil)
	c.expectError(codeForbidden)
	c.expectClose(closeRefused)
}
