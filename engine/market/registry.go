package market

import (
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// Registry knows every market and runs the shards. Its methods may be called from any goroutine; reads take no lock.
type Registry struct {
	o     Options
	table atomic.Pointer[table]

	// changing serialises Upsert, Restore and Observe; see engine/LOCKS.md. Readers use the table instead.
	changing sync.Mutex

	queues  []chan item
	started atomic.Bool
	// Deliver counts itself in before it looks at stopped, and Run sets stopped before it looks at the count: once that is
	// 0, nobody puts anything into a queue any more. idle wakes Run.
	delivering atomic.Int64
	stopped    atomic.Bool
	idle       chan struct{}

	importing bool // an Importer's: what the store held elsewhere in time does not bound a recording
}

// table is every market at one moment. It is never changed: a change publishes a new one.
type table struct {
	byID     map[model.MarketID]*entry
	byNative map[nativeID]*entry
	entries  []*entry        // by ascending id
	markets  []*model.Market // of entries, same order
}

type nativeID struct {
	venue  uint8
	native int64
}

// entry is the part of a market's state that every goroutine may see. Its shard writes the live part.
type entry struct {
	id     model.MarketID
	market atomic.Pointer[model.Market]
	start  atomic.Pointer[Start] // taken by the shard with the market's first event

	// A reader loads fresh before view and a writer stores them the other way round: a view that comes with fresh set
	// was never older than that.
	view     atomic.Pointer[book.View]
	fresh    atomic.Bool
	gapSince atomic.Int64
	gapCause atomic.Uint32
	tradesOK atomic.Bool
}

// NewRegistry returns a registry without markets.
func NewRegistry(o Options) *Registry {
	if o.Shards <= 0 {
		o.Shards = runtime.GOMAXPROCS(0)
	}
	if o.Queue <= 0 {
		o.Queue = 4096
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Registry{o: o, queues: make([]chan item, o.Shards), idle: make(chan struct{}, 1)}
	for i := range r.queues {
		r.queues[i] = make(chan item, o.Queue)
	}
	r.table.Store(&table{})
	return r
}

// Listen adds a listener behind those of the options. It must be called before Run, from the goroutine that will call it:
// some listeners need the registry to be made.
func (r *Registry) Listen(l Listener) {
	if r.started.Load() {
		panic("market: Listen after Run")
	}
	r.o.Listeners = append(slices.Clip(r.o.Listeners), l)
}

// Get returns a market.
func (r *Registry) Get(id model.MarketID) (*model.Market, bool) {
	if e := r.table.Load().byID[id]; e != nil {
		return e.market.Load(), true
	}
	return nil, false
}

// ByNative returns a market by the venue's own id.
func (r *Registry) ByNative(venue uint8, native int64) (*model.Market, bool) {
	if e := r.table.Load().byNative[nativeID{venue, native}]; e != nil {
		return e.market.Load(), true
	}
	return nil, false
}

// All returns every market by ascending id. The slice is shared: it must not be changed.
func (r *Registry) All() []*model.Market { return r.table.Load().markets }

// View returns the last whole book of a market, nil where there was none yet, and whether it is current.
func (r *Registry) View(id model.MarketID) (v *book.View, fresh bool) {
	e := r.table.Load().byID[id]
	if e == nil {
		return nil, false
	}
	fresh = e.fresh.Load()
	return e.view.Load(), fresh
}

// State returns the condition of a market's record, false where the market is unknown.
func (r *Registry) State(id model.MarketID) (State, bool) {
	e := r.table.Load().byID[id]
	if e == nil {
		return State{}, false
	}
	s := State{
		Synced:     e.fresh.Load(),
		GapSince:   model.Micros(e.gapSince.Load()),
		GapCause:   model.Cause(e.gapCause.Load()),
		TradesHeld: e.tradesOK.Load(),
	}
	if v := e.view.Load(); v != nil {
		s.Seq, s.LastUpdate = v.Seq, v.Recv
	}
	return s, true
}

// Synced returns how many active markets have a current book, and how many active markets there are.
func (r *Registry) Synced() (synced, total int) {
	for _, e := range r.table.Load().entries {
		if e.market.Load().Active {
			total++
			if e.fresh.Load() {
				synced++
			}
		}
	}
	return synced, total
}
