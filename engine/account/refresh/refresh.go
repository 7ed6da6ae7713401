// Package refresh keeps what is known of the venue's accounts young, within the budget of calls that the venue allows: it
// asks for accounts that a caller wants, for those whose positions are large and near their forced close, and for the rest
// in turn, evenly spread over time. Each account is asked for once at a time, however many callers want it.
//
// It must not keep accounts (that is package account), must not value positions, and does not know HTTP or sockets.
package refresh

import (
	"context"

	"hyperlight/engine/model"
)

// Refresher asks the venue for accounts. Its methods may be called from any goroutine.
type Refresher struct{}

// Refresh sees to it that accounts can be served: it waits, at most 10 s in all, for those that are not known yet, and
// queues the known ones whose collateral is stale without waiting for them. Accounts of addresses of which none is known
// are looked up too. It returns why an account that is not known could not be asked for; accounts that the venue does not
// know are not failures, they are then still unknown.
func (r *Refresher) Refresh(ctx context.Context, ids []model.AccountID, addresses []model.Address) (failed map[model.AccountID]*model.Error) {
	return nil
}

// Track notes that the PnL of an account was asked for: snapshots of it are kept for 30 days from now.
func (r *Refresher) Track(id model.AccountID) {}
