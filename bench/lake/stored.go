package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"hyperlight/bench/tape"
	"hyperlight/engine"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/export"
	"hyperlight/kv"
)

// recording is a recorded market.
type recording struct {
	name  string
	files []string
}

// recordings are what there is with many trades: a whole day of one market, and six hectic minutes of another.
var recordings = []recording{
	{"recorded, StandX BTC-USD, 2026-01-06", []string{"captures/standx/btc-usd-20260106-00h-05h.ndjson.gz",
		"captures/standx/btc-usd-20260106-06h-11h.ndjson.gz", "captures/standx/btc-usd-20260106-12h-17h.ndjson.gz",
		"captures/standx/btc-usd-20260106-18h-23h.ndjson.gz"}},
	{"recorded, Binance BTCUSDT, 2024-08-08, six minutes", []string{"captures/binance-futures/btcusdt_20240808.gz"}},
}

// rows imports a recording into a store, as an appliance would have it, and takes the rows of its trades from there.
func (r recording) rows(ctx context.Context, o *options, dir string) (out sample, err error) {
	files := make([]string, len(r.files))
	for i, f := range r.files {
		files[i] = filepath.Join(o.recordings, f)
	}
	market, err := tape.Market(files[0])
	if err != nil {
		return out, err
	}
	frames := filepath.Join(dir, "frames.ndjson.gz")
	if err := transcode(frames, files); err != nil {
		return out, err
	}
	at := kv.Options{Dir: filepath.Join(dir, fmt.Sprint("store-", len(files))), MinFree: -1}
	if _, err := engine.Import(ctx, engine.ImportOptions{Store: at, Files: []string{frames}, Markets: tape.Markets(market)}); err != nil {
		return out, err
	}
	// The store stays open, and its files are removed with the directory, when the program ends.
	store, err := kv.Open(at)
	if err != nil {
		return out, err
	}
	markets, err := history.Markets(ctx, store)
	if err != nil || len(markets) != 1 {
		return out, errors.Join(err, fmt.Errorf("%d markets instead of one", len(markets)))
	}
	m := markets[0]
	reader := history.NewReader(store, func(model.MarketID) (*model.Market, bool) { return m, true })
	out.fromStore = func(ctx context.Context, write func([]export.Trade) error) error {
		rows := make([]export.Trade, 0, batch)
		for t, err := range reader.Trades(ctx, m.ID, history.Span{From: 0, To: math.MaxInt64 / 2000}, history.TradeQuery{Columns: record.All}) {
			if err != nil {
				return err
			}
			row, err := export.NewTrade(m, t)
			if err != nil {
				return err
			}
			if rows = append(rows, row); len(rows) == batch {
				if err := write(rows); err != nil {
					return err
				}
				rows = rows[:0]
			}
		}
		return write(rows)
	}
	err = out.fromStore(ctx, func(rows []export.Trade) error {
		out.rows = append(out.rows, rows...)
		return nil
	})
	out.name = fmt.Sprintf("%s, %d trades", r.name, len(out.rows))
	return out, err
}

func transcode(name string, files []string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	z, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = tape.Transcode(z, files...)
	return errors.Join(err, z.Close(), buffered.Flush(), f.Close())
}
