package replay

import (
	"errors"
	"math/bits"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

const (
	// window is how many prices a side are kept in the array at the touch.
	window = 4096
	// headroom is how many of them lie before the best price when the array is laid: as far the touch may move towards the
	// other side before it is laid anew.
	headroom = window / 4
	// maxFar is how many changes behind the window wait for the book.
	maxFar = 4096
)

// walk is a book that is moved through many updates and looked at seldom, once a second of the record. Changes near the
// touch go into an array with a place for each price, the others into a list; both reach the book, which costs several
// times as much, only where more is asked for than the arrays show. It belongs to one goroutine.
type walk struct {
	m      *model.Market
	book   *book.Book
	sides  [2]ladder
	laid   bool             // the ladders show the book with the changes that it lacks
	behind bool             // the book lacks changes
	update model.BookUpdate // the last row's numbers, and on flush the changes that the book lacks
	time   model.Millis     // of the last row
	recv   model.Micros
}

// ladder is one side of a walk at the touch. A price's key grows away from the touch.
type ladder struct {
	sign  num.Price
	base  num.Price // key of place 0: no level lies before it
	best  int       // first place with a level, window where there is none
	held  [window / 64]uint64
	dirty [window / 64]uint64 // places that differ from the book
	sizes [window]num.Size    // where held
	far   []model.Level       // changes behind the window, in order
}

func newWalk(m *model.Market) *walk {
	w := &walk{m: m, book: book.New()}
	w.sides[model.Bid].sign, w.sides[model.Ask].sign = -1, 1
	return w
}

// synced tells whether the book is whole.
func (w *walk) synced() bool { return w.book.Synced() }

// desync forgets the book: a hole lies behind it.
func (w *walk) desync() {
	w.forget()
	w.book.Desync()
}

// reset makes the book the one that a view shows.
func (w *walk) reset(v *book.View) {
	w.forget()
	w.book.Reset(v)
}

// forget drops the changes that the book lacks.
func (w *walk) forget() {
	for s := range w.sides {
		w.sides[s].far = w.sides[s].far[:0]
	}
	w.laid, w.behind = false, false
}

// apply follows a row. One that does not fit leaves the book waiting for a whole one.
func (w *walk) apply(row *record.BookRow) {
	u := &row.Update
	if u.Snapshot || row.Epoch != w.book.Epoch() {
		w.applyWhole(row)
		return
	}
	if !w.synced() {
		return
	}
	if !w.laid {
		w.lay(u)
	}
	switch {
	case u.Seq <= w.update.Seq:
		return
	case u.Prev != w.update.Seq:
		w.desync()
		return
	}
	if w.sides[model.Bid].before(u.Bids) || w.sides[model.Ask].before(u.Asks) {
		w.flush()
		w.lay(u)
	}
	w.sides[model.Bid].apply(u.Bids)
	w.sides[model.Ask].apply(u.Asks)
	w.update.Seq, w.update.Offset, w.update.UpdatedAt, w.update.Chained = u.Seq, u.Offset, u.UpdatedAt, u.Chained
	w.time, w.recv, w.behind = row.Time, row.Recv, true
	bids, asks := &w.sides[model.Bid], &w.sides[model.Ask]
	switch {
	case bids.best == window || asks.best == window || len(bids.far)+len(asks.far) > maxFar:
		w.flush()
		w.lay(u)
	case -(bids.base + num.Price(bids.best)) >= asks.base+num.Price(asks.best):
		w.desync()
	}
}

// applyWhole follows a row that is a whole book, or the first one of another scale.
func (w *walk) applyWhole(row *record.BookRow) {
	w.flush()
	w.forget()
	if row.Epoch != w.book.Epoch() {
		fromPS, fromSS := w.m.ScaleAt(w.book.Epoch())
		toPS, toSS := w.m.ScaleAt(row.Epoch)
		if !row.Update.Snapshot && w.book.Rescale(fromPS, fromSS, toPS, toSS) != nil {
			w.book.Desync()
		}
		w.book.SetEpoch(row.Epoch)
	}
	if err := w.book.Apply(&row.Update, row.Time, row.Recv); err != nil && !errors.Is(err, book.ErrStale) {
		w.book.Desync()
	}
}

// flush brings the book up to date.
func (w *walk) flush() {
	if !w.behind {
		return
	}
	u := &w.update
	u.Prev = w.book.Seq()
	u.Bids = w.sides[model.Bid].changes(u.Bids[:0])
	u.Asks = w.sides[model.Ask].changes(u.Asks[:0])
	w.behind = false
	if w.book.Apply(u, w.time, w.recv) != nil {
		w.desync()
	}
}

// lay makes the ladders show the book, which is up to date, with room for the levels that the next update brings.
func (w *walk) lay(next *model.BookUpdate) {
	if !w.synced() {
		return
	}
	w.laid = true
	w.update.Seq = w.book.Seq()
	for s, levels := range [2][]model.Level{model.Bid: next.Bids, model.Ask: next.Asks} {
		l := &w.sides[s]
		first, known := w.book.Best(model.Side(s))
		key := first.Price * l.sign
		for _, level := range levels {
			if k := level.Price * l.sign; level.Size > 0 && (!known || k < key) {
				key, known = k, true
			}
		}
		l.base, l.best = key-headroom, window
		clear(l.held[:])
		clear(l.dirty[:])
		w.update.Bids = w.book.Append(w.update.Bids[:0], model.Side(s), window)
		for _, level := range w.update.Bids {
			i := level.Price*l.sign - l.base
			if i >= window {
				break
			}
			l.sizes[i] = level.Size
			l.held[i/64] |= 1 << (i % 64)
			l.best = min(l.best, int(i))
		}
	}
}

// before tells whether one of the levels lies before the ladder.
func (l *ladder) before(levels []model.Level) bool {
	for i := range levels {
		if levels[i].Price*l.sign < l.base && levels[i].Size > 0 {
			return true
		}
	}
	return false
}

// apply sets and removes levels.
func (l *ladder) apply(levels []model.Level) {
	for i := range levels {
		level := &levels[i]
		at := uint64(level.Price*l.sign - l.base)
		if at >= window {
			if int64(at) >= 0 { // else it removes a level that is not there
				l.far = append(l.far, *level)
			}
			continue
		}
		word, bit := at/64, uint64(1)<<(at%64)
		l.dirty[word] |= bit
		switch {
		case level.Size > 0:
			l.sizes[at] = level.Size
			l.held[word] |= bit
			l.best = min(l.best, int(at))
		default:
			l.held[word] &^= bit
			if int(at) == l.best {
				l.best = l.next(l.best)
			}
		}
	}
}

// next returns the first place at or behind i that has a level, window where there is none.
func (l *ladder) next(i int) int {
	if i >= window {
		return window
	}
	word := i / 64
	set := l.held[word] >> (i % 64) << (i % 64)
	for set == 0 {
		if word++; word == len(l.held) {
			return window
		}
		set = l.held[word]
	}
	return word*64 + bits.TrailingZeros64(set)
}

// changes appends what the book lacks, and empties the list of it.
func (l *ladder) changes(dst []model.Level) []model.Level {
	for word, set := range l.dirty {
		for ; set != 0; set &= set - 1 {
			bit := bits.TrailingZeros64(set)
			at := word*64 + bit
			level := model.Level{Price: (l.base + num.Price(at)) * l.sign}
			if l.held[word]&(1<<bit) != 0 {
				level.Size = l.sizes[at]
			}
			dst = append(dst, level)
		}
		l.dirty[word] = 0
	}
	dst = append(dst, l.far...)
	l.far = l.far[:0]
	return dst
}

// view returns the whole book.
func (w *walk) view() *book.View {
	w.flush()
	return w.book.View()
}

// top fills t with the best n levels of each side, of which there is at least one wanted.
func (w *walk) top(t *Top, n int) {
	t.Epoch, t.Seq = w.book.Epoch(), w.book.Seq()
	if w.behind {
		t.Seq = w.update.Seq
	}
	t.Bids = w.best(t.Bids[:0], model.Bid, n)
	t.Asks = w.best(t.Asks[:0], model.Ask, n)
}

func (w *walk) best(dst []model.Level, s model.Side, n int) []model.Level {
	l := &w.sides[s]
	if w.laid {
		for i := l.best; i < window && len(dst) < n; i = l.next(i + 1) {
			dst = append(dst, model.Level{Price: (l.base + num.Price(i)) * l.sign, Size: l.sizes[i]})
		}
	}
	if len(dst) < n {
		w.flush()
		return w.book.Append(dst[:0], s, n)
	}
	return dst
}
