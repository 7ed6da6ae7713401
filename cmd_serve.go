package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"hyperlight/config"
)

func (a *app) newServeCommand() *cobra.Command {
	var checkOnly bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Record the exchange and serve REST, WebSocket and replay",
		Long: "Serve follows the exchange, records it and answers clients until it gets SIGINT or SIGTERM;\n" +
			"it then finishes running requests and commits what it has. A second signal ends it at once.\n" +
			"SIGHUP reads the configuration again: plans, trusted proxies, whale thresholds, whom webhooks may\n" +
			"call, certificates and logging.level are applied, other changes need a restart.",
		Example: "  hyperlight serve -c config/demo.yaml --check-config",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := a.load()
			if err != nil {
				return err
			}
			if checkOnly {
				return a.printConfig(loaded, false)
			}
			return a.serve(cmd.Context(), loaded)
		},
	}
	cmd.Flags().BoolVar(&checkOnly, "check-config", false, "check the configuration, print what is in force, and end")
	a.settingFlag(cmd, "listen", "server.listen", "`ADDRESS` to listen on; port 0 picks a free one")
	a.settingFlag(cmd, "public-url", "server.public_url", "`URL` under which clients reach the server")
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	a.settingFlag(cmd, "local-plan", "access.local_plan", "`PLAN` of calls from this machine without a credential")
	a.settingFlag(cmd, "log-level", "logging.level", "`LEVEL`: debug, info, warn or error")
	a.settingFlag(cmd, "log-format", "logging.format", "`FORMAT`: json or text")
	return cmd
}

// serve runs the server with its log, its memory limit and its signals.
func (a *app) serve(ctx context.Context, loaded *config.Loaded) error {
	// Whoever reads the log may go first, as tee does at Ctrl-C: the server ends in order all the same.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	cfg := loaded.Config
	level := new(slog.LevelVar)
	level.Set(parseLevel(cfg.Logging.Level))
	stderr := &lockedWriter{w: a.stderr}
	log := newLogger(stderr, cfg.Logging.Format, level)
	for _, w := range a.warnings(cfg) {
		log.Warn("configuration is risky", "key", w.Path, "reason", w.Message)
	}
	if limit, ok := limitMemory(os.DirFS("/"), os.Getenv("GOMEMLIMIT")); ok {
		log.Info("memory limit taken from cgroup", "limit_bytes", limit)
	}
	log.Info("starting", "version", version, "config_file", loaded.File, "storage_dir", cfg.Storage.Dir)

	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from the first signal on, the second one ends the process

	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	done := make(chan struct{})
	defer close(done)
	live := new(liveParts)
	go a.watchReload(reload, done, *cfg, live, level, log)

	if err := runServer(ctx, cfg, live, log, stderr); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// watchReload applies what can change while running. It owns its copy of the
// configuration; a bad file changes nothing.
func (a *app) watchReload(hup <-chan os.Signal, done <-chan struct{}, running config.Config, live *liveParts, level *slog.LevelVar, log *slog.Logger) {
	for {
		select {
		case <-done:
			return
		case <-hup:
		}
		loaded, err := a.load()
		if err != nil {
			// What tells faults apart is preset, so that another one is not folded into the last: who mends a file reads the log next.
			log.With("error", strings.ReplaceAll(err.Error(), "\n", "; ")).Error("configuration not reloaded")
			continue
		}
		applied, restart := config.Changes(&running, loaded.Config)
		next := running
		next.Apply(loaded.Config)
		level.Set(parseLevel(next.Logging.Level))
		// What a part has refused counts as changed again at the next signal.
		refused := live.apply(&next, applied, log)
		running.Apply(&next, refused...)
		applied = slices.DeleteFunc(applied, func(key string) bool { return slices.Contains(refused, key) })
		log.Info("configuration reloaded", "applied", applied)
		if len(restart) > 0 {
			log.With("keys", restart).Warn("configuration change needs restart")
		}
	}
}

// warnings adds to the configuration's own what only the machine can tell.
func (a *app) warnings(c *config.Config) []config.Fault {
	found := c.Warnings()
	if free, total, ok := diskSpace(c.Storage.Dir); ok && free < total/10 {
		found = append(found, config.Fault{
			Path:    "storage.dir",
			Message: fmt.Sprintf("its disk is more than nine tenths full: %s of %s left", sizeText(free), sizeText(total)),
		})
	}
	return found
}

func sizeText(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
