package kv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"hyperlight/kv/key"
)

// An open iterator pins the tables it reads, so that dropped data keeps its disk space: scans take a new one after so
// many rows or so long.
const (
	reopenRows  = 4096
	reopenAfter = time.Second
)

// KV is a row of a scan; both slices are valid until the next one.
type KV struct{ Key, Value []byte }

// Get calls fn with the value of a key; the value is valid inside fn only. It returns ErrNotFound, or what fn returns.
func (s *Store) Get(k []byte, fn func(v []byte) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	v, closer, err := s.db.Get(k)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			return ErrNotFound
		}
		return fmt.Errorf("get row: %w", damaged(err))
	}
	return errors.Join(fn(v), closer.Close())
}

// Last calls fn with the greatest key of a range and its value, both valid inside fn only. It returns ErrNotFound where
// the range holds nothing, or what fn returns.
func (s *Store) Last(r key.Range, fn func(k, v []byte) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	it, err := s.iter(context.Background(), r)
	if err != nil {
		return err
	}
	if !it.Last() {
		if err := errors.Join(it.Error(), it.Close()); err != nil {
			return fmt.Errorf("find last row: %w", damaged(err))
		}
		return ErrNotFound
	}
	v, err := it.ValueAndErr()
	if err != nil {
		return errors.Join(fmt.Errorf("find last row: %w", damaged(err)), it.Close())
	}
	return errors.Join(fn(it.Key(), v), it.Close())
}

// Scan goes through a range in key order. It ends with an error when ctx ends or the store is closed. It takes a new
// iterator every 4,096 rows and every second, so a long scan sees rows that were written ahead of it meanwhile.
func (s *Store) Scan(ctx context.Context, r key.Range) iter.Seq2[KV, error] {
	return s.scan(ctx, r, forward)
}

// ScanReverse goes through a range in reverse key order, else like Scan.
func (s *Store) ScanReverse(ctx context.Context, r key.Range) iter.Seq2[KV, error] {
	return s.scan(ctx, r, backward)
}

// direction is how a scan moves, and what is left of its range after a row.
type direction struct {
	first, next func(*pebble.Iterator) bool
	rest        func(r key.Range, last []byte) key.Range
}

var forward = direction{
	first: (*pebble.Iterator).First,
	next:  (*pebble.Iterator).Next,
	rest: func(r key.Range, last []byte) key.Range {
		return key.Range{Start: append(last[:len(last):len(last)], 0), End: r.End}
	},
}

var backward = direction{
	first: (*pebble.Iterator).Last,
	next:  (*pebble.Iterator).Prev,
	rest: func(r key.Range, last []byte) key.Range {
		return key.Range{Start: r.Start, End: last}
	},
}

func (s *Store) scan(ctx context.Context, r key.Range, d direction) iter.Seq2[KV, error] {
	return func(yield func(KV, error) bool) {
		if err := s.enter(); err != nil {
			yield(KV{}, err)
			return
		}
		defer s.leave()
		for more := true; more; {
			var err error
			if r, more, err = s.stretch(ctx, r, d, yield); err != nil {
				yield(KV{}, fmt.Errorf("scan: %w", damaged(err)))
				return
			}
		}
	}
}

// stretch scans with one iterator and returns what is left of the range. Errors are returned, never yielded here.
func (s *Store) stretch(ctx context.Context, r key.Range, d direction, yield func(KV, error) bool) (rest key.Range, more bool, err error) {
	if err := s.goOn(ctx); err != nil {
		return r, false, err
	}
	it, err := s.iter(ctx, r)
	if err != nil {
		return r, false, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	age := newAging(s.o.Now)
	rows := 0
	for ok := d.first(it); ok; ok = d.next(it) {
		if err := s.goOn(ctx); err != nil {
			return r, false, err
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return r, false, err
		}
		if !yield(KV{Key: it.Key(), Value: v}, nil) {
			return r, false, nil
		}
		if rows++; rows >= reopenRows || age.old() {
			last := append([]byte(nil), it.Key()...)
			return d.rest(r, last), true, nil
		}
	}
	return r, false, it.Error()
}

// aging tells when an iterator is too old. Reading the clock costs as much as half a row, so a consumer that takes rows
// quickly is looked at every 64 rows only; a slow one after each.
type aging struct {
	now         func() time.Time
	last, until time.Time
	stride, row int
}

const maxStride = 64

func newAging(now func() time.Time) aging {
	t := now()
	return aging{now: now, last: t, until: t.Add(reopenAfter), stride: 1}
}

// old is called once a row.
func (a *aging) old() bool {
	if a.row++; a.row < a.stride {
		return false
	}
	t := a.now()
	if t.Sub(a.last) > time.Millisecond {
		a.stride = 1
	} else {
		a.stride = min(2*a.stride, maxStride)
	}
	a.row, a.last = 0, t
	return !t.Before(a.until)
}

func (s *Store) goOn(ctx context.Context) error {
	if s.closed() {
		return ErrClosed
	}
	return ctx.Err()
}

func (s *Store) iter(ctx context.Context, r key.Range) (*pebble.Iterator, error) {
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: r.Start, UpperBound: r.End})
	if err != nil {
		return nil, fmt.Errorf("open iterator: %w", err)
	}
	return it, nil
}
