package history

import (
	"context"
	"iter"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
)

// Reader reads the record. It holds no state between calls and may be used from any goroutine.
type Reader struct {
	store   *kv.Store
	markets func(model.MarketID) (*model.Market, bool)
}

// TradeQuery says how trades are read. The zero value decodes the core columns in ascending order.
type TradeQuery struct {
	Columns record.Columns // 0 means record.Core
	Reverse bool
	// After skips everything up to and including this place, in the direction of reading.
	After *Position
}

// NewReader returns a reader. markets tells the scales of a market; it is asked where rows of two scale epochs meet.
func NewReader(store *kv.Store, markets func(model.MarketID) (*model.Market, bool)) *Reader {
	return &Reader{store: store, markets: markets}
}

// Trades goes through the trades of one market by (time, id). The pointer is valid until the next step.
func (r *Reader) Trades(ctx context.Context, m model.MarketID, sp Span, q TradeQuery) iter.Seq2[*model.Trade, error] {
	panic("not written")
}

// TradesOf goes through the trades of several markets by (time, market, id).
func (r *Reader) TradesOf(ctx context.Context, ids []model.MarketID, sp Span, q TradeQuery) iter.Seq2[MarketTrade, error] {
	panic("not written")
}

// Liquidations goes through the liquidation and deleverage trades of all markets by (time, market, id).
func (r *Reader) Liquidations(ctx context.Context, sp Span, reverse bool) iter.Seq2[MarketTrade, error] {
	panic("not written")
}

// CountTrades returns the number of trades in a span without decoding more than its edges.
func (r *Reader) CountTrades(ctx context.Context, m model.MarketID, sp Span) (n uint64, exact bool, err error) {
	panic("not written")
}

// BookAt returns the book of every update received before t; ErrNoData where t is not held.
func (r *Reader) BookAt(ctx context.Context, m model.MarketID, t model.Micros) (*book.View, error) {
	panic("not written")
}

// Books goes through the last held full-second snapshot of each bucket of the given length.
func (r *Reader) Books(ctx context.Context, m model.MarketID, sp Span, every time.Duration) iter.Seq2[Snapshot, error] {
	panic("not written")
}

// BookTimes goes through the times that Books would give, without reading any book.
func (r *Reader) BookTimes(ctx context.Context, m model.MarketID, sp Span, every time.Duration, reverse bool) iter.Seq2[model.Millis, error] {
	panic("not written")
}

// Updates goes through the book updates with from <= receive time < to in the order received. The row and its slices
// are reused by the next step.
func (r *Reader) Updates(ctx context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error] {
	panic("not written")
}

// Candles goes through the candles of one market whose opening lies in the span.
func (r *Reader) Candles(ctx context.Context, m model.MarketID, resolution time.Duration, sp Span, reverse bool) iter.Seq2[record.Candle, error] {
	panic("not written")
}

// Stats goes through the stored statistics of one market, at most one row each 10 s.
func (r *Reader) Stats(ctx context.Context, m model.MarketID, sp Span) iter.Seq2[*StatsRow, error] {
	panic("not written")
}

// Fundings goes through the settled funding rows of one market.
func (r *Reader) Fundings(ctx context.Context, m model.MarketID, sp Span) iter.Seq2[FundingRow, error] {
	panic("not written")
}

// Coverage returns the held intervals of one market that touch the span, cut to it.
func (r *Reader) Coverage(ctx context.Context, kind model.Kind, m model.MarketID, sp Span) ([]Interval, error) {
	panic("not written")
}

// Covered sums coverage up for an answer: the first and last held moment in the span, and whether all of it is held.
func (r *Reader) Covered(ctx context.Context, kind model.Kind, m model.MarketID, sp Span) (start, end model.Millis, complete, any bool, err error) {
	panic("not written")
}

// Gaps returns the gaps that touch the span, by (from, market, kind); nil kinds or ids mean all.
func (r *Reader) Gaps(ctx context.Context, kinds []model.Kind, ids []model.MarketID, sp Span) ([]GapRow, error) {
	panic("not written")
}
