package history

import (
	"math/rand/v2"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

// A trade is one whatever the scale that the market had when it was delivered: told again after a scale change, or on an
// older scale than before, it is not stored and not counted twice, before and after sealing and a restart.
func TestTradeToldOnOtherScales(t *testing.T) {
	seed := testSeed(t)
	rnd := rand.New(rand.NewPCG(seed, 11))
	for range rounds(20, 300) {
		g := newRig(t, kvtest.Open(t), seed, 1)
		m := *g.markets[0].m
		m.Epoch, m.Scales = 3, []model.Scale{{Price: 2, Size: 4}, {Price: 3, Size: 4}, {Price: 4, Size: 4}, {Price: 5, Size: 4}}
		g.markets[0].public.Store(&m)
		g.start()
		const base = model.Millis(1_760_000_000_000)
		known := map[uint64]bool{}
		for range 1 + rnd.IntN(40) {
			// A few ids in two seconds, each with its own time, on any of four scales.
			id := uint64(1 + rnd.IntN(12))
			trade := givenTrade(id, base+model.Millis(id)*150, 100)
			trade.Epoch = uint8(rnd.IntN(4))
			known[id] = true
			if err := g.w.AddTrades(t.Context(), 0, []*model.Trade{trade}, Span{}); err != nil {
				t.Fatal(err)
			}
			switch rnd.IntN(12) {
			case 0:
				if err := g.w.SealNow(t.Context(), time.UnixMilli(int64(base)+7_200_000)); err != nil {
					t.Fatal(err)
				}
			case 1:
				g.stop()
				g.start()
			}
		}
		seen := map[uint64]bool{}
		for trade, err := range g.r.Trades(t.Context(), 0, Span{To: 1 << 45}, TradeQuery{}) {
			if err != nil {
				t.Fatal(err)
			}
			if seen[trade.ID] {
				t.Fatalf("trade %d is there twice", trade.ID)
			}
			seen[trade.ID] = true
		}
		n, exact, err := g.r.CountTrades(t.Context(), 0, Span{To: 1 << 45})
		if err != nil || !exact || n != uint64(len(known)) || len(seen) != len(known) {
			t.Fatalf("%d trades are counted (%v), %d seen, want %d: %v", n, exact, len(seen), len(known), err)
		}
		g.stop()
	}
}
