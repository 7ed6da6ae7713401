package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/replay"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

var (
	errNoSignal   = model.NotFound("signal not found")
	errNoDelivery = model.NotFound("delivery not found")
	errPending    = &model.Error{Code: model.CodeConflict, Message: "the delivery is still being tried, wait until it has failed"}
)

// Create makes a signal; limit is how many the owner may have by this call, Unlimited leaves that to its plan.
func (d *Desk) Create(ctx context.Context, owner uuid.UUID, limit int, draft Draft) (Signal, error) {
	if err := draft.complete(); err != nil {
		return Signal{}, err
	}
	id := draft.ID
	if id == uuid.Nil || d.known(id) {
		id = uuid.New()
	}
	h := &held{info: &Signal{ID: id, Owner: owner, Enabled: true, Cooldown: DefaultCooldown * time.Second}}
	next, err := d.apply(ctx, h, draft)
	if err != nil {
		return Signal{}, err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mu.RLock()
	count := len(d.owners[owner])
	d.mu.RUnlock()
	if limit := min(atMost(limit), d.allowed(owner)); count >= limit { // the plan may have changed since the call began
		return Signal{}, &model.Error{
			Code: model.CodeForbidden, Message: fmt.Sprintf("your plan allows %d signals: delete one, or take a higher plan", limit),
			Details: map[string]any{"limit": limit},
		}
	}
	next.info.Created = next.info.Updated
	if err := d.put(next, signal.State{}); err != nil {
		return Signal{}, err
	}
	d.mu.Lock()
	d.signals[id] = next
	at, _ := slices.BinarySearchFunc(d.owners[owner], next, older)
	d.owners[owner] = slices.Insert(d.owners[owner], at, next)
	d.mu.Unlock()
	d.arm(next, true)
	d.settle(owner) // of a plan that has grown others may live now, and the newest must not do so alone
	return d.view(next), nil
}

// List returns an owner's signals, oldest first, and how many there are in all. limit 0 takes all.
func (d *Desk) List(owner uuid.UUID, f Filter, offset, limit int) (page []Signal, total int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := d.owners[owner]
	if owner == Anyone {
		all = make([]*held, 0, len(d.signals))
		for _, h := range d.signals {
			all = append(all, h)
		}
		slices.SortFunc(all, older)
	}
	for _, h := range all {
		if f.Market != nil && h.info.Market != *f.Market || f.Enabled != nil && h.info.Enabled != *f.Enabled {
			continue
		}
		if total >= offset && (limit == 0 || len(page) < limit) {
			page = append(page, h.view())
		}
		total++
	}
	return page, total
}

// Get returns a signal of an owner.
func (d *Desk) Get(owner, id uuid.UUID) (Signal, error) {
	h, err := d.find(owner, id)
	if err != nil {
		return Signal{}, err
	}
	return d.view(h), nil
}

func (d *Desk) find(owner, id uuid.UUID) (*held, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	h := d.signals[id]
	if h == nil || owner != Anyone && h.info.Owner != owner {
		return nil, errNoSignal
	}
	return h, nil
}

func (d *Desk) view(h *held) Signal {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return h.view()
}

// Patch changes the members that the draft has. Another rule or market, and enabling what was not evaluated, forget what
// crossing conditions have seen; enabling lifts a suspension.
func (d *Desk) Patch(ctx context.Context, owner, id uuid.UUID, draft Draft) (Signal, error) {
	h, err := d.find(owner, id)
	if err != nil {
		return Signal{}, err
	}
	h.patching.Lock() // checking addresses takes a while; two patches must not build on the same signal
	defer h.patching.Unlock()
	next, err := d.apply(ctx, h, draft)
	if err != nil {
		return Signal{}, err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	if _, err := d.find(owner, id); err != nil { // deleted meanwhile
		return Signal{}, err
	}
	d.mu.RLock()
	next.adopt(h)
	woken := !h.active() && draft.enables()
	d.mu.RUnlock()
	next.forgive(&draft)
	reset := woken || h.info.Market != next.info.Market || !h.info.Rule.Same(next.info.Rule)
	state := d.state(h)
	if reset {
		state = state.Reset()
		next.revision++
	}
	if err := d.put(next, state); err != nil {
		return Signal{}, err
	}
	d.mu.Lock()
	old := h.info.Market
	h.info, h.channels, h.revision, h.saved = next.info, next.channels, next.revision, next.saved
	h.forgive(&draft) // what deliveries came to while this was written stays
	d.mu.Unlock()
	if old != h.info.Market {
		d.disarm(h, old)
	}
	d.arm(h, reset)
	return d.view(h), nil
}

// Delete removes a signal with its log; deliveries that wait are dropped.
func (d *Desk) Delete(owner, id uuid.UUID) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	h, err := d.find(owner, id)
	if err != nil {
		return err
	}
	b := d.o.Store.NewBatch()
	b.Delete(key.Signal(nil, h.info.Owner, id))
	b.Delete(key.SignalState(nil, id))
	d.queue.Drop(b, id)
	if err := d.o.Store.CommitReserve(b, kv.Sync); err != nil {
		return stored("delete signal", err)
	}
	d.mu.Lock()
	delete(d.signals, id)
	left := slices.DeleteFunc(d.owners[h.info.Owner], func(x *held) bool { return x == h })
	if d.owners[h.info.Owner] = left; len(left) == 0 {
		delete(d.owners, h.info.Owner)
	}
	d.mu.Unlock()
	d.disarm(h, h.info.Market)
	d.settle(h.info.Owner)
	if err := d.queue.Forget(context.Background(), id); err != nil { // nobody can see it any more
		d.log.Warn("the log of a deleted signal cannot be removed", "signal_id", id, "err", err)
	}
	return nil
}

// Recent returns the last deliveries of a signal, newest first, RecentDeliveries at most.
func (d *Desk) Recent(ctx context.Context, owner, id uuid.UUID) ([]delivery.Delivery, error) {
	if _, err := d.find(owner, id); err != nil {
		return nil, err
	}
	out, err := d.queue.Recent(ctx, id, RecentDeliveries)
	return out, stored("read deliveries", err)
}

// Resend delivers a finished delivery of a signal once more, under the same id and with the same bytes.
func (d *Desk) Resend(_ context.Context, owner, id, deliveryID uuid.UUID) (delivery.Delivery, error) {
	d.changing.Lock() // the row must not be cut from the log, nor the signal be deleted, meanwhile
	defer d.changing.Unlock()
	if _, err := d.find(owner, id); err != nil {
		return delivery.Delivery{}, err
	}
	out, err := d.queue.Resend(id, deliveryID)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return out, errNoDelivery
	case errors.Is(err, delivery.ErrPending):
		return out, errPending
	}
	return out, stored("send again", err)
}

