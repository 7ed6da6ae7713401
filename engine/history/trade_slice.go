package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// tradeSlice is a piece of a market's trades: blocks and segments copied out of the store, then decoded and in order.
type tradeSlice struct {
	arena   []byte
	values  [][2]int // where each value lies in the arena
	limit   int
	want    int // rows that the query still takes at most; 0: unknown
	sure    int // rows that the copied segments have in the range, without those of segments that lie across an end
	reverse bool
	decoded []model.Trade // everything in the values
	rows    []model.Trade // of them those of the range, in order
}

// tradeSlices keeps the memory of finished queries: a decoded segment is a third of a megabyte.
var tradeSlices = sync.Pool{New: func() any { return &tradeSlice{} }}

// maxPooled is the most decoded trades that are kept for the next query.
const maxPooled = 16 * segmentTrades

func newTradeSlice(reverse bool) *tradeSlice {
	s := tradeSlices.Get().(*tradeSlice)
	s.reverse, s.limit, s.want = reverse, 0, 0
	return s
}

func (s *tradeSlice) free() {
	if cap(s.decoded) <= maxPooled {
		tradeSlices.Put(s)
	}
}

// load reads the trades of from <= time < to nearest to the end that is read from first, all within one day, up to a
// bounded size. It returns the part of the range that is left.
func (s *tradeSlice) load(ctx context.Context, r *Reader, mkt uint32, from, to int64, columns record.Columns) (restFrom, restTo int64, err error) {
	lo, hi, err := s.fetch(ctx, r, mkt, from, to)
	if err != nil {
		return 0, 0, err
	}
	if err := s.decode(lo, hi, columns); err != nil {
		return 0, 0, err
	}
	if s.reverse {
		return from, lo, nil
	}
	return hi, to, nil
}

// fetch copies what load decodes and returns the part of the range that it has everything of.
func (s *tradeSlice) fetch(ctx context.Context, r *Reader, mkt uint32, from, to int64) (lo, hi int64, err error) {
	if s.limit == 0 {
		s.limit = firstSlice / 4
	} else {
		s.limit = min(4*s.limit, maxSlice/32) // rows take many times their bytes: more would neither be pooled nor stay in a cache
	}
	dayLo, dayHi := from, to
	if s.reverse {
		dayLo = max(dayLo, key.DayStart(key.Day(dayHi-1)))
	} else {
		dayHi = min(dayHi, key.DayStart(key.Day(dayLo)+1))
	}
	for {
		before, err := r.sealing()
		if err != nil {
			return 0, 0, err
		}
		s.arena, s.values, s.sure = s.arena[:0], s.values[:0], 0
		lo, hi = dayLo, dayHi
		if s.reverse {
			lo, err = s.collectReverse(ctx, r.store, mkt, lo, hi)
		} else {
			hi, err = s.collect(ctx, r.store, mkt, lo, hi)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read trade blocks: %w", err)
		}
		after, err := r.sealing()
		if err != nil {
			return 0, 0, err
		}
		if before == after {
			return lo, hi, nil
		}
	}
}

// hotTrades is the range of the hot blocks that may hold trades of from <= time < to. A block's key lies somewhere in its
// second, so both ends are widened to full ones.
func hotTrades(mkt uint32, from, to int64) (key.Range, error) {
	return key.TradeRange(mkt, key.Hot, from-from%1000, to+(1000-to%1000)%1000)
}

// collect copies forward and returns the time up to which it has everything. It never cuts within a millisecond.
func (s *tradeSlice) collect(ctx context.Context, store *kv.Store, mkt uint32, from, to int64) (int64, error) {
	rg, err := hotTrades(mkt, from, to)
	if err != nil {
		return 0, err
	}
	lastSecond := int64(-1)
	for row, err := range store.Scan(ctx, rg) {
		if err != nil {
			return 0, err
		}
		k, err := key.ParseTrade(row.Key)
		if err != nil {
			return 0, err
		}
		sec := k.Time - k.Time%1000
		if len(s.arena) >= s.limit && sec > lastSecond {
			to = sec
			break
		}
		lastSecond = sec
		s.add(row.Value)
	}
	hot := len(s.values)
	if err := s.reachingInto(store, mkt, from); err != nil {
		return 0, err
	}
	if from+1 >= to {
		return to, nil
	}
	if rg, err = key.TradeRange(mkt, key.Sealed, from+1, to); err != nil {
		return 0, err
	}
	size := 0
	if len(s.values) > hot {
		size = s.values[len(s.values)-1][1] - s.values[hot][0]
	}
	for row, err := range store.Scan(ctx, rg) {
		if err != nil {
			return 0, err
		}
		if size >= s.limit || s.enough() {
			k, err := key.ParseTrade(row.Key)
			return k.Time, err
		}
		h, err := record.TradeHeader(row.Value)
		if err != nil {
			return 0, err
		}
		s.add(row.Value)
		s.note(h, from, to)
		size += len(row.Value)
	}
	return to, nil
}

