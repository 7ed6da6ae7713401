package backfill

import (
	"context"
	"sync"
	"time"
)

// pace spreads calls: of a minute's weight none may be taken that the minute before it has left. It keeps what nobody waits
// for from spending the venue's whole budget, which would make those wait who do.
type pace struct {
	perMinute int
	now       func() time.Time

	mu    sync.Mutex
	spent []spent // of the last minute, oldest first
	sum   int
}

type spent struct {
	at     time.Time
	weight int
}

func newPace(perMinute int, now func() time.Time) *pace { return &pace{perMinute: perMinute, now: now} }

// wait returns when the weight may be taken, or with the error of a context that has ended. Weight must not be more than
// the minute's.
func (p *pace) wait(ctx context.Context, weight int) error {
	for {
		left := p.take(weight)
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// take takes the weight and returns 0, or how long to wait before trying again.
func (p *pace) take(weight int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for len(p.spent) > 0 && now.Sub(p.spent[0].at) >= time.Minute {
		p.sum -= p.spent[0].weight
		p.spent = p.spent[1:]
	}
	if p.sum+weight <= p.perMinute {
		p.sum += weight
		p.spent = append(p.spent, spent{now, weight})
		return 0
	}
	return max(time.Minute-now.Sub(p.spent[0].at), time.Millisecond)
}
