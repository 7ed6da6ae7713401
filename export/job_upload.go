package export

import (
	"context"
	"fmt"
	"path/filepath"

	"hyperlight/engine/lake"
)

// mostRefused is how many files in a row the object store refuses before a run gives up: one may be at fault itself, but of a store
// that does not answer each file would wait for minutes, and the files of the next days with it.
const mostRefused = 3

// upload copies to the object store what it does not have. A file that cannot be copied is tried again in the next run. Where daily is
// set it ends, for the next run to go on, when another day has ended: a first copy of a large lake lasts for days.
func (w *lakeRun) upload(daily bool) error {
	l := w.l
	if l.o.Remote == nil {
		return nil
	}
	refused := 0
	for _, f := range l.o.Manifest.All() {
		if f.Remote || !w.asked(f.ID) || l.check(f) != nil {
			continue
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if refused == mostRefused || daily && finished(l.o.Now()) > w.end {
			break
		}
		w.progress(func(p *Progress) { p.Current = f.ID })
		err := l.copy(w.ctx, f)
		if w.ctx.Err() != nil {
			return w.ctx.Err()
		}
		if refused++; err == nil {
			refused = 0
			continue
		}
		filesFailed.Inc()
		w.report.Failed = append(w.report.Failed, Failure{f.ID, fmt.Errorf("copy to the object store: %w", err)})
	}
	w.progress(func(p *Progress) { p.Current = lake.ID{} })
	return nil
}

// copy copies a file to the object store and notes that.
func (l *Lake) copy(ctx context.Context, f lake.File) error {
	if err := l.o.Remote.Put(ctx, f.ID.Key(), filepath.Join(l.o.Dir, filepath.FromSlash(f.ID.Key())), f); err != nil {
		return err
	}
	l.hooked = false
	f.Remote = true
	return l.o.Manifest.Put(f)
}
