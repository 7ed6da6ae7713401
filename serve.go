package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/access"
	api "hyperlight/http"
	"hyperlight/ws"
)

// runServer opens everything in order, prints where it listens, waits for ctx and closes in reverse. What can change
// while it runs is added to live.
func runServer(ctx context.Context, cfg *config.Config, live *liveParts, log *slog.Logger, stderr io.Writer) (err error) {
	// The ports come first: a port in use must not cost the opening of a large store.
	doors, err := openDoors(cfg, live, log)
	if err != nil {
		return err
	}
	defer doors.close()
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
	publicURL := doors.publicURL(cfg)
	eng, err := engine.Open(engine.Options{
		Store: storeOptions(cfg, fail), Lighter: cfg.Venues.Lighter, History: cfg.History, Backfill: cfg.Backfill, Relay: cfg.Relay, Accounts: cfg.Accounts,
		Signals: signalOptions(cfg, secrets, doors),
		Access:  accessOptions(cfg, secrets, publicURL, log), Version: version, Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	live.add("plans", func(c *config.Config) error { return eng.Access().SetPlans(c.Plans) }, "plans", "access.plans_file")
	live.add("webhook policy", func(c *config.Config) error {
		eng.Signals().SetPolicy(signalOptions(c, secrets, doors).Policy)
		return nil
	}, "webhooks.allow_http", "webhooks.allow_private", "webhooks.ports")

	files, err := openLake(cfg, eng, log)
	if err != nil {
		return err
	}
	defer files.close()
	byHand := newLakeControl(func() (*openedLake, error) { return files, nil })
	defer byHand.stop()

	var server *api.Server
	sockets, err := ws.New(socketOptions(cfg, eng, log, func(peer netip.Addr, forwardedFor string) netip.Addr {
		return server.ClientIP(peer, forwardedFor)
	}))
	if err != nil {
		return err
	}
	eng.Listen(sockets.Hub())
	server, err = api.New(serverOptions(cfg, eng, sockets, files, publicURL, doors.tls != nil, secrets, log, stderr))
	if err != nil {
		return err
	}
	live.add("trusted proxies", func(c *config.Config) error { server.SetTrustedProxies(trustedProxies(c)); return nil }, "server.trusted_proxies")
	live.add("whale thresholds", func(c *config.Config) error {
		notional, byMarket := whales(c)
		server.SetWhales(notional, byMarket)
		sockets.SetWhales(notional, byMarket)
		return nil
	}, "whales.threshold", "whales.markets")
	// The store's lock is held from here on, so a socket that is there belongs to nobody.
	if err := doors.openControl(cfg, eng, byHand, log); err != nil {
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
		if err := files.run(engineCtx, log); err != nil {
			fail(err)
		}
	})
	doors.serve(server, &parts, fail)
	metrics.GetOrCreateGauge(fmt.Sprintf("hyperlight_build_info{version=%q,go=%q}", version, runtime.Version()), nil).Set(1)
	fmt.Fprintf(stderr, "listening on %s\n", doors.address())
	welcome(stderr, cfg, eng.Access(), publicURL)
	<-ctx.Done()
	log.Info("stopping")

	grace, cancel := context.WithTimeout(context.Background(), time.Duration(cfg.Server.ShutdownTimeout))
	defer cancel()
	var asked sync.WaitGroup
	var serverErr, socketErr, doorErr error
	asked.Go(func() { serverErr = server.Shutdown(grace) })
	asked.Go(func() { socketErr = sockets.Close(grace) })
	asked.Go(func() { doorErr = doors.shutdown(grace) })
	asked.Wait()
	stopEngine()
	parts.Wait()
	for name, err := range map[string]error{"http": serverErr, "ws": socketErr, "control": doorErr} {
		if err != nil {
			log.Warn("clients did not end in time", "component", name, "error", err)
		}
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return engineErr
}

// welcome tells a person at the console how to get in. The link is shown here only, once, while there are no users.
func welcome(stderr io.Writer, cfg *config.Config, callers *access.Access, publicURL string) {
	if token, ok := callers.SetupToken(); ok {
		fmt.Fprintf(stderr, "Open %s/setup?token=%s to make the operator's account (valid 30 min)\n", publicURL, token)
	}
	if cfg.Demo.Enabled {
		fmt.Fprintf(stderr, "make a key with: curl -s %s/api/v1/auth/register -d '{\"email\":\"you@example.com\",\"password\":\"correct horse\",\"tos_accepted\":true}'\n", publicURL)
	}
}
