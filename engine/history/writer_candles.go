package history

import (
	"context"
	"errors"
	"fmt"
	"math"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

type candleKey struct {
	resolution key.Resolution
	market     uint32
	time       int64
}

// candleState is a stored candle in memory.
type candleState struct {
	record.Candle
	key   candleKey
	dirty bool
	// The ids that the candle counts though retention has dropped trades among them: an import that brings them back must
	// not count them again.
	countedFrom, countedTo uint64
}

// addToCandles adds a new trade to its candles of every stored resolution.
func (w *Writer) addToCandles(ms *marketState, t *model.Trade) error {
	for _, res := range key.Resolutions {
		start := int64(t.Time) - int64(t.Time)%res.Millis()
		if w.keep.dropped(key.Candles, key.Span(start)) {
			continue
		}
		c := ms.candles[res]
		if c == nil || c.key.time != start {
			var err error
			if c, err = w.candle(candleKey{res, ms.id, start}); err != nil {
				return err
			}
			ms.candles[res] = c
		}
		if c.countedFrom <= t.ID && t.ID <= c.countedTo {
			continue
		}
		if err := addTrade(&c.Candle, t, model.MarketID(ms.id), w.o.Markets); err != nil {
			// Two scales of which neither holds the other's digits: the trade is kept, its candle cannot be exact.
			w.log.Error("trade does not fit its candle", "market", ms.id, "trade", t.ID, "error", err)
			continue
		}
		if !c.dirty {
			c.dirty = true
			w.dirtyCandles = append(w.dirtyCandles, c)
		}
	}
	return nil
}

func (w *Writer) candle(k candleKey) (*candleState, error) {
	if c := w.candles[k]; c != nil {
		return c, nil
	}
	c := &candleState{key: k}
	w.keyBuf = key.Candle(w.keyBuf[:0], k.resolution, k.market, k.time)
	err := w.store.Get(w.keyBuf, func(v []byte) (err error) {
		c.Candle, err = record.DecodeCandle(v)
		return err
	})
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, fmt.Errorf("read candle: %w", err)
	}
	c.Time = model.Millis(k.time)
	if err := w.findCounted(c); err != nil {
		return nil, err
	}
	w.candles[k] = c
	return c, nil
}

// findCounted notes which trades a candle counts that the store no longer has.
func (w *Writer) findCounted(c *candleState) error {
	to := c.Time + model.Millis(c.key.resolution.Millis())
	if c.Trades == 0 || key.Day(int64(c.Time)) >= w.keep.cuts[key.Trades] {
		return nil
	}
	stored, err := w.reader.countStored(context.Background(), c.key.market, int64(c.Time), int64(to))
	if err != nil {
		return fmt.Errorf("count the trades of a candle: %w", err)
	}
	// Trades that wait for this very commit are in the candle in memory, never in one that is read from the store.
	if stored < c.Trades {
		c.countedFrom, c.countedTo = c.FirstID, c.LastID
	}
	return nil
}

// addTrade adds a trade to a candle. Open and close are those of the smallest and the greatest trade id, so that late rows
// come out right in any order; sums are exact.
func addTrade(c *record.Candle, t *model.Trade, id model.MarketID, markets marketsFunc) error {
	return mergeCandle(c, &record.Candle{
		Epoch: t.Epoch, Open: t.Price, High: t.Price, Low: t.Price, Close: t.Price,
		Volume: t.Size, QuoteVolume: t.USD, Trades: 1, FirstID: t.ID, LastID: t.ID,
	}, id, markets)
}

type marketsFunc func(model.MarketID) (*model.Market, bool)

func isEmpty(c *record.Candle) bool { return c.Trades == 0 && c.High == 0 && c.Volume == 0 }

// noFirst is the first trade of a candle that tells how many trades it has and not which.
const noFirst = math.MaxUint64

// isGiven tells a candle with a given one in it: its first trade is unknown, and mostly how many there are.
func isGiven(c *record.Candle) bool { return c.Trades == 0 || c.FirstID == noFirst }

