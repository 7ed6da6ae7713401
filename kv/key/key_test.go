package key

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// layout is a family's builder and parser over the same parts, in the order in which keys sort. Buckets follow from the
// time and are not parts.
type layout struct {
	family Family
	build  func(p parts) []byte
	parse  func(k []byte) (parts, error)
	bucket func(p parts) int64 // 0 where the family has none
}

// parts are what any key is made of.
type parts struct {
	Time   int64
	Market uint32
	Small  uint8 // form, kind, resolution
	ID     uint64
}

func none(parts) int64 { return 0 }

func dayOfMillis(p parts) int64 { return int64(Day(p.Time)) }

func dayOfMicros(p parts) int64 { return int64(DayOfMicros(p.Time)) }

func block2(b BlockKey, err error) (parts, error) {
	return parts{Time: b.Time, Market: b.Market, Small: uint8(b.Form)}, err
}

func point2(p PointKey, err error) (parts, error) {
	return parts{Time: p.Time, Market: p.Market}, err
}

var layouts = []layout{
	{Trades, func(p parts) []byte { return Trade(nil, p.Market, Form(p.Small%2), p.Time) },
		func(k []byte) (parts, error) { return block2(ParseTrade(k)) }, dayOfMillis},
	{Books, func(p parts) []byte { return Book(nil, p.Market, Form(p.Small%2), p.Time) },
		func(k []byte) (parts, error) { return block2(ParseBook(k)) }, dayOfMicros},
	{Keyframes, func(p parts) []byte { return Keyframe(nil, p.Market, p.Time) },
		func(k []byte) (parts, error) { return point2(ParseKeyframe(k)) }, dayOfMicros},
	{Stats, func(p parts) []byte { return Stat(nil, p.Market, p.Time) },
		func(k []byte) (parts, error) { return point2(ParseStat(k)) }, dayOfMillis},
	{Heatmaps, func(p parts) []byte { return Heatmap(nil, p.Market, p.Time) },
		func(k []byte) (parts, error) { return point2(ParseHeatmap(k)) }, dayOfMillis},
	{Funding, func(p parts) []byte { return FundingRow(nil, p.Market, p.Time) },
		func(k []byte) (parts, error) { return point2(ParseFundingRow(k)) }, func(p parts) int64 { return int64(Span(p.Time)) }},
	{Candles, func(p parts) []byte { return Candle(nil, Resolution(p.Small%6), p.Market, p.Time) },
		func(k []byte) (parts, error) {
			c, err := ParseCandle(k)
			return parts{Time: c.Time, Market: c.Market, Small: uint8(c.Resolution)}, err
		}, func(p parts) int64 { return int64(p.Small)<<32 | int64(Span(p.Time)) }},
	{ExchangeSums, func(p parts) []byte { return ExchangeSum(nil, Resolution(1+p.Small%2), p.Time) },
		func(k []byte) (parts, error) {
			e, err := ParseExchangeSum(k)
			return parts{Time: e.Time, Small: uint8(e.Resolution) - 1}, err
		}, none},
	{Liquidations, func(p parts) []byte { return Liquidation(nil, p.Time, p.Market, p.ID) },
		func(k []byte) (parts, error) {
			l, err := ParseLiquidation(k)
			return parts{Time: l.Time, Market: l.Market, ID: l.ID}, err
		}, dayOfMillis},
	{Gaps, func(p parts) []byte { return Gap(nil, p.Market, p.Small, p.Time) },
		func(k []byte) (parts, error) {
			g, err := ParseGap(k)
			return parts{Time: g.From, Market: g.Market, Small: g.Kind}, err
		}, dayOfMicros},
	{Index, func(p parts) []byte { return IndexRow(nil, Family(p.Small), uint32(p.ID), p.Market) },
		func(k []byte) (parts, error) {
			i, err := ParseIndexRow(k)
			return parts{Small: uint8(i.Family), ID: uint64(i.Bucket), Market: i.Market}, err
		}, none},
	{Coverage, func(p parts) []byte { return Held(nil, p.Small, p.Market, p.Time) },
		func(k []byte) (parts, error) {
			h, err := ParseHeld(k)
			return parts{Time: h.Start, Market: h.Market, Small: h.Kind}, err
		}, none},
	{AccountState, func(p parts) []byte { return Account(nil, p.ID) },
		func(k []byte) (parts, error) {
			id, err := ParseAccount(k)
			return parts{ID: id}, err
		}, none},
	{Addresses, func(p parts) []byte {
		var owner [AddressSize]byte
		binary.BigEndian.PutUint32(owner[:], p.Market)
		owner[AddressSize-1] = p.Small
		return Address(nil, owner, p.ID)
	},
		func(k []byte) (parts, error) {
			a, err := ParseAddress(k)
			if err == nil && slices.ContainsFunc(a.Address[4:AddressSize-1], func(b byte) bool { return b != 0 }) {
				return parts{}, errors.New("more of an address than parts have")
			}
			return parts{Market: binary.BigEndian.Uint32(a.Address[:]), Small: a.Address[AddressSize-1], ID: a.Account}, err
		}, none},
	{Markets, func(p parts) []byte { return Market(nil, p.Market) },
		func(k []byte) (parts, error) {
			m, err := ParseMarket(k)
			return parts{Market: m}, err
		}, none},
}

