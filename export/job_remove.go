package export

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"hyperlight/engine/lake"
)

// remove takes a file out of the object store, away, then off the list: whatever is cut short is done by the next run, and nothing
// that nobody knows of is left behind. What the store has is removed also where the list knows of no copy there, because that
// of an older version stays until the newer one was copied.
func (w *lakeRun) remove(id lake.ID) error {
	l := w.l
	if l.o.Remote != nil {
		if err := l.o.Remote.Delete(w.ctx, id.Key()); err != nil { // takes minutes where it fails: nobody may wait for it
			return fmt.Errorf("remove file from the object store: %w", err)
		}
	}
	l.placing.Lock()
	defer l.placing.Unlock()
	l.hooked = false
	if err := l.removeFile(id.Key()); err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	if err := l.o.Manifest.Delete(id); err != nil {
		return err
	}
	w.report.Removed = append(w.report.Removed, id)
	return nil
}

// removeFile removes a file, if it is there, and the directory of its day, which no other file is in. It is back when that is on disk.
func (l *Lake) removeFile(key string) error {
	dir := path.Dir(key)
	err := l.disk.Remove(key)
	if err == nil {
		err = l.disk.SyncDir(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.disk.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.o.Logger.Debug("the directory of a file that was removed stays", "directory", dir, "error", err)
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
		w.l.hooked = false
		if err := w.l.o.Manifest.Delete(f.ID); err != nil {
			return err
		}
		w.report.Removed = append(w.report.Removed, f.ID)
	}
	return nil
}
