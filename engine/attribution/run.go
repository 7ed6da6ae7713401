package attribution

import (
	"context"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/model"
)

const (
	// leastPause lies between two polls of a market, contract 7.2.
	leastPause = time.Second
	// mostPause is how long a market rests after polls that failed.
	mostPause = time.Minute
	// pollTime is how long a poll may take with its wait for the budget.
	pollTime = 15 * time.Second
	// mostPolls run at once.
	mostPolls = 4
	// idle is how often it is looked whether markets are still watched.
	idle = time.Second
)

var (
	listsJoined  = metrics.NewCounter(`hyperlight_attribution_lists_total{outcome="joined"}`)
	listsLate    = metrics.NewCounter(`hyperlight_attribution_lists_total{outcome="stream_broke"}`)
	listsFailed  = metrics.NewCounter(`hyperlight_attribution_lists_total{outcome="failed"}`)
	marketsGauge = "hyperlight_attribution_markets"
)

// Run polls the markets that are watched until ctx ends.
func (w *Owners) Run(ctx context.Context) error {
	set := metrics.NewSet()
	set.NewGauge(marketsGauge, func() float64 { return float64(len(*w.markets.Load())) })
	metrics.RegisterSet(set)
	defer metrics.UnregisterSet(set, true)
	var polls sync.WaitGroup
	defer polls.Wait()
	done := make(chan *tracked, mostPolls)
	running := 0
	var next time.Time // when a poll may begin, by the allowance
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-done:
			t.polling = false
			running--
		case <-w.wake:
		case <-timer.C:
		}
		now := w.o.Now()
		w.forget(now)
		wait := idle
		for running < mostPolls {
			t, due := w.due()
			if t == nil {
				break
			}
			if !due.After(now) && !w.joinable(t) {
				t.asked = now // it rests as after a poll, of which it takes none from the others
				continue
			}
			if due.Before(next) {
				due = next
			}
			if d := due.Sub(now); d > 0 {
				wait = min(wait, d)
				break
			}
			t.polling, t.asked, next = true, now, now.Add(time.Minute/time.Duration(w.o.PerMinute))
			running++
			polls.Go(func() {
				w.poll(ctx, t)
				done <- t
			})
		}
		timer.Reset(wait)
	}
}

// due returns the market whose turn it is, the one polled longest ago first, and when it is; nil where none is watched.
func (w *Owners) due() (first *tracked, at time.Time) {
	for _, t := range *w.markets.Load() {
		if t.polling {
			continue
		}
		if due := t.due(); first == nil || due.Before(at) {
			first, at = t, due
		}
	}
	return first, at
}

// joinable tells whether there is a live book that a list can be joined to.
func (w *Owners) joinable(t *tracked) bool {
	_, known := w.o.Markets(t.id)
	v, fresh := w.o.View(t.id)
	return known && fresh && v != nil
}

// due is when the market may be polled again.
func (t *tracked) due() time.Time {
	if t.asked.IsZero() {
		return t.asked
	}
	return t.asked.Add(min(leastPause<<min(t.failures, 6), mostPause))
}

// poll asks for a market's orders and joins them to its levels.
func (w *Owners) poll(ctx context.Context, t *tracked) {
	m, known := w.o.Markets(t.id)
	v, fresh := w.o.View(t.id)
	if !known || !fresh || v == nil {
		return // nothing to join to
	}
	t.seed(v)
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	l, err := w.o.Poll(ctx, m)
	if err != nil {
		listsFailed.Inc()
		if t.failures++; t.failures == 1 && ctx.Err() == nil {
			w.log.Warn("resting orders not read", "market", m.Symbol, "error", err)
		}
		return
	}
	t.failures = 0
	select {
	case <-ctx.Done():
		return
	case <-time.After(settle):
	}
	seen, ok := t.join(l)
	if !ok {
		listsLate.Inc()
		return
	}
	listsJoined.Inc()
	if w.o.Saw != nil {
		told := make(map[model.AccountID]struct{}, len(seen))
		for _, a := range seen {
			if _, twice := told[a]; !twice {
				told[a] = struct{}{}
				w.o.Saw(a)
			}
		}
	}
}
