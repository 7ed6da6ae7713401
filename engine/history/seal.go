package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

var (
	hoursSealed  = metrics.NewCounter("hyperlight_history_hours_sealed_total")
	jobFailures  = metrics.NewCounter("hyperlight_history_job_failures_total")
	sealAttempts = 5
)

// settle is how long after an hour its rows are sealed: trades of its last second may still arrive.
const settle = 2 * time.Minute

// errWritten reports a market-hour that was written to while a job worked on it.
var errWritten = errors.New("market-hour was written to meanwhile")

// runJobs seals, thins and drops, now and after each full hour, until ctx ends. A failure is logged; the next hour tries
// again.
func (w *Writer) runJobs(ctx context.Context) {
	for {
		now := w.o.Now()
		for _, job := range []struct {
			name string
			run  func(context.Context, time.Time) error
		}{{"seal", w.SealNow}, {"thin", w.ThinNow}, {"retention", w.retain}, {"fills", w.buildPostings}} {
			at := now
			if job.name == "seal" {
				at = now.Add(-settle)
			}
			if err := job.run(ctx, at); err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
				jobFailures.Inc()
				w.log.Error("history job failed", "job", job.name, "error", err)
			}
		}
		timer := time.NewTimer(now.Truncate(time.Hour).Add(time.Hour + settle).Sub(w.o.Now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// SealNow turns the hot rows of every market-hour that ended before the given time into sealed segments.
func (w *Writer) SealNow(ctx context.Context, before time.Time) error {
	w.jobs.Lock()
	defer w.jobs.Unlock()
	if !w.swept {
		if err := w.sweep(ctx); err != nil {
			return fmt.Errorf("look for hours to seal: %w", err)
		}
		w.swept = true
	}
	var due []hourKey
	err := w.do(ctx, func() error {
		for k := range w.unsealed {
			if (k.hour+1)*hourMillis <= before.UnixMilli() {
				due = append(due, k)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(due, func(a, b hourKey) int {
		return cmp.Or(cmp.Compare(a.hour, b.hour), cmp.Compare(a.market, b.market), cmp.Compare(a.family, b.family))
	})
	var failed error
	for _, k := range due {
		if err := w.sealHour(ctx, k); err != nil {
			if ctx.Err() != nil || errors.Is(err, ErrClosed) {
				return err
			}
			// One damaged hour must not keep the others from being sealed.
			failed = errors.Join(failed, fmt.Errorf("seal %c of market %d at %s: %w", k.family, k.market,
				time.UnixMilli(k.hour*hourMillis).UTC().Format(time.RFC3339), err))
		}
	}
	return failed
}

// sealHour seals one market-hour, again if it was written to meanwhile.
func (w *Writer) sealHour(ctx context.Context, k hourKey) error {
	if k.family == key.Fills {
		return w.sealFills(ctx, k)
	}
	build := w.sealBooks
	if k.family == key.Trades {
		build = w.sealTrades
	}
	for range sealAttempts {
		err := w.replace(ctx, k, build)
		if !errors.Is(err, errWritten) {
			if err == nil {
				hoursSealed.Inc()
			}
			return err
		}
	}
	return nil // it is still being written to: the next hour's job takes it
}

// buildFunc puts other rows for those of a market-hour into a batch and returns by how much their number changes.
type buildFunc func(ctx context.Context, k hourKey, batch *kv.Batch) (change int64, err error)

// replace lets build make a batch that puts a market-hour's rows in another form, and applies it on the writer goroutine if
// nothing was written to the hour since build began to read.
func (w *Writer) replace(ctx context.Context, k hourKey, build buildFunc) error {
	var gen uint64
	if err := w.do(ctx, func() error { gen = w.unsealed[k]; return nil }); err != nil {
		return err
	}
	batch := w.store.NewBatch()
	change, err := build(ctx, k, batch)
	if err != nil {
		return err
	}
	return w.do(ctx, func() error {
		if w.unsealed[k] != gen {
			return errWritten
		}
		n, err := readMoment(w.store, metaSealing)
		if err != nil {
			return err
		}
		setMoment(batch, metaSealing, n+1)
		ix := &indexState{}
		if change != 0 {
			if ix, err = w.indexOf(indexKey{k.family, key.Day(k.hour * hourMillis), k.market}); err != nil {
				return err
			}
			ix.Rows += uint64(change) // wraps to less where rows became fewer
			batch.Set(key.IndexRow(nil, ix.key.family, ix.key.bucket, ix.key.market), record.AppendIndex(nil, ix.Index))
		}
		if err := w.store.Commit(batch, kv.Sync); err != nil {
			ix.Rows -= uint64(change)
			return fmt.Errorf("commit sealed hour: %w", err)
		}
		w.forgetHour(k)
		return nil
	})
}

// forgetHour drops what is remembered of rows that have another form now.
func (w *Writer) forgetHour(k hourKey) {
	delete(w.unsealed, k)
	ms := w.markets[model.MarketID(k.market)]
	if ms == nil || k.family == key.Fills {
		return
	}
	if k.family == key.Books {
		if ms.blockTime/hourMicros == k.hour {
			ms.blockOpen = false
		}
		return
	}
	ms.sealed.start = 0
	for at := range ms.trades {
		if at/hourMillis == k.hour {
			delete(ms.trades, at)
		}
	}
}

// sweep notes the hours with hot rows from before this start.
func (w *Writer) sweep(ctx context.Context) error {
	found := map[hourKey]struct{}{}
	for _, f := range []key.Family{key.Trades, key.Books} {
		rg, err := key.IndexRange(f, 0, 1<<32-1)
		if err != nil {
			return err
		}
		for row, err := range w.store.Scan(ctx, rg) {
			if err != nil {
				return err
			}
			k, err := key.ParseIndexRow(row.Key)
			if err != nil {
				return err
			}
			if err := w.hotHours(ctx, k, found); err != nil {
				return err
			}
		}
	}
	// Keyframes of hours without an update: the family holds hot rows only.
	for row, err := range w.store.Scan(ctx, key.All(key.Keyframes)) {
		if err != nil {
			return err
		}
		k, err := key.ParseKeyframe(row.Key)
		if err != nil {
			return err
		}
		found[hourKey{key.Books, k.Market, k.Time / hourMicros}] = struct{}{}
	}
	if err := w.hotFills(ctx, found); err != nil {
		return err
	}
	return w.do(ctx, func() error {
		for k := range found {
			w.unsealed[k] += 0
		}
		return nil
	})
}

// hotHours finds the hours of a market-day that have hot blocks, one look per hour.
func (w *Writer) hotHours(ctx context.Context, ix key.IndexKey, found map[hourKey]struct{}) error {
	start := key.DayStart(ix.Bucket)
	for hour := start / hourMillis; hour < (start+key.DayMillis)/hourMillis; {
		rg, err := key.TradeRange(ix.Market, key.Hot, hour*hourMillis, start+key.DayMillis)
		if ix.Family == key.Books {
			rg, err = key.BookRange(ix.Market, key.Hot, hour*hourMicros, (start+key.DayMillis)*1000)
		}
		if err != nil {
			return err
		}
		next := int64(-1)
		for row, err := range w.store.Scan(ctx, rg) {
			if err != nil {
				return err
			}
			k, err := key.ParseTrade(row.Key)
			next = k.Time / hourMillis
			if ix.Family == key.Books {
				k, err = key.ParseBook(row.Key)
				next = k.Time / hourMicros
			}
			if err != nil {
				return err
			}
			break
		}
		if next < 0 {
			return nil
		}
		found[hourKey{ix.Family, ix.Market, next}] = struct{}{}
		hour = next + 1
	}
	return nil
}

// headers sums what the blocks of a range say that they hold.
func headers(ctx context.Context, store *kv.Store, rg key.Range, header func([]byte) (record.Header, error)) (rows uint64, err error) {
	for row, err := range store.Scan(ctx, rg) {
		if err != nil {
			return 0, err
		}
		h, err := header(row.Value)
		if err != nil {
			return 0, err
		}
		rows += uint64(h.Updates) + uint64(h.Trades)
	}
	return rows, nil
}
