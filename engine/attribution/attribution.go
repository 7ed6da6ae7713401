// Package attribution joins the owners of resting orders to the levels of the live books of markets that somebody
// watches. The stream is the truth for sizes; the venue's per-order list, polled now and then, names owners, and what
// happens between two polls is followed: fills name their order, a fall without a fill is a cancel, a rise is somebody
// new. What the known orders of a level add up to and its unattributed rest are together the level's size, always.
//
// It must not store anything, and knows neither HTTP nor sockets nor how the venue is asked: polling is a callback.
package attribution

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

const (
	// askedFor is how long a market is polled after its book was asked for.
	askedFor = time.Minute
	// watchedFor is how long a market is polled after Watch, which whoever watches repeats each second.
	watchedFor = 5 * time.Second
)

// List is the venue's answer: the best resting orders of a market, each side best price first and in the order of the
// queue within a price.
type List struct {
	Orders [2][]model.RestingOrder // by side
	Epoch  uint8                   // scale epoch of prices and sizes
	// Complete tells of a side that holds fewer rows than were asked for: there are no others.
	Complete       [2]bool
	Asked, Replied time.Time // when the call went out, and when its answer was there
}

// Options configures Owners.
type Options struct {
	Markets func(model.MarketID) (*model.Market, bool)
	// View returns the live book of a market, false while it is out of sync. It must not block.
	View func(model.MarketID) (*book.View, bool)
	// Poll asks the venue for a market's orders, within the budget that it keeps.
	Poll func(context.Context, *model.Market) (*List, error)
	// Saw is told each account that a list names; may be nil.
	Saw func(model.AccountID)
	// PerMinute is the most polls in a minute; 0: 30.
	PerMinute int
	Now       func() time.Time
	Logger    *slog.Logger // nil discards
}

// Owners knows the owners of resting orders. It is a market.Listener; its other methods may be called from any goroutine.
type Owners struct {
	o       Options
	log     *slog.Logger
	markets atomic.Pointer[map[model.MarketID]*tracked] // those watched
	index   index
	mu      sync.Mutex // of whoever changes the map
	wake    chan struct{}
}

var _ market.Listener = (*Owners)(nil)

// New returns Owners that know nothing yet; Run polls.
func New(o Options) *Owners {
	if o.PerMinute <= 0 {
		o.PerMinute = 30
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Owners{o: o, log: o.Logger.With("component", "attribution"), wake: make(chan struct{}, 1), index: index{markets: map[model.AccountID][]*tracked{}}}
	w.markets.Store(&map[model.MarketID]*tracked{})
	return w
}

// Attribution returns who owns the resting orders of a market's live book; nil where nothing is known, as of markets that
// nobody watches. It does not block.
func (w *Owners) Attribution(m model.MarketID) *model.Attribution {
	if t := (*w.markets.Load())[m]; t != nil {
		return t.published.Load()
	}
	return nil
}

// Watch says that somebody watches a market now; whoever goes on doing so repeats it each second.
func (w *Owners) Watch(m model.MarketID) { w.want(m, watchedFor) }

// Asked says that somebody who may see owners asked for a market's book.
func (w *Owners) Asked(m model.MarketID) { w.want(m, askedFor) }

// want keeps a market polled for a while.
func (w *Owners) want(id model.MarketID, d time.Duration) {
	until := w.o.Now().Add(d).UnixNano()
	t := (*w.markets.Load())[id]
	if t == nil {
		t = w.track(id)
	}
	for {
		old := t.until.Load()
		if old >= until || t.until.CompareAndSwap(old, until) {
			return
		}
	}
}

// track begins to follow a market.
func (w *Owners) track(id model.MarketID) *tracked {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := *w.markets.Load()
	if t := old[id]; t != nil {
		return t
	}
	t := newTracked(id, &w.index)
	next := maps.Clone(old)
	next[id] = t
	w.markets.Store(&next)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return t
}

// forget stops following the markets that nobody watches any more.
func (w *Owners) forget(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := maps.Clone(*w.markets.Load())
	n := len(next)
	maps.DeleteFunc(next, func(_ model.MarketID, t *tracked) bool {
		if t.until.Load() > now.UnixNano() {
			return false
		}
		t.end()
		return true
	})
	if len(next) != n {
		w.markets.Store(&next)
	}
}

// AppendOrders appends to dst the resting orders of an account in the markets that somebody watches, as far as they are known: by
// market, bids before asks, best first. It costs one look-up and the account's orders.
func (w *Owners) AppendOrders(dst []model.OpenOrder, account model.AccountID) []model.OpenOrder {
	for _, t := range w.index.of(account) {
		a, places := t.published.Load(), t.places.Load()
		if a == nil || places == nil {
			continue
		}
		for _, p := range (*places)[account] {
			l := findShown(a.Levels[p.side], p.side, p.price)
			if l == nil {
				continue
			}
			for _, r := range l.Orders {
				if r.Account == account {
					dst = append(dst, model.OpenOrder{RestingOrder: r, Market: t.id, Epoch: a.Epoch, Side: p.side, At: l.At, State: l.State})
				}
			}
		}
	}
	return dst
}

// OnEvent follows a watched market; of others it costs one look-up. It runs on the market's shard.
func (w *Owners) OnEvent(e *model.Event, v *book.View) {
	t := (*w.markets.Load())[e.Market]
	if t == nil {
		return
	}
	switch p := e.Payload.(type) {
	case *model.BookUpdate:
		t.book(p, v)
	case *model.TradeBatch:
		t.trades(e, p)
	case *model.Gap:
		if p.To == 0 && (p.Kind == model.KindBook || p.Kind == model.KindTrades) {
			t.reset()
		}
	}
}

// OnTick does nothing: it is part of market.Listener.
func (w *Owners) OnTick(model.Micros, []market.Held) {}
