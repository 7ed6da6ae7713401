package risk

import (
	"hyperlight/engine/num"
)

// HeatmapQuery says what a heatmap shows. Percentages are decimals as the caller gave them.
type HeatmapQuery struct {
	RangePct  num.Decimal // distance from the mark on both sides, above 0 and at most 90
	Buckets   int         // equal widths over the whole range
	AtRiskPct num.Decimal // above 0 and at most 50
}

// Heatmap is a market's forced closes by price. Buckets are ascending and cover the range.
type Heatmap struct {
	Mark              int64 // as all prices here at PriceScale
	Width             int64 // of a bucket, rounded; the edges themselves are exact to PriceScale
	Buckets           []Bucket
	LongAtRisk        num.USD // longs whose price lies from AtRiskPct below the mark up to it
	ShortAtRisk       num.USD
	LongOut, ShortOut num.USD // outside of the range
	Positions         int     // of the whole map
}

// Bucket is one range of prices of a heatmap: Low <= price < High.
type Bucket struct {
	Low, High, Middle int64
	Long, Short       Sum
	// What has been closed by force once the price has come from the mark to this bucket, the bucket included: longs below
	// the mark, shorts above it.
	CumulativeLong, CumulativeShort num.USD
}

// Heatmap computes a heatmap around a mark price at PriceScale, which must be above zero.
func (m *Map) Heatmap(mark int64, q HeatmapQuery) (*Heatmap, error) {
	low, high, err := around(mark, q.RangePct)
	if err != nil {
		return nil, err
	}
	h := &Heatmap{Mark: mark, Buckets: make([]Bucket, q.Buckets)}
	n := int64(q.Buckets)
	edge := func(i int64, of int64) (int64, error) {
		var a num.Acc
		a.AddProduct(low, of-i)
		a.AddProduct(high, i)
		return a.DivRound(of, 0, 0)
	}
	var width num.Acc
	width.AddProduct(high-low, 1)
	if h.Width, err = width.DivRound(n, 0, 0); err != nil {
		return nil, err
	}
	for i := range h.Buckets {
		b := &h.Buckets[i]
		if b.Low, err = edge(int64(i), n); err != nil {
			return nil, err
		}
		if b.High, err = edge(int64(i)+1, n); err != nil {
			return nil, err
		}
		if b.Middle, err = edge(2*int64(i)+1, 2*n); err != nil {
			return nil, err
		}
		b.Long, b.Short = m.long.between(b.Low, b.High), m.short.between(b.Low, b.High)
	}
	h.Accumulate()
	long, short := m.Total()
	h.Positions = long.Count + short.Count
	h.LongOut = long.Notional - m.long.between(low, high).Notional
	h.ShortOut = short.Notional - m.short.between(low, high).Notional

	lower, upper, err := around(mark, q.AtRiskPct)
	if err != nil {
		return nil, err
	}
	h.LongAtRisk = m.long.between(lower, mark+1).Notional
	h.ShortAtRisk = m.short.between(mark, upper+1).Notional
	return h, nil
}

// Accumulate sets the cumulative sums of the buckets: it adds from the mark outward, and the bucket that the mark lies
// inside belongs to both ways.
func (h *Heatmap) Accumulate() {
	var sum num.USD
	for i := len(h.Buckets) - 1; i >= 0; i-- {
		if b := &h.Buckets[i]; b.Low < h.Mark {
			sum += b.Long.Notional
			b.CumulativeLong = sum
		}
	}
	sum = 0
	for i := range h.Buckets {
		if b := &h.Buckets[i]; b.High > h.Mark {
			sum += b.Short.Notional
			b.CumulativeShort = sum
		}
	}
}

// around returns mark x (1 - pct/100) and mark x (1 + pct/100), rounded half-even.
func around(mark int64, pct num.Decimal) (low, high int64, err error) {
	var a num.Acc
	a.AddProduct(mark, pct.Mant)
	off, err := a.Round(pct.Scale+2, 0)
	return mark - off, mark + off, err
}
