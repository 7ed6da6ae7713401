package history

import (
	"context"
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// CountUpdates returns the number of rows that Updates would give, from the heads of the blocks; only blocks at the edges
// of the range and of held intervals are decoded. It reads at most the given number of blocks and returns how many of them
// are left over, below zero where they were not enough: the count is not known then.
func (r *Reader) CountUpdates(ctx context.Context, m model.MarketID, from, to model.Micros, blocks int) (n uint64, left int, err error) {
	ivs, err := r.intervals(ctx, model.KindBook, m, forever)
	if err != nil {
		return 0, 0, err
	}
	for _, iv := range ivs {
		if iv.To == forever {
			if iv.To, err = r.lastRow(m, iv.From); err != nil {
				return 0, 0, err
			}
		}
		part, err := r.countRows(ctx, uint32(m), max(from, iv.From, 0), min(to, iv.To+1), &blocks)
		if err != nil {
			return 0, 0, fmt.Errorf("count book updates: %w", err)
		}
		if blocks < 0 {
			return 0, blocks, nil
		}
		n += part
	}
	return n, blocks, nil
}

// countRows counts the rows of from <= receive time < to inside one held interval, and takes the blocks it reads off the
// allowance.
func (r *Reader) countRows(ctx context.Context, mkt uint32, from, to model.Micros, allowance *int) (n uint64, err error) {
	for from < to {
		day := key.DayOfMicros(int64(from))
		end := min(to, model.Micros(key.DayStart(day+1)*1000))
		for {
			before, err := r.sealing()
			if err != nil {
				return 0, err
			}
			part, err := r.countDayRows(ctx, mkt, from, end, allowance)
			if err != nil || *allowance < 0 {
				return 0, err
			}
			after, err := r.sealing()
			if err != nil {
				return 0, err
			}
			if before == after {
				n += part
				break
			}
		}
		from = end
	}
	return n, nil
}

func (r *Reader) countDayRows(ctx context.Context, mkt uint32, from, to model.Micros, allowance *int) (n uint64, err error) {
	var cursor record.BookCursor
	for _, form := range []key.Form{key.Hot, key.Sealed} {
		start := int64(from.Second())
		if form == key.Sealed {
			start = key.DayStart(key.DayOfMicros(int64(from))) * 1000
		}
		rg, err := key.BookRange(mkt, form, start, int64(to))
		if err != nil {
			return 0, err
		}
		for row, err := range r.store.Scan(ctx, rg) {
			if err != nil {
				return 0, err
			}
			if *allowance--; *allowance < 0 {
				return 0, nil
			}
			h, err := record.BookHeader(row.Value)
			if err != nil {
				return 0, err
			}
			switch {
			case h.Updates == 0 || h.Last < int64(from) || h.First >= int64(to):
			case h.First >= int64(from) && h.Last < int64(to):
				n += uint64(h.Updates)
			default:
				if err := cursor.Open(row.Value); err != nil {
					return 0, err
				}
				for cursor.Next() {
					if recv := cursor.Row().Recv; recv >= from && recv < to {
						n++
					}
				}
				if err := cursor.Err(); err != nil {
					return 0, err
				}
			}
		}
	}
	return n, nil
}
