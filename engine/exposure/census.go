package exposure

import (
	"slices"

	"hyperlight/engine/model"
)

// Census counts the accounts with an open position, and how old what only the venue can tell of them is.
type Census struct {
	Open     int
	Stale    int          // of Open: read longer ago than Options.StaleAfter, or never
	Unpolled int          // of Open: never read, known from trades alone
	Oldest   model.Millis // when the one of Open that was read longest ago was read; 0 where none was
}

// count takes an account in.
func (c *Census) count(a *model.Account, staleBefore model.Millis) {
	if !isOpen(a) {
		return
	}
	c.Open++
	if a.Polled < staleBefore {
		c.Stale++
	}
	switch {
	case a.Polled == 0:
		c.Unpolled++
	case c.Oldest == 0 || a.Polled < c.Oldest:
		c.Oldest = a.Polled
	}
}

func isOpen(a *model.Account) bool {
	return slices.ContainsFunc(a.Positions, func(p model.Position) bool { return p.Size != 0 })
}
