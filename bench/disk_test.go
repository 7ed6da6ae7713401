package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"hyperlight/bench/bare"
	"hyperlight/engine"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// packed counts the bytes of some frames of a recording as one gzip stream.
type packed struct {
	n    int
	raw  int
	out  countWriter
	gzip *gzip.Writer
}

type countWriter int

func (c *countWriter) Write(p []byte) (int, error) {
	*c += countWriter(len(p))
	return len(p), nil
}

func (p *packed) add(line []byte, n int) {
	if p.gzip == nil {
		p.gzip = gzip.NewWriter(&p.out)
	}
	_, _ = p.gzip.Write(line) // a countWriter takes everything
	p.raw += len(line)
	p.n += n
}

// split sorts the lines of a recording into those of books and those of trades, and counts updates and trades.
func split(b *testing.B, path string) (books, trades *packed) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	books, trades = &packed{}, &packed{}
	for r := bufio.NewReaderSize(z, 1<<20); ; {
		line, err := r.ReadBytes('\n')
		switch {
		case bytes.Contains(line, []byte(`"channel":"order_book:`)):
			books.add(line, 1)
		case bytes.Contains(line, []byte(`"channel":"trade:`)):
			trades.add(line, bytes.Count(line, []byte(`"trade_id":`)))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, p := range []*packed{books, trades} {
		if p.n == 0 {
			b.Fatal("the recording has no frames of one kind")
		}
		if err := p.gzip.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return books, trades
}

// BenchmarkDisk imports the real recording, which seals it, and reports the bytes that a book update and a trade take,
// indexes, keyframes and candles included, in the store's rows, and in its files after compaction. The baseline is the
// recorded JSON through gzip; ratio is its bytes by ours.
func BenchmarkDisk(b *testing.B) {
	path := feedtest.Recording(b, "captures/lighter/ws-btc-eth-20251009.ndjson.gz")
	books, trades := split(b, path)
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "store")
		options := kv.Options{Dir: dir, MinFree: -1}
		report, err := engine.Import(b.Context(), engine.ImportOptions{Store: options, Files: []string{path}})
		if err != nil {
			b.Fatal(err)
		}
		if report.Gaps != 0 || report.Rejected != 0 {
			b.Fatalf("import: %+v", report)
		}
		store, err := kv.Open(options)
		if err != nil {
			b.Fatal(err)
		}
		updateRows := bare.Rows(b, store, key.Keyframes, key.Books)
		tradeRows := bare.Rows(b, store, key.Trades, key.Candles, key.Liquidations)
		tables := func(rows []bare.Row) float64 {
			x := bare.Open(b, b.TempDir())
			x.Write(rows, len(rows))
			return float64(x.Settle())
		}
		updates, stored := float64(report.Updates), float64(report.Trades)
		onDisk, tradesOnDisk := tables(updateRows)/updates, tables(tradeRows)/stored
		b.ReportMetric(float64(bare.Size(updateRows))/updates, "row-B/update")
		b.ReportMetric(onDisk, "disk-B/update")
		b.ReportMetric(float64(books.out)/float64(books.n), "gzip-B/update")
		b.ReportMetric(float64(books.raw)/float64(books.n), "json-B/update")
		b.ReportMetric(float64(books.out)/float64(books.n)/onDisk, "update-ratio")
		b.ReportMetric(float64(bare.Size(tradeRows))/stored, "row-B/trade")
		b.ReportMetric(tradesOnDisk, "disk-B/trade")
		b.ReportMetric(float64(trades.out)/float64(trades.n), "gzip-B/trade")
		b.ReportMetric(float64(trades.raw)/float64(trades.n), "json-B/trade")
		b.ReportMetric(float64(trades.out)/float64(trades.n)/tradesOnDisk, "trade-ratio")
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
