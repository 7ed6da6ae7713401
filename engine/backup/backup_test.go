package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/backup"
	"hyperlight/engine/check"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

type rig struct {
	*testing.T
	dir   string
	o     kv.Options
	store *kv.Store
	mu    sync.Mutex
	at    time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := &rig{T: t, dir: t.TempDir(), at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	g.o = kv.Options{Dir: filepath.Join(g.dir, "store"), MinFree: -1, CacheBytes: 8 << 20, MemTableBytes: 1 << 20, Now: g.now}
	var err error
	if g.store, err = kv.Open(g.o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.store.Close() })
	return g
}

func (g *rig) now() time.Time { g.mu.Lock(); defer g.mu.Unlock(); return g.at }

func (g *rig) wait(d time.Duration) { g.mu.Lock(); defer g.mu.Unlock(); g.at = g.at.Add(d) }

// set writes a row that no check looks into.
func (g *rig) set(v string) {
	g.Helper()
	b := g.store.NewBatch()
	b.Set(key.MetaRow(nil, "test"), []byte(v))
	if err := g.store.Commit(b, kv.NoSync); err != nil {
		g.Fatal(err)
	}
}

func holds(t *testing.T, s *kv.Store) (v string) {
	t.Helper()
	if err := s.Get(key.MetaRow(nil, "test"), func(b []byte) error { v = string(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return v
}

func (g *rig) backups(keep int) *backup.Backups {
	return backup.New(backup.Options{Dir: filepath.Join(g.dir, "backups"), Store: g.store, Keep: keep, Version: "test", Now: g.now})
}

func TestCreateListVerifyRestore(t *testing.T) {
	g := newRig(t)
	b := g.backups(0)
	g.set("old")
	one, err := b.Create("", "")
	if err != nil {
		t.Fatal(err)
	}
	if one.Name != "20260301T120000Z" || one.Manifest == nil || one.Manifest.Bytes == 0 || one.Manifest.StoreFormat != kv.Format {
		t.Errorf("%+v", one)
	}
	g.wait(time.Minute)
	g.set("new")
	if _, err := b.Create("two", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create("two", ""); !errors.Is(err, kv.ErrExists) {
		t.Errorf("a second one of the same name: %v", err)
	}
	for _, name := range []string{"../up", ".hidden", "a/b", "x.partial", strings.Repeat("x", 101)} {
		if _, err := b.Create(name, ""); !errors.Is(err, backup.ErrName) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	all, err := b.List()
	if err != nil || len(all) != 2 || all[0].Name != one.Name || all[1].Name != "two" || all[1].Verified != nil {
		t.Fatalf("%+v, %v", all, err)
	}
	if latest, err := b.Find(""); err != nil || latest.Name != "two" {
		t.Errorf("%+v, %v", latest, err)
	}
	if _, err := b.Find("three"); !errors.Is(err, backup.ErrNoBackup) {
		t.Errorf("got %v", err)
	}
	r, err := b.Verify(t.Context(), one, check.Options{Deep: true})
	if err != nil || len(r.Damage) != 0 || r.BlocksOnly {
		t.Fatalf("%+v, %v", r, err)
	}
	if again, err := b.Find(one.Name); err != nil || again.Verified == nil || !again.Verified.OK {
		t.Errorf("the result is not noted: %+v, %v", again, err)
	}
	if err := g.store.Close(); err != nil {
		t.Fatal(err)
	}
	done, _, err := b.Restore(t.Context(), one, g.o, check.Options{})
	if err != nil || done.Waiting {
		t.Fatalf("%+v, %v", done, err)
	}
	s, err := kv.Open(g.o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if v := holds(t, s); v != "old" {
		t.Errorf("restored: %q", v)
	}
}

// Every file of a backup that is cut, changed or missing is found, the backup is not restored, and the store stays.
func TestDamageIsFound(t *testing.T) {
	g := newRig(t)
	g.set("old")
	if err := g.store.Checkpoint(filepath.Join(g.dir, "flush")); err != nil {
		t.Fatal(err)
	}
	// Closed and opened, the rows lie in a table.
	g.store.Close()
	var err error
	if g.store, err = kv.Open(g.o); err != nil {
		t.Fatal(err)
	}
	b := g.backups(0)
	first, err := b.Create("first", "")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range first.Manifest.Files {
		for name, harm := range map[string]func(data []byte) []byte{
			"cut":     func(data []byte) []byte { return data[:len(data)/2] },
			"missing": func([]byte) []byte { return nil },
			"flipped": func(data []byte) []byte { data[len(data)/3] ^= 1; return data },
		} {
			one, err := b.Create(fmt.Sprintf("b%d-%s", i, name), "")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(one.Store(), f.Name)
			data, err := os.ReadFile(path)
			if err != nil || len(data) == 0 {
				continue // another number by now, or the marker, which is empty
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if data = harm(data); data != nil {
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := b.Verify(t.Context(), one, check.Options{})
			if err != nil || len(r.Damage) == 0 {
				t.Errorf("%s of %s is not found: %+v, %v", name, f.Name, r, err)
			}
			if _, _, err := b.Restore(t.Context(), one, g.o, check.Options{}); !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("%s of %s is restored: %v", name, f.Name, err)
			}
		}
	}
	if v := holds(t, g.store); v != "old" {
		t.Errorf("the store holds %q", v)
	}
}

func TestKeep(t *testing.T) {
	g := newRig(t)
	g.set("x")
	b := g.backups(2)
	elsewhere := filepath.Join(g.dir, "elsewhere", "own")
	if _, err := b.Create("", elsewhere); err != nil {
		t.Fatal(err)
	}
	// What was taken before a migration has no manifest and is nobody's to remove.
	if err := g.store.Checkpoint(filepath.Join(g.dir, "backups", "before-format-2", "store")); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		g.wait(time.Minute)
		if _, err := b.Create(fmt.Sprintf("b%d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	all, err := b.List()
	names := map[string]bool{}
	for _, one := range all {
		names[one.Name] = true
	}
	if err != nil || len(names) != 3 || !names["b2"] || !names["b3"] || !names["before-format-2"] {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := b.Find(elsewhere); err != nil {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	g := newRig(t)
	g.set("x")
	b := g.backups(0)
	t.Cleanup(b.Register())
	want := func(lines ...string) {
		t.Helper()
		var page bytes.Buffer
		metrics.WritePrometheus(&page, false)
		for _, line := range lines {
			if !strings.Contains(page.String(), "\nhyperlight_backup"+line+"\n") {
				t.Errorf("no line hyperlight_backup%s in\n%s", line, page.String())
			}
		}
	}
	want("s 0", "_age_seconds +Inf", "_last_verify_timestamp_seconds 0", "_last_verify_ok 0")
	one, err := b.Create("one", "")
	if err != nil {
		t.Fatal(err)
	}
	g.wait(90 * time.Second)
	want("s 1", "_age_seconds 90", "_last_verify_ok 0")
	if _, err := b.Verify(t.Context(), one, check.Options{}); err != nil {
		t.Fatal(err)
	}
	g.wait(10 * time.Second)
	want("s 1", "_age_seconds 100", "_last_verify_timestamp_seconds 1772366490", "_last_verify_ok 1")
}
