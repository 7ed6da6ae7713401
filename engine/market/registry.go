package market

import (
	"context"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// Registry knows every market and runs the shards. Its methods may be called from any goroutine; reads take no lock.
type Registry struct {
	o Options
}

// NewRegistry returns a registry without markets.
func NewRegistry(o Options) *Registry { return &Registry{o: o} }

// Upsert takes markets as the venue describes them and returns those that are new or changed in more than their volume,
// as saved. The venue is in the upper 8 bits of ID, the venue's own id in Native; the registry gives ids, epochs and
// scale lists. New decimals begin a new scale epoch.
func (r *Registry) Upsert(ms []model.Market) (changed []*model.Market, err error) { return nil, nil }

// Restore registers a market as the store knows it. It must be called before the market's first event.
func (r *Registry) Restore(m *model.Market, s Start) {}

// Get returns a market.
func (r *Registry) Get(id model.MarketID) (*model.Market, bool) { return nil, false }

// ByNative returns a market by the venue's own id.
func (r *Registry) ByNative(venue uint8, native int64) (*model.Market, bool) { return nil, false }

// All returns every market by ascending id. The slice is shared: it must not be changed.
func (r *Registry) All() []*model.Market { return nil }

// View returns the last whole book of a market, nil where there was none yet, and whether it is current.
func (r *Registry) View(id model.MarketID) (v *book.View, fresh bool) { return nil, false }

// State returns the condition of a market's record.
func (r *Registry) State(id model.MarketID) (State, bool) { return State{}, false }

// Synced returns how many active markets have a current book, and how many active markets there are.
func (r *Registry) Synced() (synced, total int) { return 0, 0 }

// Deliver hands an event to its market's shard and keeps it: the caller must own e and its payload. It blocks while the
// shard's queue is full. A gap of model.NoMarket concerns all markets.
func (r *Registry) Deliver(ctx context.Context, e model.Event) error { return nil }

// Run runs the shards and the snapshot clock until ctx ends, then applies what is queued and returns nil. It can be called once.
func (r *Registry) Run(ctx context.Context) error { <-ctx.Done(); return nil }
