package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// bookLane gives the book events of one market in the order received: start state, updates, one-second snapshots, gaps,
// books received again. The book itself is walked only where snapshots are asked for.
type bookLane struct {
	h     HistoryReader
	req   *Request
	m     *model.Market
	from  model.Micros
	to    model.Micros
	begun bool

	rows    cursor[*record.BookRow]
	row     *record.BookRow // head of rows, not yet given
	rowsEnd bool
	quiet   bool         // no row is an event of its own
	until   model.Micros // where quiet, rows received before it are applied as they are read
	last    model.Micros // receive time of the row that was read last
	same    int          // how many rows of that receive time were read: where to go on after a release
	lost    Removal
	copy    record.BookRow
	given   bool // the event handed out points to a row of the iterator

	times    cursor[model.Millis] // full seconds at which a book is held
	sec      model.Micros         // head of times, 0 while unknown
	secAfter model.Millis         // where times goes on after a release
	timesEnd bool

	gaps []model.Gap
	book *walk // nil where no snapshot is asked for
	top  Top
	ev   Event
}

func newBookLane(s *MergedSource, m *model.Market, gaps []model.Gap) *bookLane {
	l := &bookLane{h: s.h, req: &s.req, m: m, gaps: gaps, from: s.span().From.Micros(), to: s.span().To.Micros(),
		lost: s.removal(model.KindBook, s.from)}
	if s.req.Include.Has(Snapshot) || s.req.StartBooks {
		l.book = newWalk(m)
	}
	if !s.req.Include.Has(Snapshot) {
		l.timesEnd = true
	}
	l.quiet = !s.req.Include.Has(BookUpdate) && !s.req.StartBooks
	return l
}

func (l *bookLane) event() *Event { return &l.ev }

// walks tells whether the book must follow every update.
func (l *bookLane) walks() bool { return l.req.Include.Has(Snapshot) }

func (l *bookLane) emit(k Kind, ts model.Micros) place {
	l.ev.Kind, l.ev.Market, l.ev.TS = k, l.m, ts
	l.ev.Initial, l.ev.Resync = false, false
	l.given = false
	class := k
	if k == Gap {
		class = BookUpdate
	}
	return l.req.placeAt(ts, class, l.m)
}

// advance moves to the next book event: whichever of the next update, second and gap comes first.
func (l *bookLane) advance(ctx context.Context) (place, error) {
	if !l.begun {
		l.begun = true
		if ok, err := l.begin(ctx); err != nil || ok {
			return l.emitInitial(), err
		}
	}
	for {
		sec, err := l.peekSecond(ctx)
		if err != nil {
			return place{}, err
		}
		if l.quiet && sec == math.MaxInt64 && len(l.gaps) == 0 {
			return place{}, io.EOF // the rows that are left lead to nothing
		}
		l.until = sec
		if len(l.gaps) > 0 {
			l.until = min(sec, l.gaps[0].From+1)
		}
		row, err := l.peekRow(ctx)
		if err != nil {
			return place{}, err
		}
		at := model.Micros(math.MaxInt64)
		if row != nil {
			at = row.Recv
		}
		// A gap stands after the last good record, which was received at its From; a second before what was received at it.
		if len(l.gaps) > 0 && l.gaps[0].From < min(at, sec) {
			g := &l.gaps[0]
			l.gaps = l.gaps[1:]
			if l.book != nil {
				l.book.desync()
			}
			l.ev.Gap = g
			return l.emit(Gap, max(g.From, l.from)), nil
		}
		if sec == math.MaxInt64 && row == nil {
			return place{}, io.EOF
		}
		if sec <= at {
			l.sec = 0
			ok, err := l.snapshot(ctx, sec)
			if err != nil {
				return place{}, err
			}
			if ok {
				return l.emit(Snapshot, sec), nil
			}
			continue
		}
		l.row = nil
		if p, ok := l.take(row); ok {
			return p, nil
		}
	}
}

// begin loads the book at the start where the request sends it or the walk needs it.
func (l *bookLane) begin(ctx context.Context) (bool, error) {
	if l.book == nil {
		return false, nil
	}
	v, err := l.h.BookAt(ctx, l.m.ID, l.from)
	if errors.Is(err, history.ErrNoData) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read book at start: %w", err)
	}
	if l.walks() {
		l.book.reset(v)
	}
	l.ev.View = v
	return l.req.StartBooks, nil
}

// emitInitial makes the event of the start state. In EventOrder it stands with the other book events of its
// millisecond, after the trades of the same time (contract 9.8.1); in ReceiveOrder before everything.
func (l *bookLane) emitInitial() place {
	p := l.emit(Snapshot, l.from)
	l.ev.Initial = true
	if l.req.Order == ReceiveOrder {
		p.key = 0
	}
	return p
}

// snapshot prepares the event of a full second. Where the walked book is not whole although the record says that it is
// held (the start lay in no held interval), it is read anew.
func (l *bookLane) snapshot(ctx context.Context, sec model.Micros) (bool, error) {
	if !l.book.synced() {
		v, err := l.h.BookAt(ctx, l.m.ID, sec)
		if errors.Is(err, history.ErrNoData) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read book of a second: %w", err)
		}
		l.book.reset(v)
	}
	if l.req.Depth > 0 {
		l.book.top(&l.top, l.req.Depth)
		l.ev.Top, l.ev.View = &l.top, nil
	} else {
		l.ev.View = l.book.view()
	}
	return true, nil
}

