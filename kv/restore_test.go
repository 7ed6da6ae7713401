package kv_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

func sound(string) error { return nil }

var restoreTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const before = "db.before-restore-20260301T120000"

// backedUp is a disk with a store that holds "new" and a checkpoint of when it held "old".
func backedUp(t *testing.T) (*kvtest.Disk, kv.Options) {
	t.Helper()
	disk := kvtest.NewDisk()
	o := disk.Options(kv.Options{Now: func() time.Time { return restoreTime }})
	s, err := kv.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	set(t, s, map[string]string{"Ta": "old"})
	if err := s.Checkpoint("copy"); err != nil {
		t.Fatal(err)
	}
	set(t, s, map[string]string{"Ta": "new"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return disk, o
}

// holds opens the store and returns what it holds.
func holds(t *testing.T, disk *kvtest.Disk, dir string) string {
	t.Helper()
	s, err := disk.TryOpen(kv.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v, err := get(s, "Ta")
	if err != nil {
		return err.Error()
	}
	return v
}

func TestRestore(t *testing.T) {
	disk, o := backedUp(t)
	checked := ""
	r, err := kv.Restore(o, "copy", func(dir string) error {
		c := disk.OpenCopy(t, kv.Options{Dir: dir})
		checked, _ = get(c, "Ta")
		return nil
	})
	if err != nil || r.Waiting || r.Before != before {
		t.Fatalf("%+v, %v", r, err)
	}
	if checked != "old" {
		t.Errorf("the copy that was checked holds %q", checked)
	}
	if v := holds(t, disk, ""); v != "old" {
		t.Errorf("the store holds %q", v)
	}
	if v := holds(t, disk, before); v != "new" {
		t.Errorf("what was kept holds %q", v)
	}
	// The checkpoint is as it was, whatever happened to the store made of it.
	s, err := disk.TryOpen(kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set(t, s, map[string]string{"Ta": "newer"})
	s.Close()
	c := disk.OpenCopy(t, kv.Options{Dir: "copy"})
	if v, err := get(c, "Ta"); err != nil || v != "old" {
		t.Errorf("the checkpoint holds %q, %v", v, err)
	}
	// A second restore of the same second takes another name for what it replaces.
	if r, err = kv.Restore(o, "copy", sound); err != nil || r.Before != before+"-2" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRestoreIntoNothing(t *testing.T) {
	disk, o := backedUp(t)
	o.Dir = "elsewhere/db"
	r, err := kv.Restore(o, "copy", sound)
	if err != nil || r.Waiting || r.Before != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if v := holds(t, disk, o.Dir); v != "old" {
		t.Errorf("the store holds %q", v)
	}
}

func TestRestoreRefused(t *testing.T) {
	disk, o := backedUp(t)
	bad := errors.New("bad")
	if _, err := kv.Restore(o, "copy", func(string) error { return bad }); !errors.Is(err, bad) {
		t.Errorf("a copy that is refused: %v", err)
	}
	if _, err := kv.Restore(o, "nowhere", sound); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a copy that is not there: %v", err)
	}
	if _, err := kv.Restore(kv.Options{Dir: filepath.Join(t.TempDir(), "db")}, t.TempDir(), sound); !errors.Is(err, kv.ErrForeign) {
		t.Errorf("a directory that is no store: %v", err)
	}
	if v := holds(t, disk, ""); v != "new" {
		t.Errorf("the store holds %q", v)
	}
	for _, left := range []string{"db.restoring", "db.restore", before} {
		if disk.Exists(left) {
			t.Errorf("%s is left", left)
		}
	}
}

// A store in use keeps its place; its next opening gives the restored one. Until then the restore can be taken back, and
// no second one is taken.
func TestRestoreWaits(t *testing.T) {
	disk, o := backedUp(t)
	s, err := kv.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := kv.Restore(o, "copy", sound)
		if err != nil || !r.Waiting || r.Before != before {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, err := kv.Restore(o, "copy", sound); !errors.Is(err, kv.ErrStaged) {
			t.Fatalf("a second restore: %v", err)
		}
		set(t, s, map[string]string{"Ta": "newest"})
		if waited, err := kv.CancelRestore(o); err != nil || !waited {
			t.Fatalf("cancel: %v, %v", waited, err)
		}
		if waited, err := kv.CancelRestore(o); err != nil || waited {
			t.Fatalf("cancel again: %v, %v", waited, err)
		}
	}
	if r, err := kv.Restore(o, "copy", sound); err != nil || !r.Waiting {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := disk.TryOpen(kv.Options{}); !errors.Is(err, kv.ErrLocked) {
		t.Errorf("a store in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if v := holds(t, disk, ""); v != "old" {
		t.Errorf("the store holds %q", v)
	}
	if v := holds(t, disk, before); v != "newest" {
		t.Errorf("what was kept holds %q", v)
	}
}

// After a crash before any of its writes, with any part of the unsynced data kept, a restore has happened or it has not:
// the store is the old or the restored one, and where it is the restored one the old one is kept whole.
func TestRestoreCrashes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	outcomes := map[string]int{}
	for kill := 1; ; kill++ {
		disk, o := backedUp(t)
		n := 0
		var crashed *kvtest.Disk
		disk.OnWrite(func(string) error {
			if n++; n == kill {
				crashed = disk.Crash(t, rnd.IntN(101), rnd.Uint64())
			}
			return nil
		})
		_, err := kv.Restore(o, "copy", sound)
		disk.OnWrite(nil)
		if err != nil {
			t.Fatal(err)
		}
		if crashed == nil {
			break
		}
		v := holds(t, crashed, "")
		outcomes[v]++
		if crashed.Exists("db.restoring") {
			t.Errorf("kill %d: the copy is left, though nobody wants it", kill)
		}
		switch v {
		case "new":
		case "old":
			if v := holds(t, crashed, before); v != "new" {
				t.Errorf("kill %d: what was kept holds %q", kill, v)
			}
		default:
			t.Errorf("kill %d: the store holds %q", kill, v)
		}
		again := crashed.Options(kv.Options{Now: func() time.Time { return restoreTime }})
		if _, err := kv.Restore(again, "copy", sound); err != nil {
			t.Errorf("kill %d: restore again: %v", kill, err)
		} else if v := holds(t, crashed, ""); v != "old" {
			t.Errorf("kill %d: after another restore the store holds %q", kill, v)
		}
	}
	if outcomes["new"] == 0 || outcomes["old"] == 0 {
		t.Errorf("outcomes are %v: the crashes did not lie on both sides", outcomes)
	}
}

// Opening a copy changes nothing of it, and writes to it are refused.
func TestOpenCopy(t *testing.T) {
	disk, _ := backedUp(t)
	disk.OnWrite(func(path string) error {
		t.Errorf("%s was written", path)
		return nil
	})
	c := disk.OpenCopy(t, kv.Options{Dir: "copy"})
	if v, err := get(c, "Ta"); err != nil || v != "old" {
		t.Errorf("the copy holds %q, %v", v, err)
	}
	b := c.NewBatch()
	b.Set([]byte("Tb"), nil)
	for name, err := range map[string]error{"commit": c.Commit(b, kv.Sync), "reserve": c.CommitReserve(b, kv.Sync), "drop": c.DropBefore(key.Trades, 9)} {
		if !errors.Is(err, kv.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if faults, err := c.CheckTables(t.Context(), nil); err != nil || len(faults) > 0 {
		t.Errorf("%v, %v", faults, err)
	}
	again := disk.OpenCopy(t, kv.Options{Dir: "copy"}) // two may read it
	if again.Format() != kv.Format {
		t.Errorf("format %d", again.Format())
	}
}

// A checkpoint is there whole or not at all, though the process is killed while it is written.
func TestCheckpointIsWhole(t *testing.T) {
	for kill := 1; ; kill++ {
		disk := kvtest.NewDisk()
		s := disk.Open(t, kv.Options{})
		set(t, s, map[string]string{"Ta": "old"})
		n := 0
		var crashed *kvtest.Disk
		disk.OnWrite(func(string) error {
			if n++; n == kill {
				crashed = disk.Crash(t, 100, uint64(kill))
			}
			return nil
		})
		err := s.Checkpoint("backups/copy")
		disk.OnWrite(nil)
		if err != nil {
			t.Fatal(err)
		}
		if crashed == nil {
			return
		}
		if crashed.Exists("backups/copy") {
			if v, err := get(crashed.OpenCopy(t, kv.Options{Dir: "backups/copy"}), "Ta"); err != nil || v != "old" {
				t.Errorf("kill %d: the checkpoint holds %q, %v", kill, v, err)
			}
		}
		s2 := crashed.Open(t, kv.Options{})
		if err := s2.Checkpoint("backups/copy"); err != nil && !errors.Is(err, kv.ErrExists) {
			t.Errorf("kill %d: checkpoint after the crash: %v", kill, err)
		}
	}
}

// Bits that changed in a table are found, with the file and the families in it, and reads of them tell ErrDamaged.
func TestCheckTables(t *testing.T) {
	dir := t.TempDir()
	o := kv.Options{Dir: filepath.Join(dir, "db"), MinFree: -1, CacheBytes: 8 << 20, MemTableBytes: 1 << 20}
	s, err := kv.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 1000)
	rnd := rand.NewChaCha8([32]byte{1})
	b := s.NewBatch()
	for i := range 4000 {
		_, _ = rnd.Read(value)
		b.Reset()
		b.Set([]byte{'T', byte(i >> 8), byte(i)}, value)
		if err := s.Commit(b, kv.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	var last int64
	progress := func(done, total int64) {
		if done < last || done > total {
			t.Errorf("%d bytes of %d after %d", done, total, last)
		}
		last = done
	}
	if faults, err := s.CheckTables(t.Context(), progress); err != nil || len(faults) > 0 || last == 0 {
		t.Fatalf("%v, %v, %d bytes", faults, err, last)
	}
	if n, err := s.Space(key.All(key.Trades)); err != nil || n < 1<<20 {
		t.Errorf("the rows take %d bytes, %v", n, err)
	}
	if n, err := s.Space(key.All(key.Users)); err != nil || n != 0 {
		t.Errorf("no rows take %d bytes, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(o.Dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	data, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x10
	if err := os.WriteFile(tables[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	o.ReadOnly = true
	if s, err = kv.Open(o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	faults, err := s.CheckTables(t.Context(), nil)
	if err != nil || len(faults) != 1 || faults[0].File != tables[0] || !slices.Contains(faults[0].Families, key.Trades) || slices.Contains(faults[0].Families, key.Users) {
		t.Fatalf("%+v, %v", faults, err)
	}
	err = nil
	for _, e := range s.Scan(t.Context(), key.All(key.Trades)) {
		if e != nil {
			err = e
		}
	}
	if !errors.Is(err, kv.ErrDamaged) {
		t.Errorf("scan of a damaged table: %v", err)
	}
	if same, _ := os.ReadFile(tables[0]); !bytes.Equal(same, data) {
		t.Error("the check changed the file")
	}
	if strings.Contains(faults[0].Err.Error(), "\n") {
		t.Errorf("the fault has lines: %v", faults[0].Err)
	}
}
