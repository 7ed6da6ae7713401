package ws

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// fakeOwners and fakeHeatmaps stand for the engine.
type fakeOwners struct {
	mu      sync.Mutex
	reading *model.Attribution
	watched int
}

func (o *fakeOwners) Attribution(model.MarketID) *model.Attribution {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reading
}

func (o *fakeOwners) Watch(model.MarketID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watched++
}

type fakeHeatmaps struct {
	mu   sync.Mutex
	data []byte
}

func (h *fakeHeatmaps) Heatmap(model.MarketID) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.data
}

func (h *fakeHeatmaps) set(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.data = []byte(text)
}

// enrichedJSON is the data object of an enriched book.
type enrichedJSON struct {
	MarketID  int64 `json:"market_id"`
	Symbol    string
	Snapshot  bool
	Bids      []enrichedLevelJSON
	Asks      []enrichedLevelJSON
	BestBid   *string `json:"best_bid"`
	BestAsk   *string `json:"best_ask"`
	Spread    *string
	Tick      *string `json:"tick_size"`
	Threshold string  `json:"whale_threshold"`
	Nonce     uint64
	At        *int64 `json:"attribution_at"`
}

type enrichedLevelJSON struct {
	Price, Size string
	Whale       bool
	Orders      []struct {
		Account  *int64
		Side     string
		OrderID  *string `json:"order_id"`
		Size     string
		Notional string
		Whale    bool
	}
}

func (f frame) enriched(t testing.TB) (e enrichedJSON) {
	t.Helper()
	if err := json.Unmarshal(f.Data, &e); err != nil || f.Type != "data" {
		t.Fatalf("%s: %v", f.raw, err)
	}
	return e
}

var freeKey = http.Header{"X-Api-Key": {"hlt_free"}}

// At most one frame a second, the first at once, on change only, and the last change is never kept back.
func TestEnrichedBookPace(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, b *bubble) {
		k := newMaker(b.s.Hub(), 0)
		k.snapshot(level(99_00, 1))
		p := b.dial("/ws", growthKey)
		p.take()
		got := p.say(`{"type":"subscribe","channel":"enriched_order_book/0"}`)
		if len(got) != 2 || got[0].Type != "subscribed" || got[1].Seq != got[0].Seq+1 || !got[1].enriched(t).Snapshot {
			t.Fatalf("subscribed with %v", got)
		}
		seq, nonce := got[1].Seq, got[1].enriched(t).Nonce
		last := time.Now()
		frames := 0
		for i := range 100 { // ten seconds of ten updates each
			k.update(level(99_00, 2+i))
			time.Sleep(100 * time.Millisecond)
			synced := p.take()
			for _, f := range synced {
				frames++
				e := f.enriched(t)
				if f.Seq != seq+1 || e.Nonce <= nonce || f.Timestamp == 0 {
					t.Fatalf("after seq %d and nonce %d: %s", seq, nonce, f.raw)
				}
				if d := time.Since(last); d < 900*time.Millisecond {
					t.Fatalf("a frame after %v", d)
				}
				seq, nonce, last = f.Seq, e.Nonce, time.Now()
			}
		}
		if frames < 9 || frames > 10 {
			t.Errorf("%d frames in ten seconds", frames)
		}
		time.Sleep(2 * time.Second)
		p.take()
		k.update(level(98_00, 7))
		if e := p.only("data").enriched(t); e.Nonce != k.seq {
			t.Error("a change after a quiet while is not told at once")
		}
		k.update(level(98_00, 8))
		if f := p.take(); len(f) != 0 {
			t.Errorf("a second frame at once: %v", f)
		}
		time.Sleep(time.Second)
		if e := p.only("data").enriched(t); e.Nonce != k.seq || e.Bids[1].Size != "0.0008" {
			t.Errorf("the last change came as %+v", e)
		}
		time.Sleep(time.Minute)
		for _, f := range p.take() {
			t.Errorf("nothing changed, and %s came", f.raw)
		}
		k.hole(level(95_00, 1))
		if f := p.take(); len(f) != 2 || f[0].Type != "gap" || f[1].enriched(t).Bids[0].Price != "95.00" || f[1].Seq != f[0].Seq+1 {
			t.Errorf("after a hole: %v", f)
		}
	})
}

// owned is what is known of a level of a size: the orders, and that nobody knows of the rest.
func owned(size num.Size, orders ...model.RestingOrder) *model.OwnedLevel {
	l := &model.OwnedLevel{Price: orders[0].Price, Size: size, Rest: size, Orders: orders}
	for _, r := range orders {
		l.Rest -= r.Size
	}
	if l.Rest > 0 {
		l.State = model.OwnersPartial
	}
	return l
}

