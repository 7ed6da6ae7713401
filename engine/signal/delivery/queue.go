package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

var defaultSchedule = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// grace is how long calls under way may go on when the queue stops; one that is cut off is made again later.
const grace = 2 * time.Second

// Queue is the deliveries that are not finished, and the log of all. From Stage to Begin or Abort, from Drop to Forget, and
// Resend belong to one goroutine at a time, Run is called once; everything else may be called from any goroutine.
type Queue struct {
	o      Options
	log    *slog.Logger
	client atomic.Pointer[client] // of the policy in force
	wake   chan struct{}

	// farthest is how far ahead anything can be due. What is due later still was queued before the clock was set back.
	farthest model.Millis

	mu    sync.Mutex // guards room and grown; see engine/LOCKS.md
	room  waitingRoom
	grown map[uuid.UUID]int // rows that a signal's log has had since it was cut

	cutBefore uint32 // the day before which the log was dropped last; Trim's own
}

// Open reads what waits in the store. Rows of signals that are gone, and of deliveries that are finished, are removed.
// Nothing is sent before Run.
func Open(ctx context.Context, o Options) (*Queue, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Schedule == nil {
		o.Schedule = defaultSchedule
	}
	q := &Queue{
		o: o, log: o.Logger.With("component", "webhooks"), wake: make(chan struct{}, 1), room: newWaitingRoom(), grown: map[uuid.UUID]int{},
	}
	q.SetPolicy(o.Policy)
	longest := maxRetryAfter
	for _, wait := range o.Schedule {
		longest = max(longest, wait+wait/10)
	}
	q.farthest = model.Millis(longest.Milliseconds())
	if err := q.load(ctx); err != nil {
		return nil, fmt.Errorf("load deliveries: %w", err)
	}
	return q, nil
}

// Guard returns what decides which addresses may be called.
func (q *Queue) Guard() *Guard { return q.client.Load().guard }

// SetPolicy changes which addresses may be called. Calls under way end under the policy that they began with; their
// connections are not used again.
func (q *Queue) SetPolicy(p Policy) {
	if old := q.client.Swap(newClient(NewGuard(p, q.o.Resolver), q.o.Version, q.o.Now)); old != nil {
		old.close()
	}
}

func (q *Queue) load(ctx context.Context) error {
	gone := q.o.Store.NewBatch()
	for row, err := range q.o.Store.Scan(ctx, key.All(key.DeliveryQueue)) {
		if err != nil {
			return err
		}
		k, err := key.ParseQueued(row.Key)
		if err != nil {
			return err
		}
		v, err := record.DecodeQueued(row.Value)
		if err != nil {
			return err
		}
		d, err := q.read(v.Signal, v.TriggeredAt, k.ID)
		known := false
		if err == nil {
			known = q.o.Known(v.Signal)
		}
		switch {
		case errors.Is(err, kv.ErrNotFound), err == nil && (!known || Status(d.Status) != Pending):
			gone.Delete(row.Key)
			continue
		case err != nil:
			return err
		}
		p, _ := q.room.reserve(place{d.Owner, d.URL}, true)
		q.room.put(&entry{
			id: k.ID, signal: v.Signal, triggered: v.TriggeredAt, due: model.Millis(k.Due), before: int(v.Before), attempts: int(d.Attempts),
			resent: v.Resent, point: p,
		})
	}
	return q.o.Store.CommitReserve(gone, kv.Sync)
}

// NewID returns the id of a delivery to be made. It is a UUID of version 7 that carries when the signal triggered, so that
// the row of an id is found without a search.
func NewID(triggered model.Millis) uuid.UUID {
	id := uuid.New() // random but for the version
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(triggered)<<16)
	copy(id[:6], ms[:6])
	id[6] = id[6]&0x0f | 0x70
	return id
}

// triggeredAt returns what NewID was given; false of an id that it did not make.
func triggeredAt(id uuid.UUID) (model.Millis, bool) {
	if id.Version() != 7 {
		return 0, false
	}
	var ms [8]byte
	copy(ms[2:], id[:6])
	return model.Millis(binary.BigEndian.Uint64(ms[:])), true
}

// Staged are posts whose rows are in a batch.
type Staged struct {
	entries []*entry
	full    []Outcome
}

// Stage adds the rows of posts to a batch. Where an endpoint has no room left the row says so, and nothing waits. After the
// batch was committed Begin must be called, Abort where that failed.
func (q *Queue) Stage(b *kv.Batch, posts []Post) *Staged {
	s := &Staged{}
	now := q.now()
	for i := range posts {
		p := &posts[i]
		row := record.Delivery{Owner: p.Owner, URL: p.URL, Body: p.Body}
		q.mu.Lock()
		point, room := q.room.reserve(place{p.Owner, p.URL}, false)
		q.mu.Unlock()
		switch {
		case room && len(p.Body) <= MaxBody:
			e := &entry{id: p.ID, signal: p.Signal, triggered: p.TriggeredAt, due: now, event: p.Event, point: point}
			q.setQueued(b, e)
			s.entries = append(s.entries, e)
		case room: // cannot happen with the limits of rules and names; the receiver is spared all the same
			q.mu.Lock()
			q.room.release(point)
			q.mu.Unlock()
			row.LastError, row.Body = "body_too_large", nil
		default:
			row.LastError = "queue_full"
		}
		if row.LastError != "" {
			row.Status = uint8(Failed)
			s.full = append(s.full, Outcome{Delivery: view(p.ID, p.Signal, p.TriggeredAt, &row)})
		}
		b.Set(key.Delivery(nil, p.Signal, int64(p.TriggeredAt), p.ID), record.AppendDelivery(nil, &row))
	}
	return s
}

