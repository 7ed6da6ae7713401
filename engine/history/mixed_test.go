package history

import (
	"errors"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// TestMixedHistory records pieces of one past in every way and order: live with clean stops and crashes, imported before,
// between, over and after those. Whatever was claimed to be held must be there: an import of all of it then makes the
// record complete, with nothing twice.
func TestMixedHistory(t *testing.T) {
	for range rounds(2, 12) {
		g, rec := recording(t, testSeed(t), 900)
		store := kvtest.Open(t)
		var all []*model.Market
		for _, n := range g.markets {
			all = append(all, n.m)
		}
		if err := SaveMarkets(store, all); err != nil {
			t.Fatal(err)
		}
		newest := 0 // up to where anything is recorded: a live record goes on behind it
		for range 2 + g.rnd.IntN(6) {
			a := g.rnd.IntN(len(rec.calls))
			b := a + 1 + g.rnd.IntN(len(rec.calls)-a)
			if g.rnd.IntN(2) == 0 {
				importCalls(t, g, store, rec.calls[a:b])
				newest = max(newest, b)
				continue
			}
			if a = max(a, newest); a >= b {
				continue
			}
			newest = b
			store = recordLive(t, g, store, rec.calls[a:b])
		}
		g.store, g.r = store, NewReader(store, g.market)
		if _, err := Recover(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		g.check()
		g.neverHappened()
		importCalls(t, g, store, rec.calls)
		g.check()
		g.complete()
		if t.Failed() {
			t.FailNow()
		}
	}
}

// recordLive plays a part of the past to a live writer, as a process would that then stops, or whose machine crashes.
func recordLive(t *testing.T, g *rig, store *kv.Store, calls []func(market.Listener)) *kv.Store {
	t.Helper()
	g.store = store
	g.start()
	for _, n := range g.markets {
		// The shard ends the gap of the stop with the first trades; it was not filled.
		g.w.OnEvent(&model.Event{Market: n.m.ID, Payload: &model.Gap{Kind: model.KindTrades, To: 1}}, nil)
	}
	for i, call := range calls {
		call(g.w)
		if g.rnd.IntN(100) == 0 {
			time.Sleep(time.Duration(g.rnd.IntN(3)) * time.Millisecond)
		}
		if i == len(calls)/2 && g.rnd.IntN(2) == 0 {
			if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now)+7_200_000_000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if g.rnd.IntN(2) == 0 {
		clone := kvtest.CrashClone(t, store, g.rnd.IntN(101))
		g.stop()
		return clone
	}
	g.stop()
	return store
}

// neverHappened fails on an update that was not in the past, came twice, or begins an interval without a whole book, and
// on a book that differs from the past's.
func (g *rig) neverHappened() map[model.MarketID]int {
	g.t.Helper()
	counts := map[model.MarketID]int{}
	g.heartbeat = g.tick
	for _, n := range g.markets {
		happened := map[model.Micros]uint64{}
		for _, row := range n.rows {
			happened[row.recv] = row.update.Seq
		}
		last := model.Micros(-1)
		for row, err := range g.r.Updates(g.t.Context(), n.m.ID, 0, forever) {
			if err != nil {
				g.t.Fatal(err)
			}
			if seq, ok := happened[row.Recv]; !ok || seq != row.Update.Seq {
				g.t.Fatalf("update %d received at %d never happened", row.Update.Seq, row.Recv)
			}
			if row.Recv <= last {
				g.t.Fatalf("update received at %d comes after one of %d", row.Recv, last)
			}
			last = row.Recv
			counts[n.m.ID]++
		}
		for range 200 {
			at := n.rows[g.rnd.IntN(len(n.rows))].recv + model.Micros(g.rnd.IntN(3)-1)
			v, err := g.r.BookAt(g.t.Context(), n.m.ID, at)
			// A gap may begin before the tick at which the book was still taken for whole.
			if errors.Is(err, ErrNoData) || !g.heldAt(n, at) {
				continue
			}
			if err != nil || !g.sameBook(n, at, v) {
				g.t.Fatalf("book of %d at %d differs (%v)", n.m.ID, at, err)
			}
		}
	}
	return counts
}

// complete fails where a row of the past is missing, or a candle or count does not match the trades.
func (g *rig) complete() {
	g.t.Helper()
	counts := g.neverHappened()
	for _, n := range g.markets {
		if counts[n.m.ID] != len(n.rows) {
			ivs, _ := g.r.Coverage(g.t.Context(), model.KindBook, n.m.ID, Span{0, 1 << 45})
			g.t.Errorf("%d updates of market %d, want %d; held in %v", counts[n.m.ID], n.m.ID, len(n.rows), ivs)
		}
		g.compareTrades(n)
		g.compareCandles(n)
		ivs, err := g.r.Coverage(g.t.Context(), model.KindBook, n.m.ID, Span{0, 1 << 45})
		if err != nil || !slices.IsSortedFunc(ivs, func(a, b Interval) int { return int(a.To - b.From) }) {
			g.t.Errorf("intervals of market %d overlap: %v (%v)", n.m.ID, ivs, err)
		}
	}
}
