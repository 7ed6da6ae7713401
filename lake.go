package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"hyperlight/config"
	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/export"
	"hyperlight/export/iceberg"
	api "hyperlight/http"
	"hyperlight/kv"
)

// openedLake is the data lake of an installation: its files, the list of them in the store, and the tables over them.
type openedLake struct {
	*export.Lake
	manifest *lake.Manifest
	root     *os.Root
	remote   *export.S3 // nil: the files are here only
	enabled  bool       // files are made by themselves
}

// lakeRecord is what files are made of; *engine.Engine is one, and so is a store that no server holds.
type lakeRecord interface {
	Store() *kv.Store
	History() *history.Reader
	Markets() []*model.Market
	Enter(context.Context) (leave func(), err error)
	Now() time.Time
}

// openLake opens the data lake over an open store. The caller closes it.
func openLake(cfg *config.Config, eng lakeRecord, log *slog.Logger) (l *openedLake, err error) {
	l = &openedLake{enabled: cfg.Lake.Enabled}
	defer func(opened *openedLake) {
		if err != nil {
			opened.close()
		}
	}(l)
	dir, err := filepath.Abs(cfg.LakeDir())
	if err != nil {
		return nil, fmt.Errorf("find lake.dir: %w", err)
	}
	log = log.With("component", "lake")
	name := ""
	if cfg.Lake.S3.Endpoint != "" {
		if l.remote, err = export.NewS3(cfg.Lake.S3, eng.Now, log); err != nil {
			return nil, err
		}
		name = l.remote.Name()
	}
	if l.manifest, err = lake.OpenManifest(eng.Store(), name); err != nil {
		return nil, fmt.Errorf("open the list of the lake's files: %w", err)
	}
	o := export.LakeOptions{
		Dir: dir, Manifest: l.manifest, History: eng.History(), Markets: eng.Markets, Enter: eng.Enter, Now: eng.Now, Logger: log,
		Days: cfg.Lake.Days, ReadOnly: func() bool { return eng.Store().Metrics().ReadOnly },
	}
	for _, name := range cfg.Lake.Datasets {
		o.Datasets = append(o.Datasets, lake.Dataset(name))
	}
	here, err := iceberg.New(iceberg.Options{Data: dir, Location: cfg.Lake.Location, Now: eng.Now})
	if err != nil {
		return nil, err
	}
	o.AfterDay = append(o.AfterDay, func(ctx context.Context) error { return here.Update(ctx, l.manifest.All()) })
	if l.remote != nil {
		o.Remote = l.remote
		there, err := iceberg.New(l.bucketTables(cfg, dir, eng.Now))
		if err != nil {
			return nil, err
		}
		o.AfterDay = append(o.AfterDay, func(ctx context.Context) error {
			return there.Update(ctx, slices.DeleteFunc(l.manifest.All(), func(f lake.File) bool { return !f.Remote }))
		})
	}
	if l.Lake, err = export.NewLake(o); err != nil {
		return nil, err
	}
	if l.root, err = os.OpenRoot(dir); err != nil {
		return nil, fmt.Errorf("open the lake's directory: %w", err)
	}
	return l, nil
}

// bucketTables are the tables over the files in the bucket: paths in their metadata begin with its address, so they are others
// than those over the directory.
func (l *openedLake) bucketTables(cfg *config.Config, dir string, now func() time.Time) iceberg.Options {
	return iceberg.Options{
		Data: dir, Dir: filepath.Join(dir, ".bucket"), Location: bucketURL(&cfg.Lake.S3), Now: now, Store: l.remote.Name(),
		Upload: func(ctx context.Context, key, path string) error { return l.remote.Put(ctx, key, path, lake.File{}) },
		Remove: l.remote.Delete,
	}
}

// bucketURL is the address of an object store's bucket in the form that readers of tables know.
func bucketURL(s *config.S3) string {
	u := url.URL{Scheme: "s3", Host: s.Bucket, Path: "/" + s.Prefix}
	return strings.TrimRight(u.String(), "/")
}

// options is what the REST server answers calls about the lake from.
func (l *openedLake) options(links *lake.Links, lifetime time.Duration) api.LakeOptions {
	o := api.LakeOptions{
		Manifest: l.manifest, Open: l.open, Links: links, State: l.state,
		Metadata: func(d lake.Dataset, name string) (*os.File, error) {
			return l.root.Open(filepath.Join(string(d), "metadata", name))
		},
	}
	if l.remote != nil {
		o.Remote = func(ctx context.Context, f lake.File) (string, time.Time, error) {
			return l.remote.Link(ctx, f.ID.Key(), f.ID.FileName(), lifetime)
		}
	}
	return o
}

// errUnfinished answers for a file whose change a crash has cut short.
var errUnfinished = &model.Error{Code: model.CodeServiceUnavailable, Message: "the file is being made again, try again"}

// open opens a listed file for a client.
func (l *openedLake) open(id lake.ID) (*os.File, lake.File, error) {
	file, f, err := l.Open(id)
	if errors.Is(err, export.ErrChanged) {
		err = errUnfinished
	}
	return file, f, err
}

func (l *openedLake) state() api.LakeState {
	s := l.Status()
	return api.LakeState{
		Running: s.Running, Done: s.Done, Total: s.Total, Current: s.Current, Started: s.Started, Finished: s.Finished, Next: s.Next,
	}
}

// run makes the files of finished days until ctx ends. Whether the bucket can be reached is found out beside that: a store that does
// not answer takes minutes to tell.
func (l *openedLake) run(ctx context.Context, log *slog.Logger) error {
	if !l.enabled {
		return nil
	}
	var checking sync.WaitGroup
	defer checking.Wait()
	if l.remote != nil {
		if n := l.manifest.Elsewhere(); n > 0 {
			log.Warn("files of the lake are in another object store or bucket: they are copied to this one too, and stay there",
				"component", "lake", "files", n)
		}
		checking.Go(func() {
			if err := l.remote.Check(ctx); err != nil && ctx.Err() == nil {
				log.Warn("the object store does not answer as it should: files wait here", "component", "lake", "error", err)
			}
		})
	}
	if err := l.Run(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("make files of the lake: %w", err)
	}
	return nil
}

func (l *openedLake) close() {
	if l.root != nil {
		_ = l.root.Close()
	}
	if l.Lake != nil {
		_ = l.Close()
	}
}
