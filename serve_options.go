package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/past"
	"hyperlight/engine/replay"
	"hyperlight/engine/signal/delivery"
	api "hyperlight/http"
	"hyperlight/kv"
	"hyperlight/ws"
)

// storeOptions places the store below the data directory; a store that cannot go on ends the server.
func storeOptions(cfg *config.Config, fail context.CancelCauseFunc) kv.Options {
	minFree := int64(cfg.Storage.MinFree)
	if minFree == 0 {
		minFree = -1 // the store takes 0 as its default
	}
	return kv.Options{
		Dir: filepath.Join(cfg.Storage.Dir, "store"), CacheBytes: int64(cfg.Storage.Cache), MinFree: minFree,
		BeforeMigration: cfg.BackupsDir(),
		OnFatal:         func(err error) { fail(fmt.Errorf("store failed: %w", err)) },
	}
}

// readyShare is the part of accounts.ready_bodies that encoded rows get: half. The rest is for recent fills.
const readyShare = 2

// serverOptions configures the REST server. Without a venue there is nothing to relay to; files is nil without a data lake.
func serverOptions(cfg *config.Config, eng *engine.Engine, sockets *ws.Server, files *openedLake, publicURL string, tls bool, keys *secrets, log *slog.Logger, stderr io.Writer) api.Options {
	o := api.Options{
		Engine: eng, History: eng.History(), Access: eng.Access(),
		Health:       func() api.Health { return api.Health(eng.Health()) },
		Status:       func() api.Status { return apiStatus(eng) },
		FundingRates: eng.FundingRates,
		Exchange:     eng,
		Accounts: api.AccountOptions{
			Accounts: eng.Accounts(), History: eng.History(), Exposure: eng.Exposure(), Stats: eng.LiveStats,
			StaleAfter: time.Duration(cfg.Accounts.StaleAfter), ReadyBodies: int64(cfg.Accounts.ReadyBodies) / readyShare,
		},
		Day:     eng.Exchange(),
		Signals: api.SignalOptions{Heatmaps: eng.History().HeatmapsCovered},
		WebSocket: map[string]api.Handler{
			"/ws": sockets.WS, "/stream": sockets.Stream, "/ws/replay": sockets.Replay, "/replay/stream": sockets.Past,
		},
		Past:           func(at model.Micros) api.Past { return past.At(eng.History(), eng.Registry(), at).WithSums(eng.Sums()) },
		ReplayClock:    sockets.ReplayClock,
		AllowAnonymous: cfg.Proxy.AllowAnonymous, PublicURL: publicURL, TLS: tls, TrustedProxies: trustedProxies(cfg),
		CursorKey: keys.derive("cursor"), MetricsToken: string(cfg.Metrics.Token), SnapshotDepth: cfg.Snapshots.Depth,
		Logger: log, AccessLog: accessLog(cfg, stderr),
	}
	if r := eng.Relay(); r != nil {
		o.Relay = r
	}
	o.WhaleNotional, o.WhaleByMarket = whales(cfg)
	if w := eng.Owners(); w != nil {
		o.Owners, o.Accounts.Orders = w, w
	}
	if files != nil {
		lifetime := cfg.Lake.LinkLifetime.D()
		o.Lake = files.options(lake.NewLinks(keys.derive("file links"), publicURL, lifetime, eng.Now), lifetime)
	}
	if d := eng.Signals(); d != nil {
		o.Signals.Desk = d
	}
	if f := eng.RecentFills(); f != nil {
		o.Accounts.Fills = f
	}
	if r := eng.Refresher(); r != nil {
		o.Accounts.Refresh = r
	}
	if cfg.Venues.Lighter.Enabled && cfg.Backfill.Enabled {
		o.Fill = eng.Fill
	}
	return o
}