func TestEnrichedBookShape(t *testing.T) {
	// The first bid has left the book since, the last one has grown.
	owners := &fakeOwners{reading: &model.Attribution{At: 1700000000000, Levels: [2][]*model.OwnedLevel{
		model.Bid: {owned(1, model.RestingOrder{Account: 1, ID: 5, Price: 100_00, Size: 1}),
			owned(1_010_0000, model.RestingOrder{Account: 42, ID: 281476000000002, Price: 99_00, Size: 1_000_0000},
				model.RestingOrder{Account: 43, ID: 7, Price: 99_00, Size: 10_0000}),
			owned(20_0000, model.RestingOrder{Account: 44, ID: 8, Price: 98_50, Size: 10_0000}),
			owned(8_0000, model.RestingOrder{Account: 44, ID: 8, Price: 98_10, Size: 8_0000})},
		model.Ask: {owned(10_000, model.RestingOrder{Account: 45, ID: 9, Price: 10_000_00, Size: 5000})}}}}
	inBubble(t, Options{Owners: owners}, func(t *testing.T, b *bubble) {
		k := newMaker(b.s.Hub(), 0)
		k.snapshot(level(99_00, 1_010_0000), level(98_50, 20_0000), level(98_10, 9_0000), level(97_00, 2_000_0000), level(10_00, 1))
		paid, free := b.dial("/ws", growthKey), b.dial("/ws", freeKey)
		paid.take()
		free.take()
		show := func(p *peer, options string) enrichedJSON {
			t.Helper()
			p.say(`{"type":"unsubscribe","channel":"enriched_order_book/0"}`)
			got := p.say(`{"type":"subscribe","channel":"enriched_order_book/0"%s}`, options)
			if len(got) != 2 || got[0].Type != "subscribed" || got[1].Channel != "enriched_order_book/0" {
				t.Fatalf("%s: %v", options, got)
			}
			return got[1].enriched(t)
		}
		show(paid, "")
		time.Sleep(2 * time.Second) // the owners are read once a second
		owners.mu.Lock()
		watched := owners.watched
		owners.mu.Unlock()
		if watched == 0 {
			t.Fatal("nobody asked for owners")
		}
		e := show(paid, "")
		if len(e.Bids) != 5 || e.Symbol != "M0" || *e.BestBid != "99.00" || *e.BestAsk != "10000.00" || *e.Spread != "9901.00" ||
			e.Tick != nil || e.Threshold != "100000" || e.Nonce != k.seq || e.At == nil || *e.At != 1700000000000 {
			t.Errorf("got %+v", e)
		}
		// 99,000 USD and 990: neither order is a whale's, though the level is worth more; none is known at 97.00, 194,000 USD.
		best := e.Bids[0]
		if best.Whale || len(best.Orders) != 2 || *best.Orders[0].Account != 42 || *best.Orders[0].OrderID != "281476000000002" ||
			best.Orders[0].Side != "bid" || best.Orders[0].Size != "1000.0000" || best.Orders[0].Notional != "99000" {
			t.Errorf("best bid %+v", best)
		}
		if !e.Bids[3].Whale || len(e.Bids[3].Orders) != 0 || e.Bids[2].Whale || len(e.Bids[2].Orders) != 0 {
			t.Errorf("other bids %+v", e.Bids[1:])
		}
		if len(e.Asks[0].Orders) != 1 || e.Asks[0].Orders[0].Side != "ask" {
			t.Errorf("asks %+v", e.Asks)
		}
		// The threshold of a subscription changes the flags, and is shown.
		if e = show(paid, `,"whale_threshold":99000`); !e.Bids[0].Whale || !e.Bids[0].Orders[0].Whale || e.Bids[0].Orders[1].Whale || e.Threshold != "99000" {
			t.Errorf("with a threshold %+v", e.Bids[0])
		}
		// Depth cuts, a tick joins levels and their orders; bids go down to the step, the best prices stay the book's.
		if e = show(paid, `,"depth":2`); len(e.Bids) != 2 || len(e.Asks) != 1 {
			t.Errorf("depth 2 shows %+v", e)
		}
		e = show(paid, `,"depth":2,"tick_size":"1.00","whale_threshold":"1000.5"`)
		if len(e.Bids) != 2 || e.Bids[0].Price != "99.00" || e.Bids[1].Price != "98.00" || e.Bids[1].Size != "29.0000" ||
			len(e.Bids[1].Orders) != 1 || *e.Tick != "1" || *e.BestBid != "99.00" || e.Threshold != "1000.5" {
			t.Errorf("with a tick %+v", e)
		}
		// The free tier sees orders and flags, but neither accounts nor ids.
		e = show(free, "")
		if len(e.Bids) != 5 || len(e.Bids[0].Orders) != 2 || e.Bids[0].Orders[0].Account != nil || e.Bids[0].Orders[0].OrderID != nil || !e.Bids[3].Whale {
			t.Errorf("on free %+v", e)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	h := serve(t, Options{})
	c := h.local("/ws")
	for _, bad := range []string{`"depth":0`, `"depth":251`, `"depth":"5"`, `"tick_size":0`, `"tick_size":-1`, `"tick_size":"x"`, `"tick_size":0.001`,
		`"tick_size":1e2`, `"tick_size":100000000000000000`, `"tick_size":[]`, `"tick_size":""`, `"whale_threshold":999.999999`, `"whale_threshold":"x"`,
		`"whale_threshold":1e6`, `"whale_threshold":5000.0000001`, `"whale_threshold":99999999999999`, `"whale_threshold":true`} {
		c.say(`{"type":"subscribe","channel":"enriched_order_book/0",%s}`, bad)
		if f := c.expectError(codeBadRequest); !strings.HasPrefix(f.Message, strings.Trim(strings.SplitN(bad, ":", 2)[0], `"`)) {
			t.Errorf("%s: %s", bad, f.raw)
		}
	}
	for _, good := range []string{`"depth":1`, `"depth":250`, `"depth":null,"tick_size":null,"whale_threshold":null`, `"tick_size":"0.01"`, `"tick_size":5`,
		`"whale_threshold":1000`, `"whale_threshold":"123456.789"`} {
		c.say(`{"type":"subscribe","channel":"enriched_order_book/0",%s}`, good)
		if f := c.read(); f.Type != "subscribed" {
			t.Errorf("%s: %s", good, f.raw)
		}
	}
	// Families that know no options ignore them.
	c.say(`{"type":"subscribe","channel":"trade/0","depth":0,"tick_size":"x","whale_threshold":1}`)
	c.expect("subscribed")
}

// Other options of a held channel replace those before: one subscription, and nothing more of the old one.
func TestOptionsReplaceEachOther(t *testing.T) {
	h := serve(t, Options{Access: testAccess{local: "free"}})
	k := newMaker(h.s.Hub(), 0)
	c := h.local("/ws")
	epochs := map[string]bool{}
	for _, threshold := range []int{1000, 5000, 10_000, 20_000, 50_000, 100_000} {
		c.say(`{"type":"subscribe","channel":"enriched_trade/0","whale_threshold":%d}`, threshold)
		epochs[c.expect("subscribed").Epoch] = true
	}
	if len(epochs) != 6 {
		t.Errorf("%d epochs of 6 option sets", len(epochs))
	}
	k.trades(1, model.TradeBatch{})
	if f := c.expect("data"); !strings.Contains(f.raw, `"whale":false`) {
		t.Errorf("got %s", f.raw)
	}
	c.say(`{"type":"unsubscribe","channel":"enriched_trade/0"}`)
	c.expect("unsubscribed")
	h.eventually("no subscription is counted any more", func() bool {
		h.s.quota.mu.Lock()
		defer h.s.quota.mu.Unlock()
		return h.s.quota.used["free"][slotSubscription] == 0
	})
}

// Option sets are bounded per family and market; the defaults, and those in use, stay open to everybody.
func TestVariantsAreBounded(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	h := serve(t, Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }, Limits: Limits{MessageRate: 1e6, MessageBurst: 1e6}})
	var held []*client
	open := func(threshold int) (*client, frame) {
		c := h.local("/ws")
		c.say(`{"type":"subscribe","channel":"alert/0","whale_threshold":%d}`, threshold)
		return c, c.read()
	}
	for i := range maxVariants {
		c, f := open(1000 + i)
		if f.Type != "subscribed" {
			t.Fatalf("variant %d: %s", i, f.raw)
		}
		held = append(held, c)
	}
	if c, f := open(999_999); f.Code != codeSubscriptionLimit {
		t.Errorf("one more gave %s", f.raw)
	} else {
		c.say(`{"type":"subscribe","channel":"alert/0"}`)
		c.expect("subscribed")
		c.say(`{"type":"subscribe","channel":"alert/0","whale_threshold":1001}`)
		c.expect("subscribed")
		c.say(`{"type":"subscribe","channel":"alert/0","whale_threshold":7777}`)
		c.expectError(codeSubscriptionLimit)
		c.say(`{"type":"unsubscribe","channel":"alert/0"}`)
		c.expect("unsubscribed") // what was held stayed
	}
	held[0].say(`{"type":"unsubscribe","channel":"alert/0"}`)
	held[0].expect("unsubscribed")
	if _, f := open(999_999); f.Type != "subscribed" {
		t.Errorf("after one was given up: %s", f.raw)
	}
	for _, c := range held {
		c.conn.Close()
	}
	eventually(t, func() bool { h.s.mu.Lock(); defer h.s.mu.Unlock(); return len(h.s.conns) <= 2 })
	mu.Lock()
	now = now.Add(61 * time.Second)
	mu.Unlock()
	h.s.hub.sweep(now)
	m, _ := testMarkets{}.Get(0)
	d := &h.s.hub.feed(m).desk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count != 1 || len(d.open[alertFamily.own()]) != 1 {
		t.Errorf("%d channels are left after 61 s", d.count)
	}
}

func TestEnrichedTrades(t *testing.T) {
	h := serve(t, Options{Access: testAccess{}})
	k := newMaker(h.s.Hub(), 0)
	paid, free, low := h.dial("/ws", growthKey), h.dial("/ws", freeKey), h.dial("/ws", growthKey)
	var seq uint64
	for i, c := range []*client{paid, free, low} {
		c.expect("authenticated")
		c.say(`{"type":"subscribe","channel":"enriched_trade/0"%s}`, []string{"", "", `,"whale_threshold":8001.25`}[i])
		seq = c.expect("subscribed").Seq
	}
	k.trades(2, model.TradeBatch{History: true}) // not sent on
	k.trades(150, model.TradeBatch{})
	k.trades(1, model.TradeBatch{History: true, Recovered: true})
	for i := range 151 {
		p, f, l := paid.expect("data"), free.expect("data"), low.expect("data")
		if p.Seq != seq+uint64(i)+1 || p.Channel != "enriched_trade/0" || p.Timestamp == 0 || f.Seq != p.Seq {
			t.Fatalf("frame %s", p.raw)
		}
		if got := p.Recovered != nil && *p.Recovered; got != (i == 150) {
			t.Fatalf("recovered %v in %s", got, p.raw)
		}
		row := model.Trade{ID: uint64(3 + i), Time: 1700000000123, Price: 320050, Size: 25000, USD: 8001250000, MakerAsk: true, AskAccount: 42, BidAccount: 99,
			AskOrder: 281476000000001, BidOrder: 281476000000002, TxHash: "ab", Block: 7}
		want := strings.TrimSuffix(string(row.AppendJSON(nil, testMarketList[0], false)), "}") + `,"account":99,"maker_account":42,"taker_account":99}`
		if string(p.Data) != want {
			t.Fatalf("got  %s\nwant %s", p.Data, want)
		}
		anonymous := strings.NewReplacer(`"ask_account_id":42,"bid_account_id":99`, `"ask_account_id":null,"bid_account_id":null`,
			`"account":99,"maker_account":42,"taker_account":99`, `"account":null,"maker_account":null,"taker_account":null`).Replace(want)
		if string(f.Data) != anonymous {
			t.Fatalf("got  %s\nwant %s", f.Data, anonymous)
		}
		if whale := strings.Replace(want, `"whale":false`, `"whale":true`, 1); string(l.Data) != whale {
			t.Fatalf("got  %s\nwant %s", l.Data, whale)
		}
	}
	// The other way round the maker is the bid.
	k.event(&model.TradeBatch{Rows: []model.Trade{{ID: 999, AskAccount: 42, BidAccount: 99}}}, nil)
	if p := paid.expect("data"); !strings.Contains(p.raw, `"account":42,"maker_account":99,"taker_account":42`) || !strings.Contains(p.raw, `"side":"sell"`) {
		t.Errorf("got %s", p.raw)
	}
}

// An account that may not see owners must not go on seeing them after the connection has become its own.
func TestTierViewFollowsTheAccount(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 0)
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"enriched_trade/0"}`)
	first := c.expect("subscribed")
	c.say(`{"type":"auth","api_key":"hlt_free"}`)
	if again := c.expect("subscribed"); again.Epoch == first.Epoch {
		t.Error("the view did not change")
	}
	c.expect("authenticated")
	k.trades(1, model.TradeBatch{})
	if f := c.expect("data"); !strings.Contains(f.raw, `"account":null`) {
		t.Errorf("got %s", f.raw)
	}
}

func TestHeatmapChannel(t *testing.T) {
	h := serve(t, Options{})
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"liquidation_heatmap/0"}`)
	if f := c.expectError(codeInvalidChannel); !strings.Contains(f.Message, "not computed") {
		t.Errorf("got %s", f.raw)
	}
	maps := &fakeHeatmaps{}
	inBubble(t, Options{Heatmaps: maps}, func(t *testing.T, b *bubble) {
		p := b.dial("/ws", growthKey)
		p.take()
		ack := p.say(`{"type":"subscribe","channel":"liquidation_heatmap/0"}`)
		if len(ack) != 1 {
			t.Fatalf("got %v", ack)
		}
		maps.set(`{"n":1}`)
		time.Sleep(1500 * time.Millisecond)
		if f := p.only("data"); string(f.Data) != `{"n":1}` || f.Seq != ack[0].Seq+1 {
			t.Errorf("got %s", f.raw)
		}
		q := b.dial("/ws", growthKey)
		q.take()
		if f := q.say(`{"type":"subscribe","channel":"liquidation_heatmap/0"}`); len(f) != 2 || string(f[1].Data) != `{"n":1}` || f[1].Seq != f[0].Seq+1 {
			t.Errorf("the first frame does not come at once: %v", f)
		}
		maps.set(`{"n":2}`)
		time.Sleep(8 * time.Second)
		if f := p.take(); len(f) != 0 {
			t.Errorf("before 10 s: %v", f)
		}
		time.Sleep(3 * time.Second)
		if f := p.only("data"); string(f.Data) != `{"n":2}` || f.Seq != ack[0].Seq+2 {
			t.Errorf("got %s", f.raw)
		}
		time.Sleep(time.Minute)
		if f := p.take(); len(f) != 0 {
			t.Errorf("without a change: %v", f)
		}
		// Who is the first of a channel does not wait either, be the heatmap older than the channel.
		if f := q.say(`{"type":"subscribe","channel":"liquidation_heatmap/1"}`); len(f) < 2 || f[len(f)-2].Type != "subscribed" ||
			string(f[len(f)-1].Data) != `{"n":2}` || f[len(f)-1].Seq != f[len(f)-2].Seq+1 {
			t.Errorf("of a new channel the first frame does not come at once: %v", f)
		}
	})
}

