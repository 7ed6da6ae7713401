package feed

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Priority orders the waiters of a Budget.
type Priority uint8

// The priorities, lowest first.
const (
	Backfill Priority = iota
	Tracking
	Attribution
	Refresh
	PassThrough
	priorities
)

var priorityNames = [priorities]string{"backfill", "tracking", "attribution", "refresh", "pass_through"}

// String returns the priority's name as metrics show it.
func (p Priority) String() string {
	if p < priorities {
		return priorityNames[p]
	}
	return "other"
}

const (
	budgetWindow  = time.Minute
	budgetWaiters = 256
)

// Budget is the allowance of calls to a venue that every caller of this process shares. In no 60 seconds is more granted
// than the allowance: the window rolls, so nothing doubles at an edge. Whoever finds it spent waits; the highest
// priority goes first, then the one who waited longest. A caller of lower priority never overtakes, not even with a
// smaller weight, so that a heavy call is not starved. It is safe for concurrent use and has no goroutine.
type Budget struct {
	allowance int
	now       func() time.Time

	mu      sync.Mutex
	grants  []grant   // of the last 60 s, oldest first
	used    int       // their sum
	waiters []*waiter // by priority, then by age; the first one is served next
	timer   *time.Timer
}

type grant struct {
	at     time.Time
	weight int
}

type waiter struct {
	priority Priority
	weight   int
	done     chan error // buffered: the answer
}

// NewBudget returns a budget of perMinute weight in any 60 seconds. now must agree with the runtime's timers.
func NewBudget(perMinute int, now func() time.Time) *Budget {
	return &Budget{allowance: perMinute, now: now}
}

// Acquire takes weight, at least 1, from the budget. It waits for its turn until ctx ends. ErrBudget means that 256
// others wait, none of them less urgent, or that the weight is more than the whole allowance.
func (b *Budget) Acquire(ctx context.Context, p Priority, weight int) error {
	weight = max(weight, 1)
	if weight > b.allowance {
		return fmt.Errorf("acquire %d of an allowance of %d: %w", weight, b.allowance, ErrBudget)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	b.expire(b.now())
	if len(b.waiters) == 0 && b.used+weight <= b.allowance {
		b.take(weight)
		b.mu.Unlock()
		return nil
	}
	w := &waiter{priority: p, weight: weight, done: make(chan error, 1)}
	b.enqueue(w)
	b.serve()
	b.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiters, w); i >= 0 {
		b.waiters = slices.Delete(b.waiters, i, i+1)
		b.serve() // the next one may fit
		return ctx.Err()
	}
	// Granted or refused in the same moment: the answer stands.
	return <-w.done
}

// enqueue puts a waiter into its place; beyond the bound the least urgent one, the youngest of its kind, is refused.
func (b *Budget) enqueue(w *waiter) {
	i := len(b.waiters)
	for i > 0 && b.waiters[i-1].priority < w.priority {
		i--
	}
	b.waiters = slices.Insert(b.waiters, i, w)
	if n := len(b.waiters); n > budgetWaiters {
		last := b.waiters[n-1]
		b.waiters = b.waiters[:n-1]
		last.done <- fmt.Errorf("wait for a call of priority %s: %w", last.priority, ErrBudget)
	}
}

// serve grants what fits, in order, and sets the timer for the next one.
func (b *Budget) serve() {
	now := b.now()
	b.expire(now)
	for len(b.waiters) > 0 && b.used+b.waiters[0].weight <= b.allowance {
		w := b.waiters[0]
		b.waiters = slices.Delete(b.waiters, 0, 1)
		b.take(w.weight)
		w.done <- nil
	}
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if len(b.waiters) == 0 {
		return
	}
	// The first waiter fits once enough of the oldest grants have left the window.
	free := b.allowance - b.used
	for _, g := range b.grants {
		if free += g.weight; free >= b.waiters[0].weight {
			b.timer = time.AfterFunc(g.at.Add(budgetWindow).Sub(now), b.wake)
			return
		}
	}
}

func (b *Budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serve()
}

func (b *Budget) take(weight int) {
	b.grants = append(b.grants, grant{b.now(), weight})
	b.used += weight
}

// expire forgets the grants that have left the window.
func (b *Budget) expire(now time.Time) {
	n := 0
	for n < len(b.grants) && now.Sub(b.grants[n].at) >= budgetWindow {
		b.used -= b.grants[n].weight
		n++
	}
	b.grants = slices.Delete(b.grants, 0, n)
}

// Exhaust counts whatever is left as taken now: the venue said that the allowance is spent, because somebody else uses
// it too.
func (b *Budget) Exhaust() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(b.now())
	if left := b.allowance - b.used; left > 0 {
		b.take(left)
	}
	b.serve()
}

// Used returns the weight granted in the last 60 seconds.
func (b *Budget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(b.now())
	return b.used
}

// Left returns the weight that could be granted now, were nobody waiting.
func (b *Budget) Left() int { return b.allowance - b.Used() }
