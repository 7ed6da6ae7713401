package history

import (
	"context"
	"fmt"
	"iter"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Heatmaps goes through the stored heatmaps of one market by time: the sums at risk of each computation, about every
// 10 s, and once a minute the whole map. The pointer is valid until the next step; what it points to may be kept.
func (r *Reader) Heatmaps(ctx context.Context, m model.MarketID, sp Span) iter.Seq2[*HeatmapRow, error] {
	return func(yield func(*HeatmapRow, error) bool) {
		keep, err := r.keep()
		if err != nil {
			yield(nil, err)
			return
		}
		from, to, err := r.extent(ctx, key.Heatmaps, max(int64(sp.From), 0), int64(sp.To))
		if err != nil {
			yield(nil, err)
			return
		}
		for from < to {
			if keep.skip(key.Heatmaps, &from, &to, false) {
				continue
			}
			end := min(key.DayStart(key.Day(from)+1), to)
			rg, err := key.HeatmapRange(uint32(m), from, end)
			if err != nil {
				yield(nil, fmt.Errorf("range of heatmaps: %w", err))
				return
			}
			for row, err := range r.store.Scan(ctx, rg) {
				var h HeatmapRow
				if err == nil {
					h, err = decodeHeatmap(row)
				}
				if err != nil {
					yield(nil, fmt.Errorf("read heatmaps: %w", err))
					return
				}
				if !yield(&h, nil) {
					return
				}
			}
			from = end
		}
	}
}

func decodeHeatmap(row kv.KV) (HeatmapRow, error) {
	k, err := key.ParseHeatmap(row.Key)
	if err != nil {
		return HeatmapRow{}, err
	}
	h, err := record.DecodeHeatmap(row.Value)
	h.Market, h.Time = model.MarketID(k.Market), model.Millis(k.Time)
	return h, err
}

// AddHeatmaps queues heatmaps of one computation for the next group commit; the rows must not change any more. It waits
// only while the queue is full, and may be called from any goroutine but a shard's. Where the store is full they are
// dropped, as market data is. It reports false once the writer has ended.
func (w *Writer) AddHeatmaps(rows []model.Heatmap) bool {
	if len(rows) == 0 {
		return true
	}
	bytes := 64 * len(rows)
	for i := range rows {
		if m := rows[i].Map; m != nil {
			bytes += 128 + 56*len(m.Buckets)
		}
	}
	return w.queue.put(item{call: func() { w.applyHeatmaps(rows) }, rows: len(rows), bytes: bytes})
}

// applyHeatmaps runs on the writer goroutine. A row of a market and millisecond that is there is replaced.
func (w *Writer) applyHeatmaps(rows []model.Heatmap) {
	if w.losing {
		return
	}
	for i := range rows {
		h := &rows[i]
		if h.Time < 0 || w.keep.dropped(key.Heatmaps, key.Day(int64(h.Time))) {
			continue
		}
		w.keyBuf = key.Heatmap(w.keyBuf[:0], uint32(h.Market), int64(h.Time))
		w.valBuf = record.AppendHeatmap(w.valBuf[:0], h)
		w.batch.Set(w.keyBuf, w.valBuf)
	}
}

// heatmapHole is the time between two heatmaps of a market from which on some are missing: several computations.
const heatmapHole = 60_000

// HeatmapsCovered tells of heatmaps what Covered tells of a kind of record, from the rows themselves: their intervals are
// not kept.
func (r *Reader) HeatmapsCovered(ctx context.Context, m model.MarketID, sp Span) (start, end model.Millis, complete, held bool, err error) {
	heartbeat, err := r.heartbeat()
	if err != nil {
		return 0, 0, false, false, err
	}
	last := sp.From
	complete = true
	for h, err := range r.Heatmaps(ctx, m, sp) {
		if err != nil {
			return 0, 0, false, false, err
		}
		if !held {
			start, held = h.Time, true
		}
		complete = complete && h.Time-last <= heatmapHole
		last = h.Time
	}
	if !held {
		return 0, 0, false, false, nil
	}
	return start, last, complete && min(sp.To, heartbeat.Millis())-last <= heatmapHole, true, nil
}
