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

// unsettled makes the candles from edge on, of the record's shorter ones up to the settled moment and of trades after it.
func (v *View) unsettled(ctx context.Context, m *model.Market, resolution time.Duration, edge, settled model.Millis, sp history.Span) ([]record.Candle, error) {
	var out []record.Candle
	bucket := func(t model.Millis) *record.Candle {
		start := history.CandleStart(t, resolution)
		if n := len(out); n == 0 || out[n-1].Time != start {
			out = append(out, record.Candle{Time: start})
		}
		return &out[len(out)-1]
	}
	hours := max(edge, history.CandleStart(settled, time.Hour))
	for _, part := range []struct {
		length time.Duration
		span   history.Span
	}{{time.Hour, history.Span{From: edge, To: hours}}, {time.Minute, history.Span{From: hours, To: settled}}} {
		if part.span.From >= part.span.To {
			continue
		}
		for c, err := range v.h.Candles(ctx, m.ID, part.length, part.span, false) {
			if err != nil {
				return nil, err
			}
			if err := history.MergeCandle(bucket(c.Time), &c, m); err != nil {
				return nil, err
			}
		}
	}
	for t, err := range v.Trades(ctx, m.ID, history.Span{From: settled, To: v.now() + clockSkew}, history.TradeQuery{Columns: record.Core}) {
		if err != nil {
			return nil, err
		}
		if err := history.AddTrade(bucket(t.Time), t, m); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(out, func(c record.Candle) bool { return c.Time < sp.From || c.Time >= sp.To }), nil
}
