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
	var failed error
	for _, run := range hourRuns(due) {
		if err := w.sealRun(ctx, run); err != nil {
			if ctx.Err() != nil || errors.Is(err, ErrClosed) {
				return err
			}
			// One damaged hour must not keep the others from being sealed.
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// hourRun is hours of one day that follow one another, each with rows of one family and market that wait to be sealed.
type hourRun struct {
	hourKey
	hours int
}

// hourRuns puts hours together that may be sealed together. The oldest days come first.
func hourRuns(due []hourKey) (runs []hourRun) {
	slices.SortFunc(due, func(a, b hourKey) int {
		return cmp.Or(cmp.Compare(a.hour/24, b.hour/24), cmp.Compare(a.market, b.market), cmp.Compare(a.family, b.family),
			cmp.Compare(a.hour, b.hour))
	})
	for _, k := range due {
		if n := len(runs); n > 0 && k.family == key.Trades {
			last := &runs[n-1]
			if after := (hourKey{last.family, last.market, last.hour + int64(last.hours)}); k == after && k.hour%24 != 0 {
				last.hours++
				continue
			}
		}
		runs = append(runs, hourRun{k, 1})
	}
	return runs
}

// sealRun seals the hours of a run, as many together as fit into one batch; where that fails each for itself.
func (w *Writer) sealRun(ctx context.Context, run hourRun) (failed error) {
	together := run.hours > 1
	for run.hours > 0 {
		n := 1
		var err error
		if together {
			n, err = w.sealFirst(ctx, run)
			if ctx.Err() != nil || errors.Is(err, ErrClosed) {
				return err
			}
			if err != nil {
				together = false
				continue
			}
		} else if err = w.sealHour(ctx, run.hourKey); err != nil {
			if ctx.Err() != nil || errors.Is(err, ErrClosed) {
				return err
			}
			failed = errors.Join(failed, fmt.Errorf("seal %c of market %d at %s: %w", run.family, run.market,
				time.UnixMilli(run.hour*hourMillis).UTC().Format(time.RFC3339), err))
		}
		run.hour, run.hours = run.hour+int64(n), run.hours-n
	}
	return failed
}

// sealFirst seals the first hours of a run in one batch, and returns how many.
func (w *Writer) sealFirst(ctx context.Context, run hourRun) (hours int, err error) {
	err = w.replace(ctx, &run, w.sealTrades)
	if err == nil {
		hoursSealed.Add(run.hours)
	}
	return run.hours, err
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
		err := w.replace(ctx, &hourRun{k, 1}, build)
		if !errors.Is(err, errWritten) {
			if err == nil {
				hoursSealed.Inc()
			}
			return err
		}
	}
	return nil // it is still being written to: the next hour's job takes it
}

// buildFunc puts other rows for those of a run into a batch and returns by how much their number changes. It may take fewer
// hours than it was given, at least one, and says so in the run.
type buildFunc func(ctx context.Context, run *hourRun, batch *kv.Batch) (change int64, err error)

// replace lets build make a batch that puts rows of a run in another form, and applies it on the writer goroutine if nothing
// was written to its hours since build began to read.
func (w *Writer) replace(ctx context.Context, run *hourRun, build buildFunc) error {
	written := make([]uint64, run.hours)
	hour := func(i int) hourKey { return hourKey{run.family, run.market, run.hour + int64(i)} }
	if err := w.do(ctx, func() error {
		for i := range written {
			written[i] = w.unsealed[hour(i)]
		}
		return nil
	}); err != nil {
		return err
	}
	batch := w.store.NewBatch()
	change, err := build(ctx, run, batch)
	if err != nil {
		return err
	}
	return w.do(ctx, func() error {
		for i := range run.hours {
			if w.unsealed[hour(i)] != written[i] {
				return errWritten
			}
		}
		n, err := readMoment(w.store, metaSealing)
		if err != nil {
			return err
		}
		setMoment(batch, metaSealing, n+1)
		ix := &indexState{}
		if change != 0 {
			if ix, err = w.indexOf(indexKey{run.family, key.Day(run.hour * hourMillis), run.market}); err != nil {
				return err
			}
			ix.Rows += uint64(change) // wraps to less where rows became fewer
			batch.Set(key.IndexRow(nil, ix.key.family, ix.key.bucket, ix.key.market), record.AppendIndex(nil, ix.Index))
		}
		if err := w.store.Commit(batch, kv.Sync); err != nil {
			ix.Rows -= uint64(change)
			return fmt.Errorf("commit sealed hour: %w", err)
		}
		for i := range run.hours {
			w.forgetHour(hour(i))
		}
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
