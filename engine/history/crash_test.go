package history

import (
	"errors"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// TestCrash crashes the machine at random points: what was acknowledged is there, nothing is there that did not happen,
// counts and candles match the rows, and a writer goes on.
func TestCrash(t *testing.T) {
	for range rounds(2, 20) {
		g := newRig(t, kvtest.Open(t), testSeed(t), 2)
		for _, n := range g.markets {
			if err := SaveMarkets(g.store, []*model.Market{n.m}); err != nil {
				t.Fatal(err)
			}
		}
		g.start()
		for range 4 {
			for range g.rnd.IntN(200) {
				g.step()
			}
			g.flush()
			acknowledged := g.remember()
			for range g.rnd.IntN(60) {
				g.step()
			}
			if g.rnd.IntN(2) == 0 {
				time.Sleep(time.Duration(g.rnd.IntN(12)) * time.Millisecond) // somewhere around a commit
			}
			clone := kvtest.CrashClone(t, g.store, g.rnd.IntN(101))
			g.verify(clone, acknowledged)
			if err := clone.Close(); err != nil {
				t.Fatal(err)
			}
		}
		g.stop()
	}
}

type acknowledged struct {
	rows   []int
	trades []map[uint64]model.Trade
	tick   model.Micros
}

func (g *rig) remember() acknowledged {
	a := acknowledged{tick: g.heartbeat}
	for _, n := range g.markets {
		a.rows = append(a.rows, len(n.rows))
		trades := map[uint64]model.Trade{}
		for id, t := range n.trades {
			trades[id] = t
		}
		a.trades = append(a.trades, trades)
	}
	return a
}

func (g *rig) verify(store *kv.Store, a acknowledged) {
	t := g.t
	t.Helper()
	rec, err := Recover(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Heartbeat < a.tick && a.tick > testStart {
		t.Errorf("heartbeat is %d, acknowledged %d", rec.Heartbeat, a.tick)
	}
	again, err := Recover(t.Context(), store)
	if err != nil || len(again.Starts) != len(rec.Starts) {
		t.Fatalf("recover again: %v", err)
	}
	findings, err := Check(t.Context(), store, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Errorf("check: %x: %s", f.Key, f.Problem)
	}
	r := NewReader(store, g.market)
	for i, n := range g.markets {
		k := 0
		for row, err := range r.Updates(t.Context(), n.m.ID, 0, forever) {
			if err != nil {
				t.Fatal(err)
			}
			if k >= len(n.rows) || row.Recv != n.rows[k].recv || !sameUpdate(&row.Update, &n.rows[k].update) {
				t.Fatalf("update %d of %d never happened: %+v", k, n.m.ID, *row)
			}
			k++
		}
		if k < a.rows[i] {
			t.Fatalf("%d of %d acknowledged updates of %d are there", k, a.rows[i], n.m.ID)
		}
		have := map[uint64]bool{}
		for trade, err := range r.Trades(t.Context(), n.m.ID, Span{0, 1 << 45}, TradeQuery{Columns: record.All}) {
			if err != nil {
				t.Fatal(err)
			}
			if n.trades[trade.ID] != *trade {
				t.Fatalf("trade %d of %d never happened", trade.ID, n.m.ID)
			}
			have[trade.ID] = true
		}
		var last uint64
		for id := range have {
			last = max(last, id)
		}
		for id := range a.trades[i] {
			if !have[id] {
				t.Fatalf("acknowledged trade %d of %d is lost", id, n.m.ID)
			}
		}
		if rec.Starts[n.m.ID].LastTradeID != last {
			t.Errorf("last trade of %d is %d, recovered %d", n.m.ID, last, rec.Starts[n.m.ID].LastTradeID)
		}
	}
	w, err := NewWriter(WriterOptions{Store: store, Markets: g.market})
	if err != nil {
		t.Fatal(err)
	}
	stop := runWriter(t, w)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
}

// TestUnrecovered: a live writer refuses a store that was not recovered, because open intervals would be taken for its own.
func TestUnrecovered(t *testing.T) {
	g := newRig(t, kvtest.Open(t), 1, 1)
	g.start()
	g.snapshot(g.markets[0])
	g.flush()
	g.stop()
	if _, err := NewWriter(WriterOptions{Store: g.store}); err == nil {
		t.Fatal("want an error")
	}
	rec, err := Recover(t.Context(), g.store)
	if err != nil {
		t.Fatal(err)
	}
	gap := rec.Starts[0].BookGap
	if gap == nil || gap.Cause != model.CauseDowntime || gap.From != g.markets[0].last {
		t.Fatalf("gap is %+v", gap)
	}
}

// TestReadersWhileWriting reads all the time while rows come in and hours are sealed: a reader sees every row that was
// committed when it began, once and in order.
func TestReadersWhileWriting(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 1)
	g.start()
	n := g.markets[0]
	var mu sync.Mutex
	committed := 0
	ended := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			r := NewReader(g.store, g.market)
			for {
				select {
				case <-ended:
					return
				default:
				}
				mu.Lock()
				least := committed
				rows := n.rows
				mu.Unlock()
				k := 0
				for row, err := range r.Updates(t.Context(), 0, 0, forever) {
					if err != nil {
						t.Error(err)
						return
					}
					if k < least && (row.Recv != rows[k].recv || row.Update.Seq != rows[k].update.Seq) {
						t.Errorf("update %d is out of place", k)
						return
					}
					k++
				}
				if k < least {
					t.Errorf("%d of %d updates", k, least)
					return
				}
				last := Position{}
				for trade, err := range r.Trades(t.Context(), 0, Span{0, 1 << 45}, TradeQuery{}) {
					if err != nil {
						t.Error(err)
						return
					}
					if trade.Time < last.Time || trade.Time == last.Time && trade.ID <= last.ID {
						t.Errorf("trade %d is out of order", trade.ID)
						return
					}
					last = Position{Time: trade.Time, ID: trade.ID}
				}
			}
		})
	}
	for range rounds(20, 200) {
		mu.Lock()
		for range 30 {
			g.advance(model.Micros(1 + g.rnd.IntN(4_000_000)))
			if !n.book.Synced() {
				g.snapshot(n)
			}
			g.delta(n)
			g.deliverTrades(n)
		}
		mu.Unlock()
		g.flush()
		mu.Lock()
		committed = len(n.rows)
		mu.Unlock()
		if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now)+7_200_000_000)); err != nil {
			t.Fatal(err)
		}
	}
	close(ended)
	readers.Wait()
	g.flush()
	g.compare()
	g.check()
	g.stop()
}

