package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"hyperlight/config"
	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/export"
)

const lakeExportHelp = `Export writes the rows of any range, not only of whole days, to OUT, or to standard output where OUT is - and the
format is of lines. While a server runs it reads a copy of that moment, which the server makes of hard links.

  parquet      the columns of the lake's files
  csv, ndjson  the same columns as text: exact numbers, times in unix milliseconds, recv_ts in microseconds. An
               import reads trades, candles and funding_rates of them
  hftbacktest  a NumPy archive (.npz) for hftbacktest 2, of a market's book and trades: numpy.load(OUT)["data"]. Times
               are nanoseconds; an event that stands in another place by the venue's clock than by ours is there
               twice, once for each. What we received before it happened, because clocks differ, happened then

Where no --format is given, the end of OUT's name tells: .parquet, .csv, .ndjson or .npz.`

// lakeExport are the flags of lake export.
type lakeExport struct {
	Format  string
	Dataset string
	Market  string
	days    rangeFlags
	out     string
}

func (a *app) newLakeExportCommand() *cobra.Command {
	var o lakeExport
	cmd := &cobra.Command{
		Use:     "export OUT",
		Short:   "Write rows of any range as Parquet, CSV, NDJSON or for hftbacktest",
		Long:    lakeExportHelp,
		Example: "  hyperlight lake export --dataset trades --market 0 --from 2025-10-09T16:00:00Z --to 2025-10-09T18:00:00Z trades.csv",
		Args:    exactArgs("the file to write, or -"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.out = args[0]
			request, err := o.request()
			if err != nil {
				return err
			}
			loaded, err := a.load()
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			// A reader that has had enough shows as an error of the write, and not as the end of the process: what the server made
			// for us is to be removed.
			signal.Ignore(syscall.SIGPIPE)
			defer signal.Reset(syscall.SIGPIPE)
			return a.exportRange(ctx, loaded.Config, &o, request)
		},
	}
	cmd.Flags().StringVar(&o.Format, "format", "", "parquet, csv, ndjson or hftbacktest")
	cmd.Flags().StringVar(&o.Dataset, "dataset", "", "`DATASET` that is written; hftbacktest needs none")
	cmd.Flags().StringVar(&o.Market, "market", "", "`ID` or symbol of the market; of funding_rates and gaps all, where none is given")
	o.days.flags(cmd)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

// formatEnds are the ends of names that tell a format.
var formatEnds = map[string]export.Format{
	".parquet": export.Parquet, ".csv": export.CSV, ".ndjson": export.NDJSON, ".jsonl": export.NDJSON, ".npz": export.HftBacktest,
}

// request checks the flags. The market is found later.
func (o *lakeExport) request() (r export.RangeRequest, err error) {
	known := true
	if r.Format, known = formatEnds[strings.ToLower(filepath.Ext(o.out))]; o.Format != "" {
		r.Format, known = export.ParseFormat(o.Format)
	}
	switch {
	case !known && o.Format == "":
		return r, usagef("no --format given, and the name %s does not tell it", o.out)
	case !known:
		return r, usagef("--format %s is none; write parquet, csv, ndjson or hftbacktest", o.Format)
	case o.out == "-" && !r.Format.Text():
		return r, usagef("%s is written to a file only; name one, or write csv or ndjson", r.Format)
	case o.days.From == "":
		return r, usagef("no --from given")
	}
	if r.Format == export.HftBacktest {
		if o.Dataset != "" {
			return r, usagef("--dataset is not for hftbacktest, which takes the book and the trades")
		}
	} else if r.Dataset, known = lake.ParseDataset(o.Dataset); !known {
		return r, usagef("--dataset %q is none; write %s", o.Dataset, strings.Join(datasetNames(), ", "))
	}
	if o.Market == "" && (r.Format == export.HftBacktest || r.Dataset.PerMarket()) {
		return r, usagef("no --market given")
	}
	r.Span.From, r.Span.To, err = o.days.span()
	return r, err
}

func datasetNames() (out []string) {
	for _, d := range lake.Datasets {
		out = append(out, string(d))
	}
	return out
}

// exportRange writes the rows of a request.
func (a *app) exportRange(ctx context.Context, cfg *config.Config, o *lakeExport, r export.RangeRequest) (err error) {
	if o.out != "-" {
		// A file that is there is not replaced: the range in it may not be recorded any more.
		if _, err := os.Lstat(o.out); !errors.Is(err, fs.ErrNotExist) {
			return failf(exitRefused, "remove it or name another one", "%s is there already", o.out)
		}
	}
	level := slog.LevelError
	if a.verbose {
		level = slog.LevelDebug
	}
	store, done, err := openChecked(ctx, cfg, newLogger(a.stderr, "text", level))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	record, err := newStoredRecord(ctx, store)
	if err != nil {
		return err
	}
	if o.Market != "" {
		if r.Market, err = record.market(o.Market); err != nil {
			return err
		}
	}
	if r.Span.To == 0 {
		r.Span.To = model.Millis(record.Now().UnixMilli())
	}
	if r.Span.From >= r.Span.To {
		return usagef("--from %s has not come yet", o.days.From)
	}
	rows, err := a.writeRange(ctx, o.out, func(out io.Writer, progress func(int64)) (int64, error) {
		return record.source().WriteRange(ctx, out, r, progress)
	})
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case o.out == "-" && errors.Is(err, syscall.EPIPE):
		return nil
	case err != nil:
		return err
	}
	a.say("%s", a.exported(rows, o.out))
	return a.sayMissing(ctx, record, &r)
}

