package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// AccountSnapshots goes through the PnL history of one account: the last snapshot within each bucket of the resolution,
// which divides a day. The pointer is valid until the next step.
func (r *Reader) AccountSnapshots(
	ctx context.Context, account model.AccountID, sp Span, resolution time.Duration, reverse bool,
) iter.Seq2[*model.AccountSnapshot, error] {
	return func(yield func(*model.AccountSnapshot, error) bool) {
		_, err := r.snapshots(ctx, account, sp, resolution, reverse, func(s *model.AccountSnapshot) bool { return yield(s, nil) })
		if err != nil {
			yield(nil, fmt.Errorf("read account snapshots: %w", err))
		}
	}
}

// CountAccountSnapshots returns how many rows AccountSnapshots gives.
func (r *Reader) CountAccountSnapshots(ctx context.Context, account model.AccountID, sp Span, resolution time.Duration) (uint64, error) {
	n, err := r.snapshots(ctx, account, sp, resolution, false, nil)
	if err != nil {
		return 0, fmt.Errorf("count account snapshots: %w", err)
	}
	return n, nil
}

// snapshots visits the last row of each bucket; without visit it only counts the buckets that have one.
func (r *Reader) snapshots(
	ctx context.Context, account model.AccountID, sp Span, resolution time.Duration, reverse bool, visit func(*model.AccountSnapshot) bool,
) (n uint64, err error) {
	length := resolution.Milliseconds()
	if length <= 0 || key.DayMillis%length != 0 {
		return 0, ErrResolution
	}
	keep, err := r.keep()
	if err != nil {
		return 0, err
	}
	from, to, err := r.extent(ctx, key.AccountSnapshots, max(int64(sp.From), 0), int64(sp.To))
	if err != nil {
		return 0, err
	}
	for from < to {
		if keep.skip(key.AccountSnapshots, &from, &to, reverse) {
			continue
		}
		lo, hi := from, min(to, key.DayStart(key.Day(from)+1))
		if reverse {
			lo, hi = max(from, key.DayStart(key.Day(to-1))), to
		}
		part, more, err := r.snapshotsOfDay(ctx, account, lo, hi, length, reverse, visit)
		if n += part; err != nil || !more {
			return n, err
		}
		if reverse {
			to = lo
		} else {
			from = hi
		}
	}
	return n, nil
}

// snapshotsOfDay looks for the last row of one bucket after the other: a look costs less than the rows of a coarse bucket.
func (r *Reader) snapshotsOfDay(
	ctx context.Context, account model.AccountID, lo, hi, length int64, reverse bool, visit func(*model.AccountSnapshot) bool,
) (n uint64, more bool, err error) {
	for lo < hi {
		if err := ctx.Err(); err != nil {
			return n, false, err
		}
		// The nearest row tells which bucket is the next one that has any.
		at, ok, err := r.nearestSnapshot(ctx, account, lo, hi, reverse)
		if err != nil || !ok {
			return n, true, err
		}
		bucket := at - at%length
		start, end := max(lo, bucket), min(hi, bucket+length)
		if reverse {
			hi = start
		} else {
			lo = end
		}
		n++
		if visit == nil {
			continue
		}
		s, err := r.lastSnapshot(account, start, end)
		if err != nil {
			return n, false, err
		}
		if s.Account == account && !visit(&s) {
			return n, false, nil
		}
	}
	return n, true, nil
}

func (r *Reader) nearestSnapshot(ctx context.Context, account model.AccountID, lo, hi int64, reverse bool) (at int64, ok bool, err error) {
	rg, err := key.AccountSnapshotRange(uint64(account), lo, hi)
	if err != nil {
		return 0, false, err
	}
	scan := r.store.Scan
	if reverse {
		scan = r.store.ScanReverse
	}
	for row, err := range scan(ctx, rg) {
		if err != nil {
			return 0, false, err
		}
		k, err := key.ParseAccountSnapshot(row.Key)
		return k.Time, true, err
	}
	return 0, false, nil
}

func (r *Reader) lastSnapshot(account model.AccountID, lo, hi int64) (s model.AccountSnapshot, err error) {
	rg, err := key.AccountSnapshotRange(uint64(account), lo, hi)
	if err != nil {
		return s, err
	}
	err = r.store.Last(rg, func(k, v []byte) error {
		s, err = decodeAccountSnapshot(kv.KV{Key: k, Value: v})
		return err
	})
	if errors.Is(err, kv.ErrNotFound) { // retention took it meanwhile
		err = nil
	}
	return s, err
}

func decodeAccountSnapshot(row kv.KV) (model.AccountSnapshot, error) {
	k, err := key.ParseAccountSnapshot(row.Key)
	if err != nil {
		return model.AccountSnapshot{}, err
	}
	s, err := record.DecodeAccountSnapshot(row.Value)
	s.Account, s.Time = model.AccountID(k.Account), model.Millis(k.Time)
	return s, err
}
