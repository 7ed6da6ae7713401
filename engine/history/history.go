// Package history owns the record of the markets: a typed writer and typed readers over the store. One writer goroutine
// turns events into blocks, candles, coverage and counts, all of one moment in one batch; readers merge hot blocks and
// sealed segments so that nobody above knows of either. Bytes are the business of engine/record, keys that of kv/key.
//
// It must not decide what a market's book is (engine/market does), must not know HTTP or sockets, and nothing else may
// write the families T K B C F L I P M H G i o m or the meta rows named in meta.go.
package history

import (
	"errors"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

var (
	// ErrNoData reports a moment for which no book is held.
	ErrNoData = errors.New("no data held for that time")
	// ErrClosed reports a call on a writer that has ended.
	ErrClosed = errors.New("history writer has ended")
	// ErrResolution reports a candle length that is none of the API's.
	ErrResolution = errors.New("unknown candle resolution")
)

// Span is a range of API time: From <= t < To.
type Span struct{ From, To model.Millis }

// Interval is a time in which a record was whole, on the clock of its kind: the receive clock for books and statistics,
// the venue's for trades. Both ends belong to it.
type Interval struct{ From, To model.Micros }

// Position is a place in a list of trades, which is ordered by (time, market, id).
type Position struct {
	Time   model.Millis
	Market model.MarketID
	ID     uint64
}

// MarketTrade is a trade and the market it belongs to.
type MarketTrade struct {
	Market model.MarketID
	*model.Trade
}

// Snapshot is the book of a full second: every update received before At.
type Snapshot struct {
	At    model.Millis
	View  *book.View
	ready bool // the view is one that a reader keeps
}

// GapRow is a recorded hole of one market. To is 0 while it is open.
type GapRow struct {
	Market model.MarketID
	model.Gap
}

// StatsRow is a row of market statistics and when it was received.
type StatsRow struct {
	Time  model.Millis
	Stats model.Stats
}

// HeatmapRow is what was kept of a market's heatmap; its market and time are in the row.
type HeatmapRow = model.Heatmap

// FundingRow is a settled funding row; its time is in the row.
type FundingRow = model.Funding
