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
	// kindCount is the number of kinds of record that are followed live; the others only have coverage of what was given.
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
	forgetAt  int                   // how many blocks are remembered before old ones are dropped; 0: maxTradeBlocks
	epoch     uint8                 // the greatest scale epoch that its trades are known to have
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
	if err := w.unposted.load(w.store); err != nil {
		return err
	}
	hb, err := readMoment(w.store, metaHeartbeat)
	if err != nil {
		return err
	}
	w.heartbeat = hb
	rows, err := heldRows(ctx, w.store, hb, nil)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.open && !w.o.Import {
			return errors.New("the last stop was not recovered")
		}
		if int(row.kind) >= kindCount {
			continue
		}
		ms := w.state(model.MarketID(row.market))
		h := &ms.held[row.kind]
		if w.o.Import {
			h.before = append(h.before, row.Interval)
			continue
		}
		// Recover has opened a gap behind the last interval of every record: until its end is told nothing is held.
		h.rejoin, h.gapOpen, h.gapFrom, h.gapCause = row.From, true, max(h.gapFrom, row.To), model.CauseDowntime
		if model.Kind(row.kind) == model.KindBook {
			ms.lastRecv = max(ms.lastRecv, row.To)
		}
	}
	traded := map[uint32]struct{}{}
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
		traded[k.Bucket] = struct{}{}
		ms := w.state(model.MarketID(k.Market))
		ms.lastTrade = max(ms.lastTrade, tradeBlockTime(ix.Last, math.MaxUint8))
	}
	w.unposted.begin(traded)
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
