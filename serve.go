package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/sim"
	api "hyperlight/http"
	"hyperlight/kv"
	"hyperlight/ws"
)

// runServer opens everything in order, prints where it listens, waits for ctx and closes in reverse.
func runServer(ctx context.Context, cfg *config.Config, log *slog.Logger, stderr io.Writer) (err error) {
	// The port comes first: a port in use must not cost the opening of a large store.
	ln, err := net.Listen("tcp", cfg.Server.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Server.Listen, err)
	}
	defer ln.Close() // a second close is harmless; the server's own comes first
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	if cfg.Demo.Enabled {
		stop, err := startDemo(ctx, cfg, log)
		if err != nil {
			return err
		}
		defer stop()
	}
	if cfg.Debug.Listen != "" {
		stop, err := startDebug(cfg.Debug.Listen)
		if err != nil {
			return err
		}
		defer stop()
	}
	secrets, err := openSecrets(cfg.Storage.Dir)
	if err != nil {
		return err
	}
	publicURL := cfg.Server.PublicURL
	if publicURL == "" {
		publicURL = "http://" + ln.Addr().String()
	}
	eng, err := engine.Open(engine.Options{
		Store: storeOptions(cfg, fail), Lighter: cfg.Venues.Lighter, History: cfg.History,
		Access: cfg.Access, Plans: cfg.Plans, Relay: cfg.Relay, Secret: secrets.derive, PublicURL: publicURL, Version: version, Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()

	sockets, err := ws.New(ws.Options{
		Markets: eng.Registry(), History: eng.History(), Access: eng.Access(),
		Logger: log.With("component", "ws"), Limits: socketLimits(cfg), SnapshotDepth: cfg.Snapshots.Depth, Compression: cfg.WS.Compression,
		Native: ws.Native{Book: lighter.AppendBookFrame, Trades: lighter.AppendTradeFrame},
	})
	if err != nil {
		return err
	}
	eng.Listen(sockets.Hub())
	server, err := api.New(api.Options{
		Engine: eng, History: eng.History(), Access: eng.Access(),
		Health: func() api.Health { return api.Health(eng.Health()) },
		Status: func() api.Status { return apiStatus(eng.Status()) },
		WebSocket: map[string]api.Handler{
			"/ws": sockets.WS, "/ws/replay": sockets.Replay,
		},
		PublicURL: publicURL, TrustedProxies: trustedProxies(cfg), CursorKey: secrets.derive("cursor"),
		MetricsToken: string(cfg.Metrics.Token), SnapshotDepth: cfg.Snapshots.Depth, Logger: log, AccessLog: accessLog(cfg, stderr),
	})
	if err != nil {
		return err
	}

	// Requests and sockets outlive ctx a little: they are asked to end first, the engine after them.
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	var parts sync.WaitGroup
	var engineErr error
	parts.Go(func() {
		if engineErr = eng.Run(engineCtx); engineErr != nil {
			fail(engineErr)
		}
	})
	parts.Go(func() {
		if err := server.Serve(ln); err != nil {
			fail(fmt.Errorf("serve requests: %w", err))
		}
	})
	metrics.GetOrCreateGauge(fmt.Sprintf("hyperlight_build_info{version=%q,go=%q}", version, runtime.Version()), nil).Set(1)
	fmt.Fprintf(stderr, "listening on http://%s\n", ln.Addr())
	<-ctx.Done()
	log.Info("stopping")

	grace, cancel := context.WithTimeout(context.Background(), time.Duration(cfg.Server.ShutdownTimeout))
	defer cancel()
	var asked sync.WaitGroup
	var serverErr, socketErr error
	asked.Go(func() { serverErr = server.Shutdown(grace) })
	asked.Go(func() { socketErr = sockets.Close(grace) })
	asked.Wait()
	stopEngine()
	parts.Wait()
	for name, err := range map[string]error{"http": serverErr, "ws": socketErr} {
		if err != nil {
			log.Warn("clients did not end in time", "component", name, "error", err)
		}
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return engineErr
}

// storeOptions places the store below the data directory; a store that cannot go on ends the server.
func storeOptions(cfg *config.Config, fail context.CancelCauseFunc) kv.Options {
	minFree := int64(cfg.Storage.MinFree)
	if minFree == 0 {
		minFree = -1 // the store takes 0 as its default
	}
	return kv.Options{
		Dir: filepath.Join(cfg.Storage.Dir, "store"), CacheBytes: int64(cfg.Storage.Cache), MinFree: minFree,
		OnFatal: func(err error) { fail(fmt.Errorf("store failed: %w", err)) },
	}
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

func apiStatus(s engine.Status) api.Status {
	return api.Status{
		Status: s.Status, REST: s.REST, WebSocket: s.WebSocket, NetworkID: s.NetworkID,
		LighterTimestamp: s.LighterTimestamp, LastMessageAt: s.LastMessageAt, CheckedAt: s.CheckedAt,
		BlockHeight: s.BlockHeight, LatencyMS: s.LatencyMS, ActiveMarkets: s.ActiveMarkets,
		Subscribed: s.Subscribed, Wanted: s.Wanted, Synced: s.SyncedMarkets,
	}
}

// startDemo starts the simulated venue and points the configuration at it.
func startDemo(ctx context.Context, cfg *config.Config, log *slog.Logger) (stop func(), err error) {
	ln, err := net.Listen("tcp", cfg.Demo.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for the demo: %w", cfg.Demo.Listen, err)
	}
	cfg.Venues.Lighter.Enabled = true
	cfg.Venues.Lighter.RESTURL = "http://" + ln.Addr().String()
	cfg.Venues.Lighter.StreamURL = "ws://" + ln.Addr().String() + "/stream"
	exchange := sim.New(sim.Options{
		Seed: cfg.Demo.Seed, Markets: cfg.Demo.Markets, Accounts: cfg.Demo.Accounts, Rate: float64(cfg.Demo.Rate),
		Logger: log.With("component", "sim"),
	})
	// The venue ends after the engine, as a real one would.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := sim.Serve(ctx, ln, exchange, sim.ServeOptions{Logger: log.With("component", "sim")}); err != nil {
			log.Error("demo venue ended", "component", "sim", "error", err)
		}
	}()
	log.Info("demo venue started", "component", "sim", "address", ln.Addr().String(), "markets", cfg.Demo.Markets)
	return func() { cancel(); <-ended }, nil
}
