package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

var (
	filesMade   = metrics.NewCounter("hyperlight_lake_files_made_total")
	filesFailed = metrics.NewCounter("hyperlight_lake_files_failed_total")
	rowsMade    = metrics.NewCounter("hyperlight_lake_rows_total")
	bytesMade   = metrics.NewCounter("hyperlight_lake_bytes_total")
)

const (
	// retryAfter is when a run is repeated of which something failed.
	retryAfter = 10 * time.Minute
	// longestSleep is how long is slept at once: a clock that is set, or a machine that slept, is noticed by then.
	longestSleep = time.Minute
	// longestWait is more than the time between two runs, whatever the hour.
	longestWait = 25 * time.Hour
)

// ErrSpace reports that no file is made because the disk is short of space.
var ErrSpace = errors.New("no file of the lake is made while the disk is short of space")

// Run makes files until the context ends: what is missing or has changed at once, then at ten past midnight UTC each day. A run
// of which something failed is repeated after ten minutes. It returns nil.
func (l *Lake) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		// A day that ends while a run lasts is not one of that run: the next one begins at once then.
		next := time.UnixMilli(int64(finished(l.o.Now()) + lake.DayMillis)).Add(settleTime)
		report, err := l.keep(ctx)
		if err != nil || len(report.Failed) > 0 {
			next = l.o.Now().Add(retryAfter)
		}
		l.log(ctx, report, err)
		l.status.change(func(s *Status) { s.Next = model.Millis(next.UnixMilli()) })
		l.sleep(ctx, next)
	}
	return nil
}

func (l *Lake) log(ctx context.Context, r Report, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil:
		l.o.Logger.Error("files of the lake were not made, the next attempt is in ten minutes", "error", err)
	case len(r.Failed) > 0:
		l.o.Logger.Error("some files of the lake were not made, the next attempt is in ten minutes",
			"made", len(r.Made), "failed", len(r.Failed), "file", r.Failed[0].ID.String(), "error", r.Failed[0].Err)
	case len(r.Made) > 0 || len(r.Removed) > 0:
		l.o.Logger.Info("files of the lake were made", "made", len(r.Made), "rows", r.Rows, "bytes", r.Bytes, "removed", len(r.Removed))
	}
}

// sleepUntil also ends where the clock was set back by more than the next run is ever away: it was planned by a wrong clock.
func (l *Lake) sleepUntil(ctx context.Context, next time.Time) {
	for {
		left := next.Sub(l.o.Now())
		if left <= 0 || left > longestWait {
			return
		}
		t := time.NewTimer(min(left, longestSleep))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// keep makes what the configuration asks for, and removes what it does not want any more.
func (l *Lake) keep(ctx context.Context) (Report, error) {
	r := MakeRequest{Datasets: l.o.Datasets}
	if l.o.Days > 0 {
		r.From = max(finished(l.o.Now())-model.Millis(l.o.Days)*lake.DayMillis, 0)
	}
	return l.run(ctx, r, true, func(Progress) {})
}

// Make makes files now: those of the request that are missing or have changed, or all of them by force. It waits for the run that
// is on its way. A file that cannot be made is told in the report and does not end the run. progress may be nil; it is called by
// this goroutine.
func (l *Lake) Make(ctx context.Context, r MakeRequest, progress func(Progress)) (Report, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	return l.run(ctx, r, false, progress)
}

func (l *Lake) run(ctx context.Context, r MakeRequest, sweep bool, progress func(Progress)) (Report, error) {
	select {
	case l.making <- struct{}{}:
		defer func() { <-l.making }()
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
	l.status.change(func(s *Status) {
		*s = Status{Running: true, Started: model.Millis(l.o.Now().UnixMilli()), Finished: s.Finished, Next: s.Next, LastError: s.LastError}
	})
	w := lakeRun{l: l, ctx: ctx, request: r, tell: progress}
	err := w.run(sweep)
	l.status.change(func(s *Status) {
		s.Running, s.Current, s.Finished = false, lake.ID{}, model.Millis(l.o.Now().UnixMilli())
		s.LastError = err
		if err == nil && len(w.report.Failed) > 0 {
			last := w.report.Failed[len(w.report.Failed)-1]
			s.LastError = fmt.Errorf("make %s: %w", last.ID, last.Err)
		}
	})
	return w.report, err
}
