package desk

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv/kvtest"
)

// fakePlans has one limit for all owners.
type fakePlans struct {
	mu    sync.Mutex
	limit int
	next  chan struct{}
}

func newPlans(limit int) *fakePlans { return &fakePlans{limit: limit, next: make(chan struct{})} }

func (p *fakePlans) SignalLimit(uuid.UUID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit
}

func (p *fakePlans) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

func (p *fakePlans) set(limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
	close(p.next)
	p.next = make(chan struct{})
}

// follow lets a desk that does not run follow its plans.
func follow(t *testing.T, d *Desk) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.followPlans(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// pausedOf tells which of an owner's signals are paused, oldest first, as x, and which live, as a point.
func pausedOf(d *Desk, owner uuid.UUID) string {
	rows, _ := d.List(owner, Filter{}, 0, 0)
	var b strings.Builder
	for i := range rows {
		if rows[i].Paused {
			b.WriteByte('x')
		} else {
			b.WriteByte('.')
		}
	}
	return b.String()
}

func waitPaused(t *testing.T, d *Desk, owner uuid.UUID, want string) {
	t.Helper()
	wait(t, want, func() bool { return pausedOf(d, owner) == want })
}

const crossing = `{"conditions":[{"field":"trade_price","op":"crosses_above","value":4000}]}`

func crossingDraft(to *receiver) Draft {
	dr := draft(to)
	dr.Rule, dr.Cooldown = []byte(crossing), ptr(int64(0))
	return dr
}

// firedBy empties the channel of triggers and returns how many there are of each signal.
func firedBy(d *Desk) map[uuid.UUID]int {
	n := map[uuid.UUID]int{}
	for len(d.fired) > 0 {
		f := <-d.fired
		d.written([]firing{f})
		n[f.info.ID]++
	}
	return n
}

// The newest signals beyond the number of a plan are paused as long as it is so, and show it; they count no crossings
// meanwhile and go on as if they were new. One that is deleted makes room for the next.
func TestPlanPausesTheNewest(t *testing.T) {
	t.Parallel()
	to, plans := newReceiver(t), newPlans(Unlimited)
	d := openWith(t, kvtest.Open(t), to, func(o *Options) { o.Plans = plans })
	me, other := uuid.New(), uuid.New()
	var ids []uuid.UUID
	for range 4 {
		ids = append(ids, create(t, d, me, crossingDraft(to)).ID)
	}
	rows, _ := d.List(me, Filter{}, 0, 0) // those of one millisecond lie by their ids
	for i := range rows {
		ids[i] = rows[i].ID
	}
	lone := create(t, d, other, crossingDraft(to)).ID
	follow(t, d)
	trade(d, 1, 3999_00, 1_000_000)
	plans.set(2)
	waitPaused(t, d, me, "..xx")
	if got, _ := d.Get(me, ids[2]); !got.Paused || !got.Enabled || !strings.Contains(string(got.AppendJSON(nil)), `"suspended":false,"paused":"plan","trigger_count":0`) {
		t.Errorf("got %s", got.AppendJSON(nil))
	}
	if got, _ := d.Get(me, ids[1]); strings.Contains(string(got.AppendJSON(nil)), "paused") {
		t.Errorf("one that lives shows %s", got.AppendJSON(nil))
	}
	trade(d, 2, 4001_00, 1_002_000)
	if got := firedBy(d); len(got) != 3 || got[ids[0]] != 1 || got[ids[1]] != 1 || got[lone] != 1 {
		t.Errorf("%v fired, %v are allowed to", got, ids[:2])
	}
	_, err := d.Create(context.Background(), me, Unlimited, crossingDraft(to))
	isError(t, err, model.CodeForbidden, "")
	if got, err := d.Patch(context.Background(), me, ids[3], Draft{Enabled: ptr(true)}); err != nil || !got.Paused {
		t.Errorf("enabling what the plan pauses gives %+v, %v", got, err)
	}
	trade(d, 3, 3999_00, 1_004_000)
	if err := d.Delete(me, ids[0]); err != nil {
		t.Fatal(err)
	}
	if got := pausedOf(d, me); got != "..x" {
		t.Errorf("a signal that was deleted makes room: %s", got)
	}
	plans.set(3)
	waitPaused(t, d, me, "...")
	trade(d, 4, 4001_00, 1_006_000) // the first value that the two have seen
	if got := firedBy(d); len(got) != 2 || got[ids[1]] != 1 || got[lone] != 1 {
		t.Errorf("%v fired, those that go on have seen one value", got)
	}
	trade(d, 5, 3999_00, 1_008_000)
	trade(d, 6, 4001_00, 1_010_000)
	if got := firedBy(d); len(got) != 4 {
		t.Errorf("%v fired of four", got)
	}
	plans.set(0)
	waitPaused(t, d, me, "xxx")
}

// A trigger that was on its way when its signal was paused is not delivered.
func TestPlanPausesWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	to, plans := newReceiver(t), newPlans(1)
	d := openWith(t, kvtest.Open(t), to, func(o *Options) { o.Plans = plans })
	me := uuid.New()
	s := create(t, d, me, draft(to))
	follow(t, d)
	trade(d, 1, 4001_00, 1_000_000)
	plans.set(0)
	waitPaused(t, d, me, "x")
	d.write(d.gather(<-d.fired))
	if waits, _ := d.queue.Waiting(); waits != 0 {
		t.Errorf("%d deliveries of a paused signal", waits)
	}
	if got, _ := d.Get(me, s.ID); got.Triggers != 0 {
		t.Errorf("%d triggers", got.Triggers)
	}
}

