package history

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

func TestMain(m *testing.M) {
	// The metrics library turns its summaries in a goroutine that never ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

func batchAt(ids ...uint64) *model.TradeBatch {
	b := &model.TradeBatch{}
	for _, id := range ids {
		b.Rows = append(b.Rows, model.Trade{ID: id, Time: testStart.Millis() + model.Millis(id)*100, Recv: testStart, Price: 5, Size: 7, USD: 35})
	}
	return b
}

// TestTradeGap: a hole in the trades splits what is held, and trades that fill it join it again.
func TestTradeGap(t *testing.T) {
	for _, filled := range []bool{true, false} {
		g := newRig(t, kvtest.Open(t), 1, 1)
		g.start()
		n := g.markets[0]
		g.event(n, batchAt(1, 2, 3), 0, nil)
		from := batchAt(3).Rows[0].Time.Micros()
		g.event(n, &model.Gap{Kind: model.KindTrades, From: from, Cause: model.CauseDisconnect}, 0, nil)
		g.flush()
		gaps, err := g.r.Gaps(t.Context(), nil, nil, Span{0, 1 << 45})
		if err != nil || len(gaps) != 1 || gaps[0].To != 0 || gaps[0].Cause != model.CauseDisconnect {
			t.Fatalf("gaps are %+v (%v)", gaps, err)
		}
		// A crash now must not forget why the record ends.
		rec, err := Recover(t.Context(), kvtest.CrashClone(t, g.store, 0))
		if gap := rec.Starts[0].TradeGap; err != nil || gap == nil || gap.From != from || gap.Cause != model.CauseDisconnect {
			t.Fatalf("recovered %+v (%v)", rec, err)
		}
		to := batchAt(9).Rows[0].Time.Micros()
		g.event(n, &model.Gap{Kind: model.KindTrades, From: from, To: to, Cause: model.CauseDisconnect, Filled: filled}, 0, nil)
		g.event(n, batchAt(9, 10), 0, nil)
		g.advance(20 * second)
		g.flush()
		held, err := g.r.Coverage(t.Context(), model.KindTrades, 0, Span{0, 1 << 45})
		start := batchAt(1).Rows[0].Time.Micros()
		want := []Interval{{start, from}, {to, g.tick}}
		if filled {
			want = []Interval{{start, g.tick}}
		}
		if err != nil || !slices.Equal(held, want) {
			t.Fatalf("filled %v: held %v, want %v (%v)", filled, held, want, err)
		}
		_, _, complete, any, err := g.r.Covered(t.Context(), model.KindTrades, 0, Span{batchAt(2).Rows[0].Time, testStart.Millis() + 5000})
		if err != nil || !any || complete != filled {
			t.Fatalf("filled %v: complete %v, any %v (%v)", filled, complete, any, err)
		}
		if gaps, err = g.r.Gaps(t.Context(), nil, nil, Span{0, 1 << 45}); err != nil || len(gaps) != 1 || gaps[0].To != to || gaps[0].Filled != filled {
			t.Fatalf("gaps are %+v (%v)", gaps, err)
		}
		g.stop()
	}
}

// TestStatsAndFunding: one statistics row each ten seconds, each funding row once.
func TestStatsAndFunding(t *testing.T) {
	g := newRig(t, kvtest.Open(t), 1, 1)
	g.start()
	n := g.markets[0]
	for i := range 35 {
		g.event(n, &model.Stats{Has: model.HasMark, Mark: num.Decimal{Mant: int64(i), Scale: 1}}, 0, nil)
		g.event(n, &model.Funding{Time: testStart.Millis() - testStart.Millis()%3_600_000, Rate: num.Rate(i)}, 0, nil)
		g.advance(second)
	}
	g.flush()
	var marks []int64
	for row, err := range g.r.Stats(t.Context(), 0, Span{0, 1 << 45}) {
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, row.Stats.Mark.Mant)
	}
	if !slices.Equal(marks, []int64{0, 10, 20, 30}) {
		t.Errorf("marks are %v", marks)
	}
	funding := 0
	for f, err := range g.r.Fundings(t.Context(), 0, Span{0, 1 << 45}) {
		if err != nil || f.Rate != 0 || f.Time%3_600_000 != 0 {
			t.Fatalf("funding %+v (%v)", f, err)
		}
		funding++
	}
	if funding != 1 {
		t.Errorf("%d funding rows", funding)
	}
	g.check()
	g.stop()
}

