package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// directory is where the metadata of a table is.
type directory struct {
	path   string // here
	key    string // in the object store
	url    string // as readers see it
	upload func(ctx context.Context, key, path string) error
	remove func(ctx context.Context, key string) error
}

// hintName names the file that says which version of a table is the last.
const hintName = "version-hint.text"

func versionName(v int) string { return "v" + strconv.Itoa(v) + ".metadata.json" }

// versionOf returns the version of a metadata file's name, 0 of any other.
func versionOf(name string) int {
	digits, ok := strings.CutSuffix(name, ".metadata.json")
	v, err := strconv.Atoi(strings.TrimPrefix(digits, "v"))
	if !ok || err != nil || v <= 0 || versionName(v) != name {
		return 0
	}
	return v
}

// versions returns the last version that was written whole, and the one that the hint names; 0: none. Some readers go by
// the hint alone, some look for later versions too.
func (d directory) versions() (last, named int, err error) {
	names, err := os.ReadDir(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, errors.New("the directory of the metadata cannot be read")
	}
	for _, n := range names {
		last = max(last, versionOf(n.Name()))
	}
	if b, err := os.ReadFile(filepath.Join(d.path, hintName)); err == nil {
		named, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	return last, named, nil
}

// table reads a metadata file.
func (d directory) table(version int) (*table, error) {
	raw, err := os.ReadFile(filepath.Join(d.path, versionName(version)))
	if err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	t := new(table)
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	if t.Properties == nil || len(t.UUID) < 8 || len(t.PartitionSpecs) != 1 || t.current() == nil {
		return nil, errors.New("read table: not one of ours")
	}
	return t, nil
}

// read reads a file by its URL.
func (d directory) read(url string) ([]byte, error) {
	name, ok := strings.CutPrefix(url, d.url+"/")
	if !ok || name != filepath.Base(name) {
		return nil, errors.New("metadata of another place")
	}
	raw, err := os.ReadFile(filepath.Join(d.path, name))
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	return raw, nil
}

// write writes a file, whole on the disk before it has its name, and then uploads it.
func (d directory) write(ctx context.Context, name string, raw []byte) error {
	if err := d.place(ctx, name, raw); err != nil {
		return err
	}
	return d.copy(ctx, name, name)
}

// place writes a file, whole on the disk before it has its name.
func (d directory) place(ctx context.Context, name string, raw []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return fmt.Errorf("make directory of metadata: %w", err)
	}
	path := filepath.Join(d.path, name)
	if err := renameio.WriteFile(path, raw, 0o644, renameio.WithTempDir(d.path)); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	dir, err := os.Open(d.path)
	if err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	err = errors.Join(dir.Sync(), dir.Close())
	if err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	return nil
}

// copy uploads a file under a name.
func (d directory) copy(ctx context.Context, file, name string) error {
	if d.upload == nil {
		return nil
	}
	if err := d.upload(ctx, d.key+"/"+name, filepath.Join(d.path, file)); err != nil {
		return fmt.Errorf("upload metadata: %w", err)
	}
	return nil
}

// hintAside is the hint before the object store has it.
const hintAside = ".version-hint.text"

// hint makes a version the one that readers open. The hint here also says that the object store has it, so it comes last.
func (d directory) hint(ctx context.Context, version int) error {
	text := []byte(strconv.Itoa(version))
	if d.upload != nil {
		if err := d.place(ctx, hintAside, text); err != nil {
			return err
		}
		if err := d.copy(ctx, hintAside, hintName); err != nil {
			return err
		}
	}
	return d.place(ctx, hintName, text)
}

// name does what a crash, or a fault of the store, has kept back: the version is written, readers are not told of it.
func (d directory) name(ctx context.Context, version int) error {
	if err := d.copy(ctx, versionName(version), versionName(version)); err != nil {
		return err
	}
	return d.hint(ctx, version)
}

// clean removes what no reader goes by any more: what belongs neither to the current version, nor to one of those that it
// lists, nor to one that was current after a time.
func (d directory) clean(ctx context.Context, s *state, after time.Time) error {
	names, err := os.ReadDir(d.path)
	if err != nil {
		return errors.New("the directory of the metadata cannot be read")
	}
	written := make(map[string]time.Time, len(names))
	var versions []int
	for _, n := range names {
		if info, err := n.Info(); err == nil && info.Mode().IsRegular() {
			written[n.Name()] = info.ModTime()
		}
		if v := versionOf(n.Name()); v > 0 {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	keep := map[string]bool{hintName: true}
	for _, e := range s.table.MetadataLog {
		keep[e.File[strings.LastIndexByte(e.File, '/')+1:]] = true
	}
	for i, v := range versions {
		if i == len(versions)-1 || written[versionName(versions[i+1])].After(after) {
			keep[versionName(v)] = true
		}
		if keep[versionName(v)] {
			d.used(v, keep)
		}
	}
	var errs []error
	for name, at := range written {
		if keep[name] || at.After(after) {
			continue
		}
		if d.remove != nil {
			if err := d.remove(ctx, d.key+"/"+name); err != nil {
				errs = append(errs, fmt.Errorf("remove uploaded metadata: %w", err))
				continue
			}
		}
		if err := os.Remove(filepath.Join(d.path, name)); err != nil {
			errs = append(errs, fmt.Errorf("remove metadata: %w", err))
		}
	}
	return errors.Join(errs...)
}

// used notes the files that a version needs. Of a damaged one nobody can need any.
func (d directory) used(version int, keep map[string]bool) {
	t, err := d.table(version)
	if err != nil {
		return
	}
	for _, s := range t.Snapshots {
		keep[filepath.Base(s.ManifestList)] = true
		raw, err := d.read(s.ManifestList)
		if err != nil {
			continue
		}
		list, _, err := decode[listed](raw)
		if err != nil {
			continue
		}
		for _, l := range list {
			keep[filepath.Base(l.Path)] = true
		}
	}
}
