package desk

import "github.com/VictoriaMetrics/metrics"

var (
	triggers = metrics.NewCounter("hyperlight_signal_triggers_total")
	// Triggers that nobody was told of: the store took no writes, or the writer was behind.
	triggersLost = metrics.NewCounter("hyperlight_signal_triggers_lost_total")
	suspensions  = metrics.NewCounter("hyperlight_signal_suspensions_total")
)

func (d *Desk) gauges() (remove func()) {
	set := metrics.NewSet()
	set.NewGauge("hyperlight_signals", func() float64 {
		d.mu.RLock()
		defer d.mu.RUnlock()
		return float64(len(d.signals))
	})
	metrics.RegisterSet(set)
	return func() { metrics.UnregisterSet(set, true) }
}
