package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
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
		report, err := l.keep(ctx)
		now := l.o.Now()
		next := time.UnixMilli(int64(finished(now) + lake.DayMillis)).Add(settleTime)
		if err != nil || len(report.Failed) > 0 {
			next = now.Add(retryAfter)
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

// lakeRun is one run over the days.
type lakeRun struct {
	l       *Lake
	ctx     context.Context
	request MakeRequest
	tell    func(Progress)
	at      Progress
	report  Report
}

func (w *lakeRun) progress(change func(*Progress)) {
	change(&w.at)
	w.l.status.change(func(s *Status) { s.Progress = w.at })
	w.tell(w.at)
}

func (w *lakeRun) run(sweep bool) error {
	l := w.l
	if !l.tidy {
		if err := removeAside(l.disk); err != nil {
			return err
		}
		l.tidy = true
	}
	if sweep {
		if err := w.removeOld(); err != nil {
			return err
		}
	}
	tasks, err := l.plan(w.ctx, w.request)
	if err != nil {
		return err
	}
	if err := w.unlistLost(tasks); err != nil {
		return err
	}
	due := slices.DeleteFunc(tasks, func(t dayTask) bool { return !w.due(&t) })
	w.progress(func(p *Progress) { p.Total = len(due) })
	for i := range due {
		t := &due[i]
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if l.o.ReadOnly != nil && l.o.ReadOnly() {
			return ErrSpace
		}
		w.progress(func(p *Progress) { p.Current = t.id })
		if err := w.make(t); err != nil {
			if w.ctx.Err() != nil {
				return w.ctx.Err()
			}
			filesFailed.Inc()
			w.report.Failed = append(w.report.Failed, Failure{t.id, err})
		}
		w.progress(func(p *Progress) { p.Done++; p.Current = lake.ID{} })
	}
	if err := w.upload(); err != nil {
		return err
	}
	return w.hooks()
}

// hooks tells others of what has changed; of the first run always, because a crash may have kept it from them. What one of them
// cannot do keeps no other from it.
func (w *lakeRun) hooks() error {
	l := w.l
	if len(w.report.Made)+len(w.report.Removed) > 0 {
		l.hooked = false
	}
	if l.hooked {
		return nil
	}
	var errs []error
	for _, after := range l.o.AfterDay {
		errs = append(errs, after(w.ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("after files were made: %w", err)
	}
	l.hooked = true
	return nil
}

// due tells whether a file is to be made, and counts it where not.
func (w *lakeRun) due(t *dayTask) bool {
	f, listed := w.l.o.Manifest.Get(t.id)
	if !listed {
		if t.id.Dataset == Gaps && len(t.gaps) == 0 {
			w.report.Empty++
			return false
		}
		return true
	}
	// Of a day that was finer when its file was made, the file is better than what could be made now, wherever it is.
	changed := w.request.Force || f.Source != t.source || f.SchemaVersion != SchemaVersion
	if changed && !t.thinned || w.l.check(f) != nil && !(t.thinned && w.l.remote(f)) {
		return true
	}
	w.report.Unchanged++
	return false
}

// make makes one file, if there are rows.
func (w *lakeRun) make(t *dayTask) (err error) {
	l := w.l
	f := &dayFile{d: l.disk, id: t.id}
	defer func() { err = errors.Join(err, f.drop()) }()
	rows, bytes := w.at.Rows, w.at.Bytes
	if err := l.write(w.ctx, t, f, func(r, b int64) {
		w.progress(func(p *Progress) { p.Rows, p.Bytes = rows+r, bytes+b })
	}); err != nil {
		return err
	}
	old, listed := l.o.Manifest.Get(t.id)
	if f.rows == 0 && (!listed || t.id.Dataset != Gaps) {
		w.report.Empty++
		return nil
	}
	if f.rows == 0 {
		return w.remove(t.id) // the last gap of the day was filled
	}
	// Rows of a day never become fewer but by retention, and what it takes stays in the lake. Gaps do: they are filled.
	if listed && f.rows < old.Rows && t.id.Dataset != Gaps && (l.whole(old) == nil || l.remote(old)) {
		old.Source = t.source
		w.report.Unchanged++
		return l.o.Manifest.Put(old)
	}
	made := lake.File{ID: t.id, Rows: f.rows, Bytes: f.bytes, SHA256: [32]byte(f.sum.Sum(nil)), SchemaVersion: SchemaVersion,
		Created: max(model.Millis(l.o.Now().UnixMilli()), old.Created+1), Source: t.source}
	if t.market != nil {
		made.Symbol = t.market.Symbol
	}
	if err := f.finish(made.Created); err != nil {
		return err
	}
	if listed && !w.request.Force && l.sameRows(old, f) {
		old.Source = t.source
		w.report.Unchanged++
		return l.o.Manifest.Put(old)
	}
	if err := l.list(made); err != nil {
		return err
	}
	w.report.Made = append(w.report.Made, made)
	w.report.Rows += made.Rows
	w.report.Bytes += made.Bytes
	w.progress(func(p *Progress) { p.Rows, p.Bytes = rows+made.Rows, bytes+made.Bytes })
	filesMade.Inc()
	rowsMade.AddInt64(made.Rows)
	bytesMade.AddInt64(made.Bytes)
	return nil
}

// list gives a file that is whole its name and lists it. After a crash in between, the file in its place is not the one listed,
// which nobody is given; it is made again.
func (l *Lake) list(f lake.File) error {
	l.placing.Lock()
	defer l.placing.Unlock()
	if err := place(l.disk, f.ID.Key()); err != nil {
		return err
	}
	return l.o.Manifest.Put(f)
}

// remote tells whether the object store has a listed file, so that it can be fetched from there.
func (l *Lake) remote(f lake.File) bool { return f.Remote && l.o.Remote != nil }

// whole tells whether a listed file is there, by reading it.
func (l *Lake) whole(f lake.File) error {
	file, err := l.disk.Open(f.ID.Key())
	if err != nil {
		return err
	}
	return errors.Join(checkSum(file, f), file.Close())
}

// remove takes a file out of the object store, off the list, then away. While the store cannot be reached the file stays listed:
// the next run tries again, and nothing is left behind there.
func (w *lakeRun) remove(id lake.ID) error {
	l := w.l
	if f, _ := l.o.Manifest.Get(id); l.remote(f) {
		if err := l.o.Remote.Delete(w.ctx, id.Key()); err != nil { // takes minutes where it fails: nobody may wait for it
			return fmt.Errorf("remove file from the object store: %w", err)
		}
	}
	l.placing.Lock()
	defer l.placing.Unlock()
	if err := l.o.Manifest.Delete(id); err != nil {
		return err
	}
	w.report.Removed = append(w.report.Removed, id)
	if err := l.disk.Remove(id.Key()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove file: %w", err)
	}
	return nil
}

// removeOld removes the files of days before those that are kept. One that cannot be removed does not keep others from it.
func (w *lakeRun) removeOld() error {
	if w.request.From <= 0 {
		return nil
	}
	rows, _ := w.l.o.Manifest.List(lake.Query{To: w.request.From, Ascending: true})
	for _, f := range rows {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.remove(f.ID); err != nil {
			if w.ctx.Err() != nil {
				return w.ctx.Err()
			}
			w.report.Failed = append(w.report.Failed, Failure{f.ID, err})
			if w.l.o.Remote != nil {
				return nil // of a store that does not answer each file would wait as long
			}
		}
	}
	return nil
}

// unlistLost takes files off the list that are gone and cannot be made again, because retention has taken their rows. What the
// object store has stays.
func (w *lakeRun) unlistLost(tasks []dayTask) error {
	can := make(map[lake.ID]bool, len(tasks))
	for i := range tasks {
		can[tasks[i].id] = true
	}
	for _, f := range w.l.o.Manifest.All() {
		if can[f.ID] || f.Remote || !w.asked(f.ID) {
			continue
		}
		err := w.l.check(f)
		if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrChanged) {
			continue
		}
		w.l.o.Logger.Warn("a file of the lake is gone and cannot be made again, its rows are not kept any more", "file", f.ID.String(), "error", err)
		if err := w.l.o.Manifest.Delete(f.ID); err != nil {
			return err
		}
		w.report.Removed = append(w.report.Removed, f.ID)
	}
	return nil
}

// asked tells whether a file is one that the request means.
func (w *lakeRun) asked(id lake.ID) bool {
	r := &w.request
	return (len(r.Datasets) == 0 || slices.Contains(r.Datasets, id.Dataset)) &&
		(len(r.Markets) == 0 || id.Market == lake.AllMarkets || slices.Contains(r.Markets, id.Market)) &&
		id.To() > r.From && (r.To <= 0 || id.Day < r.To)
}

// upload copies to the object store what it does not have. A file that cannot be copied is tried again in the next run.
func (w *lakeRun) upload() error {
	l := w.l
	if l.o.Remote == nil {
		return nil
	}
	for _, f := range l.o.Manifest.All() {
		if f.Remote || !w.asked(f.ID) || l.check(f) != nil {
			continue
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		w.progress(func(p *Progress) { p.Current = f.ID })
		err := l.o.Remote.Put(w.ctx, f.ID.Key(), filepath.Join(l.o.Dir, filepath.FromSlash(f.ID.Key())), f)
		if err == nil {
			f.Remote = true
			err = l.o.Manifest.Put(f)
			l.hooked = false
		}
		if err != nil {
			if w.ctx.Err() != nil {
				return w.ctx.Err()
			}
			filesFailed.Inc()
			w.report.Failed = append(w.report.Failed, Failure{f.ID, fmt.Errorf("copy to the object store: %w", err)})
		}
	}
	return nil
}
