package ws

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

var (
	messagesIn     = metrics.NewCounter(`hyperlight_ws_messages_total{direction="in"}`)
	messagesOut    = metrics.NewCounter(`hyperlight_ws_messages_total{direction="out"}`)
	bytesOut       = metrics.NewCounter(`hyperlight_ws_bytes_total{direction="out"}`)
	framesEncoded  = metrics.NewCounter(`hyperlight_ws_frames_encoded_total`)
	panics         = metrics.NewCounter(`hyperlight_ws_panics_total`)
	conflations    = metrics.NewCounter(`hyperlight_ws_conflations_total`)
	privateSockets = metrics.NewGauge(`hyperlight_ws_private_sockets`, nil)
	replaysActive  = metrics.NewGauge(`hyperlight_replays_active`, nil)
	replayEvents   = metrics.NewCounter(`hyperlight_replay_events_total`)
	replayLateness = metrics.NewHistogram(`hyperlight_replay_lateness_seconds`) // of paced events, at their encoding
	queuedBytes    = newSum(`hyperlight_ws_queue_bytes`)
	ringBytes      = newSum(`hyperlight_ws_ring_bytes`)
	// fanOut is from an event's receive time to its frame in every subscriber's queue.
	fanOut = metrics.NewSummaryExt(`hyperlight_ws_fanout_seconds`, time.Minute, []float64{0.5, 0.9, 0.99, 0.999})
)

// newSum returns a gauge that counts integers, which each delivery changes: the library's own adds floats, in a loop.
func newSum(name string) *atomic.Int64 {
	n := new(atomic.Int64)
	metrics.NewGauge(name, func() float64 { return float64(n.Load()) })
	return n
}

// Why a frame or a message was not delivered.
const (
	dropSlow = "slow_client"  // a connection closed with 4011
	dropRate = "message_rate" // a client message above the rate
)

// showMetrics makes every labelled metric visible with zero: an alert on one that only comes with its first event misses it.
func showMetrics() {
	dropped(dropSlow)
	dropped(dropRate)
	for _, path := range []string{pathLive, pathStream, pathReplay, pathPast} {
		connections(path)
	}
	for _, f := range families {
		subscriptions(f.name)
	}
	for f := range nativeHeight + 1 {
		nativeSubscriptions(f)
	}
	for code := range closeReasons {
		closes(code)
	}
}

func dropped(reason string) *metrics.Counter {
	return metrics.GetOrCreateCounter(`hyperlight_ws_dropped_total{reason="` + reason + `"}`)
}

func connections(path string) *metrics.Gauge {
	return metrics.GetOrCreateGauge(`hyperlight_ws_connections{path="`+path+`"}`, nil)
}

func subscriptions(family string) *metrics.Gauge {
	return metrics.GetOrCreateGauge(`hyperlight_ws_subscriptions{family="`+family+`"}`, nil)
}

// nativeSubscriptions counts those in the venue's own form apart from ours.
func nativeSubscriptions(f nativeFamily) *metrics.Gauge {
	return metrics.GetOrCreateGauge(`hyperlight_ws_subscriptions{family="native_`+f.String()+`"}`, nil)
}

// closes counts a close code. A client may send any code: those that are not ours share one label.
func closes(code closeCode) *metrics.Counter {
	if _, ours := closeReasons[code]; !ours {
		return metrics.GetOrCreateCounter(`hyperlight_ws_closes_total{code="other"}`)
	}
	return metrics.GetOrCreateCounter(fmt.Sprintf(`hyperlight_ws_closes_total{code="%d"}`, code))
}
