package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/attribution"
	"hyperlight/engine/backfill"
	"hyperlight/engine/feed"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/relay"
)

const (
	lighterID = 0 // the venue's number in a model.MarketID

	// marketPoll is below the minute of contract 7.1: what native calls are answered from is never older than that.
	marketPoll  = relay.PollEvery
	marketRetry = 5 * time.Second  // while no list was ever got
	probeEvery  = 10 * time.Second // contract 2.10.1
	// probeGood is how long a good answer counts; two missed probes in a row are a failure.
	probeGood = 25 * time.Second
	// settleDelay is how long after the full hour the venue's settled funding rows are asked for.
	settleDelay = time.Minute
)

// lighterVenue follows one Lighter-compatible venue: its sockets, its market list, and the REST calls that repair what
// the sockets missed.
type lighterVenue struct {
	e          *Engine
	log        *slog.Logger
	budget     *feed.Budget
	rest       *lighter.REST
	registry   *market.Registry
	supervisor *feed.Supervisor
	trades     *tradeRepair
	books      bookFetches
	backfill   *backfill.Service // nil where it is off
	owners     *attribution.Owners

	live   *relay.Live   // what native calls are answered from, with the record
	polled *relay.Polled // and the rest of it
	relay  *relay.Relay
	counts tradeCounts

	mu     sync.Mutex
	probed model.Millis // of the last probe, good or bad
	good   model.Millis // of the last good one
	answer lighter.Probe
}

func newLighterVenue(e *Engine) *lighterVenue {
	o := e.o.Lighter
	v := &lighterVenue{e: e, log: e.log.With("component", "lighter"), live: relay.NewLive(), polled: relay.NewPolled()}
	v.budget = feed.NewBudget(o.RESTBudgetPerMinute, e.now)
	v.rest = lighter.NewREST(lighter.RESTOptions{
		BaseURL: o.RESTURL, Budget: v.budget, Now: e.now, Timeout: time.Duration(o.Timeout), UserAgent: v.userAgent(),
		Keep: v.keepNative,
	})
	v.trades = newTradeRepair(v)
	v.books.open()
	return v
}

func (v *lighterVenue) userAgent() string { return "hyperlight/" + v.e.o.Version }

// wire connects the venue to the registry, which exists only after the venue: it needs the venue's callbacks.
func (v *lighterVenue) wire(r *market.Registry) {
	o := v.e.o.Lighter
	v.registry = r
	r.Listen(v.live)
	v.openOwners()
	v.supervisor = feed.New(feed.Options{
		Venue: "lighter", StreamURL: o.StreamURL, UserAgent: v.userAgent(),
		Dialect: &lighter.Dialect{Resolver: r.Resolver(lighterID, false), Accounts: true},
		Limits: feed.Limits{
			MessagesPerMinute: o.MessagesPerMinute, MaxUnanswered: o.MaxUnanswered, MaxConnections: o.MaxConnections,
			MaxSubscriptionsPerConnection: o.MaxSubscriptionsPerConnection, MaxAccountsPerConnection: o.MaxAccountsPerConnection,
			Stale: time.Duration(o.StaleAfter), Handshake: time.Duration(o.Timeout),
		},
		Sink: r, Now: v.e.now, Logger: v.log,
		Accounts: func(u *model.AccountUpdate, recv model.Micros) { v.e.refresher.Told(u, recv) },
	})
}

func (v *lighterVenue) resync(id model.MarketID) { v.supervisor.Resync(id) }

func (v *lighterVenue) needTrades(id model.MarketID, after uint64) { v.trades.ask(id) }

func (v *lighterVenue) close() {
	v.books.close()
	if v.relay != nil {
		v.relay.Close()
	}
	v.rest.Close()
}

// run follows the venue until ctx ends.
func (v *lighterVenue) run(ctx context.Context) error {
	up := metrics.GetOrCreateGauge(`hyperlight_upstream_up{venue="lighter"}`, nil)
	defer up.Set(0)
	gauges := feed.BudgetGauges("lighter", v.budget)
	metrics.RegisterSet(gauges)
	defer metrics.UnregisterSet(gauges, true)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { v.pollMarkets(ctx) })
	group.Go(func() { v.trades.run(ctx) })
	group.Go(func() { v.settleFundings(ctx) })
	group.Go(func() { v.pollNative(ctx) })
	group.Go(func() { _ = v.owners.Run(ctx) })      // fails never
	group.Go(func() { _ = v.e.refresher.Run(ctx) }) // ends with ctx
	if v.backfill != nil {
		group.Go(func() { _ = v.backfill.Run(ctx) }) // fails only when it runs already
	}
	group.Go(func() {
		every(ctx, 0, probeEvery, func() {
			v.probeOnce(ctx)
			up.Set(map[bool]float64{true: 1}[v.reachable()])
		})
	})
	return v.supervisor.Run(ctx)
}

