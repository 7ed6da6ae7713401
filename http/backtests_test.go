package http

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
)

// One backtest for each user, few long ones at once; short ones of others pass, and a place that was given back is free.
func TestBacktestPlaces(t *testing.T) {
	t.Parallel()
	var b backtests
	me := uuid.New()
	leave, err := b.enter(me, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.enter(me, false); !errors.Is(err, errOwnBacktest) {
		t.Errorf("a second one of the same user: %v", err)
	}
	for range longBacktests() - 1 {
		if _, err := b.enter(uuid.New(), true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.enter(uuid.New(), true); !errors.Is(err, errOtherBacktest) {
		t.Errorf("one long one too many: %v", err)
	}
	if _, err := b.enter(uuid.New(), false); err != nil {
		t.Errorf("a short one: %v", err)
	}
	leave()
	if _, err := b.enter(me, true); err != nil {
		t.Errorf("after the end: %v", err)
	}
}

// Time grows with the range, so that what a plan allows can end, and has a bound.
func TestBacktestDeadline(t *testing.T) {
	for days, want := range map[int64]time.Duration{0: 10 * time.Second, 1: 10 * time.Second, 2: 20 * time.Second, 30: 5 * time.Minute, 90: longestBacktest, 1 << 40: longestBacktest} {
		if got := backtestDeadline(days); got != want {
			t.Errorf("%d days: got %s, want %s", days, got, want)
		}
	}
}
