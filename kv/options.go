package kv

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrNotFound reports a key that is not in the store.
	ErrNotFound = errors.New("not found")
	// ErrClosed reports a call on a store that is closed or closing.
	ErrClosed = errors.New("store is closed")
	// ErrReadOnly reports a write refused because the disk is short of space or refuses to take tables. It passes
	// when the disk recovers.
	ErrReadOnly = errors.New("store is read-only")
	// ErrFailed reports a write after an error that the store cannot recover from: the process must end.
	ErrFailed = errors.New("store has failed")
	// ErrLocked reports a store that another process, or another part of this one, holds open.
	ErrLocked = errors.New("store is in use")
	// ErrNewerFormat reports a store that a newer version of the program has written.
	ErrNewerFormat = errors.New("store has a newer format")
	// ErrForeign reports a Pebble database that is no store of this program.
	ErrForeign = errors.New("not a hyperlight store")
	// ErrExists reports a checkpoint directory that exists already.
	ErrExists = errors.New("directory exists already")
	// ErrDamaged reports files whose contents are not what was written into them.
	ErrDamaged = errors.New("store is damaged")
	// ErrStaged reports a restore while an earlier one still waits for its swap.
	ErrStaged = errors.New("a restore waits already")
)

// Format is the number of the key and value layout that this build reads and writes.
const Format = 1

// The defaults of Options.
const (
	DefaultCacheBytes    = 256 << 20
	DefaultMemTableBytes = 64 << 20
	DefaultMinFree       = 512 << 20
)

// Options says where a store lies and how it behaves. Zero values mean the defaults.
type Options struct {
	Dir           string
	CacheBytes    int64
	MemTableBytes int64
	MinFree       int64 // free bytes below which writes are refused; negative: never
	Logger        *slog.Logger
	Now           func() time.Time
	// OnFatal is called at most once, when the store cannot go on; it should end the process. It must not call the
	// store. May be nil.
	OnFatal func(error)
	// ReadOnly opens a store that must be there, under its lock, to read it: nothing of it is changed, compacted or
	// migrated, and writes return ErrReadOnly.
	ReadOnly bool
	// BeforeMigration is where the checkpoint goes that is taken before the store's format is changed; "" is the
	// directory that Dir lies in.
	BeforeMigration string

	fs         vfs.FS
	format     int         // 0: Format; tests have others
	migrations []migration // nil: those of the program
}

// WithFS returns the options with another file system than the operating system's.
func WithFS(o Options, fs vfs.FS) Options {
	o.fs = fs
	return o
}

func (o Options) withDefaults() Options {
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = DefaultMemTableBytes
	}
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnFatal == nil {
		o.OnFatal = func(error) {}
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if o.format == 0 {
		o.format, o.migrations = Format, migrations
	}
	if o.BeforeMigration == "" {
		o.BeforeMigration = parentDir(o.Dir)
	}
	return o
}

// pebble sets what the library's defaults, made for embedding in something larger, get wrong for us.
func (o Options) pebble(fs vfs.FS, lock *pebble.Lock, l *listener) *pebble.Options {
	p := &pebble.Options{
		FS:       fs,
		Lock:     lock,
		ReadOnly: o.ReadOnly,
		// Named, so that a newer library does not upgrade stores by itself.
		FormatMajorVersion:         pebble.FormatValueSeparation,
		CacheSize:                  o.CacheBytes,
		MemTableSize:               uint64(o.MemTableBytes),
		L0CompactionThreshold:      2,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
		// Otherwise the space of a dropped day comes back only after some later flush.
		FlushDelayDeleteRange: 10 * time.Second,
		Logger:                l,
		EventListener:         l.events(),
	}
	// Point reads look for keys that exist: the last level, nine tenths of all rows, needs no filter.
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	p.Levels[len(p.Levels)-1].FilterPolicy = pebble.NoFilterPolicy
	p.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	return p
}
