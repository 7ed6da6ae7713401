package record

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenTrades has, in three rows, every member of a trade, every kind of hash, and a row that is all zero but its id.
func goldenTrades() []model.Trade {
	return []model.Trade{{
		ID: 212746637, Time: 1760041995767, Recv: 1760041996606618, Epoch: 1, Price: 433251, Size: 2060, USD: 892497060,
		AskOrder: 281475209787857, BidOrder: 562949723769867, AskAccount: 53925, BidAccount: 281474976659201, Block: 60924297,
		TxHash:      "000000030f14467400000199caad8df7000000000000000000000000000000000000000000000000",
		TakerBefore: model.PositionBefore{Known: true, Size: -2940, EntryQuote: 1273760880, InitialMargin: 666}, MakerFee: 20,
		MakerBefore: model.PositionBefore{Known: true, Size: -1368037, EntryQuote: 589936577683, InitialMargin: 200},
	}, {
		ID: 212746638, Time: 1760041995767, Recv: 1760041996606618, Epoch: 1, Kind: model.KindLiquidation, MakerAsk: true,
		Price: 433252, Size: 100, USD: 43325201, AskOrder: 281475209787999, BidOrder: 562949723769001, AskAccount: 114482,
		BidAccount: 53925, Block: 60924297, TxHash: "d3ab226dfe62e352a7a0f4d5a961c32e3a792cc8104f21d879eb52fb80e943f74661ad9d35bb4472",
		TransactionTime: 1760041995765123, AskClient: 77, BidClient: 5, TakerFee: 10000, MakerFee: 28, TakerSignChanged: true,
		MakerSignChanged: true, HasClients: true, Extra: `"ask_account_pnl":"-12.5"`,
	}, {ID: 212746640, Epoch: 1}}
}

func goldenBook() (*Keyframe, []BookRow) {
	k := &Keyframe{Meta: book.Meta{Seq: 10317430588, Offset: 25108102, Time: 1776613884599, Recv: 1776613884612000, UpdatedAt: 1776613884508897, Epoch: 1, Chained: true},
		Bids: []model.Level{{Price: 433524, Size: 1141}, {Price: 433520, Size: 7}}, Asks: []model.Level{{Price: 433570, Size: 1999}}}
	return k, []BookRow{
		{Epoch: 1, Time: 1776613884827, Recv: 1776613884831777, Update: model.BookUpdate{Prev: 10317430588, Seq: 10317430812, Offset: 25108103,
			UpdatedAt: 1776613884789493, Chained: true, Asks: []model.Level{{Price: 433571}, {Price: 433836, Size: 3114}}}},
		{Epoch: 1, Time: 1776613884869, Recv: 1776613884870001, Update: model.BookUpdate{Prev: 10317430812, Seq: 10317430895, Offset: 25108105,
			UpdatedAt: 1776613884812918, Chained: true, Bids: []model.Level{{Price: 433526, Size: 1153}, {Price: 433524}}}},
		{Epoch: 1, Recv: 1776613884900002, Update: model.BookUpdate{Snapshot: true, Prev: 9, Seq: 10, Offset: 10, Bids: []model.Level{{Price: 1, Size: 2}}}},
	}
}

// goldenAccount has every member, and a position that only trades told.
func goldenAccount() model.Account {
	return model.Account{
		Source: model.SourceBoth, Type: 1, Status: 1, Mode: 1, Address: model.Address{0xde, 0xad, 19: 0xef}, AsOf: 1785027657554, Polled: 1785027650000,
		Collateral: 9100242706, Available: 5000000, TotalValue: 15298072264, CrossValue: 15298072000, TotalOrders: 7, PendingOrders: 2,
		Positions: []model.Position{
			{Market: 0, Epoch: 1, Size: 180193, Entry: 48108736511, Initial: 500, Realized: -12500000, AsOf: 1785027657554, Trade: 26101748593},
			{Market: 24, Size: -302, Entry: 13083, Initial: 2000, Isolated: true, Allocated: 2616, Realized: 5, FundingPaid: -3,
				Liquidation: num.Decimal{Mant: 21911107, Scale: 4}, OpenOrders: 3, Pending: 1, Tied: 2, AsOf: 1785027650000},
		},
	}
}

