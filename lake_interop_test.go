package main

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/export"
	"hyperlight/export/iceberg"
)

// wrote is a file that a test has made.
type wrote struct {
	file lake.File
	path string
	fileRows
}

// writeLakeFile makes a file below dir, reads it with our own reader and returns what that gives.
func writeLakeFile[T export.Row[T]](t testing.TB, dir string, id lake.ID, rows []T) wrote {
	t.Helper()
	var out bytes.Buffer
	w := export.NewWriter[T](&out, export.Footer{Venue: "lighter", Held: []export.Held{{Market: 1, From: id.Day, To: id.To()}}})
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, filepath.FromSlash(id.Key()))
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	o := tellRows(rowsOf[T](t, name))
	if o.Rows != int64(len(rows)) {
		t.Fatalf("%s: our reader finds %d rows of %d", id, o.Rows, len(rows))
	}
	f := lake.File{ID: id, Rows: o.Rows, Bytes: int64(out.Len()), SHA256: sha256.Sum256(out.Bytes()), SchemaVersion: export.SchemaVersion}
	return wrote{file: f, path: name, fileRows: o}
}

const lakeDay model.Millis = 1_767_225_600_000 // 2026-01-01

// lakeOfAll makes a file of each dataset, with the least and the greatest numbers that its columns hold and all kinds of
// nulls among what markets have.
func lakeOfAll(t testing.TB, dir string) []wrote {
	t.Helper()
	const limit = 999_999_999_999_999_999
	random := rand.New(rand.NewPCG(1, 2))
	price := func() int64 { return 3200_000000 + random.Int64N(1_000_000)*100 }
	id := func(d lake.Dataset) lake.ID {
		if !d.PerMarket() {
			return lake.ID{Dataset: d, Market: lake.AllMarkets, Day: lakeDay}
		}
		return lake.ID{Dataset: d, Market: 1, Day: lakeDay}
	}
	at := func(i, n int) int64 { return int64(lakeDay) + int64(i)*86_400_000/int64(n) }
	trades := make([]export.Trade, 5000)
	for i := range trades {
		r := &trades[i]
		*r = export.Trade{
			Timestamp: at(i, len(trades)), MarketID: 1, Symbol: "BTC", TradeID: int64(i) + 1, Type: "trade", Side: "sell", Price: price(), Size: random.Int64N(5_000_000),
			AskAccountID: random.Int64N(1 << 40), BidAccountID: random.Int64N(1 << 48), AskID: random.Int64(), BidID: random.Int64(), BlockHeight: int64(i) * 3,
		}
		r.USDAmount = r.Price / 1000 * (r.Size / 1000)
		if i%3 > 0 {
			r.RecvTS, r.TakerFee, r.MakerFee, r.TxHash = r.Timestamp*1000+random.Int64N(900_000), int32(i%500)-200, 28, strconv.FormatInt(random.Int64(), 16)
		}
		if i%7 == 0 {
			r.Type, r.Side, r.IsMakerAsk = "liquidation", "buy", true
		}
	}
	trades[10].Price, trades[11].Price, trades[12].AskID = limit, 1, 1<<63-1
	candles := make([]export.Candle, 1440)
	for i := range candles {
		p := price()
		candles[i] = export.Candle{Timestamp: at(i, 1440), MarketID: 1, Symbol: "BTC", Resolution: "1m", Open: p, High: p + 500, Low: p - 7, Close: p + 3,
			Volume: int64(i), QuoteVolume: int64(i) * 3200, VWAP: 3200, TradeCount: int64(i % 9)}
	}
	var funding []export.FundingRate
	var gaps []export.Gap
	for i := range 24 {
		for m := range int32(3) {
			funding = append(funding, export.FundingRate{Timestamp: at(i, 24), MarketID: m, Symbol: "S" + strconv.Itoa(int(m)), Rate: int64(i-12) * 1_200_000_000, Value: -int64(i), Direction: "long"})
		}
		gaps = append(gaps, export.Gap{MarketID: 1, Symbol: "BTC", Kind: "trades", From: at(i, 24), To: at(i, 24) + int64(i)*1000, Cause: "not_recorded"})
	}
	funding[0].Rate, funding[1].Rate = limit, -limit
	snapshots := make([]export.Snapshot, 300)
	for i := range snapshots {
		s := &snapshots[i]
		*s = export.Snapshot{Timestamp: int64(lakeDay) + int64(i)*1000, MarketID: 1, Symbol: "BTC", Nonce: int64(i) * 7, Bids: []export.Level{}, Asks: []export.Level{}}
		s.RecvTS = s.Timestamp*1000 - 77
		for n := range i % 40 {
			s.Bids = append(s.Bids, export.Level{Price: 3200_000000 - int64(n)*100, Size: random.Int64N(1e9)})
		}
		for n := range i % 3 {
			s.Asks = append(s.Asks, export.Level{Price: 3200_000100 + int64(n)*100, Size: limit - int64(n)})
		}
		if i%40 > 0 {
			s.BestBid = s.Bids[0].Price
		}
		if i%3 > 0 && i%40 > 0 {
			s.BestAsk, s.MidPrice, s.Spread = s.Asks[0].Price, 3200_000050, 100
		}
	}
	updates := make([]export.BookUpdate, 3000)
	for i := range updates {
		updates[i] = export.BookUpdate{Timestamp: at(i/3, 1000) - 40, RecvTS: at(i/3, 1000) * 1000, MarketID: 1, Symbol: "BTC", Nonce: int64(i / 3),
			Snapshot: i < 300, Side: []string{"bid", "ask"}[i%2], Price: price(), Size: random.Int64N(3)}
	}
	return []wrote{
		writeLakeFile(t, dir, id(lake.Trades), trades), writeLakeFile(t, dir, id(lake.Candles), candles),
		writeLakeFile(t, dir, id(lake.FundingRates), funding), writeLakeFile(t, dir, id(lake.Gaps), gaps),
		writeLakeFile(t, dir, id(lake.Snapshots), snapshots), writeLakeFile(t, dir, id(lake.BookUpdates), updates),
	}
}

