package history

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Variables for tests only.
var (
	// segmentPostings is the most postings of a sealed segment. Whoever asks for one account unpacks a whole one.
	segmentPostings = 2048
	// sealPostings is about how many postings are sealed in one batch: those of a busy day would not fit into memory.
	sealPostings = 1 << 18
)

// sealFills seals the postings of a day: they become one list in the order of the accounts, cut into segments, so that an
// account of three fills a day costs no more per fill than one of a million. Late postings are merged into the
// segments that they fall into; the others stay as they are.
func (w *Writer) sealFills(ctx context.Context, k hourKey) error {
	day := uint32(k.hour / 24)
	for attempts := 0; attempts < sealAttempts; {
		more := false
		err := w.replace(ctx, &hourRun{k, 1}, func(ctx context.Context, _ *hourRun, batch *kv.Batch) (_ int64, err error) {
			more, err = w.sealPostings(ctx, day, batch)
			return 0, err
		})
		switch {
		case errors.Is(err, errWritten):
			attempts++
			continue
		case err != nil:
			return err
		case !more:
			hoursSealed.Inc()
			return nil
		}
		// The day counts as done with each batch; a stop in between finds the rest at the next start.
		if err := w.do(ctx, func() error { w.unsealed[k] += 0; return nil }); err != nil {
			return err
		}
	}
	return nil
}

// sealPostings puts the first hot postings of a day into segments; more tells that others are left.
func (w *Writer) sealPostings(ctx context.Context, day uint32, batch *kv.Batch) (more bool, err error) {
	hot := key.FillDay(key.Hot, day)
	var rows []record.Posting
	var last key.FillKey
	for row, err := range w.store.Scan(ctx, hot) {
		if err != nil {
			return false, fmt.Errorf("scan hot postings: %w", err)
		}
		k, err := key.ParseFill(row.Key)
		if err != nil {
			return false, err
		}
		if len(rows) >= sealPostings && (k.Account != last.Account || k.Time/minuteMillis != last.Time/minuteMillis) {
			hot.End, more = slices.Clone(row.Key), true
			break
		}
		last = k
		if rows, err = record.DecodePostings(rows, row.Value); err != nil {
			return false, fmt.Errorf("decode hot postings: %w", err)
		}
	}
	if len(rows) == 0 {
		return false, nil
	}
	batch.DeleteRange(hot)
	return more, w.mergePostings(ctx, day, sortPostings(rows), batch)
}

// mergePostings puts postings of a day, ascending, into its segments: those up to the next segment's first one belong to
// the segment before it.
func (w *Writer) mergePostings(ctx context.Context, day uint32, rows []record.Posting, batch *kv.Batch) error {
	sealed := key.FillDay(key.Sealed, day)
	var segment []record.Posting
	for len(rows) > 0 {
		from := append(postingKey(nil, key.Sealed, &rows[0]), 0)
		segment = segment[:0]
		if before, err := key.NewRange(sealed.Start, from); err == nil {
			err = w.store.Last(before, func(_, v []byte) (err error) {
				segment, err = record.DecodePostings(segment, v)
				return err
			})
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return fmt.Errorf("read segment of postings: %w", err)
			}
		}
		n := len(rows)
		for row, err := range w.store.Scan(ctx, key.Range{Start: from, End: sealed.End}) {
			if err != nil {
				return fmt.Errorf("scan segments of postings: %w", err)
			}
			n, _ = slices.BinarySearchFunc(rows, row.Key, func(p record.Posting, next []byte) int {
				return slices.Compare(postingKey(nil, key.Sealed, &p), next)
			})
			break
		}
		part := rows[:n]
		rows = rows[n:]
		if len(segment) > 0 && (len(segment) < segmentPostings || part[0].Compare(&segment[len(segment)-1]) <= 0) {
			part = sortPostings(append(segment, part...))
		}
		writePostingSegments(batch, part)
	}
	return nil
}

// writePostingSegments writes postings as segments of about equal length. The sides of a self-trade have one key and stay
// together.
func writePostingSegments(batch *kv.Batch, ps []record.Posting) {
	for left := (len(ps) + segmentPostings - 1) / segmentPostings; len(ps) > 0; left-- {
		n := (len(ps) + left - 1) / max(left, 1)
		if left <= 1 {
			n = len(ps)
		}
		if n < len(ps) && samePlace(&ps[n], &ps[n-1]) {
			n++
		}
		batch.Set(postingKey(nil, key.Sealed, &ps[0]), record.AppendPostings(nil, ps[:n], true))
		ps = ps[n:]
	}
}

// hotFills notes the days with hot postings from before this start.
func (w *Writer) hotFills(ctx context.Context, found map[hourKey]struct{}) error {
	for rg := key.All(key.Fills); ; {
		day, some := uint32(0), false
		for row, err := range w.store.Scan(ctx, rg) {
			if err != nil {
				return err
			}
			k, err := key.ParseFill(row.Key)
			if err != nil {
				return err
			}
			day, some = key.Day(k.Time), true
			if k.Form == key.Hot {
				found[hourKey{key.Fills, 0, fillsHour(day)}] = struct{}{}
			}
			break
		}
		if !some {
			return nil
		}
		// Hot ones stand before sealed ones.
		next, err := key.BucketRange(key.Fills, day+1, 1<<32-1)
		if err != nil {
			return nil // the last day there is
		}
		rg = next
	}
}