// regularTrades and regularRows are long enough to be compressed.
func regularTrades() (rows []model.Trade) {
	for i := range 200 {
		rows = append(rows, model.Trade{ID: uint64(1000 + 3*i), Time: model.Millis(1760041995767 + 250*i), Recv: model.Micros(1760041995790000 + 250000*i),
			Epoch: 1, MakerAsk: i%3 == 0, Price: num.Price(433251 + i%7), Size: num.Size(100 * (i%5 + 1)), USD: num.USD((433251 + i%7) * 100 * (i%5 + 1)),
			AskOrder: uint64(5000 + 2*i), BidOrder: uint64(9000 - 3*i), AskAccount: model.AccountID(i % 11), BidAccount: model.AccountID(i % 13), Block: uint64(77 + i/4),
			TxHash: fmt.Sprintf("%016x%016x%048d", 13137888884+i, 1760041995767+250*i, 0)})
	}
	return rows
}

func regularRows() (rows []BookRow) {
	k, _ := goldenBook()
	for i := range 200 {
		rows = append(rows, BookRow{Epoch: 1, Time: k.Time + model.Millis(50*i), Recv: k.Recv + model.Micros(50000*i), Update: model.BookUpdate{
			Prev: k.Seq + uint64(100*i), Seq: k.Seq + uint64(100*i+100), Offset: k.Offset + uint64(i+1), UpdatedAt: k.UpdatedAt + model.Micros(50000*i), Chained: true,
			Bids: []model.Level{{Price: num.Price(433524 - i%9), Size: num.Size(i % 4 * 100)}}, Asks: []model.Level{{Price: num.Price(433570 + i%6), Size: num.Size(i % 3 * 70)}}}})
	}
	return rows
}

// golden is a value whose bytes are kept.
type golden struct {
	name   string
	value  any
	encode func() []byte
	decode func(b []byte) (any, error)
	// packed says that the bytes hold compressed sections, which another version of the compressor may write otherwise:
	// only decoding is held fast.
	packed bool
}

// small makes a golden value of one of the small families.
func small(name string, value any) golden {
	for _, f := range families {
		if strings.HasPrefix(name, f.name) {
			return golden{name, value, func() []byte { return f.encode(nil, value) }, f.decode, false}
		}
	}
	panic(name)
}

func decodeBook(b []byte) (any, error) {
	var c BookCursor
	if err := c.Open(b); err != nil {
		return nil, err
	}
	var rows []BookRow
	for c.Next() {
		r := *c.Row()
		r.Update.Bids = append([]model.Level(nil), r.Update.Bids...)
		r.Update.Asks = append([]model.Level(nil), r.Update.Asks...)
		rows = append(rows, r)
	}
	return bookValue{c.Keyframe(), rows}, c.Err()
}

type bookValue struct {
	Keyframe *Keyframe
	Rows     []BookRow
}

func sealRows(k *Keyframe, rows []BookRow) []byte {
	var s BookSegment
	s.Begin(k)
	for i := range rows {
		s.AddRow(&rows[i])
	}
	return s.Finish(nil)
}

