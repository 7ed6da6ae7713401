package history

import (
	"context"
	"errors"

	"hyperlight/engine/model"
)

// AddTrades stores trades of one market that were fetched or kept elsewhere.
func (w *Writer) AddTrades(ctx context.Context, m model.MarketID, rows []*model.Trade, held Span) error {
	return errors.ErrUnsupported
}

// AddCandles stores given candles of one market and one length.
func (w *Writer) AddCandles(ctx context.Context, m model.MarketID, rows []model.Candle, held Span) error {
	return errors.ErrUnsupported
}

// AddFundings stores settled funding rows of one market.
func (w *Writer) AddFundings(ctx context.Context, m model.MarketID, rows []model.Funding, held Span) error {
	return errors.ErrUnsupported
}