// lakeSchemas is section 5.2 of the contract in DuckDB's words.
var lakeSchemas = map[lake.Dataset]string{
	lake.Trades: "timestamp TS, recv_ts TS, market_id INTEGER, symbol VARCHAR, trade_id BIGINT, type VARCHAR, side VARCHAR, price DEC, size DEC, usd_amount DEC, " +
		"ask_account_id BIGINT, bid_account_id BIGINT, ask_id BIGINT, bid_id BIGINT, is_maker_ask BOOLEAN, taker_fee INTEGER, maker_fee INTEGER, block_height BIGINT, tx_hash VARCHAR",
	lake.Candles:      "timestamp TS, market_id INTEGER, symbol VARCHAR, resolution VARCHAR, open DEC, high DEC, low DEC, close DEC, volume DEC, quote_volume DEC, vwap DEC, trade_count BIGINT",
	lake.FundingRates: "timestamp TS, market_id INTEGER, symbol VARCHAR, rate DECIMAL(18,12), value DEC, direction VARCHAR",
	lake.Gaps:         "market_id INTEGER, symbol VARCHAR, kind VARCHAR, from TS, to TS, cause VARCHAR",
	lake.Snapshots: "timestamp TS, recv_ts TS, market_id INTEGER, symbol VARCHAR, nonce BIGINT, best_bid DEC, best_ask DEC, mid_price DEC, spread DEC, " +
		"bids STRUCT(price DEC, size DEC)[], asks STRUCT(price DEC, size DEC)[]",
	lake.BookUpdates: "timestamp TS, recv_ts TS, market_id INTEGER, symbol VARCHAR, nonce BIGINT, snapshot BOOLEAN, side VARCHAR, price DEC, size DEC",
}

var lakeSorted = map[lake.Dataset][]string{
	lake.Trades: {"timestamp", "trade_id"}, lake.Candles: {"timestamp"}, lake.FundingRates: {"timestamp", "market_id"},
	lake.Gaps: {"from", "market_id", "kind"}, lake.Snapshots: {"timestamp"}, lake.BookUpdates: {"recv_ts"},
}

func duckSchema(d lake.Dataset) string {
	return strings.NewReplacer(" TS", " TIMESTAMP WITH TIME ZONE", "DEC,", "DECIMAL(18,6),", "DEC)", "DECIMAL(18,6))").Replace(lakeSchemas[d] + ",")
}

// check wants a reader to have found what we wrote.
func (w *wrote) check(t *testing.T, reader string, got fileTold) {
	t.Helper()
	if got.Rows != w.Rows || got.Digest != w.Digest {
		t.Errorf("%s, %s: %d rows with digest %.12s, not %d with %.12s", reader, w.file.ID, got.Rows, got.Digest, w.Rows, w.Digest)
	}
	for name, sum := range w.Sums {
		if got.Sums[name] != sum {
			t.Errorf("%s, %s: the sum of %s is %s, not %s", reader, w.file.ID, name, got.Sums[name], sum)
		}
	}
	for key, want := range map[string]string{
		"hyperlight.schema_version": strconv.Itoa(export.SchemaVersion), "hyperlight.dataset": string(w.file.ID.Dataset), "hyperlight.venue": "lighter",
	} {
		if got.Metadata[key] != want {
			t.Errorf("%s, %s: metadata %s is %q, not %q", reader, w.file.ID, key, got.Metadata[key], want)
		}
	}
	if !slices.Equal(got.Codecs, []string{"ZSTD"}) {
		t.Errorf("%s, %s: packed with %v", reader, w.file.ID, got.Codecs)
	}
}

