package kv_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

const migratedRows = 40

// rewrite is a migration that gives every value of the family T a suffix, a few rows a batch, and leaves the last rows to
// the batch with the format. after is called behind each commit; an error of it is a program that is killed there.
func rewrite(suffix string, after func() error) kv.Migration {
	return func(ctx context.Context, s *kv.Store, last *kv.Batch) error {
		b := s.NewBatch()
		n := 0
		for row, err := range s.Scan(ctx, key.All(key.Trades)) {
			if err != nil {
				return err
			}
			if strings.HasSuffix(string(row.Value), suffix) { // changed before a crash
				continue
			}
			into := b
			if n++; n > migratedRows-5 {
				into = last
			}
			into.Set(row.Key, append(slices.Clone(row.Value), suffix...))
			if b.Len() == 7 {
				if err := s.Commit(b, kv.Sync); err != nil {
					return err
				}
				b.Reset()
				if err := after(); err != nil {
					return err
				}
			}
		}
		if err := s.Commit(b, kv.Sync); err != nil {
			return err
		}
		return after()
	}
}

func fillOld(t *testing.T, disk *kvtest.Disk) {
	t.Helper()
	s, err := disk.TryOpen(kv.WithFormat(kv.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for i := range migratedRows {
		rows[fmt.Sprintf("T%02d", i)] = fmt.Sprint(i)
	}
	set(t, s, rows)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantRows(t *testing.T, s *kv.Store, suffix string) {
	t.Helper()
	rows := collect(t, s, key.All(key.Trades), false)
	if len(rows) != migratedRows {
		t.Fatalf("%d rows of %d", len(rows), migratedRows)
	}
	for i, row := range rows {
		if want := fmt.Sprintf("T%02d=%d%s", i, i, suffix); row != want {
			t.Fatalf("row %q, want %q", row, want)
		}
	}
}

func wantCheckpoint(t *testing.T, disk *kvtest.Disk, dir string) {
	t.Helper()
	old := disk.OpenCopy(t, kv.WithFormat(kv.Options{Dir: dir}))
	if old.Format() != 1 {
		t.Errorf("checkpoint has format %d", old.Format())
	}
	wantRows(t, old, "")
}

// A store of an older format is changed step by step, after a checkpoint that holds it as it was.
func TestMigration(t *testing.T) {
	disk := kvtest.NewDisk()
	fillOld(t, disk)
	nothing := func() error { return nil }
	two := kv.WithFormat(kv.Options{}, rewrite("-b", nothing), rewrite("-b-c", nothing))
	s, err := disk.TryOpen(two)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, "-b-b-c")
	if s.Format() != 3 {
		t.Errorf("format %d", s.Format())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantCheckpoint(t, disk, "before-format-3/store")
	// The program of before refuses it, and the present one finds nothing more to do.
	if _, err := disk.TryOpen(kv.WithFormat(kv.Options{})); !errors.Is(err, kv.ErrNewerFormat) {
		t.Errorf("an old program opens a newer store: %v", err)
	}
	if s, err = disk.TryOpen(two); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantRows(t, s, "-b-b-c")
	if disk.Exists("before-format-3-2") {
		t.Error("another checkpoint was taken")
	}
}

// Killed after any of its commits, with any part of the unsynced data kept, a migration ends the same, the checkpoint of
// before is whole, and an old program never takes a half-changed store for its own.
func TestMigrationCrashes(t *testing.T) {
	killed := errors.New("killed")
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for kill := 1; ; kill++ {
		disk := kvtest.NewDisk()
		fillOld(t, disk)
		n := 0
		var crashed *kvtest.Disk
		count := func() error {
			if n++; n == kill {
				crashed = disk.Crash(t, rnd.IntN(101), rnd.Uint64())
				return killed
			}
			return nil
		}
		s, err := disk.TryOpen(kv.WithFormat(kv.Options{}, rewrite("-b", count), rewrite("-b-c", count)))
		if err == nil {
			if kill == 1 {
				t.Fatal("the migration was never killed")
			}
			s.Close()
			return
		}
		if !errors.Is(err, killed) {
			t.Fatal(err)
		}
		if _, err := crashed.TryOpen(kv.WithFormat(kv.Options{})); !errors.Is(err, kv.ErrNewerFormat) {
			t.Fatalf("kill %d: an old program opens a half-changed store: %v", kill, err)
		}
		nothing := func() error { return nil }
		s, err = crashed.TryOpen(kv.WithFormat(kv.Options{}, rewrite("-b", nothing), rewrite("-b-c", nothing)))
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		wantRows(t, s, "-b-b-c")
		s.Close()
		wantCheckpoint(t, crashed, "before-format-3/store")
	}
}

// A store that is opened to be read is never changed; a program without the way refuses before it changes anything.
func TestMigrationRefused(t *testing.T) {
	disk := kvtest.NewDisk()
	fillOld(t, disk)
	broken := errors.New("broken")
	fails := func(context.Context, *kv.Store, *kv.Batch) error { return broken }
	o := kv.WithFormat(kv.Options{ReadOnly: true}, fails)
	s, err := disk.TryOpen(o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Format() != 1 {
		t.Errorf("format %d", s.Format())
	}
	wantRows(t, s, "")
	s.Close()
	if _, err := disk.TryOpen(kv.WithFormat(kv.Options{}, fails)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	wantCheckpoint(t, disk, "before-format-2/store")
}

func FuzzFormatRow(f *testing.F) {
	for _, seed := range [][]byte{{1, 1}, {1, 2, 1}, {}, {1}, {1, 0}, {2, 1}, {1, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		number, _, err := kv.ReadFormat(v)
		if err == nil && number < 1 {
			t.Errorf("%x is format %d", v, number)
		}
		if err != nil && !errors.Is(err, kv.ErrForeign) {
			t.Errorf("%x: %v", v, err)
		}
	})
}
