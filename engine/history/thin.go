package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hyperlight/kv"
	"hyperlight/kv/key"
)

// ThinNow rewrites the book updates of days that are older than Retention.Ticks at the given time to the net change of each
// second. Pinned days stay whole, and hours with damaged rows, which are told. The first day not thinned is remembered, so
// that each day is thinned once.
func (w *Writer) ThinNow(ctx context.Context, now time.Time) error {
	w.jobs.Lock()
	defer w.jobs.Unlock()
	if w.o.Retention.Ticks <= 0 {
		return nil
	}
	cut := key.Day(now.Add(-w.o.Retention.Ticks).UnixMilli())
	var first uint32
	if err := w.do(ctx, func() error {
		first = max(w.keep.thinned, w.keep.cuts[key.Books])
		return nil
	}); err != nil {
		return err
	}
	if cut <= first {
		return nil
	}
	rg, err := key.IndexRange(key.Books, first, cut)
	var damaged error
	if err == nil {
		damaged, err = w.thinDays(ctx, rg)
	}
	if err != nil && !errors.Is(err, key.ErrEmptyRange) {
		return fmt.Errorf("thin book updates: %w", err)
	}
	err = w.do(ctx, func() error {
		w.keep.thinned = max(w.keep.thinned, cut)
		w.keep.dirty = true
		return w.commit()
	})
	if err == nil && damaged != nil {
		err = fmt.Errorf("thin book updates: %w", damaged)
	}
	return err
}

// thinDays thins the days of a range of counts. One damaged hour must not keep the others from being thinned: those that
// were left whole are told apart from what ends the job.
func (w *Writer) thinDays(ctx context.Context, rg key.Range) (damaged, err error) {
	var days []key.IndexKey
	for row, err := range w.store.Scan(ctx, rg) {
		if err != nil {
			return nil, err
		}
		k, err := key.ParseIndexRow(row.Key)
		if err != nil {
			return nil, err
		}
		days = append(days, k)
	}
	for _, d := range days {
		pinned := false
		if err := w.do(ctx, func() error { pinned = w.keep.pinned(key.Books, d.Bucket); return nil }); err != nil {
			return damaged, err
		}
		if pinned {
			continue
		}
		first := key.DayStart(d.Bucket) / hourMillis
		for hour := first; hour < first+24; hour++ {
			err := w.thinHour(ctx, hourKey{key.Books, d.Market, hour})
			if err == nil {
				continue
			}
			if ctx.Err() != nil || isAny(err, ErrClosed, errWritten, kv.ErrClosed, kv.ErrReadOnly, kv.ErrFailed) {
				return damaged, err
			}
			damaged = errors.Join(damaged, fmt.Errorf("market %d at %s: %w", d.Market,
				time.UnixMilli(hour*hourMillis).UTC().Format(time.RFC3339), err))
		}
	}
	return damaged, nil
}

// isAny tells whether an error is one of some.
func isAny(err error, some ...error) bool {
	return slices.ContainsFunc(some, func(one error) bool { return errors.Is(err, one) })
}

func (w *Writer) thinHour(ctx context.Context, k hourKey) error {
	for range sealAttempts {
		err := w.replace(ctx, &hourRun{k, 1}, func(ctx context.Context, run *hourRun, batch *kv.Batch) (int64, error) {
			return w.rewriteBooks(ctx, run.hourKey, batch, true)
		})
		if !errors.Is(err, errWritten) {
			return err
		}
	}
	return errWritten
}
