package history

import (
	"math/rand/v2"
	"slices"
	"testing"

	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// Candles with years between them are found from either side, of one market among others.
func TestCandlesFarApart(t *testing.T) {
	seed := testSeed(t)
	rnd := rand.New(rand.NewPCG(seed, 13))
	const end = 30 * 365 * key.DayMillis
	for range rounds(20, 200) {
		store := kvtest.Open(t)
		batch := store.NewBatch()
		var times [2][]int64
		for range 1 + rnd.IntN(12) {
			at := rnd.Int64N(end)
			for range 1 + rnd.IntN(6) { // some close together
				at = min(end-1, at+rnd.Int64N(1<<uint(16+rnd.IntN(14))))
				at -= at % 60_000
				m := rnd.IntN(2)
				times[m] = append(times[m], at)
				batch.Set(key.Candle(nil, key.Minute, uint32(m), at), record.AppendCandle(nil, &record.Candle{Open: 1, High: 1, Low: 1, Close: 1}))
			}
		}
		if err := store.Commit(batch, kv.Sync); err != nil {
			t.Fatal(err)
		}
		r := NewReader(store, nil)
		for m := range times {
			slices.Sort(times[m])
			times[m] = slices.Compact(times[m])
			for range 12 {
				from, to := rnd.Int64N(end), rnd.Int64N(2*end)
				if rnd.IntN(3) == 0 {
					from, to = 0, 1<<45
				} else if len(times[m]) > 0 && rnd.IntN(2) == 0 {
					from = times[m][rnd.IntN(len(times[m]))] + rnd.Int64N(3) - 1
				}
				reverse := rnd.IntN(2) == 0
				want := slices.DeleteFunc(slices.Clone(times[m]), func(at int64) bool { return at < from || at >= to })
				if reverse {
					slices.Reverse(want)
				}
				var have []int64
				for c, err := range r.scanCandles(t.Context(), key.Minute, uint32(m), from, to, reverse) {
					if err != nil {
						t.Fatal(err)
					}
					have = append(have, int64(c.Time))
				}
				if !slices.Equal(have, want) {
					t.Fatalf("market %d, %d to %d, reverse %t: %v, want %v", m, from, to, reverse, have, want)
				}
			}
		}
	}
}
