package export

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

func (g *rig) source(store *kv.Store) *Source {
	return &Source{History: history.NewReader(store, g.get), Markets: g.all, Enter: func(context.Context) (func(), error) { return func() {}, nil }}
}

// whenBusy is a range around a midnight, of no whole day.
var whenBusy = history.Span{From: model.Millis(rigStart.UnixMilli() + 3_001), To: model.Millis(rigStart.UnixMilli() + 55_002)}

func written(t testing.TB, s *Source, r RangeRequest) []byte {
	t.Helper()
	var out bytes.Buffer
	told := int64(0)
	n, err := s.WriteRange(t.Context(), &out, r, func(n int64) { told = n })
	if err != nil || told != n {
		t.Fatalf("%s of %s: %d rows, %d told, %v", r.Format, r.Dataset, n, told, err)
	}
	return out.Bytes()
}

func collect[T any](t testing.TB, s *Source, rows func(func([]T, error) bool)) (out []T) {
	t.Helper()
	for batch, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, batch...)
	}
	return out
}

// imported loads files into an empty store and returns what reads it.
func imported(t testing.TB, g *rig, names ...string) *Source {
	t.Helper()
	store := kv.Options{Dir: filepath.Join(t.TempDir(), "store"), CacheBytes: 8 << 20, MinFree: -1}
	report, err := engine.Import(t.Context(), engine.ImportOptions{Store: store, Files: names, Now: func() time.Time { return g.clock },
		Archive: engine.ArchiveOptions{Lake: func(name string) (engine.LakeFile, error) { return OpenArchive(name) }}})
	if err != nil || report.Rejected > 0 || len(report.Faults) > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	s, err := kv.Open(store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	rows, err := history.Markets(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	get := func(id model.MarketID) (*model.Market, bool) {
		i := slices.IndexFunc(rows, func(m *model.Market) bool { return m.ID == id })
		return rows[max(i, 0)], i >= 0
	}
	return &Source{History: history.NewReader(s, get), Markets: func() []*model.Market { return rows }, Enter: g.source(s).Enter}
}

// What is written as text or as Parquet of any range, and imported elsewhere, are the same rows there.
func TestRangesComeBackThroughAnImport(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(1, 200)
	g.deliver()
	g.flush()
	s, m := g.source(g.store), g.markets[0].m
	day := history.Span{From: whenBusy.From - whenBusy.From%86_400_000, To: whenBusy.To + 86_400_000}
	wantTrades := collect(t, s, s.Trades(t.Context(), m, whenBusy))
	wantCandles := collect(t, s, s.Candles(t.Context(), m, day))
	wantRates := collect(t, s, s.FundingRates(t.Context(), nil, day))
	if len(wantTrades) < 20 || len(wantCandles) < 2 || len(wantRates) == 0 {
		t.Fatalf("%d trades, %d candles, %d rates", len(wantTrades), len(wantCandles), len(wantRates))
	}
	for _, f := range []Format{CSV, NDJSON, Parquet} {
		dir := t.TempDir()
		file := func(d Dataset, m *model.Market, sp history.Span) string {
			name := filepath.Join(dir, string(d)+"."+string(f))
			if err := os.WriteFile(name, written(t, s, RangeRequest{f, d, m, sp}), 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
		to := imported(t, g, file(Trades, m, whenBusy))
		if got := collect(t, to, to.Trades(t.Context(), to.Markets()[0], day)); !slices.Equal(got, wantTrades) {
			t.Errorf("%s: %d trades came back of %d", f, len(got), len(wantTrades))
		}
		to = imported(t, g, file(Candles, m, day))
		if got := collect(t, to, to.Candles(t.Context(), to.Markets()[0], day)); !slices.Equal(got, wantCandles) {
			t.Errorf("%s: candles are\n%+v, want\n%+v", f, got, wantCandles)
		}
		to = imported(t, g, file(FundingRates, nil, day))
		if got := collect(t, to, to.FundingRates(t.Context(), nil, day)); !slices.Equal(got, wantRates) {
			t.Errorf("%s: rates are\n%+v, want\n%+v", f, got, wantRates)
		}
	}
	in, err := OpenArchive(parquetFile(t, written(t, s, RangeRequest{Parquet, Trades, m, whenBusy})))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, h := range in.Held() {
		if h.From < whenBusy.From || h.To > whenBusy.To {
			t.Errorf("a file of %+v says that it holds %+v", whenBusy, h)
		}
	}
}

func parquetFile(t testing.TB, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.parquet")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Columns of text are those of the files, by name and order, and each has a form of its own; what is nothing is left out.
func TestTextHasTheColumnsOfTheFiles(t *testing.T) {
	t.Parallel()
	checkText(t, Trade{Timestamp: 1, MarketID: 2, Symbol: `A,"B`, TradeID: 3, Type: "trade", Side: "buy", Price: 1_500000, Size: 1, USDAmount: -10_000000,
		IsMakerAsk: true, TakerFee: -28},
		`1,,2,"A,""B",3,trade,buy,1.5,0.000001,-10,0,0,0,0,true,-28,,0,`,
		`{"timestamp":1,"market_id":2,"symbol":"A,\"B","trade_id":3,"type":"trade","side":"buy","price":"1.5","size":"0.000001","usd_amount":"-10",`+
			`"ask_account_id":0,"bid_account_id":0,"ask_id":0,"bid_id":0,"is_maker_ask":true,"taker_fee":-28,"block_height":0}`)
	checkText(t, Candle{Timestamp: 60_000, Symbol: "A", Resolution: "1m", Open: 1, High: 20_000000, TradeCount: 9},
		`60000,0,A,1m,0.000001,20,0,0,0,0,0,9`, `{"timestamp":60000,"market_id":0,"symbol":"A","resolution":"1m","open":"0.000001","high":"20",`+
			`"low":"0","close":"0","volume":"0","quote_volume":"0","vwap":"0","trade_count":9}`)
	checkText(t, FundingRate{Timestamp: 1, Symbol: "A", Rate: -12_000_000, Direction: "short"},
		`1,0,A,-0.000012,0,short`, `{"timestamp":1,"market_id":0,"symbol":"A","rate":"-0.000012","value":"0","direction":"short"}`)
	checkText(t, Snapshot{Timestamp: 1, RecvTS: 2, Symbol: "A", Nonce: 3, BestBid: 1_000000, Bids: []Level{{1_000000, 5}, {500000, 1_000000}}},
		`1,2,0,A,3,1,,,,"[[""1"",""0.000005""],[""0.5"",""1""]]",[]`,
		`{"timestamp":1,"recv_ts":2,"market_id":0,"symbol":"A","nonce":3,"best_bid":"1","bids":[["1","0.000005"],["0.5","1"]],"asks":[]}`)
	checkText(t, BookUpdate{Timestamp: 1, RecvTS: 2, Symbol: "A", Nonce: 3, Side: "ask", Price: 1},
		`1,2,0,A,3,false,ask,0.000001,0`,
		`{"timestamp":1,"recv_ts":2,"market_id":0,"symbol":"A","nonce":3,"snapshot":false,"side":"ask","price":"0.000001","size":"0"}`)
	checkText(t, Gap{MarketID: 1, Symbol: "A", Kind: "book", From: 5, To: 6, Cause: "not_recorded"},
		`1,A,book,5,6,not_recorded`, `{"market_id":1,"symbol":"A","kind":"book","from":5,"to":6,"cause":"not_recorded"}`)
}

func checkText[T Row[T]](t *testing.T, row T, record, object string) {
	t.Helper()
	var names []string
	for f := range reflect.TypeFor[T]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		names = append(names, name)
	}
	text := func(f Format, rows ...T) string {
		var out bytes.Buffer
		w := rangeWriter{ctx: t.Context(), request: RangeRequest{Format: f}, out: bufio.NewWriter(&out), progress: func(int64) {}}
		if err := writeRange(&w, once(rows)); err != nil {
			t.Fatal(err)
		}
		if err := w.out.Flush(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	header := strings.Join(names, ",") + "\n"
	if got, want := text(CSV, row), header+record+"\n"; got != want {
		t.Errorf("as CSV it is\n%s, want\n%s", got, want)
	}
	if got, want := text(NDJSON, row), object+"\n"; got != want {
		t.Errorf("as NDJSON it is\n%s, want\n%s", got, want)
	}
	if got := text(CSV) + text(NDJSON); got != header {
		t.Errorf("without rows it is %q", got)
	}
}

// npyRows reads the array of a zip as anybody would who knows the two formats.
func npyRows(t testing.TB, content []byte) (out []event) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 1 || z.File[0].Name != "data.npy" {
		t.Fatalf("the zip has %+v", z.File)
	}
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	n := int(binary.LittleEndian.Uint16(raw[8:]))
	header := string(raw[10 : 10+n])
	form := regexp.MustCompile(`^\{'descr': \[\('ev', '<u8'\), \('exch_ts', '<i8'\), \('local_ts', '<i8'\), \('px', '<f8'\), \('qty', '<f8'\), ` +
		`\('order_id', '<u8'\), \('ival', '<i8'\), \('fval', '<f8'\)\], 'fortran_order': False, 'shape': \((\d+),\), \} *\n$`)
	shape := form.FindStringSubmatch(header)
	if string(raw[:8]) != "\x93NUMPY\x01\x00" || (10+n)%64 != 0 || shape == nil {
		t.Fatalf("the array begins with %q", raw[:10+n])
	}
	rows := raw[10+n:]
	if want, _ := strconv.Atoi(shape[1]); len(rows) != want*64 {
		t.Fatalf("%d bytes follow for %d rows", len(rows), want)
	}
	for ; len(rows) > 0; rows = rows[64:] {
		word := func(i int) uint64 { return binary.LittleEndian.Uint64(rows[8*i:]) }
		if word(5)|word(6)|word(7) != 0 {
			t.Fatal("members of orders are set")
		}
		out = append(out, event{word(0), int64(word(1)), int64(word(2)), math.Float64frombits(word(3)), math.Float64frombits(word(4))})
	}
	return out
}

// The events of a market are its trades and the changes of its book: at the venue in the order of its clock, with us in the order
// of ours, each once in both, and the same bytes each time.
func TestEventsOfTheBacktester(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(1, 200)
	g.deliver()
	g.flush()
	s, m := g.source(g.store), g.markets[0].m
	content := written(t, s, RangeRequest{Format: HftBacktest, Market: m, Span: whenBusy})
	if !bytes.Equal(content, written(t, s, RangeRequest{Format: HftBacktest, Market: m, Span: whenBusy})) {
		t.Error("the second time it is another file")
	}
	rows := npyRows(t, content)

	type key struct {
		kind        uint64
		price, size float64
	}
	want := map[key]int{}
	for _, r := range collect(t, s, s.Trades(t.Context(), m, whenBusy)) {
		kind := uint64(2 | 1<<28)
		if r.Side == "buy" {
			kind = 2 | 1<<29
		}
		want[key{kind, float64(r.Price) / 1e6, float64(r.Size) / 1e6}]++
	}
	var last BookUpdate
	for _, r := range collect(t, s, s.BookUpdates(t.Context(), m, whenBusy)) {
		kind := uint64(1)
		if r.Snapshot {
			kind = 4
			if !last.Snapshot || last.RecvTS != r.RecvTS {
				want[key{3, 0, 0}]++
			}
		}
		last = r
		if r.Side == "bid" {
			kind |= 1 << 29
		} else {
			kind |= 1 << 28
		}
		want[key{kind, float64(r.Price) / 1e6, float64(r.Size) / 1e6}]++
	}
	if len(want) < 50 || want[key{3, 0, 0}] == 0 {
		t.Fatalf("%d different events", len(want))
	}
	for _, clock := range []struct {
		name string
		flag uint64
		at   func(event) int64
	}{{"the venue", 1 << 31, func(e event) int64 { return e.exch }}, {"us", 1 << 30, func(e event) int64 { return e.local }}} {
		got, at := map[key]int{}, int64(0)
		for _, e := range rows {
			if e.kind&clock.flag == 0 {
				continue
			}
			got[key{e.kind &^ (1<<31 | 1<<30), e.price, e.size}]++
			if clock.at(e) < at || e.local < e.exch {
				t.Fatalf("with %s %+v comes after %d", clock.name, e, at)
			}
			at = clock.at(e)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("with %s there are %d different events, want %d", clock.name, len(got), len(want))
		}
	}
	readByPython(t, content, len(rows), rows[len(rows)-1])
}

// readByPython reads the array with Python, and with NumPy where that is there.
func readByPython(t *testing.T, content []byte, rows int, last event) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Log("no python3: its own reading of the array is left out")
		return
	}
	name := filepath.Join(t.TempDir(), "x.npz")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	const script = `
import sys, struct
try:
    import numpy
    a = numpy.load(sys.argv[1])['data']
    row = a[-1]
    print(len(a), *(row[n].item() for n in ('ev', 'exch_ts', 'local_ts')), repr(row['px'].item()), repr(row['qty'].item()))
except ImportError:
    import ast, zipfile
    raw = zipfile.ZipFile(sys.argv[1]).read('data.npy')
    n = struct.unpack('<H', raw[8:10])[0]
    head = ast.literal_eval(raw[10:10+n].decode())
    row = struct.unpack('<QqqddQqd', raw[-64:])
    assert len(raw) == 10 + n + 64 * head['shape'][0]
    print(head['shape'][0], *row[:3], repr(row[3]), repr(row[4]))
`
	out, err := exec.CommandContext(t.Context(), python, "-c", script, name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	fields := strings.Fields(string(out))
	price, _ := strconv.ParseFloat(fields[4], 64)
	size, _ := strconv.ParseFloat(fields[5], 64)
	if want := []string{strconv.Itoa(rows), strconv.FormatUint(last.kind, 10), strconv.FormatInt(last.exch, 10), strconv.FormatInt(last.local, 10)}; !slices.Equal(fields[:4], want) || price != last.price || size != last.size {
		t.Errorf("Python reads %s, want %s and %+v", out, want, last)
	}
}

// However two feeds lie to one another, what happens is in the order of the venue's clock and what is received in that of ours.
func TestEventsAreInBothOrders(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var streams []*eventStream
		var all []event
		for feed := range 2 {
			var batches [][]event
			n := uint64(0)
			for range rapid.IntRange(0, 4).Draw(rt, "batches") {
				var batch []event
				for range rapid.IntRange(0, 5).Draw(rt, "events") {
					n++
					e := event{kind: n<<32 | uint64(feed), exch: rapid.Int64Range(0, 20).Draw(rt, "exch")}
					e.local = e.exch + rapid.Int64Range(-2, 9).Draw(rt, "latency")
					batch = append(batch, e)
				}
				batches = append(batches, batch)
			}
			at, s := 0, &eventStream{}
			s.next = func() ([]event, error, bool) {
				if at++; at > len(batches) {
					return nil, nil, false
				}
				return batches[at-1], nil, true
			}
			streams = append(streams, s)
			var exch, local int64
			for _, e := range slices.Concat(batches...) {
				local = max(local, e.local)
				exch = max(exch, min(e.exch, local))
				e.exch, e.local = exch, local
				all = append(all, e)
			}
		}
		var happened, received []event
		both := 0
		if err := mergeEvents(streams, func(e *event) error {
			plain := *e
			plain.kind &^= eventExchange | eventLocal
			if e.kind&eventExchange != 0 {
				happened = append(happened, plain)
			}
			if e.kind&eventLocal != 0 {
				received = append(received, plain)
				if e.kind&eventExchange != 0 {
					both++
				}
			}
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
		// The same feed's events keep their order; of two feeds the one that comes first in both clocks does.
		slices.SortStableFunc(all, func(a, b event) int { return cmp.Or(cmp.Compare(a.exch, b.exch), cmp.Compare(a.local, b.local)) })
		if !slices.Equal(happened, all) {
			rt.Fatalf("happened:\n%+v, want\n%+v", happened, all)
		}
		inOrder := slices.IsSortedFunc(all, func(a, b event) int { return cmp.Compare(a.local, b.local) })
		slices.SortStableFunc(all, func(a, b event) int { return cmp.Or(cmp.Compare(a.local, b.local), cmp.Compare(a.exch, b.exch)) })
		if !slices.Equal(received, all) {
			rt.Fatalf("received:\n%+v, want\n%+v", received, all)
		}
		if inOrder && both != len(all) {
			rt.Fatalf("%d of %d events are given once, and both orders are the same", both, len(all))
		}
	})
}

// binary64 is the nearest number, also beyond 53 bits.
func TestNumbersAreTheNearest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		mant := rapid.Int64Range(-limit+1, limit-1).Draw(rt, "mant")
		want, _ := strconv.ParseFloat(string(appendDecimal(nil, mant, decimalScale)), 64)
		if got := binary64(mant); got != want {
			rt.Fatalf("%d is %v, want %v", mant, got, want)
		}
	})
}
