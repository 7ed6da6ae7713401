package exchange

import (
	"context"
	"fmt"
	"iter"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// PastRecord is the record as it stood at a moment; *past.View is one.
type PastRecord interface {
	Candles(ctx context.Context, m model.MarketID, resolution time.Duration, sp history.Span, reverse bool) iter.Seq2[record.Candle, error]
	Covered(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) (start, end model.Millis, complete, held bool, err error)
	LastStats(ctx context.Context, m model.MarketID) (*history.StatsRow, error)
}

// statsAge is how old the last statistics of the past may be that still count: the venue repeats them every few seconds,
// and a row is stored at least every 10.
const statsAge = 5 * minuteMillis

// RowAt puts a market's row together as it was at a moment.
func RowAt(ctx context.Context, r PastRecord, m *model.Market, now model.Millis) (MarketStats, error) {
	var told Told
	stats, err := r.LastStats(ctx, m.ID)
	if err != nil {
		return MarketStats{}, fmt.Errorf("last statistics of market %d: %w", m.ID, err)
	}
	if stats != nil && now-stats.Time <= statsAge {
		told.Stats, told.At = &stats.Stats, stats.Time
	}
	d := &Day{From: WindowStart(now)}
	window := history.Span{From: d.From, To: now}
	_, end, whole, held, err := r.Covered(ctx, model.KindTrades, m.ID, window)
	if err != nil {
		return MarketStats{}, fmt.Errorf("coverage of market %d: %w", m.ID, err)
	}
	live := held && end >= now-minuteMillis
	if live {
		if d, err = dayAt(ctx, r, m, window); err != nil {
			return MarketStats{}, fmt.Errorf("day of market %d: %w", m.ID, err)
		}
	}
	return Row(m, d, whole, live, told)
}

// dayAt sums a window: its full hours, and the minutes before and after them.
func dayAt(ctx context.Context, r PastRecord, m *model.Market, window history.Span) (*Day, error) {
	first := history.CandleStart(window.From+hourMillis-1, time.Hour)
	last := history.CandleStart(window.To, time.Hour)
	var sum record.Candle
	var newest lastTrade
	for _, part := range []struct {
		length time.Duration
		span   history.Span
	}{
		{time.Minute, history.Span{From: window.From, To: first}}, {time.Hour, history.Span{From: first, To: last}},
		{time.Minute, history.Span{From: last, To: window.To + hourMillis}},
	} {
		if part.span.From >= part.span.To {
			continue
		}
		for c, err := range r.Candles(ctx, m.ID, part.length, part.span, false) {
			if err == nil {
				newest.take(c.Time, &c)
				err = history.MergeCandle(&sum, &c, m)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	var before lastTrade
	for c, err := range r.Candles(ctx, m.ID, time.Minute, history.Span{From: max(0, window.From-lookBack), To: window.From}, true) {
		if err != nil {
			return nil, err
		}
		before = lastTrade{minute: c.Time, id: c.LastID, price: c.Close, epoch: c.Epoch, known: true}
		break
	}
	if !newest.known {
		newest = before
	}
	return newDay(m, window.From, &sum, before, newest)
}
