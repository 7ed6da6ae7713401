package history

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/kvtest"
)

// TestRememberedHeads asks a reader that remembers, again and again during random trades, late ones, seals and retention,
// and one that has just been made. Both must say the same.
func TestRememberedHeads(t *testing.T) {
	seed := testSeed(t)
	g := newRig(t, kvtest.Open(t), seed, 2)
	g.start()
	began := g.now.Millis()
	dropped := 0
	for range rounds(250, 2000) {
		n := g.markets[g.rnd.IntN(2)]
		switch g.rnd.IntN(16) {
		case 0:
			g.advance(model.Micros(1 + g.rnd.IntN(7_200_000_000)))
		case 1:
			g.flush()
			if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now))); err != nil {
				t.Fatal(err)
			}
		case 2:
			if g.rnd.IntN(4) == 0 {
				dropped++
				g.flush()
				if err := g.w.do(t.Context(), func() error { g.w.o.Retention.Trades = 24 * time.Hour; return nil }); err != nil {
					t.Fatal(err)
				}
				if err := g.w.retain(t.Context(), time.UnixMicro(int64(g.now))); err != nil {
					t.Fatal(err)
				}
			}
		default:
			g.advance(model.Micros(1 + g.rnd.IntN(2_000_000)))
			g.deliverTrades(n)
			g.flush()
		}
		fresh := NewReader(g.store, g.market)
		for range 3 {
			from := began + model.Millis(g.rnd.Int64N(max(1, int64(g.now.Millis()-began))))
			sp := Span{from, from + model.Millis(1+g.rnd.Int64N(1<<uint(4+g.rnd.IntN(24))))}
			want, _, err := fresh.CountTrades(t.Context(), n.m.ID, sp)
			if err != nil {
				t.Fatal(err)
			}
			have, _, err := g.r.CountTrades(t.Context(), n.m.ID, sp)
			if err != nil || have != want {
				t.Fatalf("%d trades of %d in %+v, want %d (%v)", have, n.m.ID, sp, want, err)
			}
			// What a page asks for is the beginning of what a walk gives, whatever it says that it takes.
			q := TradeQuery{Columns: record.Core, Reverse: g.rnd.IntN(2) == 0, Rows: 1 + g.rnd.IntN(40)}
			all := q
			all.Rows = 0
			var ids []uint64
			for tr, err := range g.r.Trades(t.Context(), n.m.ID, sp, q) {
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, tr.ID)
			}
			i := 0
			for tr, err := range fresh.Trades(t.Context(), n.m.ID, sp, all) {
				if err != nil || i >= len(ids) || ids[i] != tr.ID {
					t.Fatalf("row %d of %+v differs (%v)", i, sp, err)
				}
				i++
			}
			if i != len(ids) || uint64(i) != want {
				t.Fatalf("%d and %d rows of %+v, %d counted", len(ids), i, sp, want)
			}
		}
	}
	t.Logf("%d trades and %d, %d times retention", len(g.markets[0].trades), len(g.markets[1].trades), dropped)
	g.stop()
}

// TestCountsDuringSeals counts what lies still while hours around it are sealed and late trades come to other ones: every
// count must be the same, whatever moved meanwhile.
func TestCountsDuringSeals(t *testing.T) {
	g, n := edgeRig(t)
	for range 300 {
		g.advance(model.Micros(1 + g.rnd.IntN(30_000_000)))
		g.deliverTrades(n)
	}
	g.flush()
	first, last := n.sortedTrades(Span{0, 1 << 45})[0].Time, g.now.Millis()
	spans := []Span{{first, last}, {first + (last-first)/3, last - (last-first)/3}, {first + 1, last - 1}}
	var want []uint64
	for _, sp := range spans {
		want = append(want, uint64(len(n.sortedTrades(sp))))
	}
	done := make(chan struct{})
	var counting sync.WaitGroup
	for i := range 3 {
		counting.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for {
				select {
				case <-done:
					return
				default:
				}
				at := rnd.IntN(len(spans))
				if have, _, err := g.r.CountTrades(t.Context(), n.m.ID, spans[at]); err != nil || have != want[at] {
					t.Errorf("%d trades in %+v, want %d (%v)", have, spans[at], want[at], err)
					return
				}
			}
		})
	}
	for range 60 {
		g.advance(model.Micros(600_000_000)) // what is delivered now lies behind every span
		g.deliverNew(n)
		g.flush()
		if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now))); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	counting.Wait()
	g.stop()
}

// deliverNew delivers one trade of this moment.
func (g *rig) deliverNew(n *naiveMarket) {
	tr := g.trade(n)
	g.event(n, &model.TradeBatch{Rows: []model.Trade{tr}}, g.now.Millis(), nil)
}
