package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// memory is what a reader keeps of the rows that nearly every question begins with: what retention has dropped, the last
// tick, the count of seals, held intervals, marks of candles. Each value is kept under the stamp of the part of the store
// that it was read from, whoever writes to that: what is remembered is what a read at the same moment would give.
type memory struct {
	keep      kept[*keepState]
	heartbeat kept[model.Micros]
	sealing   kept[model.Micros]

	mu      sync.RWMutex
	markets map[uint32]*marketMemory
}

// marketMemory is what is kept of one market.
type marketMemory struct {
	held [len(kindFamilies)]kept[*heldList]
	mark kept[candleMark]
}

// kept is a value of one part of the store and the stamp that it was read under.
type kept[T any] struct {
	part  kv.PartID
	now   atomic.Pointer[keptValue[T]]
	asked atomic.Uint64 // the stamp when it was asked for last
}

type keptValue[T any] struct {
	stamp kv.Stamp
	value T
}

// get returns the kept value, or what read gives, which is kept then.
func (k *kept[T]) get(s *kv.Store, read func() (T, error)) (T, error) {
	stamp := s.Stamp(k.part)
	if v := k.now.Load(); v != nil && stamp != 0 && v.stamp == stamp {
		return v.value, nil
	}
	value, err := read()
	if err == nil && stamp != 0 {
		k.now.Store(&keptValue[T]{stamp, value})
	}
	return value, err
}

// getStill is get for what is long to read: where the part has changed since it was asked for last, there is nothing.
func (k *kept[T]) getStill(s *kv.Store, read func() (T, error)) (value T, err error) {
	stamp := s.Stamp(k.part)
	v := k.now.Load()
	if known := v != nil && v.stamp == stamp; stamp == 0 || !known && kv.Stamp(k.asked.Swap(uint64(stamp))) != stamp {
		return value, nil
	}
	return k.get(s, read)
}

// maxMarkets bounds how many markets are remembered; a venue has some hundred.
const maxMarkets = 4096

func newMemory() *memory {
	m := &memory{markets: map[uint32]*marketMemory{}}
	m.keep.part, m.heartbeat.part, m.sealing.part = metaPart(metaKeep), metaPart(metaHeartbeat), metaPart(metaSealing)
	return m
}

func metaPart(name string) kv.PartID { return kv.PartOf(key.MetaRow(nil, name)) }

