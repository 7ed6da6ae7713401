package export

import (
	"sync"

	"hyperlight/engine/model"
)

// Status is what the lake does now.
type Status struct {
	Running  bool
	Progress              // of the run, or of the last one
	Started  model.Millis // of the run, or of the last one; 0: there was none
	Finished model.Millis // of the last run; 0: there was none
	Next     model.Millis // when Run makes files next; 0: unknown
	// LastError is the last fault, for the operator; nil after a run without one.
	LastError error
}

// Status tells what the lake does now.
func (l *Lake) Status() Status {
	l.status.mu.Lock()
	defer l.status.mu.Unlock()
	return l.status.now
}

type statusKeeper struct {
	mu  sync.Mutex
	now Status
}

func (k *statusKeeper) change(f func(*Status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(&k.now)
}
