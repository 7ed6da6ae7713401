package history

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// edgeRig is a live writer on an empty store with one market that has a book.
func edgeRig(t *testing.T) (*rig, *naiveMarket) {
	g := newRig(t, kvtest.Open(t), 7, 1)
	n := g.markets[0]
	if err := SaveMarkets(g.store, []*model.Market{n.m}); err != nil {
		t.Fatal(err)
	}
	g.start()
	return g, n
}

// restarted makes the rig go on at a later time with a new process.
func (g *rig) recoverAt(d model.Micros) {
	g.now += d
	g.tick = g.now.Second()
	for _, n := range g.markets {
		n.book.Desync()
	}
	g.start()
}

// A quiet book whose last row lies on an earlier day than the heartbeat is read whole.
func TestUpdatesOfQuietOpenInterval(t *testing.T) {
	g, n := edgeRig(t)
	g.snapshot(n)
	g.advance(2 * second)
	g.delta(n)
	want := len(n.rows)
	for range 3 { // days on which only the clock ticks
		g.advance(86_400 * second)
	}
	g.flush()
	seen := 0
	for _, err := range g.r.Updates(t.Context(), n.m.ID, 0, forever) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
	}
	if seen != want {
		t.Errorf("%d updates, want %d", seen, want)
	}
	g.stop()
}

// An import of what another machine recorded while this one was down must not be taken for a part of the interval that
// the stop left open: neither by the import's own sealing nor by the next start.
func TestImportBehindOpenInterval(t *testing.T) {
	g, n := edgeRig(t)
	g.snapshot(n)
	g.deliverTrades(n)
	g.advance(2 * second)
	g.delta(n)
	g.advance(2 * second)
	g.flush()
	g.stop()
	stopped := g.heartbeat
	liveRows := len(n.rows)

	rec := &recorder{}
	g.sink = rec
	n.book.Desync()
	g.advance(120 * second)
	imported := g.now
	g.snapshot(n)
	g.deliverTrades(n)
	g.advance(3 * second)
	g.delta(n)
	g.deliverTrades(n)
	g.advance(2 * second)
	importCalls(t, g, g.store, rec.calls)

	// And once more, before and after the start.
	importCalls(t, g, g.store, rec.calls)
	g.recoverAt(200 * second)
	g.stop()
	for range 2 {
		ivs, err := g.r.Coverage(t.Context(), model.KindBook, n.m.ID, Span{0, 1 << 45})
		if err != nil || len(ivs) != 2 || ivs[0].To != stopped || ivs[1].From != imported {
			t.Fatalf("books are held in %v (%v), want until %d and from %d", ivs, err, stopped, imported)
		}
		trades, err := g.r.Coverage(t.Context(), model.KindTrades, n.m.ID, Span{0, 1 << 45})
		if err != nil || len(trades) != 2 || trades[0].To != stopped {
			t.Fatalf("trades are held in %v (%v), want two intervals, the first until %d", trades, err, stopped)
		}
		seen := 0
		for _, err := range g.r.Updates(t.Context(), n.m.ID, 0, forever) {
			if err != nil {
				t.Fatal(err)
			}
			seen++
		}
		if seen != len(n.rows) || seen == liveRows {
			t.Fatalf("%d updates, want %d", seen, len(n.rows))
		}
		g.check()
		importCalls(t, g, g.store, rec.calls)
	}
	gaps, err := g.r.Gaps(t.Context(), []model.Kind{model.KindBook}, nil, Span{0, 1 << 45})
	if err != nil || len(gaps) != 2 || gaps[0].From != stopped || gaps[0].To != imported || gaps[1].To != 0 {
		t.Errorf("gaps are %+v (%v), want one of the stop, ended by the import, and one since", gaps, err)
	}
}

// smallDisk is a rig on a disk that can run short of space.
func smallDisk(t *testing.T) (g *rig, full func(bool)) {
	disk := kvtest.NewDisk()
	disk.SetFree(1 << 30)
	var clock atomic.Int64
	store := disk.Open(t, kv.Options{MinFree: 1000, Now: func() time.Time { return time.Unix(1_760_000_000+clock.Load(), 0) }})
	return newRig(t, store, 7, 1), func(full bool) {
		disk.SetFree(map[bool]uint64{true: 10, false: 1 << 30}[full])
		clock.Add(5)
	}
}

