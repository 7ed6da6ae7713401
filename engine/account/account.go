// Package account owns what is known of the venue's accounts: positions, entry values and leverage, kept current from the
// trade stream alone, and what only the venue's own account calls tell (collateral above all), merged in when it comes.
// Every account that traded, owned an order or was asked for is known, in memory and in the families a and d of the
// store, which nothing else writes.
//
// It must not ask the venue (that is the sub-package refresh), must not value positions (package risk), and does not know
// HTTP or sockets.
package account

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// Options configures a Tracker.
type Options struct {
	Store *kv.Store
	// Markets tells the scales of a market. It must not block.
	Markets func(model.MarketID) (*model.Market, bool)
	Now     func() time.Time
	Logger  *slog.Logger
	// SaveEvery is how often changed accounts are written; 0: 5 s. What a crash loses comes back with the next trade or poll.
	SaveEvery time.Duration
}

// shards is the number of independently locked parts of the table: enough for a shard of markets and some readers each.
const shards = 64

// Tracker is the table of accounts. Its methods may be called from any goroutine; those of market.Listener never block
// for longer than another caller copies the accounts that it looks up together.
type Tracker struct {
	o      Options
	log    *slog.Logger
	shards [shards]shard
	owners owners
	loaded model.Millis // see Loaded

	followMu  sync.RWMutex
	followers []*Changes
	saves     *Changes // what is not written yet
	versions  [1 << versionBits]atomic.Uint32
}

// shard is a part of the table.
type shard struct {
	mu       sync.Mutex
	accounts map[model.AccountID]*model.Account
	// foreign are indices that the venue said it does not know, and when.
	foreign map[model.AccountID]model.Millis
}

// venueShift is where the venue stands in an account's id; below is the venue's own index.
const venueShift = 56

// New returns a tracker that knows what the store knows.
func New(o Options) (*Tracker, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SaveEvery <= 0 {
		o.SaveEvery = 5 * time.Second
	}
	t := &Tracker{o: o, log: o.Logger.With("component", "account")}
	for i := range t.shards {
		t.shards[i].accounts = make(map[model.AccountID]*model.Account)
		t.shards[i].foreign = make(map[model.AccountID]model.Millis)
	}
	t.owners.accounts = make(map[model.Address][]model.AccountID)
	if err := t.load(); err != nil {
		return nil, fmt.Errorf("load accounts: %w", err)
	}
	t.saves = t.Follow()
	return t, nil
}

func (t *Tracker) shard(id model.AccountID) *shard { return &t.shards[shardOf(id)] }

// shardOf returns the number of an account's shard. Native indices count up, those of sub-accounts in a range of their
// own: the product spreads both.
func shardOf(id model.AccountID) uint64 { return uint64(id) * 0x9e3779b97f4a7c15 >> (64 - 6) }

// row returns the row of an account and makes one where there is none; the shard must be locked.
func (s *shard) row(id model.AccountID) (*model.Account, bool) {
	if a := s.accounts[id]; a != nil {
		return a, false
	}
	a := &model.Account{ID: id, Index: int64(id & (1<<venueShift - 1))}
	s.accounts[id] = a
	delete(s.foreign, id)
	return a, true
}

// Get copies what is known of an account into a row of the caller, whose Positions are used again; false where the
// account is not known.
func (t *Tracker) Get(id model.AccountID, into *model.Account) bool {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[id]
	if a == nil {
		return false
	}
	copyAccount(into, a)
	return true
}

func copyAccount(into, a *model.Account) {
	positions := append(into.Positions[:0], a.Positions...)
	*into = *a
	into.Positions = positions
}

// Known returns the number of known accounts.
func (t *Tracker) Known() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.accounts)
		s.mu.Unlock()
	}
	return n
}

// Each visits every known account, in no order, each as it is at one moment; the row is valid until the next visit. It
// ends when visit returns false. Accounts that come meanwhile may be missed.
func (t *Tracker) Each(visit func(a *model.Account) bool) {
	var ids []model.AccountID
	var row model.Account
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		ids = ids[:0]
		for id := range s.accounts {
			ids = append(ids, id)
		}
		s.mu.Unlock()
		for _, id := range ids {
			if t.Get(id, &row) && !visit(&row) {
				return
			}
		}
	}
}

// See notes that an account exists: it owns an order, or was asked for and found.
func (t *Tracker) See(id model.AccountID) {
	s := t.shard(id)
	s.mu.Lock()
	_, isNew := s.row(id)
	s.mu.Unlock()
	if isNew {
		t.changed(id)
	}
}

// OnEvent applies new trades: it is a market.Listener.
func (t *Tracker) OnEvent(e *model.Event, _ *book.View) {
	if b, ok := e.Payload.(*model.TradeBatch); ok {
		late := b.History && !b.Recovered
		for i := range b.Rows {
			t.Trade(e.Market, &b.Rows[i], late)
		}
	}
}

// OnTick does nothing: it is there for market.Listener.
func (t *Tracker) OnTick(model.Micros, []market.Held) {}

// positionOf returns the place of a market among positions, and whether it is there.
func positionOf(ps []model.Position, m model.MarketID) (int, bool) {
	return slices.BinarySearchFunc(ps, m, func(p model.Position, m model.MarketID) int { return cmp.Compare(p.Market, m) })
}

// touch returns the position of a market, made flat where there is none.
func touch(a *model.Account, m model.MarketID) *model.Position {
	i, ok := positionOf(a.Positions, m)
	if !ok {
		a.Positions = slices.Insert(a.Positions, i, model.Position{Market: m})
	}
	return &a.Positions[i]
}

// owners leads from addresses to their accounts.
type owners struct {
	mu       sync.RWMutex
	accounts map[model.Address][]model.AccountID // masters first, then by index
}

// Owned returns the known accounts of an address, the master first.
func (t *Tracker) Owned(a model.Address) []model.AccountID {
	t.owners.mu.RLock()
	defer t.owners.mu.RUnlock()
	return slices.Clone(t.owners.accounts[a])
}

// own notes whose an account is, which never changes. A master account has a smaller index than every sub-account, so that the index sorts.
func (o *owners) own(a model.Address, id model.AccountID) {
	if a == (model.Address{}) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := o.accounts[a]
	if i, ok := slices.BinarySearch(ids, id); !ok {
		o.accounts[a] = slices.Insert(slices.Clone(ids), i, id)
	}
}
