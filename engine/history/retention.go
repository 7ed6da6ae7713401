package history

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Retention says how long each dataset is kept; 0 means for ever. Buckets are dropped whole, so that rows stay up to a day
// longer, candles and funding up to 64 days.
type Retention struct {
	Books   time.Duration
	Ticks   time.Duration // after it book updates are thinned to the net change of each second
	Stats   time.Duration
	Trades  time.Duration // and liquidations and fills
	Candles time.Duration
	Funding time.Duration
	Gaps    time.Duration
	// Heatmaps and Accounts are told by others than the venue.
	Heatmaps time.Duration
	Accounts time.Duration // snapshots of accounts
}

// retain drops what is older than its dataset's time. Cuts only move forward.
func (w *Writer) retain(ctx context.Context, now time.Time) error {
	w.jobs.Lock()
	defer w.jobs.Unlock()
	return w.doAlways(ctx, func() error { // it is what makes room
		ages := map[key.Family]time.Duration{
			key.Books: w.o.Retention.Books, key.Stats: w.o.Retention.Stats, key.Trades: w.o.Retention.Trades,
			key.Candles: w.o.Retention.Candles, key.Funding: w.o.Retention.Funding, key.Gaps: w.o.Retention.Gaps,
			key.Heatmaps: w.o.Retention.Heatmaps, key.AccountSnapshots: w.o.Retention.Accounts,
		}
		batch := w.store.NewBatch()
		for f, age := range ages {
			if age <= 0 {
				continue
			}
			cut := key.Day(now.Add(-age).UnixMilli())
			if spans(f) {
				cut = key.Span(now.Add(-age).UnixMilli())
			}
			if cut <= w.keep.cuts[f] {
				continue
			}
			w.keep.cuts[f] = cut
			if err := w.keep.drop(batch, f, cut); err != nil {
				return fmt.Errorf("drop old rows of %c: %w", f, err)
			}
		}
		return w.commitDrop(batch)
	})
}

// commitDrop commits what retention deletes together with the state that hides it, and forgets counts of dropped buckets.
func (w *Writer) commitDrop(batch *kv.Batch) error {
	if batch.Len() == 0 {
		return nil
	}
	batch.Set(key.MetaRow(nil, metaKeep), w.keep.append(nil))
	if err := w.store.CommitReserve(batch, kv.Sync); err != nil {
		return fmt.Errorf("commit retention: %w", err)
	}
	w.keep.dirty = w.losing // the batch that waits for room may hold an older state
	maps.DeleteFunc(w.index, func(k indexKey, _ *indexState) bool { return w.keep.dropped(k.family, k.bucket) })
	maps.DeleteFunc(w.unsealed, func(k hourKey, _ uint64) bool {
		return w.keep.dropped(k.family, key.Day(k.hour*hourMillis))
	})
	return nil
}

// drop deletes a family's buckets below the cut, and what belongs to them, except pinned ones.
func (k *keepState) drop(batch *kv.Batch, f key.Family, cut uint32) error {
	for from, to := range k.unpinned(f, cut) {
		if err := dropBuckets(batch, f, from, to); err != nil {
			return err
		}
	}
	return nil
}

// unpinned goes through the runs from <= bucket < to of buckets below the cut that are not pinned, ascending.
func (k *keepState) unpinned(f key.Family, cut uint32) iter.Seq2[uint32, uint32] {
	return func(yield func(from, to uint32) bool) {
		from := uint32(0)
		for _, pin := range append(k.pinnedBuckets(f, cut), cut) {
			if from < pin && !yield(from, pin) {
				return
			}
			from = pin + 1
		}
	}
}

// Dropped returns what retention has dropped of a kind of record, ascending; the spans do not touch one another.
func (r *Reader) Dropped(kind model.Kind) ([]Span, error) {
	keep, err := r.keep()
	if err != nil {
		return nil, err
	}
	f, start := kindFamilies[kind], key.DayStart
	if spans(f) {
		start = key.SpanStart
	}
	var out []Span
	for from, to := range keep.unpinned(f, keep.cuts[f]) {
		out = append(out, Span{From: model.Millis(start(from)), To: model.Millis(start(to))})
	}
	return out, nil
}

// pinnedBuckets returns the pinned buckets below the cut, ascending.
func (k *keepState) pinnedBuckets(f key.Family, cut uint32) []uint32 {
	var out []uint32
	for _, day := range k.pins {
		bucket := day
		if spans(f) {
			bucket = key.Span(key.DayStart(day))
		}
		if bucket < cut && (len(out) == 0 || out[len(out)-1] != bucket) {
			out = append(out, bucket)
		}
	}
	return out
}

func dropBuckets(batch *kv.Batch, f key.Family, from, to uint32) error {
	families := []key.Family{f}
	switch f {
	case key.Books:
		families = append(families, key.Keyframes)
	case key.Trades:
		families = append(families, key.Liquidations, key.Fills)
	}
	for _, f := range families {
		ix, err := key.IndexRange(f, from, to)
		if err != nil {
			return err
		}
		batch.DeleteRange(ix)
		if f == key.Candles {
			for res := key.Minute; res <= key.GivenDaily; res++ {
				rg, err := key.CandleBuckets(res, from, to)
				if err != nil {
					return err
				}
				batch.DeleteRange(rg)
			}
			continue
		}
		rg, err := key.BucketRange(f, from, to)
		if err != nil {
			return err
		}
		batch.DeleteRange(rg)
	}
	return nil
}

// pinDay keeps an imported day for ever.
func (w *Writer) pinDay(day uint32) {
	if w.o.Pin && day != w.pinned {
		w.pinned = day
		w.keep.pin(day)
	}
}

// Pins returns the imported days that retention keeps, ascending, as the first millisecond of each.
func (r *Reader) Pins() ([]model.Millis, error) {
	keep, err := r.keep()
	if err != nil {
		return nil, err
	}
	out := make([]model.Millis, len(keep.pins))
	for i, day := range keep.pins {
		out[i] = model.Millis(key.DayStart(day))
	}
	return out, nil
}

// Unpin gives the imported days that touch the span back to retention; those older than it allows are dropped at once.
func (w *Writer) Unpin(ctx context.Context, sp Span) error {
	w.jobs.Lock()
	defer w.jobs.Unlock()
	return w.do(ctx, func() error {
		before := len(w.keep.pins)
		w.keep.pins = slices.DeleteFunc(w.keep.pins, func(day uint32) bool {
			start := model.Millis(key.DayStart(day))
			return start < sp.To && start+key.DayMillis > sp.From
		})
		if len(w.keep.pins) == before {
			return nil
		}
		// What was not thinned while it was pinned is looked at again.
		w.keep.thinned = min(w.keep.thinned, key.Day(max(int64(sp.From), 0)))
		batch := w.store.NewBatch()
		for f, cut := range w.keep.cuts {
			if err := w.keep.drop(batch, f, cut); err != nil {
				return fmt.Errorf("drop unpinned rows of %c: %w", f, err)
			}
		}
		w.keep.dirty = true
		if batch.Len() == 0 {
			batch.Set(key.MetaRow(nil, metaKeep), w.keep.append(nil))
		}
		return w.commitDrop(batch)
	})
}
