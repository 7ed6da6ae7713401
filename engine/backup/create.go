package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// Create makes a backup: under a name in the directory of backups ("" is the time), or, where path is absolute, in a
// directory of its own, which must not exist (kv.ErrExists). It appears whole, or not at all. The store may be in use.
func (b *Backups) Create(name, path string) (*Backup, error) {
	if b.o.Store == nil {
		return nil, errors.New("create backup: there is no store")
	}
	now := b.o.Now().UTC()
	own := path != ""
	if !own {
		if name == "" {
			name = now.Format(nameLayout)
		}
		if err := checkName(name); err != nil {
			return nil, err
		}
		path = filepath.Join(b.o.Dir, name)
	}
	fail := func(err error) (*Backup, error) { return nil, fmt.Errorf("create backup %s: %w", path, err) }
	b.making.Lock()
	defer b.making.Unlock()
	if _, err := os.Lstat(path); err == nil {
		return fail(kv.ErrExists)
	}
	defer b.forget()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(err)
	}
	b.sweep()
	aside := path + partial
	if err := removeRest(aside); err != nil {
		return fail(err)
	}
	if err := b.fill(aside, model.Millis(now.UnixMilli())); err != nil {
		return fail(errors.Join(err, os.RemoveAll(aside)))
	}
	if err := os.Rename(aside, path); err != nil {
		return fail(errors.Join(err, os.RemoveAll(aside)))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fail(err)
	}
	if !own {
		b.prune(path)
	}
	return open(path)
}

// fill makes what a backup holds.
func (b *Backups) fill(dir string, now model.Millis) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	recorded, err := history.Heartbeat(b.o.Store) // before the copy, so that the copy holds at least as much
	if err != nil {
		return err
	}
	store := filepath.Join(dir, storeDir)
	if err := b.o.Store.Checkpoint(store); err != nil {
		return err
	}
	m := &Manifest{
		Format: manifestFormat, Version: b.o.Version, Created: now, StoreFormat: b.o.Store.Format(), Recorded: model.Millis(recorded / 1000),
	}
	if m.Files, m.Bytes, err = listFiles(store); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, manifestFile), m)
}

// listFiles describes the files of a checkpoint.
func listFiles(dir string) (files []File, bytes int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, 0, err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		f := File{Name: e.Name(), Bytes: info.Size()}
		if !strings.HasSuffix(f.Name, ".sst") {
			if f.SHA256, err = hashFile(filepath.Join(dir, f.Name)); err != nil {
				return nil, 0, err
			}
		}
		bytes += f.Bytes
		files = append(files, f)
	}
	return files, bytes, nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

// checkFiles compares the files of a checkpoint with what its manifest tells.
func (m *Manifest) checkFiles(dir string) (problems []string) {
	for _, f := range m.Files {
		path := filepath.Join(dir, filepath.Base(f.Name))
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			problems = append(problems, f.Name+" is missing")
			continue
		case err != nil:
			problems = append(problems, err.Error())
			continue
		case info.Size() != f.Bytes:
			problems = append(problems, fmt.Sprintf("%s has %d bytes of %d", f.Name, info.Size(), f.Bytes))
			continue
		case f.SHA256 == "":
			continue
		}
		if sum, err := hashFile(path); err != nil {
			problems = append(problems, err.Error())
		} else if sum != f.SHA256 {
			problems = append(problems, f.Name+" has another checksum")
		}
	}
	return problems
}

// prune removes the oldest backups beyond what is kept. Checkpoints that were taken before a change of the store's format
// have no manifest; they are not counted and not removed, nor is one that could not be read.
func (b *Backups) prune(made string) {
	if b.o.Keep <= 0 {
		return
	}
	all, err := b.List()
	if err != nil {
		b.o.Logger.Warn("old backups not removed", "error", err)
		return
	}
	var ours []Backup
	for _, one := range all {
		if one.Manifest != nil {
			ours = append(ours, one)
		}
	}
	for _, old := range ours[:max(len(ours)-b.o.Keep, 0)] {
		if old.Path == made {
			continue
		}
		// Renamed first, so that half a backup never looks like a whole one.
		gone := old.Path + partial
		err := removeRest(gone)
		if err == nil {
			err = os.Rename(old.Path, gone)
		}
		if err == nil {
			err = os.RemoveAll(gone)
		}
		if err != nil {
			b.o.Logger.Warn("old backup not removed", "path", old.Path, "error", err)
			continue
		}
		b.o.Logger.Info("old backup removed", "path", old.Path)
	}
}

// sweep removes what is left of backups that were being made or removed when their process was killed: nobody sees them,
// and their links keep the space of everything that the store drops.
func (b *Backups) sweep() {
	entries, err := os.ReadDir(b.o.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.o.Logger.Warn("rests of backups not looked for", "error", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasSuffix(e.Name(), partial) {
			continue
		}
		rest := filepath.Join(b.o.Dir, e.Name())
		if err := removeRest(rest); err != nil {
			b.o.Logger.Warn("rest of a backup not removed", "path", rest, "error", err)
		}
	}
}

// removeRest removes a backup that is not whole, if there is one; what holds anything else is not ours (kv.ErrExists).
func removeRest(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == storeDir, name == storeDir+partial, name == manifestFile, name == verifiedFile:
		case strings.HasPrefix(name, "."+manifestFile), strings.HasPrefix(name, "."+verifiedFile): // being written
		default:
			return fmt.Errorf("%s: %w, and is not ours", filepath.Join(dir, name), kv.ErrExists)
		}
	}
	return os.RemoveAll(dir)
}
