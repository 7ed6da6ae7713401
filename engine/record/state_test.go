package record

import (
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// family is one of the small record families, for tests that hold for all of them.
type family struct {
	name   string
	any    func(t *rapid.T) any
	encode func(dst []byte, v any) []byte
	decode func(b []byte) (any, error)
}

// of makes a family of typed functions.
func of[T any](name string, draw func(t *rapid.T) T, encode func(dst []byte, v T) []byte, decode func(b []byte) (T, error)) family {
	return family{
		name:   name,
		any:    func(t *rapid.T) any { return draw(t) },
		encode: func(dst []byte, v any) []byte { return encode(dst, v.(T)) },
		decode: func(b []byte) (any, error) { return decode(b) },
	}
}

var (
	i64 = rapid.OneOf(rapid.Int64Range(-100, 1000), rapid.Int64Range(0, 1<<50), rapid.Int64())
	u64 = rapid.OneOf(rapid.Uint64Range(0, 1000), rapid.Uint64())
)

func anyDecimal(t *rapid.T) num.Decimal {
	return num.Decimal{Mant: i64.Draw(t, "mantissa"), Scale: rapid.Uint8Max(num.MaxScale).Draw(t, "scale")}
}

func anyCandle(t *rapid.T) Candle {
	return Candle{Epoch: rapid.Uint8().Draw(t, "epoch"), Open: num.Price(i64.Draw(t, "open")), High: num.Price(i64.Draw(t, "high")),
		Low: num.Price(i64.Draw(t, "low")), Close: num.Price(i64.Draw(t, "close")), Volume: num.Size(i64.Draw(t, "volume")),
		QuoteVolume: num.USD(i64.Draw(t, "quote")), Trades: u64.Draw(t, "trades"), FirstID: u64.Draw(t, "first"), LastID: u64.Draw(t, "last")}
}

func anyStats(t *rapid.T) model.Stats {
	s := model.Stats{Has: model.StatsMask(rapid.Uint32Max(1<<statsMembers-1).Draw(t, "has")), Symbol: rapid.String().Draw(t, "symbol")}
	for bit := model.StatsMask(1); bit < 1<<statsMembers; bit <<= 1 {
		if d := statsDecimal(&s, bit); d != nil && s.Has&bit != 0 {
			*d = anyDecimal(t)
		}
	}
	if s.Has&model.HasFundingRate != 0 {
		s.FundingRate = num.Rate(i64.Draw(t, "funding"))
	}
	if s.Has&model.HasCurrentFundingRate != 0 {
		s.CurrentFundingRate = num.Rate(i64.Draw(t, "current"))
	}
	if s.Has&model.HasFundingTime != 0 {
		s.FundingTime = model.Millis(i64.Draw(t, "time"))
	}
	return s
}

func anyMarket(t *rapid.T) *model.Market {
	scale := rapid.Custom(func(t *rapid.T) model.Scale {
		return model.Scale{Price: rapid.Uint8Max(num.MaxScale).Draw(t, "price"), Size: rapid.Uint8Max(num.MaxScale).Draw(t, "size"), From: model.Millis(i64.Draw(t, "from"))}
	})
	m := &model.Market{ID: model.MarketID(rapid.Uint32().Draw(t, "id")), Native: i64.Draw(t, "native"), Symbol: rapid.String().Draw(t, "symbol"),
		Type: rapid.SampledFrom([]string{"", "perp", "spot"}).Draw(t, "type"), Active: rapid.Bool().Draw(t, "active"),
		Scales: rapid.SliceOfN(scale, 1, 5).Draw(t, "scales"), DefaultInitialMargin: rapid.Int32().Draw(t, "default margin"),
		MinInitialMargin: rapid.Int32().Draw(t, "minimum margin"), MaintenanceMargin: rapid.Int32().Draw(t, "maintenance"), CloseOutMargin: rapid.Int32().Draw(t, "close out"),
		TakerFee: rapid.String().Draw(t, "taker"), MakerFee: rapid.String().Draw(t, "maker"), LiquidationFee: rapid.String().Draw(t, "liquidation"),
		MinBaseAmount: rapid.String().Draw(t, "base"), MinQuoteAmount: rapid.String().Draw(t, "quote"), DailyQuoteVolume: num.USD(i64.Draw(t, "volume"))}
	m.Epoch = uint8(rapid.IntRange(0, len(m.Scales)-1).Draw(t, "epoch"))
	m.PriceScale, m.SizeScale = m.ScaleAt(m.Epoch)
	return m
}

var families = []family{
	of("candle", anyCandle, func(dst []byte, c Candle) []byte { return AppendCandle(dst, &c) }, DecodeCandle),
	of("stats", anyStats, func(dst []byte, s model.Stats) []byte { return AppendStats(dst, 1, &s) }, DecodeStats),
	of("market", anyMarket, AppendMarket, DecodeMarket),
	of("funding", func(t *rapid.T) model.Funding {
		return model.Funding{Rate: num.Rate(i64.Draw(t, "rate")), Value: anyDecimal(t), LongPays: rapid.Bool().Draw(t, "long pays")}
	}, func(dst []byte, f model.Funding) []byte { return AppendFunding(dst, 1, &f) }, DecodeFunding),
	of("index", func(t *rapid.T) Index {
		return Index{Rows: u64.Draw(t, "rows"), First: i64.Draw(t, "first"), Last: i64.Draw(t, "last"), LastID: u64.Draw(t, "id")}
	}, AppendIndex, DecodeIndex),
	of("interval", func(t *rapid.T) Interval { return Interval{End: model.Micros(i64.Draw(t, "end"))} }, AppendInterval, DecodeInterval),
	of("gap", func(t *rapid.T) Gap {
		return Gap{To: model.Micros(i64.Draw(t, "to")), Cause: model.Cause(rapid.Uint8().Draw(t, "cause")), Filled: rapid.Bool().Draw(t, "filled")}
	}, AppendGap, DecodeGap),
	of("exchange sums", func(t *rapid.T) ExchangeSums {
		s := ExchangeSums{Whole: rapid.Bool().Draw(t, "whole")}
		for range rapid.IntRange(0, 3).Draw(t, "markets") {
			s.Markets = append(s.Markets, MarketSums{
				Market: model.MarketID(rapid.Uint32().Draw(t, "market")), Trades: u64.Draw(t, "trades"), Quote: num.USD(i64.Draw(t, "quote")),
				TakerFee: num.USD(i64.Draw(t, "taker fee")), MakerFee: num.USD(i64.Draw(t, "maker fee")), Liquidations: u64.Draw(t, "liquidations"),
				LiquidationQuote: num.USD(i64.Draw(t, "liquidated")), OpenInterest: num.USD(i64.Draw(t, "open interest")),
				HasOpenInterest: rapid.Bool().Draw(t, "has open interest"),
			})
		}
		return s
	}, func(dst []byte, s ExchangeSums) []byte { return AppendExchangeSums(dst, &s) }, DecodeExchangeSums),
	of("account-snapshot", func(t *rapid.T) model.AccountSnapshot {
		usd := func(name string) num.USD { return num.USD(i64.Draw(t, name)) }
		return model.AccountSnapshot{Value: usd("value"), Collateral: usd("collateral"), Unrealized: usd("unrealized"), Realized: usd("realized"),
			Funding: usd("funding"), Notional: usd("notional"), Positions: rapid.Uint32().Draw(t, "positions")}
	}, func(dst []byte, s model.AccountSnapshot) []byte { return AppendAccountSnapshot(dst, &s) }, DecodeAccountSnapshot),
	of("heatmap", anyHeatmap, func(dst []byte, h model.Heatmap) []byte { return AppendHeatmap(dst, &h) }, DecodeHeatmap),
	of("account", anyAccount, func(dst []byte, a model.Account) []byte { return AppendAccount(dst, &a) }, func(b []byte) (a model.Account, err error) {
		err = DecodeAccount(b, &a)
		return a, err
	}),
	of("moment", func(t *rapid.T) model.Micros { return model.Micros(i64.Draw(t, "moment")) }, AppendMoment, DecodeMoment),
}

// anyHeatmap has no market and no time: those are in its key.
func anyHeatmap(t *rapid.T) model.Heatmap {
	usd := func(what string) num.USD { return num.USD(i64.Draw(t, what)) }
	h := model.Heatmap{Epoch: rapid.Uint8().Draw(t, "epoch"), LongAtRisk: usd("long"), ShortAtRisk: usd("short")}
	if !rapid.Bool().Draw(t, "map") {
		return h
	}
	m := &model.HeatmapMap{Mark: anyDecimal(t), LongOut: usd("long out"), ShortOut: usd("short out"), Positions: rapid.Uint32().Draw(t, "positions"),
		Tracked: num.Size(i64.Draw(t, "tracked")), HasOpenInterest: rapid.Bool().Draw(t, "has open interest")}
	if m.HasOpenInterest {
		m.OpenInterest = anyDecimal(t)
	}
	sum := func() model.HeatmapSum {
		return model.HeatmapSum{Size: num.Size(i64.Draw(t, "size")), Notional: usd("notional"), Count: rapid.Uint32Min(1).Draw(t, "count")}
	}
	for place := range uint16(model.HeatmapBuckets) {
		switch b := (model.HeatmapBucket{Place: place}); rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 1, 2, 3}).Draw(t, "sides") {
		case 1:
			b.Long = sum()
			m.Buckets = append(m.Buckets, b)
		case 2:
			b.Short = sum()
			m.Buckets = append(m.Buckets, b)
		case 3:
			b.Long, b.Short = sum(), sum()
			m.Buckets = append(m.Buckets, b)
		}
	}
	h.Map = m
	return h
}

