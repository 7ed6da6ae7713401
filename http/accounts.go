package http

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/exposure"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Accounts is what is known of the venue's accounts; *account.Tracker is one. Nothing of it waits.
type Accounts interface {
	// Get copies a row into one of the caller's; false where the account is not known.
	Get(id model.AccountID, into *model.Account) bool
	// GetAll copies the rows of many accounts into rows, as many; the Index of those that are not known is negative. Their
	// positions are appended to positions.
	GetAll(ids []model.AccountID, rows []model.Account, positions []model.Position) []model.Position
	// Owned returns the known accounts of an address, the master first.
	Owned(a model.Address) []model.AccountID
	// Version returns a number that is another one after anything of the row has changed.
	Version(id model.AccountID) uint32
}

// Refresher asks the venue for accounts; *refresh.Refresher is one.
type Refresher interface {
	// Refresh waits for accounts that are not known, at most 10 s, and queues the others. An address whose accounts are
	// known is looked up again now and then, for those that came since.
	Refresh(ctx context.Context, ids []model.AccountID, addresses []model.Address) (failed map[model.AccountID]*model.Error)
	// Unknown tells whether the venue has said, of late, that nobody has this address.
	Unknown(a model.Address) bool
	// Track has snapshots of an account's PnL kept.
	Track(id model.AccountID)
}

// AccountHistory is what the record tells of accounts; *history.Reader is one.
type AccountHistory interface {
	Fills(ctx context.Context, account model.AccountID, sp history.Span, q history.FillQuery) iter.Seq2[*model.Fill, error]
	CountFills(ctx context.Context, account model.AccountID, sp history.Span, q history.FillQuery, limit uint64) (n uint64, exact bool, err error)
	FillsOf(ctx context.Context, accounts []model.AccountID, sp history.Span, q history.FillQuery, perAccount int) ([]history.AccountFills, error)
	FillsWhole(sp history.Span) (bool, error)
	AccountSnapshots(ctx context.Context, account model.AccountID, sp history.Span, resolution time.Duration, reverse bool) iter.Seq2[*model.AccountSnapshot, error]
	CountAccountSnapshots(ctx context.Context, account model.AccountID, sp history.Span, resolution time.Duration) (uint64, error)
}

// RecentFills is the newest fills of accounts in memory; *fills.Fills is one.
type RecentFills interface {
	// Load reads the accounts that are not in memory.
	Load(ctx context.Context, ids []model.AccountID) error
	// Recent appends the newest n fills to dst; false where the account is not in memory.
	Recent(id model.AccountID, n int, dst []model.Fill) ([]model.Fill, bool)
	// Append appends them as JSON instead, without those of markets that market does not know.
	Append(dst []byte, id model.AccountID, n int, market func(model.MarketID) *model.Market) ([]byte, bool)
}

// OpenOrders knows whose orders rest in the books that somebody watches; *attribution.Owners is one.
type OpenOrders interface {
	// AppendOrders appends an account's resting orders to dst.
	AppendOrders(dst []model.OpenOrder, account model.AccountID) []model.OpenOrder
}

// Exposure is what all known accounts together have at risk; *exposure.Desk is one.
type Exposure interface {
	Latest() *exposure.Snapshot
	// Heatmap returns a market's heatmap with the default parameters, nil where there is none.
	Heatmap(m model.MarketID) []byte
}

// AccountOptions is what the calls about accounts are answered from. Where Accounts is nil they are upstream_error; every
// other part may be nil alone and is then empty, but for Fills, without which every call reads them from History.
type AccountOptions struct {
	Accounts Accounts
	Refresh  Refresher
	History  AccountHistory
	Fills    RecentFills
	Orders   OpenOrders
	Exposure Exposure
	// Stats returns the newest statistics of a market: the mark prices of positions. It must not block.
	Stats func(model.MarketID) (*model.Stats, model.Micros)
	// StaleAfter is the age from which a row's collateral counts as stale; 0: 60 s.
	StaleAfter time.Duration
	// ReadyBodies is how many bytes of encoded rows are kept of the accounts that are asked for most; 0: none.
	ReadyBodies int64
}