// note counts the rows of a segment that lies in the range as a whole.
func (s *tradeSlice) note(h record.Header, from, to int64) {
	if h.First >= from && h.Last < to {
		s.sure += int(h.Trades)
	}
}

// enough tells whether what was copied has all rows that the query takes.
func (s *tradeSlice) enough() bool { return s.want > 0 && s.sure >= s.want }

// reachingInto copies the segments that begin at or before from and reach it: one, or more where segments meet within a
// millisecond.
func (s *tradeSlice) reachingInto(store *kv.Store, mkt uint32, from int64) error {
	for end, more := from+1, true; more; {
		rg, err := key.TradeRange(mkt, key.Sealed, key.DayStart(key.Day(from)), end)
		if errors.Is(err, key.ErrEmptyRange) {
			return nil
		}
		if err != nil {
			return err
		}
		err = store.Last(rg, func(k, v []byte) error {
			parsed, err := key.ParseTrade(k)
			if err != nil {
				return err
			}
			h, err := record.TradeHeader(v)
			if more = h.Last >= from; more {
				s.add(v)
				end = parsed.Time
			}
			return err
		})
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// collectReverse copies backward and returns the time from which on it has everything.
func (s *tradeSlice) collectReverse(ctx context.Context, store *kv.Store, mkt uint32, from, to int64) (int64, error) {
	dayStart := key.DayStart(key.Day(from))
	rg, err := hotTrades(mkt, from, to)
	if err != nil {
		return 0, err
	}
	lastSecond := to
	for row, err := range store.ScanReverse(ctx, rg) {
		if err != nil {
			return 0, err
		}
		k, err := key.ParseTrade(row.Key)
		if err != nil {
			return 0, err
		}
		sec := k.Time - k.Time%1000
		if len(s.arena) >= s.limit && sec < lastSecond {
			from = max(from, lastSecond)
			break
		}
		lastSecond = sec
		s.add(row.Value)
	}
	if rg, err = key.TradeRange(mkt, key.Sealed, dayStart, to); err != nil {
		return 0, err
	}
	size, lastStart := 0, to
	for row, err := range store.ScanReverse(ctx, rg) {
		if err != nil {
			return 0, err
		}
		k, err := key.ParseTrade(row.Key)
		if err != nil {
			return 0, err
		}
		h, err := record.TradeHeader(row.Value)
		if err != nil {
			return 0, err
		}
		if h.Last < from {
			break
		}
		// The segment before may end in the very millisecond in which the last one begins.
		if (size >= s.limit || s.enough()) && lastStart+1 < to {
			return max(from, lastStart+1), nil
		}
		lastStart = k.Time
		s.add(row.Value)
		s.note(h, from, to)
		size += len(row.Value)
	}
	return from, nil
}

func (s *tradeSlice) add(v []byte) {
	start := len(s.arena)
	s.arena = append(s.arena, v...)
	s.values = append(s.values, [2]int{start, len(s.arena)})
}

func byTimeAndID(a, b model.Trade) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.ID, b.ID))
}

// decode fills rows with the trades of from <= time < to by (time, id).
func (s *tradeSlice) decode(from, to int64, columns record.Columns) (err error) {
	all := s.decoded[:0]
	for _, at := range s.values {
		if all, err = record.DecodeTrades(all, s.arena[at[0]:at[1]], columns); err != nil {
			return fmt.Errorf("decode trade block: %w", err)
		}
	}
	s.decoded = all
	// What lies outside is at the ends, unless blocks overlap.
	for len(all) > 0 && all[0].Time < model.Millis(from) {
		all = all[1:]
	}
	for len(all) > 0 && all[len(all)-1].Time >= model.Millis(to) {
		all = all[:len(all)-1]
	}
	sorted, within := true, true
	for i := range all {
		t := &all[i]
		if t.Time < model.Millis(from) || t.Time >= model.Millis(to) {
			within = false
		}
		if i > 0 && sorted {
			before := &all[i-1]
			sorted = before.Time < t.Time || before.Time == t.Time && before.ID < t.ID
		}
	}
	if !within {
		all = slices.DeleteFunc(all, func(t model.Trade) bool {
			return t.Time < model.Millis(from) || t.Time >= model.Millis(to)
		})
	}
	if !sorted {
		slices.SortFunc(all, byTimeAndID)
	}
	s.rows = all
	return nil
}
