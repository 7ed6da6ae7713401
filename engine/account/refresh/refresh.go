// Package refresh keeps what is known of the venue's accounts young, within the budget of calls that the venue allows: it
// asks for accounts that a caller wants, for those whose positions are large and near their forced close, and for the rest
// in turn, evenly spread over time. Each account is asked for once at a time, however many callers want it. It also says
// which accounts are followed on the stream, and writes the snapshots that the history of profit and loss consists of.
//
// It must not keep accounts (that is package account), must not value positions (package risk), and does not know HTTP or
// sockets.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
	"hyperlight/engine/risk"
	"hyperlight/kv"
)

// ErrUnknown is what a Venue returns where it answered that there is no such account or address.
var ErrUnknown = errors.New("the venue does not know the account")

// Venue asks the venue, one call of its budget at a time. Polled of a row is when it was asked.
type Venue interface {
	Account(ctx context.Context, p feed.Priority, id model.AccountID) (model.Account, error)
	AccountsOf(ctx context.Context, p feed.Priority, owner model.Address) ([]model.Account, error)
}

// Table is what is known of accounts; *account.Tracker is one.
type Table interface {
	Get(id model.AccountID, into *model.Account) bool
	Owned(a model.Address) []model.AccountID
	Each(visit func(a *model.Account) bool)
	Polled(row *model.Account)
	PolledPositions(id model.AccountID, rows []model.Position, whole bool, at model.Millis)
	Missing(id model.AccountID, at model.Millis)
	IsMissing(id model.AccountID) (model.Millis, bool)
}

// Snapshots stores what accounts were worth; *history.Writer does.
type Snapshots interface {
	AddAccountSnapshots(ctx context.Context, rows []model.AccountSnapshot) error
}

// Options configures a Refresher. Venue and Table are required.
type Options struct {
	Venue Venue
	Table Table
	Store *kv.Store // remembers the accounts whose history is kept; nil: nothing does
	// Allowance is the weight that the venue's budget grants in any 60 seconds; Share is the percentage of it that keeping
	// known accounts young may take. 0: they are never asked for.
	Allowance, Share int
	StaleAfter       time.Duration // age from which an account is asked for again
	// Urgent returns the accounts whose positions are large and near their forced close, most urgent first. It is called
	// every ten seconds and must not block; may be nil.
	Urgent func() []model.AccountID
	// Follow says which accounts the stream should carry, most wanted first, and returns how many it will; nil: none.
	Follow   func([]model.AccountID) int
	Streamed int // most of them
	// Market values positions for snapshots; nil, as Snapshots: none are made. It must not block.
	Market    func(model.MarketID) (risk.Market, bool)
	Snapshots Snapshots
	Now       func() time.Time // must agree with the runtime's timers
	Logger    *slog.Logger
}

const (
	// waitAtMost is how long a call waits for accounts that are not known, contract 2.1.1.
	waitAtMost = 10 * time.Second
	// unknownHolds is how long an account that the venue did not know is not asked for again.
	unknownHolds = 10 * time.Minute
	// ownerHolds is how long the accounts of an address are taken for all that it has.
	ownerHolds = 24 * time.Hour
	// maxOwners bounds the addresses whose last lookup is remembered.
	maxOwners = 1 << 16
	// callTimeout bounds a call together with its wait for the budget.
	callTimeout = time.Minute
)

// Refresher asks the venue for accounts. Its methods may be called from any goroutine; Run is called once.
//
// Lock order: mu is held while nothing but the table is called.
type Refresher struct {
	o   Options
	log *slog.Logger
	m   *instruments
	// own is the part of the venue's budget that accounts may take together: what is left of it keeps the probe, the market
	// list and repairs alive, however many strangers are asked for.
	own *feed.Budget

	// round is how old the answer was that the last call in turn renewed, in milliseconds: about the age of the oldest one
	// of an account with an open position.
	round atomic.Int64

	mu      sync.Mutex
	running context.Context // of Run; nil before and after it
	calls   sync.WaitGroup  // to the venue
	flights map[target]*flight
	waiting []*request // callers with flights that have not begun, in turn
	active  int        // flights under way for callers who wait
	queue   queue
	owners  map[model.Address]owner
	watch   watched
}

// owner is the last lookup of an address.
type owner struct {
	at      model.Millis
	unknown bool // the venue knows nobody of that address
}

