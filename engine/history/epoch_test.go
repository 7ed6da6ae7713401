package history

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
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

// scaledRig is a rig of one market that has had two scales.
func scaledRig(t *testing.T) *rig {
	t.Helper()
	g := newRig(t, kvtest.Open(t), testSeed(t), 1)
	m := *g.markets[0].m
	m.Epoch, m.Scales = 1, []model.Scale{{Price: 2, Size: 4}, {Price: 3, Size: 4}}
	g.markets[0].public.Store(&m)
	g.start()
	return g
}

// storedTrades are the ids of all trades of the rig's market, as they are read.
func (g *rig) storedTrades() (ids []uint64) {
	g.t.Helper()
	for trade, err := range g.r.Trades(g.t.Context(), 0, Span{To: 1 << 45}, TradeQuery{}) {
		if err != nil {
			g.t.Fatal(err)
		}
		ids = append(ids, trade.ID)
	}
	return ids
}

// Trades of a millisecond with two scales that are told again are found, in whatever order they come: as they are sealed now,
// and where one segment ends in the millisecond in which the next begins, as they were sealed once.
func TestTradesToldAgainWhereSegmentsMeet(t *testing.T) {
	const at = model.Millis(1_760_000_000_000)
	stored := []*model.Trade{givenTrade(1, at-1, 100), givenTrade(2, at, 100), givenTrade(3, at, 1000), givenTrade(4, at, 1000), givenTrade(5, at+1, 1000)}
	for _, trade := range stored[2:] {
		trade.Epoch = 1
	}
	meet := func(g *rig) {
		batch := g.store.NewBatch()
		for row, err := range g.store.Scan(t.Context(), key.All(key.Trades)) {
			if err != nil {
				t.Fatal(err)
			}
			batch.Delete(row.Key)
		}
		for _, rows := range [][]*model.Trade{stored[:2], stored[2:]} {
			var segment []model.Trade
			for _, trade := range rows {
				segment = append(segment, *trade)
			}
			batch.Set(key.Trade(nil, 0, key.Sealed, int64(rows[0].Time)), record.AppendTradeSegment(nil, rows[0].Epoch, segment))
		}
		if err := g.store.Commit(batch, kv.Sync); err != nil {
			t.Fatal(err)
		}
	}
	for i, again := range [][]int{{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {1, 2}, {2, 1}, {0, 2}, {1, 3, 1, 4, 0, 2}} {
		for _, old := range []bool{false, true} {
			g := scaledRig(t)
			g.sealed(at, stored...)
			if old {
				meet(g)
			}
			var rows []*model.Trade
			for _, i := range again {
				rows = append(rows, stored[i])
			}
			if err := g.w.AddTrades(t.Context(), 0, rows, Span{}); err != nil {
				t.Fatal(err)
			}
			if got := g.storedTrades(); !slices.Equal(got, []uint64{1, 2, 3, 4, 5}) {
				t.Errorf("%d: told again %v, sealed as once %v: the store has %v", i, again, old, got)
			}
			g.stop()
		}
	}
}

// A late trade that is sealed between trades of another scale takes nothing from the millisecond in which the scale changed.
func TestLateTradeBeforeScaleChange(t *testing.T) {
	const at, hour = model.Millis(1_760_000_000_000), model.Millis(hourMillis)
	for epoch := range uint8(2) {
		g := scaledRig(t)
		later := []*model.Trade{givenTrade(2, at+3*hour, 100), givenTrade(3, at+3*hour, 1000), givenTrade(4, at+3*hour, 100), givenTrade(5, at+3*hour, 1000)}
		later[1].Epoch, later[3].Epoch = 1, 1
		g.sealed(at, append(later, givenTrade(0, at, 100))...)
		late := givenTrade(1, at+hour, 1000)
		late.Epoch = epoch
		g.sealed(at, late)
		if got := g.storedTrades(); !slices.Equal(got, []uint64{0, 1, 2, 3, 4, 5}) {
			t.Errorf("late on scale %d: the store has %v", epoch, got)
		}
		g.stop()
	}
}

// sealed stores trades and seals the ten hours that begin at a moment.
func (g *rig) sealed(at model.Millis, rows ...*model.Trade) {
	g.t.Helper()
	if err := g.w.AddTrades(g.t.Context(), 0, rows, Span{}); err != nil {
		g.t.Fatal(err)
	}
	if err := g.w.SealNow(g.t.Context(), time.UnixMilli(int64(at)+10*hourMillis)); err != nil {
		g.t.Fatal(err)
	}
}

// A block that is about to get a trade stays the only one of its second, however many others are remembered.
func TestTradesOfManySecondsAtOnce(t *testing.T) {
	const at = model.Millis(1_760_000_000_000)
	for newer := maxTradeBlocks - 3; newer <= maxTradeBlocks+1; newer++ {
		g := scaledRig(t)
		var rows []*model.Trade
		for i := range newer {
			rows = append(rows, givenTrade(uint64(10+i), at+model.Millis(i+1)*1000, 100))
		}
		rows = append(rows, givenTrade(1, at, 100), givenTrade(2, at, 100), givenTrade(2, at, 100))
		if err := g.w.AddTrades(t.Context(), 0, rows, Span{}); err != nil {
			t.Fatal(err)
		}
		ids := g.storedTrades()
		if stored := g.w.Stored(); len(ids) != newer+2 || stored.Trades != uint64(newer+2) || ids[0] != 1 || ids[1] != 2 {
			t.Errorf("beside %d seconds: %d trades are stored and %d counted, want %d; the first are %v",
				newer, len(ids), stored.Trades, newer+2, ids[:2])
		}
		g.stop()
	}
}
