package bench

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hyperlight/bench/bare"
	"hyperlight/bench/tape"
	"hyperlight/engine"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// standXDay is a day of one market, 00:00 to 24:00.
var standXDay = []string{"captures/standx/btc-usd-20260106-00h-05h.ndjson.gz", "captures/standx/btc-usd-20260106-06h-11h.ndjson.gz",
	"captures/standx/btc-usd-20260106-12h-17h.ndjson.gz", "captures/standx/btc-usd-20260106-18h-23h.ndjson.gz"}

const (
	standXFrom = model.Millis(1767657600_000)
	standXTo   = standXFrom + 86_400_000
)

// transcoded writes the Lighter frames of recordings of one market into a file and returns it with the market list.
func transcoded(tb testing.TB, recordings ...string) (file string, markets []byte, counts tape.Counts) {
	tb.Helper()
	names := make([]string, len(recordings))
	for i, r := range recordings {
		names[i] = feedtest.Recording(tb, r)
	}
	m, err := tape.Market(names[0])
	if err != nil {
		tb.Fatal(err)
	}
	file = filepath.Join(tb.TempDir(), "frames.ndjson.gz")
	f, err := os.Create(file)
	if err != nil {
		tb.Fatal(err)
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	z, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	if err != nil {
		tb.Fatal(err)
	}
	counts, err = tape.Transcode(z, names...)
	if err := errors.Join(err, z.Close(), buffered.Flush(), f.Close()); err != nil {
		tb.Fatal(err)
	}
	return file, tape.Markets(m), counts
}

// imported loads a file of frames into a new store, which seals it.
func imported(tb testing.TB, file string, markets []byte) (kv.Options, *engine.ImportReport) {
	tb.Helper()
	o := kv.Options{Dir: filepath.Join(tb.TempDir(), "store"), MinFree: -1}
	report, err := engine.Import(tb.Context(), engine.ImportOptions{Store: o, Files: []string{file}, Markets: markets})
	if err != nil {
		tb.Fatal(err)
	}
	if report.Rejected != 0 || report.KnownUpdates != 0 || report.KnownTrades != 0 {
		tb.Fatalf("import: %+v", report)
	}
	return o, report
}

// openStore opens a store for reading until the test ends; done closes it before.
func openStore(tb testing.TB, o kv.Options) (s *kv.Store, r *history.Reader, markets []*model.Market, done func()) {
	tb.Helper()
	s, err := kv.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	closed := false
	done = func() {
		if closed {
			return
		}
		closed = true
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(done)
	if markets, err = history.Markets(tb.Context(), s); err != nil {
		tb.Fatal(err)
	}
	return s, history.NewReader(s, among(markets)), markets, done
}

func among(markets []*model.Market) func(model.MarketID) (*model.Market, bool) {
	return func(id model.MarketID) (*model.Market, bool) {
		for _, m := range markets {
			if m.ID == id {
				return m, true
			}
		}
		return nil, false
	}
}

// sizes are the bytes that a sealed store takes.
type sizes struct {
	trades, updates, levels, seconds float64 // how many; levels without those of whole books
	head, core, hash, rest           float64 // of the trade rows, keys in the head
	candles, forced                  float64 // rows of candles; of liquidations
	books                            float64 // segments with their keyframes
	told                             float64 // rows of coverage and gaps, of all kinds
	index                            float64
	tables                           float64 // all rows in compacted tables
}

// measure sums the rows of a store. Levels is the number of level changes that were written.
func measure(tb testing.TB, o kv.Options, levels int) sizes {
	tb.Helper()
	s, r, markets, done := openStore(tb, o)
	defer done()
	z := sizes{levels: float64(levels)}
	of := func(f ...key.Family) float64 { return float64(bare.Size(bare.Rows(tb, s, f...))) }
	for _, row := range bare.Rows(tb, s, key.Trades) {
		h, err := record.TradeHeader(row.Value)
		if err != nil {
			tb.Fatal(err)
		}
		p, err := record.PartsOfTrades(row.Value)
		if err != nil {
			tb.Fatal(err)
		}
		z.trades += float64(h.Trades)
		z.head += float64(len(row.Key) + p.Head)
		z.core += float64(p.Core)
		z.hash += float64(p.Hash)
		z.rest += float64(p.Rest)
	}
	for _, row := range bare.Rows(tb, s, key.Books) {
		h, err := record.BookHeader(row.Value)
		if err != nil {
			tb.Fatal(err)
		}
		z.updates += float64(h.Updates)
	}
	z.books = of(key.Books, key.Keyframes)
	z.candles, z.forced, z.index, z.told = of(key.Candles), of(key.Liquidations), of(key.Index), of(key.Coverage, key.Gaps)
	for _, m := range markets {
		for _, err := range r.BookTimes(tb.Context(), m.ID, history.Span{To: 1 << 50}, time.Second, false) {
			if err != nil {
				tb.Fatal(err)
			}
			z.seconds++
		}
	}
	x := bare.Open(tb, tb.TempDir())
	all := bare.Rows(tb, s)
	x.Write(all, len(all))
	z.tables = float64(x.Settle())
	return z
}

// thinned makes the book record of a store the net change of each second.
func thinned(tb testing.TB, o kv.Options) {
	tb.Helper()
	unpin := o
	unpin.Now = time.Now
	if _, err := engine.UnpinDays(tb.Context(), unpin, history.Span{To: 1 << 50}); err != nil {
		tb.Fatal(err)
	}
	s, _, markets, done := openStore(tb, o)
	defer done()
	w, err := history.NewWriter(history.WriterOptions{Store: s, Now: time.Now, Import: true, Markets: among(markets),
		Retention: history.Retention{Ticks: time.Hour}})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	if err := w.ThinNow(tb.Context(), time.Now()); err != nil {
		tb.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		tb.Fatal(err)
	}
}