// A plan that changed while the server was down holds from the start; what was seen before the pause is forgotten although the
// plan allowed all again before the next start.
func TestPlanAcrossRestarts(t *testing.T) {
	t.Parallel()
	to, store, me := newReceiver(t), kvtest.Open(t), uuid.New()
	at := func(limit int) *Desk {
		return openWith(t, store, to, func(o *Options) { o.Plans = newPlans(limit) })
	}
	d := at(2)
	create(t, d, me, crossingDraft(to))
	create(t, d, me, crossingDraft(to))
	trade(d, 1, 3999_00, 1_000_000)
	d.save(true)
	d = at(1)
	if got := pausedOf(d, me); got != ".x" {
		t.Errorf("after a start on a lower plan: %s", got)
	}
	trade(d, 2, 3998_00, 1_002_000)
	if d.save(true); len(d.fired) != 0 {
		t.Errorf("%d fired", len(d.fired))
	}
	d = at(2)
	if got := pausedOf(d, me); got != ".." {
		t.Errorf("after a start on the old plan: %s", got)
	}
	rows, _ := d.List(me, Filter{}, 0, 0)
	trade(d, 3, 4001_00, 1_004_000)
	if got := firedBy(d); len(got) != 1 || got[rows[0].ID] != 1 {
		t.Errorf("%v fired, only the oldest has seen a value", got)
	}
}

// A signal that is made before the desk has heard of a greater plan does not live beside older ones that are paused.
func TestCreateOnGrownPlan(t *testing.T) {
	t.Parallel()
	to, plans := newReceiver(t), newPlans(1)
	store, me := kvtest.Open(t), uuid.New()
	create(t, open(t, store, to), me, draft(to))
	create(t, open(t, store, to), me, draft(to))
	d := openWith(t, store, to, func(o *Options) { o.Plans = plans })
	plans.set(5)
	create(t, d, me, draft(to))
	if got := pausedOf(d, me); got != "..." {
		t.Errorf("got %s", got)
	}
}

// Plans change while signals are made, changed and removed: in the end exactly the oldest live, in the list as in the
// evaluator.
func TestPlanRaces(t *testing.T) {
	t.Parallel()
	to, plans := newReceiver(t), newPlans(4)
	d := openWith(t, kvtest.Open(t), to, func(o *Options) { o.Plans = plans })
	follow(t, d)
	owners := []uuid.UUID{uuid.New(), uuid.New()}
	var work sync.WaitGroup
	for _, owner := range owners {
		for range 2 {
			work.Go(func() {
				for i := range 40 {
					s, err := d.Create(context.Background(), owner, Unlimited, draft(to))
					if err == nil && i%2 == 0 {
						_, _ = d.Patch(context.Background(), owner, s.ID, Draft{Enabled: ptr(i%4 == 0)})
					}
					if rows, _ := d.List(owner, Filter{}, 0, 0); err != nil && len(rows) > 0 {
						_ = d.Delete(owner, rows[i%len(rows)].ID)
					}
				}
			})
		}
	}
	work.Go(func() {
		for i := range 200 {
			plans.set(i % 6)
		}
	})
	work.Wait()
	plans.set(2)
	for _, owner := range owners {
		rows, _ := d.List(owner, Filter{}, 0, 0)
		waitPaused(t, d, owner, strings.Repeat(".", min(2, len(rows)))+strings.Repeat("x", max(0, len(rows)-2)))
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	w := d.of(eth.ID)
	for id, h := range d.signals {
		if w.eval.Enabled(id) != h.active() {
			t.Errorf("the evaluator has %t of %+v", w.eval.Enabled(id), h.view())
		}
	}
	for _, all := range d.owners {
		if !slices.IsSortedFunc(all, older) {
			t.Error("an owner's signals are not in the order of age")
		}
	}
}
