package history

import (
	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// maxBlockUpdates bounds a block, which is written again with each commit: a second lasts as long as a clock that was set back
// takes to come there again. No true one has nearly as many.
const maxBlockUpdates = 4096

// applyBook appends an update to the market's open second. Every held interval starts with a whole book: where none is
// open, an update that is none itself is stored as the whole book after it.
func (w *Writer) applyBook(e *model.Event, u *model.BookUpdate, v *book.View) error {
	if v == nil || w.losing {
		return nil
	}
	ms := w.state(e.Market)
	h := &ms.held[model.KindBook]
	recv := max(e.Recv, ms.lastRecv)
	w.pinDay(key.DayOfMicros(int64(recv)))
	if w.keep.dropped(key.Books, key.DayOfMicros(int64(recv))) || h.heldBefore(recv, recv) {
		rowsRefused.Inc()
		w.stored.knownUpdates.Add(1)
		w.endInterval(ms, model.KindBook, h.last)
		w.resume(ms, u, recv)
		return nil
	}
	if h.open && h.heldBefore(h.last, recv) {
		w.endInterval(ms, model.KindBook, h.last)
	}
	if w.join(ms, u, recv) {
		return nil
	}
	if !h.open {
		// Strictly after what is there, so that the interval has a first row of its own.
		if recv == ms.lastRecv {
			recv++
		}
		if h.heldBefore(recv, recv) {
			rowsRefused.Inc()
			w.stored.knownUpdates.Add(1)
			return nil
		}
		w.closeBlock(ms)
		w.startInterval(ms, model.KindBook, recv)
		if !u.Snapshot {
			u = wholeBook(v)
		}
	}
	if sec := recv.Second(); !ms.blockOpen || sec > model.Micros(ms.blockTime).Second() || ms.blockEpoch != e.Epoch || ms.block.Updates() == maxBlockUpdates {
		recv = w.openBlock(ms, e.Epoch, recv)
	}
	ms.block.Add(u, e.Time, recv)
	w.stored.updates.Add(1)
	ms.lastRecv = recv
	h.last, h.row = max(h.last, recv), max(h.row, recv)
	w.markBlock(ms)
	return w.count(key.Books, key.DayOfMicros(int64(recv)), ms.id, 1, int64(recv), 0)
}

// wholeBook returns the update that gives a view to someone who has nothing.
func wholeBook(v *book.View) *model.BookUpdate {
	return &model.BookUpdate{
		Snapshot: true, Bids: v.Append(nil, model.Bid, 0), Asks: v.Append(nil, model.Ask, 0),
		Seq: v.Seq, Offset: v.Offset, UpdatedAt: v.UpdatedAt, Chained: v.Chained,
	}
}

// openBlock begins the block of recv's second and returns the receive time of its first row. A block's key holds its full
// second if the interval was held then; otherwise, and for a further block of the same second (a new scale epoch, or one
// whose forerunner is full or was sealed), the time of its first row, which no other block can have.
func (w *Writer) openBlock(ms *marketState, epoch uint8, recv model.Micros) model.Micros {
	w.closeBlock(ms)
	sec := recv.Second()
	if sec > ms.held[model.KindBook].start && sec != ms.lastSecond {
		ms.blockTime = int64(sec)
	} else {
		if recv == ms.lastRecv {
			recv++
		}
		ms.blockTime = int64(recv)
	}
	ms.lastSecond = recv.Second()
	ms.block.Reset(epoch)
	ms.blockEpoch = epoch
	ms.blockOpen = true
	return recv
}

// closeBlock writes the open block for the last time.
func (w *Writer) closeBlock(ms *marketState) {
	if ms.blockDirty {
		w.writeBlock(ms)
	}
	ms.blockOpen = false
}

func (w *Writer) markBlock(ms *marketState) {
	if !ms.blockDirty {
		ms.blockDirty = true
		w.dirtyBooks = append(w.dirtyBooks, ms)
	}
}

func (w *Writer) writeBlock(ms *marketState) {
	ms.blockDirty = false
	w.keyBuf = key.Book(w.keyBuf[:0], ms.id, key.Hot, ms.blockTime)
	w.batch.Set(w.keyBuf, ms.block.Bytes())
	w.touch(key.Books, ms.id, ms.blockTime/hourMicros)
}

// applyTick moves the heartbeat and writes the keyframes that are due.
func (w *Writer) applyTick(sec model.Micros, held []market.Held) error {
	if w.losing {
		return nil
	}
	w.newest = max(w.newest, sec)
	w.ticked = true
	for i := range held {
		hd := &held[i]
		ms := w.markets[hd.Market.ID]
		if ms == nil {
			continue
		}
		ms.lastTick = max(ms.lastTick, sec)
		if w.o.Import {
			w.tickImported(ms, hd, sec)
		}
		h := &ms.held[model.KindBook]
		if !hd.Minute || hd.View == nil || !h.open || sec <= h.start || sec <= ms.lastRecv || h.row <= h.resumed.To || h.heldBefore(sec, sec) {
			continue
		}
		w.writeKeyframe(ms, hd.View, sec)
	}
	return nil
}

func (w *Writer) writeKeyframe(ms *marketState, v *book.View, sec model.Micros) {
	w.keyBuf = key.Keyframe(w.keyBuf[:0], ms.id, int64(sec))
	w.valBuf = record.AppendKeyframe(w.valBuf[:0], v)
	w.batch.Set(w.keyBuf, w.valBuf)
	w.touch(key.Books, ms.id, int64(sec)/hourMicros)
	w.pendingRows++
}
