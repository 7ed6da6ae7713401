package replay

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

// A walk shows at every moment what a plain book shows, wherever prices lie and however the touch moves: also with sides
// that are empty, levels far behind the window, jumps over it, whole books, lost frames and crossed ones.
func TestWalkEqualsBook(t *testing.T) {
	m := testMarket(1)
	m.Scales = append(m.Scales, model.Scale{Price: 3, Size: 4})
	rapid.Check(t, func(t *rapid.T) {
		w, want := newWalk(m), book.New()
		seq, mid, epoch := uint64(10), num.Price(100_000), uint8(0)
		spread := rapid.SampledFrom([]int{3, 50, window, 3 * window}).Draw(t, "spread")
		levels := func(sign num.Price, name string) (out []model.Level) {
			for range rapid.IntRange(0, 8).Draw(t, name) {
				d := num.Price(rapid.IntRange(1, spread).Draw(t, "distance"))
				out = append(out, model.Level{Price: mid + sign*d, Size: num.Size(rapid.IntRange(0, 3).Draw(t, "size"))})
			}
			return out
		}
		for i := range rapid.IntRange(1, 60).Draw(t, "rows") {
			mid += num.Price(rapid.SampledFrom([]int{0, 0, 0, 1, -1, headroom, -headroom, 2 * window, -2 * window}).Draw(t, "move"))
			if mid < 40_000 {
				mid = 100_000
			}
			kind := rapid.SampledFrom([]string{"update", "update", "update", "update", "update", "update", "snapshot", "lost", "stale", "scale"}).Draw(t, "kind")
			row := record.BookRow{Time: model.Millis(i), Recv: model.Micros(i), Update: model.BookUpdate{Prev: seq, Seq: seq + 3,
				Bids: levels(-1, "bids"), Asks: levels(1, "asks")}}
			switch {
			case kind == "snapshot" || i == 0:
				row.Update.Snapshot = true
			case kind == "lost":
				row.Update.Prev++
			case kind == "stale":
				row.Update.Seq = seq
			case kind == "scale" && epoch == 0:
				epoch = 1
				mid *= 10
				row.Update.Bids, row.Update.Asks = levels(-1, "bids"), levels(1, "asks")
			}
			row.Epoch = epoch
			seq = max(seq, row.Update.Seq)
			w.apply(&row)
			naiveApply(m, want, &row)
			if w.synced() && !want.Synced() {
				// The walk looks for a crossed book when it brings the book up to date.
				w.flush()
			}
			if w.synced() != want.Synced() {
				t.Fatalf("row %d: synced %v, want %v", i, w.synced(), want.Synced())
			}
			if !want.Synced() {
				continue
			}
			if n := rapid.IntRange(0, 6).Draw(t, "depth"); n > 0 {
				var top Top
				w.top(&top, n)
				bids, asks := want.Append(nil, model.Bid, n), want.Append(nil, model.Ask, n)
				if top.Seq != want.Seq() || top.Epoch != want.Epoch() || !slices.Equal(top.Bids, bids) || !slices.Equal(top.Asks, asks) {
					t.Fatalf("row %d: %+v, want %v %v %d", i, top, bids, asks, want.Seq())
				}
			} else if rapid.IntRange(0, 3).Draw(t, "view") == 0 {
				v := w.view()
				if v.Seq != want.Seq() || !slices.Equal(v.Append(nil, model.Bid, 0), want.Append(nil, model.Bid, 0)) ||
					!slices.Equal(v.Append(nil, model.Ask, 0), want.Append(nil, model.Ask, 0)) {
					t.Fatalf("row %d: the whole book differs", i)
				}
			}
		}
	})
}

// naiveApply follows a row without any array.
func naiveApply(m *model.Market, b *book.Book, row *record.BookRow) {
	if row.Epoch != b.Epoch() {
		from, to := m.Scales[b.Epoch()], m.Scales[row.Epoch]
		if !row.Update.Snapshot && b.Rescale(from.Price, from.Size, to.Price, to.Size) != nil {
			b.Desync()
		}
		b.SetEpoch(row.Epoch)
	}
	if err := b.Apply(&row.Update, row.Time, row.Recv); err != nil && err != book.ErrStale {
		b.Desync()
	}
}
