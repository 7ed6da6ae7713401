package engine

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/archive"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Whatever rows are left out of an archive, what counts as held never has one of them in it; and without any it is all
// that was said.
func TestWholenessNeverCoversWhatWasLeftOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(100, 140), 0, 30).Draw(t, "times")
		if rapid.Bool().Draw(t, "sorted") {
			slices.Sort(times)
		}
		var claimed history.Span
		if rapid.Bool().Draw(t, "claims") {
			claimed = history.Span{From: 90, To: 150}
		}
		var w wholeness
		var lost []model.Millis
		var kept []int64
		for _, at := range times {
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0:
				w.broken()
				lost = append(lost, model.Millis(at))
			case 1:
				w.add(model.Millis(at)) // its numbers turn out not to fit when it is stored
				kept = append(kept, at)
				w.lose()
				lost = append(lost, model.Millis(at))
			default:
				w.add(model.Millis(at))
				kept = append(kept, at)
			}
		}
		if !slices.IsSorted(times) && slices.IsSorted(kept) {
			t.Skip("only the rows that were left out were not in order: nobody can tell")
		}
		got := w.spans(claimed)
		for _, sp := range got {
			if sp.From >= sp.To {
				t.Fatalf("empty span %v", sp)
			}
			for _, at := range lost {
				if sp.From <= at && at < sp.To {
					t.Fatalf("%v is held, but the row of %d was left out", sp, at)
				}
			}
		}
		switch {
		case len(lost) > 0:
		case claimed.To > 0:
			if !slices.Equal(got, []history.Span{claimed}) {
				t.Fatalf("held is %v, want %v", got, claimed)
			}
		case len(kept) > 0:
			want := history.Span{From: model.Millis(slices.Min(times)), To: model.Millis(slices.Max(times)) + 1}
			if !slices.Equal(got, []history.Span{want}) {
				t.Fatalf("held is %v, want %v", got, want)
			}
		case len(got) > 0:
			t.Fatalf("an empty archive holds %v", got)
		}
	})
}

// A row that was left out splits what is held, and no more.
func TestWholenessSplits(t *testing.T) {
	var w wholeness
	for _, at := range []model.Millis{10, 20} {
		w.add(at)
	}
	w.broken()
	for _, at := range []model.Millis{30, 40} {
		w.add(at)
	}
	if got, want := w.spans(history.Span{}), []history.Span{{From: 10, To: 20}, {From: 31, To: 41}}; !slices.Equal(got, want) {
		t.Errorf("held is %v, want %v", got, want)
	}
	if got, want := w.spans(history.Span{From: 0, To: 100}), []history.Span{{From: 0, To: 20}, {From: 31, To: 100}}; !slices.Equal(got, want) {
		t.Errorf("held is %v, want %v", got, want)
	}
}

func TestEachRun(t *testing.T) {
	var rows []archive.Row
	for _, m := range []int64{5, 3, 4, 9, 4, 1} {
		rows = append(rows, archive.Row{Time: model.Millis(m * 60_000)})
	}
	var got []history.Span
	if err := eachRun(rows, time.Minute, func(rows []archive.Row, held history.Span) error {
		got = append(got, history.Span{From: held.From / 60_000, To: held.To / 60_000})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []history.Span{{From: 1, To: 2}, {From: 3, To: 6}, {From: 9, To: 10}}; !slices.Equal(got, want) {
		t.Errorf("runs are %v, want %v", got, want)
	}
}
