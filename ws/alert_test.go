package ws

import (
	"encoding/json"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// alertJSON is the data object of an alert.
type alertJSON struct {
	ID        uuid.UUID `json:"alert_id"`
	Kind      string
	MarketID  int64 `json:"market_id"`
	Symbol    string
	Account   *int64
	Side      string
	Price     string
	Size      string
	Notional  string
	Threshold string
	OrderID   *string `json:"order_id"`
	TradeID   *uint64 `json:"trade_id"`
	Source    string
	TS        int64
}

func (f frame) alert(t testing.TB) (a alertJSON) {
	t.Helper()
	if err := json.Unmarshal(f.Data, &a); err != nil || f.Type != "data" || !strings.HasPrefix(f.Channel, "alert/") || f.Timestamp == 0 {
		t.Fatalf("%s: %v", f.raw, err)
	}
	return a
}

func TestLevelAlerts(t *testing.T) {
	h := serve(t, Options{Access: testAccess{}})
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(100_00, 2_000_0000)) // 200,000 USD, and no alert: nobody knows since when
	paid, low := h.dial("/ws", growthKey), h.dial("/ws", freeKey)
	for i, c := range []*client{paid, low} {
		c.expect("authenticated")
		c.say(`{"type":"subscribe","channel":"alert/0"%s}`, []string{"", `,"whale_threshold":1000`}[i])
		c.expect("subscribed")
	}
	k.update(level(100_00, 2_999_9999)) // grows by 999.9999: 0.01 USD too few
	if a := low.expect("data").alert(t); a.Size != "999.9999" || a.Notional != "99999.99" || a.Threshold != "1000" {
		t.Errorf("got %+v", a)
	}
	k.update(level(100_00, 3_999_9999)) // by 1,000: exactly the threshold
	a, b := paid.expect("data").alert(t), low.expect("data").alert(t)
	if a.Kind != "large_order" || a.Source != "level" || a.Side != "bid" || a.Price != "100.00" || a.Size != "1000.0000" || a.Notional != "100000" ||
		a.Threshold != "100000" || a.Account != nil || a.OrderID != nil || a.TradeID != nil || a.Symbol != "M0" || a.TS == 0 {
		t.Errorf("got %+v", a)
	}
	if a.ID != b.ID || a.ID == (uuid.UUID{}) {
		t.Errorf("one growth has the ids %s and %s", a.ID, b.ID)
	}
	k.update(level(100_00, 4_000_0000))                                              // hardly grows
	k.update(level(100_00, 5))                                                       // shrinks
	k.update(level(99_00, 9_000_0000), level(99_00, 1))                              // named twice: it has grown by nothing
	k.update(level(98_00, 1), level(98_00, 2_000_0000))                              // named twice: it has grown
	k.hole(level(98_00, 2_000_0000), level(97_00, 9_000_0000))                       // a book that came again raises nothing
	k.update(level(97_00, 11_000_0000))                                              // 194,000 USD more
	k.event(&model.Gap{Kind: model.KindBook, From: 1, Cause: model.CauseStale}, nil) // open: the next book is whole
	k.snapshot(level(96_00, 9_500_0000))
	k.snapshot(level(96_00, 99_500_0000)) // sent again while nothing was missing
	first := paid.expect("data").alert(t)
	if first.Price != "98.00" || first.ID == a.ID {
		t.Errorf("got %+v", first)
	}
	paid.expect("gap")
	if a := paid.expect("data").alert(t); a.Price != "97.00" || a.Size != "2000.0000" || a.Notional != "194000" {
		t.Errorf("got %+v", a)
	}
	paid.say(`{"type":"ping"}`)
	paid.expect("pong")
}

