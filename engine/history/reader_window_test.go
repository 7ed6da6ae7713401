package history

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// What is read of a window is what a look at the whole record gives of it, with an interval that a stop left open too.
func TestBookIntervalsOfAWindow(t *testing.T) {
	store := kvtest.Open(t)
	market := uint32(0)
	rapid.Check(t, func(t *rapid.T) {
		market++ // a record of its own
		at := model.Micros(1)
		batch := store.NewBatch()
		n := rapid.IntRange(0, 6).Draw(t, "intervals")
		open := rapid.IntRange(-1, n-1).Draw(t, "open")
		for i := range n {
			start := at + model.Micros(rapid.IntRange(0, 3).Draw(t, "hole"))
			end := start + model.Micros(rapid.IntRange(1, 5).Draw(t, "length"))
			at = end
			if i == open {
				end = 0
			}
			batch.Set(key.Held(nil, uint8(model.KindBook), market, int64(start)), record.AppendInterval(nil, record.Interval{End: end}))
		}
		setMoment(batch, metaHeartbeat, model.Micros(rapid.IntRange(1, 40).Draw(t, "heartbeat")))
		if err := store.Commit(batch, kv.NoSync); err != nil {
			t.Fatal(err)
		}
		r := NewReader(store, func(model.MarketID) (*model.Market, bool) { return nil, false })
		openEnd := rapid.SampledFrom([]model.Micros{0, forever}).Draw(t, "end")
		all, err := r.intervals(t.Context(), model.KindBook, model.MarketID(market), openEnd)
		if err != nil {
			t.Fatal(err)
		}
		from := model.Micros(rapid.IntRange(-2, 45).Draw(t, "from"))
		to := from + model.Micros(rapid.IntRange(-1, 45).Draw(t, "to"))
		got, err := r.bookIntervals(t.Context(), model.MarketID(market), openEnd, from, to)
		if err != nil {
			t.Fatal(err)
		}
		var want []Interval
		for _, iv := range all {
			if to >= max(from, 0) && iv.To >= from && iv.From <= to {
				want = append(want, iv)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v of %v from %d to %d, want %v", got, all, from, to, want)
		}
	})
}
