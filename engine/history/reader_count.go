package history

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// CountTrades returns the number of trades in a span: from the counts of whole days, else from the heads of the blocks, of
// which only those at the span's edges are decoded. exact is always true: no span takes more than that.
func (r *Reader) CountTrades(ctx context.Context, m model.MarketID, sp Span) (n uint64, exact bool, err error) {
	keep, err := r.keep()
	if err != nil {
		return 0, false, err
	}
	from, to, err := r.extent(ctx, key.Trades, max(int64(sp.From), 0), int64(sp.To))
	if err != nil {
		return 0, false, err
	}
	for from < to {
		if keep.skip(key.Trades, &from, &to, false) {
			continue
		}
		day := key.Day(from)
		end := min(to, key.DayStart(day+1))
		ix, err := r.index(key.Trades, day, m)
		if err != nil {
			return 0, false, err
		}
		switch {
		case ix.Rows == 0 || ix.Last < from || ix.First >= end:
		case from <= ix.First && ix.Last < end:
			n += ix.Rows
		default:
			part, err := r.countBlocks(ctx, uint32(m), from, end, r.segmentsOf)
			if err != nil {
				return 0, false, fmt.Errorf("count trades: %w", err)
			}
			n += part
		}
		from = end
	}
	return n, true, nil
}

// countStored counts the trades of from <= time < to that the store has, whatever retention says of their days. What was
// dropped is in no count of sealings, so that remembered heads would not do.
func (r *Reader) countStored(ctx context.Context, mkt uint32, from, to int64) (n uint64, err error) {
	for from < to {
		end := min(to, key.DayStart(key.Day(from)+1))
		part, err := r.countBlocks(ctx, mkt, from, end, r.readHeads)
		if err != nil {
			return 0, err
		}
		n += part
		from = end
	}
	return n, nil
}

// countBlocks counts the trades of from <= time < to, within one day: hot blocks by their heads, segments by what heads
// tells of them, and of both only the times where one lies across an end.
func (r *Reader) countBlocks(ctx context.Context, mkt uint32, from, to int64, heads headsFunc) (uint64, error) {
	for {
		before, err := r.sealing()
		if err != nil {
			return 0, err
		}
		n, err := r.countHot(ctx, mkt, from, to)
		if err != nil {
			return 0, err
		}
		sealed, err := heads(ctx, mkt, key.Day(from), before)
		if err != nil {
			return 0, err
		}
		for i := range sealed {
			if times, ok := r.timesOf(mkt, sealed[i], from, to); ok {
				n += uint64(times.before(to) - times.before(from))
				continue
			}
			part, err := sealed[i].count(from, to, func(count func(v []byte) error) error {
				return r.store.Get(key.Trade(nil, mkt, key.Sealed, sealed[i].first), count)
			})
			if err != nil && !errors.Is(err, kv.ErrNotFound) { // retention took it since its head was read
				return 0, err
			}
			n += part
		}
		after, err := r.sealing()
		if err != nil {
			return 0, err
		}
		if before == after {
			return n, nil
		}
	}
}

// timesOf returns the times of a segment that lies across an end of from <= time < to, where they are ready or become so.
func (r *Reader) timesOf(mkt uint32, s segmentHead, from, to int64) (segmentTimes, bool) {
	if r.ready == nil || s.sum == 0 || s.last < from || s.first >= to || from <= s.first && s.last < to {
		return segmentTimes{}, false
	}
	k := readyKey{kind: readyTimes, market: mkt, at: s.first, sum: s.sum}
	if times, ok := r.ready.get(k).(segmentTimes); ok {
		return times, true
	}
	var times segmentTimes
	err := r.store.Get(key.Trade(nil, mkt, key.Sealed, s.first), func(v []byte) (err error) {
		buf := countedTimes.Get().(*[]model.Millis)
		defer countedTimes.Put(buf)
		if *buf, err = record.DecodeTimes((*buf)[:0], v); err == nil && maphash.Bytes(segmentSeed, v) != s.sum {
			err = kv.ErrNotFound
		}
		times = timesOf(len(*buf), func(i int) model.Millis { return (*buf)[i] })
		return err
	})
	if err != nil {
		return segmentTimes{}, false // whoever asks reads it in the long way, and meets the fault there
	}
	r.ready.put(k, times, int64(4*len(times.since)))
	return times, true
}

// countHot counts the trades of from <= time < to in hot blocks.
func (r *Reader) countHot(ctx context.Context, mkt uint32, from, to int64) (n uint64, err error) {
	rg, err := hotTrades(mkt, from, to)
	if err != nil {
		return 0, err
	}
	for row, err := range r.store.Scan(ctx, rg) {
		if err != nil {
			return 0, err
		}
		h, err := record.TradeHeader(row.Value)
		if err != nil {
			return 0, err
		}
		head := segmentHead{first: h.First, last: h.Last, trades: h.Trades}
		part, err := head.count(from, to, func(count func(v []byte) error) error { return count(row.Value) })
		if err != nil {
			return 0, err
		}
		n += part
	}
	return n, nil
}

// countedTimes is the memory that times are decoded into.
var countedTimes = sync.Pool{New: func() any { return new([]model.Millis) }}

// count returns how many trades of a block or segment have from <= time < to; value is asked for its bytes where the head
// does not tell.
func (h *segmentHead) count(from, to int64, value func(func(v []byte) error) error) (n uint64, err error) {
	switch {
	case h.last < from || h.first >= to:
		return 0, nil
	case from <= h.first && h.last < to:
		return uint64(h.trades), nil
	}
	err = value(func(v []byte) (err error) {
		times := countedTimes.Get().(*[]model.Millis)
		defer countedTimes.Put(times)
		*times, err = record.DecodeTimes((*times)[:0], v)
		for _, t := range *times {
			if int64(t) >= from && int64(t) < to {
				n++
			}
		}
		return err
	})
	return n, err
}
