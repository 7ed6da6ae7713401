package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"hyperlight/engine"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// importedDay is a line of `import --list`.
type importedDay struct {
	Day      string   `json:"day"` // YYYY-MM-DD, UTC
	Datasets []string `json:"datasets"`
	Markets  int      `json:"markets"`
	Updates  uint64   `json:"updates"`
	Trades   uint64   `json:"trades"`
}

// importedDays lists the days that imports have pinned, or gives some of them back to retention.
func (a *app) importedDays(ctx context.Context, o importOptions) error {
	var span history.Span
	if o.Unpin != "" {
		var err error
		if span, err = parseDays(o.Unpin); err != nil {
			return usagef("--unpin %s: %w", o.Unpin, err)
		}
	}
	loaded, err := a.load()
	if err != nil {
		return err
	}
	store := storeOptions(loaded.Config, func(error) {})
	// Opening a store makes one where there is none; neither of the two must.
	if entries, err := os.ReadDir(store.Dir); err != nil {
		return fmt.Errorf("open store: %w", err)
	} else if len(entries) == 0 {
		return failf(exitFailure, "name the right directory with --storage-dir", "open store: %s is empty", store.Dir)
	}
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	store.Logger = newLogger(a.stderr, "text", level)
	if o.List {
		days, err := engine.ImportedDays(ctx, store)
		if err != nil {
			return err
		}
		return a.printDays(days)
	}
	days, err := engine.UnpinDays(ctx, store, span)
	if err != nil {
		return err
	}
	if err := a.printDays(days); err != nil {
		return err
	}
	a.say("%d imported days unpinned", len(days))
	return nil
}

func (a *app) printDays(days []history.PinnedDay) error {
	list := make([]importedDay, len(days))
	out := result{header: []string{"day", "datasets", "markets", "updates", "trades"}, json: list}
	for i := range days {
		d := &days[i]
		l := &list[i]
		*l = importedDay{
			Day: time.UnixMilli(int64(d.Day)).UTC().Format(time.DateOnly), Datasets: d.Datasets(),
			Markets: d.Markets, Updates: d.Updates, Trades: d.Trades,
		}
		out.rows = append(out.rows, []string{
			l.Day, strings.Join(l.Datasets, ","), strconv.Itoa(l.Markets),
			strconv.FormatUint(l.Updates, 10), strconv.FormatUint(l.Trades, 10),
		})
	}
	return a.print(out)
}

// parseDays reads FROM..TO, two days of UTC of which both belong to the range.
func parseDays(text string) (history.Span, error) {
	first, last, ok := strings.Cut(text, "..")
	if !ok {
		return history.Span{}, fmt.Errorf("write two days, as 2025-10-09..2025-10-12")
	}
	from, err := time.Parse(time.DateOnly, first)
	if err != nil {
		return history.Span{}, fmt.Errorf("%q is no day; write YYYY-MM-DD", first)
	}
	to, err := time.Parse(time.DateOnly, last)
	if err != nil {
		return history.Span{}, fmt.Errorf("%q is no day; write YYYY-MM-DD", last)
	}
	if to.Before(from) {
		return history.Span{}, fmt.Errorf("the range ends before it begins")
	}
	return history.Span{From: model.Millis(from.UnixMilli()), To: model.Millis(to.AddDate(0, 0, 1).UnixMilli())}, nil
}
