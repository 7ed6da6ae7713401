package signal

import (
	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Feed makes the events of one market out of what its shard tells a listener, in the order that a backtest reads them in. It
// belongs to the shard's goroutine. Events are valid until the function that receives them returns.
type Feed struct{}

// NewFeed returns a feed. lastStats is the time of the newest statistics row that the record holds, 0 where there is none:
// no second one of the same ten seconds is stored.
func NewFeed(lastStats model.Millis) *Feed { return &Feed{} }

// Trades gives the events of a batch.
func (f *Feed) Trades(m *model.Market, b *model.TradeBatch, each func(*Event)) {}

// Stats takes a row of statistics; its event comes with the next tick.
func (f *Feed) Stats(received model.Micros, s *model.Stats) {}

// Heatmap takes the sums of a heatmap; their event comes with a tick to come.
func (f *Feed) Heatmap(computed model.Millis, long, short num.Decimal) {}

// Tick gives the events of a full second; v is nil while the book is out of sync.
func (f *Feed) Tick(second model.Micros, m *model.Market, v *book.View, each func(*Event)) {}
