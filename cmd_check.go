package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"hyperlight/config"
)

// checkReport is what a check of the store found.
type checkReport struct {
	Dir    string   `json:"dir"`
	Deep   bool     `json:"deep"`
	Damage []damage `json:"damage"`
}

// damage is one row that is wrong.
type damage struct {
	Key     string `json:"key"` // hex
	Problem string `json:"problem"`
}

func (a *app) newCheckCommand() *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the store for damage",
		Long: "Check opens the store, decodes every row and compares rows with indexes. With --deep it also rebuilds\n" +
			"every book and candle. It ends with 5 when something is damaged. No server may run on the store.",
		Example: "  hyperlight check --deep",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := a.load()
			if err != nil {
				return err
			}
			return a.check(cmd.Context(), loaded.Config, deep)
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "also rebuild every book from its updates and every candle from its trades")
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) check(ctx context.Context, cfg *config.Config, deep bool) error {
	// Opening a store makes one where there is none; a check must not.
	dir := storeOptions(cfg, nil).Dir
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if len(entries) == 0 {
		return failf(exitFailure, "name the right directory with --storage-dir", "open store: %s is empty", dir)
	}
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := runCheck(ctx, cfg, newLogger(a.stderr, "text", level), deep)
	if err != nil {
		return err
	}
	out := result{header: []string{"key", "problem"}, json: r}
	for _, d := range r.Damage {
		out.rows = append(out.rows, []string{d.Key, d.Problem})
	}
	if len(out.rows) > 0 || a.output != "table" {
		if err := a.print(out); err != nil {
			return err
		}
	}
	if len(r.Damage) > 0 {
		return failf(exitDamage, "keep a copy of the directory before anything writes to it, then restore a backup or import again",
			"store %s has %d damaged rows", dir, len(r.Damage))
	}
	a.say("store %s is sound", dir)
	return nil
}
