package attribution

import (
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// A list that ends inside a level tells part of it; a size that came back tells nothing for certain; a level that is gone
// is left out.
func TestListIsComparedWithItsMoment(t *testing.T) {
	t0 := time.UnixMicro(1_700_000_000_000_000)
	w, b := newTracked(0, &index{markets: map[model.AccountID][]*tracked{}}), book.New()
	seq := uint64(0)
	frame := func(after time.Duration, bids ...model.Level) {
		t.Helper()
		seq++
		u := &model.BookUpdate{Snapshot: seq == 1, Prev: seq - 1, Seq: seq, Bids: bids}
		if err := b.Apply(u, 0, model.Micros(t0.Add(after).UnixMicro())); err != nil {
			t.Fatal(err)
		}
		w.book(u, b.View())
	}
	at := func(p int, size int) model.Level { return model.Level{Price: 100 + num.Price(p), Size: num.Size(size)} }
	frame(0, at(0, 5), at(-1, 7), at(-2, 9), at(-3, 4))
	frame(150*time.Millisecond, at(-1, 3))
	frame(160*time.Millisecond, at(-1, 7), at(-3, 0))
	row := func(p int, id uint64, size int) model.RestingOrder {
		return model.RestingOrder{Account: 1, ID: id, Price: 100 + num.Price(p), Size: num.Size(size)}
	}
	l := &List{Asked: t0.Add(100 * time.Millisecond), Replied: t0.Add(200 * time.Millisecond), Complete: [2]bool{false, true},
		Orders: [2][]model.RestingOrder{{row(0, 1, 5), row(-1, 2, 7), row(-2, 3, 2), row(-2, 4, 3)}}}
	if _, ok := w.join(l); !ok {
		t.Fatal("the list was not taken")
	}
	a := w.published.Load()
	var got []model.OwnerState
	for _, l := range a.Levels[model.Bid] {
		got = append(got, l.State)
	}
	if len(got) != 3 || got[0] != model.OwnersConfirmed || got[1] != model.OwnersInferred || got[2] != model.OwnersPartial || a.Levels[0][2].Rest != 4 {
		t.Fatalf("states %v", got)
	}
	// The first list after a hole is refused where it was asked for before the hole ended.
	w.reset()
	seq = 0
	frame(300*time.Millisecond, at(0, 5))
	if _, ok := w.join(l); ok || w.published.Load() != nil {
		t.Error("a list from before a hole was taken")
	}
}