// TestSameMicrosecond: updates received in one microsecond, also across a change of scale and a sealing, stay in order.
func TestSameMicrosecond(t *testing.T) {
	g := newRig(t, kvtest.Open(t), 5, 1)
	g.start()
	n := g.markets[0]
	g.snapshot(n)
	for i := range 40 {
		g.delta(n)
		if i == 20 {
			g.rescale(n)
		}
		if i%13 == 12 {
			g.flush()
			if err := g.w.SealNow(t.Context(), afterMillis(g.now.Millis(), 2*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	g.advance(2 * second)
	g.flush()
	i := 0
	for row, err := range g.r.Updates(t.Context(), 0, 0, forever) {
		if err != nil || !sameUpdate(&row.Update, &n.rows[i].update) {
			t.Fatalf("update %d is %+v (%v)", i, row, err)
		}
		i++
	}
	v, err := g.r.BookAt(t.Context(), 0, g.tick)
	if i != len(n.rows) || err != nil || v.Seq != n.seq {
		t.Fatalf("%d of %d updates, %v", i, len(n.rows), err)
	}
	g.check()
	g.stop()
}

// TestManyTradesInAMillisecond: a burst larger than a segment, on two scales, is sealed without losing a row.
func TestManyTradesInAMillisecond(t *testing.T) {
	g := newRig(t, kvtest.Open(t), 5, 1)
	n := g.markets[0]
	if err := SaveMarkets(g.store, []*model.Market{n.m}); err != nil {
		t.Fatal(err)
	}
	g.start()
	b := &model.TradeBatch{}
	for i := range uint64(10_000) {
		tr := model.Trade{ID: i + 1, Time: testStart.Millis(), Price: 10, Size: 1}
		if i >= 9_000 {
			if i == 9_000 {
				g.rescale(n)
			}
			tr.Epoch, tr.Price = 1, 100
		}
		b.Rows = append(b.Rows, tr)
	}
	g.event(n, b, 0, nil)
	for range 2 {
		g.flush()
		if err := g.w.SealNow(t.Context(), afterMillis(testStart.Millis(), 2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		g.event(n, b, 0, nil) // all known
	}
	g.flush()
	id := uint64(0)
	for tr, err := range g.r.Trades(t.Context(), 0, Span{0, 1 << 45}, TradeQuery{}) {
		if id++; err != nil || tr.ID != id {
			t.Fatalf("trade %d has id %d (%v)", id, tr.ID, err)
		}
	}
	if id != 10_000 {
		t.Fatalf("%d trades", id)
	}
	g.check()
	g.stop()
}

func TestUnknownResolution(t *testing.T) {
	r := NewReader(kvtest.Open(t), nil)
	for _, err := range r.Candles(t.Context(), 0, 7*time.Minute, Span{0, 1}, false) {
		if !errors.Is(err, ErrResolution) {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("no error")
}

// TestWriterEnded: whoever waits for a writer that has ended learns it.
func TestWriterEnded(t *testing.T) {
	g := newRig(t, kvtest.Open(t), 1, 1)
	g.start()
	g.stop()
	if err := g.w.Flush(t.Context()); !errors.Is(err, ErrClosed) {
		t.Fatalf("flush: %v", err)
	}
	g.w.OnTick(testStart, nil) // must not block
}

// TestQueueBlocks: a full queue holds its producer back and lets it go on when there is room.
func TestQueueBlocks(t *testing.T) {
	q := newQueue(2, 1000, time.Now)
	q.put(item{rows: 2, bytes: 10})
	done := make(chan bool)
	go func() { done <- q.put(item{rows: 1, bytes: 1}) }()
	select {
	case <-done:
		t.Fatal("a full queue took an item")
	case <-time.After(20 * time.Millisecond):
	}
	q.release(2, 10)
	if !<-done {
		t.Fatal("item refused")
	}
	q.close()
	if q.put(item{rows: 1}) {
		t.Fatal("a closed queue took an item")
	}
}

func FuzzKeepState(f *testing.F) {
	f.Add((&keepState{cuts: map[key.Family]uint32{key.Books: 5, key.Trades: 300}, thinned: 70, pins: []uint32{1, 4, 20_000}}).append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var k keepState
		err := k.decode(b)
		if err != nil {
			if !errors.Is(err, record.ErrCorrupt) && !errors.Is(err, record.ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		var again keepState
		if err := again.decode(k.append(nil)); err != nil || !slices.Equal(again.pins, k.pins) || len(again.cuts) != len(k.cuts) || again.thinned != k.thinned {
			t.Fatalf("%+v becomes %+v (%v)", k, again, err)
		}
	})
}