func (a *app) exported(rows int64, out string) string {
	if out == "-" {
		return fmt.Sprintf("%d rows", rows)
	}
	return fmt.Sprintf("%d rows in %s", rows, out)
}

// writeRange writes to standard output, or to a file that appears when it is whole.
func (a *app) writeRange(ctx context.Context, name string, write func(io.Writer, func(int64)) (int64, error)) (rows int64, err error) {
	if name == "-" {
		return write(a.stdout, func(int64) {})
	}
	file, err := renameio.NewPendingFile(name, renameio.WithPermissions(0o644), renameio.WithExistingPermissions())
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if gone := file.Cleanup(); err == nil && gone != nil {
			err = fmt.Errorf("write %s: %w", name, gone)
		}
	}()
	bar := a.newProgressBar(progress.UnitsDefault)
	rows, err = write(file, func(n int64) { bar.show(strconv.FormatInt(n, 10)+" rows", 0, 0) })
	bar.finish(err == nil)
	if err != nil {
		return rows, err
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return rows, fmt.Errorf("write %s: %w", name, err)
	}
	return rows, nil
}

// market finds a market by its id or its symbol.
func (r *storedRecord) market(text string) (*model.Market, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	i := slices.IndexFunc(r.markets, func(m *model.Market) bool {
		return err == nil && m.Native == id || err != nil && strings.EqualFold(m.Symbol, text)
	})
	if i < 0 {
		return nil, failf(exitFailure, "give the id or the symbol of one that is", "market %s is not recorded", text)
	}
	return r.markets[i], nil
}

// sayMissing tells of what the range lacks, where it is of one record of one market.
func (a *app) sayMissing(ctx context.Context, record *storedRecord, r *export.RangeRequest) error {
	kind, ok := map[lake.Dataset]model.Kind{
		"": model.KindBook, lake.Trades: model.KindTrades, lake.Snapshots: model.KindBook, lake.BookUpdates: model.KindBook,
		lake.Candles: model.KindCandles, lake.FundingRates: model.KindFunding,
	}[r.Dataset]
	if !ok || r.Market == nil {
		return nil
	}
	_, _, whole, _, err := record.history.Covered(ctx, kind, r.Market.ID, history.Span{From: r.Span.From, To: r.Span.To})
	if err != nil {
		return err
	}
	if !whole {
		a.say("not all of this range was recorded: the dataset gaps has what is missing")
	}
	return nil
}
