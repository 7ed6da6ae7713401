package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// ImportedDays returns the days that imports have pinned, of a store that no server has open.
func ImportedDays(ctx context.Context, o kv.Options) (days []history.PinnedDay, err error) {
	store, err := kv.Open(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return pinReader(store).PinnedDays(ctx)
}

// UnpinDays gives the imported days that touch the span back to retention and returns them as they were. What is older
// than retention allows is dropped at once. No server may have the store open.
func UnpinDays(ctx context.Context, o kv.Options, sp history.Span) (days []history.PinnedDay, err error) {
	store, err := kv.Open(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	all, err := pinReader(store).PinnedDays(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if d.Day < sp.To && d.Day+model.Millis((24*time.Hour).Milliseconds()) > sp.From {
			days = append(days, d)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	// An import's writer: it leaves what the last run left open as it is.
	w, err := history.NewWriter(history.WriterOptions{Store: store, Now: o.Now, Logger: o.Logger, Import: true})
	if err != nil {
		return nil, fmt.Errorf("start history: %w", err)
	}
	writing := newStage(context.WithoutCancel(ctx), "history")
	failed := make(chan error, 1)
	writing.run(failed, w.Run)
	err = w.Unpin(ctx, sp)
	return days, errors.Join(err, writing.stop())
}

// pinReader reads what needs no scales of markets.
func pinReader(store *kv.Store) *history.Reader {
	return history.NewReader(store, func(model.MarketID) (*model.Market, bool) { return nil, false })
}
