package model

import "hyperlight/engine/num"

// Heatmap is what is kept of a market's heatmap of forced closes, made with the contract's default parameters: 100 buckets
// within 20 per cent of the mark price, at risk within 5.
type Heatmap struct {
	Market MarketID
	Time   Millis // when it was computed, on our clock
	Epoch  uint8  // the scale epoch of the sizes
	// Longs whose liquidation price lies from 5 per cent below the mark up to it, shorts the other way; quote money.
	LongAtRisk, ShortAtRisk num.USD
	Map                     *HeatmapMap // nil: only the two sums were kept
}

// HeatmapMap is the rest of a heatmap, kept once a minute.
type HeatmapMap struct {
	Mark              num.Decimal
	LongOut, ShortOut num.USD // beyond the buckets
	Positions         uint32
	Tracked           num.Size // open long positions of the known accounts
	OpenInterest      num.Decimal
	HasOpenInterest   bool
	Buckets           []HeatmapBucket // those that are not empty, ascending
}

// HeatmapBucket is what lies in one bucket.
type HeatmapBucket struct {
	Place       uint16 // counted from the lowest price
	Long, Short HeatmapSum
}

// HeatmapSum is the total of some positions.
type HeatmapSum struct {
	Size     num.Size
	Notional num.USD
	Count    uint32
}

// HeatmapBuckets is the number of buckets of a kept heatmap.
const HeatmapBuckets = 100
