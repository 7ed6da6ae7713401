package history

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

const (
	// firstSlice and maxSlice bound how many bytes of blocks are copied out of the store at once. The first slice of a
	// query is small, because most queries want little.
	firstSlice = 64 << 10
	maxSlice   = 4 << 20
)

// bookSlice is a piece of a market's book record, copied out of the store: blocks and segments in order.
type bookSlice struct {
	arena   []byte
	entries []bookEntry
	limit   int
}

type bookEntry struct {
	first      int64 // receive time of the first row; of a segment its key's time
	start, end int   // in the arena
	sealed     bool
}

func (s *bookSlice) value(i int) []byte { return s.arena[s.entries[i].start:s.entries[i].end] }

// load reads the blocks and segments with rows at or after from, as far as they lie in from's day and before to, up to a
// bounded size. It returns the time up to which the slice is whole.
func (s *bookSlice) load(ctx context.Context, r *Reader, mkt uint32, from, to model.Micros) (model.Micros, error) {
	if s.limit == 0 {
		s.limit = firstSlice
	} else {
		s.limit = min(4*s.limit, maxSlice)
	}
	day := key.DayOfMicros(int64(from))
	to = min(to, model.Micros(key.DayStart(day+1)*1000))
	for {
		before, err := r.sealing()
		if err != nil {
			return 0, err
		}
		s.arena, s.entries = s.arena[:0], s.entries[:0]
		until, err := s.hot(ctx, r.store, mkt, from, to)
		if err == nil {
			until, err = s.sealed(ctx, r.store, mkt, from, until)
		}
		if err != nil {
			return 0, fmt.Errorf("read book blocks: %w", err)
		}
		after, err := r.sealing()
		if err != nil {
			return 0, err
		}
		if before == after {
			return until, nil
		}
	}
}

// hot collects hot blocks and returns the time of the first one left out, else to.
func (s *bookSlice) hot(ctx context.Context, store *kv.Store, mkt uint32, from, to model.Micros) (model.Micros, error) {
	rg, err := key.BookRange(mkt, key.Hot, int64(from.Second()), int64(to))
	if err != nil {
		return 0, err
	}
	for row, err := range store.Scan(ctx, rg) {
		if err != nil {
			return 0, err
		}
		h, err := record.BookHeader(row.Value)
		if err != nil {
			return 0, err
		}
		if h.Last < int64(from) {
			continue
		}
		if len(s.arena) >= s.limit {
			k, err := key.ParseBook(row.Key)
			return model.Micros(k.Time), err
		}
		s.add(h.First, row.Value, false)
	}
	return to, nil
}

// sealed collects segments that begin before until and puts them between the blocks. Blocks and segments are of different
// held intervals or of different times, so none begins inside another.
func (s *bookSlice) sealed(ctx context.Context, store *kv.Store, mkt uint32, from, until model.Micros) (model.Micros, error) {
	blocks, size := len(s.entries), 0
	dayStart := key.DayStart(key.DayOfMicros(int64(from))) * 1000
	rg, err := key.BookRange(mkt, key.Sealed, dayStart, int64(from)+1)
	if err != nil {
		return 0, err
	}
	// The segment that reaches into the slice.
	err = store.Last(rg, func(k, v []byte) error {
		parsed, err := key.ParseBook(k)
		if err != nil {
			return err
		}
		h, err := record.BookHeader(v)
		if err == nil && h.Updates > 0 && h.Last >= int64(from) {
			s.add(parsed.Time, v, true)
			size += len(v)
		}
		return err
	})
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return 0, err
	}
	if int64(from)+1 < int64(until) {
		if rg, err = key.BookRange(mkt, key.Sealed, int64(from)+1, int64(until)); err != nil {
			return 0, err
		}
		for row, err := range store.Scan(ctx, rg) {
			if err != nil {
				return 0, err
			}
			k, err := key.ParseBook(row.Key)
			if err != nil {
				return 0, err
			}
			if size >= s.limit {
				until = model.Micros(k.Time)
				break
			}
			s.add(k.Time, row.Value, true)
			size += len(row.Value)
		}
	}
	if blocks > 0 && len(s.entries) > blocks {
		slices.SortStableFunc(s.entries, func(a, b bookEntry) int { return int(min(max(a.first-b.first, -1), 1)) })
		for len(s.entries) > 0 && s.entries[len(s.entries)-1].first >= int64(until) {
			s.entries = s.entries[:len(s.entries)-1]
		}
	}
	return until, nil
}

func (s *bookSlice) add(first int64, v []byte, sealed bool) {
	start := len(s.arena)
	s.arena = append(s.arena, v...)
	s.entries = append(s.entries, bookEntry{first: first, start: start, end: len(s.arena), sealed: sealed})
}