// New returns a refresher that knows whose history is kept; it asks nobody before Run.
func New(o Options) (*Refresher, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Market == nil {
		o.Snapshots = nil
	}
	r := &Refresher{
		o: o, log: o.Logger.With("component", "accounts"), m: newInstruments(), own: feed.NewBudget(ownAllowance(o.Allowance), o.Now),
		flights: map[target]*flight{}, owners: map[model.Address]owner{}, queue: queue{places: map[target]int{}},
	}
	if err := r.watch.load(o.Store); err != nil {
		return nil, fmt.Errorf("read whose history is kept: %w", err)
	}
	return r, nil
}

// ownAllowance leaves a sixth of the budget to everything else.
func ownAllowance(all int) int { return max(all-(all+5)/6, 1) }

// Run asks the venue until ctx ends, and returns when its last call has.
func (r *Refresher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.running = ctx
	r.pump()
	r.mu.Unlock()
	set := r.gauges()
	defer unregister(set)
	var loops sync.WaitGroup
	loops.Go(func() { r.pace(ctx) })
	loops.Go(func() { r.every(ctx, watchEvery, r.follow) })
	loops.Go(func() { r.minutes(ctx) })
	<-ctx.Done()
	r.mu.Lock()
	r.running = nil
	r.mu.Unlock()
	loops.Wait()
	r.calls.Wait()
	return nil
}

func (r *Refresher) every(ctx context.Context, period time.Duration, f func()) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *Refresher) now() model.Millis { return model.Millis(r.o.Now().UnixMilli()) }

// Refresh sees to it that accounts can be served: it waits, at most 10 s in all, for those that are not known yet, and
// queues the known ones whose collateral is stale without waiting for them. Of addresses it waits for those of which no
// account is known. It returns why an account that is still unknown could not be asked for; accounts that the venue does
// not know are no failures. Unknown tells the same of addresses.
func (r *Refresher) Refresh(ctx context.Context, ids []model.AccountID, addresses []model.Address) (failed map[model.AccountID]*model.Error) {
	now := r.now()
	var cold, stale []target
	var row model.Account
	for _, id := range ids {
		if !r.o.Table.Get(id, &row) {
			if at, ok := r.o.Table.IsMissing(id); !ok || !lately(at, now, unknownHolds) {
				cold = append(cold, target{id: id})
			}
			continue
		}
		if !lately(row.Polled, now, r.o.StaleAfter) {
			stale = append(stale, target{id: id, polled: row.Polled})
		}
	}
	for _, a := range addresses {
		last := r.owner(a)
		known := len(r.o.Table.Owned(a)) > 0
		switch {
		case !known && (!last.unknown || !lately(last.at, now, unknownHolds)):
			cold = append(cold, target{owner: a, byOwner: true})
		case known && !lately(last.at, now, ownerHolds):
			stale = append(stale, target{owner: a, byOwner: true, polled: last.at})
		}
	}
	r.mu.Lock()
	for _, id := range ids {
		r.watch.ask(id, now)
	}
	for _, t := range stale {
		r.enqueue(t)
	}
	req := r.join(cold)
	r.mu.Unlock()
	if req == nil {
		return nil
	}
	return r.wait(ctx, req)
}

// Unknown tells whether the venue said lately that nobody has an address.
func (r *Refresher) Unknown(a model.Address) bool {
	last := r.owner(a)
	return last.unknown && lately(last.at, r.now(), unknownHolds)
}

func (r *Refresher) owner(a model.Address) owner {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owners[a]
}

// Track notes that the PnL of an account was asked for: snapshots of it are kept for 30 days from now.
func (r *Refresher) Track(id model.AccountID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watch.track(id, r.now())
}

// Told takes what an account's channel told, at our time of receiving it: it is the stream's side of Follow.
func (r *Refresher) Told(u *model.AccountUpdate, recv model.Micros) {
	r.o.Table.PolledPositions(u.Account, u.Positions, u.Whole, recv.Millis())
}

// setBack is how far in the future a moment of our own lies where the clock was set back since. What lies less far ahead was
// written by somebody who looked at the clock a little later.
const setBack = model.Millis(60_000)

// lately tells whether a moment is less than a while ago. One far in the future is not.
func lately(at, now model.Millis, d time.Duration) bool {
	return at-now < setBack && now-at < millis(d)
}

func millis(d time.Duration) model.Millis { return model.Millis(d.Milliseconds()) }
