package feed

import (
	"context"
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

// Budget is the allowance of calls to a venue.
type Budget struct{}

// NewBudget returns a budget of perMinute weight in any 60 seconds.
func NewBudget(perMinute int, now func() time.Time) *Budget { return &Budget{} }

// Acquire takes weight from the budget.
func (b *Budget) Acquire(ctx context.Context, p Priority, weight int) error { return nil }

// Used returns the weight taken in the last 60 seconds.
func (b *Budget) Used() int { return 0 }

// Left returns the weight that can be taken now.
func (b *Budget) Left() int { return 0 }
