package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"hyperlight/bench/sides"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv"
)

// fill makes the record of n trades in a new store and in the cluster's tables.
func fill(ctx context.Context, dir string, c *cluster, n int, seed uint64) error {
	store, err := kv.Open(kv.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer store.Close()
	began := time.Now()
	lines, rows := io.Pipe()
	copied := make(chan error, 1)
	go func() {
		err := c.load(ctx, "trades", lines)
		_ = lines.CloseWithError(err)
		copied <- err
	}()
	err = importing(store, func(w *history.Writer) error {
		tape := newTape(seed)
		var hourRows []trade
		var text []byte
		for from := start; from < end; from += hour {
			hourRows = tape.next(hourRows[:0], from, n)
			var both sync.WaitGroup
			both.Go(func() { put(w, hourRows) })
			text = text[:0]
			for i := range hourRows {
				text = appendTradeLine(text, &hourRows[i])
			}
			_, err := rows.Write(text)
			both.Wait()
			if err != nil {
				return fmt.Errorf("copy trades: %w", err)
			}
			hourRows = nil // the writer's queue holds parts of it
		}
		for i := range bookMarkets {
			if err := books(i, allMarkets[i], w); err != nil {
				return err
			}
		}
		return rows.Close()
	})
	if err := errors.Join(err, <-copied); err != nil {
		return err
	}
	sides.Progress("trades", began)
	began = time.Now()
	r := history.NewReader(store, marketOf)
	for table, lines := range map[string]func() ([]byte, error){
		"candles": func() ([]byte, error) { return candleLines(ctx, r) }, "books": func() ([]byte, error) { return bookLines(ctx, r) },
	} {
		text, err := lines()
		if err == nil {
			err = c.load(ctx, table, bytes.NewReader(text))
		}
		if err != nil {
			return fmt.Errorf("fill %s: %w", table, err)
		}
	}
	sides.Progress("candles and books", began)
	began = time.Now()
	if err := c.run(ctx, indexes); err != nil {
		return err
	}
	sides.Progress("indexes and vacuum", began)
	return nil
}

// appendTradeLine writes a trade as a line of COPY.
func appendTradeLine(b []byte, t *trade) []byte {
	for _, n := range [...]int64{int64(t.Time), int64(t.ID), int64(t.Recv), int64(t.AskOrder), int64(t.BidOrder), int64(t.Block),
		int64(t.AskAccount), int64(t.BidAccount), int64(t.market), int64(t.Kind)} {
		b = append(strconv.AppendInt(b, n, 10), '\t')
	}
	b = append(strconv.AppendBool(b, t.MakerAsk), '\t')
	b = append(num.Append(b, int64(t.Price), priceScale), '\t')
	b = append(num.Append(b, int64(t.Size), sizeScale), '\t')
	b = append(num.Append(b, int64(t.USD), num.USDScale), '\t')
	return append(append(b, t.TxHash...), '\n')
}

// candleLines writes every 1-minute candle: the table that PostgreSQL has ready.
func candleLines(ctx context.Context, r *history.Reader) (b []byte, err error) {
	for _, m := range allMarkets {
		for c, err := range r.Candles(ctx, m.ID, time.Minute, history.Span{From: start, To: end}, false) {
			if err != nil {
				return nil, err
			}
			b = append(strconv.AppendInt(b, m.Native, 10), '\t')
			b = append(strconv.AppendInt(b, int64(c.Time), 10), '\t')
			for _, p := range [...]num.Price{c.Open, c.High, c.Low, c.Close} {
				b = append(num.Append(b, int64(p), priceScale), '\t')
			}
			b = append(num.Append(b, int64(c.Volume), sizeScale), '\t')
			b = append(num.Append(b, int64(c.QuoteVolume), num.USDScale), '\t')
			b = append(strconv.AppendUint(b, c.Trades, 10), '\t')
			b = append(strconv.AppendUint(b, c.LastID, 10), '\n')
		}
	}
	return b, nil
}

// bookLines writes the book of each second as the object that is answered with.
func bookLines(ctx context.Context, r *history.Reader) (b []byte, err error) {
	for _, m := range allMarkets[:bookMarkets] {
		for s, err := range r.Books(ctx, m.ID, history.Span{From: start, To: end}, time.Second) {
			if err != nil {
				return nil, err
			}
			b = append(strconv.AppendInt(b, m.Native, 10), '\t')
			b = append(strconv.AppendInt(b, int64(s.At), 10), '\t')
			b = append(strconv.AppendInt(append(b, `{"timestamp":`...), int64(s.At), 10), `,"bids":[`...)
			for _, side := range [...]model.Side{model.Bid, model.Ask} {
				if side == model.Ask {
					b = append(b, `],"asks":[`...)
				}
				for l := range s.View.Levels(side, 1000) {
					b = append(l.AppendPair(b, priceScale, sizeScale), ',')
				}
				b = bytes.TrimSuffix(b, []byte{','})
			}
			b = append(strconv.AppendUint(append(b, `],"nonce":`...), s.View.Seq, 10), "}\n"...)
		}
	}
	return b, nil
}
