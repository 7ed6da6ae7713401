package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/model"
	"hyperlight/kv"
)

// gateWait is how long a history read waits for a place before it is refused.
const gateWait = 2 * time.Second

var historyRefused = metrics.NewCounter("hyperlight_history_refused_total")

// ErrBusy reports that too many history reads run at once.
var ErrBusy = errors.New("too many history reads at once")

// gate bounds how many history reads run at once, so that they cannot starve the live path of processors.
type gate chan struct{}

func newGate(places int) gate { return make(gate, places) }

// Enter takes a place for a history read and returns how to give it back. It waits at most two seconds, then refuses
// with service_unavailable; a context that ends first gives its own error.
func (e *Engine) Enter(ctx context.Context) (leave func(), err error) {
	select {
	case e.gate <- struct{}{}:
		return e.leave, nil
	default:
	}
	t := time.NewTimer(gateWait)
	defer t.Stop()
	select {
	case e.gate <- struct{}{}:
		return e.leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
		historyRefused.Inc()
		return nil, &model.Error{Code: model.CodeServiceUnavailable, Message: "too many history reads are running, try again", Err: ErrBusy}
	}
}

func (e *Engine) leave() { <-e.gate }

// storeProbe writes and reads a probe row at most once a second, however often health is asked.
type storeProbe struct {
	store *kv.Store
	now   func() time.Time

	mu   sync.Mutex
	at   time.Time
	last error
}

func (p *storeProbe) check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); p.at.IsZero() || now.Sub(p.at) >= time.Second {
		p.last = p.store.Probe()
		p.at = now
	}
	return p.last
}
