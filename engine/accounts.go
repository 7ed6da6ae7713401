package engine

import (
	"context"
	"fmt"
	"time"

	"hyperlight/engine/account"
	"hyperlight/engine/exposure"
	"hyperlight/engine/fills"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// openAccounts loads what is known of accounts and lets it follow the trades. It comes after the markets were restored,
// whose scales positions need, and before the history writer listens: an account is known before its fill can be read.
func (e *Engine) openAccounts(recovered history.Recovered) (err error) {
	e.accounts, err = account.New(account.Options{Store: e.store, Markets: e.registry.Get, Now: e.now, Logger: e.log})
	if err != nil {
		return fmt.Errorf("open accounts: %w", err)
	}
	if err := e.retellTrades(recovered); err != nil {
		return fmt.Errorf("bring accounts up to date: %w", err)
	}
	e.registry.Listen(e.accounts)
	e.exposure = exposure.New(exposure.Options{Accounts: e.accounts, Markets: e.registry.All, Stats: e.liveStats, Now: e.now, Record: e.keepHeatmaps,
		StaleAfter: time.Duration(e.o.Accounts.StaleAfter)})
	return nil
}

// Trades are told to the accounts again from a little before what the table has, for it is written every few seconds and
// by parts; a table that has none, as after an upgrade, begins with a market's last hour.
const (
	retoldBefore = time.Minute
	retoldFirst  = time.Hour
)

// retellTrades tells the accounts the trades that the history has and that they lost in a crash.
func (e *Engine) retellTrades(recovered history.Recovered) error {
	loaded := e.accounts.Loaded()
	for _, m := range recovered.Markets {
		last := recovered.Starts[m.ID].LastTradeTime
		from := loaded - model.Millis(retoldBefore.Milliseconds())
		if loaded == 0 {
			from = last - model.Millis(retoldFirst.Milliseconds())
		}
		if last == 0 || last < from {
			continue
		}
		query := history.TradeQuery{Columns: record.All}
		for trade, err := range e.reader.Trades(context.Background(), m.ID, history.Span{From: from, To: last + 1}, query) {
			if err != nil {
				return err
			}
			e.accounts.Trade(m.ID, trade, false)
		}
	}
	return nil
}

// liveStats returns the newest statistics that the venue pushed for a market and when they came; nil where there are none.
func (e *Engine) liveStats(id model.MarketID) (*model.Stats, model.Micros) {
	if e.lighter == nil {
		return nil, 0
	}
	return e.lighter.live.Stats(id)
}

// fillsShare is the part of accounts.ready_bodies that recent fills may take: half. The rest is for encoded rows.
const fillsShare = 2

// RecentFills returns the newest fills of the accounts that are asked for; nil where none are kept.
func (e *Engine) RecentFills() *fills.Fills { return e.fills }

// Accounts returns what is known of the venue's accounts.
func (e *Engine) Accounts() *account.Tracker { return e.accounts }

// Exposure returns what all known accounts together have at risk. It is computed while the venue is followed.
func (e *Engine) Exposure() *exposure.Desk { return e.exposure }