// Every level of the whole book, its steps and flags against a naive account of them.
func TestEnrichedBookAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := testMarketList[0]
		var sides [2][]model.Level
		for s := range sides {
			for i := range rapid.IntRange(0, 40).Draw(t, "levels") {
				price := 10_000 - 7*i
				if s == 1 {
					price = 10_001 + 7*i
				}
				sides[s] = append(sides[s], level(price, rapid.IntRange(1, 1e9).Draw(t, "size")))
			}
		}
		o := options{depth: rapid.IntRange(1, 50).Draw(t, "depth"), threshold: num.USD(rapid.Int64Range(1, 20_000_000).Draw(t, "usd") * 1e6)}
		step := rapid.SampledFrom([]int64{0, 1, 5, 25, 100, 1000}).Draw(t, "tick")
		o.tick = num.Decimal{Mant: step, Scale: 2}
		e := &enrichedBook{view: book.NewView(book.Meta{Seq: 9}, sides[0], sides[1]), market: m}
		var got enrichedJSON
		if err := json.Unmarshal(appendEnrichedBook(nil, e, &o), &got); err != nil {
			t.Fatal(err)
		}
		for s, shown := range [][]enrichedLevelJSON{got.Bids, got.Asks} {
			type sum struct{ price, size, notional int64 }
			var want []sum
			for _, l := range sides[s] {
				p := int64(l.Price)
				if step > 0 && p%step != 0 {
					p -= p % step
					if s == 1 {
						p += step
					}
				}
				if n := len(want); n == 0 || want[n-1].price != p {
					want = append(want, sum{price: p})
				}
				w := &want[len(want)-1]
				w.size += int64(l.Size)
				w.notional += int64(l.Price) * int64(l.Size)
			}
			want = want[:min(len(want), o.depth)]
			if len(shown) != len(want) {
				t.Fatalf("side %d shows %d levels, want %d", s, len(shown), len(want))
			}
			for i, w := range want {
				price, size := string(num.Append(nil, w.price, 2)), string(num.Append(nil, w.size, 4))
				if l := shown[i]; l.Price != price || l.Size != size || l.Whale != (w.notional >= int64(o.threshold)) {
					t.Fatalf("side %d level %d: %+v, want %s %s and %d of %d", s, i, l, price, size, w.notional, o.threshold)
				}
			}
		}
	})
}
