package export

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"hyperlight/engine/lake"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

var errKilled = errors.New("killed")

// dyingDisk is a disk that fails at a call and ever after, as if the process had been killed there. It also checks the order of
// what makes a file last: synced before it has its name, which it has, its directories synced, before it is listed.
type dyingDisk struct {
	disk
	t        testing.TB
	manifest *lake.Manifest
	left     int // calls
	calls    int
	unsynced map[string]bool
	renamed  uint64 // the list's version at the last rename
}

func (d *dyingDisk) dies() bool {
	d.calls++
	d.left--
	return d.left < 0
}

func (d *dyingDisk) MkdirAll(dir string) error {
	if d.dies() {
		return errKilled
	}
	return d.disk.MkdirAll(dir)
}

func (d *dyingDisk) Create(name string) (diskFile, error) {
	if d.dies() {
		return nil, errKilled
	}
	f, err := d.disk.Create(name)
	d.unsynced[name] = true
	return &dyingFile{f, d, name}, err
}

func (d *dyingDisk) Rename(from, to string) error {
	if d.dies() {
		return errKilled
	}
	if d.unsynced[from] {
		d.t.Errorf("%s gets its name before it is on disk", from)
	}
	d.renamed = d.manifest.Version()
	if id, ok := lake.ParseKey(to); ok {
		f, listed := d.manifest.Get(id)
		if info, err := d.disk.Stat(from); listed && err == nil && info.ModTime().UnixMilli() == int64(f.Created) {
			d.t.Errorf("%s is listed before it has its name", to)
		}
	}
	return d.disk.Rename(from, to)
}

func (d *dyingDisk) SyncDir(dir string) error {
	if d.dies() {
		return errKilled
	}
	if d.manifest.Version() != d.renamed {
		d.t.Errorf("a file is listed before its directory %s is on disk", dir)
	}
	return d.disk.SyncDir(dir)
}

func (d *dyingDisk) Remove(name string) error {
	if d.dies() {
		return errKilled
	}
	d.renamed = d.manifest.Version() // a file goes before it is off the list
	return d.disk.Remove(name)
}

func (d *dyingDisk) Chtimes(name string, t time.Time) error {
	if d.dies() {
		return errKilled
	}
	return d.disk.Chtimes(name, t)
}

type dyingFile struct {
	diskFile
	d    *dyingDisk
	name string
}

func (f *dyingFile) Write(p []byte) (int, error) {
	f.d.unsynced[f.name] = true
	if f.d.dies() {
		n, _ := f.diskFile.Write(p[:len(p)/2])
		return n, errKilled
	}
	return f.diskFile.Write(p)
}

func (f *dyingFile) Sync() error {
	if f.d.dies() {
		return errKilled
	}
	f.d.unsynced[f.name] = false
	return f.diskFile.Sync()
}

func (g *rig) dying(store *kv.Store, dir string, calls int) (*Lake, *dyingDisk) {
	g.t.Helper()
	inner, err := openDisk(dir)
	if err != nil {
		g.t.Fatal(err)
	}
	o := g.options(store, dir)
	d := &dyingDisk{disk: inner, t: g.t, manifest: o.Manifest, left: calls, unsynced: map[string]bool{}}
	return newLake(o, d), d
}

// aftermath checks what a start finds after a kill: each listed file is either there, whole and as listed, or not handed out.
func aftermath(t testing.TB, l *Lake) (refused int) {
	t.Helper()
	for _, f := range l.o.Manifest.All() {
		file, row, err := l.Open(f.ID)
		switch {
		case errors.Is(err, ErrChanged):
			refused++
			continue
		case err != nil:
			t.Errorf("%s: %v", f.ID, err)
			continue
		}
		if err := checkSum(file, row); err != nil {
			t.Errorf("%s is handed out: %v", f.ID, err)
		}
		file.Close()
	}
	return refused
}

func leftovers(t testing.TB, dir string) (out []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && path.Base(name) != "part-0000.parquet" {
			out = append(out, name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// Wherever a process is killed while it makes files, and makes files again, no file is handed out that is not whole and as
// listed; the next start completes what was begun.
func TestKillsWhileFilesAreMade(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(1, 150)
	base := t.TempDir()
	made(t, g.lake(g.store, base), MakeRequest{})
	if g.deliver() == 0 {
		g.trade(g.markets[0]) // of the running day: nothing is late then, and force makes the files again
	}

	run := func(t *testing.T, again bool, calls int) int {
		store, dir := kvtest.CrashClone(t, g.store, 100), t.TempDir()
		if again {
			if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
				t.Fatal(err)
			}
		} else {
			empty(t, store)
		}
		dying, d := g.dying(store, dir, calls)
		report, err := dying.Make(t.Context(), MakeRequest{Force: again}, nil)
		if d.left < 0 && err == nil && len(report.Failed) == 0 {
			t.Errorf("nobody was told that the disk failed at call %d", calls)
		}
		if err := dying.disk.Close(); err != nil {
			t.Fatal(err)
		}
		l := g.lake(kvtest.CrashClone(t, store, g.rnd.IntN(101)), dir)
		aftermath(t, l)
		made(t, l, MakeRequest{})
		g.check(l)
		verified(t, l)
		if left := leftovers(t, dir); len(left) > 0 {
			t.Errorf("after a kill at call %d %s is left", calls, left)
		}
		return d.calls
	}
	for _, again := range []bool{false, true} {
		all := run(t, again, 1<<30)
		const kills = 6
		for i := range kills {
			run(t, again, (i*all+g.rnd.IntN(all))/kills)
		}
	}
}

// empty takes all files off a list.
func empty(t testing.TB, store *kv.Store) {
	t.Helper()
	m, err := lake.OpenManifest(store, "store")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.All() {
		if err := m.Delete(f.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// A kill between a file's new name and its row in the list leaves a file that is not the one listed, perhaps of the same size.
func TestKillBetweenNameAndList(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(2, 200)
	dir := t.TempDir()
	l := g.lake(g.store, dir)
	made(t, l, MakeRequest{})
	f := l.o.Manifest.All()[0]
	name := filepath.Join(dir, filepath.FromSlash(f.ID.Key()))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	other := append([]byte(nil), whole...)
	other[len(other)/2] ^= 1
	if err := os.WriteFile(name, other, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Open(f.ID); !errors.Is(err, ErrChanged) {
		t.Errorf("a file of the same size in its place: %v", err)
	}
	// A copy with another time, as a restore makes it, is the file.
	if err := os.WriteFile(name, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	file, _, err := l.Open(f.ID)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if info, err := os.Stat(name); err != nil || info.ModTime().UnixMilli() != int64(f.Created) {
		t.Errorf("its time is not that of the list: %v, %v", info.ModTime(), err)
	}
	for _, change := range []func() error{
		func() error { return os.WriteFile(name, other, 0o644) },
		func() error { return os.Truncate(name, f.Bytes/2) },
		func() error { return os.Remove(name) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		faults := 0
		if err := l.Verify(t.Context(), func(got lake.File, err error) error {
			if (err != nil) != (got.ID == f.ID) {
				t.Errorf("%s: %v", got.ID, err)
			}
			if err != nil {
				faults++
			}
			return nil
		}); err != nil || faults != 1 {
			t.Errorf("%d faults, %v", faults, err)
		}
		if r := made(t, l, MakeRequest{}); len(r.Made) != 1 || r.Made[0].ID != f.ID {
			t.Errorf("%+v was made again for %s", r.Made, f.ID)
		}
		verified(t, l)
	}
}
