// Package iceberg owns the Iceberg metadata of the lake: tables, format version 2, that readers open without a catalogue
// service. A table has the rows of all files of a dataset; its metadata lies beside them, in <dataset>/metadata.
//
// It adds nothing to the files and changes none. What a table has is what the caller lists; the metadata is a copy of
// that, and made anew where it cannot be read. It must not know how files are made, listed or served.
package iceberg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"hyperlight/engine/lake"
)

// Options configures tables. Data and Now are required.
type Options struct {
	// Data is the directory of the lake's files.
	Data string
	// Dir is the directory that the metadata is written to, at <dataset>/metadata; empty: Data. Tables of another location
	// need another one.
	Dir string
	// Location is the URL of the lake as readers see it, which every path in the metadata starts with: relative ones are
	// not allowed. s3://bucket/prefix, https://host/path; empty: the file URL of Data.
	Location string
	// Snapshots is how many states of a table can be read, the last among them; 0: 10.
	Snapshots int
	// Grace is how long metadata stays after the table has moved on, for readers that still go by it; 0: a day.
	Grace time.Duration
	Now   func() time.Time
	// Upload copies a file of metadata, once it is whole on the disk, to an object key in the place of what is there;
	// nil: the metadata stays here.
	Upload func(ctx context.Context, key, path string) error
	// Store names what Upload copies to. Tables over another one of the same location are not there yet: new ones are made. "": nobody
	// tells.
	Store string
	// Remove removes what Upload has copied; nothing there is no error. nil: nothing is removed.
	Remove func(ctx context.Context, key string) error
}

// Tables are the tables of a lake, one for each dataset that has or had a file. They may be used from any goroutine; one
// update runs at a time.
type Tables struct {
	o  Options
	mu sync.Mutex
}

const (
	defaultSnapshots = 10
	defaultGrace     = 24 * time.Hour
)

// New returns the tables of a lake.
func New(o Options) (*Tables, error) {
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return nil, fmt.Errorf("find the lake's directory: %w", err)
	}
	o.Data = data
	if o.Dir == "" {
		o.Dir = data
	}
	if o.Location == "" {
		o.Location = "file://" + filepath.ToSlash(data)
	}
	o.Location = strings.TrimRight(o.Location, "/")
	if o.Snapshots <= 0 {
		o.Snapshots = defaultSnapshots
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	return &Tables{o: o}, nil
}

// Update brings every table to the listed files. A table that is there already is left as it is. A file that cannot be
// read as it is listed stays out of its table and is part of the error; everything else is done all the same.
func (t *Tables) Update(ctx context.Context, files []lake.File) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := make(map[lake.Dataset][]lake.File)
	for _, f := range files {
		of[f.ID.Dataset] = append(of[f.ID.Dataset], f)
	}
	var errs []error
	for _, d := range lake.Datasets {
		if err := t.update(ctx, d, of[d]); err != nil {
			errs = append(errs, fmt.Errorf("write Iceberg table %s: %w", d, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// Location returns where readers find the table of a dataset.
func (t *Tables) Location(d lake.Dataset) string { return t.o.Location + "/" + string(d) }

// metadata returns the directory of a table's metadata.
func (t *Tables) metadata(d lake.Dataset) directory {
	return directory{
		path: filepath.Join(t.o.Dir, string(d), metadataDir), key: string(d) + "/" + metadataDir, url: t.Location(d) + "/" + metadataDir,
		upload: t.o.Upload, remove: t.o.Remove,
	}
}

const metadataDir = "metadata"

func (t *Tables) update(ctx context.Context, d lake.Dataset, files []lake.File) error {
	dir := t.metadata(d)
	version, named, err := dir.versions()
	if err != nil {
		return err
	}
	if version == 0 && len(files) == 0 {
		return nil
	}
	s, err := t.load(d, dir, version)
	if err != nil { // damaged, or of another location: a new table takes its place
		s = nil
	}
	if s == nil {
		s = t.newState(d)
	}
	s.version = version
	changed, skipped := s.compare(files, t.o.Data)
	if s.table.CurrentSnapshot != nil && !changed && !s.newSchema {
		if named != version {
			return errors.Join(skipped, dir.name(ctx, version))
		}
		return skipped
	}
	if err := s.write(ctx, dir, t.o); err != nil {
		return errors.Join(skipped, err)
	}
	return errors.Join(skipped, dir.clean(ctx, s, t.o.Now().Add(-t.o.Grace)))
}

// load reads the state of a table; os.ErrNotExist where there is none.
func (t *Tables) load(d lake.Dataset, dir directory, version int) (*state, error) {
	if version == 0 {
		return nil, os.ErrNotExist
	}
	table, err := dir.table(version)
	if err != nil {
		return nil, err
	}
	if table.Location != t.Location(d) || table.FormatVersion != formatVersion {
		return nil, errors.New("table of another place or form")
	}
	if store := table.Properties[storeKey]; store != "" && store != t.o.Store {
		return nil, errors.New("table of another object store")
	}
	s := &state{dataset: d, location: t.o.Location, table: table}
	if err := s.adopt(); err != nil {
		return nil, err
	}
	return s, s.read(dir)
}

func (t *Tables) newState(d lake.Dataset) *state {
	s := &state{dataset: d, location: t.o.Location}
	s.create(t.Location(d), t.o.Now().UnixMilli())
	return s
}
