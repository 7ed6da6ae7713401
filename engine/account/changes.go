package account

import (
	"sync"

	"hyperlight/engine/model"
)

// Changes is one follower's list of accounts that changed since it looked last. However often an account changes, it is
// listed once, so that the list never outgrows the table.
type Changes struct {
	mu      sync.Mutex
	pending map[model.AccountID]struct{}
}

// Follow returns a new list, empty at first: whoever follows reads the table once with Each, after Follow.
func (t *Tracker) Follow() *Changes {
	c := &Changes{pending: make(map[model.AccountID]struct{})}
	t.followMu.Lock()
	defer t.followMu.Unlock()
	t.followers = append(t.followers, c)
	return c
}

// Take empties the list and returns what was on it, in no order.
func (c *Changes) Take() []model.AccountID {
	c.mu.Lock()
	taken := c.pending
	c.pending = make(map[model.AccountID]struct{}, len(taken)/2)
	c.mu.Unlock()
	ids := make([]model.AccountID, 0, len(taken))
	for id := range taken {
		ids = append(ids, id)
	}
	return ids
}

func (c *Changes) add(id model.AccountID) {
	c.mu.Lock()
	c.pending[id] = struct{}{}
	c.mu.Unlock()
}

func (t *Tracker) changed(id model.AccountID) {
	t.followMu.RLock()
	defer t.followMu.RUnlock()
	for _, c := range t.followers {
		c.add(id)
	}
}