// take applies a row to the walked book and makes its event; false where the request does not send it.
func (l *bookLane) take(row *record.BookRow) (place, bool) {
	if l.walks() || row.Update.Snapshot && l.book != nil {
		l.book.apply(row)
	}
	if row.Update.Snapshot && l.req.StartBooks {
		l.ev.View, l.ev.Top = l.book.view(), nil
		p := l.emit(Snapshot, row.Recv)
		l.ev.Resync = true
		return p, true
	}
	if !l.req.Include.Has(BookUpdate) {
		return place{}, false
	}
	l.ev.Row = row
	p := l.emit(BookUpdate, row.Recv)
	l.given = true
	return p, true
}

// peekRow returns the next update that was not yet given, nil at the end.
func (l *bookLane) peekRow(ctx context.Context) (*record.BookRow, error) {
	if l.row != nil || l.rowsEnd {
		return l.row, nil
	}
	if !l.rows.isOpen() {
		l.rows.open(l.stored(ctx))
	}
	row, ok, err := l.rows.step()
	if err != nil {
		return nil, err
	}
	if !ok {
		l.rowsEnd = true
		l.rows.release()
		return nil, nil
	}
	l.row = row
	return row, nil
}

// stored reads on behind the last row given. Rows that are no events are applied here, because a step of a cursor takes
// longer than following a row.
func (l *bookLane) stored(ctx context.Context) iter.Seq2[*record.BookRow, error] {
	from, skip := l.from, 0
	if l.same > 0 {
		from, skip = l.last, l.same
	}
	return func(yield func(*record.BookRow, error) bool) {
		there := skip == 0
		for row, err := range l.h.Updates(ctx, l.m.ID, from, l.to) {
			if err == nil && !there && row.Recv != from {
				err = l.removed(ctx, from)
			}
			if err == nil {
				err = l.lost.Row(row.Recv.Millis())
			}
			if err != nil {
				yield(nil, err)
				return
			}
			there = true
			if skip > 0 && row.Recv == from {
				skip--
				continue
			}
			if row.Recv == l.last {
				l.same++
			} else {
				l.last, l.same = row.Recv, 1
			}
			if l.quiet && row.Recv < l.until {
				l.book.apply(row)
			} else if !yield(row, nil) {
				return
			}
		}
		err := l.lost.End(l.to.Millis())
		if err == nil && !there {
			err = l.removed(ctx, from)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// removed is called where the row that was read last, received at at, is not in the store any more. Snapshots of full
// seconds outlast thinning, which Removal does not see; the chain of updates does not.
func (l *bookLane) removed(ctx context.Context, at model.Micros) error {
	if !l.quiet {
		return ErrRemoved
	}
	held, err := l.h.Coverage(ctx, model.KindBook, l.m.ID, history.Span{From: at.Millis(), To: at.Millis() + 1})
	if err == nil && len(held) == 0 {
		err = ErrRemoved
	}
	return err
}

// peekSecond returns the next full second with a book, math.MaxInt64 at the end.
func (l *bookLane) peekSecond(ctx context.Context) (model.Micros, error) {
	if l.timesEnd {
		return math.MaxInt64, nil
	}
	if l.sec != 0 {
		return l.sec, nil
	}
	if !l.times.isOpen() {
		l.times.open(l.seconds(ctx))
	}
	t, ok, err := l.times.step()
	if err != nil {
		return 0, err
	}
	if !ok {
		if err := l.lost.End(l.to.Millis()); err != nil {
			return 0, err
		}
		l.timesEnd = true
		l.times.release()
		return math.MaxInt64, nil
	}
	l.sec = t.Micros()
	l.secAfter = t + 1
	return l.sec, nil
}

// seconds reads the full seconds from where the lane stands.
func (l *bookLane) seconds(ctx context.Context) iter.Seq2[model.Millis, error] {
	from := max(l.from.Millis(), l.secAfter)
	if from >= l.to.Millis() {
		return func(func(model.Millis, error) bool) {}
	}
	return l.h.BookTimes(ctx, l.m.ID, history.Span{From: from, To: l.to.Millis()}, second, false)
}

func (l *bookLane) release() {
	l.times.release()
	if !l.rows.isOpen() {
		return
	}
	switch {
	case l.row != nil:
		l.row = l.keep(l.row)
	case l.given:
		// The event handed out points into the iterator's memory and is still to be read.
		l.ev.Row = l.keep(l.ev.Row)
	}
	l.rows.release()
}

// keep copies a row into the lane's own memory.
func (l *bookLane) keep(r *record.BookRow) *record.BookRow {
	if r == &l.copy {
		return r
	}
	bids, asks := l.copy.Update.Bids[:0], l.copy.Update.Asks[:0]
	l.copy = *r
	l.copy.Update.Bids = append(bids, r.Update.Bids...)
	l.copy.Update.Asks = append(asks, r.Update.Asks...)
	return &l.copy
}
