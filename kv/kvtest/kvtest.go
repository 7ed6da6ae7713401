// Package kvtest gives other packages' tests a store in memory, crash clones of it and a disk that fails on command. It
// owns no behaviour of its own and must not be imported outside tests.
package kvtest

import (
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"hyperlight/kv"
)

// Dir is the directory of a disk's store, unless its options name another.
const Dir = "db"

// disks remembers the file system of each open store.
var disks sync.Map // *kv.Store -> *Disk

// Open returns a store in memory that is closed when the test ends.
func Open(t testing.TB) *kv.Store {
	t.Helper()
	return NewDisk().Open(t, kv.Options{})
}

// CrashClone returns the store as the machine would find it after a crash now, with about the given percentage (0 to
// 100) of what was not yet synced kept, chosen by a seed that is logged. The store must come from this package; it stays
// open and unharmed.
func CrashClone(t testing.TB, s *kv.Store, unsyncedPercent int) *kv.Store {
	t.Helper()
	return DiskOf(t, s).Crash(t, unsyncedPercent, rand.Uint64()).Open(t, kv.Options{})
}

// DiskOf returns the disk that a store of this package lies on.
func DiskOf(t testing.TB, s *kv.Store) *Disk {
	t.Helper()
	d, ok := disks.Load(s)
	if !ok {
		t.Fatal("the store was not opened by package kvtest")
	}
	return d.(*Disk)
}

// Disk is a disk in memory that can crash, fail and fill up. Its methods may be called while stores use it.
type Disk struct {
	mem *vfs.MemFS
	fs  vfs.FS

	mu     sync.Mutex
	faults map[string]error // suffix of the path -> what writes to it return

	onWrite func(path string) error
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return newDisk(vfs.NewCrashableMem()) }

func newDisk(mem *vfs.MemFS) *Disk {
	d := &Disk{mem: mem, faults: map[string]error{}}
	d.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(d.inject))
	return d
}

// The files that faults are set for.
const (
	Log    = ".log" // the write-ahead log
	Tables = ".sst"
	All    = ""
)

// Fail makes every write to files of a kind (Log, Tables, All) return err, until it is called with nil.
func (d *Disk) Fail(kind string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.faults, kind)
		return
	}
	d.faults[kind] = err
}

// Fill makes the disk full, or no longer so.
func (d *Disk) Fill(full bool) {
	if full {
		d.Fail(All, syscall.ENOSPC)
	} else {
		d.Fail(All, nil)
	}
}

// SetFree sets what the disk says about its free bytes; before the first call it says nothing.
func (d *Disk) SetFree(bytes uint64) {
	d.mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: bytes, TotalBytes: 1 << 40, UsedBytes: 1<<40 - bytes})
}

func (d *Disk) inject(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose || op.Kind == errorfs.OpLock {
		return nil
	}
	d.mu.Lock()
	ask := d.onWrite
	d.mu.Unlock()
	if ask != nil {
		if err := ask(op.Path); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for suffix, err := range d.faults {
		if strings.HasSuffix(op.Path, suffix) {
			return err
		}
	}
	return nil
}

// Crash returns the disk as it would be found after a crash now. The seed decides what of the unsynced data is kept.
func (d *Disk) Crash(t testing.TB, unsyncedPercent int, seed uint64) *Disk {
	t.Helper()
	t.Logf("crash clone: %d %% of unsynced data kept, seed %#x", unsyncedPercent, seed)
	return newDisk(d.mem.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: unsyncedPercent,
		RNG:                 rand.New(rand.NewPCG(seed, 0)),
	}))
}

// TryOpen opens a store on the disk, in Dir where the options name no directory. The caller closes it.
func (d *Disk) TryOpen(o kv.Options) (*kv.Store, error) {
	s, err := kv.Open(d.Options(o))
	if err == nil {
		disks.Store(s, d)
	}
	return s, err
}

// Open opens a store on the disk and closes it when the test ends.
func (d *Disk) Open(t testing.TB, o kv.Options) *kv.Store {
	t.Helper()
	s, err := d.TryOpen(o)
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() {
		disks.Delete(s)
		// A test that broke the disk on purpose leaves a store that cannot close cleanly.
		if err := s.Close(); err != nil && s.Metrics().Failed == nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

// OpenCopy opens a checkpoint on the disk to be read, and closes it when the test ends.
func (d *Disk) OpenCopy(t testing.TB, o kv.Options) *kv.Store {
	t.Helper()
	s, err := kv.OpenCopy(d.Options(o))
	if err != nil {
		t.Fatalf("open copy: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close copy: %v", err)
		}
	})
	return s
}

// Options returns the options of a store on the disk, in Dir where they name no directory.
func (d *Disk) Options(o kv.Options) kv.Options {
	if o.Dir == "" {
		o.Dir = Dir
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 8 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 4 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return kv.WithFS(o, d.fs)
}

// Exists tells whether something lies at a path of the disk.
func (d *Disk) Exists(path string) bool {
	_, err := d.mem.Stat(path)
	return err == nil
}

// OnWrite makes every write to the disk ask f first, with its path; an error of f is what the write returns. nil ends
// that.
func (d *Disk) OnWrite(f func(path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onWrite = f
}
