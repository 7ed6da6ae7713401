package desk

import (
	"context"
	"math"

	"github.com/google/uuid"
)

// Plans tells how many signals owners may have; *access.Access is one.
type Plans interface {
	// SignalLimit returns the number that an owner's plan allows, Unlimited where there is none. It is called under a lock and
	// must not block.
	SignalLimit(owner uuid.UUID) int
	// Changed returns a channel that is closed at the next change after which a limit may be another.
	Changed() <-chan struct{}
}

// allowed returns how many signals an owner's plan allows.
func (d *Desk) allowed(owner uuid.UUID) int {
	if d.o.Plans == nil {
		return math.MaxInt
	}
	return atMost(d.o.Plans.SignalLimit(owner))
}

func atMost(limit int) int {
	if limit < 0 {
		return math.MaxInt
	}
	return limit
}

// followPlans pauses signals and lets them go on, as the plans change, until ctx ends.
func (d *Desk) followPlans(ctx context.Context) {
	if d.o.Plans == nil {
		return
	}
	for {
		changed := d.o.Plans.Changed() // before looking: what changes meanwhile is seen by the next look
		for _, owner := range d.unsettled() {
			d.changing.Lock()
			d.settle(owner)
			d.changing.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// unsettled returns the owners of whom other signals are paused than their plans say. Those that are paused are an owner's
// newest, so that two of them tell: the last that may live and the first that may not.
func (d *Desk) unsettled() (owners []uuid.UUID) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for owner, all := range d.owners {
		n := min(d.allowed(owner), len(all))
		if n > 0 && all[n-1].paused || n < len(all) && !all[n].paused {
			owners = append(owners, owner)
		}
	}
	return owners
}

// settle pauses the newest signals of an owner beyond the number of its plan and lets the others live. Either way what
// crossing conditions have seen is forgotten: a signal that goes on does so as if it were new. Desk.changing must be held,
// which decides between this and what makes, changes and removes signals.
func (d *Desk) settle(owner uuid.UUID) {
	var turned []*held
	d.mu.Lock()
	all := d.owners[owner]
	n := min(d.allowed(owner), len(all))
	for i, h := range all {
		if paused := i >= n; paused != h.paused {
			h.paused, h.dirty = paused, true
			h.revision++
			turned = append(turned, h)
		}
	}
	d.mu.Unlock()
	for _, h := range turned {
		d.arm(h, true)
	}
	if len(turned) > 0 {
		d.wakeWriter()
		d.log.Info("signals paused by the plan", "account_id", owner, "live", n, "paused", len(all)-n)
	}
}
