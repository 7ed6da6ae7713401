package history

import (
	"context"
	"errors"
	"fmt"
	"math"

	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Recovered is what the store says about the time before this start.
type Recovered struct {
	Heartbeat model.Micros // the last committed tick; 0 for a new store
	Markets   []*model.Market
	// Starts tells the registry, per market, the last trade and the holes that a stop or a crash has left open.
	Starts map[model.MarketID]market.Start
}

// Recover closes the intervals that a stop or a crash left open, at the heartbeat or at the last row if that came later,
// and opens a gap after each. It must run before a live writer is made, and changes nothing when it runs again. It works
// on a disk below its minimum of free space too: reads go on there, and must not take an open interval for held.
func Recover(ctx context.Context, store *kv.Store) (Recovered, error) {
	out := Recovered{Starts: map[model.MarketID]market.Start{}}
	var err error
	if out.Heartbeat, err = readMoment(store, metaHeartbeat); err != nil {
		return out, err
	}
	if out.Markets, err = Markets(ctx, store); err != nil {
		return out, err
	}
	if err := lastTrades(ctx, store, out.Starts); err != nil {
		return out, err
	}
	batch := store.NewBatch()
	ends, err := closeIntervals(ctx, store, batch, &out)
	if err != nil {
		return out, err
	}
	for at, end := range ends {
		gap := &model.Gap{Kind: model.Kind(at.kind), From: end, Cause: model.CauseDowntime}
		if err := restoreGap(store, batch, at.market, gap); err != nil {
			return out, err
		}
		s := out.Starts[model.MarketID(at.market)]
		switch gap.Kind {
		case model.KindBook:
			s.BookGap = gap
		case model.KindTrades:
			s.TradeGap = gap
		case model.KindStats:
			s.StatsGap = gap
		}
		out.Starts[model.MarketID(at.market)] = s
	}
	if batch.Len() == 0 {
		return out, nil
	}
	if err := store.CommitReserve(batch, kv.Sync); err != nil {
		return out, fmt.Errorf("commit recovery: %w", err)
	}
	return out, nil
}

// Markets returns every market that the store knows.
func Markets(ctx context.Context, store *kv.Store) ([]*model.Market, error) {
	var out []*model.Market
	for row, err := range store.Scan(ctx, key.All(key.Markets)) {
		if err != nil {
			return nil, fmt.Errorf("scan markets: %w", err)
		}
		m, err := record.DecodeMarket(row.Value)
		if err != nil {
			return nil, fmt.Errorf("decode market: %w", err)
		}
		out = append(out, m)
	}
	return out, nil
}

// lastTrades finds each market's newest trade in the counts of the days.
func lastTrades(ctx context.Context, store *kv.Store, starts map[model.MarketID]market.Start) error {
	r, err := key.IndexRange(key.Trades, 0, math.MaxUint32)
	if err != nil {
		return fmt.Errorf("range of index: %w", err)
	}
	for row, err := range store.Scan(ctx, r) {
		if err != nil {
			return fmt.Errorf("scan index: %w", err)
		}
		k, err := key.ParseIndexRow(row.Key)
		if err != nil {
			return fmt.Errorf("parse index key: %w", err)
		}
		ix, err := record.DecodeIndex(row.Value)
		if err != nil {
			return fmt.Errorf("decode index: %w", err)
		}
		s := starts[model.MarketID(k.Market)]
		s.LastTradeID, s.LastTradeTime = ix.LastID, model.Millis(ix.Last)
		starts[model.MarketID(k.Market)] = s
	}
	return nil
}

// recordOf names a record: one kind of one market.
type recordOf struct {
	kind   uint8
	market uint32
}

// heldRow is a row of the coverage. Of an open one the interval's end is resolved as far as the store tells it.
type heldRow struct {
	recordOf
	Interval
	open bool
	next model.Micros // where the next interval of the record starts; forever: there is none
}

// heldRows returns the coverage of every record, ascending. What a stop or a crash left open ends at the heartbeat, or at
// the last row of the interval if that came later: not at rows of a later interval, which an import may have added since.
func heldRows(ctx context.Context, store *kv.Store, heartbeat model.Micros, starts map[model.MarketID]market.Start) ([]heldRow, error) {
	var out []heldRow
	for row, err := range store.Scan(ctx, key.All(key.Coverage)) {
		if err != nil {
			return nil, fmt.Errorf("scan coverage: %w", err)
		}
		k, iv, err := decodeHeld(row)
		if err != nil {
			return nil, err
		}
		h := heldRow{recordOf: recordOf{k.Kind, k.Market}, open: iv.End == 0, next: forever}
		h.From, h.To = model.Micros(k.Start), iv.End
		if n := len(out); n > 0 && out[n-1].recordOf == h.recordOf {
			out[n-1].next = h.From
		}
		out = append(out, h)
	}
	for i := range out {
		h := &out[i]
		if !h.open {
			continue
		}
		var err error
		if h.To, err = openEnd(store, h.recordOf, h.From, h.next, heartbeat, starts[model.MarketID(h.market)].LastTradeTime); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// openEnd returns where an interval that was left open has ended. lastTrade is the market's, which counts where no later
// interval could have it; 0 where it is unknown.
func openEnd(store *kv.Store, of recordOf, start, next, heartbeat model.Micros, lastTrade model.Millis) (model.Micros, error) {
	end := max(heartbeat, start)
	switch model.Kind(of.kind) {
	case model.KindBook:
		last, err := lastBookRow(store, of.market, int64(start), heartbeat, next)
		if err != nil {
			return 0, err
		}
		return min(max(end, last), next-1), nil
	case model.KindTrades:
		if next == forever {
			end = max(end, lastTrade.Micros())
		}
	}
	return end, nil
}

// closeIntervals ends what is open and returns where the last interval of each record ends.
func closeIntervals(ctx context.Context, store *kv.Store, batch *kv.Batch, out *Recovered) (map[recordOf]model.Micros, error) {
	rows, err := heldRows(ctx, store, out.Heartbeat, out.Starts)
	if err != nil {
		return nil, err
	}
	ends := map[recordOf]model.Micros{}
	for _, h := range rows {
		if h.open {
			batch.Set(key.Held(nil, h.kind, h.market, int64(h.From)), record.AppendInterval(nil, record.Interval{End: h.To}))
			if h.next != forever && h.To < h.next {
				gap := record.Gap{To: h.next, Cause: model.CauseDowntime}
				batch.Set(key.Gap(nil, h.market, h.kind, int64(h.To)), record.AppendGap(nil, gap))
			}
		}
		if int(h.kind) < kindCount { // nothing follows the others live, so nothing can have been missed
			ends[h.recordOf] = max(ends[h.recordOf], h.To)
		}
	}
	return ends, nil
}

// lastBookRow returns the receive time of the last row before limit of an interval that is open since start, 0 where it
// has none.
// Rows are committed at most seconds after the heartbeat, so no day after its next one is searched; a quiet book may have
// had its last row days before.
func lastBookRow(store *kv.Store, mkt uint32, start int64, heartbeat, limit model.Micros) (model.Micros, error) {
	oldest := key.DayOfMicros(start)
	for day := key.DayOfMicros(max(start, int64(heartbeat))) + 1; ; day-- {
		from := key.DayStart(day) * 1000
		var last model.Micros
		for _, form := range []key.Form{key.Hot, key.Sealed} {
			r, err := key.BookRange(mkt, form, from, min(from+key.DayMicros, int64(limit)))
			if errors.Is(err, key.ErrEmptyRange) {
				continue
			}
			if err != nil {
				return 0, fmt.Errorf("range of book blocks: %w", err)
			}
			err = store.Last(r, func(_, v []byte) error {
				h, err := record.BookHeader(v)
				last = max(last, model.Micros(h.Last))
				return err
			})
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return 0, fmt.Errorf("read last book block: %w", err)
			}
		}
		if last != 0 || day == oldest {
			return last, nil
		}
	}
}

// restoreGap takes the cause of a gap that was open at the stop, or writes the row of a new one.
func restoreGap(store *kv.Store, batch *kv.Batch, mkt uint32, g *model.Gap) error {
	k := key.Gap(nil, mkt, uint8(g.Kind), int64(g.From))
	err := store.Get(k, func(v []byte) error {
		old, err := record.DecodeGap(v)
		if err == nil && old.Cause != model.CauseNone {
			g.Cause = old.Cause
		}
		return err
	})
	if errors.Is(err, kv.ErrNotFound) {
		batch.Set(k, record.AppendGap(nil, record.Gap{Cause: g.Cause}))
		return nil
	}
	if err != nil {
		return fmt.Errorf("read gap: %w", err)
	}
	return nil
}
