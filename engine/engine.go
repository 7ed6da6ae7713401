// Package engine is the facade of everything that knows markets: it opens the store, wires feed, registry, history and
// access together, and answers what the servers ask. It is the only engine package that main constructs. It must not
// know of HTTP or sockets to clients.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/config"
	"hyperlight/engine/access"
	"hyperlight/engine/account"
	"hyperlight/engine/account/refresh"
	"hyperlight/engine/book"
	"hyperlight/engine/exchange"
	"hyperlight/engine/exposure"
	"hyperlight/engine/fills"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/signal/desk"
	"hyperlight/kv"
)

// Options configures an Engine.
type Options struct {
	Store   kv.Options
	Lighter config.Lighter
	History config.History
	// Backfill says what is fetched of times that were not recorded; the zero value nothing.
	Backfill config.Backfill
	Relay    config.Relay
	Accounts config.Accounts
	Signals  SignalOptions
	// Access says who may call what; the engine adds store and clock. Without a JWTSecret there are no users, only the
	// local caller.
	Access  access.Options
	Version string
	Shards  int              // 0: one per core
	Now     func() time.Time // nil: the wall clock
	Logger  *slog.Logger     // nil: discard
}

// Engine is a running appliance without its servers. Its methods may be called from any goroutine.
type Engine struct {
	o       Options
	now     func() time.Time
	log     *slog.Logger
	started time.Time

	store    *kv.Store
	access   *access.Access
	registry *market.Registry
	writer   *history.Writer
	reader   *history.Reader
	exchange *exchange.Statistics
	sums     *exchange.Sums
	accounts *account.Tracker
	exposure *exposure.Desk
	fills    *fills.Fills
	signals  *desk.Desk // nil: there are none
	// refresher asks for accounts; nil where the venue is switched off.
	refresher *refresh.Refresher
	lighter   *lighterVenue // nil where the venue is switched off
	gate      gate
	probe     storeProbe

	running   atomic.Bool
	closeOnce sync.Once
	closeErr  error
}

