package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"hyperlight/kv/key"
)

// Durability says when Commit returns.
type Durability uint8

// Sync returns once the batch is on disk; NoSync before, so that a crash may lose it, but never half of it.
const (
	Sync Durability = iota
	NoSync
)

// Batch collects writes that become visible and durable together. It belongs to one goroutine.
type Batch struct {
	b       *pebble.Batch
	touched touched
	err     error // the first fault of a call below; Commit returns it
}

// NewBatch returns an empty batch of this store.
func (s *Store) NewBatch() *Batch { return &Batch{b: s.db.NewBatch()} }

// Set adds a row; both slices are copied.
func (b *Batch) Set(k, v []byte) {
	b.touched.add(k)
	b.note("set row", b.b.Set(k, v, nil))
}

// Delete removes a row; removing an absent one is no error.
func (b *Batch) Delete(k []byte) {
	b.touched.add(k)
	b.note("delete row", b.b.Delete(k, nil))
}

// DeleteRange removes all rows of a range, those set earlier in the batch included, those set later not.
func (b *Batch) DeleteRange(r key.Range) {
	// The database takes such a range silently for nothing.
	if bytes.Compare(r.Start, r.End) >= 0 {
		b.note("delete range", key.ErrEmptyRange)
		return
	}
	b.touched.addRange(r)
	b.note("delete range", b.b.DeleteRange(r.Start, r.End, nil))
}

func (b *Batch) note(what string, err error) {
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("%s: %w", what, err)
	}
}

// Len returns the number of operations.
func (b *Batch) Len() int { return int(b.b.Count()) }

// Size returns the bytes that the batch adds to the log.
func (b *Batch) Size() int { return b.b.Len() }

// Reset empties the batch for reuse.
func (b *Batch) Reset() {
	b.b.Reset()
	b.touched.reset()
	b.err = nil
}

// Commit applies a batch as a whole. It returns ErrReadOnly while the disk is short of space, ErrFailed after an error
// that the store cannot recover from. The batch must be Reset before it is used again.
func (s *Store) Commit(b *Batch, d Durability) error { return s.commit(b, d, s.writable) }

// CommitReserve applies a batch also while free space is below the minimum. It is for the few rows without which the
// record would tell something wrong; everything that grows with the market goes through Commit.
func (s *Store) CommitReserve(b *Batch, d Durability) error { return s.commit(b, d, s.l.failure) }

func (s *Store) commit(b *Batch, d Durability, refuse func() error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if b.err != nil {
		return fmt.Errorf("commit: %w", b.err)
	}
	if err := refuse(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return s.apply(b, d)
}

// apply writes a batch. Pebble answers a failing log with Fatalf and then nil, or with a panic: neither may reach the
// caller as success, and neither may leave the process running with a log that takes no more.
func (s *Store) apply(b *Batch, d Durability) (err error) {
	if s.o.ReadOnly {
		return fmt.Errorf("commit: %w: it was opened to be read", ErrReadOnly)
	}
	defer func() {
		if p := recover(); p != nil {
			s.stuck.Store(true)
			s.l.fail(fmt.Errorf("commit panicked: %v", p))
			err = fmt.Errorf("commit: %w", s.l.failure())
		}
	}()
	if b.b.Empty() {
		return nil
	}
	size := b.b.Len()
	o := pebble.NoSync
	if d == Sync {
		o = pebble.Sync
	}
	defer s.changes.begin(&b.touched)()
	if err := s.db.Apply(b.b, o); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := s.l.failure(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	commits.Inc()
	commitBytes.Add(size)
	return nil
}

// indexed are the families that have index rows, which fall with them.
var indexed = map[key.Family]bool{key.Trades: true, key.Books: true, key.Funding: true, key.Liquidations: true}

// DropBefore removes everything of a bucketed family whose bucket is below the given one, and its index rows. It also
// works while the store is read-only: it is what makes space.
func (s *Store) DropBefore(f key.Family, bucket uint32) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	b := s.NewBatch()
	if err := dropRanges(b, f, bucket); err != nil {
		return fmt.Errorf("drop family %c before bucket %d: %w", byte(f), bucket, err)
	}
	if err := s.l.failure(); err != nil {
		return err
	}
	return s.apply(b, Sync)
}

func dropRanges(b *Batch, f key.Family, bucket uint32) error {
	add := func(r key.Range, err error) error {
		if err == nil {
			b.DeleteRange(r)
		}
		return err
	}
	if f == key.Candles {
		for res := key.Minute; res <= key.GivenDaily; res++ {
			if err := add(key.CandleBuckets(res, 0, bucket)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := add(key.BucketRange(f, 0, bucket)); err != nil {
		return err
	}
	if indexed[f] {
		return add(key.IndexRange(f, 0, bucket))
	}
	return nil
}

// Probe writes a row, durably, and reads it back: what a health check can honestly say about the disk. It blocks as
// long as the disk does.
func (s *Store) Probe() error {
	s.probe.Lock()
	defer s.probe.Unlock()
	s.probes++
	k := key.MetaRow(nil, "probe")
	want := binary.AppendUvarint([]byte{1}, s.probes)
	b := s.NewBatch()
	b.Set(k, want)
	if err := s.Commit(b, Sync); err != nil {
		return fmt.Errorf("probe store: %w", err)
	}
	err := s.Get(k, func(v []byte) error {
		if !bytes.Equal(v, want) {
			return errors.New("a row just written reads differently")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("probe store: %w", err)
	}
	return nil
}
