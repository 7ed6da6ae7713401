package desk

import (
	"context"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/signal/delivery"
)

// Desk is the live side of all signals. Its methods may be called from any goroutine.
type Desk struct{ o Options }

// Open reads the signals of the store. Nothing is delivered before Run.
func Open(o Options) (*Desk, error) { return &Desk{o: o}, nil }

// Run writes triggers and delivers until ctx ends.
func (d *Desk) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Create makes a signal; limit is how many the owner may have, Unlimited lifts it.
func (d *Desk) Create(ctx context.Context, owner uuid.UUID, limit int, draft Draft) (Signal, error) {
	return Signal{}, nil
}

// List returns an owner's signals, oldest first, and how many there are in all. limit 0 takes all.
func (d *Desk) List(owner uuid.UUID, f Filter, offset, limit int) ([]Signal, int) { return nil, 0 }

// Get returns a signal of an owner.
func (d *Desk) Get(owner, id uuid.UUID) (Signal, error) { return Signal{}, nil }

// Patch changes the members that the draft has.
func (d *Desk) Patch(ctx context.Context, owner, id uuid.UUID, draft Draft) (Signal, error) {
	return Signal{}, nil
}

// Delete removes a signal; deliveries that wait are dropped.
func (d *Desk) Delete(owner, id uuid.UUID) error { return nil }

// Recent returns the last deliveries of a signal, newest first, RecentDeliveries at most.
func (d *Desk) Recent(ctx context.Context, owner, id uuid.UUID) ([]delivery.Delivery, error) {
	return nil, nil
}

// Resend delivers a finished delivery of a signal once more, under the same id.
func (d *Desk) Resend(ctx context.Context, owner, id, deliveryID uuid.UUID) (delivery.Delivery, error) {
	return delivery.Delivery{}, nil
}

// Backtest tells how often a signal would have fired in a span.
func (d *Desk) Backtest(ctx context.Context, owner, id uuid.UUID, from, to model.Millis) (Test, error) {
	return Test{}, nil
}

// AppendJSON writes a signal as the API shows it.
func (s *Signal) AppendJSON(dst []byte) []byte { return dst }
