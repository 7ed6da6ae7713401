package kv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"hyperlight/kv/key"
)

// migration changes a store from the format before to the format To.
//
// A crash in the middle starts it anew, so Run must take rows that it has changed already as they are. It may commit as
// often as it likes; what it adds to last is committed together with the new format number.
type migration struct {
	to  int
	run func(ctx context.Context, s *Store, last *Batch) error
}

// migrations lists every change of the format since 1, ascending. A released one is never changed.
var migrations = []migration{}

// storeFormat is the row that tells a store's format. While a migration runs it holds the new number and the one that
// it comes from: an older program, which reads the first number only, refuses the store from the first changed row on.
type storeFormat struct{ number, from int }

// A store of format 1 has 01 01; trailing bytes were never refused, so the second number needs no new version.
func (f storeFormat) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, 1), uint64(f.number))
	if f.from > 0 {
		dst = binary.AppendUvarint(dst, uint64(f.from))
	}
	return dst
}

func decodeFormat(v []byte) (f storeFormat, err error) {
	foreign := fmt.Errorf("%w: format row %x", ErrForeign, v)
	if len(v) < 2 || v[0] != 1 {
		return f, foreign
	}
	rest := v[1:]
	for _, into := range []*int{&f.number, &f.from} {
		if len(rest) == 0 {
			break
		}
		n, size := binary.Uvarint(rest)
		if size <= 0 || n == 0 || n > 1<<31-1 {
			return f, foreign
		}
		*into, rest = int(n), rest[size:]
	}
	return f, nil
}

var formatRow = key.MetaRow(nil, "format")

// checkFormat compares the store's own format number with ours, writes it into a new store and migrates an older one.
func (s *Store) checkFormat() error {
	var f storeFormat
	err := s.Get(formatRow, func(v []byte) (err error) {
		f, err = decodeFormat(v)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound) && !s.o.ReadOnly:
		return s.writeFormat()
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("open store %s: %w: it has no format", s.o.Dir, ErrForeign)
	case errors.Is(err, ErrDamaged) && s.o.ReadOnly: // what is left can be looked at
		return nil
	case err != nil:
		return fmt.Errorf("open store %s: read format: %w", s.o.Dir, err)
	case f.number > s.o.format:
		return fmt.Errorf("open store %s: %w: it has store format %d, this program knows up to %d: use the version that wrote it, or a later one",
			s.o.Dir, ErrNewerFormat, f.number, s.o.format)
	}
	s.found = f.number
	if f.from > 0 {
		s.found = f.from
	}
	if s.found == s.o.format || s.o.ReadOnly {
		return nil
	}
	if err := s.migrate(f); err != nil {
		return fmt.Errorf("open store %s: change its format from %d to %d: %w", s.o.Dir, s.found, s.o.format, err)
	}
	s.found = s.o.format
	return nil
}

func (s *Store) writeFormat() error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.o.Dir, damaged(err))
	}
	used := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("open store %s: %w", s.o.Dir, damaged(err))
	}
	if used {
		return fmt.Errorf("open store %s: %w: it holds rows but no format", s.o.Dir, ErrForeign)
	}
	s.found = s.o.format
	if err := s.db.Set(formatRow, storeFormat{number: s.o.format}.append(nil), pebble.Sync); err != nil {
		return fmt.Errorf("open store %s: write format: %w", s.o.Dir, err)
	}
	if err := s.l.failure(); err != nil {
		return fmt.Errorf("open store %s: write format: %w", s.o.Dir, err)
	}
	return nil
}

// migrate takes a checkpoint, unless a migration that was cut off took it, and runs what lies between the formats.
func (s *Store) migrate(at storeFormat) error {
	if err := s.writable(); err != nil { // each attempt would leave another checkpoint on the full disk
		return err
	}
	if at.from == 0 {
		dir, err := s.checkpointBefore()
		if err != nil {
			return err
		}
		s.o.Logger.Info("store checkpoint taken before its format changes", "path", dir, "from", s.found, "to", s.o.format)
	}
	now := s.found
	for _, m := range s.o.migrations {
		if m.to <= now || m.to > s.o.format {
			continue
		}
		if m.to != now+1 {
			return fmt.Errorf("there is no way from format %d to %d", now, m.to)
		}
		if err := s.runMigration(m, now); err != nil {
			return err
		}
		now = m.to
		s.o.Logger.Info("store format changed", "format", now)
	}
	if now != s.o.format {
		return fmt.Errorf("there is no way from format %d to %d", now, now+1)
	}
	return nil
}

func (s *Store) runMigration(m migration, from int) error {
	b := s.NewBatch()
	b.Set(formatRow, storeFormat{number: m.to, from: from}.append(nil))
	if err := s.Commit(b, Sync); err != nil {
		return err
	}
	b.Reset()
	if err := m.run(context.Background(), s, b); err != nil {
		return fmt.Errorf("format %d: %w", m.to, err)
	}
	b.Set(formatRow, storeFormat{number: m.to}.append(nil))
	return s.Commit(b, Sync)
}

// BeforeFormat begins the name of a checkpoint that was taken before the store's format changed.
const BeforeFormat = "before-format-"

// checkpointBefore keeps the store as it is, for a way back: before-format-2/store, or with a further number where one
// of an earlier change is there, because the store was restored from it since.
func (s *Store) checkpointBefore() (string, error) {
	fs := s.o.fs
	name := fmt.Sprint(BeforeFormat, s.o.format)
	for n := 2; ; n++ {
		dir := fs.PathJoin(s.o.BeforeMigration, name, "store")
		err := s.Checkpoint(dir)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, ErrExists) {
			return "", err
		}
		name = fmt.Sprintf("%s%d-%d", BeforeFormat, s.o.format, n)
	}
}
