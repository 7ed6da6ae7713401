package export

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"hyperlight/engine/lake"
)

// A day that ends while a run lasts has its files at once after it, not a day later.
func TestRunLastsBeyondMidnight(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(3, 100)
	o := g.options(g.store, t.TempDir())
	o.Datasets = []Dataset{Trades}
	g.clock = time.Date(2026, 1, 3, 0, 9, 0, 0, time.UTC)
	o.AfterDay = []func(context.Context) error{func(context.Context) error {
		if g.clock.Hour() == 0 {
			g.clock = time.Date(2026, 1, 3, 1, 0, 0, 0, time.UTC) // it takes an hour
		}
		return nil
	}}
	l, err := NewLake(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	runs := 0
	l.sleep = func(_ context.Context, until time.Time) {
		if runs++; runs == 1 && until.After(g.clock) {
			t.Errorf("at %s it sleeps until %s: the files of the 2nd wait", g.clock, until)
		}
		if runs == 2 {
			cancel()
		}
	}
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if files := len(o.Manifest.All()); files != 2 {
		t.Errorf("there are files of %d days", files)
	}
}

// What a run has changed that was given up is told by the next one, even if that changes nothing.
func TestChangesOfARunGivenUpAreTold(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(2, 100)
	o := g.options(g.store, t.TempDir())
	told, short := 0, false
	o.AfterDay = []func(context.Context) error{func(context.Context) error { told = len(o.Manifest.All()); return nil }}
	o.ReadOnly = func() bool { return short }
	l, err := NewLake(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	made(t, l, MakeRequest{Datasets: []Dataset{Gaps}})
	begun := told
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := l.Make(ctx, MakeRequest{Datasets: []Dataset{Trades}}, func(p Progress) {
		if p.Done == 1 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if told != begun || len(o.Manifest.All()) != begun+1 {
		t.Fatalf("%d of %d files are told", told, len(o.Manifest.All()))
	}
	made(t, l, MakeRequest{Datasets: []Dataset{Gaps}})
	if told != begun+1 {
		t.Errorf("%d of %d files are told", told, len(o.Manifest.All()))
	}
}

// lockedFS is a directory with one in it that may not be read, as lost+found on a disk of its own.
type lockedFS struct{ fs.FS }

func (l lockedFS) Open(name string) (fs.File, error) {
	if name == "lost+found" {
		return nil, fs.ErrPermission
	}
	return l.FS.Open(name)
}

type lockedDisk struct{ disk }

func (d lockedDisk) FS() fs.FS { return lockedFS{d.disk.FS()} }

// What else is in the lake's directory keeps no file from being made; what a crash has left goes.
func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(1, 50)
	inner, err := openDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	left := aside(lake.ID{Dataset: Trades, Market: 7}.Key())
	if err := errors.Join(inner.MkdirAll("lost+found"), inner.MkdirAll(left[:strings.LastIndexByte(left, '/')])); err != nil {
		t.Fatal(err)
	}
	if f, err := inner.Create(left); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	l := newLake(g.options(g.store, ""), lockedDisk{inner})
	defer l.Close()
	if r := made(t, l, MakeRequest{}); len(r.Made) == 0 {
		t.Errorf("%+v", r)
	}
	if _, err := inner.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a crash has left: %v", err)
	}
}

// A file that is removed while files are verified is not damaged.
func TestVerifyOfRemovedFile(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(2, 100)
	l := g.lake(g.store, t.TempDir())
	made(t, l, MakeRequest{})
	all, visited := l.o.Manifest.All(), 0
	if err := l.Verify(t.Context(), func(f lake.File, err error) error {
		if err != nil {
			t.Errorf("%s: %v", f.ID, err)
		}
		if visited++; visited > 1 {
			return nil
		}
		last := all[len(all)-1].ID
		return errors.Join(l.disk.Remove(last.Key()), l.o.Manifest.Delete(last))
	}); err != nil || visited != len(all)-1 {
		t.Errorf("%d of %d files were visited: %v", visited, len(all), err)
	}
}

// A kill at any step of a file's removal leaves nothing that no later run removes, and no file that nobody knows of.
func TestKillsWhileFilesGo(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(3, 100)
	for calls := 0; ; calls++ {
		dir := t.TempDir()
		made(t, g.lake(g.store, dir), MakeRequest{Datasets: []Dataset{Trades}})
		killed, d := g.dying(g.store, dir, calls)
		killed.tidy, killed.o.Days, killed.o.Datasets = true, 1, []Dataset{Trades}
		_, _ = killed.keep(t.Context())
		if err := killed.disk.Close(); err != nil {
			t.Fatal(err)
		}
		l := g.lake(g.store, dir)
		l.o.Days, l.o.Datasets = 1, []Dataset{Trades}
		if r, err := l.keep(t.Context()); err != nil || len(r.Failed) > 0 {
			t.Fatal(r, err)
		}
		if files, _ := fs.Glob(l.disk.FS(), "trades/*/*/*"); len(files) != len(l.o.Manifest.All()) {
			t.Errorf("after a kill at call %d %s is there, %d are listed", calls, files, len(l.o.Manifest.All()))
		}
		if days, _ := fs.Glob(l.disk.FS(), "trades/*/*"); len(days) > 2 {
			t.Errorf("after a kill at call %d %s is there", calls, days)
		}
		if d.left >= 0 {
			break
		}
	}
}

// awayRemote is an object store that does not answer, and holds what it was given before.
type awayRemote struct {
	fakeRemote
	away bool
}

func (r *awayRemote) Put(_ context.Context, key, _ string, f lake.File) error {
	if r.puts++; r.away {
		return errors.New("it does not answer")
	}
	r.held[key] = f
	return nil
}

// Of an object store that does not answer a run waits for a few files, not for each.
func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	g := newRig(t, 2)
	g.nights(2, 100)
	o, remote := g.options(g.store, t.TempDir()), &awayRemote{fakeRemote{held: map[string]lake.File{}}, true}
	o.Remote = remote
	l, err := NewLake(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if r, err := l.Make(t.Context(), MakeRequest{}, nil); err != nil || remote.puts != mostRefused || len(r.Failed) != mostRefused {
		t.Errorf("%d files were tried, %d of %d failed: %v", remote.puts, len(r.Failed), len(r.Made), err)
	}
	remote.away = false
	if r := made(t, l, MakeRequest{}); len(remote.held) != len(o.Manifest.All()) {
		t.Errorf("%d files are there of %d: %+v", len(remote.held), len(o.Manifest.All()), r)
	}
}

// A first copy of a large lake does not keep the files of the next day waiting: it goes on after them.
func TestCopyMakesWay(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(2, 100)
	o := g.options(g.store, t.TempDir())
	remote := &slowRemote{awayRemote{fakeRemote{held: map[string]lake.File{}}, false}, g}
	o.Remote, o.Datasets = remote, []Dataset{Trades, Candles}
	g.clock = time.Date(2026, 1, 3, 0, 5, 0, 0, time.UTC)
	l, err := NewLake(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first, err := l.keep(t.Context())
	if err != nil || remote.puts != 1 || len(first.Made) != 2 {
		t.Errorf("%d files were copied of %d: %v", remote.puts, len(first.Made), err)
	}
	if second, err := l.keep(t.Context()); err != nil || len(second.Made) != 2 || len(remote.held) != 4 {
		t.Errorf("%d files of the day after, %d are copied: %v", len(second.Made), len(remote.held), err)
	}
}

// slowRemote takes a quarter of an hour for each file.
type slowRemote struct {
	awayRemote
	g *rig
}

func (r *slowRemote) Put(ctx context.Context, key, path string, f lake.File) error {
	r.g.clock = r.g.clock.Add(15 * time.Minute)
	return r.awayRemote.Put(ctx, key, path, f)
}

// Whatever a crash or a fault has kept from the list: with a file its copy goes too, of any version.
func TestCopyGoesWithItsFile(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(3, 100)
	o, remote := g.options(g.store, t.TempDir()), &awayRemote{fakeRemote{held: map[string]lake.File{}}, false}
	o.Remote, o.Datasets = remote, []Dataset{Trades}
	l, err := NewLake(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	made(t, l, MakeRequest{Datasets: []Dataset{Trades}})
	old := o.Manifest.All()[0]
	remote.away = true
	if g.deliver() == 0 {
		t.Skip("no trade was late")
	}
	_, _ = l.Make(t.Context(), MakeRequest{Datasets: []Dataset{Trades}, Force: true}, nil)
	if f, _ := o.Manifest.Get(old.ID); f.Remote {
		t.Skip("the first day was not made again")
	}
	l.o.Days = 1
	if _, err := l.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, there := remote.held[old.ID.Key()]; there {
		t.Error("the copy of the older version stays")
	}
}

// Another object store, or another bucket, gets every file too; what the first one has is nobody's link any more.
func TestAnotherStore(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(1, 100)
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		manifest, err := lake.OpenManifest(g.store, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range manifest.All() {
			if f.Remote {
				t.Errorf("%s counts as copied to %s", f.ID, name)
			}
		}
		o, remote := g.options(g.store, dir), &awayRemote{fakeRemote{held: map[string]lake.File{}}, false}
		o.Manifest, o.Remote = manifest, remote
		l, err := NewLake(o)
		if err != nil {
			t.Fatal(err)
		}
		made(t, l, MakeRequest{})
		if all := manifest.All(); len(remote.held) != len(all) || len(all) == 0 {
			t.Errorf("%d files of %d are in store %s", len(remote.held), len(all), name)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
