package export

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

// At start files of all missed days are made, then those of each day at ten past midnight of the next one, and not before; after
// a failure ten minutes later. What has passed out of the days that are kept goes.
func TestRunKeepsItsHours(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(3, 200) // January 1st to 4th
	o := g.options(g.store, t.TempDir())
	o.Datasets, o.Days = []Dataset{Trades}, 2
	var hooks []int
	o.AfterDay = []func(context.Context) error{func(context.Context) error {
		if hooks = append(hooks, len(o.Manifest.All())); len(hooks) == 1 {
			return errors.New("not yet")
		}
		return nil
	}}
	l, err := NewLake(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	day := func(n int) model.Millis { return model.Millis(time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC).UnixMilli()) }
	days := func() (out []int) {
		for _, f := range o.Manifest.All() {
			out = append(out, time.UnixMilli(int64(f.ID.Day)).UTC().Day())
		}
		return out
	}
	g.clock = time.Date(2026, 1, 3, 0, 9, 59, 0, time.UTC)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	steps := []struct {
		files []int
		next  time.Time
	}{
		{[]int{1}, g.clock.Add(10 * time.Minute)}, // the 2nd is not over yet; the hook fails
		{[]int{1, 2}, time.Date(2026, 1, 4, 0, 10, 0, 0, time.UTC)},
		{[]int{2, 3}, time.Date(2026, 1, 5, 0, 10, 0, 0, time.UTC)}, // the 1st has gone
		{[]int{3, 4}, time.Date(2026, 1, 6, 0, 10, 0, 0, time.UTC)},
		{[]int{4}, time.Date(2026, 1, 7, 0, 10, 0, 0, time.UTC)},
	}
	l.sleep = func(_ context.Context, until time.Time) {
		want := steps[0]
		if steps = steps[1:]; len(steps) == 0 {
			cancel()
		}
		if got := days(); !slices.Equal(got, want.files) || !until.Equal(want.next) {
			t.Errorf("at %s there are files of %v and the next run is at %s, want %v and %s", g.clock, got, until, want.files, want.next)
		}
		if s := l.Status(); s.Running || s.Next != model.Millis(until.UnixMilli()) || s.Finished != model.Millis(g.clock.UnixMilli()) || (s.LastError != nil) != (len(hooks) == 1) {
			t.Errorf("the status is %+v", s)
		}
		g.clock = until
	}
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(steps) > 0 {
		t.Errorf("%d runs are missing", len(steps))
	}
	if want := []int{1, 2, 2, 2, 1}; !slices.Equal(hooks, want) {
		t.Errorf("with so many files others were told: %v, want %v", hooks, want)
	}
	if _, _, err := l.Open(lake.ID{Dataset: Trades, Market: 0, Day: day(1)}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that has gone: %v", err)
	}
	if left, _ := fs.Glob(l.disk.FS(), "trades/market_id=0/*/*"); len(left) != 1 {
		t.Errorf("%s is there", left)
	}
}

