package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/export"
)

// recordedDay is the day of the recording, and the bounds that calls name.
var recordedDay = model.Millis(time.Date(2025, 10, 9, 0, 0, 0, 0, time.UTC).UnixMilli())

// exported is a file as the list tells it.
type exported struct {
	ID      string `json:"export_id"`
	Dataset lake.Dataset
	Market  *int64 `json:"market_id"`
	Date    string
	Rows    int64
	Bytes   int64  `json:"size_bytes"`
	SHA256  string `json:"sha256"`
	Status  string
}

// exports is the list of files and what the making of them is at.
type exports struct {
	Exports []exported
	State   struct {
		Status   string
		Finished *int64 `json:"finished_at"`
		Next     *int64 `json:"next_at"`
	}
}

func (a *appliance) exports(query string) (e exports) {
	a.t.Helper()
	a.get("/api/v1/data-lake/exports?limit=1000&order=asc&"+query, &e)
	return e
}

// waitLake waits until the files of all finished days are made, and returns those that a query asks for.
func (a *appliance) waitLake(query string) map[string]exported {
	a.t.Helper()
	var e exports
	waitFor(a.t, time.Minute, func() bool { e = a.exports(query); return e.State.Status == "idle" && e.State.Next != nil },
		func() string { return fmt.Sprintf("%+v", e) })
	out := make(map[string]exported, len(e.Exports))
	for _, f := range e.Exports {
		if f.Status != "ready" || f.Rows <= 0 || out[f.ID].ID != "" {
			a.t.Errorf("listed is %+v", f)
		}
		out[f.ID] = f
	}
	return out
}

// link asks for the link to a file.
func (a *appliance) link(f exported) string {
	a.t.Helper()
	var d struct {
		URL       string
		ExpiresIn int `json:"expires_in"`
		SHA256    string
		Bytes     int64 `json:"size_bytes"`
	}
	a.get("/api/v1/data-lake/download/"+f.ID, &d)
	if d.ExpiresIn < 890 || d.ExpiresIn > 900 || d.SHA256 != f.SHA256 || d.Bytes != f.Bytes || !strings.HasPrefix(d.URL, a.base+"/api/v1/data-lake/files/"+f.ID+".parquet?") {
		a.t.Errorf("download of %+v is %+v", f, d)
	}
	return d.URL
}