func socketOptions(cfg *config.Config, eng *engine.Engine, log *slog.Logger, clientIP func(netip.Addr, string) netip.Addr) ws.Options {
	o := ws.Options{
		Markets: eng.Registry(), History: eng.History(), Access: eng.Access(), Logger: log.With("component", "ws"),
		Limits: socketLimits(cfg), SnapshotDepth: cfg.Snapshots.Depth, Compression: cfg.WS.Compression,
		PrivateSockets: cfg.Relay.PrivateSockets, AllowAnonymous: cfg.Proxy.AllowAnonymous, ClientIP: clientIP,
		Heatmaps: eng.Exposure(),
		Native: ws.Native{
			Book: lighter.AppendBookFrame, Trades: lighter.AppendTradeFrame, Stats: lighter.AppendMarketStatsFrame,
			AllStats: lighter.AppendMarketStatsAllFrame, Height: lighter.AppendHeightFrame, Connected: lighter.AppendConnectedFrame,
			Unsubscribed: lighter.AppendUnsubscribedFrame, Error: lighter.AppendErrorFrame, Pong: lighter.AppendPongFrame,
		},
	}
	o.WhaleNotional, o.WhaleByMarket = whales(cfg)
	if w := eng.Owners(); w != nil {
		o.Owners = w
	}
	if cfg.Replay.FinePacing {
		o.Pacer = replay.NewPacer(nil)
	}
	if o.PrivateSockets == 0 {
		o.PrivateSockets = -1 // the sockets take 0 as their default
	}
	if l := cfg.Venues.Lighter; l.Enabled {
		o.Follows = func(m *model.Market) bool { return m == nil || m.Active && l.Markets.Has(m.Native) }
		o.Upstream = ws.Upstream{URL: l.StreamURL, UserAgent: "hyperlight/" + version, Handshake: l.Timeout.D(), Take: eng.TakeMessage}
	}
	return o
}

// signalOptions configures signals; our own listeners are never called, whatever else is allowed.
func signalOptions(cfg *config.Config, keys *secrets, d *doors) engine.SignalOptions {
	return engine.SignalOptions{
		Key: keys.derive(signalSecrets),
		Policy: delivery.Policy{
			AllowHTTP: cfg.Webhooks.AllowHTTP, AllowPrivate: cfg.Webhooks.AllowPrivate, Ports: cfg.Webhooks.PortNumbers(), Own: d.own(),
		},
		Schedule: cfg.Webhooks.Waits(),
	}
}

// whales turns the configured whole dollars into values.
func whales(cfg *config.Config) (notional num.USD, byMarket map[model.MarketID]num.USD) {
	byMarket = map[model.MarketID]num.USD{}
	for native, usd := range cfg.Whales.Markets {
		byMarket[model.MarketID(native)] = num.USD(int64(usd) * num.Pow10(num.USDScale))
	}
	return num.USD(int64(cfg.Whales.Threshold) * num.Pow10(num.USDScale)), byMarket
}

func socketLimits(cfg *config.Config) ws.Limits {
	return ws.Limits{
		AuthTimeout: time.Duration(cfg.WS.AuthTimeout), PingInterval: time.Duration(cfg.WS.PingInterval),
		PongTimeout: time.Duration(cfg.WS.PongTimeout), QueueFrames: cfg.WS.QueueFrames,
		QueueBytes: int(cfg.WS.QueueBytes), ReplayBuffer: int(cfg.Replay.QueueBytes),
	}
}

// accessLog is where requests are logged by the batch: past the logger, whose cost per line is several times that of
// the request. Only JSON lines are written so; text, and levels above info, are the logger's business.
func accessLog(cfg *config.Config, stderr io.Writer) io.Writer {
	if cfg.Logging.Format != "json" || parseLevel(cfg.Logging.Level) > slog.LevelInfo {
		return nil
	}
	return stderr
}

// trustedProxies reads what the configuration's check has found to be networks.
func trustedProxies(cfg *config.Config) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range cfg.Server.TrustedProxies {
		if p, err := config.ParseNetwork(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func apiStatus(eng *engine.Engine) api.Status {
	s := eng.Status()
	var progress []api.BackfillProgress
	for _, p := range eng.Backfill() {
		progress = append(progress, api.BackfillProgress{
			Kind: p.Kind.String(), Markets: p.Markets, Incomplete: p.Incomplete, LeftSeconds: int64(p.Left / time.Second), Newest: p.Newest,
		})
	}
	return api.Status{
		Backfill: progress,
		Status:   s.Status, REST: s.REST, WebSocket: s.WebSocket, NetworkID: s.NetworkID,
		LighterTimestamp: s.LighterTimestamp, LastMessageAt: s.LastMessageAt, CheckedAt: s.CheckedAt,
		BlockHeight: s.BlockHeight, LatencyMS: s.LatencyMS, ActiveMarkets: s.ActiveMarkets,
		Subscribed: s.Subscribed, Wanted: s.Wanted, Synced: s.SyncedMarkets,
		Accounts: accountStatus(eng),
	}
}

func accountStatus(eng *engine.Engine) *api.AccountStatus {
	s, ok := eng.AccountStatus()
	if !ok {
		return nil
	}
	return &api.AccountStatus{
		Known: s.Known, WithPositions: s.Open, Stale: s.Stale, Unpolled: s.Unpolled, OldestPoll: s.Oldest, CountedAt: s.At,
		Queued: s.Queued, Waited: s.Waited,
	}
}
