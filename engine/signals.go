package engine

import (
	"context"
	"fmt"
	"iter"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/seal"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/engine/signal/desk"
)

// SignalOptions configures signals. Without a Key there are none: what signs their calls could not be kept.
type SignalOptions struct {
	// Key seals the secrets that calls are signed with: 32 bytes that survive restarts and are not in the store.
	Key      []byte
	Policy   delivery.Policy
	Schedule []time.Duration // waits before further attempts; nil: the default ones
}

// openSignals reads the signals and lets them follow the markets. It comes after the registry has its markets.
func (e *Engine) openSignals() (err error) {
	o := e.o.Signals
	if len(o.Key) == 0 {
		return nil
	}
	box, err := seal.New(o.Key)
	if err != nil {
		return fmt.Errorf("open signals: %w", err)
	}
	e.signals, err = desk.Open(desk.Options{
		Store: e.store, Markets: e.registry, Box: box, Now: e.now, Logger: e.log,
		Record:    signal.Record{History: e.reader, Heatmaps: e.storedHeatmaps},
		LastStats: e.lastStats,
		Admits:    e.access.Admits,
		Plans:     e.access,
		Delivery:  delivery.Options{Policy: o.Policy, Schedule: o.Schedule, Version: e.o.Version},
	})
	if err != nil {
		return fmt.Errorf("open signals: %w", err)
	}
	e.registry.Listen(e.signals)
	return nil
}

// keepHeatmaps hands what a computation of the exposure came to to the record, and to the signals as the record keeps it.
// It runs on the exposure's goroutine.
func (e *Engine) keepHeatmaps(rows []model.Heatmap) {
	if e.writer.AddHeatmaps(rows) && e.signals != nil {
		e.signals.OnHeatmaps(rows)
	}
}

// storedHeatmaps goes through the recorded heatmaps of a market for a backtest.
func (e *Engine) storedHeatmaps(ctx context.Context, m model.MarketID, sp history.Span) iter.Seq2[signal.HeatmapRow, error] {
	return func(yield func(signal.HeatmapRow, error) bool) {
		for h, err := range e.reader.Heatmaps(ctx, m, sp) {
			if err != nil {
				yield(signal.HeatmapRow{}, err)
				return
			}
			if !yield(signal.RowOf(h), nil) {
				return
			}
		}
	}
}

// lastStats returns the time of the newest stored row of a market's statistics, 0 where the last minute has none: an older
// one does not bear on which row is stored next.
func (e *Engine) lastStats(m model.MarketID) (last model.Millis) {
	now := model.Millis(e.now().UnixMilli())
	for row, err := range e.reader.Stats(context.Background(), m, history.Span{From: now - 60_000, To: now + 1}) {
		if err != nil {
			e.log.Warn("the last statistics of a market cannot be read", "component", "signals", "market", int64(m), "error", err)
			return 0
		}
		last = row.Time
	}
	return last
}

// Signals returns the signals; nil where there are none.
func (e *Engine) Signals() *desk.Desk { return e.signals }