// TestFullDisk: rows that come while the disk is full are lost and told as a gap; what was written before stays, and the
// record goes on when there is room.
func TestFullDisk(t *testing.T) {
	disk := kvtest.NewDisk()
	_ = disk
	g := newRig(t, kvtest.Open(t), 3, 1)
	g.start()
	n := g.markets[0]
	g.snapshot(n)
	g.advance(3 * second)
	g.delta(n)
	g.flush()
	lostFrom := n.last
	err := g.w.do(t.Context(), func() error { g.w.lose(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	g.w.queue.put(item{call: func() { g.w.losing = false }})
	g.flush()
	g.advance(2 * second)
	g.delta(n)
	g.advance(2 * second)
	g.flush()
	gaps, err := g.r.Gaps(t.Context(), nil, nil, Span{0, 1 << 45})
	if err != nil || len(gaps) != 1 || gaps[0].From != lostFrom || gaps[0].To != n.last || gaps[0].Cause != model.CauseDowntime {
		t.Fatalf("gaps are %+v (%v)", gaps, err)
	}
	if _, err := g.r.BookAt(t.Context(), 0, n.last-1); !errors.Is(err, ErrNoData) {
		t.Fatalf("book inside the hole: %v", err)
	}
	v, err := g.r.BookAt(t.Context(), 0, n.last+1)
	if err != nil || v.Seq != n.seq {
		t.Fatalf("book after the hole: %v", err)
	}
	g.stop()
	if _, err := Recover(t.Context(), g.store); err != nil {
		t.Fatal(err)
	}
	g.check()
}
