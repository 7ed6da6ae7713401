// Package kv owns the Pebble store: opening, commits, scans, retention, checkpoints, restores, changes of its format and
// its health. It knows bytes, not trades, and is the only package besides kvtest that imports Pebble.
//
// A Store may be used from any goroutine. Every call holds a reference; Close refuses new ones and waits for those that
// run, because Pebble panics on use after close. After Close every call returns ErrClosed.
package kv

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// Store is an open store.
type Store struct {
	db   *pebble.DB
	o    Options
	l    *listener
	lock *pebble.Lock

	changes changes
	refs    atomic.Int64  // running calls; closing is added when Close begins
	idle    chan struct{} // wakes Close when the last call has left
	once    sync.Once
	err     error  // of Close
	unreg   func() // takes the gauges down
	found   int    // the format that the store had, or got when it was made or migrated

	stuck   atomic.Bool // a commit panicked inside Pebble and holds its locks
	space   spaceWatch
	stats   statsCache
	sizes   familySpace
	copying sync.Mutex // one checkpoint at a time
	probe   sync.Mutex // one probe at a time, so that each reads its own row
	probes  uint64
}

// closing is added to refs when Close begins, so that one atomic word tells both.
const closing = math.MinInt64 / 2

// Open opens or creates a store. The directory is made with mode 0700 and locked against other processes.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("open store: no directory given")
	}
	if o.ReadOnly {
		return openReadOnly(o)
	}
	for {
		if _, err := finishRestore(o); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
		if err := o.fs.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("open store: make directory: %w", err)
		}
		lock, err := lockDir(o)
		if err != nil {
			return nil, err
		}
		// A restore that was decided on before the lock was taken goes first; a later one sees the lock.
		if _, waits, err := readMarker(o); err == nil && !waits {
			if err := dropCopy(o); err != nil {
				o.Logger.Warn("copy of a restore that was cut off not removed", "error", err)
			}
			return start(o, lock)
		} else if err := errors.Join(err, lock.Close()); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
}

// start opens the locked directory and takes the lock over.
func start(o Options, lock *pebble.Lock) (*Store, error) {
	s := &Store{o: o, lock: lock, idle: make(chan struct{}, 1)}
	s.l = newListener(o)
	if err := s.open(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.unreg = func() {}
	if !o.ReadOnly {
		s.unreg = s.register()
	}
	return s, nil
}

func (s *Store) open() error {
	if err := checkPebbleFormat(s.o); err != nil {
		return err
	}
	db, err := pebble.Open(s.o.Dir, s.o.pebble(&watchedFS{FS: s.o.fs, l: s.l}, s.lock, s.l))
	if errors.Is(err, fs.ErrNotExist) { // the directory is there: a file that it must hold is not
		err = fmt.Errorf("%w: %w", ErrDamaged, oneLine{err})
	}
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.o.Dir, damaged(err))
	}
	s.db = db
	if err := s.checkFormat(); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

func lockDir(o Options) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(o.Dir, o.fs)
	if err == nil {
		return lock, nil
	}
	// A fault of the lock file itself names its path; what is left is a lock that somebody holds.
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("open store: lock directory: %w", err)
	}
	return nil, fmt.Errorf("open store %s: %w by another process (%w)", o.Dir, ErrLocked, err)
}

// checkPebbleFormat refuses files of a newer library before anything in the directory is touched, and tables without the
// markers that tell which are in use. A marker is an empty file, which some tools for copies leave out: Pebble would take
// the directory for a new one and remove the tables.
func checkPebbleFormat(o Options) error {
	v, err := atomicfs.ReadMarker(o.fs, o.Dir, "format-version")
	if err != nil {
		return fmt.Errorf("open store %s: read format marker: %w", o.Dir, err)
	}
	manifest, err := atomicfs.ReadMarker(o.fs, o.Dir, "manifest")
	if err != nil {
		return fmt.Errorf("open store %s: read manifest marker: %w", o.Dir, err)
	}
	if v == "" || manifest == "" {
		names, err := o.fs.List(o.Dir)
		if err != nil {
			return fmt.Errorf("open store: %w", err)
		}
		if slices.ContainsFunc(names, isTable) {
			return fmt.Errorf("open store %s: %w: it has tables, but the file marker.manifest.* or marker.format-version.* is missing", o.Dir, ErrDamaged)
		}
	}
	if n, err := strconv.ParseUint(v, 10, 64); err == nil && n > uint64(pebble.FormatNewest) {
		return fmt.Errorf("open store %s: %w: its files need Pebble format %d, this program knows up to %d: use the version that wrote it, or a later one",
			o.Dir, ErrNewerFormat, n, pebble.FormatNewest)
	}
	return nil
}

// enter takes a reference for the length of a call.
func (s *Store) enter() error {
	if s.refs.Add(1) > 0 {
		return nil
	}
	s.leave()
	return ErrClosed
}

func (s *Store) leave() {
	if s.refs.Add(-1) == closing {
		select {
		case s.idle <- struct{}{}:
		default: // Close has a wake-up waiting already
		}
	}
}

// closed tells a long call that Close waits for it.
func (s *Store) closed() bool { return s.refs.Load() < 0 }

// Close waits for running calls and closes the store; scans end early with ErrClosed. Further calls of Close return the
// result of the first.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.refs.Add(closing)
		for s.refs.Load() != closing {
			<-s.idle
		}
		s.unreg()
		if s.stuck.Load() { // Pebble would wait for itself; the directory stays locked until the process ends
			s.err = fmt.Errorf("close store: %w", s.l.failure())
			return
		}
		if err := errors.Join(s.db.Close(), s.lock.Close()); err != nil {
			s.err = fmt.Errorf("close store: %w", err)
		}
	})
	return s.err
}
