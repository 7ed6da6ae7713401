package market

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/model"
)

var (
	blockedSeconds   = metrics.NewFloatCounter("hyperlight_feed_blocked_seconds_total")
	bookUpdates      = metrics.NewCounter("hyperlight_book_updates_total")
	bookSnapshots    = metrics.NewCounter("hyperlight_book_resets_total")
	levelChanges     = metrics.NewCounter("hyperlight_book_level_changes_total")
	staleUpdates     = metrics.NewCounter("hyperlight_book_stale_updates_total")
	unsyncedUpdates  = metrics.NewCounter("hyperlight_book_unsynced_updates_total")
	unknownRemovals  = metrics.NewCounter("hyperlight_book_unknown_removals_total")
	resyncs          = metrics.NewCounter("hyperlight_book_resyncs_total")
	snapshots        = metrics.NewCounter("hyperlight_snapshots_total")
	snapshotLag      = metrics.NewSummary("hyperlight_snapshot_lag_seconds") // from the full second until a shard works on it
	tradesIngested   = metrics.NewCounter("hyperlight_trades_ingested_total")
	tradesRecovered  = metrics.NewCounter("hyperlight_trades_recovered_total")
	tradesRepeated   = metrics.NewCounter("hyperlight_trades_repeated_total")
	unknownMarkets   = metrics.NewCounter("hyperlight_events_of_unknown_markets_total")
	clampedEvents    = metrics.NewCounter("hyperlight_events_clamped_total")
	skippedSeconds   = metrics.NewCounter("hyperlight_ticks_skipped_total")
	listenerPanics   = metrics.NewCounter("hyperlight_listener_panics_total")
	gapsOpened       = gapCounters("hyperlight_gaps_total")
	gapsClosedFilled = metrics.NewCounter("hyperlight_gaps_filled_total")
)

// gapCounters has one counter per kind and cause, so that every series exists from the start.
func gapCounters(name string) (c [model.KindStats + 1][model.CauseDowntime + 1]*metrics.Counter) {
	for kind := range c {
		for cause := range c[kind] {
			c[kind][cause] = metrics.NewCounter(fmt.Sprintf("%s{kind=%q,reason=%q}", name, model.Kind(kind), model.Cause(cause)))
		}
	}
	return c
}

func countGap(g *model.Gap) {
	if int(g.Kind) < len(gapsOpened) && int(g.Cause) < len(gapsOpened[0]) {
		gapsOpened[g.Kind][g.Cause].Inc()
	}
}

// gauges registers what can only be read from a running registry and returns what removes it again.
func (r *Registry) gauges() (remove func()) {
	set := metrics.NewSet()
	set.NewGauge("hyperlight_markets_synced", func() float64 { n, _ := r.Synced(); return float64(n) })
	set.NewGauge("hyperlight_markets_active", func() float64 { _, n := r.Synced(); return float64(n) })
	for i, q := range r.queues {
		set.NewGauge(fmt.Sprintf("hyperlight_shard_queue_events{shard=\"%d\"}", i), func() float64 { return float64(len(q)) })
	}
	metrics.RegisterSet(set)
	return func() { metrics.UnregisterSet(set, true) }
}
