// Package backup owns the backups of the store: directories that hold a checkpoint and what is known of it. Making one
// needs the open store; listing, verifying and restoring need only the files. It knows no rows: package check looks at
// them. The installation's key file is never part of a backup.
//
//	<dir>/<name>/store/         the checkpoint, never written again
//	<dir>/<name>/backup.json    what was copied (Manifest)
//	<dir>/<name>/verified.json  what the last look at it found (Verified)
package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"hyperlight/engine/model"
	"hyperlight/kv"
)

var (
	// ErrNoBackup reports a name or a directory that is no backup.
	ErrNoBackup = errors.New("no such backup")
	// ErrDamaged reports a backup that is not as it was made.
	ErrDamaged = errors.New("backup is damaged")
	// ErrName reports a name that is none.
	ErrName = errors.New("a backup's name has letters, digits, dots, dashes and underscores only, at most 100, and begins with a letter or digit")
)

const (
	storeDir     = "store"
	manifestFile = "backup.json"
	verifiedFile = "verified.json"
	partial      = ".partial"
	nameLayout   = "20060102T150405Z"
)

// manifestFormat is the number of the manifest's own layout.
const manifestFormat = 1

// Manifest is what was copied.
type Manifest struct {
	Format      int          `json:"format"`
	Version     string       `json:"version"` // of the program that made it
	Created     model.Millis `json:"created_at"`
	StoreFormat int          `json:"store_format"`
	Bytes       int64        `json:"bytes"`
	// Recorded is the last moment that the record of the markets covers; 0 where nothing was recorded.
	Recorded model.Millis `json:"recorded_until"`
	Files    []File       `json:"files"`
}

// File is a file of the checkpoint. Tables carry a checksum in every block, so they have none here.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"`
}

// complete tells whether a manifest says enough to compare files with it.
func (m *Manifest) complete() bool {
	return len(m.Files) > 0 && !slices.ContainsFunc(m.Files, func(f File) bool {
		return f.Name == "" || f.SHA256 == "" && !strings.HasSuffix(f.Name, ".sst")
	})
}

// Verified is what the last look at a backup found.
type Verified struct {
	At      model.Millis `json:"at"`
	OK      bool         `json:"ok"`
	Damage  int          `json:"damage"`
	Version string       `json:"version"`
}

// Backup is a backup on disk.
type Backup struct {
	Name     string
	Path     string
	Manifest *Manifest // nil: a checkpoint that was taken before the store's format changed, or a damaged one
	Verified *Verified // nil: never looked at
	Fault    error     // why there is no manifest where there should be one
}

// Created returns when the backup was made, by its directory where nothing else tells.
func (b *Backup) Created() model.Millis {
	if b.Manifest != nil {
		return b.Manifest.Created
	}
	if info, err := os.Stat(b.Store()); err == nil {
		return model.Millis(info.ModTime().UnixMilli())
	}
	return 0
}

// Store returns the directory of the checkpoint.
func (b *Backup) Store() string { return filepath.Join(b.Path, storeDir) }

// Options says where backups lie.
type Options struct {
	Dir     string    // of the backups
	Store   *kv.Store // what Create copies; nil: nothing can be made
	Keep    int       // how many Create leaves in Dir, itself included; 0: all
	Version string
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: none
}

// Backups are the backups of an installation. Its methods may be called from any goroutine.
type Backups struct {
	o      Options
	making sync.Mutex // one Create at a time

	mu    sync.Mutex
	state summary // what the metrics tell
}

// New returns the backups of a directory, which need not be there yet.
func New(o Options) *Backups {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Backups{o: o}
}

// Dir returns where backups lie that were made without a directory of their own.
func (b *Backups) Dir() string { return b.o.Dir }

// List returns the backups of the directory, oldest first.
func (b *Backups) List() ([]Backup, error) {
	entries, err := os.ReadDir(b.o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var out []Backup
	for _, e := range entries {
		if !e.IsDir() || checkName(e.Name()) != nil || strings.HasSuffix(e.Name(), partial) {
			continue
		}
		if one, err := b.open(filepath.Join(b.o.Dir, e.Name())); err == nil {
			out = append(out, *one)
		}
	}
	slices.SortStableFunc(out, func(x, y Backup) int { return int(min(1, max(-1, x.Created()-y.Created()))) })
	return out, nil
}

// Find returns a backup by its name in the directory, or by the path of its own directory; "" is the newest.
func (b *Backups) Find(name string) (*Backup, error) {
	if name == "" {
		all, err := b.List()
		if err != nil {
			return nil, err
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%w: there is none in %s", ErrNoBackup, b.o.Dir)
		}
		return &all[len(all)-1], nil
	}
	if checkName(name) == nil {
		if one, err := b.open(filepath.Join(b.o.Dir, name)); err == nil {
			return one, nil
		}
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("find backup: %w", err)
	}
	return b.open(path)
}

// open reads what is known of a backup. In the directory of backups only a checkpoint of before a change of the store's
// format has no manifest; another directory may be any copy of a store.
func (b *Backups) open(path string) (*Backup, error) {
	one, err := open(path)
	if err == nil && one.Manifest == nil && one.Fault == nil && filepath.Dir(path) == b.o.Dir && !strings.HasPrefix(one.Name, kv.BeforeFormat) {
		one.Fault = fmt.Errorf("%w: %s is missing", ErrDamaged, manifestFile)
	}
	return one, err
}

func open(path string) (*Backup, error) {
	one := &Backup{Name: filepath.Base(path), Path: path}
	if info, err := os.Stat(one.Store()); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: %s holds no directory named %s", ErrNoBackup, path, storeDir)
	}
	m := new(Manifest)
	switch err := readJSON(filepath.Join(path, manifestFile), m); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		one.Fault = fmt.Errorf("%w: read manifest: %w", ErrDamaged, err)
	case m.Format == manifestFormat && !m.complete():
		one.Fault = fmt.Errorf("%w: the manifest does not tell all of what was copied", ErrDamaged)
	case m.Format != manifestFormat:
		one.Fault = fmt.Errorf("manifest has format %d, this program knows %d: use the version that made it, or a later one", m.Format, manifestFormat)
	default:
		one.Manifest = m
	}
	v := new(Verified)
	if readJSON(filepath.Join(path, verifiedFile), v) == nil {
		one.Verified = v
	}
	return one, nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func checkName(name string) error {
	ok := len(name) > 0 && len(name) <= 100 && !strings.HasSuffix(name, partial)
	for i, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '-' || c == '_'):
		default:
			ok = false
		}
	}
	if !ok {
		return ErrName
	}
	return nil
}
