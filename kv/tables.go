package kv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyperlight/kv/key"
)

// TableFault is a table file that does not hold what was written into it.
type TableFault struct {
	File     string       // path
	Families []key.Family // whose rows lie in it
	Err      error
}

// CheckTables reads every block of every table file of the store and compares it with its checksum, past the cache.
// progress is called after each file with the bytes read so far and those of all files; it may be nil. Faults of the
// files are returned, err is about going through them.
func (s *Store) CheckTables(ctx context.Context, progress func(done, total int64)) (faults []TableFault, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	tables, total, err := s.tables()
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", damaged(err))
	}
	done := int64(0)
	for _, t := range tables {
		if err := s.goOn(ctx); err != nil {
			return faults, fmt.Errorf("check tables: %w", err)
		}
		switch err := s.checkTable(ctx, t.path); {
		case errors.Is(err, fs.ErrNotExist) && !s.o.ReadOnly: // compacted away meanwhile: what replaced it was just written
		case err != nil:
			faults = append(faults, TableFault{File: t.path, Families: s.within(t), Err: oneLine{err}})
		}
		if done += t.bytes; progress != nil {
			progress(done, total)
		}
	}
	return faults, nil
}

// table is a file; several virtual tables may lie in one.
type table struct {
	path        string
	bytes       int64
	first, last key.Family
}

// within returns the families between the first and the last key of a table that the store has rows of.
func (s *Store) within(t *table) (out []key.Family) {
	for _, f := range key.Families {
		if f < t.first || f > t.last {
			continue
		}
		if n, err := s.db.EstimateDiskUsage(key.All(f).Start, key.All(f).End); n > 0 || err != nil {
			out = append(out, f)
		}
	}
	return out
}

func (s *Store) tables() (out []*table, total int64, err error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return nil, 0, err
	}
	seen := map[string]*table{}
	for _, level := range levels {
		for _, i := range level {
			name := i.BackingSSTNum.String() + ".sst"
			t := seen[name]
			if t == nil {
				t = &table{path: s.o.fs.PathJoin(s.o.Dir, name), first: 0xff}
				if info, err := s.o.fs.Stat(t.path); err == nil {
					t.bytes = info.Size()
				}
				seen[name], out = t, append(out, t)
				total += t.bytes
			}
			if small, large := i.Smallest.UserKey, i.Largest.UserKey; len(small) > 0 && len(large) > 0 {
				t.first, t.last = min(t.first, key.Family(small[0])), max(t.last, key.Family(large[0]))
			}
		}
	}
	return out, total, nil
}

func (s *Store) checkTable(ctx context.Context, path string) error {
	f, err := s.o.fs.Open(path)
	if err != nil {
		return fmt.Errorf("open table: %w", err)
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(fmt.Errorf("open table: %w", err), f.Close())
	}
	r, err := sstable.NewReader(ctx, readable, s.o.pebble(s.o.fs, nil, s.l).MakeReaderOptions())
	if err != nil {
		return errors.Join(fmt.Errorf("read table: %w", err), readable.Close())
	}
	if err := errors.Join(r.ValidateBlockChecksums(), r.Close()); err != nil {
		return fmt.Errorf("read table: %w", err)
	}
	return nil
}

// Space returns about how many bytes of disk the rows of a range take. It reads no rows.
func (s *Store) Space(r key.Range) (uint64, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	n, err := s.db.EstimateDiskUsage(r.Start, r.End)
	if err != nil {
		return 0, fmt.Errorf("estimate space: %w", damaged(err))
	}
	return n, nil
}

// spaceEvery is how old the figures by family may be.
const spaceEvery = 30 * time.Second

// familySpace keeps what each family takes.
type familySpace struct {
	mu   sync.Mutex
	at   time.Time
	last map[key.Family]uint64
}

// bytes returns what a family takes, or took when last asked: after Close, or where the disk fails.
func (c *familySpace) bytes(s *Store, f key.Family) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := s.o.Now(); c.at.IsZero() || now.Sub(c.at) >= spaceEvery {
		c.at = now
		if c.last == nil {
			c.last = make(map[key.Family]uint64, len(key.Families))
		}
		for _, f := range key.Families {
			if s.stuck.Load() { // Pebble's locks are lost
				break
			}
			if n, err := s.Space(key.All(f)); err == nil {
				c.last[f] = n
			}
		}
	}
	return c.last[f]
}

// Format returns the number of the layout that the store is in. Of one that was opened to be read it may be an older one,
// or 0 where the row that tells it is damaged.
func (s *Store) Format() int { return s.found }

// Dir returns where the store lies.
func (s *Store) Dir() string { return s.o.Dir }

// Checkpoint writes a copy of the store, everything committed so far included, into a directory that must not exist yet
// (ErrExists). On the same disk it is made of hard links, else it is copied. The directory appears whole, or not at all.
func (s *Store) Checkpoint(dir string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	s.copying.Lock()
	defer s.copying.Unlock()
	fail := func(err error) error { return fmt.Errorf("checkpoint %s: %w", dir, err) }
	if _, err := s.o.fs.Stat(dir); err == nil {
		return fail(ErrExists)
	}
	aside := dir + partial
	if err := s.o.fs.RemoveAll(aside); err != nil { // of a process that was killed
		return fail(err)
	}
	if err := s.db.Checkpoint(aside, pebble.WithFlushedWAL()); err != nil {
		return fail(damaged(err))
	}
	if err := s.l.failure(); err != nil {
		return fail(errors.Join(err, s.o.fs.RemoveAll(aside)))
	}
	if err := renameSynced(s.o.fs, aside, dir); err != nil {
		return fail(err)
	}
	return nil
}

// partial ends the name of what is not whole yet.
const partial = ".partial"

// parentDir returns the directory that a path lies in, as the file system opens it.
func parentDir(path string) string { return filepath.Dir(path) }

func renameSynced(disk vfs.FS, from, to string) error {
	if _, err := disk.Stat(to); err == nil {
		return &os.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	if err := disk.Rename(from, to); err != nil {
		return err
	}
	return syncDir(disk, parentDir(to))
}

func removeSynced(disk vfs.FS, name string) error {
	if err := disk.Remove(name); err != nil {
		return err
	}
	return syncDir(disk, parentDir(name))
}

func syncDir(disk vfs.FS, dir string) error {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CheckRows calls visit for each row of a family. Where rows cannot be read, report is told of it and the walk ends with torn:
// what leads to the others is not known. An error of visit or of report ends it too, and is returned.
func (s *Store) CheckRows(ctx context.Context, f key.Family, report func(k []byte, problem string) error, visit func(row KV) error) (torn bool, err error) {
	for row, err := range s.Scan(ctx, key.All(f)) {
		if errors.Is(err, ErrDamaged) {
			return true, report([]byte{byte(f)}, fmt.Sprintf("%s cannot be read: %v", f.Name(), err))
		}
		if err != nil {
			return false, err
		}
		if err := visit(row); err != nil {
			return false, err
		}
	}
	return false, nil
}
