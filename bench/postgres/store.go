package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"hyperlight/engine/access"
	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/http"
	"hyperlight/kv"
)

// importing runs the writer that a store is filled with.
func importing(store *kv.Store, fill func(*history.Writer) error) error {
	w, err := history.NewWriter(history.WriterOptions{Store: store, Markets: marketOf, Import: true})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	if err := fill(w); err != nil {
		return err
	}
	if err := w.Flush(ctx); err != nil {
		return fmt.Errorf("write what is left: %w", err)
	}
	if err := w.SealNow(ctx, time.UnixMilli(int64(end+2*hour))); err != nil {
		return fmt.Errorf("seal the record: %w", err)
	}
	cancel()
	return <-ended
}

var allMarkets = listed()

func marketOf(id model.MarketID) (*model.Market, bool) {
	if int(id) < len(allMarkets) {
		return allMarkets[id], true
	}
	return nil, false
}

// put gives the writer an hour of trades, market by market.
func put(w *history.Writer, rows []trade) {
	var batches [markets][]model.Trade
	for i := range rows {
		m := rows[i].market
		batches[m] = append(batches[m], rows[i].Trade)
	}
	for m, batch := range batches {
		for len(batch) > 0 {
			n := min(len(batch), 512)
			last := &batch[n-1]
			w.OnEvent(&model.Event{Market: model.MarketID(m), Time: last.Time, Recv: last.Recv, Payload: &model.TradeBatch{Rows: batch[:n]}}, nil)
			batch = batch[n:]
		}
	}
}

// serveStore is the process that answers from the store, over the server that clients get. It prints its address and ends
// with its input; a line "drop" deletes the record's first day as retention does, "ready" asks how many rows were ready.
func serveStore(o *options) error {
	store, err := kv.Open(kv.Options{Dir: o.dir})
	if err != nil {
		return err
	}
	defer store.Close()
	rules, err := access.New(access.Options{LocalPlan: "enterprise"})
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	reader := history.NewReader(store, marketOf)
	reader.KeepReady(int64(o.ready) << 20)
	server, err := http.New(http.Options{Engine: listing{}, History: reader, Access: rules,
		Health: func() http.Health { return http.Health{} }, Status: func() http.Status { return http.Status{} },
		Logger: slog.New(slog.DiscardHandler), AccessLog: null})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(ln)
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	fmt.Println(ln.Addr())
	for in := bufio.NewReader(os.Stdin); ; {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			return server.Shutdown(ctx)
		}
		if err != nil {
			return err
		}
		switch line {
		case "drop\n":
			if err := dropDay(store); err != nil {
				return err
			}
			fmt.Println()
		case "ready\n":
			s := reader.Ready()
			fmt.Printf("ready rows: %.0f %% of %d pieces were there when they were asked for, %d of %d MB used\n",
				100*float64(s.Hits)/float64(max(s.Hits+s.Misses, 1)), s.Hits+s.Misses, s.Bytes>>20, o.ready)
		}
	}
}

// dropDay runs the job of retention as a writer does at its start, at a moment when the first day is too old.
func dropDay(store *kv.Store) error {
	now := time.UnixMilli(int64(end))
	w, err := history.NewWriter(history.WriterOptions{Store: store, Markets: marketOf, Now: func() time.Time { return now },
		Retention: history.Retention{Trades: (days - 1) * 24 * time.Hour}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return w.Run(ctx)
}

// listing is an engine that knows markets and nothing live.
type listing struct{}

func (listing) Markets() []*model.Market { return allMarkets }

func (listing) Market(native int64) (*model.Market, bool) {
	if native < 0 || native >= markets {
		return nil, false
	}
	return allMarkets[native], true
}

func (listing) Book(context.Context, *model.Market) (*book.View, error) {
	return nil, history.ErrNoData
}

func (listing) Enter(context.Context) (func(), error) { return func() {}, nil }

// diskUse sums the files below a directory.
func diskUse(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}
