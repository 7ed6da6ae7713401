package history

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Reader reads the record. Between calls it holds the few rows that questions begin with, heads of sealed segments and, where
// it is told to, ready rows, all of a bounded size; it may be used from any goroutine. Iterators hold no store iterator while the caller works for long: they read in slices that they copy.
type Reader struct {
	store   *kv.Store
	markets marketsFunc
	memory  *memory
	heads   segmentHeads
	ready   *readyRows // nil: nothing is kept ready
}

// NewReader returns a reader. markets tells the scales of a market; it is asked where rows of two scale epochs meet.
func NewReader(store *kv.Store, markets func(model.MarketID) (*model.Market, bool)) *Reader {
	return &Reader{store: store, markets: markets, memory: newMemory()}
}

// shortRange is a range whose days cost less to look into than it costs to find the ends of a family.
const shortRange = 2 * key.DayMillis

// extent cuts a range of milliseconds to the days that the family has rows of, of whatever market, so that a query from
// the beginning of time costs nothing.
func (r *Reader) extent(ctx context.Context, f key.Family, from, to int64) (int64, int64, error) {
	if to-from <= shortRange && to <= key.DayStart(math.MaxUint32) {
		return from, to, nil
	}
	for row, err := range r.store.Scan(ctx, key.All(f)) {
		if err != nil {
			return 0, 0, fmt.Errorf("look for the first row: %w", err)
		}
		from = max(from, key.DayStart(dayOfKey(row.Key)))
		break
	}
	err := r.store.Last(key.All(f), func(k, _ []byte) error {
		to = min(to, key.DayStart(dayOfKey(k))+key.DayMillis)
		return nil
	})
	if errors.Is(err, kv.ErrNotFound) {
		return from, from, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("look for the last row: %w", err)
	}
	return from, to, nil
}

// dayOfKey returns the bucket of a row of a family that is bucketed by day.
func dayOfKey(k []byte) uint32 {
	if len(k) < 5 {
		return 0
	}
	return binary.BigEndian.Uint32(k[1:])
}

// Stats goes through the stored statistics of one market by receive time, at most one row each 10 s.
func (r *Reader) Stats(ctx context.Context, m model.MarketID, sp Span) iter.Seq2[*StatsRow, error] {
	return func(yield func(*StatsRow, error) bool) {
		keep, err := r.keep()
		if err != nil {
			yield(nil, err)
			return
		}
		var out StatsRow
		from, to, err := r.extent(ctx, key.Stats, max(int64(sp.From), 0), int64(sp.To))
		if err != nil {
			yield(nil, err)
			return
		}
		for from < to {
			day := key.Day(from)
			end := min(key.DayStart(day+1), to)
			if !keep.dropped(key.Stats, day) {
				rg, err := key.StatRange(uint32(m), from, end)
				if err != nil {
					yield(nil, fmt.Errorf("range of statistics: %w", err))
					return
				}
				for row, err := range r.store.Scan(ctx, rg) {
					if err == nil {
						out, err = decodeStats(row)
					}
					if err != nil {
						yield(nil, fmt.Errorf("read statistics: %w", err))
						return
					}
					if !yield(&out, nil) {
						return
					}
				}
			}
			from = end
		}
	}
}

func decodeStats(row kv.KV) (StatsRow, error) {
	k, err := key.ParseStat(row.Key)
	if err != nil {
		return StatsRow{}, err
	}
	s, err := record.DecodeStats(row.Value)
	return StatsRow{Time: model.Millis(k.Time), Stats: s}, err
}

// Fundings goes through the settled funding rows of one market by time.
func (r *Reader) Fundings(ctx context.Context, m model.MarketID, sp Span) iter.Seq2[FundingRow, error] {
	return func(yield func(FundingRow, error) bool) {
		keep, err := r.keep()
		if err != nil {
			yield(FundingRow{}, err)
			return
		}
		for from := max(int64(sp.From), 0); from < int64(sp.To); {
			span := key.Span(from)
			end := min(key.SpanStart(span+1), int64(sp.To))
			if !keep.dropped(key.Funding, span) {
				rg, err := key.FundingRange(uint32(m), from, end)
				if err != nil {
					yield(FundingRow{}, fmt.Errorf("range of funding: %w", err))
					return
				}
				for row, err := range r.store.Scan(ctx, rg) {
					var f model.Funding
					if err == nil {
						f, err = decodeFunding(row)
					}
					if err != nil {
						yield(FundingRow{}, fmt.Errorf("read funding: %w", err))
						return
					}
					if !yield(f, nil) {
						return
					}
				}
			}
			from = end
		}
	}
}

func decodeFunding(row kv.KV) (model.Funding, error) {
	k, err := key.ParseFundingRow(row.Key)
	if err != nil {
		return model.Funding{}, err
	}
	f, err := record.DecodeFunding(row.Value)
	f.Time = model.Millis(k.Time)
	return f, err
}

// index returns the counts of a market's bucket; none where there is no row.
func (r *Reader) index(f key.Family, bucket uint32, m model.MarketID) (ix record.Index, err error) {
	err = r.store.Get(key.IndexRow(nil, f, bucket, uint32(m)), func(v []byte) error {
		ix, err = record.DecodeIndex(v)
		return err
	})
	if errors.Is(err, kv.ErrNotFound) {
		return record.Index{}, nil
	}
	if err != nil {
		return record.Index{}, fmt.Errorf("read index row: %w", err)
	}
	return ix, nil
}
