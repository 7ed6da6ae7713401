package export

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"hyperlight/engine/lake"
)

// disk is the lake's directory. Names have slashes and lie below it. Tests let it fail at any call.
type disk interface {
	MkdirAll(dir string) error
	Create(name string) (diskFile, error)
	Rename(from, to string) error
	// SyncDir puts what was made and renamed in a directory on disk.
	SyncDir(dir string) error
	Remove(name string) error
	Open(name string) (*os.File, error)
	Stat(name string) (fs.FileInfo, error)
	Chtimes(name string, t time.Time) error
	FS() fs.FS
	Close() error
}

type diskFile interface {
	io.WriteCloser
	Sync() error
}

// rootDisk is a directory that no name leads out of.
type rootDisk struct{ root *os.Root }

func openDisk(dir string) (disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the lake's directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the lake's directory: %w", err)
	}
	return rootDisk{root}, nil
}

func (d rootDisk) MkdirAll(dir string) error { return d.root.MkdirAll(dir, 0o755) }

func (d rootDisk) Create(name string) (diskFile, error) {
	return d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
}

func (d rootDisk) Rename(from, to string) error { return d.root.Rename(from, to) }

func (d rootDisk) SyncDir(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d rootDisk) Remove(name string) error { return d.root.Remove(name) }

func (d rootDisk) Open(name string) (*os.File, error) { return d.root.Open(name) }

func (d rootDisk) Stat(name string) (fs.FileInfo, error) { return d.root.Stat(name) }

func (d rootDisk) Chtimes(name string, t time.Time) error { return d.root.Chtimes(name, t, t) }

func (d rootDisk) FS() fs.FS { return d.root.FS() }

func (d rootDisk) Close() error { return d.root.Close() }

// asideSuffix ends the name of a file that is being written: no reader takes it for one of the lake's, whatever its pattern.
const asideSuffix = ".tmp"

// aside returns the name under which a file is written before it has its own.
func aside(key string) string { return path.Join(path.Dir(key), "."+path.Base(key)+asideSuffix) }

// removeAside removes what a crash has left of files that were being written. It looks at the directories of the datasets alone: what
// else is in the lake's, lost+found say, may not be ours to read.
func removeAside(d disk) error {
	for _, dataset := range lake.Datasets {
		if err := fs.WalkDir(d.FS(), string(dataset), func(name string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			base := path.Base(name)
			if err != nil || entry.IsDir() || !strings.HasPrefix(base, ".part-") || !strings.HasSuffix(base, asideSuffix) {
				return err
			}
			if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove what a crash has left: %w", err)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// place gives a file that was written aside its name, and is back when that is on disk: the name, and each directory above.
func place(d disk, key string) error {
	if err := d.Rename(aside(key), key); err != nil {
		return fmt.Errorf("rename file: %w", err)
	}
	for dir := path.Dir(key); ; dir = path.Dir(dir) {
		if err := d.SyncDir(dir); err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
		if dir == "." {
			return nil
		}
	}
}
