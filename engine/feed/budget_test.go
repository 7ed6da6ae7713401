package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

type call struct {
	after    time.Duration // since the call before
	priority Priority
	weight   int
	half     bool          // through AcquireHalf
	patience time.Duration // 0: forever
}

type granted struct {
	at     time.Duration
	weight int
	half   bool
}

// TestBudgetWindow makes random calls and checks by brute force that no 60 seconds hold more than the allowance, nor more
// than half of it for callers of AcquireHalf, and that nobody waits while the window has room and nobody is ahead.
func TestBudgetWindow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		allowance := rapid.IntRange(1, 12).Draw(rt, "allowance")
		calls := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) call {
			half := allowance > 1 && rapid.Bool().Draw(t, "half")
			most := allowance
			if half {
				most /= 2
			}
			return call{
				half:     half,
				after:    time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond,
				priority: Priority(rapid.IntRange(0, int(priorities)-1).Draw(t, "priority")),
				weight:   rapid.IntRange(1, most).Draw(t, "weight"),
				patience: time.Duration(rapid.IntRange(0, 3).Draw(t, "patience")) * 20 * time.Second,
			}
		}), 1, 40).Draw(rt, "calls")
		var grants []granted
		var failed error
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			b := NewBudget(allowance, time.Now)
			var mu sync.Mutex
			var wg sync.WaitGroup
			waiting := 0
			for _, c := range calls {
				time.Sleep(c.after)
				synctest.Wait()
				mu.Lock()
				immediate := waiting == 0 && sum(grants, time.Since(start), false)+c.weight <= allowance &&
					(!c.half || sum(grants, time.Since(start), true)+c.weight <= allowance/2)
				waiting++
				mu.Unlock()
				wg.Go(func() {
					ctx := context.Background()
					if c.patience > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, c.patience)
						defer cancel()
					}
					asked := time.Now()
					acquire := b.Acquire
					if c.half {
						acquire = b.AcquireHalf
					}
					err := acquire(ctx, c.priority, c.weight)
					mu.Lock()
					defer mu.Unlock()
					waiting--
					if err == nil {
						grants = append(grants, granted{time.Since(start), c.weight, c.half})
					} else if !errors.Is(err, context.DeadlineExceeded) {
						failed = err
					}
					if immediate && (err != nil || time.Since(asked) > 0) {
						failed = fmt.Errorf("waited %v with room in the window (%v)", time.Since(asked), err)
					}
				})
				synctest.Wait()
			}
			wg.Wait()
		})
		if failed != nil {
			rt.Fatal(failed)
		}
		for _, g := range grants {
			if n := sum(grants, g.at, false); n > allowance {
				rt.Fatalf("%d granted in the minute before %v, allowance %d: %v", n, g.at, allowance, grants)
			}
			if n := sum(grants, g.at, true); n > allowance/2 {
				rt.Fatalf("%d granted to the half in the minute before %v, allowance %d: %v", n, g.at, allowance, grants)
			}
		}
	})
}

// sum adds what was granted in the 60 seconds up to at, to everybody or to the half only.
func sum(grants []granted, at time.Duration, half bool) (n int) {
	for _, g := range grants {
		if g.at <= at && at-g.at < time.Minute && (g.half || !half) {
			n += g.weight
		}
	}
	return n
}

func TestBudgetPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1, time.Now)
		if err := b.Acquire(t.Context(), Backfill, 1); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		for _, p := range []Priority{Backfill, Refresh, Tracking, PassThrough, Attribution, Refresh} {
			go func() {
				if err := b.Acquire(t.Context(), p, 1); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, p.String())
				mu.Unlock()
			}()
			synctest.Wait()
		}
		time.Sleep(6*time.Minute + time.Second)
		synctest.Wait()
		want := []string{"pass_through", "refresh", "refresh", "attribution", "tracking", "backfill"}
		if !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestBudgetRefusesLowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := NewBudget(5, time.Now)
		b.Exhaust()
		if b.Used() != 5 || b.Left() != 0 {
			t.Errorf("used %d, left %d after Exhaust", b.Used(), b.Left())
		}
		results := make(chan error, budgetWaiters)
		for range budgetWaiters {
			go func() { results <- b.Acquire(ctx, Tracking, 1) }()
		}
		synctest.Wait()
		if err := b.Acquire(ctx, Tracking, 1); !errors.Is(err, ErrBudget) {
			t.Errorf("one too many of the same priority: %v", err)
		}
		if err := b.Acquire(ctx, Backfill, 1); !errors.Is(err, ErrBudget) {
			t.Errorf("one too many of lower priority: %v", err)
		}
		if err := b.Acquire(ctx, PassThrough, 6); !errors.Is(err, ErrBudget) {
			t.Errorf("more than the allowance: %v", err)
		}
		urgent := make(chan error, 1)
		go func() { urgent <- b.Acquire(ctx, PassThrough, 1) }()
		synctest.Wait()
		if err := <-results; !errors.Is(err, ErrBudget) {
			t.Errorf("the one displaced: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := <-urgent; err != nil {
			t.Errorf("the urgent one: %v", err)
		}
		cancel()
		for range budgetWaiters - 1 {
			if err := <-results; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if b.Used() != 5 {
			t.Errorf("used %d, want 5", b.Used())
		}
	})
}

func TestBudgetCancelFreesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(4, time.Now)
		if err := b.Acquire(t.Context(), Refresh, 2); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		heavy, light := make(chan error, 1), make(chan error, 1)
		go func() { heavy <- b.Acquire(ctx, PassThrough, 4) }()
		synctest.Wait()
		go func() { light <- b.Acquire(t.Context(), Backfill, 1) }()
		synctest.Wait()
		select {
		case <-light:
			t.Fatal("overtook a heavy call of higher priority")
		default:
		}
		cancel()
		synctest.Wait()
		if err := <-heavy; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := <-light; err != nil {
			t.Error(err)
		}
	})
}

// TestBudgetHalf checks that callers of AcquireHalf, with their half spent, hold up nobody, come after the others of
// their priority, and cannot fill the queue.
func TestBudgetHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := NewBudget(4, time.Now)
		for range 2 {
			if err := b.AcquireHalf(ctx, PassThrough, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.AcquireHalf(ctx, PassThrough, 3); !errors.Is(err, ErrBudget) {
			t.Errorf("more than the half at once: %v", err)
		}
		results := make(chan error, budgetWaiters)
		for range budgetWaiters/2 + 1 {
			go func() { results <- b.AcquireHalf(ctx, PassThrough, 1) }()
		}
		synctest.Wait()
		if err := <-results; !errors.Is(err, ErrBudget) {
			t.Errorf("one too many waiting for the half: %v", err)
		}
		for _, p := range []Priority{Backfill, PassThrough} { // the other half is free, whoever waits for the first
			if err := b.Acquire(ctx, p, 1); err != nil {
				t.Errorf("%s behind a spent half: %v", p, err)
			}
		}
		whole := make(chan error, 1)
		go func() { whole <- b.Acquire(ctx, PassThrough, 4) }()
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case err := <-whole:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("the half went ahead of a caller of the same priority")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(results); n != 2 {
			t.Errorf("%d of the half were served in its minute, want 2", n)
		}
		cancel()
		synctest.Wait()
	})
}
