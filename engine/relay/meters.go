package relay

import (
	"fmt"
	"strconv"

	"github.com/VictoriaMetrics/metrics"
)

// meters are a relay's counters, which live as long as the process, and the gauges of its cache, which end with it.
type meters struct {
	hits, misses, local *metrics.Counter
	gauges              *metrics.Set
}

func newMeters(s *shelf) *meters {
	m := &meters{
		hits:   metrics.GetOrCreateCounter(`hyperlight_cache_hits_total{cache="relay"}`),
		misses: metrics.GetOrCreateCounter(`hyperlight_cache_misses_total{cache="relay"}`),
		local:  metrics.GetOrCreateCounter(`hyperlight_relay_local_answers_total`),
		gauges: metrics.NewSet(),
	}
	m.gauges.NewGauge(`hyperlight_cache_bytes{cache="relay"}`, func() float64 { n, _ := s.held(); return float64(n) })
	m.gauges.NewGauge(`hyperlight_cache_entries{cache="relay"}`, func() float64 { _, n := s.held(); return float64(n) })
	metrics.RegisterSet(m.gauges)
	return m
}

func (m *meters) close() { metrics.UnregisterSet(m.gauges, true) }

// count counts a call by its result. Endpoints come from the table and results from here, so the labels are bounded.
func (m *meters) count(e *endpoint, result string) {
	name := e.name
	switch name {
	case "/":
		name = "root"
	case "/info":
		name = "info"
	}
	metrics.GetOrCreateCounter(fmt.Sprintf(`hyperlight_upstream_requests_total{venue="lighter",endpoint=%q,status=%q}`, name, result)).Inc()
}

func (m *meters) countStatus(e *endpoint, status int) {
	if status < 100 || status > 599 {
		m.count(e, "other")
		return
	}
	m.count(e, strconv.Itoa(status))
}
