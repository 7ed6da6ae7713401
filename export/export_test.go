package export

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"pgregory.net/rapid"

	"hyperlight/engine/archive"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const day = 1_767_225_600_000 // 2026-01-01

func write[T Row[T]](t testing.TB, f Footer, rows []T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter[T](&out, f)
	for len(rows) > 0 { // in uneven parts
		n := min(len(rows), 777)
		if err := w.Write(rows[:n]); err != nil {
			t.Fatal(err)
		}
		rows = rows[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(t testing.TB, b []byte) *File {
	t.Helper()
	f, err := NewFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func readAll[T Row[T]](f *File) ([]T, error) {
	r, err := NewReader[T](f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []T
	batch := make([]T, 100)
	for {
		clear(batch)
		n, err := r.Read(batch)
		out = append(out, batch[:n]...)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func roundTrip[T Row[T]](t *testing.T, rows []T) {
	t.Helper()
	got, err := readAll[T](open(t, write(t, Footer{Venue: "lighter"}, rows)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(rows) {
		t.Fatalf("%d rows came back of %d", len(got), len(rows))
	}
	for i := range rows {
		if !reflect.DeepEqual(got[i], rows[i]) {
			t.Fatalf("row %d is %+v, want %+v", i, got[i], rows[i])
		}
	}
}

// Every dataset comes back as it was written, nulls too.
func TestFilesComeBack(t *testing.T) {
	roundTrip(t, []Trade{
		{Timestamp: day, MarketID: 0, Symbol: "ETH", TradeID: 1, Type: "trade", Side: "buy", Price: 3200_500000, Size: 1, USDAmount: 3200, IsMakerAsk: true},
		{Timestamp: day, RecvTS: day*1000 + 5, MarketID: 0, Symbol: "ETH", TradeID: 2, Type: "liquidation", Side: "sell", Price: limit - 1, Size: 2,
			USDAmount: 1, AskAccountID: 1 << 47, BidAccountID: 3, AskID: math.MaxInt64, BidID: 9, TakerFee: -28, MakerFee: 28, BlockHeight: 7, TxHash: "00ff"},
	})
	roundTrip(t, []Candle{
		{Timestamp: day, MarketID: 1, Symbol: "BTC", Resolution: "1m", Open: 1, High: 4, Low: 1, Close: 2, Volume: 3, QuoteVolume: 4, VWAP: 5},
		{Timestamp: day + 60_000, MarketID: 1, Symbol: "BTC", Resolution: "1m", Open: 1, High: 4, Low: 1, Close: 2, TradeCount: 12},
	})
	roundTrip(t, []FundingRate{
		{Timestamp: day, MarketID: 0, Symbol: "ETH", Rate: -12_000_000, Value: 5, Direction: "short"},
		{Timestamp: day, MarketID: 1, Symbol: "BTC", Rate: 12_000_000, Direction: "long"},
	})
	roundTrip(t, []Snapshot{
		{Timestamp: day, RecvTS: day*1000 - 1, MarketID: 1, Symbol: "BTC", Nonce: 5, BestBid: 10, MidPrice: 10, Bids: []Level{{10, 1}, {9, 2}}, Asks: []Level{}},
		{Timestamp: day + 1000, RecvTS: day * 1000, MarketID: 1, Symbol: "BTC", Nonce: 6, Bids: []Level{}, Asks: []Level{{11, 1}}},
	})
	roundTrip(t, []BookUpdate{
		{Timestamp: day, RecvTS: day * 1000, MarketID: 1, Symbol: "BTC", Nonce: 5, Snapshot: true, Side: "bid", Price: 10, Size: 1},
		{Timestamp: day, RecvTS: day * 1000, MarketID: 1, Symbol: "BTC", Nonce: 5, Snapshot: true, Side: "ask", Price: 11},
	})
	roundTrip(t, []Gap{{MarketID: 1, Symbol: "BTC", Kind: "trades", From: day, To: day + 5, Cause: "not_recorded"}})
}

// The schema is that of the contract, section 5.2, with its types and what the conventions ask of the file.
func TestFileForm(t *testing.T) {
	rows := make([]Trade, MaxGroupRows+10)
	for i := range rows {
		rows[i] = Trade{Timestamp: day + int64(i), Symbol: "ETH", TradeID: int64(i + 1), Type: "trade", Side: "sell", Price: int64(i) + 5, Size: 7}
	}
	raw := write(t, Footer{Venue: "lighter", Held: []Held{{0, day, day + 1}}, SourceSHA256: "ab"}, rows)
	f, err := parquet.OpenFile(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"hyperlight.schema_version": "1", "hyperlight.dataset": "trades", "hyperlight.venue": "lighter",
		"hyperlight.source_rows_sha256": "ab", "hyperlight.held": "[[0,1767225600000,1767225600001]]",
	} {
		if got, _ := f.Lookup(key); got != want {
			t.Errorf("metadata %s is %q, want %q", key, got, want)
		}
	}
	want := []string{
		"required int64 timestamp (TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS))",
		"optional int64 recv_ts (TIMESTAMP(isAdjustedToUTC=true,unit=MICROS))",
		"required int32 market_id", "required binary symbol (STRING)", "required int64 trade_id",
		"required int64 price (DECIMAL(18,6))", "required boolean is_maker_ask", "optional int32 taker_fee", "optional binary tx_hash (STRING)",
	}
	text := f.Schema().String()
	for _, line := range want {
		if !strings.Contains(strings.ReplaceAll(text, "INT(32,true)", ""), line) && !strings.Contains(text, line) {
			t.Errorf("the schema lacks %q:\n%s", line, text)
		}
	}
	groups := f.Metadata().RowGroups
	if len(groups) != 2 || groups[0].NumRows != MaxGroupRows {
		t.Fatalf("%d row groups, the first of %d rows", len(groups), groups[0].NumRows)
	}
	for _, g := range groups {
		if len(g.SortingColumns) != 2 || g.SortingColumns[0].ColumnIdx != 0 || g.SortingColumns[1].ColumnIdx != 4 || g.SortingColumns[0].Descending || g.SortingColumns[1].Descending {
			t.Errorf("sorting columns are %+v", g.SortingColumns)
		}
		for i, c := range g.Columns {
			name := strings.Join(c.MetaData.PathInSchema, ".")
			if c.MetaData.Codec != format.Zstd {
				t.Errorf("column %s is packed with %s", name, c.MetaData.Codec)
			}
			if i == 0 && (len(c.MetaData.Statistics.MinValue) != 8 || len(c.MetaData.Statistics.MaxValue) != 8) {
				t.Errorf("column %s has no statistics", name)
			}
		}
	}
	if len(f.ColumnIndexes()) != 2*19 || len(f.OffsetIndexes()) != 2*19 {
		t.Errorf("%d column indexes and %d offset indexes", len(f.ColumnIndexes()), len(f.OffsetIndexes()))
	}
}

func TestWriterKeepsOrder(t *testing.T) {
	w := NewWriter[Trade](io.Discard, Footer{})
	if err := w.Write([]Trade{{Timestamp: 5, TradeID: 2}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Write([]Trade{{Timestamp: 5, TradeID: 1}}); !errors.Is(err, ErrOrder) {
		t.Errorf("a row before the last one: %v", err)
	}
}

// Rows of the record become rows of the lake and come back as rows of an archive, number by number.
func TestTradesThroughTheLake(t *testing.T) {
	m := &model.Market{Native: 3, Symbol: "SOL", PriceScale: 3, SizeScale: 3, Scales: []model.Scale{{Price: 3, Size: 3}}}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(rt, "rows")
		var in []model.Trade
		var rows []Trade
		for i := range n {
			tr := model.Trade{
				ID: uint64(i + 1), Time: day + model.Millis(i/3), Recv: model.Micros(rapid.Int64Range(0, 1).Draw(rt, "recv") * day * 1000),
				Kind: model.TradeKind(rapid.IntRange(0, 3).Draw(rt, "kind")), MakerAsk: rapid.Bool().Draw(rt, "ask"),
				Price: num.Price(rapid.Int64Range(1, 1e14).Draw(rt, "price")), Size: num.Size(rapid.Int64Range(1, 1e14).Draw(rt, "size")),
				USD:      num.USD(rapid.Int64Range(0, limit-1).Draw(rt, "usd")),
				AskOrder: rapid.Uint64Range(0, math.MaxInt64).Draw(rt, "order"), BidAccount: 7, Block: 9,
				TxHash: rapid.SampledFrom([]string{"", "00ab"}).Draw(rt, "hash"), MakerFee: rapid.Int32().Draw(rt, "fee"),
			}
			row, err := NewTrade(m, &tr)
			if err != nil {
				rt.Fatal(err)
			}
			in, rows = append(in, tr), append(rows, row)
		}
		a, err := newArchive("x", open(t, write(t, Footer{Held: []Held{{3, 1, 2}}}, rows)))
		if err != nil {
			rt.Fatal(err)
		}
		if h := a.Held(); len(h) != 1 || h[0] != (archive.Held{Native: 3, From: 1, To: 2}) {
			rt.Fatalf("held is %v", h)
		}
		for i := range in {
			row, err := a.Next()
			if err != nil {
				rt.Fatal(err)
			}
			got := row.Trade
			price, err1 := num.Rescale(row.Price.Mant, row.Price.Scale, 3)
			size, err2 := num.Rescale(row.Size.Mant, row.Size.Scale, 3)
			if err1 != nil || err2 != nil || row.Native != 3 || row.Symbol != "SOL" || row.Line != uint64(i+1) {
				rt.Fatalf("row is %+v", row)
			}
			got.Price, got.Size = num.Price(price), num.Size(size)
			if got != in[i] {
				rt.Fatalf("trade is %+v, want %+v", got, in[i])
			}
		}
		if _, err := a.Next(); err != io.EOF {
			rt.Fatalf("behind the last row: %v", err)
		}
	})
}

// A value that a column cannot hold stops the making of a file, and is never rounded.
func TestNothingIsRounded(t *testing.T) {
	m := &model.Market{Native: 3, PriceScale: 8, SizeScale: 0, Scales: []model.Scale{{Price: 8, Size: 0}}}
	for name, tr := range map[string]model.Trade{
		"digits": {ID: 1, Price: 1, Size: 1}, "range": {ID: 1, Price: 100, Size: 1e13}, "id": {ID: math.MaxUint64, Price: 100, Size: 1},
	} {
		if _, err := NewTrade(m, &tr); !errors.Is(err, ErrFit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if row, err := NewTrade(m, &model.Trade{ID: 1, Price: 12_300, Size: 5}); err != nil || row.Price != 123 || row.Size != 5_000_000 {
		t.Errorf("row is %+v, %v", row, err)
	}
	c, err := NewCandle(m, &model.Candle{Open: 100, High: 100, Low: 100, Close: 100, Volume: 3, QuoteVolume: 10_000_000}, "1m")
	if err != nil || c.VWAP != 3_333333 {
		t.Errorf("vwap is %d, %v; want 3.333333", c.VWAP, err)
	}
}

// What is none of our files is refused with what it is.
func TestForeignFiles(t *testing.T) {
	var plain bytes.Buffer
	w := parquet.NewGenericWriter[Trade](&plain)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(bytes.NewReader(plain.Bytes()), int64(plain.Len())); !errors.Is(err, ErrNotLake) {
		t.Errorf("without metadata: %v", err)
	}
	var newer bytes.Buffer
	w = parquet.NewGenericWriter[Trade](&newer, parquet.KeyValueMetadata(versionKey, "2"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(bytes.NewReader(newer.Bytes()), int64(newer.Len())); !errors.Is(err, ErrVersion) {
		t.Errorf("of a newer version: %v", err)
	}
	type other struct {
		Timestamp int64 `parquet:"timestamp"`
	}
	var wrong bytes.Buffer
	o := parquet.NewGenericWriter[other](&wrong, parquet.KeyValueMetadata(versionKey, "1"), parquet.KeyValueMetadata(datasetKey, "trades"))
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	f := open(t, wrong.Bytes())
	if _, err := NewReader[Trade](f); !errors.Is(err, ErrNotLake) {
		t.Errorf("of other columns: %v", err)
	}
	if _, err := NewReader[Candle](f); !errors.Is(err, ErrNotLake) {
		t.Errorf("of another dataset: %v", err)
	}
	if _, err := newArchive("x", open(t, write(t, Footer{}, []Gap{{}}))); !errors.Is(err, ErrNotLake) || !strings.Contains(err.Error(), "gaps") {
		t.Errorf("gaps as an archive: %v", err)
	}
	raw := write(t, Footer{}, []Trade{{Timestamp: 1, TradeID: 1}})
	if _, err := NewFile(bytes.NewReader(raw[:len(raw)-9]), int64(len(raw)-9)); !errors.Is(err, ErrDamaged) {
		t.Errorf("cut short: %v", err)
	}
}

// A damaged file gives an error, never a panic or another count of rows.
func FuzzFile(f *testing.F) {
	rows := []Trade{{Timestamp: day, Symbol: "ETH", TradeID: 1, Type: "trade", Side: "buy", Price: 5, Size: 6, IsMakerAsk: true, TxHash: "00"},
		{Timestamp: day + 1, Symbol: "ETH", TradeID: 2, Type: "trade", Side: "sell", Price: 5, Size: 6}}
	raw := write(f, Footer{Venue: "lighter"}, rows)
	f.Add(0, byte(0))
	f.Add(len(raw)-12, byte(7))
	f.Add(len(raw)/2, byte(255))
	f.Add(40, byte(1))
	f.Fuzz(func(t *testing.T, at int, flip byte) {
		b := bytes.Clone(raw)
		if at >= 0 {
			b[at%len(b)] ^= flip
		}
		file, err := NewFile(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		a, err := newArchive("x", file)
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			_, err := a.Next()
			var fault *archive.RowError
			if errors.As(err, &fault) {
				continue
			}
			if err != nil {
				return
			}
			if n > 1000 {
				t.Fatal("a file of two rows gives a thousand")
			}
		}
	})
}
