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
	patience time.Duration // 0: forever
}

type granted struct {
	at     time.Duration
	weight int
}

// TestBudgetWindow makes random calls and checks by brute force that no 60 seconds hold more than the allowance, and
// that nobody waits while the window has room and nobody is ahead.
func TestBudgetWindow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		allowance := rapid.IntRange(1, 12).Draw(rt, "allowance")
		calls := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) call {
			return call{
				after:    time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond,
				priority: Priority(rapid.IntRange(0, int(priorities)-1).Draw(t, "priority")),
				weight:   rapid.IntRange(1, allowance).Draw(t, "weight"),
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
				immediate := waiting == 0 && sum(grants, time.Since(start))+c.weight <= allowance
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
					err := b.Acquire(ctx, c.priority, c.weight)
					mu.Lock()
					defer mu.Unlock()
					waiting--
					if err == nil {
						grants = append(grants, granted{time.Since(start), c.weight})
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
			if n := sum(grants, g.at); n > allowance {
				rt.Fatalf("%d granted in the minute before %v, allowance %d: %v", n, g.at, allowance, grants)
			}
		}
	})
}

// sum adds what was granted in the 60 seconds up to at.
func sum(grants []granted, at time.Duration) (n int) {
	for _, g := range grants {
		if g.at <= at && at-g.at < time.Minute {
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
