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
// smaller weight, so that a heavy call is not starved. Callers of AcquireHalf have half of the allowance between them:
// at one priority they come after the others, and while their half is spent they hold up nobody. It is safe for
// concurrent use and has no goroutine.
type Budget struct {
	allowance int
	now       func() time.Time

	mu       sync.Mutex
	grants   []grant   // of the last 60 s, oldest first
	used     int       // their sum
	usedHalf int       // what of it was granted to callers of AcquireHalf
	waiters  []*waiter // by priority, then the halved ones last, then by age; the first one that may is served next
	halved   int       // how many of the waiters came through AcquireHalf
	timer    *time.Timer
}

type grant struct {
	at     time.Time
	weight int
	half   bool
}

type waiter struct {
	priority Priority
	weight   int
	half     bool
	done     chan error // buffered: the answer
}

// NewBudget returns a budget of perMinute weight in any 60 seconds. now must agree with the runtime's timers.
func NewBudget(perMinute int, now func() time.Time) *Budget {
	return &Budget{allowance: perMinute, now: now}
}

// Acquire takes weight, at least 1, from the budget. It waits for its turn until ctx ends. ErrBudget means that 256
// others wait, none of them less urgent, or that the weight is more than the whole allowance.
func (b *Budget) Acquire(ctx context.Context, p Priority, weight int) error {
	return b.acquire(ctx, p, max(weight, 1), false)
}

// AcquireHalf is Acquire for callers who together may take at most half of the allowance in any 60 seconds. At most 128
// of them wait.
func (b *Budget) AcquireHalf(ctx context.Context, p Priority, weight int) error {
	return b.acquire(ctx, p, max(weight, 1), true)
}

func (b *Budget) acquire(ctx context.Context, p Priority, weight int, half bool) error {
	allowance := b.allowance
	if half {
		allowance /= 2
	}
	if weight > allowance {
		return fmt.Errorf("acquire %d of an allowance of %d: %w", weight, allowance, ErrBudget)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &waiter{priority: p, weight: weight, half: half, done: make(chan error, 1)}
	b.mu.Lock()
	b.enqueue(w)
	b.serve()
	b.bound()
	b.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiters, w); i >= 0 {
		b.remove(i)
		b.serve() // the next one may fit
		return ctx.Err()
	}
	// Granted or refused in the same moment: the answer stands.
	return <-w.done
}

// before tells whether w goes ahead of a waiter who has waited longer.
func (w *waiter) before(older *waiter) bool {
	if w.priority != older.priority {
		return w.priority > older.priority
	}
	return !w.half && older.half
}

// enqueue puts a waiter into its place.
func (b *Budget) enqueue(w *waiter) {
	i := len(b.waiters)
	for i > 0 && w.before(b.waiters[i-1]) {
		i--
	}
	b.waiters = slices.Insert(b.waiters, i, w)
	if w.half {
		b.halved++
	}
}

func (b *Budget) remove(i int) *waiter {
	w := b.waiters[i]
	b.waiters = slices.Delete(b.waiters, i, i+1)
	if w.half {
		b.halved--
	}
	return w
}

// bound refuses the least urgent waiter, the youngest of its kind, where one too many waits.
func (b *Budget) bound() {
	last := len(b.waiters) - 1
	if b.halved > budgetWaiters/2 {
		for !b.waiters[last].half {
			last--
		}
	} else if len(b.waiters) <= budgetWaiters {
		return
	}
	w := b.remove(last)
	w.done <- fmt.Errorf("wait for a call of priority %s: %w", w.priority, ErrBudget)
}

// serve grants what fits, in order, and sets the timer for the next one.
func (b *Budget) serve() {
	now := b.now()
	b.expire(now)
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	var spent *waiter // the first one whose half is spent; those behind it wait for it
	for i := 0; i < len(b.waiters); {
		w := b.waiters[i]
		if w.half && (spent != nil || b.usedHalf+w.weight > b.allowance/2) {
			if spent == nil {
				spent = w
			}
			i++
			continue
		}
		if b.used+w.weight > b.allowance {
			b.wakeFor(now, w, spent)
			return
		}
		b.remove(i)
		b.take(w.weight, w.half)
		w.done <- nil
	}
	b.wakeFor(now, nil, spent)
}

// wakeFor sets the timer for the moment at which enough of the oldest grants have left the window: for the whole, as
// next needs it, or for the half, as spent does. Either may be nil.
func (b *Budget) wakeFor(now time.Time, next, spent *waiter) {
	if next == nil && spent == nil {
		return // nobody waits, as nearly always: the grants need not be looked through
	}
	free, freeHalf := b.allowance-b.used, b.allowance/2-b.usedHalf
	for _, g := range b.grants {
		free += g.weight
		if g.half {
			freeHalf += g.weight
		}
		if next != nil && free >= next.weight || spent != nil && freeHalf >= spent.weight {
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

func (b *Budget) take(weight int, half bool) {
	b.grants = append(b.grants, grant{b.now(), weight, half})
	b.used += weight
	if half {
		b.usedHalf += weight
	}
}

// expire forgets the grants that have left the window.
func (b *Budget) expire(now time.Time) {
	n := 0
	for n < len(b.grants) && now.Sub(b.grants[n].at) >= budgetWindow {
		b.used -= b.grants[n].weight
		if b.grants[n].half {
			b.usedHalf -= b.grants[n].weight
		}
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
		b.take(left, false)
	}
	b.serve()
}

// Charge counts weight as taken now, as far as it is left: it was spent without asking.
func (b *Budget) Charge(weight int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(b.now())
	if n := min(weight, b.allowance-b.used); n > 0 {
		b.take(n, false)
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
