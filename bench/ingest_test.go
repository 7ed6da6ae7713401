package bench

import (
	"slices"
	"testing"

	"hyperlight/bench/bare"
)

// BenchmarkIngest is the whole way of the frames of 100 markets: decoder, clone, shard, book and view, history writer,
// synced commit. The baseline is a bare Pebble batch writer that is given the rows which a turn made, in as many synced
// commits.
func BenchmarkIngest(b *testing.B) {
	t := newTraffic(100, 1000)
	p := newPipeline(b, t.markets)
	defer p.close()
	turns := uint64(0)
	turn := func() int {
		for i := range t.frames {
			t.frames[i].shift(turns)
			p.decode(t.frames[i].raw)
		}
		p.settle()
		turns++
		return t.levels
	}
	for _, raw := range t.starts {
		p.decode(raw)
	}
	p.settle()
	p.commits.Store(0)
	before := map[string]string{}
	for _, r := range bare.Rows(b, p.store) {
		before[string(r.Key)] = string(r.Value)
	}
	turn()
	rows := slices.DeleteFunc(bare.Rows(b, p.store), func(r bare.Row) bool { return before[string(r.Key)] == string(r.Value) })
	group := len(rows)/int(p.commits.Load()) + 1
	db := bare.Open(b, b.TempDir())
	Compare(b, "levels", func() int { db.WriteNew(rows, group); return t.levels }, turn)
	p.stop()
}