// Every record goes on after the disk was full, whatever was told of it meanwhile, and its gap ends.
func TestFullDiskEveryKind(t *testing.T) {
	for _, gapBefore := range []bool{false, true} {
		g, full := smallDisk(t)
		n := g.markets[0]
		g.start()
		stats := func() { g.event(n, &model.Stats{}, g.now.Millis(), nil) }
		g.snapshot(n)
		g.deliverTrades(n)
		stats()
		g.advance(20 * second)
		g.delta(n)
		g.deliverTrades(n)
		stats()
		kinds := []model.Kind{model.KindBook, model.KindTrades, model.KindStats}
		if gapBefore {
			for _, kind := range kinds {
				g.event(n, &model.Gap{Kind: kind, From: g.now - second, Cause: model.CauseDisconnect}, 0, nil)
			}
		}
		g.flush()
		full(true)
		g.advance(second)
		if err := g.w.Flush(t.Context()); !errors.Is(err, kv.ErrReadOnly) {
			t.Fatalf("flush while the disk is full: %v", err)
		}
		g.advance(20 * second)
		if gapBefore { // the ends of the gaps are lost with everything else
			for _, kind := range kinds {
				g.event(n, &model.Gap{Kind: kind, From: g.now - 21*second, To: g.now, Cause: model.CauseDisconnect, Filled: kind == model.KindTrades}, 0, nil)
			}
		}
		g.delta(n)
		g.deliverTrades(n)
		if err := g.w.Flush(t.Context()); !errors.Is(err, kv.ErrReadOnly) {
			t.Fatalf("flush while the disk is full: %v", err)
		}
		full(false)
		g.flush()
		g.advance(20 * second)
		again := g.now
		g.delta(n)
		g.event(n, &model.TradeBatch{Rows: []model.Trade{g.trade(n)}}, g.now.Millis(), nil)
		stats()
		g.advance(20 * second)
		g.flush()
		for _, kind := range kinds {
			ivs, err := g.r.Coverage(t.Context(), kind, n.m.ID, Span{0, 1 << 45})
			if err != nil || len(ivs) != 2 || ivs[1].From < again-3000 || ivs[1].From > again+1 || ivs[1].To < again+10*second {
				t.Errorf("gap before %v: %s is held in %v (%v), want again from %d on", gapBefore, kind, ivs, err, again)
			}
			gaps, err := g.r.Gaps(t.Context(), []model.Kind{kind}, nil, Span{0, 1 << 45})
			if err != nil || len(gaps) != 1 || gaps[0].To < again-3000 || gaps[0].To > again+1 || gaps[0].Filled {
				t.Errorf("gap before %v: gaps of %s are %+v (%v), want one that ends at %d", gapBefore, kind, gaps, err, again)
			}
		}
		g.stop()
	}
}

// An import ends where the disk is full: it must not report what was not kept.
func TestFullDiskEndsImport(t *testing.T) {
	g, full := smallDisk(t)
	w, err := NewWriter(WriterOptions{Store: g.store, Markets: g.market, Import: true, Pin: true, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	g.sink = w
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context()) }()
	full(true)
	g.snapshot(g.markets[0])
	if err := w.Flush(t.Context()); err == nil {
		t.Error("flush succeeded on a full disk")
	}
	if err := <-ended; !errors.Is(err, kv.ErrReadOnly) {
		t.Errorf("the writer ended with %v", err)
	}
}

