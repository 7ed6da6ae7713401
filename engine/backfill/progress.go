package backfill

import (
	"context"
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

var (
	requests    = metrics.NewCounter("hyperlight_backfill_requests_total")
	joined      = metrics.NewCounter("hyperlight_backfill_requests_joined_total")
	refusedJobs = metrics.NewCounter("hyperlight_backfill_requests_refused_total")
	expired     = metrics.NewCounter("hyperlight_backfill_requests_expired_total")
	pages       = metrics.NewCounter("hyperlight_backfill_pages_total")
	failures    = metrics.NewCounter("hyperlight_backfill_failures_total")
	tradeRows   = metrics.NewCounter(`hyperlight_backfill_rows_total{kind="trade"}`)
	candleRows  = metrics.NewCounter(`hyperlight_backfill_rows_total{kind="candles"}`)
	fundingRows = metrics.NewCounter(`hyperlight_backfill_rows_total{kind="funding"}`)
)

// Progress tells how far the record of one kind is, within its depth and what the venue still has.
type Progress struct {
	Kind       model.Kind
	Markets    int           // that are filled
	Incomplete int           // of them with holes
	Left       time.Duration // the sum of the holes over all markets
	Newest     model.Millis  // the end of the newest hole; 0: there is none
}

// Progress returns how far each kind is, as of the last plan. It does not block.
func (s *Service) Progress() []Progress {
	if p := s.progress.Load(); p != nil {
		return *p
	}
	return nil
}

// gauges registers what can only be read from a running service and returns what removes it again.
func (s *Service) gauges() (remove func()) {
	set := metrics.NewSet()
	for i, kind := range kinds {
		read := func(f func(*Progress) float64) func() float64 {
			return func() float64 {
				p := s.Progress()
				if i >= len(p) {
					return 0
				}
				return f(&p[i])
			}
		}
		set.NewGauge(fmt.Sprintf("hyperlight_backfill_left_seconds{kind=%q}", kind), read(func(p *Progress) float64 { return p.Left.Seconds() }))
		set.NewGauge(fmt.Sprintf("hyperlight_backfill_markets_incomplete{kind=%q}", kind), read(func(p *Progress) float64 { return float64(p.Incomplete) }))
	}
	set.NewGauge("hyperlight_backfill_queue_length", func() float64 { return float64(len(s.asked)) })
	metrics.RegisterSet(set)
	return func() { metrics.UnregisterSet(set, true) }
}

// Hole is a stretch of a record that is not held, and what is known of it.
type Hole struct {
	Market model.MarketID
	Native int64 // the venue's own id of the market
	Kind   model.Kind
	Span   history.Span
	// Cause says why the venue does not fill it: "venue_end" or "venue_refused"; "" where it may still be filled.
	Cause string
}

// Holes lists what is not held of trades and fundings between the first and the last held moment of each market's trades,
// ascending by market, kind and time. It only reads, and works on a store that nobody serves.
func Holes(ctx context.Context, store *kv.Store, reader *history.Reader, markets []*model.Market) ([]Hole, error) {
	known, err := loadMemory(store)
	if err != nil {
		return nil, err
	}
	var out []Hole
	for _, m := range markets {
		all, err := reader.Coverage(ctx, model.KindTrades, m.ID, history.Span{To: 1 << 50})
		if err != nil {
			return nil, fmt.Errorf("read coverage: %w", err)
		}
		if len(all) == 0 {
			continue
		}
		sp := history.Span{From: all[0].From.Millis(), To: all[len(all)-1].To.Millis()}
		for _, kind := range []model.Kind{model.KindTrades, model.KindFunding} {
			if kind == model.KindFunding && m.Type == "spot" {
				continue
			}
			held, err := reader.Coverage(ctx, kind, m.ID, widened(sp, grain(kind)))
			if err != nil {
				return nil, fmt.Errorf("read coverage: %w", err)
			}
			for _, h := range holes(sp, held, grain(kind)) {
				hole := Hole{Market: m.ID, Native: m.Native, Kind: kind, Span: h}
				if mem := known[recordKey{kind, m.ID}]; mem != nil && mem.cause != causeNone && h.To <= mem.floor {
					hole.Cause = mem.cause.String()
				}
				out = append(out, hole)
			}
		}
	}
	return out, nil
}
