package history

import (
	"context"
	"fmt"
	"iter"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// OwnMinutes goes through the one-minute candles of one market whose opening lies in the span, as they were built from
// stored trades: a trade is counted in exactly one of them, from the moment it is stored.
func (r *Reader) OwnMinutes(ctx context.Context, m model.MarketID, sp Span) iter.Seq2[record.Candle, error] {
	return func(yield func(record.Candle, error) bool) {
		const minute = 60_000
		from, to := max(int64(sp.From), 0), max(int64(sp.To), 0)
		from = (from + minute - 1) / minute * minute
		for c, err := range r.storedCandles(ctx, key.Minute, m, from, to, false) {
			if err != nil {
				err = fmt.Errorf("read one-minute candles: %w", err)
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}
