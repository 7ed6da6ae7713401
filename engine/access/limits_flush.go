package access

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// flush writes what changed since the last call in one durable batch. Run calls it every 5 s at most and once at the
// end. What cannot be written stays in memory for the next call.
func (a *Access) flush(now model.Millis) error {
	l := &a.limits
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if l.store == nil {
		l.usage.takeAll()
		l.limiter.collect(func(*BucketID, *window) {})
		l.meter.collect(func(uuid.UUID, period, int64) {})
		l.sweep(now)
		return nil
	}
	if err := l.write(now, a.commit); err != nil {
		return fmt.Errorf("flush limits: %w", err)
	}
	l.sweep(now)
	if now-l.dropped < dropEvery && now >= l.dropped {
		return nil
	}
	l.dropped = now
	return errors.Join(l.drop(now), a.dropRevoked(now))
}

// write is the batch. Readers of usage wait while it is made, because they add what is stored to what is not.
func (l *limits) write(now model.Millis, commit func(*kv.Store, *kv.Batch, kv.Durability) error) error {
	b := l.store.NewBatch()
	var k, v []byte
	buckets := l.limiter.collect(func(id *BucketID, w *window) {
		eachMinute(w, int64(l.lastFlush), func(minute int64, counts *[60]int) {
			k, v = key.RateWindow(k[:0], *id, minute), appendSeconds(v[:0], counts)
			b.Set(k, v)
		})
	})
	accounts := l.meter.collect(func(id uuid.UUID, p period, used int64) {
		k, v = key.MonthTotal(k[:0], uint32(p), id), appendTotal(v[:0], used)
		b.Set(k, v)
	})
	l.usage.flushing.Lock()
	defer l.usage.flushing.Unlock()
	pending := l.usage.takeAll()
	err := l.usage.addRows(l.store, b, &l.routes, pending)
	if err == nil && b.Len() > 0 {
		err = commit(l.store, b, kv.Sync)
	}
	if err != nil {
		l.limiter.markDirty(buckets)
		l.meter.markDirty(accounts)
		l.usage.putBack(pending)
		return err
	}
	l.lastFlush = now
	return nil
}

// eachMinute empties a window and calls fn for each minute of it that may have changed since the last flush, with its
// counts per second.
func eachMinute(w *window, lastFlush int64, fn func(minute int64, counts *[60]int)) {
	since := lastFlush / windowMillis
	if w.newest/windowMillis < since {
		since = 0 // the clock was set back: all of it moved
	}
	var counts [60]int
	minute := int64(-1)
	emit := func() {
		if minute >= since {
			fn(minute*windowMillis, &counts)
		}
	}
	w.drain(func(second int64, n int) {
		if m := second / 60; m != minute {
			emit()
			minute, counts = m, [60]int{}
		}
		counts[second%60] = n
	})
	emit()
}

func (l *limits) sweep(now model.Millis) {
	if now-l.swept < sweepEvery && now >= l.swept {
		return
	}
	l.swept = now
	l.limiter.sweep(now)
	l.addresses.sweep(now)
}

// drop removes rows past their retention.
func (l *limits) drop(now model.Millis) error {
	day, minute := key.Day(int64(now)), key.Minutes(int64(now))
	var errs []error
	for _, f := range [...]struct {
		family key.Family
		before uint32
	}{
		{key.Usage, day - min(day, usageDays)},
		{key.Idempotency, day - min(day, answerDays)},
		{key.RateWindows, minute - min(minute, windowMinutes)},
	} {
		if f.before > 0 {
			errs = append(errs, l.store.DropBefore(f.family, f.before))
		}
	}
	return errors.Join(errs...)
}
