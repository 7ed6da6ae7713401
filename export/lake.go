package export

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
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
//
// A file is made of what is stored of its day, and made again where that has changed, but never of less: what retention and
// thinning take out of the record stays in the files. A file whose day has passed out of Days goes.
type Lake struct {
	o       LakeOptions
	disk    disk
	source  Source
	making  chan struct{} // holds one: whoever makes files
	tidy    bool          // what a crash has left is removed; owned by who makes files
	hooked  bool          // AfterDay were told of every change; owned by who makes files
	placing sync.RWMutex  // held while a file and its row in the list change together
	sleep   func(ctx context.Context, until time.Time)
	status  statusKeeper
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

// NewLake returns a lake. The caller closes it.
func NewLake(o LakeOptions) (*Lake, error) {
	d, err := openDisk(o.Dir)
	if err != nil {
		return nil, err
	}
	return newLake(o, d), nil
}

func newLake(o LakeOptions, d disk) *Lake {
	if len(o.Datasets) == 0 {
		o.Datasets = lake.Datasets[:]
	}
	l := &Lake{o: o, disk: d, making: make(chan struct{}, 1), source: Source{History: o.History, Markets: o.Markets, Enter: o.Enter}}
	l.sleep = l.sleepUntil
	return l
}

// Close frees the directory. Nobody may use the lake any more.
func (l *Lake) Close() error { return l.disk.Close() }

// Source returns what reads the rows of the lake's datasets, of any range.
func (l *Lake) Source() *Source { return &l.source }

// ErrChanged reports a file that is not what the list says.
var ErrChanged = errors.New("file is not what the list says")

// Open opens a listed file for reading. The caller closes it. An error that is fs.ErrNotExist tells that it is not listed, or is
// listed and gone; ErrChanged that there is another file in its place.
func (l *Lake) Open(id lake.ID) (*os.File, lake.File, error) {
	l.placing.RLock()
	defer l.placing.RUnlock()
	f, ok := l.o.Manifest.Get(id)
	if !ok {
		return nil, f, fmt.Errorf("open %s: %w", id, fs.ErrNotExist)
	}
	file, err := l.disk.Open(id.Key())
	if err != nil {
		return nil, f, fmt.Errorf("open %s: %w", id, err)
	}
	if err := l.same(file, f); err != nil {
		return nil, f, errors.Join(fmt.Errorf("open %s: %w", id, err), file.Close())
	}
	return file, f, nil
}

// check tells whether a listed file is there as it is listed, without reading it.
func (l *Lake) check(f lake.File) error {
	file, err := l.disk.Open(f.ID.Key())
	if err != nil {
		return err
	}
	return errors.Join(l.same(file, f), file.Close())
}

// same compares an open file with its row in the list. A file bears the time at which it was made, which no two of one name
// share; of one with another time, as after a restore, the content is compared, once.
func (l *Lake) same(file *os.File, f lake.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.Bytes {
		return fmt.Errorf("%w: it has %d bytes of %d", ErrChanged, info.Size(), f.Bytes)
	}
	made := time.UnixMilli(int64(f.Created))
	if info.ModTime().Equal(made) {
		return nil
	}
	if err := checkSum(io.NewSectionReader(file, 0, info.Size()), f); err != nil {
		return err
	}
	if err := l.disk.Chtimes(f.ID.Key(), made); err != nil {
		l.o.Logger.Warn("cannot note that a file of the lake is whole; it is read again next time", "file", f.ID.String(), "error", err)
	}
	return nil
}

func checkSum(r io.Reader, f lake.File) error {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if [sha256.Size]byte(h.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%w: its SHA-256 differs", ErrChanged)
	}
	return nil
}
