package refresh

import (
	"context"
	"errors"
	"slices"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

const (
	// maxActive bounds the calls under way for callers who wait; more would only wait for the budget, where others do too.
	maxActive = 16
	// maxFlights bounds what callers wait for: the accounts of four of the largest batches.
	maxFlights = 20_000
)

var (
	errLate   = &model.Error{Code: model.CodeUpstream, Message: "account could not be refreshed in time"}
	errFailed = &model.Error{Code: model.CodeUpstream, Message: "the venue did not answer for the account, try again"}
	errFull   = &model.Error{Code: model.CodeUpstream, Message: "too many unknown accounts are waited for, try again later"}
)

// target is what one call asks for: an account, or all accounts of an address. polled, when it was answered last, says
// how urgent it is where it waits in the queue; it is not part of its identity.
type target struct {
	id      model.AccountID
	owner   model.Address
	byOwner bool
	polled  model.Millis
}

func (t target) name() target {
	t.polled = 0
	return t
}

// flight is one target that is being asked for, or that callers wait for.
type flight struct {
	target  target
	waiters int
	begun   bool
	done    chan struct{} // closed when the answer is in the table, or err is set
	err     *model.Error
}

// request is one caller with what it waits for.
type request struct {
	flights []*flight
	next    int // the first that may not have begun
}

// join makes a request of targets, nil where there are none. Targets that somebody asks for already are shared.
func (r *Refresher) join(targets []target) *request {
	if len(targets) == 0 {
		return nil
	}
	q := &request{flights: make([]*flight, 0, len(targets))}
	for _, t := range targets {
		name := t.name()
		f := r.flights[name]
		if f == nil {
			f = &flight{target: name, done: make(chan struct{})}
			if len(r.flights) < maxFlights {
				r.flights[name] = f
				r.dequeue(name) // it is asked for now
			} else {
				f.err, f.begun = errFull, true
				close(f.done)
			}
		}
		f.waiters++
		q.flights = append(q.flights, f)
	}
	r.waiting = append(r.waiting, q)
	r.pump()
	return q
}

// wait waits until all flights of a request are done, ctx ends or the time is over.
func (r *Refresher) wait(ctx context.Context, q *request) map[model.AccountID]*model.Error {
	ctx, cancel := context.WithTimeout(ctx, waitAtMost)
	defer cancel()
	began := r.o.Now()
	for _, f := range q.flights {
		select {
		case <-f.done:
			continue
		case <-ctx.Done():
		}
		break
	}
	r.m.waited.Update(r.o.Now().Sub(began).Seconds())
	failed := map[model.AccountID]*model.Error{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range q.flights {
		err := errLate
		select {
		case <-f.done:
			err = f.err
		default:
			r.leave(f)
		}
		if err != nil {
			r.m.unanswered.Inc()
			if !f.target.byOwner {
				failed[f.target.id] = err
			}
		}
	}
	if i := slices.Index(r.waiting, q); i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
	}
	if len(failed) == 0 {
		return nil
	}
	return failed
}

// leave takes one caller away from a flight. What nobody waits for any more is asked for in its turn.
func (r *Refresher) leave(f *flight) {
	if f.waiters--; f.waiters > 0 || f.begun {
		return
	}
	delete(r.flights, f.target)
	r.enqueue(f.target)
}

// pump begins flights while there is room, one of each caller in turn, so that a caller with thousands of unknown accounts
// does not keep others from their few.
func (r *Refresher) pump() {
	for r.running != nil && r.active < maxActive && len(r.waiting) > 0 {
		q := r.waiting[0]
		r.waiting = slices.Delete(r.waiting, 0, 1)
		f := q.begin()
		if f == nil {
			continue
		}
		r.waiting = append(r.waiting, q)
		f.begun = true
		r.active++
		ctx := r.running
		r.calls.Go(func() {
			r.ask(ctx, f, feed.Refresh, whyWaited)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.active--
			r.pump()
		})
	}
}

// begin returns the next flight that has not begun, nil where none is left.
func (q *request) begin() *flight {
	for ; q.next < len(q.flights); q.next++ {
		if f := q.flights[q.next]; !f.begun {
			return f
		}
	}
	return nil
}

// ask calls the venue for a flight that has begun and ends it.
func (r *Refresher) ask(ctx context.Context, f *flight, p feed.Priority, why why) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := r.own.Acquire(ctx, p, 1)
	if err == nil {
		err = r.call(ctx, f.target, p)
	}
	r.m.calls[why][outcomeOf(err)].Inc()
	if err != nil && !errors.Is(err, ErrUnknown) {
		if ctx.Err() == nil {
			r.log.Debug("account not refreshed", "account", uint64(f.target.id), "error", err)
		}
		f.err = errFailed
	}
	r.mu.Lock()
	delete(r.flights, f.target)
	r.mu.Unlock()
	close(f.done)
}

// call asks the venue and tells the table.
func (r *Refresher) call(ctx context.Context, t target, p feed.Priority) error {
	if !t.byOwner {
		row, err := r.o.Venue.Account(ctx, p, t.id)
		switch {
		case errors.Is(err, ErrUnknown):
			r.o.Table.Missing(t.id, r.now())
		case err == nil:
			r.o.Table.Polled(&row)
		}
		return err
	}
	rows, err := r.o.Venue.AccountsOf(ctx, p, t.owner)
	unknown := errors.Is(err, ErrUnknown) || err == nil && len(rows) == 0
	if err != nil && !unknown {
		return err
	}
	for i := range rows {
		r.o.Table.Polled(&rows[i])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.owners) >= maxOwners {
		clear(r.owners)
	}
	r.owners[t.owner] = owner{at: r.now(), unknown: unknown}
	return err
}