// TestLakeInOtherReaders opens a file of each dataset in DuckDB and hyparquet, the latter over HTTP too, in ranges.
func TestLakeInOtherReaders(t *testing.T) {
	needClients(t)
	t.Parallel()
	dir := t.TempDir()
	files := lakeOfAll(t, dir)
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer srv.Close()
	var names, links []string
	for _, f := range files {
		names = append(names, f.path)
		links = append(links, srv.URL+"/"+f.file.ID.Key())
	}
	duck := readLake(t, clientsDir, []string{"node", "lake-duckdb.mjs"}, names...)
	hyparquet := readLake(t, clientsDir, []string{"node", "lake-hyparquet.mjs"}, append(links, names...)...)
	for i, f := range files {
		d := duck[f.path]
		f.check(t, "DuckDB", d)
		if got := strings.Join(d.Schema, ", ") + ","; got != duckSchema(f.file.ID.Dataset) {
			t.Errorf("DuckDB, %s: columns are\n%s\nnot\n%s", f.file.ID, got, duckSchema(f.file.ID.Dataset))
		}
		for name, sum := range d.Own {
			if sum != f.Sums[name] {
				t.Errorf("DuckDB, %s: its own sum of %s is %s, not %s", f.file.ID, name, sum, f.Sums[name])
			}
		}
		for _, h := range []fileTold{hyparquet[f.path], hyparquet[links[i]]} {
			f.check(t, "hyparquet", h)
			for _, s := range h.Sorting {
				if !slices.Equal(s, lakeSorted[f.file.ID.Dataset]) {
					t.Errorf("hyparquet, %s: sorted by %v", f.file.ID, s)
				}
			}
			if len(h.Sorting) == 0 || h.Fetched < 2 {
				t.Errorf("hyparquet, %s: %d row groups in %d ranges", f.file.ID, len(h.Sorting), h.Fetched)
			}
			for _, column := range h.Schema {
				if strings.HasPrefix(column, "timestamp ") && column != "timestamp REQUIRED TIMESTAMP(MILLIS,UTC)" ||
					strings.HasPrefix(column, "recv_ts ") && !strings.HasSuffix(column, " TIMESTAMP(MICROS,UTC)") {
					t.Errorf("hyparquet, %s: column %s", f.file.ID, column)
				}
			}
		}
	}
}

// icebergLake makes the tables of a lake and remakes a file, so that there is a second snapshot.
func icebergLake(t *testing.T, dir, location string) []wrote {
	t.Helper()
	files := lakeOfAll(t, dir)
	tables, err := iceberg.New(iceberg.Options{Data: dir, Location: location, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	list := make([]lake.File, len(files))
	for i, f := range files {
		list[i] = f.file
	}
	next := lake.ID{Dataset: lake.Trades, Market: 0, Day: lakeDay + lake.DayMillis}
	more := writeLakeFile(t, dir, next, []export.Trade{{Timestamp: int64(next.Day), Symbol: "ETH", TradeID: 9, Type: "trade", Side: "buy", IsMakerAsk: true, Price: 5, Size: 6, USDAmount: 7}})
	for _, l := range [][]lake.File{list, append(slices.Clone(list), more.file)} {
		if err := tables.Update(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	return append(files, more)
}

// inTables adds up what the files of each dataset have.
func inTables(files []wrote) map[lake.Dataset]*fileRows {
	out := make(map[lake.Dataset]*fileRows)
	for _, f := range files {
		o := out[f.file.ID.Dataset]
		if o == nil {
			o = &fileRows{sum: make(map[string]*big.Int)}
			out[f.file.ID.Dataset] = o
		}
		o.Rows, o.Levels = o.Rows+f.Rows, o.Levels+f.Levels
		for name, sum := range f.sum {
			if o.sum[name] == nil {
				o.sum[name] = new(big.Int)
			}
			o.sum[name].Add(o.sum[name], sum)
		}
	}
	return out
}

// TestLakeTables opens the table of each dataset in icebird, over HTTP.
func TestLakeTables(t *testing.T) {
	needClients(t)
	t.Parallel()
	dir := t.TempDir()
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer srv.Close()
	want := inTables(icebergLake(t, dir, srv.URL))
	var names []string
	for _, d := range lake.Datasets {
		names = append(names, srv.URL+"/"+string(d))
	}
	got := readLake(t, clientsDir, []string{"node", "lake-iceberg.mjs"}, names...)
	exact := []string{"trade_id", "market_id", "nonce", "volume", "value", "trade_count", "taker_fee", "open", "vwap"}
	for i, d := range lake.Datasets {
		g, w := got[names[i]], want[d]
		if g.Rows != w.Rows || g.Levels != w.Levels {
			t.Errorf("icebird, %s: %d rows with %d levels, not %d with %d", d, g.Rows, g.Levels, w.Rows, w.Levels)
		}
		for _, name := range exact { // those that a float holds
			if sum := w.sum[name]; sum != nil && g.Sums[name] != sum.String() {
				t.Errorf("icebird, %s: the sum of %s is %s, not %s", d, name, g.Sums[name], sum)
			}
		}
	}
}
