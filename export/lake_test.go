package export

import (
	"testing"

	"hyperlight/engine/lake"
)

func made(t testing.TB, l *Lake, r MakeRequest) Report {
	t.Helper()
	report, err := l.Make(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Failed {
		t.Errorf("%s was not made: %v", f.ID, f.Err)
	}
	return report
}

func verified(t testing.TB, l *Lake) {
	t.Helper()
	if err := l.Verify(t.Context(), func(f lake.File, err error) error {
		if err != nil {
			t.Errorf("%s: %v", f.ID, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Files of each finished day hold what a plain recomputation gives, of each dataset; the running day has none. Late rows make
// the files of their day again, under the same id with another hash, and no other file.
func TestFilesAreTheRecord(t *testing.T) {
	t.Parallel()
	g := newRig(t, 2)
	g.nights(3, 180)
	l := g.lake(g.store, t.TempDir())
	first := made(t, l, MakeRequest{})
	if len(first.Made) < 2*4*2 {
		t.Errorf("%d files were made", len(first.Made))
	}
	g.check(l)
	verified(t, l)
	if again := made(t, l, MakeRequest{}); len(again.Made) > 0 || again.Unchanged != len(first.Made) {
		t.Errorf("a second run made %d files again, %d are unchanged of %d", len(again.Made), again.Unchanged, len(first.Made))
	}

	before := map[lake.ID]lake.File{}
	for _, f := range l.o.Manifest.All() {
		before[f.ID] = f
	}
	if g.deliver() == 0 {
		t.Fatal("no trade was late")
	}
	late := made(t, l, MakeRequest{})
	if len(late.Made) == 0 {
		t.Error("late rows made no file again")
	}
	for _, f := range late.Made {
		if old, ok := before[f.ID]; f.ID.Dataset != Trades && f.ID.Dataset != Candles || ok && (old.SHA256 == f.SHA256 || old.Created >= f.Created) {
			t.Errorf("%+v was made again of %+v", f, old)
		}
	}
	g.check(l)
	verified(t, l)

	forced := made(t, l, MakeRequest{Datasets: []Dataset{Trades}, Markets: []int64{1}, Force: true})
	for _, f := range forced.Made {
		if f.ID.Dataset != Trades || f.ID.Market != 1 {
			t.Errorf("%s was made by force", f.ID)
		}
	}
	if len(forced.Made) == 0 {
		t.Error("force made nothing")
	}
	g.check(l)
}
