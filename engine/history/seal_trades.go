package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// segmentTrades is the most trades of a sealed segment, as far as a millisecond is not torn apart for it. A page of the API
// decodes whole ones: with eight times as many, pages take four times as long and a trade takes a byte in thirty less.
const segmentTrades = 512

// sealTrades merges the hot trades of a market-hour with the day's segments that they lie in, and with the segment before
// while that is short, so that a quiet market's day is few segments.
func (w *Writer) sealTrades(ctx context.Context, k hourKey, batch *kv.Batch) (int64, error) {
	from := k.hour * hourMillis
	hot, err := key.TradeRange(k.market, key.Hot, from, from+hourMillis)
	if err != nil {
		return 0, err
	}
	var rows []model.Trade
	var want uint64
	for row, err := range w.store.Scan(ctx, hot) {
		if err != nil {
			return 0, fmt.Errorf("scan hot trades: %w", err)
		}
		h, err := record.TradeHeader(row.Value)
		if err == nil {
			want += uint64(h.Trades)
			rows, err = record.DecodeTrades(rows, row.Value, record.All)
		}
		if err != nil {
			return 0, fmt.Errorf("decode hot trades: %w", err)
		}
	}
	if len(rows) == 0 {
		return 0, nil
	}
	first, last := rows[0].Time, rows[0].Time
	for i := range rows {
		first, last = min(first, rows[i].Time), max(last, rows[i].Time)
	}
	taken, sealed, err := w.takeSegments(ctx, k.market, int64(first), int64(last))
	if err != nil {
		return 0, err
	}
	for _, s := range taken {
		h, err := record.TradeHeader(s.value)
		if err == nil {
			want += uint64(h.Trades)
		}
		batch.Delete(s.key)
	}
	rows = append(rows, sealed...)
	slices.SortFunc(rows, byTimeAndID)
	if uint64(len(rows)) != want {
		return 0, fmt.Errorf("blocks claim %d trades and hold %d: %w", want, len(rows), record.ErrCorrupt)
	}
	batch.DeleteRange(hot)
	writeSegments(batch, k.market, rows)
	return 0, nil
}

type storedSegment struct{ key, value []byte }

// takeSegments returns the segments to be merged with hot trades of first..last, and their rows.
func (w *Writer) takeSegments(ctx context.Context, mkt uint32, first, last int64) ([]storedSegment, []model.Trade, error) {
	dayStart := key.DayStart(key.Day(first))
	rg, err := key.TradeRange(mkt, key.Sealed, dayStart, last+1)
	if err != nil {
		return nil, nil, err
	}
	var taken []storedSegment
	var rows []model.Trade
	for row, err := range w.store.ScanReverse(ctx, rg) {
		if err != nil {
			return nil, nil, fmt.Errorf("scan segments: %w", err)
		}
		h, err := record.TradeHeader(row.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("read segment: %w", err)
		}
		short := h.Last < first && h.Trades < segmentTrades
		if h.Last < first && !short {
			break
		}
		taken = append(taken, storedSegment{slices.Clone(row.Key), slices.Clone(row.Value)})
		if rows, err = record.DecodeTrades(rows, row.Value, record.All); err != nil {
			return nil, nil, fmt.Errorf("decode segment: %w", err)
		}
		if short {
			break
		}
	}
	return taken, rows, nil
}

// writeSegments writes trades, ascending by (time, id), as segments. A segment has one scale and a first millisecond of
// its own; trades on another scale in that very millisecond become hot again.
func writeSegments(batch *kv.Batch, mkt uint32, rows []model.Trade) {
	var left []model.Trade
	for start := 0; start < len(rows); {
		head := &rows[start]
		end := start + 1
		cut := end // the last place where the segment may end
		for ; end < len(rows) && rows[end].Epoch == head.Epoch; end++ {
			if rows[end].Time != rows[end-1].Time {
				if end-start > segmentTrades {
					break
				}
				cut = end
			}
		}
		if end-start > segmentTrades && cut > start+1 {
			end = cut
		}
		batch.Set(key.Trade(nil, mkt, key.Sealed, int64(head.Time)), record.AppendTradeSegment(nil, head.Epoch, rows[start:end]))
		for start = end; start < len(rows) && rows[start].Time == head.Time; start++ {
			left = append(left, rows[start])
		}
	}
	blocks := map[int64][]model.Trade{}
	for _, t := range left {
		at := tradeBlockTime(int64(t.Time), t.Epoch)
		blocks[at] = append(blocks[at], t)
	}
	for at, block := range blocks {
		slices.SortFunc(block, func(a, b model.Trade) int { return cmp.Compare(a.ID, b.ID) })
		batch.Set(key.Trade(nil, mkt, key.Hot, at), record.AppendTradeBlock(nil, block[0].Epoch, block))
	}
}
