package history

import (
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// AddTrade adds a trade to a candle of its market, whose Time the caller has set. It is how candles of the record are
// made, for whoever makes one of part of a bucket.
func AddTrade(c *record.Candle, t *model.Trade, m *model.Market) error {
	return addTrade(c, t, m.ID, only(m))
}

// MergeCandle adds a candle of the same market to c, whose Time the caller has set.
func MergeCandle(c, o *record.Candle, m *model.Market) error {
	return mergeCandle(c, o, m.ID, only(m))
}

// Given tells whether a candle of a stored length was given by the venue or by an archive, not built from trades.
func Given(c *record.Candle) bool { return isGiven(c) }

func only(m *model.Market) marketsFunc {
	return func(id model.MarketID) (*model.Market, bool) { return m, id == m.ID }
}
