package kv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A restore makes a copy beside the store, looks at it, and then puts it in the store's place. From the moment that the
// file named by marker is there the swap is decided: whoever opens the store next finishes it, after a crash too.
const (
	restoring  = ".restoring" // the copy
	marker     = ".restore"   // holds the path that the old store gets
	swapLock   = ".restore-lock"
	beforeTime = ".before-restore-20060102T150405"
)

// Restored says what became of a restore.
type Restored struct {
	// Before is where the old store is, or will be, kept; "" where there was none.
	Before string
	// Waiting tells that the store is in use: the swap is made when it is opened next.
	Waiting bool
}

// Restore replaces the store in o.Dir by the checkpoint in from, which stays as it is. The copy, of hard links to its
// tables where both lie on one disk, is handed to check first, by its directory; an error of check ends the restore with
// nothing changed. The old store is kept beside the new one. While another process holds the store the swap waits for
// the next Open. ErrStaged reports that an earlier restore waits so.
func Restore(o Options, from string, check func(dir string) error) (r Restored, err error) {
	o = o.withDefaults()
	fail := func(err error) (Restored, error) { return Restored{}, fmt.Errorf("restore %s: %w", from, err) }
	if err := o.fs.MkdirAll(parentDir(o.Dir), 0o700); err != nil {
		return fail(err)
	}
	lock, err := o.fs.Lock(o.Dir + swapLock)
	if err != nil {
		return fail(fmt.Errorf("%w by another restore (%w)", ErrLocked, err))
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, waits, err := readMarker(o); err != nil || waits {
		return fail(errors.Join(err, ErrStaged))
	}
	copied := o.Dir + restoring
	if err := o.fs.RemoveAll(copied); err != nil {
		return fail(err)
	}
	err = copyStore(o, from, copied)
	if err == nil {
		err = check(copied)
	}
	if err != nil {
		return fail(errors.Join(err, o.fs.RemoveAll(copied)))
	}
	before, err := freeName(o.fs, o.Dir+o.Now().UTC().Format(beforeTime))
	if err == nil {
		err = writeMarker(o, before)
	}
	if err != nil {
		return fail(errors.Join(err, takeBack(o)))
	}
	r.Before = before
	if _, err := o.fs.Stat(o.Dir); errors.Is(err, fs.ErrNotExist) {
		r.Before = ""
	}
	switch err := swap(o, before); {
	case errors.Is(err, ErrLocked):
		r.Waiting = true
	case err != nil && !swapBegan(o):
		return fail(errors.Join(err, takeBack(o)))
	case err != nil:
		return fail(fmt.Errorf("the swap has begun, open the store to end it: %w", err))
	}
	return r, nil
}

// swapBegan tells whether the store or the copy has left its place.
func swapBegan(o Options) bool {
	_, errStore := o.fs.Stat(o.Dir)
	_, errCopy := o.fs.Stat(o.Dir + restoring)
	return errStore != nil || errCopy != nil
}

// takeBack removes what a restore has made. The marker goes first: it must not speak of a copy that is gone by half.
func takeBack(o Options) error {
	for _, name := range []string{o.Dir + marker, o.Dir + marker + partial} {
		if err := o.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := syncDir(o.fs, parentDir(o.Dir)); err != nil {
		return err
	}
	return o.fs.RemoveAll(o.Dir + restoring)
}

// CancelRestore forgets a restore that waits for the next Open, and tells whether there was one.
func CancelRestore(o Options) (waited bool, err error) {
	o = o.withDefaults()
	fail := func(err error) (bool, error) { return waited, fmt.Errorf("cancel restore: %w", err) }
	if _, waits, err := readMarker(o); err != nil || !waits {
		return false, err
	}
	lock, err := o.fs.Lock(o.Dir + swapLock)
	if err != nil {
		return fail(fmt.Errorf("%w by a restore (%w)", ErrLocked, err))
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, waited, err = readMarker(o); err != nil || !waited {
		return waited, err
	}
	if _, err := o.fs.Stat(o.Dir); err != nil {
		return fail(fmt.Errorf("the swap has begun, open the store to end it: %w", err))
	}
	if err := takeBack(o); err != nil {
		return fail(err)
	}
	return true, nil
}

// finishRestore makes the swap that a restore left to the next opening, if any, and tells whether it did.
func finishRestore(o Options) (done bool, err error) {
	if _, waits, err := readMarker(o); err != nil || !waits {
		return false, err
	}
	lock, err := o.fs.Lock(o.Dir + swapLock)
	if err != nil {
		return false, fmt.Errorf("%w by a restore (%w)", ErrLocked, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	before, waits, err := readMarker(o)
	if err != nil || !waits {
		return false, err
	}
	if err := swap(o, before); err != nil {
		return false, fmt.Errorf("finish restore: %w", err)
	}
	o.Logger.Info("store restored", "before", before)
	return true, nil
}

// dropCopy removes the copy of a restore whose process was killed before the swap was decided: as long as it lies there its
// tables keep their space. A restore that runs holds the swap's lock.
func dropCopy(o Options) error {
	copied := o.Dir + restoring
	if _, err := o.fs.Stat(copied); err != nil {
		return nil
	}
	lock, err := o.fs.Lock(o.Dir + swapLock)
	if err != nil {
		return nil
	}
	if _, waits, err := readMarker(o); err != nil || waits {
		return errors.Join(err, lock.Close())
	}
	o.Logger.Info("copy of a restore that was cut off removed", "path", copied)
	return errors.Join(o.fs.RemoveAll(copied), lock.Close())
}

// swap puts the copy in the store's place and the store at before. Each step may be the last one before a crash: what is
// there tells where to go on. The caller holds the swap's lock.
func swap(o Options, before string) error {
	copied := o.Dir + restoring
	_, err := o.fs.Stat(copied)
	switch {
	case errors.Is(err, fs.ErrNotExist): // only the marker is left
		return removeSynced(o.fs, o.Dir+marker)
	case err != nil:
		return err
	}
	if err := moveAway(o, before); err != nil {
		return err
	}
	if err := renameSynced(o.fs, copied, o.Dir); err != nil {
		return err
	}
	return removeSynced(o.fs, o.Dir+marker)
}

// moveAway moves the store, if there is one, out of the way. Its lock tells that nobody uses it.
func moveAway(o Options, before string) error {
	if _, err := o.fs.Stat(o.Dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	lock, err := lockDir(o)
	if err != nil {
		return err
	}
	// Whoever comes between waits for the swap's lock; an open file would keep some systems from renaming.
	if err := lock.Close(); err != nil {
		return err
	}
	// The name may be taken by then: a program that knows no restores may have made a new store after the first rename.
	if before, err = freeName(o.fs, before); err != nil {
		return err
	}
	return renameSynced(o.fs, o.Dir, before)
}

// copyStore copies the files of a store that nobody writes. Tables, which are never written again, are linked where the
// disk allows it; everything else is copied. Tables leave the free space that a server needs to go on
// writing. All is on disk when it returns.
func copyStore(o Options, from, to string) error {
	disk := o.fs
	names, err := disk.List(from)
	if err != nil {
		return err
	}
	if desc, err := pebble.Peek(from, disk); err != nil || !desc.Exists {
		return errors.Join(err, fmt.Errorf("%w: no database lies there", ErrForeign))
	}
	if err := disk.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		source, target := disk.PathJoin(from, name), disk.PathJoin(to, name)
		info, err := disk.Stat(source)
		if err != nil {
			return err
		}
		if info.IsDir() || name == "LOCK" {
			continue
		}
		if isTable(name) {
			if disk.Link(source, target) == nil {
				continue
			}
			if u, err := disk.GetDiskUsage(to); err == nil && u.AvailBytes < uint64(info.Size())+uint64(max(o.MinFree, 0)) {
				return fmt.Errorf("%d bytes are free: with %d more the disk would be below the minimum of %d", u.AvailBytes, info.Size(), o.MinFree)
			}
		}
		if err := vfs.Copy(disk, source, target); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(disk, to), syncDir(disk, parentDir(to)))
}

// freeName returns a path where nothing lies.
func freeName(disk vfs.FS, path string) (string, error) {
	for n, name := 2, path; ; n++ {
		_, err := disk.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s-%d", path, n)
	}
}

func readMarker(o Options) (before string, waits bool, err error) {
	f, err := o.fs.Open(o.Dir + marker)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("look for a restore: %w", err)
	}
	text, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", false, fmt.Errorf("look for a restore: %w", err)
	}
	// Only the last part counts: the data directory may have been moved since.
	name := o.fs.PathBase(strings.TrimSpace(string(text)))
	if !strings.HasPrefix(name, o.fs.PathBase(o.Dir)+".before-restore-") {
		return "", false, fmt.Errorf("look for a restore: %s%s is none of ours; remove it", o.Dir, marker)
	}
	return o.fs.PathJoin(parentDir(o.Dir), name), true, nil
}

func writeMarker(o Options, before string) error {
	aside := o.Dir + marker + partial
	f, err := o.fs.Create(aside, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(o.fs.PathBase(before) + "\n"))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return renameSynced(o.fs, aside, o.Dir+marker)
}
