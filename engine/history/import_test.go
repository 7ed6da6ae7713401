package history

import (
	"maps"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// recorder is a recording: the calls that an importer makes for a file.
type recorder struct{ calls []func(l market.Listener) }

func (r *recorder) OnEvent(e *model.Event, v *book.View) {
	r.calls = append(r.calls, func(l market.Listener) { l.OnEvent(e, v) })
}

func (r *recorder) OnTick(sec model.Micros, held []market.Held) {
	r.calls = append(r.calls, func(l market.Listener) { l.OnTick(sec, held) })
}

// recording makes a file of two markets with gaps and resyncs.
func recording(t testing.TB, seed uint64, steps int) (*rig, *recorder) {
	rec := &recorder{}
	g := newRig(t, nil, seed, 2)
	g.sink, g.exactCopies = rec, true
	for range steps {
		n := g.markets[g.rnd.IntN(2)]
		g.advance(model.Micros(1 + g.rnd.IntN(200_000)))
		switch p := g.rnd.IntN(100); {
		case p < 1:
			g.advance(model.Micros(1 + g.rnd.IntN(300_000_000)))
		case p < 3:
			g.lose(n, model.CauseNonce)
		case p < 4:
			g.snapshot(n)
		case p < 50:
			if n.book.Synced() {
				g.delta(n)
			} else if g.rnd.IntN(3) == 0 {
				g.snapshot(n)
			}
		default:
			g.deliverTrades(n)
		}
	}
	g.advance(second)
	return g, rec
}

func importCalls(t testing.TB, g *rig, store *kv.Store, calls []func(market.Listener)) {
	t.Helper()
	w, err := NewWriter(WriterOptions{Store: store, Markets: g.market, Import: true, Pin: true, Interval: 3 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	stop := runWriter(t, w)
	for _, call := range calls {
		call(w)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.SealNow(t.Context(), time.UnixMicro(int64(g.now)+7_200_000_000)); err != nil {
		t.Fatal(err)
	}
	stop()
}

func sameDump(t testing.TB, before, after map[string]string) {
	t.Helper()
	for k := range maps.Keys(after) {
		if before[k] != after[k] {
			t.Errorf("row %x: have %x, before %x", k, after[k], before[k])
		}
	}
	for k := range maps.Keys(before) {
		if _, ok := after[k]; !ok {
			t.Errorf("row %x is gone", k)
		}
	}
}

// TestImportTwice: the second import of a file changes nothing at all.
func TestImportTwice(t *testing.T) {
	for range rounds(1, 12) {
		g, rec := recording(t, testSeed(t), 1500)
		store := kvtest.Open(t)
		importCalls(t, g, store, rec.calls)
		before := dump(t, store)
		importCalls(t, g, store, rec.calls)
		sameDump(t, before, dump(t, store))

		g.store, g.r, g.heartbeat = store, NewReader(store, g.market), g.tick
		for _, n := range g.markets {
			if k := len(n.held); k > 0 && n.held[k-1].To == 0 {
				n.held[k-1].To = g.tick // the last tick at which it was held
			}
		}
		g.compare()
		g.check()
	}
}

// TestImportOverlap imports a part of a recording, then all of it: books are not stored twice, trades are complete, and
// every book can be rebuilt.
func TestImportOverlap(t *testing.T) {
	for range rounds(2, 12) {
		g, rec := recording(t, testSeed(t), 800)
		store := kvtest.Open(t)
		a := g.rnd.IntN(len(rec.calls))
		importCalls(t, g, store, rec.calls[a:a+g.rnd.IntN(len(rec.calls)-a)])
		importCalls(t, g, store, rec.calls)
		before := dump(t, store)
		importCalls(t, g, store, rec.calls)
		sameDump(t, before, dump(t, store))
		g.store, g.r = store, NewReader(store, g.market)
		g.check()
		for _, n := range g.markets {
			g.compareTrades(n)
			g.compareCandles(n)
			known := map[model.Micros]uint64{}
			for _, row := range n.rows {
				known[row.recv] = row.update.Seq
			}
			seen := 0
			for row, err := range g.r.Updates(t.Context(), n.m.ID, 0, forever) {
				if err != nil {
					t.Fatal(err)
				}
				if known[row.Recv] != row.Update.Seq {
					t.Fatalf("update received at %d never happened", row.Recv)
				}
				seen++
			}
			if seen != len(n.rows) {
				t.Fatalf("%d of %d updates", seen, len(n.rows))
			}
			g.heartbeat = g.tick
			for i := 0; i < len(n.rows); i += 17 {
				at := n.rows[i].recv
				v, err := g.r.BookAt(t.Context(), n.m.ID, at)
				if err == nil && !g.sameBook(n, at, v) {
					t.Fatalf("book of %d at %d differs", n.m.ID, at)
				}
			}
		}
	}
}

// TestRetention: days beyond their time are gone for readers and writer, pinned ones stay until they are unpinned, and the
// first day kept can be read without the one before.
func TestRetention(t *testing.T) {
	g, rec := recording(t, testSeed(t), 2500)
	for g.now < testStart+20*60*second { // into the next day
		g.advance(30 * second)
		g.delta(g.markets[0])
	}
	store := kvtest.Open(t)
	w, err := NewWriter(WriterOptions{Store: store, Markets: g.market, Import: true, Interval: 3 * time.Millisecond,
		Retention: Retention{Books: 24 * time.Hour, Trades: 24 * time.Hour, Stats: 24 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	stop := runWriter(t, w)
	for _, call := range rec.calls {
		call(w)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	midnight := model.Millis((testStart.Millis()/86_400_000 + 1) * 86_400_000)
	if err := w.SealNow(t.Context(), afterMillis(midnight, 48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	r := NewReader(store, g.market)
	want := g.markets[0].sortedTrades(Span{midnight, 1 << 45})
	if err := w.do(t.Context(), func() error { w.keep.pin(uint32(midnight/86_400_000) - 1); return nil }); err != nil {
		t.Fatal(err)
	}
	old := midnight - 1000
	for _, pinned := range []bool{true, false} {
		if !pinned {
			if err := w.Unpin(t.Context(), Span{midnight - 5000, midnight}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.retain(t.Context(), afterMillis(midnight, 36*time.Hour)); err != nil {
			t.Fatal(err)
		}
		n, _, err := r.CountTrades(t.Context(), 0, Span{0, 1 << 45})
		if err != nil {
			t.Fatal(err)
		}
		if gone := n == uint64(len(want)); gone == pinned && len(g.markets[0].trades) > len(want) {
			t.Fatalf("pinned %v: %d trades, %d of them young", pinned, n, len(want))
		}
		ivs, err := r.Coverage(t.Context(), model.KindBook, 0, Span{0, 1 << 45})
		if err != nil {
			t.Fatal(err)
		}
		if early := ivs[0].From < midnight.Micros(); early != pinned {
			t.Fatalf("pinned %v: held from %d", pinned, ivs[0].From)
		}
		if pins, err := r.Pins(); err != nil || len(pins) == 1 != pinned {
			t.Fatalf("pins are %v (%v)", pins, err)
		}
	}
	late := g.markets[0].sortedTrades(Span{old - 600_000, midnight})
	if len(late) == 0 {
		t.Fatal("no trade before midnight")
	}
	w.OnEvent(&model.Event{Market: 0, Payload: &model.TradeBatch{Rows: late, History: true}}, nil)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for trade, err := range r.Trades(t.Context(), 0, Span{0, 1 << 45}, TradeQuery{Columns: record.All}) {
		if err != nil || trade.Time < midnight {
			t.Fatalf("dropped trade of %d came back (%v)", trade.Time, err)
		}
	}
	g.store, g.r, g.heartbeat = store, r, g.tick
	for at := midnight.Micros() + 1; at < g.tick; at += 61 * second {
		v, err := r.BookAt(t.Context(), 0, at)
		if g.heldAt(g.markets[0], at) && (err != nil || !g.sameBook(g.markets[0], at, v)) {
			t.Fatalf("book at %d: %v", at, err)
		}
	}
	g.check()
	stop()
}

func afterMillis(m model.Millis, d time.Duration) time.Time {
	return time.UnixMilli(int64(m)).Add(d)
}

// TestThin: beyond tick retention the book at full seconds is as it was, and each second has one update.
func TestThin(t *testing.T) {
	g, rec := recording(t, testSeed(t), 1000)
	store := kvtest.Open(t)
	w, err := NewWriter(WriterOptions{Store: store, Markets: g.market, Import: true, Interval: 3 * time.Millisecond,
		Retention: Retention{Ticks: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	stop := runWriter(t, w)
	for _, call := range rec.calls {
		call(w)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.SealNow(t.Context(), afterMillis(g.now.Millis(), 7*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := w.ThinNow(t.Context(), afterMillis(g.now.Millis(), 72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	stop()
	g.store, g.r, g.heartbeat = store, NewReader(store, g.market), g.tick
	for _, n := range g.markets {
		for i, iv := range n.held {
			if iv.To == 0 {
				n.held[i].To = g.tick
			}
		}
		seconds := map[model.Micros]int{}
		for row, err := range g.r.Updates(t.Context(), n.m.ID, 0, forever) {
			if err != nil {
				t.Fatal(err)
			}
			seconds[row.Recv.Second()]++
		}
		for _, iv := range n.held {
			for at := iv.From.Second() + second; at <= iv.To; at += second {
				if at > iv.From+100*second && at%(37*second) != 0 {
					continue
				}
				v, err := g.r.BookAt(t.Context(), n.m.ID, at)
				if err != nil || !g.sameBook(n, at, v) {
					t.Fatalf("book of %d at %d differs after thinning (%v)", n.m.ID, at, err)
				}
			}
		}
		more := 0
		for _, k := range seconds {
			if k > 1 {
				more++
			}
		}
		if more > len(n.held) { // a gap and its resync may share a second
			t.Errorf("%d seconds of market %d have several updates", more, n.m.ID)
		}
	}
	g.check()
}
