package market

import (
	"context"
	"errors"
	"sync"
	"time"

	"hyperlight/engine/model"
)

// item is what waits in a shard's queue: an event, or a tick where tick is set.
type item struct {
	event model.Event
	tick  model.Micros
}

// Deliver hands an event to its market's shard and keeps it: the caller must own e and its payload. It blocks while the
// shard's queue is full. A gap of model.NoMarket concerns all markets. Events of one market are applied in the order of
// the calls. Listeners must not call it. It returns ctx's error, or ErrStopped once Run has ended.
func (r *Registry) Deliver(ctx context.Context, e model.Event) error {
	r.delivering.Add(1)
	defer r.delivered()
	if r.stopped.Load() {
		return ErrStopped
	}
	if e.Market != model.NoMarket {
		return r.put(ctx, r.queues[int(e.Market)%len(r.queues)], item{event: e})
	}
	if _, gap := e.Payload.(*model.Gap); !gap {
		return r.put(ctx, r.queues[0], item{event: e})
	}
	for _, q := range r.queues {
		if err := r.put(ctx, q, item{event: e}); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) delivered() {
	if r.delivering.Add(-1) == 0 && r.stopped.Load() {
		select {
		case r.idle <- struct{}{}:
		default:
		}
	}
}

// put waits for room in a queue and counts the time, while it passes, so that a stuck shard is seen.
func (r *Registry) put(ctx context.Context, q chan<- item, it item) error {
	select {
	case q <- it:
		return nil
	default:
	}
	since := r.o.Now()
	blocked := func() {
		now := r.o.Now()
		if d := now.Sub(since); d > 0 {
			blockedSeconds.Add(d.Seconds())
		}
		since = now
	}
	report := time.NewTicker(time.Second)
	defer report.Stop()
	defer blocked()
	for {
		select {
		case q <- it:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-report.C:
			blocked()
		}
	}
}

// Run runs the shards and the snapshot clock until ctx ends, then applies what is queued and returns nil. It can be
// called once.
func (r *Registry) Run(ctx context.Context) error {
	if !r.started.CompareAndSwap(false, true) {
		return errors.New("run market registry: it ran already")
	}
	defer r.gauges()()
	var shards, clock sync.WaitGroup
	for _, q := range r.queues {
		shards.Go(func() { r.newShard().run(q) })
	}
	clock.Go(func() { r.clock(ctx) })
	<-ctx.Done()
	clock.Wait()
	r.stopped.Store(true)
	for r.delivering.Load() != 0 {
		<-r.idle // the shards still make room for the calls in progress
	}
	for _, q := range r.queues {
		close(q)
	}
	shards.Wait()
	return nil
}

// run handles a queue until it is closed and empty.
func (s *Shard) run(q <-chan item) {
	for it := range q {
		if it.tick != 0 {
			s.Tick(it.tick)
			continue
		}
		e := it.event // listeners may keep it: each event has its own memory
		s.Handle(&e)
	}
}

// clock puts a tick for each full second into every queue. A full queue gets none: its events carry the shard's time
// forward themselves, and the next tick makes up for what was missed.
func (r *Registry) clock(ctx context.Context) {
	next := r.o.Now().Truncate(time.Second).Add(time.Second)
	timer := time.NewTimer(next.Sub(r.o.Now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := r.o.Now()
		early := next.Sub(now)
		if early <= 0 || early > time.Second { // more: the clock was set back, and the shards decide who hears a second again
			full := now.Truncate(time.Second)
			for _, q := range r.queues {
				select {
				case q <- item{tick: model.Micros(full.UnixMicro())}:
				default:
				}
			}
			next = full.Add(time.Second)
		}
		timer.Reset(next.Sub(now))
	}
}
