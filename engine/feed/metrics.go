package feed

import (
	"fmt"
	"strconv"
	"time"

	"hyperlight/engine/model"

	"github.com/VictoriaMetrics/metrics"
)

// instruments are the metrics of one venue's feed. Counters live as long as the process; gauges as long as Run.
type instruments struct {
	messages   [frameKinds]*metrics.Counter
	bytes      *metrics.Counter
	lag        *metrics.Summary
	reconnects map[string]*metrics.Counter
	resyncs    *metrics.Counter
	sent       *metrics.Counter
	gaps       *metrics.Counter
	venue      string
}

// The reasons for which a socket ends.
const (
	endDial      = "dial"
	endHandshake = "handshake"
	endStale     = "stale"
	endClosed    = "closed"
)

func newInstruments(venue string) *instruments {
	name := func(format string, args ...any) string { return fmt.Sprintf("hyperlight_feed_"+format, args...) }
	m := &instruments{
		venue:      venue,
		bytes:      metrics.GetOrCreateCounter(name(`received_bytes_total{venue=%q}`, venue)),
		lag:        metrics.GetOrCreateSummaryExt(name(`lag_seconds{venue=%q}`, venue), 5*time.Minute, []float64{0.5, 0.9, 0.99, 0.999}),
		resyncs:    metrics.GetOrCreateCounter(name(`resyncs_total{venue=%q}`, venue)),
		sent:       metrics.GetOrCreateCounter(name(`sent_messages_total{venue=%q}`, venue)),
		gaps:       metrics.GetOrCreateCounter(name(`lost_channels_total{venue=%q}`, venue)),
		reconnects: map[string]*metrics.Counter{},
	}
	for k := range m.messages {
		m.messages[k] = metrics.GetOrCreateCounter(name(`messages_total{venue=%q,kind=%q}`, venue, FrameKind(k)))
	}
	for _, reason := range []string{endDial, endHandshake, endStale, endClosed} {
		m.reconnects[reason] = metrics.GetOrCreateCounter(name(`reconnects_total{venue=%q,reason=%q}`, venue, reason))
	}
	return m
}

// parseError counts a refused frame by its reason.
func (m *instruments) parseError(reason string) {
	metrics.GetOrCreateCounter(fmt.Sprintf(`hyperlight_feed_parse_errors_total{venue=%q,reason=%q}`, m.venue, reason)).Inc()
}

// refusal counts an error frame. Codes that no venue documents share one label, so that labels stay bounded.
func (m *instruments) refusal(code int) {
	label := "other"
	if code >= 20000 && code < 32000 {
		label = strconv.Itoa(code)
	}
	metrics.GetOrCreateCounter(fmt.Sprintf(`hyperlight_feed_venue_errors_total{venue=%q,code=%q}`, m.venue, label)).Inc()
}

// observe records how far a frame's receive time lies behind the venue's time.
func (m *instruments) observe(recv model.Micros, sent model.Millis) {
	m.lag.Update(float64(recv-sent.Micros()) / 1e6)
}

// gauges registers what Status tells; the caller unregisters the set.
func (m *instruments) gauges(status func() Status) *metrics.Set {
	set := metrics.NewSet()
	gauge := func(name string, value func(Status) float64) {
		set.NewGauge(fmt.Sprintf(`hyperlight_feed_%s{venue=%q}`, name, m.venue), func() float64 { return value(status()) })
	}
	gauge("sockets", func(s Status) float64 { return float64(s.Sockets) })
	gauge("subscriptions", func(s Status) float64 { return float64(s.Subscribed) })
	gauge("subscriptions_wanted", func(s Status) float64 { return float64(s.Wanted) })
	metrics.RegisterSet(set)
	return set
}

// BudgetGauges returns a set with the weight of a venue's REST budget that is used and left. The caller registers it,
// and unregisters it when the budget is no longer used.
func BudgetGauges(venue string, b *Budget) *metrics.Set {
	set := metrics.NewSet()
	set.NewGauge(fmt.Sprintf(`hyperlight_upstream_weight_used{venue=%q}`, venue), func() float64 { return float64(b.Used()) })
	set.NewGauge(fmt.Sprintf(`hyperlight_upstream_weight_left{venue=%q}`, venue), func() float64 { return float64(b.Left()) })
	return set
}
