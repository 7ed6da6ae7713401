package history

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// Contract checklist 208: of every dataset exactly the buckets that are older than its time go, with what belongs to
// them, except those that hold a pinned day; what has no time stays for good.
func TestRetentionDeletesOnlyWhatIsOlder(t *testing.T) {
	const days = 200
	now := time.UnixMilli(key.DayStart(20_000) + 5*3_600_000)
	today := key.Day(now.UnixMilli())
	day := 24 * time.Hour
	pinned := today - 150
	datasets := map[key.Family]struct {
		age   time.Duration // 0: for good
		spans bool
	}{
		key.Books: {90 * day, false}, key.Keyframes: {90 * day, false}, key.Stats: {30 * day, false}, key.Heatmaps: {10 * day, false},
		key.Trades: {40 * day, false}, key.Liquidations: {40 * day, false}, key.Fills: {40 * day, false}, key.Candles: {100 * day, true},
		key.Funding: {0, true}, key.AccountSnapshots: {20 * day, false}, key.Gaps: {0, false},
		key.Usage: {0, false}, // another package's
	}
	store := kvtest.Open(t)
	w, err := NewWriter(WriterOptions{
		Store: store, Import: true, Interval: 3 * time.Millisecond, Markets: func(model.MarketID) (*model.Market, bool) { return nil, false },
		Retention: Retention{Books: 90 * day, Stats: 30 * day, Heatmaps: 10 * day, Trades: 40 * day, Candles: 100 * day, Accounts: 20 * day},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer runWriter(t, w)()
	reader := NewReader(store, w.o.Markets)
	rowOf := func(f key.Family, res byte, bucket uint32) []byte {
		k := []byte{byte(f)}
		if f == key.Candles {
			k = append(k, res)
		}
		return append(binary.BigEndian.AppendUint32(k, bucket), 1, 2, 3)
	}
	each := func(fn func(f key.Family, bucket uint32, row []byte)) {
		for f, d := range datasets {
			first, last := today-days, today
			if d.spans {
				first, last = key.Span(key.DayStart(first)), key.Span(key.DayStart(last))
			}
			for bucket := first; bucket <= last; bucket++ {
				for res := range byte(3) {
					fn(f, bucket, rowOf(f, res, bucket))
				}
			}
		}
	}
	b := store.NewBatch()
	each(func(_ key.Family, _ uint32, row []byte) { b.Set(row, nil) })
	if err := store.Commit(b, kv.Sync); err != nil {
		t.Fatal(err)
	}
	if err := w.do(t.Context(), func() error { w.keep.pin(pinned); return nil }); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time nothing more goes
		if err := w.retain(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		each(func(f key.Family, bucket uint32, row []byte) {
			d := datasets[f]
			end, pin := key.DayStart(bucket+1), bucket == pinned
			if d.spans {
				end, pin = key.SpanStart(bucket+1), bucket == key.Span(key.DayStart(pinned))
			}
			want := d.age == 0 || pin || end > key.DayStart(key.Day(now.Add(-d.age).UnixMilli()))
			err := store.Get(row, func([]byte) error { return nil })
			if kind := slices.Index(kindFamilies[:], f); kind >= 0 {
				told, err := reader.Dropped(model.Kind(kind))
				in := slices.ContainsFunc(told, func(sp Span) bool { return int64(sp.From) < end && end <= int64(sp.To) })
				if err != nil || in == want {
					t.Errorf("%s of bucket %d, today is %d: told %v (%v)", f.Name(), bucket, today, told, err)
				}
			}
			if have := err == nil; have != want {
				t.Errorf("%s of bucket %d, today is %d: kept %v, want %v", f.Name(), bucket, today, have, want)
			}
		})
	}
}
