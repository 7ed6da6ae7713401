package main

import (
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hyperlight/engine/sim"
)

// simFlags are the flags of `hyperlight sim`.
type simFlags struct {
	listen      string
	allowRemote bool
	exchange    sim.Options
	capture     sim.CaptureOptions
	restLimit   int
	answerDelay time.Duration
}

// newSimCommand makes `hyperlight sim`: a Lighter-compatible venue on loopback.
func newSimCommand() *cobra.Command {
	var f simFlags
	c := &cobra.Command{
		Use:   "sim",
		Short: "Run a Lighter-compatible venue on loopback",
		Long: `Run a Lighter-compatible venue: native REST and stream, on loopback.

Without --capture a simulated exchange stands behind it: matching, accounts, margin, liquidations and funding,
deterministic from --seed. With --capture a recording is played at its own pace, its times shifted to now.`,
		Example: "  hyperlight sim --listen 127.0.0.1:9300 --seed 1 --markets 100 --rate 2000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSim(cmd, f)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.listen, "listen", sim.DefaultListen, "address to listen on; port 0 picks a free one")
	fl.BoolVar(&f.allowRemote, "allow-remote", false, "accept a --listen address that other machines can reach")
	fl.Int64Var(&f.exchange.Seed, "seed", 1, "seed of the simulated exchange")
	fl.IntVar(&f.exchange.Markets, "markets", sim.DefaultMarkets, "number of perp markets")
	fl.IntVar(&f.exchange.Accounts, "accounts", sim.DefaultAccounts, "number of trading accounts")
	fl.Float64Var(&f.exchange.Rate, "rate", sim.DefaultRate, "level changes per second over all markets")
	fl.Float64Var(&f.exchange.Volatility, "volatility", 1, "multiple of the normal volatility; more brings more liquidations")
	fl.StringVar(&f.capture.File, "capture", "", "recording to play instead (.ndjson, .jsonl, .gz)")
	fl.BoolVar(&f.capture.Loop, "loop", false, "start the recording again when it ends")
	fl.Float64Var(&f.capture.Speed, "speed", 1, "pace of the recording as a multiple of its own")
	fl.BoolVar(&f.capture.KeepTime, "keep-time", false, "leave the recording's times as they are")
	fl.IntVar(&f.capture.WaitSubscriptions, "wait-subscriptions", 0, "hold the recording until there are so many subscriptions")
	fl.IntVar(&f.restLimit, "rest-limit", 24000, "REST requests a minute per IP; 60 is the venue's anonymous tier, negative is no limit")
	fl.DurationVar(&f.answerDelay, "answer-delay", 0, "how long the stream lets a message wait for its answer; the venue takes about 200ms")
	return c
}

// check refuses what the exchange cannot work with. The bounds are those of demo.*: what lies far beyond them keeps it in one step for
// ever, deaf to signals.
func (f *simFlags) check() error {
	within := func(n, most float64) bool { return n > 0 && n <= most } // NaN is not
	switch x := &f.exchange; {
	case x.Markets < 1 || x.Accounts < 1 || x.Rate <= 0 || f.capture.Speed <= 0:
		return usagef("--markets, --accounts, --rate and --speed must be positive")
	case x.Markets > 2_000:
		return usagef("--markets must be at most 2000")
	case x.Accounts > 1_000_000:
		return usagef("--accounts must be at most 1000000")
	case !within(x.Rate, 1_000_000):
		return usagef("--rate must be at most 1000000")
	case !within(f.capture.Speed, 1_000_000):
		return usagef("--speed must be at most 1000000")
	case !within(x.Volatility, 1_000):
		return usagef("--volatility must be above 0, and at most 1000")
	case f.answerDelay < 0 || f.capture.WaitSubscriptions < 0:
		return usagef("--answer-delay and --wait-subscriptions must not be negative")
	}
	return nil
}

// runSim opens the source and the listener and serves until a signal or the command's context ends it.
func runSim(cmd *cobra.Command, f simFlags) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := f.check(); err != nil {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	}
	var src sim.Source
	if f.capture.File != "" {
		f.capture.Logger = log
		c, err := sim.NewCapture(f.capture)
		if err != nil {
			return err
		}
		src = c
	} else {
		f.exchange.Logger = log
		src = sim.New(f.exchange)
	}
	ln, err := listen(f.listen, "--listen")
	if err != nil {
		return fmt.Errorf("simulate a venue: %w", err)
	}
	if !f.allowRemote && !ln.Addr().(*net.TCPAddr).IP.IsLoopback() {
		ln.Close()
		return failf(exitRefused, "add --allow-remote if that is meant", "simulate a venue on %s: %w", f.listen, sim.ErrRemote)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "listening on http://%s\n", ln.Addr())
	return sim.Serve(ctx, ln, src, sim.ServeOptions{AllowRemote: f.allowRemote, AnswerDelay: f.answerDelay, Logger: log,
		Limits: sim.Limits{RESTPerMinute: f.restLimit}})
}
