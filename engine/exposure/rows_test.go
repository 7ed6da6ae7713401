package exposure

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// What is kept of a snapshot is what its heatmaps show: the same sums, and in the map every bucket that holds something,
// at its place.
func TestRowsAreWhatHeatmapsShow(t *testing.T) {
	t.Parallel()
	type shown struct {
		Buckets []struct {
			LongSize      string `json:"long_size"`
			LongNotional  string `json:"long_notional"`
			LongCount     uint32 `json:"long_count"`
			ShortSize     string `json:"short_size"`
			ShortNotional string `json:"short_notional"`
			ShortCount    uint32 `json:"short_count"`
		}
		Long      string `json:"long_at_risk"`
		Short     string `json:"short_at_risk"`
		Positions uint32 `json:"position_count"`
		Outside   struct {
			Long  string `json:"long_notional"`
			Short string `json:"short_notional"`
		} `json:"outside_range"`
		Coverage struct {
			Tracked string `json:"tracked_open_interest"`
		}
	}
	usd := func(v num.USD) string { return string(num.AppendTrim(nil, int64(v), num.USDScale)) }
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, 5)
		w.change(rt)
		now := time.UnixMilli(1_700_000_000_000)
		w.desk.o.Now = func() time.Time { return now }
		var rows []model.Heatmap
		w.desk.o.Record = func(r []model.Heatmap) { rows = r }
		s := w.desk.Step()
		if len(rows) != len(w.markets) {
			t.Fatalf("%d rows of %d markets", len(rows), len(w.markets))
		}
		for i, h := range rows {
			m := w.markets[i]
			var want shown
			if err := json.Unmarshal(w.desk.Heatmap(m.ID), &want); err != nil {
				t.Fatal(err)
			}
			size := func(v num.Size) string { return string(num.Append(nil, int64(v), m.SizeScale)) }
			got := shown{Long: usd(h.LongAtRisk), Short: usd(h.ShortAtRisk), Positions: h.Map.Positions}
			got.Outside.Long, got.Outside.Short, got.Coverage.Tracked = usd(h.Map.LongOut), usd(h.Map.ShortOut), size(h.Map.Tracked)
			got.Buckets = slices.Clone(want.Buckets)
			for b := range got.Buckets {
				at, ok := slices.BinarySearchFunc(h.Map.Buckets, uint16(b), func(x model.HeatmapBucket, place uint16) int { return int(x.Place) - int(place) })
				x := model.HeatmapBucket{}
				if ok {
					x = h.Map.Buckets[at]
				}
				o := &got.Buckets[b]
				o.LongSize, o.LongNotional, o.LongCount = size(x.Long.Size), usd(x.Long.Notional), x.Long.Count
				o.ShortSize, o.ShortNotional, o.ShortCount = size(x.Short.Size), usd(x.Short.Notional), x.Short.Count
				if ok && x.Long.Count+x.Short.Count == 0 {
					t.Fatal("an empty bucket was kept")
				}
			}
			if text, err := AppendKept(nil, m, &h); err != nil || string(text) != string(w.desk.Heatmap(m.ID)) {
				t.Fatalf("written of what was kept, %v:\n%s\nwant\n%s", err, text, w.desk.Heatmap(m.ID))
			}
			a, _ := json.Marshal(got)
			b, _ := json.Marshal(want)
			if string(a) != string(b) || h.Market != m.ID || h.Time != s.At {
				t.Fatalf("kept\n%s\nshown\n%s", a, b)
			}
		}
		first := rows
		now = now.Add(Interval) // within the minute: sums alone
		w.desk.Step()
		for i, h := range rows {
			if h.Map != nil || h.LongAtRisk != first[i].LongAtRisk || h.ShortAtRisk != first[i].ShortAtRisk || h.Time != first[i].Time+10_000 {
				t.Fatalf("sums alone: %+v", h)
			}
		}
		now = now.Add(time.Minute - Interval)
		w.desk.Step()
		if rows[0].Map == nil || rows[2].Map == nil {
			t.Fatal("a new minute has no map")
		}
	})
}

// A market without numbers has no row: nothing is made up.
func TestNoRowsWithoutNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	w.desk.o.Stats = func(id model.MarketID) (*model.Stats, model.Micros) {
		if id == 1 {
			return &model.Stats{Has: model.HasMark, Mark: num.Decimal{Mant: 5}}, 1
		}
		return nil, 0
	}
	var rows []model.Heatmap
	w.desk.o.Record = func(r []model.Heatmap) { rows = r }
	if w.desk.Step(); len(rows) != 1 || rows[0].Market != 1 || rows[0].Map.HasOpenInterest {
		t.Errorf("rows %+v", rows)
	}
}
