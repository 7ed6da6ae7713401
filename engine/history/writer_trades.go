package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// tradeBlock is a hot block in memory: the trades of one market-second and scale epoch, ascending by id.
type tradeBlock struct {
	market *marketState
	time   int64 // of its key
	rows   []model.Trade
	dirty  bool
	// late: the store had trades of this time or later when the block was opened, or the second has got another block since,
	// so a trade may be in a sealed segment or in that block.
	late bool
}

// tradeBlockTime returns the time in the key of the hot block of a trade. It is the full second plus the epoch, so that
// the trades of one second on two scales, which no block can mix, have two blocks.
func tradeBlockTime(ms int64, epoch uint8) int64 { return ms - ms%1000 + int64(epoch) }

// maxTradeBlocks bounds the hot blocks remembered per market: late trades come close together.
const maxTradeBlocks = 64

// applyTrades merges a batch: a trade that the store has is not counted again and the stored row stays.
func (w *Writer) applyTrades(e *model.Event, b *model.TradeBatch) error {
	ms := w.state(e.Market)
	if h := &ms.held[model.KindTrades]; h.starts() && !b.REST {
		at := e.Recv
		switch n := len(b.Rows); {
		case n > 0 && h.lost:
			// The shard does not tell again what was lost, so nothing before this batch is sure to be whole.
			at = b.Rows[n-1].Time.Micros()
		case n > 0:
			at = market.WholeFrom(b).Micros()
		}
		w.startInterval(ms, model.KindTrades, at)
	}
	for i := range b.Rows {
		if err := w.addTrade(ms, &b.Rows[i]); err != nil {
			return fmt.Errorf("store trade %d of market %d: %w", b.Rows[i].ID, e.Market, err)
		}
	}
	return nil
}

func (w *Writer) addTrade(ms *marketState, t *model.Trade) error {
	day := key.Day(int64(t.Time))
	w.pinDay(day)
	if t.Time < 0 || w.keep.dropped(key.Trades, day) {
		rowsRefused.Inc()
		w.stored.knownTrades.Add(1)
		return nil
	}
	block, err := w.tradeBlock(ms, tradeBlockTime(int64(t.Time), t.Epoch))
	if err != nil {
		return err
	}
	at := len(block.rows)
	if at > 0 && block.rows[at-1].ID >= t.ID {
		var known bool
		if at, known = findTrade(block.rows, t.ID); known {
			w.stored.knownTrades.Add(1)
			return nil
		}
	}
	if block.late {
		known, err := w.storedElsewhere(ms, t)
		if err != nil {
			return err
		}
		if known {
			w.stored.knownTrades.Add(1)
			return nil
		}
	}
	w.stored.trades.Add(1)
	block.rows = slices.Insert(block.rows, at, *t)
	if !block.dirty {
		block.dirty = true
		ms.trades[block.time] = block // it may have been forgotten for other blocks of its second
		w.dirtyTrades = append(w.dirtyTrades, block)
	}
	h := &ms.held[model.KindTrades]
	h.last, h.row = max(h.last, t.Time.Micros()), max(h.row, t.Time.Micros())
	if err := w.count(key.Trades, day, ms.id, 1, int64(t.Time), t.ID); err != nil {
		return err
	}
	if t.Kind == model.KindLiquidation || t.Kind == model.KindDeleverage {
		w.keyBuf = key.Liquidation(w.keyBuf[:0], int64(t.Time), ms.id, t.ID)
		w.valBuf = record.AppendTradeBlock(w.valBuf[:0], t.Epoch, block.rows[at:at+1])
		w.batch.Set(w.keyBuf, w.valBuf)
		if err := w.count(key.Liquidations, day, ms.id, 1, int64(t.Time), t.ID); err != nil {
			return err
		}
	}
	w.post(ms.id, t)
	if err := w.addToCandles(ms, t); err != nil {
		return err
	}
	if w.o.OnTrade != nil {
		w.o.OnTrade(model.MarketID(ms.id), t)
	}
	return nil
}

// findTrade returns where a trade is, or belongs, in rows that ascend by id.
func findTrade(rows []model.Trade, id uint64) (int, bool) {
	return slices.BinarySearchFunc(rows, id, func(row model.Trade, id uint64) int { return cmp.Compare(row.ID, id) })
}

// tradeBlock returns the hot block with the given key time. Live trades only ever extend the newest block, which needs no
// read; an older one is read from the store.
func (w *Writer) tradeBlock(ms *marketState, at int64) (*tradeBlock, error) {
	if b := ms.trades[at]; b != nil {
		return b, nil
	}
	b := &tradeBlock{market: ms, time: at}
	if at-at%1000 <= ms.lastTrade { // a second may have several blocks, of different scales
		b.late = true
		for epoch := range w.scales(ms, uint8(at%1000)) {
			if sibling := ms.trades[tradeBlockTime(at-at%1000, uint8(epoch))]; sibling != nil {
				sibling.late = true
			}
		}
		w.keyBuf = key.Trade(w.keyBuf[:0], ms.id, key.Hot, at)
		err := w.store.Get(w.keyBuf, func(v []byte) (err error) {
			b.rows, err = record.DecodeTrades(nil, v, record.All)
			return err
		})
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return nil, fmt.Errorf("read trade block: %w", err)
		}
	}
	ms.lastTrade = max(ms.lastTrade, at)
	if len(ms.trades) >= max(maxTradeBlocks, ms.forgetAt) {
		w.forgetTrades(ms)
		// Blocks that wait for a commit stay: looking for others again only pays off once there are twice as many.
		ms.forgetAt = 2 * len(ms.trades)
	}
	ms.trades[at] = b
	return b, nil
}

