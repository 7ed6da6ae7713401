package engine

import (
	"context"
	"fmt"
	"time"

	"hyperlight/engine/backfill"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// openBackfill makes what fetches the times that were not recorded; nothing without a venue.
func (e *Engine) openBackfill() error {
	o := e.o.Backfill
	if e.lighter == nil || !o.Enabled {
		return nil
	}
	var err error
	e.lighter.backfill, err = backfill.New(backfill.Options{
		Store: e.store, Reader: e.reader, Writer: e.writer, Venue: e.lighter.rest, Markets: e.lighter.followed,
		Depths: backfill.Depths{
			Trades: time.Duration(o.TradesDepth), Candles: time.Duration(o.CandlesDepth), Funding: time.Duration(o.FundingDepth),
		},
		PerMinute: e.o.Lighter.RESTBudgetPerMinute, Now: e.now, Logger: e.log,
	})
	if err != nil {
		return fmt.Errorf("open backfill: %w", err)
	}
	return nil
}

// Fill asks the venue for a range that is not held and returns when it is there, cannot be had, or five seconds are over.
// Coverage tells what came of it.
func (e *Engine) Fill(ctx context.Context, kind model.Kind, markets []model.MarketID, sp history.Span) {
	if e.lighter != nil && e.lighter.backfill != nil {
		e.lighter.backfill.Fill(ctx, kind, markets, sp)
	}
}

// Backfill tells how far the fetching of what was not recorded is, by kind; nil while it is off or has no plan yet.
func (e *Engine) Backfill() []backfill.Progress {
	if e.lighter == nil || e.lighter.backfill == nil {
		return nil
	}
	return e.lighter.backfill.Progress()
}

// followed returns the markets that the configuration wants.
func (v *lighterVenue) followed() []*model.Market {
	all := v.registry.All()
	out := make([]*model.Market, 0, len(all))
	for _, m := range all {
		if v.e.o.Lighter.Markets.Has(m.Native) {
			out = append(out, m)
		}
	}
	return out
}
