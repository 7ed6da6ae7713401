// Package exposure owns what all known accounts together have at risk: for every market the map of forced closes and the
// largest holders, exchange-wide the largest accounts. It is computed every ten seconds from the table of accounts and
// the mark prices, and published as a whole that readers never wait for.
//
// The rules are those of package risk. It must not ask the venue, and does not know HTTP or sockets beyond the JSON text
// that both send.
package exposure

import (
	"context"
	"sync/atomic"
	"time"

	"hyperlight/engine/account"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/risk"
)

// Interval is how often everything is computed.
const Interval = 10 * time.Second

// defaultRows is how many rows a ranking keeps unless the options say otherwise: the largest plan's cap.
const defaultRows = 1000

// Options configures a Desk.
type Options struct {
	Accounts *account.Tracker
	// Markets returns the known markets, Stats the newest statistics of one and when they came, nil where there are none.
	// Neither may block.
	Markets func() []*model.Market
	Stats   func(model.MarketID) (*model.Stats, model.Micros)
	Now     func() time.Time
	Rows    int // of each ranking; 0: 1,000
	// StaleAfter is the age from which the census counts an account as stale; 0: 60 s.
	StaleAfter time.Duration
	// Record is told what is to be kept of each new snapshot, on the desk's goroutine; may be nil. The rows are handed over.
	Record func(rows []model.Heatmap)
}

// Desk computes. Step belongs to one goroutine, normally Run's; everything else may be called from any.
type Desk struct {
	o       Options
	changes *account.Changes
	latest  atomic.Pointer[Snapshot]
	forms   atomic.Pointer[forms] // the JSON text of the latest heatmaps

	// Of the computing goroutine:
	started bool
	open    map[model.AccountID]struct{}    // accounts with an open position or with collateral
	mapped  map[model.MarketID]model.Millis // the minute of the last whole map that was handed on
}

// New returns a desk that follows the table from now on.
func New(o Options) *Desk {
	if o.Rows <= 0 {
		o.Rows = defaultRows
	}
	if o.StaleAfter <= 0 {
		o.StaleAfter = 60 * time.Second
	}
	d := &Desk{o: o, changes: o.Accounts.Follow(), open: map[model.AccountID]struct{}{}, mapped: map[model.MarketID]model.Millis{}}
	d.latest.Store(&Snapshot{markets: map[model.MarketID]*Market{}})
	d.forms.Store(&forms{})
	return d
}

// Run computes at once and then every Interval until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	t := time.NewTicker(Interval)
	defer t.Stop()
	for {
		d.Step()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Latest returns the last snapshot; an empty one before the first step.
func (d *Desk) Latest() *Snapshot { return d.latest.Load() }

// Snapshot is everything as of one moment. It is immutable.
type Snapshot struct {
	At       model.Millis // 0: nothing was computed yet
	Accounts int          // known ones
	Census   Census
	markets  map[model.MarketID]*Market
	rankings [sorts][]Total
}

// Market is one market's part of a snapshot.
type Market struct {
	Info *model.Market
	Mark num.Decimal
	Map  *risk.Map // sizes at the market's current scale
	// Tracked is the sum of the open long positions of known accounts, at the current size scale; OpenInterest is what the
	// venue tells, one-sided as well, in quote money, where Has is set.
	Tracked         num.Size
	OpenInterest    num.Decimal
	HasOpenInterest bool
	At              model.Millis
	holders         [holderLists][]Holder
	standard        *risk.Heatmap // with Defaults; nil where it cannot be computed
}

// Market returns a market's part, nil where it has no mark price or was not there.
func (s *Snapshot) Market(id model.MarketID) *Market { return s.markets[id] }

// Step computes a new snapshot and publishes it. It costs one pass over the accounts with something at risk, and makes
// the maps anew: a mark that moved moves the liquidation prices of every account with positions in several markets, and
// changing a map entry by entry was slower than sorting it.
func (d *Desk) Step() *Snapshot {
	now := model.Millis(d.o.Now().UnixMilli())
	d.follow()
	p := newPass(d, now)
	stale := now - model.Millis(d.o.StaleAfter.Milliseconds())
	var row model.Account
	var a risk.Assessment
	for id := range d.open {
		if !d.o.Accounts.Get(id, &row) || !atRisk(&row) {
			delete(d.open, id)
			continue
		}
		p.census.count(&row, stale)
		a.Assess(&row, p.market)
		p.add(&row, &a)
	}
	s := p.finish()
	d.latest.Store(s)
	d.forms.Store(encodeForms(s))
	if d.o.Record != nil {
		d.o.Record(d.rows(s))
	}
	return s
}

// follow brings the set of accounts up to date.
func (d *Desk) follow() {
	if !d.started {
		d.started = true
		d.o.Accounts.Each(func(a *model.Account) bool {
			if atRisk(a) {
				d.open[a.ID] = struct{}{}
			}
			return true
		})
	}
	for _, id := range d.changes.Take() {
		d.open[id] = struct{}{} // Step takes it out again where nothing is at risk
	}
}

func atRisk(a *model.Account) bool {
	return a.Collateral != 0 || isOpen(a)
}
