package history

import (
	"context"
	"fmt"
	"iter"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

const (
	day = 24 * time.Hour
	// weekOffset is how far the first Monday lies behind the epoch, which was a Thursday.
	weekOffset = 4 * key.DayMillis
)

// resolutions says from which stored candles each length of the API is made.
var resolutions = map[time.Duration]key.Resolution{
	time.Minute: key.Minute, 5 * time.Minute: key.Minute, 15 * time.Minute: key.Minute, 30 * time.Minute: key.Minute,
	time.Hour: key.Hour, 4 * time.Hour: key.Hour, 12 * time.Hour: key.Hour,
	day: key.Daily, 7 * day: key.Daily,
}

// CandleStart returns the opening of the candle that a moment lies in; weeks start on Monday, UTC.
func CandleStart(t model.Millis, resolution time.Duration) model.Millis {
	length, offset := model.Millis(resolution.Milliseconds()), model.Millis(0)
	if resolution == 7*day {
		offset = weekOffset
	}
	rest := (t - offset) % length
	if rest < 0 {
		rest += length
	}
	return t - rest
}

// Candles goes through the candles of one market whose opening lies in the span; buckets without a trade have none.
// ErrResolution where the API has no such length.
func (r *Reader) Candles(ctx context.Context, m model.MarketID, resolution time.Duration, sp Span, reverse bool) iter.Seq2[record.Candle, error] {
	return func(yield func(record.Candle, error) bool) {
		stored, ok := resolutions[resolution]
		if !ok {
			yield(record.Candle{}, fmt.Errorf("read candles of %s: %w", resolution, ErrResolution))
			return
		}
		length := model.Millis(resolution.Milliseconds())
		// The openings in the span, and all that belongs to them.
		from := CandleStart(max(sp.From, 0)+length-1, resolution)
		to := CandleStart(max(sp.To, 0)+length-1, resolution)
		if sp.From <= 0 {
			from = 0 // a week that began before the epoch
		}
		var sum record.Candle
		for c, err := range r.storedCandles(ctx, stored, m, int64(from), int64(to), reverse) {
			if err != nil {
				yield(record.Candle{}, fmt.Errorf("read candles: %w", err))
				return
			}
			start := CandleStart(c.Time, resolution)
			if sum.Trades > 0 && sum.Time != start {
				if !yield(sum, nil) {
					return
				}
				sum = record.Candle{}
			}
			sum.Time = start
			if err := mergeCandle(&sum, &c, m, r.markets); err != nil {
				yield(record.Candle{}, err)
				return
			}
		}
		if sum.Trades > 0 {
			yield(sum, nil)
		}
	}
}

// storedCandles goes through the stored candles with from <= opening < to.
func (r *Reader) storedCandles(ctx context.Context, res key.Resolution, m model.MarketID, from, to int64, reverse bool) iter.Seq2[record.Candle, error] {
	return func(yield func(record.Candle, error) bool) {
		keep, err := r.keep()
		if err != nil {
			yield(record.Candle{}, err)
			return
		}
		scan := r.store.Scan
		if reverse {
			scan = r.store.ScanReverse
		}
		for from < to {
			span := key.Span(from)
			if reverse {
				span = key.Span(to - 1)
			}
			lo, hi := max(from, key.SpanStart(span)), min(to, key.SpanStart(span+1))
			if reverse {
				to = lo
			} else {
				from = hi
			}
			if keep.dropped(key.Candles, span) {
				continue
			}
			rg, err := key.CandleRange(res, uint32(m), lo, hi)
			if err != nil {
				yield(record.Candle{}, err)
				return
			}
			for row, err := range scan(ctx, rg) {
				var c record.Candle
				var k key.CandleKey
				if err == nil {
					k, err = key.ParseCandle(row.Key)
				}
				if err == nil {
					c, err = record.DecodeCandle(row.Value)
				}
				c.Time = model.Millis(k.Time)
				if !yield(c, err) || err != nil {
					return
				}
			}
		}
	}
}
