package history

import (
	"fmt"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// A clock that is set back makes a second last until it comes there again: everything counts as received in it. Its rows stay of
// a bounded size, since an open one is written with each commit, and nothing of it is lost, before and after sealing.
func TestLongSecond(t *testing.T) {
	g := newRig(t, kvtest.Open(t), testSeed(t), 1)
	g.start()
	n := g.markets[0]
	g.advance(second + 7)
	g.snapshot(n)
	g.advance(second)
	const updates = 2 * maxBlockUpdates
	for i := range updates {
		if g.delta(n); i%500 == 0 {
			g.flush()
		}
	}
	g.flush()
	from, to := testStart, g.now+second
	check := func(when string) {
		t.Helper()
		var seqs []uint64
		last := model.Micros(0)
		for row, err := range g.r.Updates(t.Context(), 0, from, to) {
			if err != nil {
				t.Fatal(err)
			}
			if row.Recv < last {
				t.Fatalf("%s: a row of %d comes after one of %d", when, row.Recv, last)
			}
			last = row.Recv
			seqs = append(seqs, row.Update.Seq)
		}
		if len(seqs) != len(n.rows) {
			t.Fatalf("%s: %d updates are read, want %d", when, len(seqs), len(n.rows))
		}
		for i, seq := range seqs {
			if want := n.rows[i].update.Seq; seq != want {
				t.Fatalf("%s: update %d has number %d, want %d", when, i, seq, want)
			}
		}
		v, err := g.r.BookAt(t.Context(), 0, last+1)
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range []model.Side{model.Bid, model.Ask} {
			if got, want := v.Append(nil, side, 0), n.book.View().Append(nil, side, 0); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: the book has %v, want %v", when, got, want)
			}
		}
	}
	for row, err := range g.store.Scan(t.Context(), key.All(key.Books)) {
		if err != nil {
			t.Fatal(err)
		}
		if len(row.Value) > 16*maxBlockUpdates {
			t.Errorf("a row has %d bytes", len(row.Value))
		}
	}
	g.advance(3 * second)
	g.delta(n)
	g.advance(second)
	g.flush()
	to = g.now + second
	check("as written")
	if err := g.w.SealNow(t.Context(), time.UnixMicro(int64(g.now)+2*7_200_000_000)); err != nil {
		t.Fatal(err)
	}
	check("sealed")
	g.stop()
	g.r = NewReader(g.store, g.market)
	check("after a restart")
}