func TestTradeAlerts(t *testing.T) {
	h := serve(t, Options{Access: testAccess{}})
	k := newMaker(h.s.Hub(), 0)
	paid, free := h.dial("/ws", growthKey), h.dial("/ws", freeKey)
	for _, c := range []*client{paid, free} {
		c.expect("authenticated")
		c.say(`{"type":"subscribe","channel":"alert/0","whale_threshold":"2500"}`)
		c.expect("subscribed")
	}
	var rows []model.Trade
	for i, kind := range []model.TradeKind{model.KindTrade, model.KindTrade, model.KindLiquidation, model.KindDeleverage, model.KindTrade, model.KindSettlement} {
		r := model.Trade{ID: uint64(10 + i), Kind: kind, Time: 1700000000123, Price: 2500_00, Size: 1_0000, USD: 2500_000000, MakerAsk: i%2 == 0, AskAccount: 42, BidAccount: 99}
		if i == 4 {
			r.USD--
		}
		rows = append(rows, r)
	}
	k.event(&model.TradeBatch{Rows: rows, History: true}, nil) // history raises nothing
	k.event(&model.TradeBatch{Rows: rows}, nil)
	var first uuid.UUID
	for _, want := range []struct {
		trade      uint64
		kind, side string
		account    int64
	}{
		{10, "whale_trade", "buy", 99}, {11, "whale_trade", "sell", 42}, {12, "large_liquidation", "short", 99}, {13, "large_liquidation", "long", 42}, {15, "whale_trade", "sell", 42},
	} {
		a, f := paid.expect("data").alert(t), free.expect("data").alert(t)
		if *a.TradeID != want.trade || a.Kind != want.kind || a.Side != want.side || *a.Account != want.account || a.Source != "trade" ||
			a.Notional != "2500.000000" || a.Price != "2500.00" || a.Size != "1.0000" || a.TS != 1700000000123 || a.Threshold != "2500" {
			t.Errorf("got %+v, want %+v", a, want)
		}
		if want.trade == 10 {
			first = a.ID
		}
		if f.ID != a.ID || f.Account != nil {
			t.Errorf("free got %+v", f)
		}
	}
	k.event(&model.TradeBatch{Rows: rows[:1], History: true, Recovered: true}, nil)
	if f := paid.expect("data"); f.Recovered == nil || !*f.Recovered {
		t.Errorf("a recovered one comes as %s", f.raw)
	} else if a := f.alert(t); a.ID != first {
		t.Errorf("one trade has the ids %s and %s", first, a.ID)
	}
}

