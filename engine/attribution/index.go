package attribution

import (
	"cmp"
	"slices"
	"sync"

	"hyperlight/engine/model"
)

// index tells in which watched markets an account has orders by their last lists: a batch asks for thousands of accounts, of
// which most have orders in few markets or none. Its lock is a leaf.
type index struct {
	mu      sync.RWMutex
	markets map[model.AccountID][]*tracked // ascending by market; a slice is never changed, only replaced
}

// of returns the markets where an account has orders, ascending. The slice must not be changed.
func (x *index) of(account model.AccountID) []*tracked {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.markets[account]
}

// move takes note of the accounts that a market's list names, in place of those that the list before named.
func (x *index) move(t *tracked, before, after map[model.AccountID][]place) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for account := range before {
		if _, stays := after[account]; !stays {
			x.remove(account, t)
		}
	}
	for account := range after {
		if _, had := before[account]; !had {
			x.add(account, t)
		}
	}
}

func (x *index) add(account model.AccountID, t *tracked) {
	old := x.markets[account]
	i, _ := slices.BinarySearchFunc(old, t, func(a, b *tracked) int { return cmp.Compare(a.id, b.id) })
	x.markets[account] = slices.Concat(old[:i], []*tracked{t}, old[i:])
}

func (x *index) remove(account model.AccountID, t *tracked) {
	left := slices.DeleteFunc(slices.Clone(x.markets[account]), func(o *tracked) bool { return o == t })
	if len(left) == 0 {
		delete(x.markets, account)
	} else {
		x.markets[account] = left
	}
}
