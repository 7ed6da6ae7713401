package history

import (
	"errors"
	"fmt"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// abandoned is how far a market's last tick may lie behind the newest one before its intervals end: nobody ticks it
// any more, and it must not hold the heartbeat back.
const abandoned = 60 * second

// holding is the state of one kind of record of one market.
type holding struct {
	open  bool
	start model.Micros // of the open interval
	last  model.Micros // the last row in it; with Import also the last tick at which it was held
	row   model.Micros // Import: the last row in it

	gapOpen bool // we have written a gap row without an end
	gapFrom model.Micros
	// lost: rows were dropped since the gap began, so that it ends at the first row kept, whatever is told of it.
	lost     bool
	gapCause model.Cause
	rejoin   model.Micros // start of the interval that the gap ended; 0: none

	lostAt  model.Micros               // Import: where the last hole that was told begins
	written model.Micros               // Import: the end that the store knows
	before  []Interval                 // Import: what was held before the import began, ascending
	ended   []Interval                 // Import: what it has held itself, without the open interval
	resumed Interval                   // Import: the one of before that the open interval carries on; empty: none
	endings map[model.Micros]book.Meta // Import: of intervals of before by their start, the book at their end
}

// heldBefore tells whether any of [from, to] was held before the import began.
func (h *holding) heldBefore(from, to model.Micros) bool {
	for i := range h.before {
		if h.before[i].From <= to && from <= h.before[i].To {
			return true
		}
	}
	return false
}

// startInterval begins a held interval at its first row. A live one has no end until a gap ends it: until then it reaches
// to the heartbeat. An imported one always has one, because its clock is not ours.
func (w *Writer) startInterval(ms *marketState, kind model.Kind, at model.Micros) {
	h := &ms.held[kind]
	h.open, h.start, h.last, h.row, h.written = true, at, at, at, 0
	if !w.o.Import {
		ms.lastTick = max(ms.lastTick, at.Second())
		w.setInterval(ms, kind, at, 0)
	}
	if h.lost {
		h.lost, h.gapOpen, h.rejoin = false, false, 0
		w.setGap(ms, kind, h.gapFrom, record.Gap{To: max(at, h.gapFrom+1), Cause: h.gapCause})
	}
}

// starts tells whether a row begins a held interval: none is open, and no gap whose end is still to be told.
func (h *holding) starts() bool { return !h.open && (!h.gapOpen || h.lost) }

// endInterval ends the open interval of a kind at a moment, for a book at the last row if that is later, and returns it.
func (w *Writer) endInterval(ms *marketState, kind model.Kind, at model.Micros) model.Micros {
	h := &ms.held[kind]
	if !h.open {
		return at
	}
	if kind == model.KindBook {
		w.closeBlock(ms)
		at = max(at, ms.lastRecv)
	}
	at = max(at, h.start, 1)
	switch {
	case !w.o.Import:
		w.setInterval(ms, kind, h.start, at)
	case at < h.written:
		// A commit has taken in ticks that came before it was known that the record had ended.
		end := max(at, h.resumed.To)
		for _, b := range h.before {
			if b.From == h.start {
				end = max(end, b.To)
			}
		}
		w.setInterval(ms, kind, h.start, end)
	default:
		w.extend(ms, kind, at)
	}
	if w.o.Import {
		h.ended = append(h.ended, Interval{From: h.start, To: at})
		h.suspend()
	}
	h.open, h.rejoin = false, h.start
	return at
}

func (w *Writer) setInterval(ms *marketState, kind model.Kind, start, end model.Micros) {
	w.keyBuf = key.Held(w.keyBuf[:0], uint8(kind), ms.id, int64(start))
	w.valBuf = record.AppendInterval(w.valBuf[:0], record.Interval{End: end})
	w.batch.Set(w.keyBuf, w.valBuf)
	w.pendingRows++
}

func (w *Writer) setGap(ms *marketState, kind model.Kind, from model.Micros, g record.Gap) {
	w.keyBuf = key.Gap(w.keyBuf[:0], ms.id, uint8(kind), int64(from))
	w.valBuf = record.AppendGap(w.valBuf[:0], g)
	w.batch.Set(w.keyBuf, w.valBuf)
	w.pendingRows++
}

// applyGap notes a hole: one that opens ends the held interval, one that ends gets its row. A trade record that was
// filled again is one interval as before.
func (w *Writer) applyGap(e *model.Event, g *model.Gap) error {
	if e.Market == model.NoMarket || int(g.Kind) >= kindCount {
		return nil
	}
	ms := w.state(e.Market)
	h := &ms.held[g.Kind]
	if h.lost {
		return nil
	}
	if g.To == 0 {
		h.lostAt = g.From
		opened := *g
		if h.open {
			opened.From = w.endInterval(ms, g.Kind, g.From)
		}
		known, err := w.gapKnown(ms, &opened)
		if err != nil || known {
			return err
		}
		w.openGap(ms, g.Kind, opened)
		return nil
	}
	// A gap that is not open here was known already to an import, or has ended with the first row kept after a loss.
	if !h.gapOpen {
		if w.o.Import && g.Kind == model.KindTrades && !h.open {
			w.startInterval(ms, g.Kind, g.To)
		}
		return nil
	}
	h.gapOpen = false
	// Not before the last row, where the venue's telling and our clock disagree.
	w.setGap(ms, g.Kind, h.gapFrom, record.Gap{To: max(g.To, h.gapFrom+1), Cause: g.Cause, Filled: g.Filled})
	switch {
	case g.Filled && h.rejoin != 0:
		w.rejoin(ms, g.Kind)
	case g.Kind == model.KindTrades && !h.open:
		w.startInterval(ms, g.Kind, g.To)
	}
	return nil
}

// openGap writes the row of a hole that has no end yet, so that a crash does not lose its cause.
func (w *Writer) openGap(ms *marketState, kind model.Kind, g model.Gap) {
	h := &ms.held[kind]
	h.gapOpen, h.gapFrom, h.gapCause = true, g.From, g.Cause
	w.setGap(ms, kind, g.From, record.Gap{Cause: g.Cause})
}

// gapKnown tells, for an import, whether the store knows better about a hole: it was recorded before, or what it lacks
// is held.
func (w *Writer) gapKnown(ms *marketState, g *model.Gap) (bool, error) {
	if !w.o.Import {
		return false, nil
	}
	if ms.held[g.Kind].heldBefore(g.From+1, g.From+1) {
		return true, nil
	}
	known := false
	err := w.store.Get(key.Gap(nil, ms.id, uint8(g.Kind), int64(g.From)), func(v []byte) error {
		old, err := record.DecodeGap(v)
		known = old.To != 0
		return err
	})
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up gap: %w", err)
	}
	return known, nil
}