// What retention and thinning take from the record stays in the files; a file that is lost then is made of what is left, or goes
// off the list.
func TestFilesOutliveTheRecord(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(3, 180)
	dir := t.TempDir()
	l := g.lake(g.store, dir)
	made(t, l, MakeRequest{})
	before := l.o.Manifest.All()

	// Another writer on what a crash leaves thins and drops.
	thin, ticks := g.rewritten(history.Retention{Ticks: time.Hour}), Dataset(BookUpdates)
	l = g.lake(thin, dir)
	if r := made(t, l, MakeRequest{Force: true, Datasets: []Dataset{ticks, Snapshots}}); len(r.Made) > 0 {
		t.Errorf("%d files of thinned days were made again", len(r.Made))
	}
	if !reflect.DeepEqual(l.o.Manifest.All(), before) {
		t.Error("thinning changed the list")
	}
	i := slices.IndexFunc(before, func(f lake.File) bool { return f.ID.Dataset == ticks })
	lost := before[i]
	whole, err := fs.ReadFile(l.disk.FS(), lost.ID.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.disk.Remove(lost.ID.Key()); err != nil {
		t.Fatal(err)
	}
	if r := made(t, l, MakeRequest{}); len(r.Made) != 1 || r.Made[0].ID != lost.ID || r.Made[0].Rows > lost.Rows {
		t.Errorf("a lost file of a thinned day: %+v", r)
	}
	verified(t, l)

	if err := os.WriteFile(filepath.Join(dir, lost.ID.Key()), whole, 0o644); err != nil { // for the list of the other store
		t.Fatal(err)
	}
	dropped := g.rewritten(history.Retention{Books: time.Hour, Trades: time.Hour})
	listed := kvtest.CrashClone(t, dropped, 100)
	empty(t, dropped)
	l = g.lake(dropped, t.TempDir())
	for _, f := range made(t, l, MakeRequest{}).Made {
		if f.ID.Dataset == Trades || f.ID.Dataset == Snapshots || f.ID.Dataset == ticks {
			t.Errorf("%s was made of nothing", f.ID)
		}
	}
	l = g.lake(listed, dir)
	if r := made(t, l, MakeRequest{Datasets: []Dataset{Trades, Snapshots, Gaps}}); len(r.Made)+len(r.Removed) > 0 {
		t.Errorf("retention changed %+v", r)
	}
	if err := l.disk.Remove(lake.ID{Dataset: Trades, Day: before[0].ID.Day}.Key()); err != nil {
		t.Fatal(err)
	}
	// Candles stay whose trades have gone, in the file that they were in.
	if r := made(t, l, MakeRequest{}); len(r.Made) > 0 || len(r.Removed) != 1 || r.Removed[0].Dataset != Trades {
		t.Errorf("a lost file of a dropped day: %+v", r)
	}
	if left := l.o.Manifest.All(); len(left) != len(before)-1 {
		t.Errorf("%d files are left of %d", len(left), len(before))
	}
}

// Gaps are cut at the bounds of a day; what is neither held nor in a gap was not recorded; a gap that was filled is none, and the
// file of a day without any goes.
func TestGapsOfADay(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	n := g.markets[0]
	g.update(n)
	g.advance(5 * time.Second)
	g.update(n)
	lost := g.now.Millis()
	g.lose(n)
	g.advance(48 * time.Hour)
	found := g.now.Millis()
	g.update(n)
	g.advance(20 * time.Second)
	g.update(n)
	g.lose(n)
	g.flush()
	g.clock = time.UnixMicro(int64(g.now)).UTC().Add(30 * time.Minute)
	l := g.lake(g.store, t.TempDir())
	made(t, l, MakeRequest{Datasets: []Dataset{Gaps}})
	day := lake.DayOf(lost)
	row := func(kind string, from, to model.Millis, cause string) Gap {
		return Gap{0, "M0", kind, int64(from), int64(to), cause}
	}
	start := model.Millis(rigStart.UnixMilli())
	for i, want := range [][]Gap{
		{row("book", day, start, "not_recorded"), row("market_stats", day, day+lake.DayMillis, "not_recorded"),
			row("trades", day, day+lake.DayMillis, "not_recorded"), row("book", lost, day+lake.DayMillis, "upstream_disconnect")},
		{row("book", day+lake.DayMillis, day+2*lake.DayMillis, "upstream_disconnect")},
		{row("book", day+2*lake.DayMillis, found, "upstream_disconnect"),
			row("market_stats", day+2*lake.DayMillis, day+3*lake.DayMillis, "not_recorded"),
			row("trades", day+2*lake.DayMillis, day+3*lake.DayMillis, "not_recorded"),
			row("book", found+20_000, day+3*lake.DayMillis, "upstream_disconnect")},
	} {
		got, _ := rowsOfFile(t, l, lake.ID{Dataset: Gaps, Market: lake.AllMarkets, Day: day + model.Millis(i)*lake.DayMillis})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("day %d has %+v, want %+v", i, got, want)
		}
	}
	if f := l.o.Manifest.All(); len(f) != 3 {
		t.Errorf("the list is %+v", f)
	}
}

