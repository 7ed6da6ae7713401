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

func TestHourRuns(t *testing.T) {
	due := []hourKey{{key.Trades, 2, 30}, {key.Trades, 1, 23}, {key.Trades, 1, 24}, {key.Trades, 1, 25}, {key.Trades, 1, 27},
		{key.Books, 1, 24}, {key.Books, 1, 25}, {key.Fills, 0, 47}, {key.Trades, 2, 31}, {key.Trades, 1, 22}}
	want := []hourRun{{hourKey{key.Trades, 1, 22}, 2}, {hourKey{key.Fills, 0, 47}, 1}, {hourKey{key.Books, 1, 24}, 1},
		{hourKey{key.Books, 1, 25}, 1}, {hourKey{key.Trades, 1, 24}, 2}, {hourKey{key.Trades, 1, 27}, 1}, {hourKey{key.Trades, 2, 30}, 2}}
	rand.Shuffle(len(due), func(i, k int) { due[i], due[k] = due[k], due[i] })
	if have := hourRuns(due); !slices.Equal(have, want) {
		t.Errorf("%+v, want %+v", have, want)
	}
}

// TestSealRuns seals days of hours in few batches while late trades come, with so little allowed in one that runs are cut, and
// crashes at any point: every trade stays, once, and the counts match.
func TestSealRuns(t *testing.T) {
	defer func(n int) { sealTogether = n }(sealTogether)
	seed := testSeed(t)
	rnd := rand.New(rand.NewPCG(seed, 12))
	const days, base = 2, model.Millis(20_000 * key.DayMillis)
	for i := range rounds(4, 30) {
		sealTogether = []int{1 << 15, 40, 1}[rnd.IntN(3)]
		span := int64(days * key.DayMillis)
		if i%2 == 0 { // hours of more rows than are deleted one by one, cut in their midst where that were done
			span, sealTogether = 3*hourMillis, 100
		}
		g := newRig(t, kvtest.Open(t), seed, 2)
		g.start()
		known := [2]map[uint64]bool{{}, {}}
		id := uint64(0)
		some := func(n int) {
			for m := range known {
				var rows []*model.Trade
				for range n {
					id++
					known[m][id] = true
					rows = append(rows, givenTrade(id, base+model.Millis(rnd.Int64N(span)), 100))
				}
				if err := g.w.AddTrades(t.Context(), model.MarketID(m), rows, Span{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		seal := func() {
			if err := g.w.SealNow(t.Context(), time.UnixMilli(int64(base)+(days+1)*key.DayMillis)); err != nil {
				t.Error(err)
			}
		}
		for range 3 {
			some(100 + rnd.IntN(200))
			sealed := make(chan struct{})
			go func() { defer close(sealed); seal() }()
			for range rnd.IntN(4) {
				some(1 + rnd.IntN(5))
			}
			clone := kvtest.CrashClone(t, g.store, rnd.IntN(101))
			<-sealed
			compareRuns(t, clone, g, known)
			if err := clone.Close(); err != nil {
				t.Fatal(err)
			}
		}
		seal()
		compareRuns(t, g.store, g, known)
		for m := range known {
			for _, err := range g.store.Scan(t.Context(), mustRange(key.TradeRange(uint32(m), key.Hot, int64(base), int64(base)+key.DayMillis))) {
				t.Fatalf("a hot row is left (%v)", err)
			}
		}
		g.stop()
	}
}

func mustRange(rg key.Range, err error) key.Range {
	if err != nil {
		panic(err)
	}
	return rg
}

// compareRuns compares a store with the trades that it must have.
func compareRuns(t *testing.T, store *kv.Store, g *rig, known [2]map[uint64]bool) {
	t.Helper()
	findings, err := Check(t.Context(), store, true)
	if err != nil || len(findings) > 0 {
		t.Fatalf("check: %+v (%v)", findings, err)
	}
	r := NewReader(store, g.market)
	for m := range known {
		seen := map[uint64]bool{}
		for trade, err := range r.Trades(t.Context(), model.MarketID(m), Span{To: 1 << 45}, TradeQuery{Columns: record.Core}) {
			if err != nil {
				t.Fatal(err)
			}
			if seen[trade.ID] || !known[m][trade.ID] {
				t.Fatalf("trade %d of market %d is there twice, or never was", trade.ID, m)
			}
			seen[trade.ID] = true
		}
		if n, _, err := r.CountTrades(t.Context(), model.MarketID(m), Span{To: 1 << 45}); err != nil || len(seen) != len(known[m]) || n != uint64(len(seen)) {
			t.Fatalf("market %d has %d trades and counts %d (%v), want %d", m, len(seen), n, err, len(known[m]))
		}
	}
}

// The hours of a quiet day are one batch: readers that look whether rows moved meanwhile start anew once.
func TestSealDayOnce(t *testing.T) {
	g := newRig(t, kvtest.Open(t), 1, 1)
	g.start()
	defer g.stop()
	var rows []*model.Trade
	for hour := range model.Millis(24) {
		rows = append(rows, givenTrade(uint64(hour+1), 20_000*key.DayMillis+hour*hourMillis, 100))
	}
	if err := g.w.AddTrades(t.Context(), 0, rows, Span{}); err != nil {
		t.Fatal(err)
	}
	before, err := g.r.sealing()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.w.SealNow(t.Context(), time.UnixMilli(20_002*key.DayMillis)); err != nil {
		t.Fatal(err)
	}
	// One more is that of the day's postings.
	if after, err := g.r.sealing(); err != nil || after-before > 2 {
		t.Errorf("%d batches (%v), want 2 at most", after-before, err)
	}
}
