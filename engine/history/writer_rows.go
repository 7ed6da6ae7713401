package history

import (
	"errors"
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// statsEvery is the time between two stored statistics rows of a market.
const statsEvery = 10_000

// applyStats stores the first statistics row of each ten seconds of the receive clock.
func (w *Writer) applyStats(e *model.Event, s *model.Stats) error {
	ms := w.state(e.Market)
	at := e.Recv.Millis()
	w.pinDay(key.Day(int64(at)))
	if at < 0 || w.keep.dropped(key.Stats, key.Day(int64(at))) {
		return nil
	}
	h := &ms.held[model.KindStats]
	if h.starts() {
		w.startInterval(ms, model.KindStats, e.Recv)
	}
	h.last, h.row = max(h.last, e.Recv), max(h.row, e.Recv)
	bucket := at - at%statsEvery
	if bucket == ms.lastStats || !w.o.Import && bucket < ms.lastStats {
		return nil
	}
	if w.o.Import || ms.lastStats == 0 {
		known, err := w.statsKnown(ms.id, bucket)
		if err != nil {
			return err
		}
		if known {
			ms.lastStats = bucket
			return nil
		}
	}
	ms.lastStats = bucket
	w.keyBuf = key.Stat(w.keyBuf[:0], ms.id, int64(at))
	w.valBuf = record.AppendStats(w.valBuf[:0], e.Epoch, s)
	w.batch.Set(w.keyBuf, w.valBuf)
	return nil
}

// statsKnown tells whether the store has a row in the ten seconds that begin at bucket.
func (w *Writer) statsKnown(mkt uint32, bucket model.Millis) (bool, error) {
	r, err := key.StatRange(mkt, int64(bucket), int64(bucket)+statsEvery)
	if err != nil {
		return false, fmt.Errorf("range of statistics: %w", err)
	}
	err = w.store.Last(r, func(_, _ []byte) error { return nil })
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up statistics: %w", err)
	}
	return true, nil
}

// applyFunding stores a settled funding row once; what is stored stays.
func (w *Writer) applyFunding(e *model.Event, f *model.Funding) error {
	bucket := key.Span(int64(f.Time))
	if f.Time < 0 || w.keep.dropped(key.Funding, bucket) {
		return nil
	}
	ms := w.state(e.Market)
	k := key.FundingRow(nil, ms.id, int64(f.Time))
	err := w.store.Get(k, func([]byte) error { return nil })
	if err == nil {
		return nil
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("look up funding: %w", err)
	}
	// The row may wait in this very group; then it is written twice, and must be counted once.
	if w.fresh[string(k)] {
		return nil
	}
	w.fresh[string(k)] = true
	w.pinDay(key.Day(int64(f.Time)))
	w.valBuf = record.AppendFunding(w.valBuf[:0], e.Epoch, f)
	w.batch.Set(k, w.valBuf)
	return w.count(key.Funding, bucket, ms.id, 1, int64(f.Time), 0)
}

// SaveMarkets makes the metadata of markets durable: the registry's Save. It may be called from any goroutine.
func SaveMarkets(store *kv.Store, ms []*model.Market) error {
	b := store.NewBatch()
	for _, m := range ms {
		b.Set(key.Market(nil, uint32(m.ID)), record.AppendMarket(nil, m))
	}
	if err := store.Commit(b, kv.Sync); err != nil {
		return fmt.Errorf("save markets: %w", err)
	}
	return nil
}
