package history

import (
	"reflect"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// Heatmaps come back as they were given, market by market and over midnight; a row that comes again is there once; days
// that retention took are neither shown nor written anew; and the store checks out.
func TestHeatmaps(t *testing.T) {
	t.Parallel()
	g := newRig(t, kvtest.Open(t), testSeed(t), 1)
	g.options.Retention.Heatmaps = 24 * time.Hour
	g.start()
	base := testStart.Millis()
	var rows []model.Heatmap
	at := base - 26*3_600_000
	for at < base {
		for m := range model.MarketID(2) {
			h := model.Heatmap{Market: m, Time: at, Epoch: 1, LongAtRisk: num.USD(g.rnd.Int64N(1e12)), ShortAtRisk: num.USD(g.rnd.Int64N(1e12))}
			if g.rnd.IntN(6) == 0 {
				h.Map = &model.HeatmapMap{Mark: num.Decimal{Mant: 5, Scale: 1}, Positions: 3, Buckets: []model.HeatmapBucket{
					{Place: uint16(g.rnd.IntN(model.HeatmapBuckets)), Long: model.HeatmapSum{Size: 1, Notional: num.USD(at), Count: 1}}}}
			}
			rows = append(rows, h)
		}
		at += model.Millis(100_000 + g.rnd.IntN(200_000))
	}
	for i := 0; i < len(rows); {
		n := min(1+g.rnd.IntN(20), len(rows)-i)
		if !g.w.AddHeatmaps(rows[i : i+n]) {
			t.Fatal("the writer has ended")
		}
		i += n
	}
	again := rows[len(rows)-1]
	again.LongAtRisk++
	rows[len(rows)-1] = again
	g.w.AddHeatmaps([]model.Heatmap{again})
	if err := g.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	compare := func(what string, sp Span, cut model.Millis) {
		t.Helper()
		for m := range model.MarketID(3) {
			var want, got []model.Heatmap
			for _, h := range rows {
				if h.Market == m && h.Time >= max(sp.From, cut) && h.Time < sp.To {
					want = append(want, h)
				}
			}
			for h, err := range g.r.Heatmaps(t.Context(), m, sp) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, *h)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, market %d, %+v: %d rows, want %d", what, m, sp, len(got), len(want))
			}
		}
	}
	compare("all", Span{0, 1 << 50}, 0)
	for range 30 {
		from := base - 30*3_600_000 + model.Millis(g.rnd.IntN(30*3_600_000))
		compare("some", Span{from, from + 1 + model.Millis(g.rnd.IntN(12*3_600_000))}, 0)
	}
	compare("none", Span{base, base}, 0)
	if findings, err := Check(t.Context(), g.store, true); err != nil || len(findings) > 0 {
		t.Fatalf("%v, %v", findings, err)
	}

	if err := g.w.retain(t.Context(), time.UnixMicro(int64(testStart)).Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	cut := model.Millis(key.DayStart(key.Day(int64(base))))
	compare("after retention", Span{0, 1 << 50}, cut)
	g.w.AddHeatmaps([]model.Heatmap{{Market: 0, Time: cut - 1}})
	if err := g.w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	compare("a late row", Span{0, 1 << 50}, cut)

	// Damage is found.
	b := g.store.NewBatch()
	b.Set(key.Heatmap(nil, 1, int64(base)), []byte{1, 0, 9, 0, 0})
	if err := g.store.Commit(b, kv.Sync); err != nil {
		t.Fatal(err)
	}
	g.stop()
	if findings, err := Check(t.Context(), g.store, false); err != nil || len(findings) != 1 {
		t.Errorf("a damaged row: %v, %v", findings, err)
	}
	if g.w.AddHeatmaps(rows) {
		t.Error("a writer that has ended took rows")
	}
}