// every calls f after the first delay and then at each period until ctx ends.
func every(ctx context.Context, first, period time.Duration, f func()) {
	t := time.NewTimer(first)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f()
			t.Reset(period)
		}
	}
}

// pollMarkets keeps the registry and the subscriptions at what the venue lists. Until the first list arrives the
// markets of the last run are followed, so that a venue whose REST is down still streams.
func (v *lighterVenue) pollMarkets(ctx context.Context) {
	v.follow()
	for ctx.Err() == nil {
		pause := marketPoll
		if err := v.listMarkets(ctx); err != nil && ctx.Err() == nil {
			v.log.Warn("market list failed", "error", err)
			pause = marketRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (v *lighterVenue) listMarkets(ctx context.Context) error {
	list, err := v.rest.Markets(ctx)
	if err != nil {
		return err
	}
	changed, err := v.registry.Upsert(list)
	if err != nil {
		return fmt.Errorf("register markets: %w", err)
	}
	if len(changed) > 0 {
		v.log.Info("markets listed", "markets", len(list), "new_or_changed", len(changed))
	}
	for _, m := range changed {
		v.log.Debug("market changed", "market", m.Symbol, "market_id", m.Native, "active", m.Active)
	}
	v.follow()
	return nil
}

// follow subscribes to the active markets that the configuration wants.
func (v *lighterVenue) follow() {
	var wanted []model.Market
	for _, m := range v.registry.All() {
		if m.Active && v.e.o.Lighter.Markets.Has(m.Native) {
			wanted = append(wanted, *m)
		}
	}
	v.supervisor.SetMarkets(wanted)
}

func (v *lighterVenue) probeOnce(ctx context.Context) {
	p, err := v.rest.Probe(ctx)
	if ctx.Err() != nil {
		return
	}
	now := model.Millis(v.e.now().UnixMilli())
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.probed != 0 && err != nil && v.good == v.probed {
		v.log.Warn("venue does not answer", "error", err)
	}
	v.probed = now
	if err == nil {
		v.good, v.answer = now, p
	}
}

// reachable tells whether the venue's REST answered lately.
func (v *lighterVenue) reachable() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.good != 0 && model.Millis(v.e.now().UnixMilli())-v.good <= model.Millis(probeGood.Milliseconds())
}

func (v *lighterVenue) describe(s *Status) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s.NetworkID, s.LighterTimestamp = v.answer.NetworkID, v.answer.Timestamp
	s.LatencyMS, s.CheckedAt = v.answer.Latency.Milliseconds(), v.probed
}

// settleFundings fetches the settled funding row of every perp a minute after each hour, one call a market at the
// lowest priority.
func (v *lighterVenue) settleFundings(ctx context.Context) {
	for ctx.Err() == nil {
		now := v.e.now()
		next := now.Truncate(time.Hour).Add(settleDelay)
		if !next.After(now) {
			next = next.Add(time.Hour)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(next.Sub(now)):
		}
		v.fetchFundings(ctx)
	}
}

func (v *lighterVenue) fetchFundings(ctx context.Context) {
	to := model.Millis(v.e.now().UnixMilli())
	from := to - model.Millis(2*time.Hour/time.Millisecond)
	for _, m := range v.registry.All() {
		if !m.Active || m.Type == "spot" || !v.e.o.Lighter.Markets.Has(m.Native) {
			continue
		}
		rows, err := v.rest.Fundings(ctx, m, from, to)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			v.log.Warn("funding history failed", "market", m.Symbol, "error", err)
			continue
		}
		for i := range rows {
			e := model.Event{Market: m.ID, Epoch: m.Epoch, Time: rows[i].Time, Recv: model.Micros(v.e.now().UnixMicro()), Payload: &rows[i]}
			if v.registry.Deliver(ctx, e) != nil {
				return
			}
		}
		if len(rows) == 0 {
			continue
		}
		hour := model.Millis(time.Hour / time.Millisecond)
		held := history.Span{From: rows[0].Time / hour * hour, To: rows[len(rows)-1].Time/hour*hour + hour}
		if err := v.e.writer.AddFundings(ctx, m.ID, rows, held); err != nil && ctx.Err() == nil {
			v.log.Warn("funding history cannot be stored", "market", m.Symbol, "error", err)
		}
	}
}
