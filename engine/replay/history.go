package replay

import (
	"context"
	"iter"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// TradeReader reads recorded trades; *history.Reader is one.
type TradeReader interface {
	Trades(ctx context.Context, m model.MarketID, sp history.Span, q history.TradeQuery) iter.Seq2[*model.Trade, error]
	CountTrades(ctx context.Context, m model.MarketID, sp history.Span) (n uint64, exact bool, err error)
	Liquidations(ctx context.Context, sp history.Span, reverse bool) iter.Seq2[history.MarketTrade, error]
}

// RowReader reads recorded statistics and settled funding; *history.Reader is one.
type RowReader interface {
	Stats(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error]
	Fundings(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[history.FundingRow, error]
}

// BookReader reads recorded books; *history.Reader is one.
type BookReader interface {
	BookAt(ctx context.Context, m model.MarketID, t model.Micros) (*book.View, error)
	BookTimes(ctx context.Context, m model.MarketID, sp history.Span, every time.Duration, reverse bool) iter.Seq2[model.Millis, error]
	CountUpdates(ctx context.Context, m model.MarketID, from, to model.Micros, blocks int) (n uint64, left int, err error)
	Updates(ctx context.Context, m model.MarketID, from, to model.Micros) iter.Seq2[*record.BookRow, error]
}

// HoleReader tells what is not held; *history.Reader is one.
type HoleReader interface {
	Dropped(kind model.Kind) ([]history.Span, error)
	Coverage(ctx context.Context, kind model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error)
	Gaps(ctx context.Context, kinds []model.Kind, ids []model.MarketID, sp history.Span) ([]history.GapRow, error)
}

// HistoryReader is the record that a MergedSource reads; *history.Reader is one.
type HistoryReader interface {
	TradeReader
	RowReader
	BookReader
	HoleReader
}

var _ HistoryReader = (*history.Reader)(nil)

// cursor steps through a range-over-func reader that can be put aside: stopping it closes the reader's iterator in the
// store, and the next step opens a new one where the caller says.
type cursor[T any] struct {
	next func() (T, error, bool)
	stop func()
}

// isOpen tells whether an iterator is held.
func (c *cursor[T]) isOpen() bool { return c.next != nil }

// open starts reading seq.
func (c *cursor[T]) open(seq iter.Seq2[T, error]) { c.next, c.stop = iter.Pull2(seq) }

// step returns the next value; ok is false at the end.
func (c *cursor[T]) step() (v T, ok bool, err error) {
	v, err, ok = c.next()
	if err != nil {
		return v, false, err
	}
	return v, ok, nil
}

// release closes the iterator.
func (c *cursor[T]) release() {
	if c.stop != nil {
		c.stop()
	}
	c.next, c.stop = nil, nil
}
