package key

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrEmptyRange reports a range whose end is not after its start. The database would take it silently for nothing, so
// no constructor returns one.
var ErrEmptyRange = errors.New("empty key range")

// Range is the keys k with Start <= k < End. Ranges come from the constructors below, which see to End > Start.
type Range struct{ Start, End []byte }

// NewRange returns the range between two keys.
func NewRange(start, end []byte) (Range, error) {
	if bytes.Compare(start, end) >= 0 {
		return Range{}, fmt.Errorf("range from %x to %x: %w", start, end, ErrEmptyRange)
	}
	return Range{Start: start, End: end}, nil
}

// Contains tells whether the key lies in the range.
func (r Range) Contains(k []byte) bool {
	return bytes.Compare(r.Start, k) <= 0 && bytes.Compare(k, r.End) < 0
}

// All returns every key of a family.
func All(f Family) Range { return Range{Start: []byte{byte(f)}, End: []byte{byte(f) + 1}} }

// BucketRange returns the keys of a time-bucketed family with from <= bucket < to. Candles put the resolution before
// the bucket and have CandleBuckets instead.
func BucketRange(f Family, from, to uint32) (Range, error) {
	if f == Candles {
		return Range{}, fmt.Errorf("bucket range of candles without a resolution: %w", ErrEmptyRange)
	}
	return NewRange(appendU32([]byte{byte(f)}, from), appendU32([]byte{byte(f)}, to))
}

// CandleBuckets returns the candles of one resolution with from <= span < to.
func CandleBuckets(res Resolution, from, to uint32) (Range, error) {
	p := []byte{byte(Candles), byte(res)}
	return NewRange(appendU32(p[:2:2], from), appendU32(p[:2:2], to))
}

// IndexRange returns the index rows of a family with from <= bucket < to.
func IndexRange(f Family, from, to uint32) (Range, error) {
	p := []byte{byte(Index), byte(f)}
	return NewRange(appendU32(p[:2:2], from), appendU32(p[:2:2], to))
}

// TradeRange returns the trade blocks of one form with from <= ts < to (milliseconds), as far as they lie in the day
// of from: a longer span is read day by day.
func TradeRange(mkt uint32, form Form, from, to int64) (Range, error) {
	day := Day(from)
	return NewRange(block(nil, Trades, day, mkt, form, from), block(nil, Trades, day, mkt, form, to))
}

// BookRange returns the book blocks of one form with from <= ts < to (microseconds), as far as they lie in the day of
// from.
func BookRange(mkt uint32, form Form, from, to int64) (Range, error) {
	day := DayOfMicros(from)
	return NewRange(block(nil, Books, day, mkt, form, from), block(nil, Books, day, mkt, form, to))
}

// KeyframeRange returns the keyframes with from <= ts < to (microseconds), as far as they lie in the day of from.
func KeyframeRange(mkt uint32, from, to int64) (Range, error) {
	day := DayOfMicros(from)
	return NewRange(point(nil, Keyframes, day, mkt, from), point(nil, Keyframes, day, mkt, to))
}

// StatRange returns the statistics rows with from <= ts < to (milliseconds), as far as they lie in the day of from.
func StatRange(mkt uint32, from, to int64) (Range, error) {
	day := Day(from)
	return NewRange(point(nil, Stats, day, mkt, from), point(nil, Stats, day, mkt, to))
}

// HeatmapRange returns the heatmap rows with from <= ts < to (milliseconds), as far as they lie in the day of from.
func HeatmapRange(mkt uint32, from, to int64) (Range, error) {
	day := Day(from)
	return NewRange(point(nil, Heatmaps, day, mkt, from), point(nil, Heatmaps, day, mkt, to))
}

// FundingRange returns the funding rows with from <= ts < to (milliseconds), as far as they lie in the span of from.
func FundingRange(mkt uint32, from, to int64) (Range, error) {
	span := Span(from)
	return NewRange(point(nil, Funding, span, mkt, from), point(nil, Funding, span, mkt, to))
}

// CandleRange returns the candles with from <= ts < to (milliseconds), as far as they lie in the span of from.
func CandleRange(res Resolution, mkt uint32, from, to int64) (Range, error) {
	span := Span(from)
	return NewRange(candle(nil, res, span, mkt, from), candle(nil, res, span, mkt, to))
}

// LiquidationRange returns the liquidations of all markets with from <= ts < to (milliseconds), over any number of days:
// day and time stand first.
func LiquidationRange(from, to int64) (Range, error) {
	edge := func(ts int64) []byte {
		return appendTime(appendU32([]byte{byte(Liquidations)}, Day(ts)), ts)
	}
	return NewRange(edge(from), edge(to))
}

// GapRange returns the gaps of one kind that begin in from <= ts < to (microseconds), as far as they lie in the day of
// from.
func GapRange(mkt uint32, kind uint8, from, to int64) (Range, error) {
	edge := func(ts int64) []byte {
		dst := appendU32(appendU32([]byte{byte(Gaps)}, DayOfMicros(from)), mkt)
		return appendTime(append(dst, kind), ts)
	}
	return NewRange(edge(from), edge(to))
}

// HeldRange returns the held intervals of one market that begin in from <= start < to (microseconds).
func HeldRange(kind uint8, mkt uint32, from, to int64) (Range, error) {
	return NewRange(Held(nil, kind, mkt, from), Held(nil, kind, mkt, to))
}
