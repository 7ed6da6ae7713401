package lake

import (
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// Manifest is the list of files. It is kept in the store and whole in memory, and may be used from any goroutine.
type Manifest struct {
	store *kv.Store
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

// OpenManifest reads the list of files.
func OpenManifest(store *kv.Store) (*Manifest, error) { return &Manifest{store: store}, nil }

// Put lists a file, in the place of the one of the same id. It is on disk when Put returns.
func (m *Manifest) Put(f File) error { return nil }

// Delete takes a file off the list; one that is not listed is no error.
func (m *Manifest) Delete(id ID) error { return nil }

// Get returns a file that is listed.
func (m *Manifest) Get(id ID) (File, bool) { return File{}, false }

// List returns the files that a query asks for, and how many there are without its limit and offset. The order is that of
// (day, dataset, market), or its reverse.
func (m *Manifest) List(q Query) (rows []File, total int) { return nil, 0 }

// All returns every file, by (day, dataset, market).
func (m *Manifest) All() []File { return nil }

// Version grows with each change.
func (m *Manifest) Version() uint64 { return 0 }
