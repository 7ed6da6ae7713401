package engine

import (
	"cmp"
	"slices"
	"time"

	"hyperlight/engine/archive"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// wholeness follows of what time an archive has every row, where somebody vouches that it was whole: a row that had to be
// left out lay somewhere between its neighbours, and only as long as rows are in order.
type wholeness struct {
	done    []history.Span // ended by rows that were left out
	from    model.Millis   // of the rows since
	to      model.Millis
	last    model.Millis
	some    bool // rows since
	started bool // rows at all
	holed   bool
	mixed   bool // rows are not in order
	headed  bool // no row was left out before the first one
}

// add notes a row.
func (w *wholeness) add(t model.Millis) {
	if w.started && t < w.last {
		w.mixed = true
	}
	w.headed = w.headed || !w.started && !w.holed
	w.last, w.started = t, true
	if !w.some {
		w.from, w.to, w.some = t, t, true
		return
	}
	w.from, w.to = min(w.from, t), max(w.to, t)
}

// broken notes that a row was left out here.
func (w *wholeness) broken() {
	if w.some {
		// The row may have been of the same millisecond as the last one.
		w.done = append(w.done, history.Span{From: w.begin(), To: w.to})
	}
	w.some, w.holed = false, true
}

// lose notes that a row was left out somewhere.
func (w *wholeness) lose() { w.holed, w.mixed = true, true }

// begin is the first moment that is whole: not that of the first row behind a hole.
func (w *wholeness) begin() model.Millis {
	if w.holed {
		return w.from + 1
	}
	return w.from
}

// spans returns what is whole. claimed, where not empty, is what somebody says of the whole file; else it is from the
// first row to the last.
func (w *wholeness) spans(claimed history.Span) (out []history.Span) {
	claims := claimed.From < claimed.To
	if !w.holed {
		switch {
		case claims:
			return []history.Span{claimed}
		case w.some:
			return []history.Span{{From: w.from, To: w.to + 1}}
		}
		return nil
	}
	if w.mixed {
		return nil
	}
	out = slices.Clone(w.done)
	if w.some {
		out = append(out, history.Span{From: w.begin(), To: w.to + 1})
	}
	if claims {
		for i := range out {
			out[i].From, out[i].To = max(out[i].From, claimed.From), min(out[i].To, claimed.To)
		}
		// Before the first row and behind the last one nothing was, as long as no row was left out there.
		if len(out) > 0 && w.headed {
			out[0].From = claimed.From
		}
		if len(out) > 0 && w.some {
			out[len(out)-1].To = claimed.To
		}
	}
	return slices.DeleteFunc(out, func(sp history.Span) bool { return sp.From >= sp.To })
}

// eachRun sorts rows that each fill a length of time, and calls fn with those that follow one another without a break, and
// with what they fill. Of rows of one time the first counts.
func eachRun(rows []archive.Row, length time.Duration, fn func([]archive.Row, history.Span) error) error {
	step := model.Millis(length.Milliseconds())
	slices.SortStableFunc(rows, func(a, b archive.Row) int { return cmp.Compare(a.Time, b.Time) })
	rows = slices.CompactFunc(rows, func(a, b archive.Row) bool { return a.Time == b.Time })
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Time == rows[n-1].Time+step {
			n++
		}
		if err := fn(rows[:n], history.Span{From: rows[0].Time, To: rows[n-1].Time + step}); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
