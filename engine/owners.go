package engine

import (
	"context"

	"hyperlight/engine/attribution"
	"hyperlight/engine/model"
)

// ownersShare is the part of the venue's budget that asking for the owners of resting orders may take.
const ownersShare = 2

// openOwners makes what knows the owners of resting orders. It comes after the accounts, which it tells of new ones.
func (v *lighterVenue) openOwners() {
	v.owners = attribution.New(attribution.Options{
		Markets: v.registry.Get, View: v.registry.View, Poll: v.restingOrders, Saw: v.e.accounts.See,
		PerMinute: max(1, v.e.o.Lighter.RESTBudgetPerMinute/ownersShare), Now: v.e.now, Logger: v.e.log,
	})
	v.registry.Listen(v.owners)
}

// restingOrders asks the venue for a market's best orders.
func (v *lighterVenue) restingOrders(ctx context.Context, m *model.Market) (*attribution.List, error) {
	l, err := v.rest.Orders(ctx, m)
	if err != nil {
		return nil, err
	}
	return &attribution.List{Orders: l.Orders, Epoch: m.Epoch, Complete: l.Complete, Asked: l.Asked, Replied: l.Replied}, nil
}

// Owners returns who owns the resting orders of markets that somebody watches; nil where no venue is followed.
func (e *Engine) Owners() *attribution.Owners {
	if e.lighter == nil {
		return nil
	}
	return e.lighter.owners
}
