package history

import (
	"errors"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// A damaged segment is told once, and keeps no other market's updates from being thinned.
func TestThinGoesOnBehindDamage(t *testing.T) {
	g, rec := recording(t, testSeed(t), 400)
	store := kvtest.Open(t)
	w, err := NewWriter(WriterOptions{Store: store, Markets: g.market, Import: true, Interval: 3 * time.Millisecond,
		Retention: Retention{Ticks: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer runWriter(t, w)()
	for _, call := range rec.calls {
		call(w)
	}
	if err := w.SealNow(t.Context(), afterMillis(g.now.Millis(), 7*time.Hour)); err != nil {
		t.Fatal(err)
	}
	segments, err := key.BookRange(0, key.Sealed, int64(testStart), key.DayStart(key.DayOfMicros(int64(testStart))+1)*1000)
	if err != nil {
		t.Fatal(err)
	}
	batch := store.NewBatch()
	if err := store.Last(segments, func(k, v []byte) error {
		batch.Set(slices.Clone(k), v[:len(v)-3])
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := store.Commit(batch, kv.Sync); err != nil {
		t.Fatal(err)
	}
	updates := func() (n int) {
		for _, err := range NewReader(store, g.market).Updates(t.Context(), 1, 0, forever) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	before, later := updates(), afterMillis(g.now.Millis(), 72*time.Hour)
	if err := w.ThinNow(t.Context(), later); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("thinned a damaged segment: %v", err)
	}
	if after := updates(); after >= before {
		t.Errorf("another market has %d updates left of %d", after, before)
	}
	if err := w.ThinNow(t.Context(), later); err != nil {
		t.Errorf("it is told again: %v", err)
	}
}