// forgetTrades drops the older half of a market's remembered blocks, except those that wait for a commit.
func (w *Writer) forgetTrades(ms *marketState) {
	times := make([]int64, 0, len(ms.trades))
	for at := range ms.trades {
		times = append(times, at)
	}
	slices.Sort(times)
	for _, at := range times[:len(times)/2] {
		if !ms.trades[at].dirty {
			delete(ms.trades, at)
		}
	}
}

func (w *Writer) writeTrades(b *tradeBlock) {
	b.dirty = false
	w.keyBuf = key.Trade(w.keyBuf[:0], b.market.id, key.Hot, b.time)
	w.valBuf = record.AppendTradeBlock(w.valBuf[:0], b.rows[0].Epoch, b.rows)
	w.batch.Set(w.keyBuf, w.valBuf)
	w.touch(key.Trades, b.market.id, b.time/hourMillis)
}

// scales returns how many scale epochs trades of a market may have, one of the given epoch among them.
func (w *Writer) scales(ms *marketState, epoch uint8) int {
	ms.epoch = max(ms.epoch, epoch)
	if known, ok := w.o.Markets(model.MarketID(ms.id)); ok {
		ms.epoch = max(ms.epoch, known.Epoch)
	}
	return int(ms.epoch) + 1
}

// storedElsewhere tells whether a trade lies in a sealed segment, or in the hot block of its second on another scale: it may
// be told again on the scale of then or of now, whichever the store has it on.
func (w *Writer) storedElsewhere(ms *marketState, t *model.Trade) (bool, error) {
	for i := range w.scales(ms, t.Epoch) {
		epoch := uint8(i)
		if epoch == t.Epoch {
			continue
		}
		b, err := w.tradeBlock(ms, tradeBlockTime(int64(t.Time), epoch))
		if err != nil {
			return false, err
		}
		if _, known := findTrade(b.rows, t.ID); known {
			return true, nil
		}
		if len(b.rows) == 0 && !b.dirty {
			delete(ms.trades, b.time)
		}
	}
	return ms.sealed.has(w.store, ms.id, t)
}

// sealedIDs remembers the ids of the sealed segment that was looked into last.
type sealedIDs struct {
	start, last int64 // of the segment; start 0: none
	ids         map[uint64]struct{}
	rows        []model.Trade
}

// has tells whether a sealed segment holds the trade. Segments of a day do not overlap; of those sealed by older versions
// one may end in the millisecond in which the next begins. So the search goes back from the last segment that starts at or
// before the trade until one ends before it, and what the segment in memory lacks is only sure to be missing between its
// first and its last millisecond.
func (s *sealedIDs) has(store *kv.Store, mkt uint32, t *model.Trade) (bool, error) {
	at := int64(t.Time)
	if s.start != 0 && s.start <= at && at <= s.last {
		if _, ok := s.ids[t.ID]; ok || s.start < at && at < s.last {
			return ok, nil
		}
	}
	end := at + 1
	for dayStart := key.DayStart(key.Day(at)); end > dayStart; {
		r, err := key.TradeRange(mkt, key.Sealed, dayStart, end)
		if err != nil {
			return false, fmt.Errorf("range of sealed trades: %w", err)
		}
		covers := false
		err = store.Last(r, func(k, v []byte) error {
			parsed, err := key.ParseTrade(k)
			if err != nil {
				return err
			}
			h, err := record.TradeHeader(v)
			if err != nil {
				return err
			}
			if covers = h.Last >= at; covers {
				end = parsed.Time
				return s.fill(parsed.Time, h.Last, v)
			}
			return nil
		})
		if errors.Is(err, kv.ErrNotFound) || err == nil && !covers {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look into sealed trades: %w", err)
		}
		if _, ok := s.ids[t.ID]; ok {
			return true, nil
		}
	}
	return false, nil
}

func (s *sealedIDs) fill(start, last int64, v []byte) (err error) {
	s.start = 0
	if s.rows, err = record.DecodeTrades(s.rows[:0], v, record.Core); err != nil {
		return err
	}
	if s.ids == nil {
		s.ids = make(map[uint64]struct{}, len(s.rows))
	}
	clear(s.ids)
	for i := range s.rows {
		s.ids[s.rows[i].ID] = struct{}{}
	}
	s.start, s.last = start, last
	return nil
}
