package backup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"hyperlight/engine/check"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// Verify looks at every file, block and row of a backup without changing it, and notes the result beside it.
func (b *Backups) Verify(ctx context.Context, one *Backup, o check.Options) (*check.Report, error) {
	r, err := inspect(ctx, one, one.Store(), o)
	if err != nil {
		return nil, err
	}
	v := &Verified{At: model.Millis(b.o.Now().UnixMilli()), OK: len(r.Damage) == 0, Damage: len(r.Damage), Version: b.o.Version}
	if err := writeJSON(filepath.Join(one.Path, verifiedFile), v); err != nil {
		return r, fmt.Errorf("note the result of a verification: %w", err)
	}
	one.Verified = v
	return r, nil
}

// inspect compares a copy of a backup's store with its manifest and reads all of it.
func inspect(ctx context.Context, one *Backup, dir string, o check.Options) (*check.Report, error) {
	r := &check.Report{}
	damage := func(problem string) { r.Damage = append(r.Damage, check.Damage{File: one.Path, Problem: problem}) }
	if one.Fault != nil {
		if !errors.Is(one.Fault, ErrDamaged) {
			return nil, one.Fault
		}
		damage(one.Fault.Error())
	}
	if one.Manifest != nil {
		for _, problem := range one.Manifest.checkFiles(dir) {
			damage(problem)
		}
	}
	s, err := kv.OpenCopy(kv.Options{Dir: dir, CacheBytes: copyCache})
	switch {
	case err == nil:
	case errors.Is(err, kv.ErrNewerFormat):
		return nil, err
	case len(r.Damage) > 0 || errors.Is(err, kv.ErrDamaged) || errors.Is(err, kv.ErrForeign):
		damage(err.Error())
		return r, nil
	default:
		return nil, err
	}
	found, err := check.Store(ctx, s, o)
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	found.Damage = append(r.Damage, found.Damage...)
	return found, nil
}

// copyCache is the cache of a store that is read once from end to end.
const copyCache = 32 << 20

// Restore puts a backup in the place of the store in o.Dir, after a look at every block and row of the copy. What
// becomes of it is kv.Restore's to say. A damaged backup is ErrDamaged, with the report, and nothing is changed.
func (b *Backups) Restore(ctx context.Context, one *Backup, o kv.Options, look check.Options) (r kv.Restored, report *check.Report, err error) {
	r, err = kv.Restore(o, one.Store(), func(dir string) error {
		report, err = inspect(ctx, one, dir, look)
		if err != nil {
			return err
		}
		if n := len(report.Damage); n > 0 {
			return fmt.Errorf("%w at %d places, the first is: %s", ErrDamaged, n, report.Damage[0].Problem)
		}
		return nil
	})
	return r, report, err
}
