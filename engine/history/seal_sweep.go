package history

import (
	"context"

	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// sweep notes the hours with hot rows from before this start.
func (w *Writer) sweep(ctx context.Context) error {
	found := map[hourKey]struct{}{}
	for _, f := range []key.Family{key.Trades, key.Books} {
		rg, err := key.IndexRange(f, 0, 1<<32-1)
		if err != nil {
			return err
		}
		for row, err := range w.store.Scan(ctx, rg) {
			if err != nil {
				return err
			}
			k, err := key.ParseIndexRow(row.Key)
			if err != nil {
				return err
			}
			if err := w.hotHours(ctx, k, found); err != nil {
				return err
			}
		}
	}
	// Keyframes of hours without an update: the family holds hot rows only.
	for row, err := range w.store.Scan(ctx, key.All(key.Keyframes)) {
		if err != nil {
			return err
		}
		k, err := key.ParseKeyframe(row.Key)
		if err != nil {
			return err
		}
		found[hourKey{key.Books, k.Market, k.Time / hourMicros}] = struct{}{}
	}
	if err := w.hotFills(ctx, found); err != nil {
		return err
	}
	return w.do(ctx, func() error {
		for k := range found {
			w.unsealed[k] += 0
		}
		return nil
	})
}

// hotHours finds the hours of a market-day that have hot blocks, one look per hour.
func (w *Writer) hotHours(ctx context.Context, ix key.IndexKey, found map[hourKey]struct{}) error {
	start := key.DayStart(ix.Bucket)
	for hour := start / hourMillis; hour < (start+key.DayMillis)/hourMillis; {
		rg, err := key.TradeRange(ix.Market, key.Hot, hour*hourMillis, start+key.DayMillis)
		if ix.Family == key.Books {
			rg, err = key.BookRange(ix.Market, key.Hot, hour*hourMicros, (start+key.DayMillis)*1000)
		}
		if err != nil {
			return err
		}
		next := int64(-1)
		for row, err := range w.store.Scan(ctx, rg) {
			if err != nil {
				return err
			}
			k, err := key.ParseTrade(row.Key)
			next = k.Time / hourMillis
			if ix.Family == key.Books {
				k, err = key.ParseBook(row.Key)
				next = k.Time / hourMicros
			}
			if err != nil {
				return err
			}
			break
		}
		if next < 0 {
			return nil
		}
		found[hourKey{ix.Family, ix.Market, next}] = struct{}{}
		hour = next + 1
	}
	return nil
}

// headers sums what the blocks of a range say that they hold, and tells visit their keys.
func headers(ctx context.Context, store *kv.Store, rg key.Range, header func([]byte) (record.Header, error), visit func(k []byte)) (rows uint64, err error) {
	for row, err := range store.Scan(ctx, rg) {
		if err != nil {
			return 0, err
		}
		h, err := header(row.Value)
		if err != nil {
			return 0, err
		}
		rows += uint64(h.Updates) + uint64(h.Trades)
		visit(row.Key)
	}
	return rows, nil
}
