package http

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// TestOverTheRealRecord serves what the history writer stored: the small interfaces of this package and the reader mean
// the same things.
func TestOverTheRealRecord(t *testing.T) {
	store := kvtest.Open(t)
	eth := newMarket(0, "ETH", 2, 4)
	markets := func(id model.MarketID) (*model.Market, bool) { return eth, id == eth.ID }
	const end = testNow + 3_600_000 // away from midnight
	start := (end - 120_000).Micros()
	now := start
	var clock atomic.Int64 // the writer's
	w, err := history.NewWriter(history.WriterOptions{Store: store, Markets: markets, Now: func() time.Time { return time.UnixMicro(clock.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- w.Run(ctx) }()
	b := book.New()
	const deep = 700 // levels behind the best
	var ids []string
	for s := range 120 {
		now = start + model.Micros(s)*1_000_000 + 300_000
		clock.Store(int64(now))
		u := &model.BookUpdate{Prev: uint64(s), Seq: uint64(s + 1), Chained: true, Bids: levels("3199.50", fmt.Sprintf("%d.5", s+1))}
		if s == 0 {
			u.Snapshot, u.Asks = true, levels("3200.00", "18.2")
			for i := range deep {
				u.Bids = append(u.Bids, model.Level{Price: num.Price(300_000 - i), Size: num.Size(i + 1)})
			}
		}
		at := now.Millis() - 40
		if err := b.Apply(u, at, now); err != nil {
			t.Fatal(err)
		}
		w.OnEvent(&model.Event{Time: at, Recv: now, Payload: u}, b.View())
		w.OnEvent(&model.Event{Time: at, Recv: now, Payload: &model.TradeBatch{Rows: []model.Trade{trade(uint64(100+s), at, "3200.00", "0.5", s%2 == 0)}}}, nil)
		ids = append(ids, fmt.Sprint(100+s))
		now = start + model.Micros(s+1)*1_000_000
		clock.Store(int64(now))
		w.OnTick(now, []market.Held{{Market: eth, View: b.View(), TradesHeld: true, Minute: s%60 == 0}})
	}
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, testOptions{edit: func(o *Options) { o.History = history.NewReader(store, markets) }})
	f.engine.markets = []*model.Market{eth}
	f.clock = func() time.Time { return time.UnixMilli(int64(end)) }

	at := end - 30_000
	_, e := f.get(t, fmt.Sprintf("/api/v1/orderbook/0/snapshots?depth=1&at=%d", at+400))
	if rows := e.list("snapshots"); len(rows) != 1 || fmt.Sprint(rows[0]["timestamp"]) != fmt.Sprint(at) || fmt.Sprint(rows[0]["nonce"]) != "90" ||
		fmt.Sprint(rows[0]["bids"]) != "[[3199.50 90.5000]]" {
		t.Errorf("snapshot at a moment: got %v", e.Data)
	}
	_, e = f.get(t, fmt.Sprintf("/api/v1/orderbook/0/snapshots?depth=1000&at=%d", at))
	if bids := e.list("snapshots")[0]["bids"].([]any); len(bids) != 1+deep || fmt.Sprint(bids[deep]) != "[2993.01 0.0700]" {
		t.Errorf("%d levels, the last %v: want all that were recorded", len(bids), bids[len(bids)-1])
	}
	_, e = f.get(t, "/api/v1/orderbook/0/snapshots?interval=10s&order=desc&limit=2")
	if got := strings.Join(e.column("snapshots", "timestamp"), " "); got != fmt.Sprint(end-1000, " ", end-11_000) {
		t.Errorf("thinned: got %s", got)
	}
	_, e = f.get(t, "/api/v1/trades/by-time?market_id=0&limit=1000")
	if got := e.column("trades", "trade_id"); !slices.Equal(got, ids) || e.Meta.Total.String() != "120" {
		t.Errorf("trades: got %v of %s", got, e.Meta.Total)
	}
	var walked []string
	for cursor := ""; ; {
		_, e = f.get(t, "/api/v1/trades/by-time?order=desc&limit=7"+cursor)
		walked = append(walked, e.column("trades", "trade_id")...)
		if e.Meta.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + e.Meta.NextCursor
	}
	slices.Reverse(walked)
	if !slices.Equal(walked, ids) {
		t.Errorf("walk: got %v", walked)
	}
	_, e = f.get(t, "/api/v1/trades/by-time?side=buy&limit=1&offset=3")
	if e.Meta.Total.String() != "60" || e.list("trades")[0]["trade_id"].(interface{ String() string }).String() != "106" {
		t.Errorf("filtered: got %v of %s", e.Data["trades"], e.Meta.Total)
	}
	_, e = f.get(t, "/api/v1/candles?market_id=0&resolution=1m")
	if got := fmt.Sprint(e.column("candles", "trade_count"), e.column("candles", "volume"), e.column("candles", "quote_volume")); got != "[60 60] [30.0000 30.0000] [96000.000000 96000.000000]" {
		t.Errorf("candles: got %s", got)
	}
	_, e = f.get(t, "/api/v1/data-quality/coverage?market_id=0")
	if kinds := e.list("kinds"); fmt.Sprint(kinds[0]["records"], kinds[1]["records"]) != "120120" || fmt.Sprint(kinds[0]["cadence"]) != "map[median_us:1000000 p95_us:1000000]" {
		t.Errorf("coverage: got %v", e.Data)
	}
}