func goldens() []golden {
	k, rows := goldenBook()
	decodeTrades := func(b []byte) (any, error) { return DecodeTrades(nil, b, All) }
	return []golden{
		{"trades-hot-v1", goldenTrades(), func() []byte { return AppendTradeBlock(nil, 1, goldenTrades()) }, decodeTrades, false},
		{"trades-sealed-v1", goldenTrades(), func() []byte { return AppendTradeSegment(nil, 1, goldenTrades()) }, decodeTrades, false},
		{"trades-sealed-packed-v1", regularTrades(), func() []byte { return AppendTradeSegment(nil, 1, regularTrades()) }, decodeTrades, true},
		{"book-hot-v1", bookValue{nil, rows}, func() []byte {
			var b BookBlock
			b.Reset(1)
			for i := range rows {
				b.Add(&rows[i].Update, rows[i].Time, rows[i].Recv)
			}
			return b.Bytes()
		}, decodeBook, false},
		{"book-sealed-v1", bookValue{k, rows}, func() []byte { return sealRows(k, rows) }, decodeBook, false},
		{"book-sealed-packed-v1", bookValue{k, regularRows()}, func() []byte { return sealRows(k, regularRows()) }, decodeBook, true},
		{"keyframe-v1", k, func() []byte { return k.Append(nil) }, func(b []byte) (any, error) { return DecodeKeyframe(b) }, false},
		small("candle-v1", Candle{Epoch: 1, Open: 433251, High: 433300, Low: 433200, Close: 433210, Volume: 1234567, QuoteVolume: 5348123456789,
			Trades: 42, FirstID: 212746637, LastID: 212746999}),
		small("stats-v1", model.Stats{Has: model.HasMark | model.HasIndex | model.HasOpenInterest | model.HasFundingRate | model.HasFundingTime | model.HasDailyChange,
			Mark: num.Decimal{Mant: 21071, Scale: 5}, Index: num.Decimal{Mant: 21073, Scale: 5}, OpenInterest: num.Decimal{Mant: 1191756606461, Scale: 6},
			FundingRate: 12000000, FundingTime: 1760040000002, DailyChange: num.Decimal{Mant: -4196, Scale: 3}, Symbol: "ASTER"}),
		small("funding-v1", model.Funding{Rate: 12000000, Value: num.Decimal{Mant: 123, Scale: 4}, LongPays: true}),
		small("market-v1", &model.Market{ID: 24, Native: 24, Symbol: "HYPE", Type: "perp", Active: true, PriceScale: 4, SizeScale: 2, Epoch: 1,
			Scales: []model.Scale{{Price: 3, Size: 2}, {Price: 4, Size: 2, From: 1760000000000}}, DefaultInitialMargin: 500, MinInitialMargin: 200,
			MaintenanceMargin: 120, CloseOutMargin: 80, TakerFee: "0.0000", MakerFee: "0.0000", LiquidationFee: "1.0000", MinBaseAmount: "0.50",
			MinQuoteAmount: "10.000000", DailyQuoteVolume: 8184378409738}),
		small("index-v1", Index{Rows: 4096, First: 1760041995767, Last: 1760042016232, LastID: 212747579}),
		small("account-v1", goldenAccount()),
		small("account-seen-v1", model.Account{}),
		{"postings-hot-v1", goldenPostings(3), func() []byte { return AppendPostings(nil, goldenPostings(3), false) }, decodeGoldenPostings, false},
		{"postings-sealed-v1", goldenPostings(60), func() []byte { return AppendPostings(nil, goldenPostings(60), true) }, decodeGoldenPostings, true},
		small("account-snapshot-v1", model.AccountSnapshot{Value: 46_620_000_000, Collateral: 46_342_000_000, Unrealized: 278_426_504,
			Realized: -2_000_000, Funding: 34_200_000, Notional: 11_456_360_000, Positions: 3}),
		small("heatmap-sums-v1", model.Heatmap{Epoch: 1, LongAtRisk: 250_000_000_000, ShortAtRisk: 90_000_000_000}),
		small("heatmap-v1", model.Heatmap{Epoch: 1, LongAtRisk: 250_000_000_000, Map: &model.HeatmapMap{
			Mark: num.Decimal{Mant: 320000, Scale: 2}, LongOut: 99_000_000_000, ShortOut: 10_000_000_000, Positions: 410, Tracked: 1505000,
			OpenInterest: num.Decimal{Mant: 752800_000000, Scale: 6}, HasOpenInterest: true, Buckets: []model.HeatmapBucket{
				{Place: 0, Long: model.HeatmapSum{Size: 125000, Notional: 32_080_000_000, Count: 3}},
				{Place: 49, Long: model.HeatmapSum{Size: 1, Notional: 1, Count: 1}, Short: model.HeatmapSum{Size: 2, Notional: 2, Count: 2}},
				{Place: 99, Short: model.HeatmapSum{Size: 5000, Notional: 1_900_000_000, Count: 1}},
			}}}),
		small("interval-open-v1", Interval{}),
		small("interval-v1", Interval{End: 1760042016232000}),
		small("gap-v1", Gap{To: 1760042016232000, Cause: model.CauseNonce, Filled: true}),
		small("moment-v1", model.Micros(1760042016232000)),
	}
}

func decodeGoldenPostings(b []byte) (any, error) { return DecodePostings(nil, b) }

// Stored bytes never change their meaning: each version of each record decodes to this value for ever, and the current
// version encodes to exactly these bytes.
func TestGolden(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "golden", "record")
	for _, g := range goldens() {
		t.Run(g.name, func(t *testing.T) {
			file := filepath.Join(dir, g.name+".hex")
			if *update {
				if err := os.WriteFile(file, []byte(dump(g.encode())), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
			if err != nil {
				t.Fatal(err)
			}
			if got := g.encode(); !g.packed && string(got) != string(want) {
				t.Errorf("encodes to\n%swant\n%s", dump(got), dump(want))
			}
			if v, err := g.decode(g.encode()); err != nil || !reflect.DeepEqual(v, g.value) {
				t.Errorf("its own bytes decode to\n%+v, %v, want\n%+v", v, err, g.value)
			}
			v, err := g.decode(want)
			if err != nil || !reflect.DeepEqual(v, g.value) {
				t.Errorf("decodes to\n%+v, %v, want\n%+v", v, err, g.value)
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.hex"))
	if err != nil || len(files) != len(goldens()) {
		t.Errorf("%d golden files for %d values, %v", len(files), len(goldens()), err)
	}
}

// dump writes bytes as hex, 32 a line.
func dump(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(32, len(b))
		fmt.Fprintf(&s, "%x\n", b[:n])
		b = b[n:]
	}
	return s.String()
}
