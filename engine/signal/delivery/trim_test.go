package delivery

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv/key"
)

func (r *rig) move(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(by)
}

func (r *rig) trim() {
	r.t.Helper()
	if err := r.Trim(context.Background(), &sync.Mutex{}); err != nil {
		r.t.Fatal(err)
	}
}

// logged are the ids of a signal's log.
func (r *rig) logged() map[uuid.UUID]bool {
	ids := map[uuid.UUID]bool{}
	for row, err := range r.store.Scan(context.Background(), key.All(key.DeliveryLog)) {
		if err != nil {
			r.t.Fatal(err)
		}
		k, err := key.ParseDelivery(row.Key)
		if err != nil || k.Signal != [16]byte(r.signal) {
			r.t.Fatalf("got %+v, %v", k, err)
		}
		ids[k.ID] = true
	}
	return ids
}

// The log of a signal that triggers all the time keeps its newest rows; what waits is older and stays. A signal that is gone
// leaves none.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, status(500))
	waits := r.add(1)[0]
	r.step() // the second attempt is due in a second
	var ids []uuid.UUID
	for range LogRows + cutAfter {
		r.move(time.Microsecond * 500)
		ids = append(ids, r.add(1)...)
		r.step()
	}
	for range 2 { // cutting once more changes nothing
		r.trim()
		left := r.logged()
		if len(left) != LogRows+1 || !left[waits] || !left[ids[len(ids)-1]] || left[ids[0]] {
			t.Fatalf("%d rows are left; %t %t %t", len(left), left[waits], left[ids[len(ids)-1]], left[ids[0]])
		}
	}
	r.drain()
	if last := r.done[len(r.done)-1]; last.ID != waits || last.Status != Delivered {
		t.Errorf("got %+v of the one that waited", last)
	}
	if err := r.Forget(context.Background(), r.signal); err != nil {
		t.Fatal(err)
	}
	if left := r.logged(); len(left) != 0 || len(r.grown) != 0 {
		t.Errorf("%d rows of a signal that is gone", len(left))
	}
}

// Days that are over are removed once, but not what still waits, whatever the clock says for a moment.
func TestTrimKeepsWhatWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, status(200), status(500))
	done := r.add(1)[0]
	r.step()
	waits := r.add(1)[0]
	r.step()
	r.move(1000 * 24 * time.Hour)
	r.trim()
	if left := r.logged(); len(left) != 2 {
		t.Errorf("%d rows are left of a day from which a delivery waits", len(left))
	}
	r.drain()
	if last := r.done[len(r.done)-1]; last.ID != waits || last.Status != Delivered {
		t.Errorf("got %+v, want %s delivered", last, waits)
	}
	r.trim()
	if left := r.logged(); len(left) != 0 {
		t.Errorf("%d rows are left after %d days, %s among them: %t", len(left), LogDays, done, left[done])
	}
	r.move(-1000 * 24 * time.Hour) // the clock is set right
	r.add(1)
	r.drain()
	r.trim()
	r.move((LogDays + 2) * 24 * time.Hour)
	if r.trim(); len(r.logged()) != 0 {
		t.Error("nothing is removed any more after the clock was set back")
	}
}

// What is sent again by hand waits since then, not since it triggered.
func TestOldestOfResent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.add(1)[0]
	r.drain()
	r.move(20 * 24 * time.Hour)
	if _, err := r.Resend(r.signal, id); err != nil {
		t.Fatal(err)
	}
	if n, oldest := r.Waiting(); n != 1 || oldest != r.now() {
		t.Errorf("%d wait, the oldest for %d s", n, (r.now()-oldest)/1000)
	}
}

// Endpoints that wait until another call of their owner ends are called also where what was to be called before them is
// dropped, so that no end comes.
func TestDroppedHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newWaitingRoom()
	owner, dropped := uuid.New(), uuid.New()
	const n = 300
	for i := range n {
		p, _ := w.reserve(place{owner, string(rune('a' + i))}, false)
		w.put(&entry{id: uuid.New(), point: p})
	}
	var running []*entry
	for e, _ := w.next(0, 0); e != nil; e, _ = w.next(0, 0) {
		running = append(running, e)
	}
	for _, e := range running {
		w.ended(e, true)
	}
	left := n - len(running) - len(w.ready)
	for _, p := range w.ready {
		p.waiting[0].signal = dropped
	}
	w.forget(dropped)
	for e, _ := w.next(0, 0); e != nil; e, _ = w.next(0, 0) {
		w.ended(e, true)
		left--
	}
	if left != 0 {
		t.Errorf("%d deliveries wait for good", left)
	}
	if len(w.owners) != 0 || len(w.points) != 0 {
		t.Errorf("left over: %d owners, %d endpoints", len(w.owners), len(w.points))
	}
}

// An endpoint whose due entries are dropped waits for the others itself, and takes no turn of its owner's.
func TestDroppedOfParkedEndpoint(t *testing.T) {
	t.Parallel()
	w := newWaitingRoom()
	owner, dropped := uuid.New(), uuid.New()
	const later = model.Millis(5000)
	add := func(url string, signal uuid.UUID, due model.Millis) {
		p, _ := w.reserve(place{owner, url}, false)
		w.put(&entry{id: uuid.New(), signal: signal, due: due, point: p})
	}
	for i := range 20 {
		url := string(rune('a' + i))
		add(url, dropped, 0)
		add(url, uuid.Nil, later)
	}
	var running []*entry
	for e, _ := w.next(0, 2*later); e != nil; e, _ = w.next(0, 2*later) {
		running = append(running, e)
	}
	w.forget(dropped)
	for _, p := range w.points {
		if p.parked {
			t.Errorf("%s waits for a call to end, and nothing of it is due", p.url)
		}
	}
	for _, e := range running {
		w.ended(e, true)
	}
	if e, at := w.next(0, 2*later); e != nil || at != later {
		t.Errorf("got %v, %d, want none before %d", e, at, later)
	}
}