// canonical cuts the parts to what the family holds.
func (l *layout) canonical(t fataler, p parts) parts {
	t.Helper()
	got, err := l.parse(l.build(p))
	if err != nil {
		t.Fatalf("family %c: parse of an own key %+v: %v", l.family, p, err)
	}
	return got
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func anyParts(t *rapid.T) parts {
	return parts{
		Time:   rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, 1<<51), rapid.Int64Range(0, math.MaxInt64)).Draw(t, "time"),
		Market: rapid.OneOf(rapid.Uint32Max(3), rapid.Uint32()).Draw(t, "market"),
		Small:  rapid.OneOf(rapid.Uint8Max(2), rapid.Uint8()).Draw(t, "small"),
		ID:     uint64(rapid.Uint32().Draw(t, "id")),
	}
}

// order is how the tuples of a family sort.
func (l *layout) order(a, b parts) int {
	c := cmp.Compare(l.bucket(a), l.bucket(b))
	switch l.family {
	case Liquidations:
		return cmp.Or(c, cmp.Compare(a.Time, b.Time), cmp.Compare(a.Market, b.Market), cmp.Compare(a.ID, b.ID))
	case Index:
		return cmp.Or(cmp.Compare(a.Small, b.Small), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Market, b.Market))
	case AccountState, Addresses:
		return cmp.Or(cmp.Compare(a.Market, b.Market), cmp.Compare(a.Small, b.Small), cmp.Compare(a.ID, b.ID))
	case Coverage:
		return cmp.Or(cmp.Compare(a.Small, b.Small), cmp.Compare(a.Market, b.Market), cmp.Compare(a.Time, b.Time))
	}
	return cmp.Or(c, cmp.Compare(a.Market, b.Market), cmp.Compare(a.Small, b.Small), cmp.Compare(a.Time, b.Time))
}

func TestKeysParseAndSort(t *testing.T) {
	for _, l := range layouts {
		t.Run(string(byte(l.family)), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a, b := l.canonical(t, anyParts(t)), l.canonical(t, anyParts(t))
				ka, kb := l.build(a), l.build(b)
				if again, err := l.parse(ka); err != nil || again != a {
					t.Fatalf("%+v came back as %+v, %v", a, again, err)
				}
				if got, want := bytes.Compare(ka, kb), l.order(a, b); got != want {
					t.Fatalf("%+v and %+v: keys compare %d, tuples %d", a, b, got, want)
				}
				if !All(l.family).Contains(ka) {
					t.Fatalf("key %x is not in its family", ka)
				}
			})
		})
	}
}

