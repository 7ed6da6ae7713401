package history

import (
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv/key"
)

// candles compares the stored candles of a market-day with its trades.
func (c *checker) candles(mkt uint32, trades []model.Trade) error {
	want := map[candleKey]*record.Candle{}
	for i := range trades {
		t := &trades[i]
		for _, res := range key.Resolutions {
			k := candleKey{res, mkt, int64(t.Time) - int64(t.Time)%res.Millis()}
			if c.keep.dropped(key.Candles, key.Span(k.time)) {
				continue
			}
			if want[k] == nil {
				want[k] = &record.Candle{}
			}
			if err := addTrade(want[k], t, model.MarketID(mkt), c.reader.markets); err != nil {
				continue // two scales that no candle can join
			}
		}
	}
	for k, candle := range want {
		c.built[candleDay(k)]++
		stored := key.Candle(nil, k.resolution, k.market, k.time)
		var have record.Candle
		err := c.store.Get(stored, func(v []byte) (err error) {
			have, err = record.DecodeCandle(v)
			return err
		})
		have.Time = 0
		if err == nil && have != *candle && !c.outlives(k, &have, candle) {
			err = fmt.Errorf("candle is %+v, its trades give %+v", have, *candle)
		}
		if err != nil {
			if err := c.report(stored, "%v", err); err != nil {
				return err
			}
		}
	}
	return nil
}

// outlives tells whether a candle is older than the trades it is compared with: retention had dropped the day, and an import
// has brought some of its trades back.
func (c *checker) outlives(k candleKey, have, found *record.Candle) bool {
	return key.Day(k.time) < c.keep.cuts[key.Trades] && have.Trades > found.Trades && have.FirstID <= found.FirstID && have.LastID >= found.LastID
}

// candleDay names the candles of a length that lie in one day of a market.
func candleDay(k candleKey) candleKey {
	k.time -= k.time % key.DayMillis
	return k
}

// unbuilt reports days that have more candles than their trades give. The candles of a day that retention has taken the
// trades of stay for themselves.
func (c *checker) unbuilt() error {
	if !c.deep || c.torn[key.Trades] {
		return nil
	}
	for k, n := range c.stored {
		if want := c.built[k]; n > want && key.Day(k.time) >= c.keep.cuts[key.Trades] {
			if err := c.report(key.Candle(nil, k.resolution, k.market, k.time), "%d candles of a day whose trades give %d", n, want); err != nil {
				return err
			}
		}
	}
	return nil
}