// Begin puts committed posts into the queue.
func (q *Queue) Begin(s *Staged) {
	q.mu.Lock()
	for _, e := range s.entries {
		q.room.put(e)
		q.grown[e.signal]++
	}
	for i := range s.full {
		q.grown[s.full[i].Signal]++
	}
	q.mu.Unlock()
	q.poke()
	for _, o := range s.full {
		finished(Failed).Inc()
		q.o.Finished(o)
	}
}

// Abort gives back the places of posts that were not committed.
func (q *Queue) Abort(s *Staged) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range s.entries {
		q.room.release(e.point)
	}
}

// Run sends what is due until ctx ends; then calls under way have a moment to end.
func (q *Queue) Run(ctx context.Context) {
	defer q.gauges()()
	defer func() { q.client.Load().close() }()
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var workers sync.WaitGroup
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := q.now()
		q.mu.Lock()
		e, at := q.room.next(now, q.farthest)
		q.mu.Unlock()
		if e != nil {
			workers.Go(func() { q.deliver(calls, e) })
			continue
		}
		wait := time.Hour
		if at > now {
			wait = time.Duration(at-now) * time.Millisecond
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
	}
	late := time.AfterFunc(grace, cut)
	defer late.Stop()
	workers.Wait()
}

func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) now() model.Millis { return model.Millis(q.o.Now().UnixMilli()) }

// deliver makes one attempt and writes what it came to.
func (q *Queue) deliver(ctx context.Context, e *entry) {
	done := true
	defer func() {
		q.mu.Lock()
		q.room.ended(e, done || e.dropped)
		q.mu.Unlock()
		q.poke()
	}()
	row, err := q.read(e.signal, e.triggered, e.id)
	if err != nil {
		q.log.Error("delivery cannot be read", "delivery_id", e.id, "err", err)
		return
	}
	a, withdrawn := answer{}, true
	if secrets, err := q.o.Secrets(e.signal, row.URL); err != nil {
		a.text = err.Error()
	} else {
		if !e.event.IsZero() {
			delay.Update(q.o.Now().Sub(e.event).Seconds())
			e.event = time.Time{}
		}
		withdrawn = false
		start := time.Now()
		a = q.client.Load().call(ctx, row.URL, secrets, e.id, int(row.Attempts)+1, row.Body)
		callSeconds.Update(time.Since(start).Seconds())
		if ctx.Err() != nil && !a.ok {
			return // cut off by the stop: the row in the store still waits
		}
		row.Attempts++
		attempts(&a).Inc()
	}
	e.attempts = int(row.Attempts)
	row.LastStatus, row.LastError = uint32(a.status), a.text
	done = q.settle(e, &row, &a, withdrawn)
}

// settle writes the outcome of an attempt, and tells whether the delivery is finished.
func (q *Queue) settle(e *entry, row *record.Delivery, a *answer, withdrawn bool) (done bool) {
	now := q.now()
	tries := e.attempts - e.before
	again := !a.ok && a.retry && tries <= len(q.o.Schedule)
	b := q.o.Store.NewBatch()
	b.Delete(key.Queued(nil, int64(e.due), e.id))
	q.mu.Lock()
	dropped := e.dropped
	q.mu.Unlock()
	switch {
	case dropped:
		return true // its rows went with the signal
	case again:
		wait := max(jittered(q.o.Schedule[max(tries-1, 0)]), a.after)
		q.mu.Lock()
		e.due = now + model.Millis(wait.Milliseconds())
		q.mu.Unlock()
		q.setQueued(b, e)
	case a.ok:
		row.Status, row.DeliveredAt = uint8(Delivered), now
	default:
		row.Status = uint8(Failed)
	}
	b.Set(key.Delivery(nil, e.signal, int64(e.triggered), e.id), record.AppendDelivery(nil, row))
	// Also on a disk that is short of space: a row that went on saying that this delivery waits would be sent again.
	if err := q.o.Store.CommitReserve(b, kv.Sync); err != nil {
		q.log.Error("outcome of a delivery cannot be written", "delivery_id", e.id, "err", err)
	}
	if again {
		return false
	}
	finished(Status(row.Status)).Inc()
	q.o.Finished(Outcome{Delivery: view(e.id, e.signal, e.triggered, row), Gone: a.gone, Resent: e.resent, Withdrawn: withdrawn})
	return true
}

func (q *Queue) setQueued(b *kv.Batch, e *entry) {
	v := record.Queued{Signal: e.signal, TriggeredAt: e.triggered, Before: uint32(e.before), Resent: e.resent}
	b.Set(key.Queued(nil, int64(e.due), e.id), record.AppendQueued(nil, v))
}
