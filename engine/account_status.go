package engine

import (
	"hyperlight/engine/exposure"
	"hyperlight/engine/model"
)

// AccountStatus tells how many accounts are known, and how far the venue was asked about them.
type AccountStatus struct {
	Known           int
	exposure.Census              // as computed last, at At
	At              model.Millis // 0: not yet
	Queued          int          // accounts that were asked for and wait for their turn at the venue
	Waited          int          // accounts that callers wait for
}

// AccountStatus returns the state now; false where no venue is followed, and nothing is asked.
func (e *Engine) AccountStatus() (AccountStatus, bool) {
	if e.refresher == nil {
		return AccountStatus{}, false
	}
	latest, asked := e.exposure.Latest(), e.refresher.Status()
	return AccountStatus{
		Known: e.accounts.Known(), Census: latest.Census, At: latest.At, Queued: asked.Queued, Waited: asked.Waited,
	}, true
}
