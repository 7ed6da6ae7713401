package export

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
)

// lakeRun is one run over the days.
type lakeRun struct {
	l       *Lake
	ctx     context.Context
	request MakeRequest
	end     model.Millis // of the last day that had ended when it began
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
	w.end = finished(l.o.Now())
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
	if err := w.upload(sweep); err != nil {
		return err
	}
	return w.hooks()
}

// hooks tells others of what has changed, also in a run before this one that did not come so far; of the first run always, because
// a crash may have kept it from them. What one of them cannot do keeps no other from it.
func (w *lakeRun) hooks() error {
	l := w.l
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
	l.hooked = false
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

// asked tells whether a file is one that the request means.
func (w *lakeRun) asked(id lake.ID) bool {
	r := &w.request
	return (len(r.Datasets) == 0 || slices.Contains(r.Datasets, id.Dataset)) &&
		(len(r.Markets) == 0 || id.Market == lake.AllMarkets || slices.Contains(r.Markets, id.Market)) &&
		id.To() > r.From && (r.To <= 0 || id.Day < r.To)
}
