package history

import (
	"errors"
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// commit writes the group: every changed block, candle and count, in one batch, on disk when it returns. A full disk does
// not end the writer: rows that come until there is room are dropped and told as a gap.
func (w *Writer) commit() error {
	if w.losing {
		if err := w.probe(); err != nil || w.losing {
			return err
		}
	}
	w.collect()
	if err := w.markCandles(); err != nil {
		return fmt.Errorf("commit history: %w", err)
	}
	if w.batch.Len() == 0 {
		w.pendingRows, w.pendingBytes = 0, 0
		return nil
	}
	began := w.o.Now()
	err := w.store.Commit(w.batch, kv.Sync)
	if errors.Is(err, kv.ErrReadOnly) && !w.o.Import { // a recording can be imported again, so an import ends instead
		// The batch is kept and committed first once there is room again.
		w.lose()
		return nil
	}
	if err != nil {
		return fmt.Errorf("commit history: %w", err)
	}
	took := w.o.Now().Sub(began)
	rows := w.pendingRows
	w.batch.Reset()
	w.pendingRows, w.pendingBytes = 0, 0
	commits.Inc()
	commitSeconds.Update(took.Seconds())
	rowsWritten.Add(rows)
	w.forget()
	if w.o.OnCommit != nil {
		w.o.OnCommit(rows, took)
	}
	return nil
}

// collect puts everything that changed since the last commit into the batch.
func (w *Writer) collect() {
	for _, ms := range w.dirtyBooks {
		if ms.blockDirty {
			w.writeBlock(ms)
		}
	}
	w.dirtyBooks = w.dirtyBooks[:0]
	for _, b := range w.dirtyTrades {
		w.writeTrades(b)
	}
	w.dirtyTrades = w.dirtyTrades[:0]
	w.writePostings()
	for _, c := range w.dirtyCandles {
		c.dirty = false
		w.keyBuf = key.Candle(w.keyBuf[:0], c.key.resolution, c.key.market, int64(c.Time))
		w.valBuf = record.AppendCandle(w.valBuf[:0], &c.Candle)
		w.batch.Set(w.keyBuf, w.valBuf)
		w.touchCandle(c.key.market, c.key.resolution, c.key.time)
	}
	w.dirtyCandles = w.dirtyCandles[:0]
	for _, ix := range w.dirtyIndex {
		ix.dirty = false
		w.keyBuf = key.IndexRow(w.keyBuf[:0], ix.key.family, ix.key.bucket, ix.key.market)
		w.valBuf = record.AppendIndex(w.valBuf[:0], ix.Index)
		w.batch.Set(w.keyBuf, w.valBuf)
	}
	w.dirtyIndex = w.dirtyIndex[:0]
	if w.o.Import {
		w.extendImported()
	}
	w.keep.collect(w)
	w.unposted.collect(w)
	if w.ticked {
		w.ticked = false
		w.beat()
	}
}

// forget drops cached rows that are committed and not likely to be needed again.
func (w *Writer) forget() {
	clear(w.fresh)
	const many = 8192
	if len(w.candles) > many {
		clear(w.candles)
		for _, ms := range w.markets {
			clear(ms.candles[:])
		}
	}
	if len(w.index) > many {
		clear(w.index)
	}
}

// lose starts dropping rows: every interval ends at its last row, and what follows is a gap until rows are kept again.
// The batch keeps what was to be written, and these ends.
func (w *Writer) lose() {
	w.losing = true
	w.log.Error("store is read-only, dropping rows")
	for _, ms := range w.markets {
		w.closeBlock(ms)
		for kind := range ms.held {
			h := &ms.held[kind]
			if h.open {
				from := w.endInterval(ms, model.Kind(kind), h.last)
				w.openGap(ms, model.Kind(kind), model.Gap{Kind: model.Kind(kind), From: from, Cause: model.CauseDowntime})
			}
			h.lost = h.gapOpen
		}
	}
}

// probe commits the kept batch as soon as the store takes writes again.
func (w *Writer) probe() error {
	rowsLost.Add(w.pendingRows)
	w.pendingRows, w.pendingBytes = 0, 0
	err := w.store.Commit(w.batch, kv.Sync)
	switch {
	case errors.Is(err, kv.ErrReadOnly):
		w.pendingRows = 1 // keeps the timer going
		return nil
	case err != nil:
		return fmt.Errorf("commit history: %w", err)
	}
	w.batch.Reset()
	w.losing = false
	w.log.Info("store takes writes again")
	return nil
}
