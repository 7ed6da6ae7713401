package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"hyperlight/engine/archive"
	"hyperlight/engine/model"
	api "hyperlight/http"
)

// lakePoll is how often a long work of the server is looked after.
const lakePoll = 200 * time.Millisecond

// rangeFlags are the flags that name a time of UTC.
type rangeFlags struct{ From, To string }

func (f *rangeFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.From, "from", "", "`DAY` or time that the range begins with, as 2025-10-09 or 2025-10-09T12:00:00Z")
	cmd.Flags().StringVar(&f.To, "to", "", "`DAY` or time that it ends with; the day belongs to it, the time does not")
}

// span reads the flags; 0 is open.
func (f *rangeFlags) span() (from, to model.Millis, err error) {
	if f.From != "" {
		if from, err = archive.ParseTime(f.From); err != nil {
			return 0, 0, usagef("--from %s: %w", f.From, err)
		}
	}
	if f.To != "" {
		if to, err = archive.ParseTime(f.To); err != nil {
			return 0, 0, usagef("--to %s: %w", f.To, err)
		}
		if _, err := time.Parse(time.DateOnly, f.To); err == nil {
			to += model.Millis(24 * time.Hour / time.Millisecond)
		}
		if to <= from {
			return 0, 0, usagef("the range ends before it begins")
		}
	}
	return from, to, nil
}

func (a *app) newExportNowCommand() *cobra.Command {
	var in api.ControlLakeMake
	var days rangeFlags
	cmd := &cobra.Command{
		Use:   "export-now",
		Short: "Make the data lake's files of finished days now",
		Long: "Export-now makes the Parquet files that are missing, and those whose rows have changed, of every UTC day that has\n" +
			"been over for ten minutes. A running server makes them; where none runs this command opens the store itself. What\n" +
			"it prints is what was made. It ends with 1 when a file could not be made; the others are.",
		Example: "  hyperlight export-now --dataset trades --from 2025-10-09 --to 2025-10-12",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if in.From, in.To, err = days.span(); err != nil {
				return err
			}
			return a.withOperator(storeThere, func(o *operator) error {
				done, err := a.lakeRun(cmd.Context(), o, "lake/make", &in)
				if done == nil {
					return err
				}
				return a.printMade(done, err)
			})
		},
	}
	cmd.Flags().StringSliceVar(&in.Datasets, "dataset", nil, "`DATASETS` alone; else all")
	cmd.Flags().Int64SliceVar(&in.Markets, "market", nil, "`IDS` of the markets; else all. Files of all markets are made in any case")
	cmd.Flags().BoolVar(&in.Force, "force", false, "make again what has not changed")
	days.flags(cmd)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

// lakeRun begins a long work and waits for its end with a progress bar. What the work did comes with its error too.
func (a *app) lakeRun(ctx context.Context, o *operator, name string, in any) (*api.ControlLakeRun, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var id api.ControlLakeID
	if err := o.run(ctx, name, "", in, &id); err != nil {
		return nil, err
	}
	bar := a.newProgressBar(progress.UnitsDefault)
	// The end is waited for also where this was interrupted: the work ends after the batch of rows that it is at.
	asking, interrupted := context.WithoutCancel(ctx), false
	for {
		var now api.ControlLakeRun
		if err := o.run(asking, "lake/progress", "", &id, &now); err != nil {
			bar.finish(false)
			return nil, err
		}
		bar.show(now.Current, now.Done, now.Total)
		if now.Ended {
			bar.finish(now.Error == "" && len(now.Failed) == 0)
			switch {
			case interrupted:
				return &now, failf(exitFailure, "run it again for the rest", "it was interrupted")
			case now.Error != "":
				return &now, failf(exitFailure, "", "%s", now.Error)
			}
			return &now, nil
		}
		select {
		case <-time.After(lakePoll):
		case <-ctx.Done():
			if !interrupted {
				interrupted = true
				var out api.ControlLakeID
				if err := o.run(asking, "lake/stop", "", &id, &out); err != nil {
					bar.finish(false)
					return nil, err
				}
			}
			time.Sleep(lakePoll)
		}
	}
}

// printMade prints what a run made, and fails where it did not make all.
func (a *app) printMade(run *api.ControlLakeRun, fault error) error {
	r := &run.ControlLakeReport
	out := result{header: lakeView.header, json: r}
	for _, f := range r.Made {
		out.rows = append(out.rows, lakeView.cells(f))
	}
	if len(out.rows) > 0 || a.output != "table" {
		if err := a.print(out); err != nil {
			return err
		}
	}
	for _, f := range r.Failed {
		a.say("%s was not made: %s", f.ID, f.Error)
	}
	for _, id := range r.Removed {
		a.say("%s was removed", id)
	}
	a.say("%s made, %d up to date, %d without rows", countOf(len(r.Made), "file"), r.Unchanged, r.Empty)
	if fault == nil && len(r.Failed) > 0 {
		fault = failf(exitFailure, "the server tries again, or run it again", "%s not made", countOf(len(r.Failed), "file"))
	}
	return fault
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

var lakeView = listView[*api.ControlLakeFile]{
	header: []string{"export_id", "symbol", "rows", "size_bytes", "sha256", "created", "remote"},
	cells: func(f *api.ControlLakeFile) []string {
		return []string{
			f.ID, f.Symbol, strconv.FormatInt(f.Rows, 10), strconv.FormatInt(f.Bytes, 10), f.SHA256, timeText(f.Created), strconv.FormatBool(f.Remote),
		}
	},
}