// accountDesk is the server's side of the calls about accounts.
type accountDesk struct {
	AccountOptions
	stale   model.Millis
	marks   atomic.Pointer[marks]
	marking sync.Mutex // of whoever makes new marks
	ready   *readyBodies
	batches sync.Pool
}

func newAccountDesk(o AccountOptions) *accountDesk {
	if o.StaleAfter <= 0 {
		o.StaleAfter = 60 * time.Second
	}
	d := &accountDesk{AccountOptions: o, stale: model.Millis(o.StaleAfter.Milliseconds()), ready: newReadyBodies(o.ReadyBodies)}
	d.batches.New = func() any { return &batch{} }
	return d
}

var (
	errNoAccountsHere = &model.Error{Code: model.CodeUpstream, Message: "the venue's accounts are not followed here"}
	errNoAccount      = &model.Error{Code: model.CodeNotFound, Message: "the venue has no such account", Details: map[string]any{"field": "account_id"}}
	errAccountID      = model.BadRequest("account_id", "account_id must be an account index or an address: 0x and 40 hexadecimal digits")
	errNotReached     = &model.Error{Code: model.CodeUpstream, Message: "account could not be refreshed in time"}
)

// setBack is how far ahead of a call a moment lies where the clock was set back since. One less far ahead came while the
// call waited.
const setBack = model.Millis(60_000)

// isStale tells whether what only the venue can tell of a row is too old, or of a time that our clock was set back from.
func (d *accountDesk) isStale(polled, now model.Millis) bool {
	return now-polled > d.stale || polled-now >= setBack
}

// refresh asks the venue, where there is one to ask.
func (d *accountDesk) refresh(c *call, ids []model.AccountID, addresses []model.Address) map[model.AccountID]*model.Error {
	if d.Refresh == nil || len(ids)+len(addresses) == 0 {
		return nil
	}
	return d.Refresh.Refresh(c.waiting(), ids, addresses)
}

// unreached tells whether nobody could say to whom an address belongs.
func (d *accountDesk) unreached(a model.Address) bool {
	return d.Refresh != nil && !d.Refresh.Unknown(a)
}

// pathAccount returns the index of the account that the path names, without looking whether there is one: an index, or
// the master account of an address.
func (c *call) pathAccount() (model.AccountID, error) {
	d := c.server.accounts
	if d.Accounts == nil {
		return 0, errNoAccountsHere
	}
	text := c.pathParams[0]
	if len(text) > 1 && text[0] == '0' && text[1]|0x20 == 'x' {
		a, ok := parseAddress(text)
		if !ok {
			return 0, errAccountID
		}
		d.refresh(c, nil, []model.Address{a})
		switch owned := d.Accounts.Owned(a); {
		case len(owned) > 0:
			return owned[0], nil
		case d.unreached(a):
			return 0, errNotReached
		}
		return 0, errNoAccount
	}
	n, ok := parseInt(text)
	if !ok || n < 0 || n > maxIndex {
		return 0, errAccountID
	}
	return model.AccountID(n), nil
}

// account reads the row of the account that the path names, and has it refreshed where it is stale. It waits for the venue
// only where the account was never seen.
func (c *call) account(into *model.Account) error {
	id, err := c.pathAccount()
	if err != nil {
		return err
	}
	d := c.server.accounts
	known := d.Accounts.Get(id, into)
	if known && !d.isStale(into.Polled, c.nowMillis()) {
		return nil
	}
	failed := d.refresh(c, []model.AccountID{id}, nil)
	if known || d.Accounts.Get(id, into) {
		return nil
	}
	if err := failed[id]; err != nil {
		return err
	}
	return errNoAccount
}