// Liquidations are trades, and each comes on trade with its kind.
func TestLiquidationsArriveOnTrade(t *testing.T) {
	h := serve(t, Options{})
	k := newMaker(h.s.Hub(), 0)
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"trade/0"}`)
	c.expect("subscribed")
	k.event(&model.TradeBatch{Rows: []model.Trade{{ID: 1, Kind: model.KindTrade}, {ID: 2, Kind: model.KindLiquidation}, {ID: 3, Kind: model.KindDeleverage}}}, nil)
	for _, want := range []string{"trade", "liquidation", "deleverage"} {
		if f := c.expect("trade_update"); !strings.Contains(string(f.Trade), `"type":"`+want+`"`) {
			t.Errorf("got %s, want a %s", f.raw, want)
		}
	}
}

// Random updates: the alerts are exactly the levels that grew by the threshold from one book to the next.
func TestAlertsAgainstNaive(t *testing.T) {
	h := serve(t, Options{Limits: Limits{QueueFrames: 1 << 20}})
	c := h.local("/ws")
	c.say(`{"type":"subscribe","channel":"alert/0","whale_threshold":5000}`)
	c.expect("subscribed")
	r := rand.New(rand.NewSource(4))
	k := newMaker(h.s.Hub(), 0)
	k.snapshot(level(50_00, 1))
	held := map[int]int{50_00: 1}
	var want []string
	for range 3000 {
		var levels []model.Level
		next := map[int]int{}
		for range 1 + r.Intn(5) {
			price, size := 40_00+r.Intn(60), r.Intn(4)*r.Intn(2_000_0000)
			levels = append(levels, level(price, size))
			next[price] = size
		}
		seen := map[int]bool{}
		for i := len(levels) - 1; i >= 0; i-- {
			p := int(levels[i].Price)
			if seen[p] {
				levels[i].Size = num.Size(r.Intn(5_000_0000)) // overruled by a later one
			}
			seen[p] = true
		}
		var grown []string
		for i, l := range levels {
			p := int(l.Price)
			if slices.ContainsFunc(levels[i+1:], func(o model.Level) bool { return o.Price == l.Price }) {
				continue
			}
			if d := next[p] - held[p]; d > 0 && d*p >= 5000*1e6 {
				grown = append(grown, string(num.Append(nil, int64(p), 2))+" "+string(num.Append(nil, int64(d), 4)))
			}
		}
		for p, size := range next {
			held[p] = size
		}
		want = append(want, grown...)
		k.update(levels...)
	}
	for i, w := range want {
		if a := c.expect("data").alert(t); a.Price+" "+a.Size != w {
			t.Fatalf("alert %d is %s %s, want %s", i, a.Price, a.Size, w)
		}
	}
	c.say(`{"type":"ping"}`)
	c.expect("pong")
	if len(want) < 500 {
		t.Errorf("only %d alerts", len(want))
	}
}

// BenchmarkHubBook is what one update of a busy book costs the shard's goroutine by who listens: the raw path has to stay
// as it is when alerts and enriched books are watched.
func BenchmarkHubBook(b *testing.B) {
	for _, x := range []struct {
		name string
		subs []string
	}{
		{"nobody", nil},
		{"order_book", []string{`"channel":"order_book/0"`}},
		{"alert", []string{`"channel":"alert/0"`}},
		{"enriched_order_book", []string{`"channel":"enriched_order_book/0"`}},
		{"all", []string{`"channel":"order_book/0"`, `"channel":"alert/0"`, `"channel":"enriched_order_book/0"`}},
		{"raw+32 variants", append(variants(16), `"channel":"order_book/0"`)},
	} {
		b.Run(x.name, func(b *testing.B) {
			s := unserved(b, Options{})
			for _, sub := range x.subs {
				deaf(s).say(`{"type":"subscribe",` + sub + `}`)
			}
			u := &model.BookUpdate{Snapshot: true, Seq: 1}
			for i := range 1000 {
				u.Bids = append(u.Bids, level(9_999-i, 10_000))
				u.Asks = append(u.Asks, level(10_001+i, 10_000))
			}
			bk := book.New()
			if err := bk.Apply(u, 0, 0); err != nil {
				b.Fatal(err)
			}
			views := []*book.View{bk.View()}
			updates := []*model.BookUpdate{{Prev: 1, Seq: 2}, {Prev: 2, Seq: 3}}
			for i, n := range updates {
				for j := range 3 {
					n.Bids = append(n.Bids, level(9_990-j, 20_000-5_000*i))
					n.Asks = append(n.Asks, level(10_010+j, 20_000-5_000*i))
				}
				if err := bk.Apply(n, 0, 0); err != nil {
					b.Fatal(err)
				}
				views = append(views, bk.View())
			}
			s.hub.OnEvent(&model.Event{Recv: recvNow(), Payload: u}, views[0])
			events := [2]*model.Event{{Recv: 1, Payload: updates[0]}, {Recv: 1, Payload: updates[1]}}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.hub.OnEvent(events[i&1], views[1+i&1])
				i++
			}
		})
	}
}

func variants(n int) (out []string) {
	for i := range n {
		out = append(out, `"channel":"alert/0","whale_threshold":`+string(num.Append(nil, int64(1_000_000+i), 0)),
			`"channel":"enriched_order_book/0","depth":`+string(num.Append(nil, int64(i+1), 0)))
	}
	return out
}

// BenchmarkEnrichedEncode is the cost of one frame of an enriched book of 20 levels a side, and of one enriched trade.
func BenchmarkEnrichedEncode(b *testing.B) {
	m := testMarketList[0]
	var bids, asks []model.Level
	for i := range 1000 {
		bids, asks = append(bids, level(433_210-i, 15_000+i)), append(asks, level(433_211+i, 15_000+i))
	}
	v := book.NewView(book.Meta{Seq: 18032384612}, bids, asks)
	o := &options{depth: defaultLevels, threshold: defaultWhale, accounts: true}
	dst := make([]byte, 0, 64<<10)
	b.Run("book/20", func(b *testing.B) {
		for b.Loop() {
			dst = appendEnrichedBook(dst[:0], &enrichedBook{view: v, market: m}, o)
		}
	})
	b.Run("book/20 with a tick", func(b *testing.B) {
		ticked := *o
		ticked.tick = num.Decimal{Mant: 1}
		for b.Loop() {
			dst = appendEnrichedBook(dst[:0], &enrichedBook{view: v, market: m}, &ticked)
		}
	})
	b.Run("trade", func(b *testing.B) {
		row := &model.Trade{ID: 1_000_000_000, Time: 1760000000123, Price: 433_210, Size: 25000, USD: 10_830_250_000, AskAccount: 42, BidAccount: 99,
			AskOrder: 281476000000001, BidOrder: 281476000000002, TxHash: strings.Repeat("0123456789abcdef", 4), Block: 7}
		for b.Loop() {
			dst = appendEnrichedTrade(dst[:0], row, m, o)
		}
	})
}
