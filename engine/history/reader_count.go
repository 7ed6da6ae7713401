package history

import (
	"context"
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// CountTrades returns the number of trades in a span: from the counts of whole days, else from the heads of the blocks, of
// which only those at the span's edges are decoded. exact is always true: no span takes more than that.
func (r *Reader) CountTrades(ctx context.Context, m model.MarketID, sp Span) (n uint64, exact bool, err error) {
	keep, err := r.keep()
	if err != nil {
		return 0, false, err
	}
	from, to, err := r.extent(ctx, key.Trades, max(int64(sp.From), 0), int64(sp.To))
	if err != nil {
		return 0, false, err
	}
	for from < to {
		if keep.skip(key.Trades, &from, &to, false) {
			continue
		}
		day := key.Day(from)
		end := min(to, key.DayStart(day+1))
		ix, err := r.index(key.Trades, day, m)
		if err != nil {
			return 0, false, err
		}
		switch {
		case ix.Rows == 0 || ix.Last < from || ix.First >= end:
		case from <= ix.First && ix.Last < end:
			n += ix.Rows
		default:
			part, err := r.countBlocks(ctx, uint32(m), from, end)
			if err != nil {
				return 0, false, fmt.Errorf("count trades: %w", err)
			}
			n += part
		}
		from = end
	}
	return n, true, nil
}

// countStored counts the trades of from <= time < to that the store has, whatever retention says of their days.
func (r *Reader) countStored(ctx context.Context, mkt uint32, from, to int64) (n uint64, err error) {
	for from < to {
		end := min(to, key.DayStart(key.Day(from)+1))
		part, err := r.countBlocks(ctx, mkt, from, end)
		if err != nil {
			return 0, err
		}
		n += part
		from = end
	}
	return n, nil
}

// countBlocks counts the trades of from <= time < to, within one day, by the heads of blocks and segments.
func (r *Reader) countBlocks(ctx context.Context, mkt uint32, from, to int64) (uint64, error) {
	var rows []model.Trade
	dayStart := key.DayStart(key.Day(from))
	for {
		before, err := r.sealing()
		if err != nil {
			return 0, err
		}
		var n uint64
		for _, form := range []key.Form{key.Hot, key.Sealed} {
			rg, err := hotTrades(mkt, from, to)
			if form == key.Sealed {
				rg, err = key.TradeRange(mkt, form, dayStart, to)
			}
			if err != nil {
				return 0, err
			}
			for row, err := range r.store.Scan(ctx, rg) {
				if err != nil {
					return 0, err
				}
				h, err := record.TradeHeader(row.Value)
				if err != nil {
					return 0, err
				}
				switch {
				case h.Last < from || h.First >= to:
				case from <= h.First && h.Last < to:
					n += uint64(h.Trades)
				default:
					if rows, err = record.DecodeTrades(rows[:0], row.Value, record.Core); err != nil {
						return 0, err
					}
					for i := range rows {
						if t := int64(rows[i].Time); t >= from && t < to {
							n++
						}
					}
				}
			}
		}
		after, err := r.sealing()
		if err != nil {
			return 0, err
		}
		if before == after {
			return n, nil
		}
	}
}
