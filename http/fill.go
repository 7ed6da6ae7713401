package http

import (
	"context"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// FillFunc asks for a range that is not held. It returns at once where all of it is held, else when it is filled or cannot
// be, or when the budget of time of the call is over. It is never an error: coverage tells.
type FillFunc func(ctx context.Context, kind model.Kind, markets []model.MarketID, sp history.Span)

// fill has a range fetched before it is read, where the server has a venue to fetch it from. It must be called before
// enterHistory, so that a call that waits for the venue does not hold a place among the readers. As of a past moment nothing
// is fetched: what was not held then is not there.
func (c *call) fill(kind model.Kind, markets []model.MarketID, sp span) {
	if c.server.fill != nil && c.past == nil {
		c.server.fill(c.waiting(), kind, markets, history.Span{From: sp.From, To: sp.To})
	}
}
