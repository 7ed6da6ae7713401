package exposure

import (
	"cmp"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// AtRisk returns the notional of the longs and of the shorts that are at risk with the default parameters; false where
// that cannot be computed.
func (m *Market) AtRisk() (long, short num.USD, ok bool) {
	if m.standard == nil {
		return 0, 0, false
	}
	return m.standard.LongAtRisk, m.standard.ShortAtRisk, true
}

// mapEvery is how often the maps are kept beside the sums.
const mapEvery = 60_000

// rows returns what is kept of a snapshot: a row for each market whose numbers could be computed, by market, and in the
// first one of each minute its map.
func (d *Desk) rows(s *Snapshot) []model.Heatmap {
	rows := make([]model.Heatmap, 0, len(s.markets))
	for id, m := range s.markets {
		long, short, ok := m.AtRisk()
		if !ok {
			continue
		}
		h := model.Heatmap{Market: id, Time: m.At, Epoch: m.Info.Epoch, LongAtRisk: long, ShortAtRisk: short}
		if minute := m.At / mapEvery; d.mapped[id] != minute {
			d.mapped[id] = minute
			h.Map = m.keptMap()
		}
		rows = append(rows, h)
	}
	slices.SortFunc(rows, func(a, b model.Heatmap) int { return cmp.Compare(a.Market, b.Market) })
	return rows
}

func (m *Market) keptMap() *model.HeatmapMap {
	h := m.standard
	k := &model.HeatmapMap{
		Mark: m.Mark, LongOut: h.LongOut, ShortOut: h.ShortOut, Positions: uint32(h.Positions), Tracked: m.Tracked,
		HasOpenInterest: m.HasOpenInterest,
	}
	if m.HasOpenInterest {
		k.OpenInterest = m.OpenInterest
	}
	for i := range h.Buckets {
		if b := &h.Buckets[i]; b.Long != (risk.Sum{}) || b.Short != (risk.Sum{}) {
			k.Buckets = append(k.Buckets, model.HeatmapBucket{Place: uint16(i), Long: keptSum(&b.Long), Short: keptSum(&b.Short)})
		}
	}
	return k
}

func keptSum(s *risk.Sum) model.HeatmapSum {
	return model.HeatmapSum{Size: num.Size(s.Size), Notional: s.Notional, Count: uint32(s.Count)}
}

// AppendKept appends a kept heatmap, which must have its map, as AppendHeatmap wrote the one it was kept of. info is the
// market that it is of.
func AppendKept(dst []byte, info *model.Market, k *model.Heatmap) ([]byte, error) {
	then := *info
	then.PriceScale, then.SizeScale = info.ScaleAt(k.Epoch)
	m := &Market{
		Info: &then, Mark: k.Map.Mark, Tracked: k.Map.Tracked, OpenInterest: k.Map.OpenInterest, HasOpenInterest: k.Map.HasOpenInterest,
		At: k.Time, Map: risk.NewMap(then.SizeScale, nil),
	}
	h, err := m.heatmap(Defaults) // empty: where the buckets lie
	if err != nil {
		return dst, err
	}
	for i := range k.Map.Buckets {
		b := &k.Map.Buckets[i]
		h.Buckets[b.Place].Long, h.Buckets[b.Place].Short = sumOf(&b.Long), sumOf(&b.Short)
	}
	h.Accumulate()
	h.LongAtRisk, h.ShortAtRisk, h.LongOut, h.ShortOut = k.LongAtRisk, k.ShortAtRisk, k.Map.LongOut, k.Map.ShortOut
	h.Positions = int(k.Map.Positions)
	return m.appendHeatmap(dst, h, Defaults), nil
}

func sumOf(s *model.HeatmapSum) risk.Sum {
	return risk.Sum{Size: int64(s.Size), Notional: s.Notional, Count: int(s.Count)}
}