// Retention is what makes room: it works while the disk is short of it.
func TestRetentionOnFullDisk(t *testing.T) {
	g, full := smallDisk(t)
	g.options.Retention = Retention{Trades: 24 * time.Hour}
	g.start()
	g.deliverTrades(g.markets[0])
	g.flush()
	full(true)
	g.deliverTrades(g.markets[0])
	if err := g.w.Flush(t.Context()); !errors.Is(err, kv.ErrReadOnly) {
		t.Fatalf("flush while the disk is full: %v", err)
	}
	if err := g.w.retain(t.Context(), afterMillis(g.now.Millis(), 72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []key.Family{key.Trades} {
		for range g.store.Scan(t.Context(), key.All(f)) {
			t.Error("a row is left")
		}
	}
	full(false)
	g.flush()
	keep, err := g.r.keep()
	if err != nil || keep.cuts[key.Trades] == 0 {
		t.Errorf("the cut is lost: %+v (%v)", keep, err)
	}
	g.stop()
}

// The history frame of trades is two lists, of which the one of liquidations goes further back: the record is whole only
// from where both are.
func TestCoverageOfTwoTradeLists(t *testing.T) {
	g, n := edgeRig(t)
	old := g.trade(n)
	old.Kind, old.Time = model.KindLiquidation, g.now.Millis()-3_600_000
	recent := g.trade(n)
	recent.Kind, recent.Time = model.KindTrade, g.now.Millis()-5000
	g.event(n, &model.TradeBatch{History: true, Rows: []model.Trade{old, recent}}, 0, nil)
	g.advance(5 * second)
	g.flush()
	ivs, err := g.r.Coverage(t.Context(), model.KindTrades, n.m.ID, Span{0, 1 << 45})
	if err != nil || len(ivs) != 1 || ivs[0].From != recent.Time.Micros() {
		t.Errorf("trades are held in %v (%v), want from %d on", ivs, err, recent.Time.Micros())
	}
	g.stop()
}

// After a restart rows of the time before the stop do not make the downtime held.
func TestRestartWithOldTradesDoesNotCoverDowntime(t *testing.T) {
	g, n := edgeRig(t)
	first := g.trade(n)
	g.event(n, &model.TradeBatch{Rows: []model.Trade{first}}, 0, nil)
	g.advance(10 * second)
	g.flush()
	g.stop()
	stopped := g.heartbeat
	g.recoverAt(600 * second)
	old := first
	old.ID, old.Kind = first.ID-1, model.KindLiquidation
	fresh := g.trade(n)
	fresh.Kind = model.KindTrade
	g.event(n, &model.TradeBatch{History: true, Rows: []model.Trade{old}}, 0, nil)
	g.event(n, &model.TradeBatch{History: true, Recovered: true, Rows: []model.Trade{fresh}}, 0, nil)
	g.event(n, &model.Gap{Kind: model.KindTrades, From: stopped, To: fresh.Time.Micros(), Cause: model.CauseDowntime}, 0, nil)
	g.advance(5 * second)
	g.flush()
	ivs, err := g.r.Coverage(t.Context(), model.KindTrades, n.m.ID, Span{0, 1 << 45})
	if err != nil || len(ivs) != 2 || ivs[0].To != stopped || ivs[1].From != fresh.Time.Micros() {
		t.Errorf("trades are held in %v (%v), want until %d and from %d", ivs, err, stopped, fresh.Time.Micros())
	}
	g.stop()
}

// A query that ends inside a second finds the trades of that second whatever their scale.
func TestTradesOfLaterScaleAtSpanEnd(t *testing.T) {
	g, n := edgeRig(t)
	for range 3 {
		g.rescale(n)
	}
	g.now = g.now.Second()
	trade := g.trade(n)
	trade.Time = g.now.Millis()
	g.event(n, &model.TradeBatch{Rows: []model.Trade{trade}}, 0, nil)
	g.flush()
	sp := Span{trade.Time - 10, trade.Time + 1}
	for _, reverse := range []bool{false, true} {
		seen := 0
		for _, err := range g.r.Trades(t.Context(), n.m.ID, sp, TradeQuery{Reverse: reverse}) {
			if err != nil {
				t.Fatal(err)
			}
			seen++
		}
		if seen != 1 {
			t.Errorf("%d trades (reverse %v), want 1", seen, reverse)
		}
	}
	sp.From = trade.Time - 1000
	g.event(n, &model.TradeBatch{Rows: []model.Trade{g.trade(n)}}, 0, nil) // so that the day's count does not answer
	later := g.trade(n)
	later.Time = trade.Time + 5000
	g.event(n, &model.TradeBatch{Rows: []model.Trade{later}}, 0, nil)
	g.flush()
	if c, _, err := g.r.CountTrades(t.Context(), n.m.ID, sp); err != nil || c < 1 {
		t.Errorf("%d trades counted (%v), want at least 1", c, err)
	}
	g.stop()
}

// Candles outlive the trades that they were built from. A recording of a day whose trades retention has dropped brings
// the trades back and does not add them to the candles again.
func TestImportOfDroppedDayKeepsCandles(t *testing.T) {
	g, n := edgeRig(t)
	rec := &recorder{}
	live := g.sink
	for range 40 {
		g.sink = rec
		g.deliverTrades(n)
		g.sink = live
		rec.calls[len(rec.calls)-1](live)
		g.advance(second)
	}
	g.flush()
	candles := func() (out []record.Candle) {
		for _, resolution := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
			for c, err := range g.r.Candles(t.Context(), n.m.ID, resolution, Span{0, 1 << 45}, false) {
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, c)
			}
		}
		return out
	}
	before := candles()
	count, _, _ := g.r.CountTrades(t.Context(), n.m.ID, Span{0, 1 << 45})
	if err := g.w.do(t.Context(), func() error { // the writer's own goroutine reads it
		g.w.o.Retention.Trades = 24 * time.Hour
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := g.w.retain(t.Context(), afterMillis(g.now.Millis(), 72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	g.stop()
	if left, _, _ := g.r.CountTrades(t.Context(), n.m.ID, Span{0, 1 << 45}); left != 0 {
		t.Fatalf("%d trades are left", left)
	}
	for range 2 {
		importCalls(t, g, g.store, rec.calls)
		if have, _, _ := g.r.CountTrades(t.Context(), n.m.ID, Span{0, 1 << 45}); have != count {
			t.Errorf("%d trades, want %d", have, count)
		}
		after := candles()
		if len(after) != len(before) {
			t.Fatalf("%d candles, want %d", len(after), len(before))
		}
		for i := range after {
			if after[i] != before[i] {
				t.Errorf("candle is %+v, want %+v", after[i], before[i])
			}
		}
	}
}
