package key

import (
	"encoding/binary"
	"fmt"
	"math"
)

// BlockKey is what the key of a trade or book block says; Time is in milliseconds for trades, in microseconds for books.
type BlockKey struct {
	Market uint32
	Form   Form
	Time   int64
}

// PointKey is what the key of a keyframe (Time in microseconds), of a row of statistics, funding or a heatmap (milliseconds)
// says.
type PointKey struct {
	Market uint32
	Time   int64
}

// CandleKey is what the key of a candle says; Time is its opening in milliseconds.
type CandleKey struct {
	Resolution Resolution
	Market     uint32
	Time       int64
}

// LiquidationKey is what the key of a liquidation says; Time is in milliseconds.
type LiquidationKey struct {
	Time   int64
	Market uint32
	ID     uint64
}

// GapKey is what the key of a gap says; From is in microseconds.
type GapKey struct {
	Market uint32
	Kind   uint8
	From   int64
}

// IndexKey is what the key of an index row says.
type IndexKey struct {
	Family         Family
	Bucket, Market uint32
}

// HeldKey is what the key of a held interval says; Start is in microseconds.
type HeldKey struct {
	Kind   uint8
	Market uint32
	Start  int64
}

// reader takes a key apart; the first fault sticks.
type reader struct {
	b   []byte
	bad bool
}

func open(k []byte, f Family, length int) reader {
	if len(k) != length || Family(k[0]) != f {
		return reader{bad: true}
	}
	return reader{b: k[1:]}
}

func (r *reader) u8() uint8 {
	if r.bad {
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u32() uint32 {
	if r.bad {
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) u64() uint64 {
	if r.bad {
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) time() int64 {
	v := r.u64()
	r.bad = r.bad || v > math.MaxInt64
	return int64(v)
}

// err checks the bucket as well: a key whose bucket does not follow from its time was never written by this package.
func (r *reader) err(f Family, bucket, want uint32) error {
	if r.bad || bucket != want {
		return fmt.Errorf("parse key of family %c: %w", byte(f), ErrMalformed)
	}
	return nil
}

// ParseTrade takes the key of a trade block apart.
func ParseTrade(k []byte) (BlockKey, error) {
	b, day, r := parseBlock(k, Trades)
	return b, r.err(Trades, day, Day(b.Time))
}

// ParseBook takes the key of a book block apart.
func ParseBook(k []byte) (BlockKey, error) {
	b, day, r := parseBlock(k, Books)
	return b, r.err(Books, day, DayOfMicros(b.Time))
}

func parseBlock(k []byte, f Family) (b BlockKey, day uint32, r reader) {
	r = open(k, f, 18)
	day = r.u32()
	b.Market = r.u32()
	b.Form = Form(r.u8())
	r.bad = r.bad || b.Form > Sealed
	b.Time = r.time()
	return b, day, r
}

// ParseKeyframe takes the key of a keyframe apart.
func ParseKeyframe(k []byte) (PointKey, error) {
	p, day, r := parsePoint(k, Keyframes)
	return p, r.err(Keyframes, day, DayOfMicros(p.Time))
}

// ParseStat takes the key of a row of market statistics apart.
func ParseStat(k []byte) (PointKey, error) {
	p, day, r := parsePoint(k, Stats)
	return p, r.err(Stats, day, Day(p.Time))
}

// ParseHeatmap takes the key of a row of a market's heatmap apart.
func ParseHeatmap(k []byte) (PointKey, error) {
	p, day, r := parsePoint(k, Heatmaps)
	return p, r.err(Heatmaps, day, Day(p.Time))
}

// ParseFundingRow takes the key of a funding row apart.
func ParseFundingRow(k []byte) (PointKey, error) {
	p, span, r := parsePoint(k, Funding)
	return p, r.err(Funding, span, Span(p.Time))
}

func parsePoint(k []byte, f Family) (p PointKey, bucket uint32, r reader) {
	r = open(k, f, 17)
	bucket = r.u32()
	p.Market = r.u32()
	p.Time = r.time()
	return p, bucket, r
}

// ParseCandle takes the key of a candle apart.
func ParseCandle(k []byte) (CandleKey, error) {
	r := open(k, Candles, 18)
	c := CandleKey{Resolution: Resolution(r.u8())}
	r.bad = r.bad || c.Resolution > GivenDaily
	span := r.u32()
	c.Market = r.u32()
	c.Time = r.time()
	return c, r.err(Candles, span, Span(c.Time))
}

// ParseLiquidation takes the key of a liquidation apart.
func ParseLiquidation(k []byte) (LiquidationKey, error) {
	r := open(k, Liquidations, 25)
	day := r.u32()
	l := LiquidationKey{Time: r.time(), Market: r.u32(), ID: r.u64()}
	return l, r.err(Liquidations, day, Day(l.Time))
}

// ParseGap takes the key of a gap apart.
func ParseGap(k []byte) (GapKey, error) {
	r := open(k, Gaps, 18)
	day := r.u32()
	g := GapKey{Market: r.u32(), Kind: r.u8(), From: r.time()}
	return g, r.err(Gaps, day, DayOfMicros(g.From))
}

// ParseIndexRow takes the key of an index row apart.
func ParseIndexRow(k []byte) (IndexKey, error) {
	r := open(k, Index, 10)
	i := IndexKey{Family: Family(r.u8()), Bucket: r.u32(), Market: r.u32()}
	return i, r.err(Index, 0, 0)
}

// ParseHeld takes the key of a held interval apart.
func ParseHeld(k []byte) (HeldKey, error) {
	r := open(k, Coverage, 14)
	h := HeldKey{Kind: r.u8(), Market: r.u32(), Start: r.time()}
	return h, r.err(Coverage, 0, 0)
}

// ParseMarket takes the key of a market's metadata apart.
func ParseMarket(k []byte) (uint32, error) {
	r := open(k, Markets, 5)
	return r.u32(), r.err(Markets, 0, 0)
}

// ParseMeta takes the key of a row about the store itself apart.
func ParseMeta(k []byte) (string, error) {
	if len(k) == 0 || Family(k[0]) != Meta {
		return "", fmt.Errorf("parse key of family %c: %w", byte(Meta), ErrMalformed)
	}
	return string(k[1:]), nil
}