func TestTimesBefore1970CountAsZero(t *testing.T) {
	if !bytes.Equal(Trade(nil, 1, Hot, -5), Trade(nil, 1, Hot, 0)) || Day(-1) != 0 || Span(math.MinInt64) != 0 {
		t.Error("a negative time made a key of its own")
	}
	if Day(math.MaxInt64) != math.MaxUint32 {
		t.Error("the last day wraps around")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, l := range layouts {
		k := l.build(parts{Time: 1_760_041_995_767_000, Market: 7})
		bad := map[string][]byte{"empty": nil, "short": k[:len(k)-1], "long": append(slices.Clone(k), 0), "another family": append([]byte{'z'}, k[1:]...)}
		if l.family != Index && l.family != Coverage && l.family != Markets && l.family != ExchangeSums && l.family != AccountState && l.family != Addresses {
			other := slices.Clone(k)
			other[bucketAt(l.family)+3]++
			bad["bucket of another time"] = other
		}
		for what, k := range bad {
			if _, err := l.parse(k); !errors.Is(err, ErrMalformed) {
				t.Errorf("family %c, %s: %v", l.family, what, err)
			}
		}
	}
	for what, k := range map[string][]byte{
		"form":       block(nil, Trades, 0, 1, 2, 5),
		"resolution": candle(nil, 6, 0, 1, 5),
		"time":       append(point(nil, Stats, math.MaxUint32, 1, 0)[:9], 0xff, 0, 0, 0, 0, 0, 0, 0),
	} {
		_, t1 := ParseTrade(k)
		_, t2 := ParseCandle(k)
		_, t3 := ParseStat(k)
		if t1 == nil || t2 == nil || t3 == nil {
			t.Errorf("a key with an impossible %s was taken", what)
		}
	}
	if _, err := ParseMeta([]byte("x")); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if name, err := ParseMeta(MetaRow(nil, "format")); err != nil || name != "format" {
		t.Error(name, err)
	}
}

func bucketAt(f Family) int {
	if f == Candles {
		return 2
	}
	return 1
}

// A range of a market holds exactly the keys of that market, form and time, as far as they lie in the first bucket.
func TestRanges(t *testing.T) {
	ranges := map[Family]func(mkt uint32, small uint8, from, to int64) (Range, error){
		Trades:       func(m uint32, s uint8, a, b int64) (Range, error) { return TradeRange(m, Form(s%2), a, b) },
		Books:        func(m uint32, s uint8, a, b int64) (Range, error) { return BookRange(m, Form(s%2), a, b) },
		Keyframes:    func(m uint32, _ uint8, a, b int64) (Range, error) { return KeyframeRange(m, a, b) },
		Stats:        func(m uint32, _ uint8, a, b int64) (Range, error) { return StatRange(m, a, b) },
		Heatmaps:     func(m uint32, _ uint8, a, b int64) (Range, error) { return HeatmapRange(m, a, b) },
		Funding:      func(m uint32, _ uint8, a, b int64) (Range, error) { return FundingRange(m, a, b) },
		Candles:      func(m uint32, s uint8, a, b int64) (Range, error) { return CandleRange(Resolution(s%6), m, a, b) },
		Gaps:         func(m uint32, s uint8, a, b int64) (Range, error) { return GapRange(m, s, a, b) },
		Coverage:     func(m uint32, s uint8, a, b int64) (Range, error) { return HeldRange(s, m, a, b) },
		ExchangeSums: func(_ uint32, s uint8, a, b int64) (Range, error) { return ExchangeSumRange(Resolution(1+s%2), a, b) },
	}
	near := rapid.OneOf(rapid.Int64Range(0, 40), rapid.Int64Range(DayMillis-20, DayMillis+20), rapid.Int64Range(DayMicros-20, DayMicros+20), rapid.Int64Range(SpanMillis-20, SpanMillis+20))
	for _, l := range layouts {
		make := ranges[l.family]
		if make == nil {
			continue
		}
		t.Run(string(byte(l.family)), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				p := l.canonical(t, parts{Time: near.Draw(t, "time"), Market: rapid.Uint32Max(2).Draw(t, "market"), Small: rapid.Uint8Max(2).Draw(t, "small")})
				q := l.canonical(t, parts{Time: near.Draw(t, "from"), Market: rapid.Uint32Max(2).Draw(t, "wanted market"), Small: rapid.Uint8Max(2).Draw(t, "wanted small")})
				from, to := q.Time, near.Draw(t, "to")
				r, err := make(q.Market, q.Small, from, to)
				if from >= to {
					if !errors.Is(err, ErrEmptyRange) {
						t.Fatalf("empty range: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				want := p.Market == q.Market && p.Small == q.Small && from <= p.Time && p.Time < to && l.bucket(p) == l.bucket(q)
				if got := r.Contains(l.build(p)); got != want {
					t.Fatalf("range of %+v to %d contains %+v: %v", q, to, p, got)
				}
			})
		})
	}
}

func TestBucketRanges(t *testing.T) {
	r, err := BucketRange(Trades, 2, 4)
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[int64]bool{1: false, 2: true, 3: true, 4: false} {
		if r.Contains(Trade(nil, math.MaxUint32, Sealed, day*DayMillis)) != want {
			t.Errorf("day %d", day)
		}
	}
	if _, err := BucketRange(Trades, 4, 4); !errors.Is(err, ErrEmptyRange) {
		t.Error(err)
	}
	if _, err := BucketRange(Candles, 0, 4); err == nil {
		t.Error("candles without a resolution")
	}
	c, err := CandleBuckets(Hour, 0, 1)
	if err != nil || !c.Contains(Candle(nil, Hour, 9, SpanMillis-1)) || c.Contains(Candle(nil, Hour, 9, SpanMillis)) || c.Contains(Candle(nil, Minute, 9, 0)) {
		t.Error("candles of a span", err)
	}
	i, err := IndexRange(Trades, 0, 3)
	if err != nil || !i.Contains(IndexRow(nil, Trades, 2, 5)) || i.Contains(IndexRow(nil, Books, 2, 5)) || i.Contains(IndexRow(nil, Trades, 3, 0)) {
		t.Error("index rows", err)
	}
	l, err := LiquidationRange(DayMillis-1, 3*DayMillis)
	if err != nil || !l.Contains(Liquidation(nil, 2*DayMillis, 1, 1)) || l.Contains(Liquidation(nil, 3*DayMillis, 0, 0)) {
		t.Error("liquidations over days", err)
	}
}

// No two families share a byte, and builders never write into the memory of the key they were given.
func TestFamiliesAndMemory(t *testing.T) {
	all := []Family{Trades, Keyframes, Books, Candles, Funding, Liquidations, Stats, Gaps, Heatmaps, AccountSnapshots, Fills, Usage, RateWindows,
		Idempotency, DeliveryLog, DeliveryQueue, AccountState, Addresses, Users, Emails, APIKeys, KeyHashes, MonthTotals, Signals, SignalStates,
		Exports, Index, Coverage, Markets, BillingEvents, Meta, ExchangeSums}
	seen := map[Family]bool{}
	for _, f := range all {
		if seen[f] {
			t.Errorf("family %c is there twice", f)
		}
		seen[f] = true
	}
	dst := append(make([]byte, 0, 64), "prefix"...)
	k := Trade(dst, 1, Hot, 5)
	if string(k[:6]) != "prefix" || !bytes.Equal(k[6:], Trade(nil, 1, Hot, 5)) {
		t.Errorf("appended key is %q", k)
	}
	if DayStart(Day(5*DayMillis+3)) != 5*DayMillis || SpanStart(Span(SpanMillis)) != SpanMillis || Hour.Millis() != 3_600_000 {
		t.Error("bucket starts")
	}
}

func FuzzParse(f *testing.F) {
	for _, l := range layouts {
		f.Add(l.build(parts{Time: 1_760_041_995_767, Market: 24, Small: 1, ID: 9}))
	}
	f.Fuzz(func(t *testing.T, k []byte) {
		for _, l := range layouts {
			p, err := l.parse(k)
			if err != nil {
				continue
			}
			if got := l.build(p); !reflect.DeepEqual(got, k) {
				t.Fatalf("family %c: %x parses to %+v, which builds %x", l.family, k, p, got)
			}
		}
	})
}
