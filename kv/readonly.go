package kv

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// OpenCopy opens a checkpoint, or any other store that nobody writes, without changing a byte of it: nothing in its
// directory is made, renamed or removed, not even a lock, so it may lie on a medium that cannot be written. Two may open
// the same copy. Writes return ErrReadOnly. A store of an older format is opened as it is: see Store.Format.
func OpenCopy(o Options) (*Store, error) {
	o = o.withDefaults()
	o.ReadOnly = true
	o.fs = frozenFS{o.fs}
	return openReadOnly(o)
}

// openReadOnly opens a store that must be there.
func openReadOnly(o Options) (*Store, error) {
	entries, err := o.fs.List(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("open store %s: %w: the directory is empty", o.Dir, ErrForeign)
	}
	lock, err := lockDir(o)
	if err != nil {
		return nil, err
	}
	return start(o, lock)
}

// frozenFS refuses whatever would change the disk. A lock on it excludes nobody: what it holds does not change.
type frozenFS struct{ vfs.FS }

func frozen(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission} }

// Create refuses.
func (frozenFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, frozen("create", name)
}

// Link refuses.
func (frozenFS) Link(_, name string) error { return frozen("link", name) }

// OpenReadWrite refuses.
func (frozenFS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	return nil, frozen("write", name)
}

// Remove refuses.
func (frozenFS) Remove(name string) error { return frozen("remove", name) }

// RemoveAll refuses.
func (frozenFS) RemoveAll(name string) error { return frozen("remove", name) }

// Rename refuses.
func (frozenFS) Rename(_, name string) error { return frozen("rename", name) }

// ReuseForWrite refuses.
func (frozenFS) ReuseForWrite(_, name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, frozen("write", name)
}

// MkdirAll refuses.
func (frozenFS) MkdirAll(name string, _ os.FileMode) error { return frozen("make", name) }

// Lock returns a lock that is no file.
func (frozenFS) Lock(string) (io.Closer, error) { return noLock{}, nil }

// Unwrap returns the file system below.
func (f frozenFS) Unwrap() vfs.FS { return f.FS }

type noLock struct{}

// Close implements io.Closer.
func (noLock) Close() error { return nil }

// damaged marks what Pebble calls corruption, so that callers need not know Pebble.
func damaged(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, oneLine{err})
	}
	return err
}

// oneLine is an error of Pebble's, whose text may go on in further lines with nothing in them for a person.
type oneLine struct{ error }

func (e oneLine) Error() string {
	first, _, _ := strings.Cut(e.error.Error(), "\n")
	return first
}

func (e oneLine) Unwrap() error { return e.error }
