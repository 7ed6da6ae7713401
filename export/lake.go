package export

import (
	"context"
	"log/slog"
	"os"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// Remote is an object store that finished files are copied to. Its methods may be called from any goroutine.
type Remote interface {
	// Put copies the file at a local path to a key, in the place of what is there.
	Put(ctx context.Context, key, localPath string, f lake.File) error
	// Delete removes what is at a key; nothing there is no error.
	Delete(ctx context.Context, key string) error
	// Link returns a link that whoever has it may fetch the key with for a lifetime, under a name.
	Link(ctx context.Context, key, filename string, lifetime time.Duration) (url string, expires time.Time, err error)
}

// LakeOptions configures a lake. All but Remote, AfterDay, Datasets and Days are required.
type LakeOptions struct {
	// Dir is the directory of the files. It is made where it is missing.
	Dir      string
	Manifest *lake.Manifest
	History  *history.Reader
	// Markets returns every known market.
	Markets func() []*model.Market
	// Enter takes a place among the reads of history. It is held for short stretches, not for a file.
	Enter  func(context.Context) (leave func(), err error)
	Now    func() time.Time
	Logger *slog.Logger
	// Remote gets a copy of each file; nil: there is none.
	Remote Remote
	// Datasets are those that Run makes; empty: all.
	Datasets []Dataset
	// Days is how many finished days back Run makes and keeps; 0: as many as are recorded.
	Days int
	// ReadOnly tells that no more bytes may be written, because the disk is short of space; nil: never.
	ReadOnly func() bool
	// AfterDay are called, in this order, after files were made or removed: listings, tables of other formats.
	AfterDay []func(context.Context) error
}

// Lake makes the files of the data lake and hands them out. It may be used from any goroutine; files are made by one at a time.
type Lake struct {
	o LakeOptions
}

// MakeRequest says which files are made.
type MakeRequest struct {
	Datasets []Dataset    // empty: all
	Markets  []int64      // venue's own ids; empty: all. Files of all markets are made in any case
	From, To model.Millis // days that overlap From <= t < To; 0 is open
	Force    bool         // make again what has not changed
}

// Progress is how far a run is.
type Progress struct {
	Done, Total int     // files
	Current     lake.ID // the file that is being made; its Dataset is "" between files
	Rows        int64   // of all files of the run so far
	Bytes       int64
}

// Report is what a run did.
type Report struct {
	Made      []lake.File // new, and made again
	Unchanged int         // files that are there and up to date
	Empty     int         // without rows, so without a file
	Removed   []lake.ID   // files whose day has passed out of the days that are kept, or has no rows any more
	Failed    []Failure
	Rows      int64 // of what was made
	Bytes     int64
}

// Failure is a file that could not be made.
type Failure struct {
	ID  lake.ID
	Err error
}

// Status is what the lake does now.
type Status struct {
	Running  bool
	Progress              // of the run, or of the last one
	Started  model.Millis // of the run, or of the last one; 0: there was none
	Finished model.Millis // of the last run; 0: there was none
	Next     model.Millis // when Run makes files next; 0: unknown
	// LastError is the last fault, for the operator; nil after a run without one.
	LastError error
}

// NewLake returns a lake. It removes what a crash has left behind.
func NewLake(o LakeOptions) (*Lake, error) { return &Lake{o: o}, nil }

// Close frees the directory.
func (l *Lake) Close() error { return nil }

// Run makes files until the context ends: what is missing or has changed at once, then at ten past midnight UTC each day.
func (l *Lake) Run(ctx context.Context) error { return nil }

// Make makes files now. progress may be nil; it is called by this goroutine.
func (l *Lake) Make(ctx context.Context, r MakeRequest, progress func(Progress)) (Report, error) {
	return Report{}, nil
}

// Status tells what the lake does now.
func (l *Lake) Status() Status { return Status{} }

// Verify checks each listed file: its size, its SHA-256, and that its rows can be read, are in order and as many as are
// listed. visit is called for each with what is wrong with it, nil for nothing; its own error ends the walk.
func (l *Lake) Verify(ctx context.Context, visit func(lake.File, error) error) error { return nil }

// Open opens a listed file for reading. The caller closes it. An error that is fs.ErrNotExist tells that it is not listed, or
// is listed and gone.
func (l *Lake) Open(id lake.ID) (*os.File, lake.File, error) { return nil, lake.File{}, nil }
