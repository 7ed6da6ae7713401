package export

import (
	"context"
	"iter"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Source reads the rows of the datasets out of the record. It may be used from any goroutine.
type Source struct {
	History *history.Reader
	Markets func() []*model.Market
	Enter   func(context.Context) (leave func(), err error)
}

// Trades goes through the trades of a market, a batch at a time, by (time, id). The batch is valid until the next step.
func (s *Source) Trades(ctx context.Context, m *model.Market, sp history.Span) iter.Seq2[[]Trade, error] {
	return nil
}

// Candles goes through the candles of a market of one minute.
func (s *Source) Candles(ctx context.Context, m *model.Market, sp history.Span) iter.Seq2[[]Candle, error] {
	return nil
}

// Snapshots goes through the books of a market at full seconds, at full depth.
func (s *Source) Snapshots(ctx context.Context, m *model.Market, sp history.Span) iter.Seq2[[]Snapshot, error] {
	return nil
}

// BookUpdates goes through the changes of a market's book. It begins with the whole book at the start of the span.
func (s *Source) BookUpdates(ctx context.Context, m *model.Market, sp history.Span) iter.Seq2[[]BookUpdate, error] {
	return nil
}

// FundingRates goes through the settled fundings of markets, nil for all, by (time, market).
func (s *Source) FundingRates(ctx context.Context, ms []*model.Market, sp history.Span) iter.Seq2[[]FundingRate, error] {
	return nil
}

// Gaps goes through the gaps of markets, nil for all, cut at the bounds of the span, by (from, market, kind).
func (s *Source) Gaps(ctx context.Context, ms []*model.Market, sp history.Span) iter.Seq2[[]Gap, error] {
	return nil
}