// Progress tells of each file, a run that is given up leaves nothing, and one that is short of space makes nothing.
func TestProgressAndEnd(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(2, 200)
	dir := t.TempDir()
	o := g.options(g.store, dir)
	short := true
	o.ReadOnly = func() bool { return short }
	l, err := NewLake(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if r, err := l.Make(t.Context(), MakeRequest{}, nil); !errors.Is(err, ErrSpace) || len(r.Made) > 0 || !errors.Is(l.Status().LastError, ErrSpace) {
		t.Errorf("short of space: %+v, %v", r, err)
	}
	short = false
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := l.Make(ctx, MakeRequest{}, func(p Progress) {
		if p.Rows > 0 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that was given up: %v", err)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("%s is left", left)
	}
	var last Progress
	r, err := l.Make(t.Context(), MakeRequest{}, func(p Progress) {
		if s := l.Status(); p.Done < last.Done || p.Rows < last.Rows || p.Done > p.Total || !s.Running || s.Progress != p {
			t.Errorf("%+v after %+v, the status is %+v", p, last, s)
		}
		last = p
	})
	if err != nil || last.Done != last.Total || last.Total != len(r.Made)+r.Empty || last.Rows != r.Rows || last.Bytes != r.Bytes || r.Rows == 0 {
		t.Errorf("it ended with %+v and %+v, %v", last, r, err)
	}
}

// fakeRemote is an object store that refuses every second file.
type fakeRemote struct {
	puts int
	held map[string]lake.File
}

func (r *fakeRemote) Put(_ context.Context, key, _ string, f lake.File) error {
	if r.puts++; r.puts%2 == 0 {
		return errors.New("refused")
	}
	r.held[key] = f
	return nil
}

func (r *fakeRemote) Delete(_ context.Context, key string) error {
	delete(r.held, key)
	return nil
}

func (r *fakeRemote) Link(context.Context, string, string, time.Duration) (string, time.Time, error) {
	return "", time.Time{}, nil
}

// What the object store refuses is copied by a later run, and its list tells what it has.
func TestCopiesFollow(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(2, 200)
	o, remote := g.options(g.store, t.TempDir()), &fakeRemote{held: map[string]lake.File{}}
	o.Remote = remote
	l, err := NewLake(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for run := 0; ; run++ {
		r, err := l.Make(t.Context(), MakeRequest{}, nil)
		if err != nil || run > 10 {
			t.Fatal(run, err)
		}
		for _, f := range o.Manifest.All() {
			if held, ok := remote.held[f.ID.Key()]; ok != f.Remote || ok && held.SHA256 != f.SHA256 {
				t.Errorf("%s is listed as copied: %v, and is %v", f.ID, f.Remote, ok)
			}
		}
		if len(r.Failed) == 0 {
			break
		}
	}
	if len(remote.held) != len(o.Manifest.All()) || len(remote.held) < 3 {
		t.Errorf("%d files are copied of %d", len(remote.held), len(o.Manifest.All()))
	}
}

// deafRemote is an object store that does not answer until it is told to.
type deafRemote struct {
	fakeRemote
	deleting chan struct{}
	answer   chan error
}

func (r *deafRemote) Put(_ context.Context, key, _ string, f lake.File) error {
	r.held[key] = f
	return nil
}

func (r *deafRemote) Delete(_ context.Context, key string) error {
	r.deleting <- struct{}{}
	err := <-r.answer
	if err == nil {
		delete(r.held, key)
	}
	return err
}

// An object store that does not answer keeps nobody from a file; what it did not delete stays listed until it has.
func TestDeafStore(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(3, 200)
	o := g.options(g.store, t.TempDir())
	remote := &deafRemote{fakeRemote{held: map[string]lake.File{}}, make(chan struct{}), make(chan error)}
	o.Remote, o.Datasets, o.Days = remote, []Dataset{Trades}, 1
	hooks := 0
	o.AfterDay = []func(context.Context) error{
		func(context.Context) error { return errors.New("never") },
		func(context.Context) error { hooks++; return nil },
	}
	l, err := NewLake(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g.clock = time.Date(2026, 1, 2, 1, 0, 0, 0, time.UTC)
	if r, err := l.keep(t.Context()); len(r.Made) != 1 || err == nil || hooks != 1 {
		t.Fatalf("%+v %v: %d hooks", r, err, hooks)
	}
	first := l.o.Manifest.All()[0].ID
	g.clock = time.Date(2026, 1, 3, 1, 0, 0, 0, time.UTC)
	for _, answer := range []error{errors.New("refused"), nil} {
		reports := make(chan Report, 1)
		go func() { r, _ := l.keep(t.Context()); reports <- r }()
		<-remote.deleting
		file, _, err := l.Open(first)
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
		remote.answer <- answer
		if r := <-reports; (answer != nil) != (len(r.Failed) == 1) || (answer == nil) != (len(r.Removed) == 1) {
			t.Errorf("the store answers %v: %+v", answer, r)
		}
		if _, listed := l.o.Manifest.Get(first); listed != (answer != nil) || listed != (remote.held[first.Key()].Rows > 0) {
			t.Errorf("the store answers %v: the file is listed: %v", answer, listed)
		}
	}
}

// Copies that follow later are told to the tables over them, and a file that only the object store has is never made of less.
func TestStoreHasTheFinerFile(t *testing.T) {
	t.Parallel()
	g := newRig(t, 1)
	g.nights(2, 400)
	dir := t.TempDir()
	remote := &fakeRemote{held: map[string]lake.File{}}
	open := func(l *Lake) *Lake { l.o.Remote = remote; return l }
	l := open(g.lake(g.store, dir))
	var copied []int
	l.o.AfterDay = []func(context.Context) error{func(context.Context) error { copied = append(copied, len(remote.held)); return nil }}
	for range 10 {
		if _, err := l.Make(t.Context(), MakeRequest{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	all := l.o.Manifest.All()
	if len(copied) < 2 || copied[len(copied)-1] != len(all) {
		t.Errorf("of %d files tables were told when so many were copied: %v", len(all), copied)
	}
	l = open(g.lake(g.rewritten(history.Retention{Ticks: time.Hour}), dir))
	for _, f := range all {
		if err := l.disk.Remove(f.ID.Key()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Make(t.Context(), MakeRequest{}, nil); err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if held := remote.held[f.ID.Key()]; held.Rows < f.Rows {
			t.Errorf("%s had %d rows in the store and has %d", f.ID, f.Rows, held.Rows)
		}
	}
}

// A clock that was set back does not keep the next run waiting for the time that it had told.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 3, 0, 10, 0, 0, time.UTC)
	l := &Lake{o: LakeOptions{Now: func() time.Time { return now }}}
	ended := make(chan struct{})
	go func() { l.sleepUntil(t.Context(), time.Date(2031, 1, 3, 0, 10, 0, 0, time.UTC)); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("it sleeps for years")
	}
}
