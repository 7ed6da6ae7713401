package kv

import (
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watchedFS times the syncs of the log and slows down after errors of table files. Pebble tries a failed flush again at
// once and without end; a pause here, where none of its locks is held, keeps that from burning a core.
//
// It also keeps a checkpoint's copy of the log whole. Pebble copies the file that it goes on writing to, which was another
// log's before: a write between two reads of the copy would leave a hole of old bytes, and the copy could not be opened.
type watchedFS struct {
	vfs.FS
	l     *listener
	pause atomic.Int64 // nanoseconds to wait at the next error of a table file
	logs  sync.Map     // path of a log that is written -> *logFile
}

const (
	firstPause = time.Millisecond
	maxPause   = 100 * time.Millisecond
)

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

func isTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// Create opens a new file for writing.
func (w *watchedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(name, c)
	return w.watch(name, f, err)
}

// ReuseForWrite opens an old file under a new name for writing.
func (w *watchedFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.ReuseForWrite(oldname, newname, c)
	return w.watch(newname, f, err)
}

// Unwrap returns the file system below.
func (w *watchedFS) Unwrap() vfs.FS { return w.FS }

func (w *watchedFS) watch(name string, f vfs.File, err error) (vfs.File, error) {
	switch {
	case isTable(name):
		if err != nil {
			w.slow(err)
			return nil, err
		}
		return &tableFile{File: f, fs: w}, nil
	case err == nil && isLog(name):
		log := &logFile{File: f, fs: w, name: name}
		w.logs.Store(name, log)
		return log, nil
	}
	return f, err
}

// Open opens a file for reading: of a log that is written what is in it by now.
func (w *watchedFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := w.FS.Open(name, opts...)
	if log, ok := w.logs.Load(name); ok && err == nil {
		return &logBeginning{File: f, left: log.(*logFile).written.Load()}, nil
	}
	return f, err
}

// slow waits after an error, longer each time, and forgets the errors after a success.
func (w *watchedFS) slow(err error) {
	if err == nil {
		w.pause.Store(0)
		return
	}
	d := max(time.Duration(w.pause.Load()), firstPause)
	w.pause.Store(int64(min(2*d, maxPause)))
	time.Sleep(d)
}

// logFile is a file of the write-ahead log.
type logFile struct {
	vfs.File
	fs      *watchedFS
	name    string
	written atomic.Int64
}

// Write appends to the log.
func (f *logFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.written.Add(int64(n))
	return n, err
}

// Close ends the log, which from now on is read whole.
func (f *logFile) Close() error {
	f.fs.logs.CompareAndDelete(f.name, f)
	return f.File.Close()
}

func (f *logFile) timed(sync func() error) error {
	l := f.fs.l
	start := l.now()
	err := sync()
	d := l.now().Sub(start)
	l.fsyncs.add(d)
	walFsync.Update(d.Seconds())
	return err
}

// Sync makes the file durable.
func (f *logFile) Sync() error { return f.timed(f.File.Sync) }

// SyncData makes the file's data durable.
func (f *logFile) SyncData() error { return f.timed(f.File.SyncData) }

// logBeginning is a log as far as it was written when it was opened.
type logBeginning struct {
	vfs.File
	left int64
}

// Read reads on.
func (f *logBeginning) Read(b []byte) (int, error) {
	if f.left <= 0 {
		return 0, io.EOF
	}
	n, err := f.File.Read(b[:min(int64(len(b)), f.left)])
	f.left -= int64(n)
	return n, err
}

// tableFile is a table that is being written.
type tableFile struct {
	vfs.File
	fs *watchedFS
}

// Write appends to the table.
func (f *tableFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if err != nil {
		f.fs.slow(err)
	}
	return n, err
}

// Sync makes the table durable; it is the last thing done to one.
func (f *tableFile) Sync() error {
	err := f.File.Sync()
	f.fs.slow(err)
	return err
}
