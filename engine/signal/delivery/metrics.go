package delivery

import "github.com/VictoriaMetrics/metrics"

var (
	delivered       = metrics.NewCounter(`hyperlight_webhook_deliveries_total{outcome="delivered"}`)
	failed          = metrics.NewCounter(`hyperlight_webhook_deliveries_total{outcome="failed"}`)
	attemptsOK      = metrics.NewCounter(`hyperlight_webhook_attempts_total{outcome="ok"}`)
	attemptsRetried = metrics.NewCounter(`hyperlight_webhook_attempts_total{outcome="retry"}`)
	attemptsFailed  = metrics.NewCounter(`hyperlight_webhook_attempts_total{outcome="failed"}`)
	callSeconds     = metrics.NewSummary("hyperlight_webhook_call_duration_seconds")
	// From the receipt of the event that triggered to the first call.
	delay = metrics.NewSummary("hyperlight_signal_delivery_delay_seconds")
)

func finished(s Status) *metrics.Counter {
	if s == Delivered {
		return delivered
	}
	return failed
}

func attempts(a *answer) *metrics.Counter {
	switch {
	case a.ok:
		return attemptsOK
	case a.retry:
		return attemptsRetried
	}
	return attemptsFailed
}

func (q *Queue) gauges() (remove func()) {
	set := metrics.NewSet()
	set.NewGauge("hyperlight_webhook_queue", func() float64 { n, _ := q.Waiting(); return float64(n) })
	set.NewGauge("hyperlight_webhook_oldest_seconds", func() float64 {
		if _, oldest := q.Waiting(); oldest > 0 {
			return max(float64(q.now()-oldest)/1000, 0)
		}
		return 0
	})
	metrics.RegisterSet(set)
	return func() { metrics.UnregisterSet(set, true) }
}
