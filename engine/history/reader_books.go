package history

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Updates goes through the book updates with from <= receive time < to in the order received. The row and its slices
// are reused by the next step. Each held interval begins with a whole book (Snapshot); to start inside one, take BookAt of
// from first.
func (r *Reader) Updates(ctx context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error] {
	return func(yield func(*record.BookRow, error) bool) {
		ivs, err := r.intervals(ctx, model.KindBook, m, forever)
		if err != nil {
			yield(nil, err)
			return
		}
		rows := newBookRows(r, uint32(m))
		defer rows.free()
		for _, iv := range ivs {
			if iv.To == forever {
				if iv.To, err = r.lastRow(m, iv.From); err != nil {
					yield(nil, err)
					return
				}
			}
			rows.start(max(from, iv.From), min(to, iv.To+1))
			for {
				row, err := rows.next(ctx)
				if err != nil {
					yield(nil, err)
					return
				}
				if row == nil {
					break
				}
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// lastRow returns the receive time of the last committed row of an open interval.
func (r *Reader) lastRow(m model.MarketID, start model.Micros) (model.Micros, error) {
	heartbeat, err := r.heartbeat()
	if err != nil {
		return 0, err
	}
	return lastBookRow(r.store, uint32(m), int64(start), heartbeat, forever)
}

// BookAt returns the book of every update received before t; ErrNoData where t is not held. The first row of a held
// interval is part of the book from the next microsecond on.
func (r *Reader) BookAt(ctx context.Context, m model.MarketID, t model.Micros) (*book.View, error) {
	ivs, err := r.bookIntervals(ctx, m, 0, t, t)
	if err != nil {
		return nil, err
	}
	for i := len(ivs) - 1; i >= 0; i-- {
		if ivs[i].From < t && t <= ivs[i].To {
			v, _, err := r.bookIn(ctx, ivs[i], m, t)
			return v, err
		}
	}
	return nil, ErrNoData
}

// bookIn returns the book of every update received before t, which lies in a held interval, and whether it is one that is
// kept ready.
func (r *Reader) bookIn(ctx context.Context, iv Interval, m model.MarketID, t model.Micros) (v *book.View, ready bool, err error) {
	if r.ready != nil && t%second == 0 {
		if v, err := r.readyBook(ctx, iv, m, t); v != nil || err != nil {
			return v, err == nil, err
		}
	}
	w := bookWalk{r: r, market: m}
	defer w.close()
	if err := w.seek(ctx, iv, t, t); err != nil {
		return nil, false, err
	}
	return w.book.View(), false, nil
}

// bookWalk is a book that is moved through a held interval.
type bookWalk struct {
	r      *Reader
	market model.MarketID
	book   *book.Book
	at     model.Micros // every update received before it is applied
	rows   *bookRows
	ahead  *record.BookRow // read, and received at or after at
}

// seek places the book at t, from the nearest keyframe or segment at or before it. Rows are read ahead up to the given end.
func (w *bookWalk) seek(ctx context.Context, iv Interval, t, end model.Micros) error {
	w.open()
	base, at, err := w.base(iv, t)
	if err != nil {
		return err
	}
	w.reset(at, end)
	if base != nil {
		w.book.SetEpoch(base.Epoch)
		w.book.Reset(base)
	}
	return w.forward(ctx, t)
}

// open takes the memory that the walk needs.
func (w *bookWalk) open() {
	if w.book == nil {
		w.book = book.New()
		w.rows = newBookRows(w.r, uint32(w.market))
	}
}

// reset empties the book before the rows of from <= receive time < to.
func (w *bookWalk) reset(from, to model.Micros) {
	w.open()
	w.book.Reset(nil)
	w.ahead = nil
	w.rows.start(from, to)
}

// close gives the walk's memory back; views of its book stay.
func (w *bookWalk) close() {
	if w.rows != nil {
		w.rows.free()
		w.rows = nil
	}
}

// peek returns the next row that is not applied, nil at the end. Whoever applies it sets ahead to nil.
func (w *bookWalk) peek(ctx context.Context) (*record.BookRow, error) {
	if w.ahead == nil {
		row, err := w.rows.next(ctx)
		if err != nil {
			return nil, err
		}
		w.ahead = row
	}
	return w.ahead, nil
}

// forward applies every update received before t, which must lie in the interval of the last seek and before its end.
func (w *bookWalk) forward(ctx context.Context, t model.Micros) error {
	for {
		row, err := w.peek(ctx)
		if err != nil {
			return err
		}
		if row == nil || row.Recv >= t {
			break
		}
		if err := w.apply(row); err != nil {
			return err
		}
		w.ahead = nil
	}
	w.at = t
	if !w.book.Synced() {
		return ErrNoData
	}
	return nil
}

// rescale brings the book to the scale of a row.
func (w *bookWalk) rescale(row *record.BookRow) error {
	if row.Epoch == w.book.Epoch() {
		return nil
	}
	if w.book.Synced() {
		m, ok := w.r.markets(w.market)
		if !ok {
			return fmt.Errorf("change the scale of a book: market %d is unknown", w.market)
		}
		fromPrice, fromSize := m.ScaleAt(w.book.Epoch())
		toPrice, toSize := m.ScaleAt(row.Epoch)
		if err := w.book.Rescale(fromPrice, fromSize, toPrice, toSize); err != nil {
			if !row.Update.Snapshot {
				return fmt.Errorf("change the scale of a book: %w", err)
			}
			w.book.Reset(nil) // the row replaces what does not fit its scale
		}
	}
	w.book.SetEpoch(row.Epoch)
	return nil
}

// apply applies a row and changes the book's scale first where the row has another one.
func (w *bookWalk) apply(row *record.BookRow) error {
	if err := w.rescale(row); err != nil {
		return err
	}
	err := w.book.Apply(&row.Update, row.Time, row.Recv)
	if errors.Is(err, book.ErrUnsynced) {
		return ErrNoData
	}
	if err != nil {
		return fmt.Errorf("apply the update received at %d: %w", row.Recv, err)
	}
	return nil
}

// base returns the newest stored state at or before t inside the interval, and its moment; without one, no state and the
// interval's start. Keyframes are looked for before segments, because sealing turns the ones into the others. The walk's
// rows are over then.
func (w *bookWalk) base(iv Interval, t model.Micros) (*book.View, model.Micros, error) {
	mkt := uint32(w.market)
	for day := key.DayOfMicros(int64(t)); ; day-- {
		dayStart := model.Micros(key.DayStart(day) * 1000)
		from := max(dayStart, iv.From)
		to := min(t, dayStart+key.DayMicros-1) + 1
		var found *book.View
		at := from - 1
		r, err := key.KeyframeRange(mkt, int64(from), int64(to))
		if err == nil {
			err = w.r.store.Last(r, func(k, v []byte) error {
				parsed, err := key.ParseKeyframe(k)
				if err != nil {
					return err
				}
				at = model.Micros(parsed.Time)
				frame, err := record.DecodeKeyframe(v)
				if err == nil {
					found = frame.View()
				}
				return err
			})
		}
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return nil, 0, fmt.Errorf("look for a keyframe: %w", err)
		}
		// A segment at the same moment holds the same state.
		if at+1 < to {
			if r, err = key.BookRange(mkt, key.Sealed, int64(at)+1, int64(to)); err == nil {
				err = w.r.store.Last(r, func(k, v []byte) error {
					parsed, err := key.ParseBook(k)
					if err != nil {
						return err
					}
					frame, err := w.rows.keyframe(v)
					if err == nil {
						at, found = model.Micros(parsed.Time), frame.View()
					}
					return err
				})
			}
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return nil, 0, fmt.Errorf("look for a segment: %w", err)
			}
		}
		if found != nil {
			if found.Len(model.Bid)+found.Len(model.Ask) == 0 && at == iv.From {
				return nil, at, nil // the segment begins with the interval's first whole book
			}
			return found, at, nil
		}
		if dayStart <= iv.From || day == 0 {
			return nil, iv.From, nil
		}
	}
}