// Open opens the store and restores what it knows. Nothing is followed or recorded before Run.
func Open(o Options) (*Engine, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Store.Now, o.Store.Logger = o.Now, o.Logger
	store, err := kv.Open(o.Store)
	if err != nil {
		return nil, err
	}
	e := &Engine{o: o, now: o.Now, log: o.Logger, started: o.Now(), store: store}
	if err := e.wire(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return e, nil
}

func (e *Engine) wire() error {
	if err := e.openAccess(); err != nil {
		return err
	}
	recovered, err := history.Recover(context.Background(), e.store)
	if err != nil {
		return fmt.Errorf("recover history: %w", err)
	}
	e.gate = newGate(2 * runtime.GOMAXPROCS(0))
	e.probe = storeProbe{store: e.store, now: e.now}
	if e.o.Lighter.Enabled {
		e.lighter = newLighterVenue(e)
	}
	opts := market.Options{
		Shards: e.o.Shards, Now: e.now, Logger: e.log.With("component", "market"),
		Save: func(ms []*model.Market) error { return history.SaveMarkets(e.store, ms) },
	}
	if e.lighter != nil {
		opts.Resync = e.lighter.resync
		opts.NeedTrades = e.lighter.needTrades
	}
	e.registry = market.NewRegistry(opts)
	for _, m := range recovered.Markets {
		e.registry.Restore(m, recovered.Starts[m.ID])
	}
	e.reader = history.NewReader(e.store, e.registry.Get)
	e.reader.KeepReady(int64(e.o.History.ReadyRows))
	e.exchange = exchange.New(exchange.Options{Record: e.reader, Markets: e.registry, Now: e.now, Logger: e.log})
	e.sums = exchange.NewSums(exchange.SumsOptions{
		Store: e.store, Record: e.reader, Markets: e.registry.All, Enter: e.Enter, Now: e.now, Logger: e.log,
	})
	e.registry.Listen(e.exchange)
	if err := e.openAccounts(recovered); err != nil {
		return err
	}
	if err := e.openSignals(); err != nil {
		return err
	}
	if e.o.Accounts.ReadyBodies > 0 {
		e.fills = fills.New(fills.Options{
			Reader: e.reader, Flush: func(ctx context.Context) error { return e.writer.Flush(ctx) }, Now: e.now,
			Budget: int(e.o.Accounts.ReadyBodies) / fillsShare,
		})
	}
	e.writer, err = history.NewWriter(history.WriterOptions{
		Store: e.store, Now: e.now, Logger: e.log,
		Markets: e.registry.Get, Retention: retention(e.o.History),
		OnTrade: func(m model.MarketID, t *model.Trade) {
			e.exchange.AddTrade(m, t)
			if e.fills != nil {
				e.fills.Add(m, t)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("start history: %w", err)
	}
	if err := e.exchange.Load(context.Background()); err != nil {
		return fmt.Errorf("count the last 24 hours: %w", err)
	}
	if e.lighter != nil {
		e.lighter.wire(e.registry)
		if err := e.openRefresher(); err != nil {
			return err
		}
		if err := e.openBackfill(); err != nil {
			return err
		}
		return e.lighter.openRelay()
	}
	return nil
}

// Listen adds a listener of market events. Listeners are told in the order added, before the history writer. It must
// be called before Run.
func (e *Engine) Listen(l market.Listener) { e.registry.Listen(l) }

// Run follows the venue and records until ctx ends, then stops in order: feed, shards, last commit. It returns the
// first failure of a part; it can be called once.
func (e *Engine) Run(ctx context.Context) error {
	if !e.running.CompareAndSwap(false, true) {
		return errors.New("engine runs already")
	}
	e.registry.Listen(e.writer)
	feed := newStage(ctx, "feed")
	shards := newStage(context.WithoutCancel(ctx), "shards")
	writer := newStage(context.WithoutCancel(ctx), "history")
	callers := newStage(context.WithoutCancel(ctx), "access")
	accounts := newStage(context.WithoutCancel(ctx), "accounts")
	exposed := newStage(context.WithoutCancel(ctx), "exposure")
	sums := newStage(context.WithoutCancel(ctx), "exchange")
	signals := newStage(context.WithoutCancel(ctx), "signals")
	rolling := newStage(context.WithoutCancel(ctx), "rolling statistics")
	failed := make(chan error, 9) // one for each stage
	callers.run(failed, e.access.Run)
	accounts.run(failed, e.accounts.Run)
	writer.run(failed, e.writer.Run)
	rolling.run(failed, e.exchange.Run)
	sums.run(failed, e.sums.Run)
	if e.signals != nil {
		signals.run(failed, e.signals.Run)
	}
	shards.run(failed, e.registry.Run)
	if e.lighter != nil {
		exposed.run(failed, e.exposure.Run)
		feed.run(failed, e.lighter.run)
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, feed.stop(), exposed.stop(), sums.stop(), rolling.stop(), shards.stop(), signals.stop(), accounts.stop(), writer.stop(), callers.stop())
}

// Close closes the store. Call it after Run has returned and the servers have finished.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() {
		if e.lighter != nil {
			e.lighter.close()
		}
		e.closeErr = e.store.Close()
	})
	return e.closeErr
}

// stage is one part of the pipeline with a context of its own, so that parts stop one after another.
type stage struct {
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func newStage(parent context.Context, name string) *stage {
	ctx, cancel := context.WithCancel(parent)
	done := make(chan struct{})
	close(done)
	return &stage{name: name, ctx: ctx, cancel: cancel, done: done}
}

// run starts the part; a failure before its stop is reported to failed.
func (s *stage) run(failed chan<- error, f func(context.Context) error) {
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		err := f(s.ctx)
		if err != nil && s.ctx.Err() == nil {
			failed <- fmt.Errorf("%s ended: %w", s.name, err)
			return
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			s.err = fmt.Errorf("stop %s: %w", s.name, err)
		}
	}()
}

// stop ends the part and waits for it.
func (s *stage) stop() error {
	s.cancel()
	<-s.done
	return s.err
}

// openAccess opens users, keys and what they have used.
func (e *Engine) openAccess() (err error) {
	o := e.o.Access
	o.Now = e.now
	if len(o.JWTSecret) > 0 {
		o.Store = e.store
	}
	e.access, err = access.New(o)
	return err
}

// Now returns the engine's clock.
func (e *Engine) Now() time.Time { return e.now() }

// Access returns who may call what.
func (e *Engine) Access() *access.Access { return e.access }

// History returns the reader of the record. Callers that serve clients hold Enter's place while they read.
func (e *Engine) History() *history.Reader { return e.reader }

// Registry returns the live markets.
func (e *Engine) Registry() *market.Registry { return e.registry }

// Markets returns every market, active or not, by ascending id. The slice is shared: it must not be changed.
func (e *Engine) Markets() []*model.Market { return e.registry.All() }

// Market returns a market by the venue's own id.
func (e *Engine) Market(native int64) (*model.Market, bool) { return e.registry.ByNative(0, native) }

// Book returns the current book. While the market is out of sync the venue is asked once over REST, which gives at
// most 250 orders a side; an upstream_error where that fails too.
func (e *Engine) Book(ctx context.Context, m *model.Market) (*book.View, error) {
	if v, fresh := e.registry.View(m.ID); fresh {
		return v, nil
	}
	if e.lighter == nil {
		return nil, &model.Error{Code: model.CodeUpstream, Message: "the venue is not followed, there is no current book"}
	}
	return e.lighter.fetchBook(ctx, m)
}

// retention turns the configuration into the writer's durations.
func retention(c config.History) history.Retention {
	d := func(name string) time.Duration { return time.Duration(c.Retention[name]) }
	return history.Retention{
		Books: d("books"), Ticks: time.Duration(c.TickRetention), Stats: d("stats"), Trades: d("trades"),
		Candles: d("candles"), Funding: d("funding"), Heatmaps: d("heatmaps"), Accounts: d("accounts"),
	}
}
