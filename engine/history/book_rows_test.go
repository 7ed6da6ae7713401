package history

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// manySegments seals a record of a good ten segments and returns their keys.
func manySegments(t *testing.T) (store *kv.Store, r *Reader, end model.Micros, keys [][]byte) {
	store, _ = benchStore(t)
	w, stop := benchWriter(t, store)
	end = fillBooks(t, w, 9_000) // to midnight
	if err := w.SealNow(t.Context(), time.UnixMicro(int64(end)+7_200_000_000)); err != nil {
		t.Fatal(err)
	}
	stop()
	rg, err := key.BookRange(0, key.Sealed, int64(testStart), int64(end))
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range store.Scan(t.Context(), rg) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, slices.Clone(row.Key))
	}
	if len(keys) < 10 {
		t.Fatalf("%d segments", len(keys))
	}
	return store, NewReader(store, func(model.MarketID) (*model.Market, bool) { return nil, false }), end, keys
}

// received collects up to n receive times of a range's updates.
func received(ctx context.Context, r *Reader, from, to model.Micros, n int) (at []model.Micros, err error) {
	for row, err := range r.Updates(ctx, 0, from, to) {
		if err != nil {
			return at, err
		}
		at = append(at, row.Recv)
		if len(at) == n {
			break
		}
	}
	return at, nil
}

// A query that ends anywhere, while a segment is being opened ahead or not, leaves no goroutine (TestMain), and the next one,
// which takes its memory, reads what it should.
func TestUpdatesEndAnywhere(t *testing.T) {
	_, r, end, _ := manySegments(t)
	all, err := received(t.Context(), r, 0, end, -1)
	if err != nil || len(all) != 9_000 {
		t.Fatal(len(all), err)
	}
	for n := 1; n < len(all); n += 431 {
		got, err := received(t.Context(), r, 0, end, n)
		if err != nil || !slices.Equal(got, all[:n]) {
			t.Fatalf("the first %d: %d, %v", n, len(got), err)
		}
		from := all[n]
		if got, err = received(t.Context(), r, from, end, 1500); err != nil || !slices.Equal(got, all[n:min(n+1500, len(all))]) {
			t.Fatalf("from the %dth on: %d, %v", n, len(got), err)
		}
		if v, err := r.BookAt(t.Context(), 0, from); err != nil || v.Recv != all[n-1] {
			t.Fatalf("book before the %dth: %v", n, err)
		}
	}
}

// Damage is reported where it stands: every row of the segments before it comes first, although the damaged one was opened
// while they were read.
func TestDamagedSegmentInItsPlace(t *testing.T) {
	for _, place := range []int{0, 2, 7} {
		store, r, end, keys := manySegments(t)
		k, err := key.ParseBook(keys[place])
		if err != nil {
			t.Fatal(err)
		}
		all, err := received(t.Context(), r, 0, end, -1)
		if err != nil {
			t.Fatal(err)
		}
		batch := store.NewBatch()
		if err := store.Get(keys[place], func(v []byte) error {
			batch.Set(keys[place], v[:len(v)-3])
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := store.Commit(batch, kv.Sync); err != nil {
			t.Fatal(err)
		}
		got, err := received(t.Context(), r, 0, end, -1)
		if !errors.Is(err, record.ErrCorrupt) {
			t.Errorf("segment %d: %v", place, err)
		}
		before, _ := slices.BinarySearch(all, model.Micros(k.Time))
		if !slices.Equal(got, all[:before]) {
			t.Errorf("segment %d: %d rows before it, want %d", place, len(got), before)
		}
	}
}
