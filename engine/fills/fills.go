// Package fills owns the most recent fills of the accounts that were asked for: in memory, so that a batch over a
// thousand accounts touches no disk, read from the store once and then kept current from the trades that the store gets.
//
// It must not write anything, and does not know HTTP or sockets. Fills of any other range are engine/history's.
package fills

import (
	"context"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// MaxRecent is the most fills of an account that are kept.
const MaxRecent = 100

// Reader is what is needed of history.Reader.
type Reader interface {
	FillsOf(ctx context.Context, accounts []model.AccountID, sp history.Span, q history.FillQuery, perAccount int) ([]history.AccountFills, error)
}

// Options configures the recent fills.
type Options struct {
	Reader Reader
	// Flush returns when every trade that was told to Add before the call can be read: history.Writer.Flush.
	Flush func(ctx context.Context) error
	// Budget is how many bytes the fills may take; 0: 256 MiB. The accounts asked for longest ago go first.
	Budget int
}

// Fills is the recent fills of accounts. Its methods may be called from any goroutine.
type Fills struct{ o Options }

// New returns recent fills of which nothing is in memory yet.
func New(o Options) *Fills { return &Fills{o: o} }

// Add takes a trade that the store did not have: it is history.WriterOptions.OnTrade. It keeps nothing of the trade.
func (f *Fills) Add(m model.MarketID, t *model.Trade) {}

// Load reads the accounts that are not in memory from the store, all in one pass. Accounts that are cost nothing.
func (f *Fills) Load(ctx context.Context, ids []model.AccountID) error { return nil }

// Recent appends the newest fills of an account, at most n (and at most MaxRecent), newest first, to dst; false where the
// account is not in memory and Load must be called first.
func (f *Fills) Recent(id model.AccountID, n int, dst []model.Fill) ([]model.Fill, bool) {
	return dst, false
}
