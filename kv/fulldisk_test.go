package kv_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// A migration that cannot begin leaves no checkpoint behind: a server that is started again and again on a disk without
// room would add one each time.
func TestMigrationWithoutRoom(t *testing.T) {
	disk := kvtest.NewDisk()
	fillOld(t, disk)
	o := kv.WithFormat(kv.Options{MinFree: 1 << 20}, rewrite("-b", func() error { return nil }))
	disk.SetFree(1000)
	for range 3 {
		if _, err := disk.TryOpen(o); !errors.Is(err, kv.ErrReadOnly) {
			t.Fatalf("migration on a full disk: %v", err)
		}
	}
	if disk.Exists("before-format-2-2") {
		t.Error("each attempt has left a checkpoint")
	}
	disk.SetFree(1 << 30)
	s, err := disk.TryOpen(o)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, "-b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantCheckpoint(t, disk, "before-format-2/store")
}

// Whichever write a full disk refuses, a restore that fails has changed nothing and leaves nothing behind, or, once the
// swap has begun, says so and is ended by the next opening. Another one succeeds.
func TestRestoreOnAFullDisk(t *testing.T) {
	for kill := 1; ; kill++ {
		disk, o := backedUp(t)
		n, reached := 0, false
		disk.OnWrite(func(string) error {
			if n++; n == kill {
				reached = true
				return syscall.ENOSPC
			}
			return nil
		})
		r, err := kv.Restore(o, "copy", sound)
		disk.OnWrite(nil)
		if !reached {
			return
		}
		want := "old"
		switch {
		case err != nil && !errors.Is(err, syscall.ENOSPC):
			t.Errorf("write %d: %v", kill, err)
		case err != nil && disk.Exists(before): // the swap had begun
			if !strings.Contains(err.Error(), "open the store to end it") {
				t.Errorf("write %d: %v", kill, err)
			}
		case err != nil:
			want = "new"
			for _, left := range []string{"db.restoring", "db.restore", "db.restore.partial"} {
				if disk.Exists(left) {
					t.Errorf("write %d: %v, and %s is left", kill, err, left)
				}
			}
		}
		if v := holds(t, disk, ""); v != want {
			t.Errorf("write %d: the store holds %q after %+v, %v", kill, v, r, err)
		}
		if _, err := kv.Restore(o, "copy", sound); err != nil {
			t.Errorf("write %d: restore again: %v", kill, err)
		}
		if v := holds(t, disk, ""); v != "old" {
			t.Errorf("write %d: after another restore the store holds %q", kill, v)
		}
	}
}

// A copy from another disk must not take the room that a running server needs to go on recording.
func TestRestoreLeavesRoom(t *testing.T) {
	disk, o := backedUp(t)
	s, err := disk.TryOpen(kv.Options{MinFree: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Checkpoint("tables"); err != nil { // opened again, the rows lie in a table
		t.Fatal(err)
	}
	disk.OnWrite(func(path string) error {
		if strings.HasPrefix(path, "tables") && strings.HasSuffix(path, kvtest.Tables) {
			return syscall.EXDEV // links
		}
		return nil
	})
	disk.SetFree(1<<20 + 100)
	o.MinFree = 1 << 20
	if _, err := kv.Restore(o, "tables", sound); err == nil || !strings.Contains(err.Error(), "below the minimum") {
		t.Errorf("restore beside a server: %v", err)
	}
	if disk.Exists("db.restoring") {
		t.Error("the copy is left")
	}
	if err := s.Probe(); err != nil {
		t.Error(err)
	}
	disk.SetFree(1 << 30)
	if r, err := kv.Restore(o, "tables", sound); err != nil || !r.Waiting {
		t.Errorf("%+v, %v", r, err)
	}
}
