package http

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// serverMetrics is a set of its own, so that a second server in one process (tests, a second listener) does not collide.
type serverMetrics struct {
	set      *metrics.Set
	inFlight atomic.Int64
	panics   *metrics.Counter
}

// routeMeters are a route's counters, one per status, made when a status is first seen.
type routeMeters struct {
	duration *metrics.Summary
	requests [2][600]atomic.Pointer[metrics.Counter] // by head (1) or not, and status
}

func newServerMetrics() *serverMetrics {
	m := &serverMetrics{set: metrics.NewSet()}
	m.set.NewGauge("hyperlight_http_requests_in_flight", func() float64 { return float64(m.inFlight.Load()) })
	m.panics = m.set.NewCounter("hyperlight_http_panics_total")
	metrics.RegisterSet(m.set)
	return m
}

func (m *serverMetrics) unregister() { metrics.UnregisterSet(m.set, true) }

func (m *serverMetrics) register(r *route) {
	r.meters.duration = m.set.GetOrCreateSummaryExt(
		fmt.Sprintf("hyperlight_http_request_duration_seconds{route=%q}", r.pattern), 5*time.Minute, []float64{0.5, 0.9, 0.99, 0.999})
}

// count adds a finished request; its duration goes through the journal.
func (m *serverMetrics) count(c *call, status int) {
	r := &c.route.meters
	if status < 0 || status >= len(r.requests[0]) {
		return
	}
	head := 0
	if c.ctx.IsHead() {
		head = 1
	}
	n := r.requests[head][status].Load()
	if n == nil {
		method := c.route.method
		switch {
		case method == "":
			method = "other"
		case head == 1:
			method = "HEAD"
		}
		n = m.set.GetOrCreateCounter(fmt.Sprintf("hyperlight_http_requests_total{method=%q,route=%q,status=%q}",
			method, c.route.pattern, strconv.Itoa(status)))
		r.requests[head][status].Store(n)
	}
	n.Inc()
}
