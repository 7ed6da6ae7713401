package desk

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

const (
	maxBatch  = 256              // triggers in one commit
	saveEvery = 10 * time.Second // how old the stored values of crossing conditions may be
	trimEvery = time.Minute
)

// Run writes triggers and delivers until ctx ends; then what was told is written, and deliveries under way have a moment to
// end. The shards must have ended before.
func (d *Desk) Run(ctx context.Context) error {
	defer d.gauges()()
	calls, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var deliveries sync.WaitGroup
	deliveries.Go(func() { d.queue.Run(calls) })
	deliveries.Go(func() { d.trim(calls) })
	deliveries.Go(func() { d.followPlans(calls) })
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case f := <-d.fired:
			d.write(d.gather(f))
		case <-d.wake:
			d.save(false)
		case <-save.C:
			d.save(true)
		}
	}
	for len(d.fired) > 0 {
		d.write(d.gather(<-d.fired))
	}
	stop()
	deliveries.Wait()
	d.save(true)
	return nil
}

// trim bounds the log of deliveries until ctx ends.
func (d *Desk) trim(ctx context.Context) {
	again := time.NewTicker(trimEvery)
	defer again.Stop()
	for ctx.Err() == nil {
		if err := d.queue.Trim(ctx, &d.changing); err != nil && ctx.Err() == nil && !errors.Is(err, kv.ErrClosed) {
			d.log.Warn("old deliveries cannot be removed", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
}

// gather takes what waits behind a trigger.
func (d *Desk) gather(first firing) []firing {
	batch := []firing{first}
	for len(batch) < maxBatch {
		select {
		case f := <-d.fired:
			batch = append(batch, f)
		default:
			return batch
		}
	}
	return batch
}

// tally is what a batch of triggers makes of a signal.
type tally struct {
	h        *held
	triggers uint64
	last     model.Millis
	state    []byte
}

// write makes triggers and their deliveries durable, in one batch, and starts the deliveries.
func (d *Desk) write(batch []firing) {
	d.changing.Lock()
	defer d.changing.Unlock()
	now := d.now()
	tallies := map[uuid.UUID]*tally{}
	var posts []delivery.Post
	count := 0
	d.mu.RLock()
	for i := range batch {
		f := &batch[i]
		h := d.signals[f.info.ID]
		if h == nil || !h.active() || !d.o.Admits(h.info.Owner) {
			continue
		}
		t := tallies[f.info.ID]
		if t == nil {
			t = &tally{h: h, triggers: h.triggers, state: h.saved}
			tallies[f.info.ID] = t
		}
		t.triggers++
		t.last = now
		if f.revision == h.revision {
			t.state = signal.AppendState(nil, f.state)
		}
		count++
		for _, c := range h.view().Channels {
			if c.Disabled {
				continue
			}
			id := delivery.NewID(now)
			posts = append(posts, delivery.Post{
				ID: id, Signal: f.info.ID, Owner: f.info.Owner, URL: c.URL, TriggeredAt: now, Event: f.received, Body: f.body(id, now),
			})
		}
	}
	b := d.o.Store.NewBatch()
	for id, t := range tallies {
		b.Set(key.SignalState(nil, id), t.h.encode(t.triggers, t.last, t.state))
	}
	d.mu.RUnlock()
	staged := d.queue.Stage(b, posts)
	if err := d.o.Store.Commit(b, kv.Sync); err != nil {
		d.queue.Abort(staged)
		d.written(batch)
		d.lost(count, "the store takes no writes")
		return
	}
	d.mu.Lock()
	for _, t := range tallies {
		t.h.triggers, t.h.last, t.h.saved = t.triggers, t.last, t.state
	}
	d.mu.Unlock()
	d.written(batch)
	triggers.Add(count)
	d.queue.Begin(staged)
}

// written tells the evaluators that triggers have left the channel.
func (d *Desk) written(batch []firing) {
	for i := range batch {
		f := &batch[i]
		f.w.mu.Lock()
		if a, ok := f.w.infos[f.info.ID]; ok && a.unwritten > 0 {
			a.unwritten--
			f.w.infos[f.info.ID] = a
		}
		f.w.mu.Unlock()
	}
}

func (d *Desk) lost(n int, why string) {
	if n > 0 {
		triggersLost.Add(n)
		d.log.Error("triggers of signals are lost", "reason", why, "count", n)
	}
}

// save writes the states that changed: of all signals also what their crossing conditions have seen, else only what
// deliveries have changed. A trigger that is still on its way keeps its signal's state back, so that no cooldown is stored
// whose trigger is not.
func (d *Desk) save(all bool) {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mu.Lock()
	var dirty []*held
	for _, h := range d.signals {
		if h.dirty || all {
			dirty = append(dirty, h)
		}
	}
	d.mu.Unlock()
	b := d.o.Store.NewBatch()
	durability := kv.NoSync
	for _, h := range dirty {
		d.saveOne(b, h, &durability)
	}
	if err := d.o.Store.Commit(b, durability); err != nil && !errors.Is(err, kv.ErrClosed) {
		d.log.Warn("states of signals cannot be written", "err", err)
		d.mu.Lock()
		for _, h := range dirty {
			h.dirty = true // written with the next, whatever saved says
		}
		d.mu.Unlock()
	}
}

func (d *Desk) saveOne(b *kv.Batch, h *held, durability *kv.Durability) {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := h.saved
	if w := d.of(h.info.Market); w != nil {
		w.mu.Lock()
		if a := w.infos[h.info.ID]; a.unwritten == 0 {
			if s, ok := w.eval.State(h.info.ID); ok {
				state = signal.AppendState(nil, s)
				if !h.active() && w.eval.Enabled(h.info.ID) { // suspended since
					w.eval.Set(h.info.ID, h.info.Rule, false, h.info.Cooldown, s)
				}
			}
		}
		w.mu.Unlock()
	}
	if !h.dirty && bytes.Equal(state, h.saved) {
		return
	}
	if h.dirty {
		*durability = kv.Sync
	}
	h.dirty, h.saved = false, state
	b.Set(key.SignalState(nil, h.info.ID), h.encode(h.triggers, h.last, state))
}
