package history

import (
	"context"
	"errors"
	"fmt"
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

const (
	hourMillis = 3_600_000
	hourMicros = hourMillis * 1000
	second     = model.Micros(1e6)
	// kindCount is the number of kinds of record that have coverage.
	kindCount = int(model.KindStats) + 1
	forever   = model.Micros(math.MaxInt64)
)

// marketState is what the writer remembers of a market.
type marketState struct {
	id uint32

	// block is the open second of the book record.
	block      record.BookBlock
	blockOpen  bool
	blockDirty bool
	blockTime  int64 // of its key
	blockEpoch uint8
	lastSecond model.Micros // the second that the last block was for
	lastRecv   model.Micros // of the last book row, never falling

	held     [kindCount]holding
	lastTick model.Micros

	trades    map[int64]*tradeBlock // recent hot blocks by the time in their key
	lastTrade int64                 // the greatest hot block time that may be in the store
	sealed    sealedIDs
	candles   [len(key.Resolutions)]*candleState

	lastStats model.Millis // the ten seconds of the last statistics row; 0: unknown
}

type hourKey struct {
	family key.Family
	market uint32
	hour   int64 // hours since the epoch
}

// load reads from the store what a writer must know: up to where each record was held and which trades it has.
func (w *Writer) load(ctx context.Context) error {
	if err := w.keep.load(w.store); err != nil {
		return err
	}
	hb, err := readMoment(w.store, metaHeartbeat)
	if err != nil {
		return err
	}
	w.heartbeat = hb
	for row, err := range w.store.Scan(ctx, key.All(key.Coverage)) {
		if err != nil {
			return fmt.Errorf("scan coverage: %w", err)
		}
		k, iv, err := decodeHeld(row)
		if err != nil {
			return err
		}
		if iv.End == 0 && !w.o.Import {
			return errors.New("the last stop was not recovered")
		}
		if int(k.Kind) >= kindCount {
			continue
		}
		ms := w.state(model.MarketID(k.Market))
		h := &ms.held[k.Kind]
		end := iv.End
		if end == 0 {
			end = max(hb, model.Micros(k.Start))
		}
		if w.o.Import {
			h.before = append(h.before, Interval{From: model.Micros(k.Start), To: end})
			continue
		}
		h.rejoin = model.Micros(k.Start)
		if model.Kind(k.Kind) == model.KindBook {
			ms.lastRecv = max(ms.lastRecv, end)
		}
	}
	for row, err := range w.store.Scan(ctx, key.All(key.Index)) {
		if err != nil {
			return fmt.Errorf("scan index: %w", err)
		}
		k, err := key.ParseIndexRow(row.Key)
		if err != nil {
			return fmt.Errorf("parse index key: %w", err)
		}
		if k.Family != key.Trades {
			continue
		}
		ix, err := record.DecodeIndex(row.Value)
		if err != nil {
			return fmt.Errorf("decode index: %w", err)
		}
		ms := w.state(model.MarketID(k.Market))
		ms.lastTrade = max(ms.lastTrade, tradeBlockTime(ix.Last, math.MaxUint8))
	}
	return nil
}

func (w *Writer) state(id model.MarketID) *marketState {
	ms := w.markets[id]
	if ms == nil {
		ms = &marketState{id: uint32(id), trades: map[int64]*tradeBlock{}, lastTrade: math.MinInt64}
		w.markets[id] = ms
	}
	return ms
}

func decodeHeld(row kv.KV) (key.HeldKey, record.Interval, error) {
	k, err := key.ParseHeld(row.Key)
	if err != nil {
		return k, record.Interval{}, fmt.Errorf("parse coverage key: %w", err)
	}
	iv, err := record.DecodeInterval(row.Value)
	if err != nil {
		return k, iv, fmt.Errorf("decode coverage: %w", err)
	}
	return k, iv, nil
}

// touch notes that a market-hour has rows that are not sealed.
func (w *Writer) touch(f key.Family, mkt uint32, hour int64) {
	w.unsealed[hourKey{f, mkt, hour}]++
}
