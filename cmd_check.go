package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"hyperlight/config"
)

// checkReport is what a check of the store found.
type checkReport struct {
	Dir    string       `json:"dir"`
	Deep   bool         `json:"deep"`
	Counts []checkCount `json:"counts"`
	Damage []string     `json:"damage"` // one line per thing that is wrong
}

// checkCount is one number of a report.
type checkCount struct {
	What string `json:"what"`
	Rows uint64 `json:"rows"`
}

func (a *app) newCheckCommand() *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the store for damage",
		Long: "Check opens the store and compares its rows with its indexes. With --deep it also decodes every\n" +
			"value. It ends with 5 when something is damaged. No server may run on the store.",
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
	cmd.Flags().BoolVar(&deep, "deep", false, "read and decode every value")
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
	out := result{header: []string{"what", "rows"}, json: r}
	for _, c := range r.Counts {
		out.rows = append(out.rows, []string{c.What, strconv.FormatUint(c.Rows, 10)})
	}
	if err := a.print(out); err != nil {
		return err
	}
	for _, d := range r.Damage {
		fmt.Fprintf(a.stderr, "damage: %s\n", d)
	}
	if len(r.Damage) > 0 {
		return failf(exitDamage, "restore a backup, or keep a copy of the directory before anything writes to it",
			"store %s has %d damaged places", cfg.Storage.Dir, len(r.Damage))
	}
	a.say("store %s is sound", cfg.Storage.Dir)
	return nil
}