// anyAccount has no id: that is in its key.
func anyAccount(t *rapid.T) model.Account {
	usd := func(what string) num.USD { return num.USD(i64.Draw(t, what)) }
	small := func(what string) uint8 { return rapid.Uint8().Draw(t, what) }
	a := model.Account{
		Source: model.AccountSource(small("source")), Type: small("type"), Status: small("status"), Mode: small("mode"),
		AsOf: model.Millis(i64.Draw(t, "as of")), Polled: model.Millis(i64.Draw(t, "polled")), Collateral: usd("collateral"), Available: usd("available"),
		TotalValue: usd("value"), CrossValue: usd("cross"), TotalOrders: rapid.Uint32().Draw(t, "orders"), PendingOrders: rapid.Uint32().Draw(t, "pending"),
	}
	copy(a.Address[:], rapid.SliceOfN(rapid.Byte(), 0, len(a.Address)).Draw(t, "address"))
	for range rapid.IntRange(0, 3).Draw(t, "positions") {
		p := model.Position{
			Market: model.MarketID(rapid.Uint32().Draw(t, "market")), Epoch: small("epoch"), Size: num.Size(i64.Draw(t, "size")), Entry: usd("entry"),
			Initial: rapid.Int32().Draw(t, "initial"), Isolated: rapid.Bool().Draw(t, "isolated"), Realized: usd("realised"),
			AsOf: model.Millis(i64.Draw(t, "told")), Trade: u64.Draw(t, "trade"),
		}
		if rapid.Bool().Draw(t, "polled too") {
			p.Allocated, p.FundingPaid, p.Liquidation = usd("allocated"), usd("funding"), anyDecimal(t)
			p.OpenOrders, p.Pending, p.Tied = rapid.Uint32().Draw(t, "open"), rapid.Uint32().Draw(t, "waiting"), rapid.Uint32().Draw(t, "tied")
		}
		a.Positions = append(a.Positions, p)
	}
	return a
}

func TestFamiliesRoundTrip(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := f.any(t)
				b := f.encode([]byte("before"), want)[6:]
				got, err := f.decode(b)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("got %+v, %v, want %+v", got, err, want)
				}
				// Every shorter value and every longer one is damage, and an unknown version is told apart.
				for n := range b {
					if _, err := f.decode(b[:n]); !errors.Is(err, ErrCorrupt) {
						t.Fatalf("%d of %d bytes: %v", n, len(b), err)
					}
				}
				if _, err := f.decode(append(b, 0)); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("a byte more: %v", err)
				}
				b[0]++
				if _, err := f.decode(b); !errors.Is(err, ErrVersion) {
					t.Fatalf("another version: %v", err)
				}
			})
		})
	}
}

func TestMarketMadeByHand(t *testing.T) {
	m, err := DecodeMarket(AppendMarket(nil, &model.Market{ID: 3, PriceScale: 2, SizeScale: 4}))
	if err != nil || m.PriceScale != 2 || m.SizeScale != 4 || len(m.Scales) != 1 {
		t.Fatalf("got %+v, %v", m, err)
	}
}
