package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// buildPostings makes the postings of trades that were stored before there were any, the newest day first, beside
// everything else that runs. A day that a crash cut short is done again: what it has is not written twice.
func (w *Writer) buildPostings(ctx context.Context, now time.Time) error {
	var days []uint32
	if err := w.do(ctx, func() error { days = slices.Clone(w.unposted.days); return nil }); err != nil {
		return err
	}
	for _, day := range slices.Backward(days) {
		if err := w.buildDay(ctx, day); err != nil {
			return fmt.Errorf("build postings of day %d: %w", day, err)
		}
		err := w.do(ctx, func() error {
			w.unposted.remove(day)
			return w.commit()
		})
		if err != nil {
			return err
		}
		// Hot postings of every day at once would take many times their room.
		if key.DayStart(day+1) <= now.Add(-settle).UnixMilli() {
			w.jobs.Lock()
			err = w.sealHour(ctx, hourKey{key.Fills, 0, fillsHour(day)})
			w.jobs.Unlock()
			if err != nil {
				return fmt.Errorf("seal postings of day %d: %w", day, err)
			}
		}
	}
	return nil
}

func (w *Writer) buildDay(ctx context.Context, day uint32) error {
	rg, err := key.IndexRange(key.Trades, day, day+1)
	if err != nil {
		return err
	}
	span := Span{From: model.Millis(key.DayStart(day)), To: model.Millis(key.DayStart(day + 1))}
	var chunk []record.Posting
	flush := func() error {
		if len(chunk) == 0 {
			return nil
		}
		err := w.do(ctx, func() error { return w.addPostings(chunk) })
		chunk = chunk[:0]
		return err
	}
	for row, err := range w.store.Scan(ctx, rg) {
		if err != nil {
			return err
		}
		k, err := key.ParseIndexRow(row.Key)
		if err != nil {
			return err
		}
		for t, err := range w.reader.Trades(ctx, model.MarketID(k.Market), span, TradeQuery{Columns: record.Core}) {
			if err != nil {
				return err
			}
			if chunk = appendPostings(chunk, model.MarketID(k.Market), t); len(chunk) >= 2*w.o.MaxRows {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

// addPostings stores postings of which some may be there. A block under the same key may hold others: they stay.
func (w *Writer) addPostings(ps []record.Posting) error {
	ps = sortPostings(ps)
	for len(ps) > 0 {
		n := blockOfPostings(ps)
		block := ps[:n]
		ps = ps[n:]
		if w.keep.dropped(key.Fills, key.Day(int64(block[0].Time))) {
			continue
		}
		var have []record.Posting
		err := w.store.Get(postingKey(nil, key.Hot, &block[0]), func(v []byte) (err error) {
			have, err = record.DecodePostings(nil, v)
			return err
		})
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return fmt.Errorf("read postings: %w", err)
		}
		block = sortPostings(append(have, block...))
		w.setPostings(block)
	}
	w.pendingRows++
	if err := w.commit(); err != nil {
		return err
	}
	if w.losing {
		return fmt.Errorf("store postings: %w", kv.ErrReadOnly)
	}
	return nil
}

// FillsWhole tells whether fills of every stored trade of a span can be found: false while those of a store from before
// there were postings are still being built.
func (r *Reader) FillsWhole(sp Span) (bool, error) {
	var u unposted
	if err := u.load(r.store); err != nil {
		return false, err
	}
	if !u.known { // no writer has seen this store since
		ix, err := key.IndexRange(key.Trades, 0, math.MaxUint32)
		if err != nil {
			return false, err
		}
		err = r.store.Last(ix, func(_, _ []byte) error { return nil })
		if errors.Is(err, kv.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for trades: %w", err)
		}
		return false, nil
	}
	keep, err := r.keep()
	if err != nil {
		return false, err
	}
	for _, day := range u.days {
		start := model.Millis(key.DayStart(day))
		if start < sp.To && start+key.DayMillis > sp.From && !keep.dropped(key.Trades, day) {
			return false, nil
		}
	}
	return true, nil
}
