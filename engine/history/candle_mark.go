package history

import (
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// pieceMillis is the length of a piece of 1-minute candles: what a reader keeps ready at once. Spans of keys are whole pieces.
const pieceMillis = 256 * 60_000

func pieceOf(t int64) uint32 { return uint32(max(t, 0) / pieceMillis) }

// candleMark lets readers keep 1-minute candles of the past: the newest piece that the writer has written to, and a count of
// the commits that wrote to a piece before that one or wrote given candles. While the count stays, no candle of a piece
// before the newest one has changed. It is a meta row of each market, in the batch of the candles it speaks of.
type candleMark struct {
	changes uint64
	newest  uint32
}

// markBits is how much of a mark's number the piece takes: enough for eight thousand years.
const markBits = 24

const marks = "candles/"

func markName(mkt uint32) string { return fmt.Sprintf("%s%d", marks, mkt) }

func readMark(s *kv.Store, mkt uint32) (candleMark, error) {
	v, err := readMoment(s, markName(mkt))
	return candleMark{changes: uint64(v) >> markBits, newest: uint32(v & (1<<markBits - 1))}, err
}

func (c candleMark) put(b *kv.Batch, mkt uint32) {
	setMoment(b, markName(mkt), model.Micros(c.changes<<markBits|uint64(c.newest)))
}

// touchedCandles is what the pending batch does to a market's 1-minute candles.
type touchedCandles struct {
	any    bool
	given  bool
	oldest uint32 // pieces that own candles are written to
	newest uint32
}

// touchCandle notes that a candle is written.
func (w *Writer) touchCandle(mkt uint32, res key.Resolution, at int64) {
	if res != key.Minute && res != key.GivenMinute {
		return
	}
	t := w.touched[mkt]
	if res == key.GivenMinute {
		t.given = true
	} else {
		piece := pieceOf(at)
		if !t.any {
			t.oldest = piece
		}
		t.any, t.oldest, t.newest = true, min(t.oldest, piece), max(t.newest, piece)
	}
	w.touched[mkt] = t
}

// markCandles puts the marks of what was touched into the batch.
func (w *Writer) markCandles() error {
	for mkt, t := range w.touched {
		mark, known := w.marks[mkt]
		if !known {
			var err error
			if mark, err = readMark(w.store, mkt); err != nil {
				return err
			}
		}
		before := mark
		if t.given || t.any && t.oldest < mark.newest {
			mark.changes++
		}
		mark.newest = max(mark.newest, t.newest)
		if mark != before {
			mark.put(w.batch, mkt)
		}
		w.marks[mkt] = mark
	}
	clear(w.touched)
	return nil
}
