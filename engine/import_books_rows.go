package engine

import (
	"fmt"
	"math"

	"hyperlight/engine/archive"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

func (run *bookRun) faultOf(row *archive.Row, column, reason string) *archive.RowError {
	return &archive.RowError{File: run.name, Line: row.Line, Column: column, Reason: reason}
}

// follows tells whether a row can stand where it does. Of one that cannot nobody knows what update it is of.
func (run *bookRun) follows(row *archive.Row) *archive.RowError {
	l := &row.Level
	switch only := run.im.o.Archive.Market; {
	case only != nil && row.Native != *only:
		return run.faultOf(row, "market_id", "not the market of --market")
	case run.books[row.Native] == nil:
		return run.faultOf(row, "market_id", "the file has changed meanwhile")
	case !archive.Plausible(l.Recv.Millis(), run.now):
		return run.faultOf(row, "recv_ts", "a time that cannot be: before 2015, or in the future")
	case l.Recv < run.recv:
		return run.faultOf(row, "recv_ts", "before that of an earlier row")
	case row.Time < 0 || row.Time.Micros() > l.Recv+clockWrong:
		return run.faultOf(row, "timestamp", "more than a day after recv_ts")
	case !l.Snapshot && row.Time != 0 && row.Time.Micros() < l.Recv-clockWrong: // a whole book may be of a change long ago
		return run.faultOf(row, "timestamp", "more than a day before recv_ts")
	}
	return nil
}

// levelOf returns a row's level at its market's decimals, or why it is none.
func levelOf(row *archive.Row, m *model.Market) (l model.Level, column, reason string) {
	if row.Price.Mant <= 0 {
		return l, "price", "not above 0"
	}
	if row.Size.Mant < 0 {
		return l, "size", "below 0"
	}
	p, err := num.Rescale(row.Price.Mant, row.Price.Scale, m.PriceScale)
	if err != nil {
		return l, "price", errFits.Error()
	}
	s, err := num.Rescale(row.Size.Mant, row.Size.Scale, m.SizeScale)
	if err != nil {
		return l, "size", errFits.Error()
	}
	return model.Level{Price: num.Price(p), Size: num.Size(s)}, "", ""
}

// leaveOut leaves out a row and the update at hand, which it is of, or may be. Without it no book is whole.
func (run *bookRun) leaveOut(e *archive.RowError) {
	run.bad++
	run.im.fault(e)
	p := &run.pending
	if p.rows > 0 {
		run.skip(e.Line, p.rows, tornReason)
	}
	p.rows, p.reason = 0, tornReason
	lost := false
	for _, b := range run.books {
		lost, b.whole = lost || b.whole, false
	}
	if lost {
		run.lose(model.NoMarket, run.sent, model.CauseParse)
	}
}

// skip counts rows that are left out because of another one. They are not told one by one.
func (run *bookRun) skip(line, rows uint64, reason string) {
	im := run.im
	if im.report.Reasons[reason] == 0 && len(im.report.Faults) < shownFaults {
		im.report.Faults = append(im.report.Faults, fmt.Sprintf("%s:%d: %s", run.name, line, reason))
	}
	run.bad += rows
	im.report.Rejected += rows
	im.report.Reasons[reason] += rows
}

// quiet lets the time behind the last update pass that was held without one, as far as it is for every book. The day's last
// second is no part of it: there the next day's file begins.
func (run *bookRun) quiet() {
	end := model.Micros(math.MaxInt64)
	for _, b := range run.books {
		if !b.whole {
			return
		}
		until, _ := b.heldUntil(math.MaxInt64)
		end = min(end, until-1)
	}
	if run.sent == 0 || end <= run.sent {
		return
	}
	// An event that nobody keeps, at a moment of which only the clock counts.
	run.target.Handle(&model.Event{Market: model.NoMarket, Recv: end, Payload: &model.Height{}})
}
