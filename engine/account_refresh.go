package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hyperlight/engine/account/refresh"
	"hyperlight/engine/feed"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/risk"
)

// accountStale is the age from which an account is asked for again where the configuration says nothing.
const accountStale = time.Minute

// openRefresher lets accounts be asked for. It comes after the venue was wired and the history writer made.
func (e *Engine) openRefresher() (err error) {
	o := e.o.Accounts
	stale := time.Duration(o.StaleAfter)
	if stale <= 0 {
		stale = accountStale
	}
	e.refresher, err = refresh.New(refresh.Options{
		Venue: accountVenue{rest: e.lighter.rest, markets: e.registry.Resolver(lighterID, false)},
		Table: e.accounts, Store: e.store, Snapshots: e.writer, Market: e.riskMarket,
		Allowance: e.o.Lighter.RESTBudgetPerMinute, Share: o.PollShare, StaleAfter: stale,
		Urgent: func() []model.AccountID { return refresh.Urgent(e.exposure.Latest(), e.registry.All()) },
		Follow: e.lighter.followAccounts, Streamed: o.Streamed, Now: e.now, Logger: e.log,
	})
	if err != nil {
		return fmt.Errorf("open account refresh: %w", err)
	}
	return nil
}

// Refresher returns what asks the venue for accounts; nil where no venue is followed.
func (e *Engine) Refresher() *refresh.Refresher { return e.refresher }

// riskMarket returns what the margin rules need of a market now; false where it has no mark price.
func (e *Engine) riskMarket(id model.MarketID) (risk.Market, bool) {
	info, ok := e.registry.Get(id)
	if !ok {
		return risk.Market{}, false
	}
	s, _ := e.liveStats(id)
	if s == nil || s.Has&model.HasMark == 0 {
		return risk.Market{}, false
	}
	return risk.Market{Info: info, Mark: s.Mark}, true
}

// followAccounts says which accounts the stream carries.
func (v *lighterVenue) followAccounts(ids []model.AccountID) int {
	indices := make([]int64, len(ids))
	for i, id := range ids {
		indices[i] = int64(id)
	}
	return v.supervisor.SetAccounts(indices)
}

// accountVenue asks the Lighter venue for accounts.
type accountVenue struct {
	rest    *lighter.REST
	markets *market.Resolver
}

// Account asks for one account; its id is the venue's index, for the venue's number is 0.
func (v accountVenue) Account(ctx context.Context, p feed.Priority, id model.AccountID) (model.Account, error) {
	row, err := v.rest.Account(ctx, p, int64(id), v.markets)
	return row, unknownAccount(err)
}

// AccountsOf asks for the accounts of an owner.
func (v accountVenue) AccountsOf(ctx context.Context, p feed.Priority, owner model.Address) ([]model.Account, error) {
	rows, err := v.rest.AccountsOf(ctx, p, owner, v.markets)
	return rows, unknownAccount(err)
}

func unknownAccount(err error) error {
	if errors.Is(err, lighter.ErrNoAccount) {
		return refresh.ErrUnknown
	}
	return err
}
