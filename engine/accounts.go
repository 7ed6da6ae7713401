package engine

import (
	"fmt"

	"hyperlight/engine/account"
	"hyperlight/engine/exposure"
	"hyperlight/engine/model"
)

// openAccounts loads what is known of accounts and lets it follow the trades. It comes after the markets were restored,
// whose scales positions need, and before the history writer listens: an account is known before its fill can be read.
func (e *Engine) openAccounts() (err error) {
	e.accounts, err = account.New(account.Options{Store: e.store, Markets: e.registry.Get, Now: e.now, Logger: e.log})
	if err != nil {
		return fmt.Errorf("open accounts: %w", err)
	}
	e.registry.Listen(e.accounts)
	e.exposure = exposure.New(exposure.Options{Accounts: e.accounts, Markets: e.registry.All, Stats: e.liveStats, Now: e.now})
	return nil
}

// liveStats returns the newest statistics that the venue pushed for a market and when they came; nil where there are none.
func (e *Engine) liveStats(id model.MarketID) (*model.Stats, model.Micros) {
	if e.lighter == nil {
		return nil, 0
	}
	return e.lighter.live.Stats(id)
}

// Accounts returns what is known of the venue's accounts.
func (e *Engine) Accounts() *account.Tracker { return e.accounts }

// Exposure returns what all known accounts together have at risk. It is computed while the venue is followed.
func (e *Engine) Exposure() *exposure.Desk { return e.exposure }
