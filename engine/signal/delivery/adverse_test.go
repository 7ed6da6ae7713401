package delivery

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// A clock that is set back by a day delays no delivery by a day.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, status(500))
	r.add(1)
	r.step()
	r.mu.Lock()
	r.clock = r.clock.Add(-24 * time.Hour)
	r.mu.Unlock()
	r.Queue.mu.Lock()
	e, at := r.room.next(r.now(), r.farthest)
	r.Queue.mu.Unlock()
	if e == nil {
		t.Fatalf("the second attempt waits %d s", (at-r.now())/1000)
	}
	r.deliver(context.Background(), e)
	if len(r.calls) != 2 || len(r.done) != 1 || r.done[0].Status != Delivered {
		t.Errorf("got %d calls and %+v", len(r.calls), r.done)
	}
	if n := waiting(t, r.store); n != 0 {
		t.Errorf("%d rows wait in the store", n)
	}
}

// waiting counts the queue's rows in a store.
func waiting(t *testing.T, store *kv.Store) (n int) {
	t.Helper()
	for _, err := range store.Scan(context.Background(), key.All(key.DeliveryQueue)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// However many owners have receivers that all hang, one more owner gets a worker at once; an owner alone gets its whole share,
// also one that was held back while others had many calls under way.
func TestShareOfWorkers(t *testing.T) {
	w := newWaitingRoom()
	var running []*entry
	start := func() (n int) {
		for {
			e, _ := w.next(0, 0)
			if e == nil {
				return n
			}
			running, n = append(running, e), n+1
		}
	}
	queue := func(owner uuid.UUID, endpoints int) {
		for i := range endpoints {
			p, _ := w.reserve(place{owner, fmt.Sprint(i)}, false)
			w.put(&entry{id: uuid.New(), point: p})
		}
	}
	greedy := uuid.New()
	queue(greedy, 100)
	if n := start(); n != 13 { // a quarter of what is left after them
		t.Errorf("an owner alone has %d calls at once", n)
	}
	for range 10 {
		queue(uuid.New(), 100)
		if n := start(); n == 0 && w.running < Workers {
			t.Fatalf("an owner gets no worker though %d are idle", Workers-w.running)
		}
	}
	last := uuid.New()
	queue(last, 1)
	if start() != 1 {
		t.Errorf("the twelfth owner waits, %d calls are under way", w.running)
	}
	for len(running) > 0 { // everything ends, and everything else has its turn
		e := running[0]
		running = running[1:]
		w.ended(e, true)
		start()
		if len(running) < 13 && len(w.entries) > 100 {
			t.Fatalf("%d calls under way while %d wait", len(running), len(w.entries)-len(running))
		}
	}
	if len(w.entries) != 0 || len(w.points) != 0 || len(w.owners) != 0 || w.running != 0 {
		t.Errorf("left over: %d entries, %d endpoints, %d owners, %d running", len(w.entries), len(w.points), len(w.owners), w.running)
	}
}

// A row of the queue whose delivery is finished, as a write that failed halfway through its retries leaves one, is not sent
// again after a restart.
func TestFinishedIsNotQueuedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.add(1)[0]
	r.drain()
	b := r.store.NewBatch()
	b.Set(key.Queued(nil, int64(r.now()), id), record.AppendQueued(nil, record.Queued{Signal: r.signal, TriggeredAt: r.now()}))
	if err := r.store.Commit(b, kv.Sync); err != nil {
		t.Fatal(err)
	}
	r.open(r.store)
	r.drain()
	if len(r.calls) != 1 || waiting(t, r.store) != 0 {
		t.Errorf("got %d calls, %d rows wait", len(r.calls), waiting(t, r.store))
	}
}

// A delivery whose channel is gone calls nobody, and is told apart from one that a receiver refused.
func TestWithdrawnIsNoFailureOfAReceiver(t *testing.T) {
	t.Parallel()
	r := newRig(t, status(400))
	r.add(2)
	r.step()
	r.secrets = nil
	r.signal = uuid.New() // the other one is gone
	r.drain()
	if len(r.calls) != 1 || len(r.done) != 2 || r.done[0].Withdrawn || !r.done[1].Withdrawn || r.done[1].Status != Failed || r.done[1].Attempts != 0 {
		t.Errorf("got %d calls and %+v", len(r.calls), r.done)
	}
}

// An id tells when its signal triggered, so that resending looks at one row; also what found no room can be sent later.
func TestResendFindsByID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, at := range []model.Millis{0, 1, 1_706_745_600_000, 1<<48 - 1} {
		id := NewID(at)
		if got, ok := triggeredAt(id); !ok || got != at || id.Variant() != uuid.RFC4122 {
			t.Errorf("got %d of %d, id %s", got, at, id)
		}
	}
	if _, err := r.Resend(r.signal, uuid.New()); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("got %v for an id that is none of ours", err)
	}
	ids := r.add(MaxWaiting + 1)
	if d, err := r.Resend(r.signal, ids[MaxWaiting]); err != nil || d.Status != Pending {
		t.Errorf("got %+v, %v for one that found no room", d, err)
	}
	if _, err := r.Resend(uuid.New(), ids[0]); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("got %v for another signal's", err)
	}
}