// market returns what is kept of a market.
func (m *memory) market(mkt uint32) *marketMemory {
	m.mu.RLock()
	mm := m.markets[mkt]
	m.mu.RUnlock()
	if mm != nil {
		return mm
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if mm = m.markets[mkt]; mm != nil {
		return mm
	}
	if len(m.markets) >= maxMarkets {
		clear(m.markets)
	}
	mm = &marketMemory{}
	mm.mark.part = metaPart(markName(mkt))
	for kind := range mm.held {
		mm.held[kind].part = kv.PartOf(key.Held(nil, uint8(kind), mkt, 0))
	}
	m.markets[mkt] = mm
	return mm
}

// keep returns what retention has dropped. It must not be changed.
func (r *Reader) keep() (*keepState, error) {
	return r.memory.keep.get(r.store, func() (*keepState, error) {
		k := &keepState{}
		return k, k.load(r.store)
	})
}

// sealing returns the count of the batches that moved rows from one form to another. Where it is the same before and
// after some reads, they saw every row once.
func (r *Reader) sealing() (model.Micros, error) {
	return r.memory.sealing.get(r.store, func() (model.Micros, error) { return readMoment(r.store, metaSealing) })
}

// heartbeat returns the last committed tick.
func (r *Reader) heartbeat() (model.Micros, error) {
	return r.memory.heartbeat.get(r.store, func() (model.Micros, error) { return readMoment(r.store, metaHeartbeat) })
}

// mark returns the mark of a market's candles.
func (r *Reader) mark(mkt uint32) (candleMark, error) {
	return r.memory.market(mkt).mark.get(r.store, func() (candleMark, error) { return readMark(r.store, mkt) })
}

// heldList are the rows of one record's coverage, ascending. To is 0 while an interval is open.
type heldList struct {
	rows []Interval
	many bool // too many to be kept
}

// maxHeld bounds what is kept of one record: a year with three breaks a day.
const maxHeld = 1024

// held goes through the rows of a record's coverage that start at the given moment or later. To is 0 while an interval is
// open.
func (r *Reader) held(ctx context.Context, kind model.Kind, m model.MarketID, first model.Micros) iter.Seq2[Interval, error] {
	return func(yield func(Interval, error) bool) {
		list, err := r.heldKept(ctx, kind, m)
		if err != nil {
			yield(Interval{}, err)
			return
		}
		if list == nil {
			for iv, err := range r.scanHeld(ctx, kind, m, first) {
				if !yield(iv, err) || err != nil {
					return
				}
			}
			return
		}
		for _, iv := range list.rows[list.from(first):] {
			if !yield(iv, nil) {
				return
			}
		}
	}
}

// heldKept returns a record's coverage where it is kept or becomes so; nil where it has to be scanned.
func (r *Reader) heldKept(ctx context.Context, kind model.Kind, m model.MarketID) (*heldList, error) {
	list, err := r.memory.market(uint32(m)).held[kind].getStill(r.store, func() (*heldList, error) {
		list := &heldList{}
		for iv, err := range r.scanHeld(ctx, kind, m, 0) {
			if err != nil {
				return nil, err
			}
			if len(list.rows) == maxHeld {
				return &heldList{many: true}, nil
			}
			list.rows = append(list.rows, iv)
		}
		return list, nil
	})
	if err != nil || list == nil || list.many {
		return nil, err
	}
	return list, nil
}

// from returns the index of the first row that starts at t or later.
func (l *heldList) from(t model.Micros) int {
	i, _ := slices.BinarySearchFunc(l.rows, t, func(iv Interval, t model.Micros) int {
		if iv.From < t {
			return -1
		}
		return 1
	})
	return i
}

// heldBefore returns when the last interval of a record that starts before t does; 0 where there is none.
func (r *Reader) heldBefore(ctx context.Context, kind model.Kind, m model.MarketID, t model.Micros) (start model.Micros, err error) {
	list, err := r.heldKept(ctx, kind, m)
	if err != nil {
		return 0, err
	}
	if list != nil {
		if i := list.from(t); i > 0 {
			start = list.rows[i-1].From
		}
		return start, nil
	}
	rg, err := key.HeldRange(uint8(kind), uint32(m), 0, int64(t))
	if err != nil {
		return 0, fmt.Errorf("range of coverage: %w", err)
	}
	err = r.store.Last(rg, func(k, _ []byte) error {
		held, err := key.ParseHeld(k)
		start = model.Micros(held.Start)
		return err
	})
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return 0, fmt.Errorf("look for coverage: %w", err)
	}
	return start, nil
}

// scanHeld goes through the rows of a record's coverage in the store that start at the given moment or later.
func (r *Reader) scanHeld(ctx context.Context, kind model.Kind, m model.MarketID, first model.Micros) iter.Seq2[Interval, error] {
	return func(yield func(Interval, error) bool) {
		rg, err := key.HeldRange(uint8(kind), uint32(m), int64(first), int64(forever))
		if err != nil {
			yield(Interval{}, fmt.Errorf("range of coverage: %w", err))
			return
		}
		for row, err := range r.store.Scan(ctx, rg) {
			if err != nil {
				yield(Interval{}, fmt.Errorf("scan coverage: %w", err))
				return
			}
			k, iv, err := decodeHeld(row)
			if !yield(Interval{From: model.Micros(k.Start), To: iv.End}, err) || err != nil {
				return
			}
		}
	}
}
