package lake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Manifest is the list of files. It is kept in the store and whole in memory, and may be used from any goroutine.
type Manifest struct {
	store     *kv.Store
	remote    string     // name of the object store, "" where there is none
	elsewhere int        // files that another object store had when the list was opened
	writing   sync.Mutex // one change at a time: memory follows the store

	mu      sync.RWMutex
	files   []*File // by compareID; a listed File is never changed
	version uint64
}

// Query says which files are listed. The zero value lists all, newest first.
type Query struct {
	Dataset Dataset // "": all
	Market  *int64  // nil: all, and files of all markets; AllMarkets: only those
	// From and To are times: files whose day overlaps From <= t < To. 0 is open.
	From, To      model.Millis
	Limit, Offset int // Limit 0: no limit
	Ascending     bool
}

// OpenManifest reads the list of files. remote names the object store that copies go to, "" where there is none: a file of which
// another store had a copy counts as not copied.
func OpenManifest(store *kv.Store, remote string) (*Manifest, error) {
	m := &Manifest{store: store, remote: remote}
	for row, err := range store.Scan(context.Background(), key.All(key.Exports)) {
		if err != nil {
			return nil, fmt.Errorf("read the list of files: %w", err)
		}
		f, err := m.decode(row)
		if err != nil {
			return nil, fmt.Errorf("read the list of files: %w", err)
		}
		m.files = append(m.files, f)
	}
	slices.SortFunc(m.files, func(a, b *File) int { return compareID(a.ID, b.ID) })
	return m, nil
}

func (m *Manifest) decode(row kv.KV) (*File, error) {
	k, err := key.ParseExport(row.Key)
	if err != nil {
		return nil, err
	}
	v, err := record.DecodeExportFile(row.Value)
	if err != nil {
		return nil, err
	}
	id := ID{Market: k.Market, Day: model.Millis(key.DayStart(k.Day))}
	if n := int(k.Dataset) - 1; n >= 0 && n < len(Datasets) {
		id.Dataset = Datasets[n]
	}
	if !id.Valid() {
		return nil, fmt.Errorf("a file of dataset %d and market %d: %w", k.Dataset, k.Market, record.ErrCorrupt)
	}
	if v.Store != "" && v.Store != m.remote {
		m.elsewhere++
	}
	return &File{ID: id, Symbol: v.Symbol, Rows: v.Rows, Bytes: v.Bytes, SHA256: v.SHA256, SchemaVersion: v.SchemaVersion,
		Created: v.Created, Source: v.Source, Remote: v.Store != "" && v.Store == m.remote}, nil
}

func compareID(a, b ID) int {
	return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Dataset.number(), b.Dataset.number()), cmp.Compare(a.Market, b.Market))
}

func keyOf(id ID) []byte {
	return key.Export(nil, id.Dataset.number(), key.Day(int64(id.Day)), id.Market)
}

// Put lists a file, in the place of the one of the same id. It is on disk when Put returns. It works also while the disk is short
// of space: the file is there by then, and one in the place of another that is still listed could be given to nobody.
func (m *Manifest) Put(f File) error {
	if !f.ID.Valid() {
		return fmt.Errorf("list file %s: no such file can be", f.ID)
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	copied := ""
	if f.Remote {
		copied = m.remote
	}
	f.Remote = copied != ""
	b := m.store.NewBatch()
	b.Set(keyOf(f.ID), record.AppendExportFile(nil, &record.ExportFile{Symbol: f.Symbol, Rows: f.Rows, Bytes: f.Bytes, SHA256: f.SHA256,
		SchemaVersion: f.SchemaVersion, Created: f.Created, Source: f.Source, Store: copied}))
	if err := m.store.CommitReserve(b, kv.Sync); err != nil {
		return fmt.Errorf("list file %s: %w", f.ID, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	if at, ok := m.find(f.ID); ok {
		m.files[at] = &f
	} else {
		m.files = slices.Insert(m.files, at, &f)
	}
	return nil
}

// Delete takes a file off the list; one that is not listed is no error. It works also while the disk is short of space.
func (m *Manifest) Delete(id ID) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	if _, ok := m.Get(id); !ok {
		return nil
	}
	b := m.store.NewBatch()
	b.Delete(keyOf(id))
	if err := m.store.CommitReserve(b, kv.Sync); err != nil {
		return fmt.Errorf("take file %s off the list: %w", id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	if at, ok := m.find(id); ok {
		m.files = slices.Delete(m.files, at, at+1)
	}
	return nil
}

// find returns the place of a file, or where it would be. The caller holds mu.
func (m *Manifest) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(m.files, id, func(f *File, id ID) int { return compareID(f.ID, id) })
}

// Get returns a file that is listed.
func (m *Manifest) Get(id ID) (File, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if at, ok := m.find(id); ok {
		return *m.files[at], true
	}
	return File{}, false
}

// List returns the files that a query asks for, and how many there are without its limit and offset. The order is that of
// (day, dataset, market), or its reverse.
func (m *Manifest) List(q Query) (rows []File, total int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	files := m.between(q.From, q.To)
	for i := range files {
		f := files[i]
		if !q.Ascending {
			f = files[len(files)-1-i]
		}
		if q.Dataset != "" && f.ID.Dataset != q.Dataset || q.Market != nil && f.ID.Market != *q.Market {
			continue
		}
		if total >= q.Offset && (q.Limit <= 0 || len(rows) < q.Limit) {
			rows = append(rows, *f)
		}
		total++
	}
	return rows, total
}

// between returns the files whose day overlaps from <= t < to. The caller holds mu.
func (m *Manifest) between(from, to model.Millis) []*File {
	first, end := 0, len(m.files)
	day := func(f *File, t model.Millis) int { return cmp.Compare(f.ID.Day, t) }
	if from > 0 {
		first, _ = slices.BinarySearchFunc(m.files, DayOf(from), day)
	}
	if to > 0 {
		end, _ = slices.BinarySearchFunc(m.files, to, day)
	}
	return m.files[first:max(first, end)]
}

// All returns every file, by (day, dataset, market).
func (m *Manifest) All() []File {
	rows, _ := m.List(Query{Ascending: true})
	return rows
}

// Elsewhere returns how many files another object store than the one there is now had a copy of when the list was opened.
func (m *Manifest) Elsewhere() int { return m.elsewhere }

// Version grows with each change.
func (m *Manifest) Version() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.version
}
