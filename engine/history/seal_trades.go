package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// segmentTrades is the most trades of a sealed segment, as far as a millisecond is not torn apart for it. A page of the API
// decodes whole ones: with eight times as many, pages take four times as long and a trade takes a byte in thirty less.
const segmentTrades = 512

// sealTogether is about how many trades are sealed in one batch, where an hour does not have more of its own: it bounds the
// memory of the job, and how long the writer is kept by the commit. A variable for tests only.
var sealTogether = 1 << 15

// errLarge reports that so much would have to be rewritten that the hours of a run are better sealed one by one.
var errLarge = errors.New("too many trades to be sealed together")

// sealTrades merges the hot trades of a run with the day's segments that they lie in, and with the segment before while that
// is short, so that a quiet market's day is few segments.
func (w *Writer) sealTrades(ctx context.Context, run *hourRun, batch *kv.Batch) (int64, error) {
	from := run.hour * hourMillis
	hot, err := key.TradeRange(run.market, key.Hot, from, from+int64(run.hours)*hourMillis)
	if err != nil {
		return 0, err
	}
	var rows []model.Trade
	var want uint64
	gone := cleared{all: hot}
	hour := 0 // of the run, that the row before was of
	for row, err := range w.store.Scan(ctx, hot) {
		if err != nil {
			return 0, fmt.Errorf("scan hot trades: %w", err)
		}
		k, err := key.ParseTrade(row.Key)
		if err != nil {
			return 0, fmt.Errorf("parse key of hot trades: %w", err)
		}
		// A run is cut between hours only: an hour is sealed whole, or left.
		if at := int((k.Time - from) / hourMillis); at != hour {
			if len(rows) >= sealTogether {
				run.hours = at
				if gone.all, err = key.TradeRange(run.market, key.Hot, from, from+int64(at)*hourMillis); err != nil {
					return 0, err
				}
				break
			}
			hour = at
		}
		h, err := record.TradeHeader(row.Value)
		if err == nil {
			want += uint64(h.Trades)
			rows, err = record.DecodeTrades(rows, row.Value, record.All)
		}
		if err != nil {
			return 0, fmt.Errorf("decode hot trades: %w", err)
		}
		gone.add(row.Key)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	first, last := rows[0].Time, rows[0].Time
	for i := range rows {
		first, last = min(first, rows[i].Time), max(last, rows[i].Time)
	}
	most := math.MaxInt
	if run.hours > 1 {
		most = sealTogether
	}
	taken, sealed, err := w.takeSegments(ctx, run.market, int64(first), int64(last), most)
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
	gone.delete(batch)
	writeSegments(batch, run.market, rows)
	return 0, nil
}

type storedSegment struct{ key, value []byte }

// takeSegments returns the segments to be merged with hot trades of first..last, and their rows; errLarge where those are more
// than most.
func (w *Writer) takeSegments(ctx context.Context, mkt uint32, first, last int64, most int) ([]storedSegment, []model.Trade, error) {
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
		if len(rows) > most {
			return nil, nil, errLarge
		}
		if rows, err = record.DecodeTrades(rows, row.Value, record.All); err != nil {
			return nil, nil, fmt.Errorf("decode segment: %w", err)
		}
		if short {
			break
		}
	}
	return taken, rows, nil
}

// writeSegments writes trades, ascending by (time, id), as segments. A segment has one scale and shares no millisecond with
// another, so that what lies behind its last one is never touched by what is sealed before it; trades on another scale in
// its first millisecond become hot again.
func writeSegments(batch *kv.Batch, mkt uint32, rows []model.Trade) {
	var left []model.Trade
	for start := 0; start < len(rows); {
		head := &rows[start]
		end := start + 1
		cut := start // the last place where the segment may end
		for ; end < len(rows) && rows[end].Epoch == head.Epoch; end++ {
			if rows[end].Time != rows[end-1].Time {
				if end-start > segmentTrades {
					break
				}
				cut = end
			}
		}
		torn := end < len(rows) && rows[end].Time == rows[end-1].Time // its last millisecond has another scale too
		if cut > start && (torn || end-start > segmentTrades) {
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
