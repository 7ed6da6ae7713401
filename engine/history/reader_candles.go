package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sort"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
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

// CandleKind returns the kind of coverage behind the candles of a length of the API.
func CandleKind(resolution time.Duration) model.Kind {
	switch resolutions[resolution] {
	case key.Hour:
		return model.KindHourCandles
	case key.Daily:
		return model.KindDayCandles
	}
	return model.KindCandles
}

// Candles goes through the candles of one market whose opening lies in the span; buckets without a trade have none. A stored
// bucket whose trades are all held is our own, any other the one that the venue or an archive gave, where there is one. A
// candle with a given one in it has Trades 0: how many there were is unknown. ErrResolution where the API has no such length.
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
		some := false
		for c, err := range r.chosenCandles(ctx, stored, m, int64(from), int64(to), reverse) {
			if err != nil {
				yield(record.Candle{}, fmt.Errorf("read candles: %w", err))
				return
			}
			start := CandleStart(c.Time, resolution)
			if some && sum.Time != start {
				if !yield(sum, nil) {
					return
				}
				some = false
			}
			if !some {
				sum, some = c, true
				sum.Time = start
				continue
			}
			if err := joinCandle(&sum, &c, reverse, m, r.markets); err != nil {
				yield(record.Candle{}, err)
				return
			}
		}
		if some {
			yield(sum, nil)
		}
	}
}

// chosenCandles merges our own candles with the given ones of the same length: one candle a bucket.
func (r *Reader) chosenCandles(ctx context.Context, res key.Resolution, m model.MarketID, from, to int64, reverse bool) iter.Seq2[record.Candle, error] {
	return func(yield func(record.Candle, error) bool) {
		next, stop := iter.Pull2(r.storedCandles(ctx, res.Given(), m, from, to, reverse))
		defer stop()
		given, err, more := next()
		if !more {
			// As nearly always: nothing was given here.
			for c, err := range r.storedCandles(ctx, res, m, from, to, reverse) {
				if !yield(c, err) || err != nil {
					return
				}
			}
			return
		}
		var whole *wholeBuckets
		if err == nil {
			whole, err = r.wholeBuckets(ctx, m, res)
		}
		if err != nil {
			yield(record.Candle{}, err)
			return
		}
		// giveUntil yields the given candles that stand before t.
		giveUntil := func(t model.Millis) bool {
			for more && (given.Time != t) && (given.Time < t) != reverse {
				if !whole.has(given.Time) && !yield(given, nil) {
					return false
				}
				if given, err, more = next(); err != nil {
					yield(record.Candle{}, err)
					return false
				}
			}
			return true
		}
		for own, ownErr := range r.storedCandles(ctx, res, m, from, to, reverse) {
			if ownErr != nil {
				yield(record.Candle{}, ownErr)
				return
			}
			if !giveUntil(own.Time) {
				return
			}
			if more && given.Time == own.Time {
				if !whole.has(own.Time) {
					own = given
				}
				if given, err, more = next(); err != nil {
					yield(record.Candle{}, err)
					return
				}
			}
			if !yield(own, nil) {
				return
			}
		}
		end := model.Millis(to)
		if reverse {
			end = model.Millis(from) - 1
		}
		giveUntil(end)
	}
}

// wholeBuckets tells which buckets of a length have all their trades in the store, as far as they lie in the past.
type wholeBuckets struct {
	held      []Interval
	length    model.Millis
	heartbeat model.Micros
}

func (r *Reader) wholeBuckets(ctx context.Context, m model.MarketID, res key.Resolution) (*wholeBuckets, error) {
	// Of trades that retention has dropped the candles were built while they were there.
	held, err := r.rawIntervals(ctx, model.KindTrades, m, 0)
	if err != nil {
		return nil, err
	}
	heartbeat, err := r.heartbeat()
	if err != nil {
		return nil, err
	}
	return &wholeBuckets{held: held, length: model.Millis(res.Millis()), heartbeat: heartbeat}, nil
}

func (w *wholeBuckets) has(start model.Millis) bool {
	from, to := start.Micros(), (start + w.length).Micros()
	i := sort.Search(len(w.held), func(i int) bool { return w.held[i].From > from })
	if i == 0 {
		return false
	}
	end := w.held[i-1].To
	return end >= to || i == len(w.held) && end >= w.heartbeat && end > from
}

// scanCandles goes through the candles in the store with from <= opening < to.
func (r *Reader) scanCandles(ctx context.Context, res key.Resolution, mkt uint32, from, to int64, reverse bool) iter.Seq2[record.Candle, error] {
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
		for empty := 0; from < to; {
			if empty >= 4 && empty&(empty-1) == 0 {
				if from, to, err = r.skipSpans(ctx, res, from, to, reverse); err != nil {
					yield(record.Candle{}, err)
					return
				}
				if from >= to {
					return
				}
			}
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
			empty++
			rg, err := key.CandleRange(res, mkt, lo, hi)
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
				empty = 0
				c.Time = model.Millis(k.Time)
				if !yield(c, err) || err != nil {
					return
				}
			}
		}
	}
}

// skipSpans leaves out the spans at the beginning of from <= opening < to, or at its end, that no market has a candle in: a
// range may begin years before the record.
func (r *Reader) skipSpans(ctx context.Context, res key.Resolution, from, to int64, reverse bool) (restFrom, restTo int64, err error) {
	rg, err := key.CandleBuckets(res, key.Span(from), key.Span(to-1)+1)
	if err != nil {
		return from, to, fmt.Errorf("range of candles: %w", err)
	}
	if reverse {
		end := from
		err := r.store.Last(rg, func(k, _ []byte) error {
			parsed, err := key.ParseCandle(k)
			end = min(to, key.SpanStart(key.Span(parsed.Time)+1))
			return err
		})
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return from, to, fmt.Errorf("look for candles before: %w", err)
		}
		return from, end, nil
	}
	for row, err := range r.store.Scan(ctx, rg) {
		if err != nil {
			return from, to, fmt.Errorf("look for candles behind: %w", err)
		}
		k, err := key.ParseCandle(row.Key)
		return max(from, key.SpanStart(key.Span(k.Time))), to, err
	}
	return to, to, nil
}