// Backtest tells how often a signal would have fired in from <= t < to: the very same evaluator over the record. How long a
// span may be, and whether the record is whole in it, is the caller's to say.
func (d *Desk) Backtest(ctx context.Context, owner, id uuid.UUID, from, to model.Millis) (Test, error) {
	s, err := d.Get(owner, id)
	if err != nil {
		return Test{}, err
	}
	m, ok := d.o.Markets.Get(s.Market)
	if !ok || d.o.Record.History == nil {
		return Test{}, model.NotFound("market not found")
	}
	events := signal.Stream(ctx, d.o.Record, m, Span{From: from, To: to}, s.Rule.Fields())
	r, err := signal.Backtest(ctx, s.Rule, s.Cooldown, events)
	if errors.Is(err, replay.ErrRemoved) {
		return Test{}, &model.Error{Code: model.CodeServiceUnavailable, Message: "part of the range was removed while it was read, try again", Err: err}
	}
	if err != nil {
		return Test{}, stored("go through the record", err)
	}
	return Test{Signal: s, Result: r}, nil
}

func stored(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	if errors.Is(err, kv.ErrReadOnly) || errors.Is(err, kv.ErrClosed) {
		return &model.Error{Code: model.CodeServiceUnavailable, Message: "storage is not ready, try again later", Err: err}
	}
	return err
}
