package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"hyperlight/engine"
)

// importOptions are the flags of an import.
type importOptions struct {
	Markets string // an orderBooks or orderBookDetails reply that names markets and their decimals; "" for none
	List    bool   // print the imported days instead of importing
	Unpin   string // FROM..TO: give imported days back to retention instead

	archive archiveFlags
}

func (a *app) newImportCommand() *cobra.Command {
	var options importOptions
	cmd := &cobra.Command{
		Use:     "import FILE... | --list | --unpin FROM..TO",
		Short:   "Load recordings and archives into the store",
		Long:    importHelp,
		Example: "  hyperlight import recording.ndjson.gz",
		Args: func(_ *cobra.Command, args []string) error {
			switch manages := options.List || options.Unpin != ""; {
			case options.List && options.Unpin != "":
				return errors.New("--list and --unpin are two commands")
			case manages && len(args) > 0:
				return fmt.Errorf("unexpected argument %q", args[0])
			case manages && options.Markets != "":
				return errors.New("--markets belongs to an import")
			case manages && options.archive.given():
				return errors.New("--dataset, --market, --resolution, --complete and --held belong to an import")
			case !manages && len(args) == 0:
				return errors.New("no file given")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			if options.List || options.Unpin != "" {
				return a.importedDays(cmd.Context(), options)
			}
			rows, err := options.archive.options()
			if err != nil {
				return err
			}
			for _, f := range append(slices.Clone(files), options.Markets) {
				if err := checkReadable(f); err != nil {
					return err
				}
			}
			loaded, err := a.load()
			if err != nil {
				return err
			}
			cfg := loaded.Config
			limitMemory(os.DirFS("/"), os.Getenv("GOMEMLIMIT"))
			level := slog.LevelWarn // the report says what info lines would
			if a.verbose {
				level = slog.LevelDebug
			}
			log := newLogger(a.stderr, "text", level)
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()

			bar := a.newProgressBar(progress.UnitsBytes)
			report, err := runImport(ctx, cfg, log, files, options, rows, bar.update)
			bar.finish(err == nil)
			if err != nil {
				if ctx.Err() != nil {
					return failf(exitFailure, "run it again to load the rest", "import interrupted: %w", err)
				}
				return err
			}
			for _, fault := range report.Faults {
				a.say("left out: %s", fault)
			}
			if err := a.printImport(report); err != nil {
				return err
			}
			return importFault(report)
		},
	}
	cmd.Flags().StringVar(&options.Markets, "markets", "", "`FILE` with an orderBooks or orderBookDetails reply, for symbols and decimals")
	cmd.Flags().BoolVar(&options.List, "list", false, "print the imported days and what is held of them")
	cmd.Flags().StringVar(&options.Unpin, "unpin", "", "let retention have the imported days of a `RANGE`, as 2025-10-09..2025-10-12")
	options.archive.flags(cmd)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

// checkReadable fails early on a file that is not there; "" is none.
func checkReadable(name string) error {
	if name == "" {
		return nil
	}
	info, err := os.Stat(name) // opening a pipe would wait for whoever writes into it
	switch {
	case err != nil: // opening it says so, too
	case info.IsDir():
		return failf(exitFailure, "name the recordings in it", "%s is a directory", name)
	case !info.Mode().IsRegular():
		return failf(exitFailure, "write it into a file first: a file is read more than once", "%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return f.Close()
}

// importFault turns files that gave nothing, or not all they should, into the command's error.
func importFault(r *engine.ImportReport) error {
	switch {
	case len(r.NoRows) > 0:
		return failf(exitFailure, "see hyperlight import --help for the columns", "no row of %s can be used", strings.Join(r.NoRows, ", "))
	case len(r.NoFrames) > 0:
		return failf(exitFailure, "give recordings of Lighter frames, one JSON object a line, plain or gzip",
			"no frame in %s", strings.Join(r.NoFrames, ", "))
	case len(r.CutShort) > 0:
		return failf(exitDamage, "what comes before is stored; import a whole copy and the rest is added",
			"%s cannot be read to its end", strings.Join(r.CutShort, ", "))
	}
	return nil
}

func (a *app) printImport(r *engine.ImportReport) error {
	rows := [][]string{}
	for _, c := range []struct {
		name  string
		count uint64
	}{
		{"files", uint64(r.Files)}, {"lines", r.Lines}, {"frames", r.Frames}, {"markets", uint64(r.Markets)},
		{"updates", r.Updates}, {"trades", r.Trades}, {"known updates", r.KnownUpdates}, {"known trades", r.KnownTrades},
		{"candles", r.Candles}, {"fundings", r.Fundings},
		{"gaps", r.Gaps}, {"ignored", r.Ignored}, {"rejected", r.Rejected},
	} {
		rows = append(rows, []string{c.name, strconv.FormatUint(c.count, 10)})
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		rows = append(rows, []string{"rejected: " + reason, strconv.FormatUint(r.Reasons[reason], 10)})
	}
	return a.print(result{header: []string{"what", "count"}, rows: rows, json: r})
}
