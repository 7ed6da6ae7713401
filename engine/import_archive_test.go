package engine_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hyperlight/engine"
	"hyperlight/engine/archive"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/export"
	"hyperlight/kv"
)

// everything is the time that the recordings are from; candles and fundings are looked for month by month.
var everything = history.Span{From: 1_735_689_600_000, To: 1_798_761_600_000}

func importArchive(t testing.TB, dir string, o engine.ImportOptions) *engine.ImportReport {
	t.Helper()
	o.Store = storeOptions(dir)
	o.Archive.Lake = func(name string) (engine.LakeFile, error) { return export.OpenArchive(name) }
	report, err := engine.Import(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func market(id int64) *int64 { return &id }

// rat reads a decimal as it is.
func rat(t testing.TB, text string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	return r
}

func gunzip(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The recorded trades of ASTER go in as they are and come back with the same sums. They were polled, so they close nothing.
func TestImportRecordedTrades(t *testing.T) {
	path := feedtest.Recording(t, "captures/lighter/trades-aster-20250918.csv.gz")
	lines, err := csv.NewReader(strings.NewReader(gunzip(t, path))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var size, usd big.Rat
	buys, ids := 0, map[string]bool{}
	for _, l := range lines[1:] { // ts_ms,price,size,side,trade_id,usd_amount
		if ids[l[4]] {
			continue
		}
		ids[l[4]] = true
		size.Add(&size, rat(t, l[2]))
		usd.Add(&usd, rat(t, l[5]))
		if l[3] == "buy" {
			buys++
		}
	}
	dir := t.TempDir()
	o := engine.ImportOptions{Files: []string{path}, Archive: engine.ArchiveOptions{Market: market(83)}}
	report := importArchive(t, dir, o)
	if report.Trades != uint64(len(ids)) || report.Rejected != 0 || report.Rows != 479 {
		t.Fatalf("report is %+v", *report)
	}
	before, _ := storeDigest(t, dir)
	if again := importArchive(t, dir, o); again.Trades != 0 || again.KnownTrades != 479 {
		t.Errorf("the second import is %+v", *again)
	}
	if after, _ := storeDigest(t, dir); after != before {
		t.Error("the second import changed the store")
	}
	func() {
		reader, store := openStore(t, dir)
		defer store()
		known, _ := reader.market(83)
		var gotSize, gotUSD big.Rat
		for tr, err := range reader.Trades(context.Background(), 83, everything, history.TradeQuery{Columns: record.All}) {
			if err != nil {
				t.Fatal(err)
			}
			_, ss := known.ScaleAt(tr.Epoch)
			gotSize.Add(&gotSize, rat(t, string(num.Append(nil, int64(tr.Size), ss))))
			gotUSD.Add(&gotUSD, rat(t, string(num.Append(nil, int64(tr.USD), num.USDScale))))
			if tr.TakerBuys() {
				buys--
			}
		}
		if gotSize.Cmp(&size) != 0 || gotUSD.Cmp(&usd) != 0 || buys != 0 {
			t.Errorf("%s ASTER for %s USD came back of %s for %s; buys differ by %d", &gotSize, &gotUSD, &size, &usd, buys)
		}
		if ivs, err := reader.Coverage(context.Background(), model.KindTrades, 83, everything); err != nil || len(ivs) != 0 {
			t.Errorf("an incomplete tape covers %v, %v", ivs, err)
		}
	}()
	o.Archive.Complete = true
	importArchive(t, dir, o)
	reader, closeStore := openStore(t, dir)
	defer closeStore()
	ivs, err := reader.Coverage(context.Background(), model.KindTrades, 83, everything)
	if err != nil || len(ivs) != 1 || ivs[0].From.Millis() != 1758223861522 || ivs[0].To.Millis() != 1758226315919 {
		t.Errorf("a complete tape covers %v, %v", ivs, err)
	}
}

// storeReader is a reader that knows the markets of its store.
type storeReader struct {
	*history.Reader
	store  *kv.Store
	market func(model.MarketID) (*model.Market, bool)
}

// openStore opens a store until the returned function is called.
func openStore(t testing.TB, dir string) (*storeReader, func()) {
	t.Helper()
	reader, store, markets := readStore(t, dir)
	return &storeReader{reader, store, markets}, func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The venue's own answer: five hundred one-minute candles, of which sums carry the noise of floats. All of the time is
// covered, the hours that are whole have candles too, and a second import changes nothing.
func TestImportRecordedCandles(t *testing.T) {
	path := feedtest.Recording(t, "captures/lighter/rest-candles-hype-1m-20260419.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		C []struct {
			T       int64           `json:"t"`
			O       json.Number     `json:"o"`
			Close   json.Number     `json:"c"`
			V, Base json.RawMessage `json:"-"`
			I       uint64          `json:"i"`
		} `json:"c"`
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := engine.ImportOptions{Files: []string{path}, Archive: engine.ArchiveOptions{Market: market(24)}}
	report := importArchive(t, dir, o)
	if report.Candles != 500 || report.Rejected != 0 || report.Markets != 1 {
		t.Fatalf("report is %+v", *report)
	}
	before, _ := storeDigest(t, dir)
	importArchive(t, dir, o)
	if after, _ := storeDigest(t, dir); after != before {
		t.Error("the second import changed the store")
	}
	reader, closeStore := openStore(t, dir)
	defer closeStore()
	m, _ := reader.market(24)
	if m.PriceScale != 4 || m.SizeScale != 2 {
		t.Errorf("the market has %d price and %d size decimals; HYPE has 4 and 2", m.PriceScale, m.SizeScale)
	}
	i := 0
	for c, err := range reader.Candles(context.Background(), 24, time.Minute, everything, false) {
		if err != nil {
			t.Fatal(err)
		}
		w := want.C[i]
		if int64(c.Time) != w.T || c.LastID != w.I || rat(t, string(num.Append(nil, int64(c.Open), 4))).Cmp(rat(t, w.O.String())) != 0 ||
			rat(t, string(num.Append(nil, int64(c.Close), 4))).Cmp(rat(t, w.Close.String())) != 0 {
			t.Fatalf("candle %d is %+v, want %+v", i, c, w)
		}
		i++
	}
	if i != 500 {
		t.Errorf("%d candles, want 500", i)
	}
	ivs, err := reader.Coverage(context.Background(), model.KindCandles, 24, everything)
	if err != nil || len(ivs) != 1 || int64(ivs[0].From.Millis()) != want.C[0].T || int64(ivs[0].To.Millis()) != want.C[499].T+60_000 {
		t.Errorf("covered is %v, %v", ivs, err)
	}
	hours := 0
	for c, err := range reader.Candles(context.Background(), 24, time.Hour, everything, false) {
		if err != nil || c.Volume <= 0 {
			t.Fatal(c, err)
		}
		hours++
	}
	if hours < 7 {
		t.Errorf("%d hours made of 500 minutes from 07:32 to 15:51", hours)
	}
}

// The recorded fundings have no sign and say so in a column that nobody may take for a rate; with the column renamed they
// go in by symbol. Averages of an hour are no fundings.
func TestImportRecordedFundings(t *testing.T) {
	path := feedtest.Recording(t, "captures/lighter/funding-hourly-20260203.csv.gz")
	markets, err := os.ReadFile(feedtest.Recording(t, "captures/lighter/rest-orderbooks-20251208.json"))
	if err != nil {
		t.Fatal(err)
	}
	stats := feedtest.Recording(t, "captures/lighter/hourly-market-stats-202601.csv.gz")
	dir := t.TempDir()
	report := importArchive(t, dir, engine.ImportOptions{Files: []string{path, stats}, Markets: markets,
		Archive: engine.ArchiveOptions{Dataset: archive.Funding}})
	if len(report.NoRows) != 2 || report.Fundings != 0 {
		t.Fatalf("report is %+v", *report)
	}
	text := gunzip(t, path)
	_, rows, _ := strings.Cut(text, "\n")
	file := writeFile(t, "f.csv", "timestamp,symbol,rate_percent\n"+rows)
	report = importArchive(t, dir, engine.ImportOptions{Files: []string{file}, Markets: markets})

	list, err := lighter.ParseMarkets(markets)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int64{}
	for i := range list {
		ids[list[i].Symbol] = list[i].Native
	}
	var sum big.Rat
	count, unknown := 0, 0
	for line := range strings.Lines(rows) {
		f := strings.Split(strings.TrimSpace(line), ",")
		if _, ok := ids[f[1]]; !ok {
			unknown++
			continue
		}
		count++
		sum.Add(&sum, rat(t, f[2]))
	}
	if count+unknown != 3096 || report.Fundings != uint64(count) || report.Rejected != uint64(unknown) || count < 2500 {
		t.Fatalf("%d fundings and %d rejected, want %d and %d; %v", report.Fundings, report.Rejected, count, unknown, report.Reasons)
	}
	if unknown > 0 && !strings.Contains(report.Faults[0], "f.csv:") {
		t.Errorf("the first fault is %q", report.Faults[0])
	}
	reader, closeStore := openStore(t, dir)
	defer closeStore()
	var got int64
	for _, id := range ids {
		for f, err := range reader.Fundings(context.Background(), model.MarketID(id), everything) {
			if err != nil {
				t.Fatal(err)
			}
			got += int64(f.Rate)
		}
	}
	if percent := new(big.Rat).SetFrac64(got, 1e10); percent.Cmp(&sum) != 0 {
		t.Errorf("rates add up to %s percent, want %s", percent.FloatString(10), sum.FloatString(10))
	}
	ivs, err := reader.Coverage(context.Background(), model.KindFunding, model.MarketID(ids["ETH"]), everything)
	if err != nil || len(ivs) != 1 || ivs[0].To-ivs[0].From != 24*3600*1e6 {
		t.Errorf("24 hours in a row cover %v, %v", ivs, err)
	}
}

// The trades of a recording leave a store in every form that is read, packed and plain, and come back as they were.
func TestTradesRoundTrip(t *testing.T) {
	source := t.TempDir()
	importFile(t, source, feedtest.Recording(t, btcEth))
	var rows []model.Trade
	reader, closeStore := openStore(t, source)
	m, _ := reader.market(1)
	for tr, err := range reader.Trades(context.Background(), 1, everything, history.TradeQuery{Columns: record.All}) {
		if err != nil {
			t.Fatal(err)
		}
		row := *tr
		row.TxHash, row.Extra = strings.Clone(row.TxHash), strings.Clone(row.Extra)
		rows = append(rows, row)
	}
	closeStore()
	if len(rows) < 300 {
		t.Fatalf("only %d trades", len(rows))
	}
	ours := tradeLines(rows, m)
	files := map[string]string{
		"trades.jsonl":      ours,
		"trades.jsonl.gz":   packed(t, ours, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"trades.jsonl.zst":  packed(t, ours, func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }),
		"recentTrades.json": string(lighter.AppendRecentTrades(nil, m, rows)),
		"trades.csv":        tradeTable(rows, m),
		"part-0000.parquet": tradeLake(t, rows, m),
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			report := importArchive(t, dir, engine.ImportOptions{Files: []string{writeFile(t, name, text)}})
			if report.Trades != uint64(len(rows)) || report.Rejected != 0 || len(report.Faults) > 0 {
				t.Fatalf("report is %+v", *report)
			}
			reader, closeStore := openStore(t, dir)
			defer closeStore()
			got, ok := reader.market(1)
			if !ok || got.Symbol != m.Symbol && name != "recentTrades.json" {
				t.Fatalf("market is %+v", got)
			}
			i := 0
			for tr, err := range reader.Trades(context.Background(), 1, everything, history.TradeQuery{Columns: record.All}) {
				if err != nil {
					t.Fatal(err)
				}
				if g, w := core(tr, got), core(&rows[i], m); g != w {
					t.Fatalf("trade %d is\n%s, want\n%s", i, g, w)
				}
				i++
			}
			if i != len(rows) {
				t.Errorf("%d trades came back of %d", i, len(rows))
			}
			ivs, err := reader.Coverage(context.Background(), model.KindTrades, 1, everything)
			if lake := strings.HasSuffix(name, ".parquet"); err != nil || lake != (len(ivs) == 1) {
				t.Errorf("covered is %v, %v", ivs, err)
			}
		})
	}
}

// core is a trade's contract object with numbers that do not depend on how many zeros they are written with.
func core(t *model.Trade, m *model.Market) string {
	ps, ss := m.ScaleAt(t.Epoch)
	return fmt.Sprintf("%d %d %s %s %s %d %t %d %d %d %d %d %s", t.ID, t.Time, t.Kind, num.AppendTrim(nil, int64(t.Price), ps),
		num.AppendTrim(nil, int64(t.Size), ss), t.USD, t.MakerAsk, t.AskOrder, t.BidOrder, t.AskAccount, t.BidAccount, t.Block, t.TxHash)
}

func tradeLines(rows []model.Trade, m *model.Market) string {
	var out []byte
	for i := range rows {
		out = append(rows[i].AppendJSON(out, m, false), '\n')
	}
	return string(out)
}

func tradeTable(rows []model.Trade, m *model.Market) string {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write([]string{"side", "symbol", "market_id", "trade_id", "timestamp", "recv_ts", "price", "size", "usd_amount", "type", "ask_id", "bid_id",
		"ask_account_id", "bid_account_id", "block_height", "tx_hash"})
	for i := range rows {
		t := &rows[i]
		ps, ss := m.ScaleAt(t.Epoch)
		side := "sell"
		if t.TakerBuys() {
			side = "buy"
		}
		_ = w.Write([]string{side, m.Symbol, "1", strconv.FormatUint(t.ID, 10), strconv.FormatInt(int64(t.Time), 10), strconv.FormatInt(int64(t.Recv), 10),
			string(num.Append(nil, int64(t.Price), ps)), string(num.Append(nil, int64(t.Size), ss)), string(num.Append(nil, int64(t.USD), num.USDScale)),
			t.Kind.String(), strconv.FormatUint(t.AskOrder, 10), strconv.FormatUint(t.BidOrder, 10), strconv.FormatUint(uint64(t.AskAccount), 10),
			strconv.FormatUint(uint64(t.BidAccount), 10), strconv.FormatUint(t.Block, 10), t.TxHash})
	}
	w.Flush()
	return out.String()
}

func tradeLake(t *testing.T, rows []model.Trade, m *model.Market) string {
	t.Helper()
	rows = slices.Clone(rows)
	var out bytes.Buffer
	w := export.NewWriter[export.Trade](&out, export.Footer{Venue: "lighter", Held: []export.Held{{Market: 1, From: rows[0].Time, To: rows[len(rows)-1].Time + 1}}})
	for i := range rows {
		row, err := export.NewTrade(m, &rows[i])
		if err == nil {
			err = w.Write([]export.Trade{row})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func packed(t *testing.T, text string, pack func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var out bytes.Buffer
	w := pack(&out)
	b := bufio.NewWriter(w)
	if _, err := b.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A gap of a recording closes by what fills it: not by rows that may not be all there were, in part by a part, and whole
// in the end.
func TestGapsCloseByWhatFillsThem(t *testing.T) {
	const t0 = int64(1_760_041_996_000)
	minute := int64(60_000)
	frame := func(id int, at int64) string {
		return fmt.Sprintf(`{"recv_us":%d,"msg":{"channel":"trade:7","liquidation_trades":null,"trades":[{"trade_id":%d,"market_id":7,"price":"10.00","size":"1.0","is_maker_ask":true,"timestamp":%d}],"type":"update/trade"}}`+"\n", at*1000, id, at)
	}
	book := func(at int64) string {
		return fmt.Sprintf(`{"recv_us":%d,"msg":{"channel":"order_book:7","offset":%d,"order_book":{"code":0,"asks":[{"price":"10.10","size":"1.0"}],"bids":[{"price":"10.00","size":"1.0"}],"offset":1},"timestamp":%d,"type":"subscribed/order_book"}}`+"\n", at*1000, at, at)
	}
	dir := t.TempDir()
	importFile(t, dir, writeFile(t, "in.ndjson", book(t0)+frame(1, t0)+frame(2, t0+1000)+
		book(t0+30*minute)+frame(9, t0+30*minute)+frame(10, t0+30*minute+1000)))
	gaps := func() []history.GapRow {
		t.Helper()
		reader, closeStore := openStore(t, dir)
		defer closeStore()
		rows, err := reader.Gaps(context.Background(), []model.Kind{model.KindTrades}, nil, everything)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	first := gaps()
	if len(first) != 1 || first[0].Filled || first[0].To == 0 {
		t.Fatalf("the recording has the gaps %+v", first)
	}
	table := "timestamp,market_id,trade_id,price,size,side\n"
	for i := range 6 {
		table += fmt.Sprintf("%d,7,%d,10.05,0.5,buy\n", t0+int64(i+1)*4*minute, 3+i)
	}
	file := writeFile(t, "trades.csv", table)
	report := importArchive(t, dir, engine.ImportOptions{Files: []string{file}})
	if report.Trades != 6 {
		t.Fatalf("report is %+v", *report)
	}
	if got := gaps(); !slices.Equal(got, first) {
		t.Fatalf("trades that may not be all closed a gap: %+v", got)
	}
	// From the first to the last row: the middle of the gap.
	importArchive(t, dir, engine.ImportOptions{Files: []string{file}, Archive: engine.ArchiveOptions{Complete: true}})
	open := slices.DeleteFunc(gaps(), func(g history.GapRow) bool { return g.Filled })
	if len(open) != 2 || open[0].From != first[0].From || open[0].To.Millis() != model.Millis(t0+4*minute) ||
		open[1].From.Millis() != model.Millis(t0+24*minute+1) || open[1].To != first[0].To {
		t.Fatalf("after the middle the gaps are %+v", open)
	}
	importArchive(t, dir, engine.ImportOptions{Files: []string{file}, Archive: engine.ArchiveOptions{
		Held: history.Span{From: model.Millis(t0), To: model.Millis(t0 + 31*minute)}}})
	if open := slices.DeleteFunc(gaps(), func(g history.GapRow) bool { return g.Filled }); len(open) != 0 {
		t.Errorf("after all of it the gaps are %+v", open)
	}
	reader, closeStore := openStore(t, dir)
	defer closeStore()
	ivs, err := reader.Coverage(context.Background(), model.KindTrades, 7, everything)
	if err != nil || len(ivs) != 1 {
		t.Errorf("covered is %v, %v", ivs, err)
	}
}

// More digits than a market has begin a new scale, and neither old nor new numbers change.
func TestArchiveWidensScales(t *testing.T) {
	dir := t.TempDir()
	head := "timestamp,market_id,symbol,trade_id,price,size,side\n"
	importArchive(t, dir, engine.ImportOptions{Files: []string{writeFile(t, "a.csv", head+"1767225600000,7,ABC,1,10.50,2,buy\n1767225600001,7,ABC,2,10.5,2.0,buy\n")}})
	importArchive(t, dir, engine.ImportOptions{Files: []string{writeFile(t, "b.csv", head+"1767225601000,7,ABC,3,10.500000,2,buy\n1767225602000,7,ABC,4,10.125,2,sell\n")}})
	reader, closeStore := openStore(t, dir)
	defer closeStore()
	m, _ := reader.market(7)
	if m.Symbol != "ABC" || len(m.Scales) != 2 || m.Scales[0].Price != 2 || m.PriceScale != 3 || m.SizeScale != 1 {
		t.Fatalf("market is %+v", m)
	}
	var prices []string
	for tr, err := range reader.Trades(context.Background(), 7, everything, history.TradeQuery{Columns: record.All}) {
		if err != nil {
			t.Fatal(err)
		}
		ps, _ := m.ScaleAt(tr.Epoch)
		prices = append(prices, string(num.Append(nil, int64(tr.Price), ps)))
	}
	if got := strings.Join(prices, " "); got != "10.50 10.50 10.500 10.125" {
		t.Errorf("prices are %s", got)
	}
}
