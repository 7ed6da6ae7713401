package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// ErrGiven reports rows that no record can hold: of another length, or not at a multiple of it.
var ErrGiven = errors.New("unusable given row")

// AddTrades stores trades of one market that were fetched or kept elsewhere, in any order, and notes that every trade of
// held is now there; an empty span notes nothing. A trade that the store has stays as it is. When it returns without an
// error rows, coverage and the gaps that they close are on disk; all of a call that MaxRows allows is one batch, of a longer
// one the last part has the coverage. The rows are only read. It may be called from any goroutine while Run runs.
func (w *Writer) AddTrades(ctx context.Context, m model.MarketID, rows []*model.Trade, held Span) error {
	return addChunks(w, ctx, m, model.KindTrades, rows, held, func(ms *marketState, t *model.Trade) error {
		if err := w.addTrade(ms, t); err != nil {
			return fmt.Errorf("store trade %d of market %d: %w", t.ID, m, err)
		}
		return nil
	})
}

// AddFundings stores settled funding rows of one market and notes that all of held are there. Otherwise as AddTrades.
func (w *Writer) AddFundings(ctx context.Context, m model.MarketID, rows []model.Funding, held Span) error {
	epoch := uint8(0)
	if known, ok := w.o.Markets(m); ok {
		epoch = known.Epoch
	}
	return addChunks(w, ctx, m, model.KindFunding, rows, held, func(_ *marketState, f model.Funding) error {
		return w.applyFunding(&model.Event{Market: m, Epoch: epoch}, &f)
	})
}

// AddCandles stores given candles of one market, all of one length, and notes that those of held are all there: a bucket
// without one had no trade. Without rows the coverage is that of one-minute candles. Whole hours of given minutes give the
// hour's candle too, whole days of hours the day's. Otherwise as AddTrades.
func (w *Writer) AddCandles(ctx context.Context, m model.MarketID, rows []model.Candle, held Span) error {
	resolution := time.Minute
	if len(rows) > 0 {
		resolution = rows[0].Resolution
	}
	return w.AddCandlesOf(ctx, m, resolution, rows, held)
}

// AddCandlesOf is AddCandles with the length named, for a span that may be without any candle.
func (w *Writer) AddCandlesOf(ctx context.Context, m model.MarketID, resolution time.Duration, rows []model.Candle, held Span) error {
	kind, ok := model.CandleKind(resolution)
	if !ok {
		return fmt.Errorf("store candles of %s: %w", resolution, ErrGiven)
	}
	length := model.Millis(resolution.Milliseconds())
	for i := range rows {
		if rows[i].Resolution != resolution || rows[i].Time < 0 || rows[i].Time%length != 0 {
			return fmt.Errorf("store candle of %s at %d among those of %s: %w", rows[i].Resolution, rows[i].Time, resolution, ErrGiven)
		}
	}
	// Coverage of candles is of whole buckets.
	held.From, held.To = (max(held.From, 0)+length-1)/length*length, held.To/length*length
	err := addChunks(w, ctx, m, kind, rows, held, func(ms *marketState, c model.Candle) error {
		given := record.Candle{
			Time: c.Time, Epoch: c.Epoch, Open: c.Open, High: c.High, Low: c.Low, Close: c.Close,
			Volume: c.Volume, QuoteVolume: c.QuoteVolume, Trades: c.Trades, LastID: c.LastID,
		}
		if c.Trades > 0 {
			given.FirstID = noFirst
		}
		return w.addGiven(ms.id, resolutions[resolution].Given(), &given)
	})
	if err != nil || resolution == day {
		return err
	}
	return w.derive(ctx, m, resolution, held)
}

// addChunks stores rows in groups; the last one carries the coverage.
func addChunks[T any](w *Writer, ctx context.Context, m model.MarketID, kind model.Kind, rows []T, held Span, add func(*marketState, T) error) error {
	for first := true; first || len(rows) > 0; first = false {
		n := min(len(rows), w.o.MaxRows)
		chunk, last := rows[:n], n == len(rows)
		rows = rows[n:]
		err := w.do(ctx, func() error {
			ms := w.state(m)
			for i := range chunk {
				if err := add(ms, chunk[i]); err != nil {
					return err
				}
			}
			w.pendingRows += len(chunk)
			if last {
				if err := w.hold(ms, kind, held); err != nil {
					return err
				}
			}
			if err := w.commit(); err != nil {
				return err
			}
			if w.losing {
				return fmt.Errorf("store given rows: %w", kv.ErrReadOnly)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addGiven writes a given candle unless the store has one.
func (w *Writer) addGiven(mkt uint32, res key.Resolution, c *record.Candle) error {
	if w.keep.dropped(key.Candles, key.Span(int64(c.Time))) {
		return nil
	}
	k := key.Candle(nil, res, mkt, int64(c.Time))
	if w.fresh[string(k)] {
		return nil
	}
	err := w.store.Get(k, func([]byte) error { return nil })
	if err == nil {
		return nil
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("look up given candle: %w", err)
	}
	w.fresh[string(k)] = true
	w.pinDay(key.Day(int64(c.Time)))
	w.valBuf = record.AppendCandle(w.valBuf[:0], c)
	w.batch.Set(k, w.valBuf)
	w.touchCandle(mkt, res, int64(c.Time))
	return nil
}

// derive makes the given candles of the next longer length where those of this length are whole.
func (w *Writer) derive(ctx context.Context, m model.MarketID, from time.Duration, held Span) error {
	longer := map[time.Duration]time.Duration{time.Minute: time.Hour, time.Hour: day}[from]
	length := model.Millis(longer.Milliseconds())
	kind, _ := model.CandleKind(from)
	longerKind, _ := model.CandleKind(longer)
	var whole Span
	err := w.do(ctx, func() error {
		ms := w.state(m)
		rows, err := w.closedIntervals(ms, kind)
		if err != nil {
			return err
		}
		for _, iv := range rows {
			lo, hi := (iv.From.Millis()+length-1)/length*length, iv.To.Millis()/length*length
			lo, hi = max(lo, held.From/length*length), min(hi, (held.To+length-1)/length*length)
			if lo >= hi {
				continue
			}
			if err := w.deriveSpan(ctx, ms, resolutions[from].Given(), resolutions[longer].Given(), lo, hi); err != nil {
				return err
			}
			whole = Span{From: lo, To: hi}
			if err := w.hold(ms, longerKind, whole); err != nil {
				return err
			}
		}
		return w.commit()
	})
	if err != nil || longer == day || whole.To == 0 {
		return err
	}
	return w.derive(ctx, m, longer, whole)
}

func (w *Writer) deriveSpan(ctx context.Context, ms *marketState, from, to key.Resolution, lo, hi model.Millis) error {
	var sum record.Candle
	some := false
	flush := func() error {
		if !some {
			return nil
		}
		some = false
		return w.addGiven(ms.id, to, &sum)
	}
	for c, err := range w.reader.storedCandles(ctx, from, model.MarketID(ms.id), int64(lo), int64(hi), false) {
		if err != nil {
			return fmt.Errorf("read given candles: %w", err)
		}
		start := c.Time - c.Time%model.Millis(to.Millis())
		if some && sum.Time != start {
			if err := flush(); err != nil {
				return err
			}
		}
		if !some {
			sum, some = c, true
			sum.Time = start
			continue
		}
		if err := joinCandle(&sum, &c, false, model.MarketID(ms.id), w.o.Markets); err != nil {
			return err
		}
	}
	return flush()
}
