package past

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

const (
	// settleTime is how long after the venue's time of a trade it may be received, where no gap was open.
	settleTime = model.Micros(60_000_000)
	minute     = model.Millis(60_000)
	hour       = model.Millis(3_600_000)
)

// settled returns the full minute before which no trade was received after the clock: what the record has summed up until
// then is what had been seen. That is a minute ago. Where the record was not whole then, what it misses may have come
// later, and where nothing was held, so may all that lies before: the venue tells its latest trades to who subscribes.
func (v *View) settled(ctx context.Context, m model.MarketID) (model.Millis, error) {
	at := v.at - settleTime
	if at <= 0 {
		return 0, nil
	}
	sp := history.Span{From: at.Millis(), To: v.now() + 1}
	gaps, err := v.h.Gaps(ctx, []model.Kind{model.KindTrades}, []model.MarketID{m}, sp)
	if err != nil {
		return 0, fmt.Errorf("read gaps of trades: %w", err)
	}
	for _, g := range gaps {
		// One that had ended may have been filled a moment later.
		if g.To == 0 || g.To > at {
			at = min(at, g.From)
		}
	}
	held, err := v.h.Coverage(ctx, model.KindTrades, m, history.Span{To: v.now() + 1})
	if err != nil {
		return 0, fmt.Errorf("read coverage of trades: %w", err)
	}
	last := model.Micros(0)
	for _, iv := range held {
		if iv.From <= at {
			last = min(iv.To, at)
		}
	}
	return history.CandleStart(max(last.Millis(), 0), time.Minute), nil
}

// Candles goes through the candles of one market whose opening lies in the span, each made of the trades that had been
// received: the last one may be unfinished.
func (v *View) Candles(ctx context.Context, m model.MarketID, resolution time.Duration, sp history.Span, reverse bool) iter.Seq2[record.Candle, error] {
	return func(yield func(record.Candle, error) bool) {
		market, ok := v.markets.Get(m)
		settled, err := v.settled(ctx, m)
		if err != nil || !ok {
			if err == nil {
				err = fmt.Errorf("read candles: market %d is unknown", m)
			}
			yield(record.Candle{}, err)
			return
		}
		// Buckets that end before the settled moment are the record's own; the few others are made anew.
		edge := history.CandleStart(settled, resolution)
		old := history.Span{From: sp.From, To: min(sp.To, edge)}
		var fresh []record.Candle
		if sp.To > edge {
			if fresh, err = v.unsettled(ctx, market, resolution, edge, settled, sp); err != nil {
				yield(record.Candle{}, err)
				return
			}
		}
		stored := func() bool {
			if old.From >= old.To {
				return true
			}
			for c, err := range v.h.Candles(ctx, m, resolution, old, reverse) {
				if !yield(c, err) || err != nil {
					return false
				}
			}
			return true
		}
		if reverse {
			slices.Reverse(fresh)
		} else if !stored() {
			return
		}
		for _, c := range fresh {
			if !yield(c, nil) {
				return
			}
		}
		if reverse {
			stored()
		}
	}
}

// unsettled makes the candles from edge on: of the record's shorter ones up to the settled moment, of trades after it. What
// the venue or an archive gave of times without trades of our own is as old as the bucket that it is of, as fetched trades
// are: it is seen from its end on.
func (v *View) unsettled(ctx context.Context, m *model.Market, resolution time.Duration, edge, settled model.Millis, sp history.Span) ([]record.Candle, error) {
	var out []record.Candle
	bucket := func(t model.Millis) *record.Candle {
		start := history.CandleStart(t, resolution)
		if n := len(out); n == 0 || out[n-1].Time != start {
			out = append(out, record.Candle{Time: start})
		}
		return &out[len(out)-1]
	}
	length := storedLength(resolution)
	from := max(edge, history.CandleStart(max(sp.From, 0), resolution))
	to := min(v.now()+clockSkew, history.CandleStart(sp.To-1, resolution)+model.Millis(resolution.Milliseconds()))
	given, err := v.given(ctx, m.ID, length, history.Span{From: max(from, history.CandleStart(settled, length)), To: to})
	if err != nil {
		return nil, err
	}
	// give adds the given candles that open up to t, and tells whether the last one of them has t in it.
	var last givenCandle
	give := func(t model.Millis) (within bool, err error) {
		for len(given) > 0 && given[0].Time <= t && err == nil {
			last, given = given[0], given[1:]
			err = history.MergeCandle(bucket(last.Time), &last.Candle, m)
		}
		return t < last.end, err
	}
	at := from
	for _, part := range parts(length) {
		end := history.CandleStart(settled, part)
		if at >= end {
			continue
		}
		for c, err := range v.h.Candles(ctx, m.ID, part, history.Span{From: at, To: end}, false) {
			if err != nil {
				return nil, err
			}
			within, err := give(c.Time)
			if err == nil && !within {
				err = history.MergeCandle(bucket(c.Time), &c, m)
			}
			if err != nil {
				return nil, err
			}
		}
		at = end
	}
	for t, err := range v.Trades(ctx, m.ID, history.Span{From: max(from, settled), To: to}, history.TradeQuery{Columns: record.Core}) {
		if err != nil {
			return nil, err
		}
		within, err := give(t.Time)
		if err == nil && !within {
			err = history.AddTrade(bucket(t.Time), t, m)
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := give(to); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out, func(c record.Candle) bool { return c.Time < sp.From || c.Time >= sp.To }), nil
}

// givenCandle is a candle that was given, and when it ended.
type givenCandle struct {
	record.Candle
	end model.Millis
}

// given returns the candles that were given and had ended, ascending: those of a stored length, and shorter ones of its
// running bucket.
func (v *View) given(ctx context.Context, m model.MarketID, length time.Duration, sp history.Span) (out []givenCandle, err error) {
	for _, part := range parts(length) {
		end := min(sp.To, history.CandleStart(v.now(), part))
		if sp.From >= end {
			continue
		}
		for c, err := range v.h.Candles(ctx, m, part, history.Span{From: sp.From, To: end}, false) {
			if err != nil {
				return nil, err
			}
			if history.Given(&c) {
				out = append(out, givenCandle{c, c.Time + model.Millis(part.Milliseconds())})
			}
		}
		sp.From = end
	}
	return out, nil
}

// parts are a stored length and the shorter ones.
func parts(length time.Duration) []time.Duration {
	all := []time.Duration{24 * time.Hour, time.Hour, time.Minute}
	return all[slices.Index(all, length):]
}

// storedLength is the length of the stored candles that those of a resolution are made of.
func storedLength(resolution time.Duration) time.Duration {
	switch history.CandleKind(resolution) {
	case model.KindHourCandles:
		return time.Hour
	case model.KindDayCandles:
		return 24 * time.Hour
	}
	return time.Minute
}
