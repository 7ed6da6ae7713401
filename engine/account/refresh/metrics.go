package refresh

import (
	"context"
	"errors"
	"fmt"

	"hyperlight/engine/feed"

	"github.com/VictoriaMetrics/metrics"
)

// why says what a call was made for.
type why uint8

const (
	whyWaited  why = iota // a caller waits for an account that is not known
	whyAsked              // somebody asked for a stale one
	whyUrgent             // large and near its forced close
	whyWatched            // its history is kept, or the stream carries it
	whyOpen               // in turn
	whyIdle               // in turn, without an open position
	whyCount
)

var whyNames = [whyCount]string{"waited", "asked", "urgent", "watched", "open", "idle"}

type outcome uint8

const (
	outcomeAnswered outcome = iota
	outcomeUnknown
	outcomeBudget
	outcomeFailed
	outcomeCount
)

var outcomeNames = [outcomeCount]string{"answered", "unknown", "budget", "failed"}

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return outcomeAnswered
	case errors.Is(err, ErrUnknown):
		return outcomeUnknown
	case errors.Is(err, feed.ErrBudget), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return outcomeBudget
	}
	return outcomeFailed
}

type instruments struct {
	calls      [whyCount][outcomeCount]*metrics.Counter
	unanswered *metrics.Counter // waited for, and not there when the caller's time was over
	dropped    *metrics.Counter // the queue was full
	snapshots  *metrics.Counter
	waited     *metrics.Histogram
}

func newInstruments() *instruments {
	m := &instruments{
		unanswered: metrics.GetOrCreateCounter("hyperlight_account_refresh_unanswered_total"),
		dropped:    metrics.GetOrCreateCounter("hyperlight_account_refresh_dropped_total"),
		snapshots:  metrics.GetOrCreateCounter("hyperlight_account_snapshots_total"),
		waited:     metrics.GetOrCreateHistogram("hyperlight_account_refresh_wait_seconds"),
	}
	for w := range m.calls {
		for o := range m.calls[w] {
			m.calls[w][o] = metrics.GetOrCreateCounter(
				fmt.Sprintf(`hyperlight_account_refresh_calls_total{why=%q,outcome=%q}`, whyNames[w], outcomeNames[o]))
		}
	}
	return m
}

// Status tells how the refresher is.
type Status struct {
	Queued   int // accounts that were asked for and wait for their turn
	Waited   int // accounts that callers wait for
	Spent    int // weight of the last 60 s
	Streamed int // accounts that the stream should carry
	Tracked  int // accounts whose history was asked for
}

// Status returns the state now.
func (r *Refresher) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{Queued: r.queue.Len(), Spent: r.own.Used(), Streamed: len(r.watch.streamed), Tracked: len(r.watch.tracked)}
	for _, f := range r.flights {
		if f.waiters > 0 {
			s.Waited++
		}
	}
	return s
}

func (r *Refresher) gauges() *metrics.Set {
	set := metrics.NewSet()
	gauge := func(name string, value func(Status) int) {
		set.NewGauge("hyperlight_account_refresh_"+name, func() float64 { return float64(value(r.Status())) })
	}
	gauge("queued", func(s Status) int { return s.Queued })
	gauge("waited_for", func(s Status) int { return s.Waited })
	gauge("weight_used", func(s Status) int { return s.Spent })
	gauge("streamed", func(s Status) int { return s.Streamed })
	gauge("tracked", func(s Status) int { return s.Tracked })
	set.NewGauge("hyperlight_account_refresh_round_age_seconds", func() float64 { return float64(r.round.Load()) / 1000 })
	metrics.RegisterSet(set)
	return set
}

// unregister takes the gauges of a refresher that has ended out of the metrics.
func unregister(set *metrics.Set) { metrics.UnregisterSet(set, true) }
