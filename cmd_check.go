package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"hyperlight/config"
	"hyperlight/engine/check"
	"hyperlight/engine/model"
)

// checkReport is what a check of a store found.
type checkReport struct {
	Dir         string   `json:"dir"`
	Deep        bool     `json:"deep"`
	StoreFormat int      `json:"store_format"`
	BlocksOnly  bool     `json:"blocks_only"` // the store has an older format: its rows were not looked at
	Damage      []damage `json:"damage"`
	Holes       []hole   `json:"holes,omitempty"`
}

// hole is a time of which the record lacks a kind of rows; it is no damage.
type hole struct {
	Market int64        `json:"market_id"`
	Kind   string       `json:"kind"`
	From   model.Millis `json:"from"`
	To     model.Millis `json:"to"`
	Cause  string       `json:"cause,omitempty"` // why the venue does not fill it: venue_end or venue_refused
}

// damage is a file or a row that is wrong.
type damage struct {
	File     string   `json:"file,omitempty"`
	Families []string `json:"families,omitempty"`
	Key      string   `json:"key"` // hex; "" of a file
	Problem  string   `json:"problem"`
}

func (a *app) newCheckCommand() *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the store for damage",
		Long: "Check reads every block of the store with its checksum, decodes every row and compares rows with indexes. With\n" +
			"--deep it also rebuilds every book and candle. It changes nothing, and ends with 5 when something is damaged.\n" +
			"While a server runs it looks at a copy of that moment, which the server makes of hard links.",
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
	level := slog.LevelError // what the store says of damage is in the report
	if a.verbose {
		level = slog.LevelDebug
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	found, err := a.look(deep, func(o check.Options) (*check.Report, error) {
		return runCheck(ctx, cfg, newLogger(a.stderr, "text", level), o)
	})
	if err != nil {
		return err
	}
	dir := storeOptions(cfg, nil).Dir
	return a.printDamage("store "+dir, newCheckReport(dir, deep, found),
		"keep a copy of the directory before anything writes to it, then restore a backup or import again")
}

// printDamage prints a report and fails where it holds damage; what names the thing that was looked at.
func (a *app) printDamage(what string, r *checkReport, hint string) error {
	out := result{header: []string{"file", "families", "key", "problem"}, rows: damageRows(r.Damage), json: r}
	if len(out.rows) > 0 || a.output != "table" {
		if err := a.print(out); err != nil {
			return err
		}
	}
	if n := len(r.Damage); n > 0 {
		places := "places"
		if n == 1 {
			places = "place"
		}
		return failf(exitDamage, hint, "%s is damaged at %d %s", what, n, places)
	}
	if r.BlocksOnly {
		a.say("%s is sound block by block; its rows have format %d, which this version reads only after the first start on it", what, r.StoreFormat)
		return nil
	}
	a.say("%s is sound", what)
	if n := len(r.Holes); n > 0 {
		a.say("the record lacks trades or fundings at %d times; -o json lists them", n)
	}
	return nil
}