// mergeCandle adds o, of the same market, to c and keeps the time of c. The one on the narrower scale is brought to the
// wider one. Where one of them is given, o must follow c in time.
func mergeCandle(c, o *record.Candle, id model.MarketID, markets marketsFunc) error {
	if isEmpty(o) {
		return nil
	}
	if isEmpty(c) {
		at := c.Time
		*c = *o
		c.Time = at
		return nil
	}
	if isGiven(c) || isGiven(o) {
		return joinCandle(c, o, false, id, markets)
	}
	o, err := onOneScale(c, o, id, markets)
	if err != nil {
		return err
	}
	if o.FirstID < c.FirstID {
		c.FirstID, c.Open = o.FirstID, o.Open
	}
	if o.LastID > c.LastID {
		c.LastID, c.Close = o.LastID, o.Close
	}
	c.High, c.Low = max(c.High, o.High), min(c.Low, o.Low)
	c.Volume += o.Volume
	c.QuoteVolume += o.QuoteVolume
	c.Trades += o.Trades
	return nil
}

// joinCandle adds to c the candle o that follows it in time, or with before the one that stands before it. Either may be a
// given one, of which the first trade is unknown and the last and the count may be: then the sum's are unknown too, 0.
func joinCandle(c, o *record.Candle, before bool, id model.MarketID, markets marketsFunc) error {
	if !isGiven(c) && !isGiven(o) {
		return mergeCandle(c, o, id, markets)
	}
	o, err := onOneScale(c, o, id, markets)
	if err != nil {
		return err
	}
	if before {
		c.Open = o.Open
	} else {
		c.Close, c.LastID = o.Close, o.LastID
	}
	c.High, c.Low = max(c.High, o.High), min(c.Low, o.Low)
	c.Volume += o.Volume
	c.QuoteVolume += o.QuoteVolume
	if c.Trades == 0 || o.Trades == 0 {
		c.Trades, c.FirstID = 0, 0
	} else {
		c.Trades, c.FirstID = c.Trades+o.Trades, noFirst
	}
	return nil
}

// onOneScale brings the one of two candles that is on the narrower scale to the wider one, c in its place, o in a copy.
func onOneScale(c, o *record.Candle, id model.MarketID, markets marketsFunc) (*record.Candle, error) {
	if c.Epoch == o.Epoch {
		return o, nil
	}
	other := *o
	o = &other
	// The newer scale normally has more digits; where it has fewer, the exact one is the older.
	older, newer := c, o
	if o.Epoch < c.Epoch {
		older, newer = o, c
	}
	if err := rescaleCandle(older, newer.Epoch, id, markets); err != nil {
		if rescaleCandle(newer, older.Epoch, id, markets) != nil {
			return nil, err
		}
	}
	return o, nil
}

// rescaleCandle brings a candle to another scale epoch exactly, or leaves it as it is.
func rescaleCandle(dst *record.Candle, epoch uint8, id model.MarketID, markets marketsFunc) error {
	c := *dst
	m, ok := markets(id)
	if !ok {
		return fmt.Errorf("bring candle from scale epoch %d to %d: market %d is unknown", c.Epoch, epoch, id)
	}
	fromPrice, fromSize := m.ScaleAt(c.Epoch)
	toPrice, toSize := m.ScaleAt(epoch)
	for _, p := range []*num.Price{&c.Open, &c.High, &c.Low, &c.Close} {
		v, err := num.Rescale(int64(*p), fromPrice, toPrice)
		if err != nil {
			return fmt.Errorf("bring candle from scale epoch %d to %d: %w", c.Epoch, epoch, err)
		}
		*p = num.Price(v)
	}
	v, err := num.Rescale(int64(c.Volume), fromSize, toSize)
	if err != nil {
		return fmt.Errorf("bring candle from scale epoch %d to %d: %w", c.Epoch, epoch, err)
	}
	c.Volume, c.Epoch = num.Size(v), epoch
	*dst = c
	return nil
}
