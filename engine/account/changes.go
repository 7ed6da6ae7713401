package account

import (
	"sync"
	"sync/atomic"

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

// versionBits is the size of the table of versions: with a million accounts a few hundred changes a second make a few
// thousand accounts look changed that are not.
const versionBits = 17

// Version returns a number that is another one after anything of an account has changed: what was made of the row that
// was read after the number still stands while the number is the same. Accounts share numbers, so that it may change
// without them. It takes no lock.
func (t *Tracker) Version(id model.AccountID) uint32 { return t.version(id).Load() }

func (t *Tracker) version(id model.AccountID) *atomic.Uint32 {
	return &t.versions[uint64(id)*0x9e3779b97f4a7c15>>(64-versionBits)]
}

func (t *Tracker) changed(id model.AccountID) {
	t.version(id).Add(1)
	t.followMu.RLock()
	defer t.followMu.RUnlock()
	for _, c := range t.followers {
		c.add(id)
	}
}
