// Command transcode turns recordings of StandX and of Binance futures into recordings of Lighter frames, one file per
// market, and writes the list of the markets beside them:
//
//	go run ./bench/transcode -o DIR RECORDING...
//	hyperlight import --markets DIR/markets.json DIR/*.ndjson.gz
//
// Files of one market are taken in the order given.
package main

import (
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"hyperlight/bench/tape"
	"hyperlight/engine/model"
)

func main() {
	dir := flag.String("o", ".", "directory of the files written")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(os.Stdout, *dir, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "transcode:", err)
		os.Exit(1)
	}
}

// run writes the files of every market that the recordings are of and says what is in them.
func run(out io.Writer, dir string, files []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var markets []*model.Market
	of := map[model.MarketID][]string{}
	for _, f := range files {
		m, err := tape.Market(f)
		if err != nil {
			return err
		}
		if of[m.ID] == nil {
			markets = append(markets, m)
		}
		of[m.ID] = append(of[m.ID], f)
	}
	for _, m := range markets {
		name := filepath.Join(dir, strings.ToLower(m.Symbol)+".ndjson.gz")
		c, err := write(name, of[m.ID])
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: market %d, %d lines, %d frames: %d books, %d updates of %d levels, %d trades, %d breaks\n",
			name, m.ID, c.Lines, c.Frames, c.Books, c.Updates, c.Levels, c.Trades, c.Breaks)
	}
	return os.WriteFile(filepath.Join(dir, "markets.json"), tape.Markets(markets...), 0o644)
}

func write(name string, files []string) (c tape.Counts, err error) {
	f, err := os.Create(name)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return c, err
	}
	if c, err = tape.Transcode(z, files...); err != nil {
		return c, err
	}
	return c, z.Close()
}