// fetchPart fetches an address, or a range of it.
func fetchPart(method, address, part string) (*http.Response, []byte, error) {
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		return nil, nil, err
	}
	if part != "" {
		req.Header.Set("Range", part)
	}
	client := http.Client{Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// download fetches a file by its link, wants it to be the one that is listed, whole and in parts, and keeps it.
func (a *appliance) download(f exported, dir string) (link, name string) {
	a.t.Helper()
	link = a.link(f)
	whole, body, err := fetchPart("GET", link, "")
	if err != nil {
		a.t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	etag := `"` + f.SHA256 + `"`
	if hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(body)) != f.Bytes || whole.Header.Get("ETag") != etag ||
		whole.StatusCode != 200 || whole.Header.Get("Content-Type") != "application/vnd.apache.parquet" {
		a.t.Errorf("%s: status %d, %d bytes, SHA-256 %x, headers %v; listed is %+v", f.ID, whole.StatusCode, len(body), sum, whole.Header, f)
	}
	for part, want := range map[string][]byte{"bytes=-8": body[len(body)-8:], "bytes=4-19": body[4:20], fmt.Sprintf("bytes=%d-", len(body)/2): body[len(body)/2:]} {
		resp, got, err := fetchPart("GET", link, part)
		if err != nil || resp.StatusCode != 206 || !bytes.Equal(got, want) || resp.Header.Get("ETag") != etag {
			a.t.Errorf("%s %s: %v, %d bytes of %d", f.ID, part, err, len(got), len(want))
		}
	}
	if resp, got, err := fetchPart("HEAD", link, ""); err != nil || resp.StatusCode != 200 || len(got) > 0 || resp.ContentLength != f.Bytes {
		a.t.Errorf("HEAD of %s: %v %+v", f.ID, err, resp)
	}
	if resp, _, err := fetchPart("GET", strings.Replace(link, "signature=", "signature=0", 1), ""); err != nil || resp.StatusCode != 403 {
		a.t.Errorf("%s with a wrong signature: %v %v", f.ID, err, resp)
	}
	if resp, _, err := fetchPart("GET", a.base+"/api/v1/data-lake/download/"+f.ID+"?redirect=true", ""); err != nil || resp.StatusCode != 302 ||
		!strings.HasPrefix(resp.Header.Get("Location"), strings.SplitAfter(link, "?")[0]) {
		a.t.Errorf("%s redirected: %v %v", f.ID, err, resp)
	}
	name = filepath.Join(dir, f.ID+".parquet")
	if err := os.WriteFile(name, body, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return link, name
}

// rowsOf reads the rows of a file.
func rowsOf[T export.Row[T]](t testing.TB, name string) (out []T) {
	t.Helper()
	f, err := export.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := export.NewReader[T](f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		batch := make([]T, 1000)
		n, err := r.Read(batch)
		out = append(out, batch[:n]...)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// span is the recorded day in the words of a query.
func span() string { return fmt.Sprintf("start=%d&end=%d", recordedDay, recordedDay+lake.DayMillis) }

type restRow = map[string]any

// pages fetches all rows of a list, page by page; the total of each page has to be the number of rows. What the answer says of all
// of them, as the market, is in each.
func (a *appliance) pages(path, member string) (out []restRow) {
	a.t.Helper()
	for next := ""; ; {
		var data restRow
		got, body, err := a.try(path + next)
		if err != nil || got.Status != 200 {
			a.t.Fatalf("%s: %v %.300s", path+next, err, body)
		}
		decode := json.NewDecoder(bytes.NewReader(got.Data))
		decode.UseNumber()
		if err := decode.Decode(&data); err != nil {
			a.t.Fatal(err)
		}
		rows := data[member].([]any)
		for _, row := range rows {
			r := row.(restRow)
			for _, of := range []string{"market_id", "symbol", "resolution"} {
				if v, ok := data[of]; ok {
					r[of] = v
				}
			}
			out = append(out, r)
		}
		switch total := got.Meta.Total; {
		case got.Meta.NextCursor != "":
			next = "&cursor=" + got.Meta.NextCursor
		case total != nil && *total > int64(len(out)) && len(rows) > 0:
			next = fmt.Sprintf("&offset=%d", len(out))
		default:
			if total != nil && *total != int64(len(out)) {
				a.t.Errorf("%s: total is %d of %d rows", path, *total, len(out))
			}
			return out
		}
	}
}

// fixed returns a decimal with so many digits after its point; what does not fit exactly fails.
func fixed(t testing.TB, text string, digits int) int64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no decimal", text)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)))
	if !r.IsInt() || !r.Num().IsInt64() {
		t.Fatalf("%q does not fit", text)
	}
	return r.Num().Int64()
}

// fromREST returns the row of a file that is the row of an answer. Members and columns have the same names.
func fromREST[T export.Row[T]](t testing.TB, told restRow) (row T) {
	t.Helper()
	v := reflect.ValueOf(&row).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("parquet")
		name, _, _ := strings.Cut(tag, ",")
		is, ok := told[name]
		if !ok || is == nil {
			continue
		}
		digits := 6
		if strings.Contains(tag, "decimal(12:18)") {
			digits = 12
		}
		switch f := v.Field(i); {
		case f.Kind() == reflect.Bool:
			f.SetBool(is.(bool))
		case f.Kind() == reflect.String:
			f.SetString(is.(string))
		case f.Kind() == reflect.Slice:
			levels := []export.Level{}
			for _, l := range is.([]any) {
				pair := l.([]any)
				levels = append(levels, export.Level{Price: fixed(t, pair[0].(string), 6), Size: fixed(t, pair[1].(string), 6)})
			}
			f.Set(reflect.ValueOf(levels))
		case strings.Contains(tag, "decimal("):
			f.SetInt(fixed(t, is.(string), digits))
		default:
			f.SetInt(number(t, is))
		}
	}
	return row
}

func number(t testing.TB, told any) int64 {
	t.Helper()
	n, err := told.(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// recordedLake is the files of the recorded day, as they were downloaded.
type recordedLake struct {
	*appliance
	names, links map[string]string // by id
	readers      map[string][]fileTold
}

// mostLevels is how many levels of a book an answer has at most. A file has all.
const mostLevels = 1000

// sameRows wants a file to have the very rows of an answer. The fees of trades are not part of it, nor levels beyond the most.
func sameRows[T export.Row[T]](r *recordedLake, d lake.Dataset, market int64, told []restRow) (got []T) {
	r.t.Helper()
	id := lake.ID{Dataset: d, Market: market, Day: recordedDay}.String()
	got = rowsOf[T](r.t, r.names[id])
	if len(got) == 0 || len(got) != len(told) {
		r.t.Errorf("%s: %d rows, REST has %d", id, len(got), len(told))
		return got
	}
	for i := range got {
		want, row := fromREST[T](r.t, told[i]), got[i]
		for f := range reflect.TypeFor[T]().NumField() {
			v := reflect.ValueOf(&row).Elem().Field(f)
			switch name := reflect.TypeFor[T]().Field(f).Name; {
			case name == "TakerFee" || name == "MakerFee":
				v.SetInt(0)
			case v.Kind() == reflect.Slice:
				v.Set(v.Slice(0, min(v.Len(), mostLevels)))
			}
		}
		if !reflect.DeepEqual(row, want) {
			r.t.Fatalf("%s: row %d is\n%.2000s, REST has\n%.2000s", id, i, fmt.Sprintf("%+v", row), fmt.Sprintf("%+v", want))
		}
	}
	r.sameReaders(id, tellLakeFile[T](r.t, r.names[id]))
	return got
}

// sameReaders wants the readers of other people to find in a file what we do.
func (r *recordedLake) sameReaders(id string, ours fileRows) {
	r.t.Helper()
	for i, told := range r.readers[id] {
		if told.Rows != ours.Rows || told.Digest != ours.Digest || !reflect.DeepEqual(told.Sums, ours.Sums) {
			r.t.Errorf("%s: reader %d finds %d rows, sums %v; ours finds %d, %v", id, i, told.Rows, told.Sums, ours.Rows, ours.Sums)
		}
	}
}

// readByOthers reads all files with hyparquet, in ranges from the running server, and with DuckDB. DuckDB reads the files that
// were downloaded: its extensions httpfs and iceberg come from its own site; where httpfs is installed it reads the links too.
func (r *recordedLake) readByOthers() {
	r.t.Helper()
	r.readers = map[string][]fileTold{}
	if !haveClients(r.t) {
		return
	}
	var links, names []string
	for id := range r.names {
		links, names = append(links, r.links[id]), append(names, r.names[id])
	}
	duckdb := []string{"node", "lake-duckdb.mjs"}
	told := []map[string]fileTold{readLake(r.t, clientsDir, []string{"node", "lake-hyparquet.mjs"}, links...), readLake(r.t, clientsDir, duckdb, names...)}
	if exec.Command("node", "--input-type=module", "-e", loadHTTPFS).Run() == nil {
		told = append(told, readLake(r.t, clientsDir, duckdb, links...))
	}
	for id := range r.names {
		for _, all := range told {
			one, ok := all[r.links[id]]
			if !ok {
				one = all[r.names[id]]
			}
			r.readers[id] = append(r.readers[id], one)
		}
	}
}

const loadHTTPFS = `import { DuckDBInstance } from './testdata/clients/node_modules/@duckdb/node-api/lib/index.js';
await (await (await DuckDBInstance.create(':memory:')).connect()).run('load httpfs');`

func (a *appliance) downloadAll(files map[string]exported) *recordedLake {
	a.t.Helper()
	r := &recordedLake{appliance: a, names: map[string]string{}, links: map[string]string{}}
	dir := a.t.TempDir()
	for id, f := range files {
		r.links[id], r.names[id] = a.download(f, dir)
	}
	return r
}

// check compares the files of a market with REST and with each other.
func (r *recordedLake) check(market int64) {
	t := r.t
	t.Helper()
	trades := sameRows[export.Trade](r, lake.Trades, market,
		r.pages(fmt.Sprintf("/api/v1/trades/by-time?market_id=%d&limit=100&order=asc&%s", market, span()), "trades"))
	candles := r.pages(fmt.Sprintf("/api/v1/candles?market_id=%d&resolution=1m&limit=1000&%s", market, span()), "candles")
	for _, c := range candles { // the lake has the quotient of two members
		volume, _ := new(big.Rat).SetString(c["volume"].(string))
		quote, _ := new(big.Rat).SetString(c["quote_volume"].(string))
		if volume.Sign() > 0 {
			c["vwap"] = halfEven(quote.Quo(quote, volume), 6)
		}
	}
	var count int64
	size, usd := new(big.Int), new(big.Int)
	for _, row := range trades {
		count++
		size.Add(size, big.NewInt(row.Size))
		usd.Add(usd, big.NewInt(row.USDAmount))
	}
	for _, row := range sameRows[export.Candle](r, lake.Candles, market, candles) {
		count -= row.TradeCount
		size.Sub(size, big.NewInt(row.Volume))
		usd.Sub(usd, big.NewInt(row.QuoteVolume))
	}
	if count != 0 || size.Sign() != 0 || usd.Sign() != 0 {
		t.Errorf("market %d: candles lack %d trades, %s of volume, %s of value (millionths)", market, count, size, usd)
	}
	snapshots := sameRows[export.Snapshot](r, lake.Snapshots, market,
		r.pages(fmt.Sprintf("/api/v1/orderbook/%d/snapshots?interval=1s&depth=1000&limit=1000&%s", market, span()), "snapshots"))
	r.checkBooks(market, snapshots)
}

// checkBooks wants the changes of a book to lead to its snapshots.
func (r *recordedLake) checkBooks(market int64, snapshots []export.Snapshot) {
	r.t.Helper()
	id := lake.ID{Dataset: lake.BookUpdates, Market: market, Day: recordedDay}.String()
	r.sameReaders(id, tellLakeFile[export.BookUpdate](r.t, r.names[id]))
	bids, asks := map[int64]int64{}, map[int64]int64{}
	updates, n, last := rowsOf[export.BookUpdate](r.t, r.names[id]), 0, int64(0)
	for _, s := range snapshots {
		for ; n < len(updates) && updates[n].RecvTS < s.Timestamp*1000; n++ {
			u := updates[n]
			if u.Snapshot && (n == 0 || !updates[n-1].Snapshot || u.Nonce != updates[n-1].Nonce) {
				clear(bids)
				clear(asks)
			}
			side := map[string]map[int64]int64{"bid": bids, "ask": asks}[u.Side]
			if last = u.RecvTS; u.Size == 0 {
				delete(side, u.Price)
			} else {
				side[u.Price] = u.Size
			}
		}
		for side, levels := range map[*map[int64]int64][]export.Level{&bids: s.Bids, &asks: s.Asks} {
			same := len(levels) == len(*side)
			for _, l := range levels {
				same = same && (*side)[l.Price] == l.Size
			}
			if !same {
				r.t.Fatalf("market %d at %d: the snapshot has %d levels, the changes up to %d lead to others (%d)", market, s.Timestamp, len(levels), last, len(*side))
			}
		}
	}
}

// checkAll compares the files of all markets.
func (r *recordedLake) checkAll(markets int64) (gaps int) {
	r.t.Helper()
	var fundings []restRow
	for hour := range int64(24) { // the file is by time, then market
		for m := range markets {
			at := int64(recordedDay) + hour*3_600_000
			fundings = append(fundings, r.pages(fmt.Sprintf("/api/v1/funding-rates/history?market_id=%d&resolution=1h&limit=1000&order=asc&start=%d&end=%d", m, at, at+3_600_000), "rates")...)
		}
	}
	sameRows[export.FundingRate](r, lake.FundingRates, lake.AllMarkets, fundings)
	for m := range markets {
		r.check(m)
	}
	id := lake.ID{Dataset: lake.Gaps, Market: lake.AllMarkets, Day: recordedDay}.String()
	r.sameReaders(id, tellLakeFile[export.Gap](r.t, r.names[id]))
	want := map[string]bool{}
	kinds := map[string]string{"order_book": "book", "trade": "trades", "market_stats": "market_stats"}
	for _, g := range r.pages("/api/v1/data-quality/gaps?limit=1000&order=asc&"+span(), "gaps") {
		from, to := number(r.t, g["from"]), int64(recordedDay+lake.DayMillis)
		if g["to"] != nil { // it has ended
			to = min(to, number(r.t, g["to"]))
		}
		if !g["filled"].(bool) {
			want[fmt.Sprint(g["market_id"], kinds[g["kind"].(string)], max(from, int64(recordedDay)), to, g["cause"])] = true
		}
	}
	for _, g := range rowsOf[export.Gap](r.t, r.names[id]) {
		name := fmt.Sprint(g.MarketID, g.Kind, g.From, g.To, g.Cause)
		if g.Cause != "not_recorded" && !want[name] {
			r.t.Errorf("gap %s is not known to REST", name)
		}
		if g.Cause != "not_recorded" {
			gaps++
		}
		delete(want, name)
	}
	if len(want) > 0 {
		r.t.Errorf("the lake lacks gaps %v", want)
	}
	return gaps
}

// halfEven rounds to so many digits after the point.
func halfEven(r *big.Rat, digits int) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n := new(big.Int).Mul(r.Num(), scale)
	q, rest := new(big.Int).QuoRem(n, r.Denom(), new(big.Int))
	if c := rest.Lsh(rest, 1).Cmp(r.Denom()); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(q, scale).FloatString(digits)
}

// withoutPart copies a recording without what came of some channels between two of its seconds.
func withoutPart(t testing.TB, path, into string, from, to time.Duration, channels ...string) {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	first := int64(0)
	for dec := json.NewDecoder(unpacked); ; {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Recv int64 `json:"recv_us"`
			Msg  struct{ Channel, Type string }
		}
		if err := json.Unmarshal(raw, &f); err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = f.Recv
		}
		at := time.Duration(f.Recv-first) * time.Microsecond
		if at >= from && at < to && slices.Contains(channels, f.Msg.Channel) {
			continue
		}
		out.Write(append(raw, '\n'))
	}
	if err := os.WriteFile(into, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// importArchive loads recordings and rows, which are text, into the store of a directory.
func importArchive(t testing.TB, dir string, rows map[string]string, files ...string) {
	t.Helper()
	for name, text := range rows {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	report, err := runImport(t.Context(), applianceConfig(dir, venue{}), slog.New(slog.DiscardHandler), files, importOptions{}, engine.ArchiveOptions{}, func(engine.ImportProgress) {})
	if err != nil || len(report.Faults)+len(report.NoRows)+len(report.NoFrames) > 0 {
		t.Fatalf("import: %v %+v", err, report)
	}
}

// lakeConfig is the configuration of a server whose address is known before it starts, as the tables' has to be.
func lakeConfig(t testing.TB, dir string) *config.Config {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := applianceConfig(dir, venue{})
	cfg.Server.Listen = ln.Addr().String()
	_ = ln.Close()
	cfg.Lake.Location = "http://" + cfg.Server.Listen + "/api/v1/data-lake/files"
	return cfg
}

// A recorded day becomes files when a server starts on it. They hold the rows that REST tells, whoever reads them, and agree with
// each other; rows that come late make them anew under the same id; and the tables over them are read from the server.
func TestLakeOfARecordedDay(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	t.Parallel()
	dir := t.TempDir()
	part := filepath.Join(t.TempDir(), "part.ndjson")
	withoutPart(t, path, part, 8*time.Second, 16*time.Second, "order_book:0", "trade:0")
	fundings := "timestamp,market_id,symbol,rate,value,direction\n"
	for hour := range 24 {
		at := int64(recordedDay) + int64(hour)*3_600_000
		fundings += fmt.Sprintf("%d,0,ETH,0.0000%02d,0.%d,long\n%d,1,BTC,-0.000012,1.5,short\n", at, hour+10, hour+1, at)
	}
	importArchive(t, dir, map[string]string{"fundings.csv": fundings}, part)
	a := startAppliance(t, lakeConfig(t, dir))
	before := a.waitLake(span())
	var ids []string
	for _, d := range lake.Datasets {
		for m := range int64(2) {
			id := lake.ID{Dataset: d, Market: m, Day: recordedDay}
			if !d.PerMarket() {
				id.Market = lake.AllMarkets
			}
			if ids = append(ids, id.String()); before[id.String()].ID == "" {
				t.Errorf("there is no file %s", id)
			}
		}
	}
	if len(slices.Compact(ids)) != len(before) {
		t.Errorf("files are %v", before)
	}
	if a.downloadAll(before).checkAll(2) == 0 {
		t.Error("the hole in the recording is no gap")
	}
	a.stop()

	importInto(t, dir, path)
	a = startAppliance(t, lakeConfig(t, dir))
	after := a.waitLake(span())
	for id, f := range before {
		late := strings.Contains(id, "-0-") || strings.HasPrefix(id, "gaps-")
		if g := after[id]; (g.SHA256 != f.SHA256) != late || strings.HasPrefix(id, "trades-0") && g.Rows <= f.Rows {
			t.Errorf("late rows of market 0 made of %+v\n%+v", f, g)
		}
	}
	r := a.downloadAll(after)
	r.readByOthers()
	r.checkAll(2)
	r.checkTables(a.waitLake("")) // a gap that nothing has ended yet is in the file of each day since
}

// checkTables reads the tables over the files with icebird, from the server, which lets calls of this machine in.
func (r *recordedLake) checkTables(files map[string]exported) {
	r.t.Helper()
	if !haveClients(r.t) {
		return
	}
	rows := map[string]int64{}
	var tables []string
	for _, f := range files {
		table := r.base + "/api/v1/data-lake/files/" + string(f.Dataset)
		rows[table] += f.Rows
	}
	for table := range rows {
		tables = append(tables, table)
	}
	for table, told := range readLake(r.t, clientsDir, []string{"node", "lake-iceberg.mjs"}, tables...) {
		if told.Rows != rows[table] {
			r.t.Errorf("icebird finds %d rows of %d in %s", told.Rows, rows[table], table)
		}
	}
}

// haveClients tells whether clients of other people can be run; where they cannot, and nobody wants them to, they are left out.
func haveClients(t testing.TB) bool {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil && os.Getenv("CI") == "" {
		t.Log("Node 20 with npm is not installed: files are read by ours only")
		return false
	}
	needClients(t)
	return true
}
