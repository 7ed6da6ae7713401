package history

import (
	"context"
	"slices"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// A recording that goes on where another one, or an import that was killed, has ended gives one interval. What proves it is
// the venue's own count of the changes of a book.

// joinWithin is how far the whole book that begins a file may lie behind the last tick of the file before.
const joinWithin = second

// resume goes on with the interval that ends with a row which is known: what follows it in the recording follows it there.
func (w *Writer) resume(ms *marketState, u *model.BookUpdate, recv model.Micros) {
	h := &ms.held[model.KindBook]
	i := h.beforeAt(recv)
	if i < 0 || h.before[i].To < recv {
		return
	}
	last := w.endOf(ms, h.before[i])
	if last.Seq == u.Seq && (last.Recv == recv || last.Recv < recv && last.Chained && u.Chained) {
		w.carryOn(ms, i, last, recv)
	}
}

// join goes on with the interval before a whole book that is the one which that interval has ended with: it tells nothing new
// but that nothing has changed in between.
func (w *Writer) join(ms *marketState, u *model.BookUpdate, recv model.Micros) bool {
	h := &ms.held[model.KindBook]
	if h.open || h.gapOpen || !w.o.Import || !u.Snapshot || !u.Chained || u.Seq == 0 {
		return false
	}
	i := h.beforeAt(recv)
	if i < 0 || recv-h.before[i].To > joinWithin {
		return false
	}
	last := w.endOf(ms, h.before[i])
	if last.Seq != u.Seq || !last.Chained || h.lostAt >= last.Recv {
		return false
	}
	w.carryOn(ms, i, last, recv)
	h.last, h.row = recv, recv
	w.stored.knownUpdates.Add(1)
	return true
}

// beforeAt returns the index of the last interval of before that begins at or before a moment, -1 for none.
func (h *holding) beforeAt(t model.Micros) int {
	i := len(h.before) - 1
	for i >= 0 && h.before[i].From > t {
		i--
	}
	return i
}

// endOf returns what is known of the book at the end of an interval of before; what cannot be read proves nothing.
func (w *Writer) endOf(ms *marketState, iv Interval) (last book.Meta) {
	h := &ms.held[model.KindBook]
	if m, ok := h.endings[iv.From]; ok {
		return m
	}
	// The row that begins an interval is part of its book from the next microsecond on.
	v, _, err := w.reader.bookIn(context.Background(), iv, model.MarketID(ms.id), iv.To+1)
	if err != nil {
		w.log.Warn("the book that an interval ends with cannot be read", "market", ms.id, "to", iv.To, "error", err)
	} else {
		last = v.Meta
	}
	if h.endings == nil {
		h.endings = map[model.Micros]book.Meta{}
	}
	h.endings[iv.From] = last
	return last
}

// carryOn opens an interval of before again for rows that are not received before recv.
func (w *Writer) carryOn(ms *marketState, i int, last book.Meta, recv model.Micros) {
	h := &ms.held[model.KindBook]
	iv := h.before[i]
	h.before = slices.Delete(h.before, i, i+1)
	h.open, h.start, h.last, h.row, h.written, h.resumed = true, iv.From, iv.To, iv.To, iv.To, iv
	ms.lastRecv = max(ms.lastRecv, last.Recv, recv)
	ms.lastSecond = (last.Recv + 1).Second() // it has a block; a row may lie a microsecond behind the time in its frame
}

// suspend puts the interval that was carried on back to those that were held before.
func (h *holding) suspend() {
	if h.resumed.To == 0 {
		return
	}
	i := h.beforeAt(h.resumed.From) + 1
	h.before = slices.Insert(h.before, i, h.resumed)
	h.resumed = Interval{}
}
