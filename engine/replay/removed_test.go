package replay

import (
	"context"
	"errors"
	"io"
	"testing"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// A replay that was put aside while retention removed where it stood, or thinning rewrote it, says so: it does not go on
// behind the hole as if nothing had been there.
func TestRemovedRecordIsTold(t *testing.T) {
	const n = 60
	for _, x := range []struct {
		name    string
		include KindSet
		change  func(f *fakeHistory)
		want    error
	}{
		{"updates, unchanged", Kinds(BookUpdate), func(*fakeHistory) {}, nil},
		{"updates, removed", Kinds(BookUpdate), removeHalf, ErrRemoved},
		{"updates, all removed", Kinds(BookUpdate), func(f *fakeHistory) { clear(f.rows); clear(f.held) }, ErrRemoved},
		{"updates, thinned", Kinds(BookUpdate), thinAll, ErrRemoved},
		{"snapshots, unchanged", Kinds(Snapshot), func(*fakeHistory) {}, nil},
		{"snapshots, removed", Kinds(Snapshot), removeHalf, ErrRemoved},
		{"snapshots, thinned", Kinds(Snapshot), thinAll, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := newFake()
			m := &model.Market{Scales: []model.Scale{{Price: 2, Size: 4}}}
			for i := range uint64(n) { // four a second
				u := model.BookUpdate{Snapshot: i == 0, Prev: i, Seq: i + 1, Bids: []model.Level{{Price: 100, Size: 5}}, Asks: []model.Level{{Price: 200, Size: 5}}}
				f.rows[0] = append(f.rows[0], record.BookRow{Update: u, Recv: sec + model.Micros(i)*sec/4 + 1})
			}
			f.held[recordID{0, model.KindBook}] = []history.Interval{{From: sec, To: 16 * sec}}
			src := NewSource(f, Request{Markets: []*model.Market{m}, From: 2000, To: 16_000, Include: x.include, StartBooks: x.include.Has(BookUpdate)})
			defer src.Close()
			var err error
			for i := 0; err == nil; i++ {
				if i == 3 {
					src.Release()
					x.change(f)
				}
				_, err = src.Next(context.Background())
			}
			if x.want == nil && !errors.Is(err, io.EOF) || x.want != nil && !errors.Is(err, x.want) {
				t.Errorf("ended with %v, want %v", err, x.want)
			}
		})
	}
}

// removeHalf is what retention does.
func removeHalf(f *fakeHistory) {
	f.rows[0] = f.rows[0][30:]
	f.held[recordID{0, model.KindBook}][0].From = f.rows[0][0].Recv
}

// thinAll is what thinning does: the last row of each second stays.
func thinAll(f *fakeHistory) {
	var kept []record.BookRow
	for i := 3; i < len(f.rows[0]); i += 4 {
		row := f.rows[0][i]
		row.Update.Prev, row.Update.Snapshot = uint64(max(i-3, 0)), i == 3
		kept = append(kept, row)
	}
	f.rows[0] = kept
}