// rejoin takes back the split that a filled gap had made.
func (w *Writer) rejoin(ms *marketState, kind model.Kind) {
	h := &ms.held[kind]
	if h.open && h.start == h.rejoin {
		return
	}
	if h.open {
		w.keyBuf = key.Held(w.keyBuf[:0], uint8(kind), ms.id, int64(h.start))
		w.batch.Delete(w.keyBuf)
	}
	last, row := h.last, h.row
	w.startInterval(ms, kind, h.rejoin)
	h.last, h.row = max(h.last, last), max(h.row, row)
}

// beat moves the heartbeat to the last second that every market with a held book or held trades has ticked: on a crash,
// open intervals end there, so it must not run ahead of a slower shard. Statistics do not count: a market that is not
// followed sends them too and is never ticked. Imported intervals end by the recording's clock instead.
func (w *Writer) beat() {
	if w.o.Import {
		return
	}
	hb := w.newest
	for _, ms := range w.markets {
		if !ms.held[model.KindBook].open && !ms.held[model.KindTrades].open {
			continue
		}
		if ms.lastTick < w.newest-abandoned {
			w.endInterval(ms, model.KindBook, ms.lastTick)
			w.endInterval(ms, model.KindTrades, ms.lastTick)
			continue
		}
		hb = min(hb, ms.lastTick)
	}
	if hb <= w.heartbeat {
		return
	}
	w.heartbeat = hb
	setMoment(w.batch, metaHeartbeat, hb)
}

// tickImported extends what an import holds by the recording's clock, never over what was held before.
func (w *Writer) tickImported(ms *marketState, hd *market.Held, sec model.Micros) {
	for kind, holds := range [kindCount]bool{model.KindBook: hd.View != nil, model.KindTrades: hd.TradesHeld} {
		h := &ms.held[kind]
		if !h.open || !holds || sec <= h.last {
			continue
		}
		if model.Kind(kind) == model.KindBook && h.heldBefore(h.last, sec) {
			w.endInterval(ms, model.KindBook, h.last)
			continue
		}
		h.last = sec
	}
}

// extendImported writes how far the intervals of an import reach: to their last rows, because a recording may tell later
// that they had ended before a tick. A killed import must not leave as held what it would have taken back.
func (w *Writer) extendImported() {
	for _, ms := range w.markets {
		for kind := range ms.held {
			if h := &ms.held[kind]; h.open {
				w.extend(ms, model.Kind(kind), h.row)
			}
		}
	}
}

// extend writes an imported interval's end unless the store already holds all of it.
func (w *Writer) extend(ms *marketState, kind model.Kind, end model.Micros) {
	h := &ms.held[kind]
	if end <= h.written {
		return
	}
	for _, b := range h.before {
		if b.From <= h.start && end <= b.To {
			return
		}
	}
	h.written = end
	w.setInterval(ms, kind, h.start, end)
}
