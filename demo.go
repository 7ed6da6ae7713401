package main

import (
	"context"
	"fmt"
	"log/slog"

	"hyperlight/config"
	"hyperlight/engine/sim"
)

// startDemo starts the simulated venue and points the configuration at it.
func startDemo(ctx context.Context, cfg *config.Config, log *slog.Logger) (stop func(), err error) {
	ln, err := listen(cfg.Demo.Listen, "demo.listen")
	if err != nil {
		return nil, fmt.Errorf("start the demo venue: %w", err)
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
