package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"hyperlight/engine/archive"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
)

// errNoLake reports a Parquet file where nobody can read it.
var errNoLake = errors.New("parquet files cannot be read here")

// isParquet tells whether a file begins as Parquet does.
func isParquet(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "PAR1", nil
}

func (im *importer) archiveOptions(name string) archive.Options {
	return archive.Options{Name: name, Dataset: im.o.Archive.Dataset, Resolution: im.o.Archive.Resolution}
}

// text loads an archive of CSV or JSON.
func (im *importer) text(ctx context.Context, name string, file *recordingFile, registry *market.Registry, writer *history.Writer,
	o archive.Options) error {
	source, err := archive.NewReader(file.next, o)
	if errors.Is(err, archive.ErrColumns) {
		im.reject(err.Error())
		im.report.Faults = append(im.report.Faults, fmt.Sprintf("%s:1: %s", name, err))
		im.report.NoRows = append(im.report.NoRows, name)
		return nil
	}
	if err != nil {
		im.cutShort(name, err)
		return nil
	}
	run := &archiveRun{
		im: im, o: &im.o.Archive, name: name, source: source, registry: registry, resolver: registry.Resolver(lighterID, true), writer: writer,
	}
	err = im.archive(ctx, run, func() { im.progress(name, file.position()) })
	im.done += file.size
	im.progress(name, 0)
	return err
}

// cutShort notes a file that cannot be read to its end.
func (im *importer) cutShort(name string, err error) {
	im.reject("file is cut short or damaged inside")
	im.report.CutShort = append(im.report.CutShort, name)
	im.o.Logger.Warn("archive is cut short", "file", name, "error", err)
}

// lake loads a Parquet file of the data lake.
func (im *importer) lake(ctx context.Context, name string, target *market.Importer, writer *history.Writer) (err error) {
	if im.o.Archive.Lake == nil {
		return errNoLake
	}
	source, err := im.o.Archive.Lake(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	progress := func() {
		if read, total := source.Rows(); total > 0 {
			im.progress(name, info.Size()*read/total)
		}
	}
	if source.Dataset() == archive.Books {
		err = im.books(ctx, name, source, target, progress)
	} else {
		registry := target.Registry()
		err = im.archive(ctx, &archiveRun{
			im: im, o: &im.o.Archive, name: name, source: source, vouched: source.Held(),
			registry: registry, resolver: registry.Resolver(lighterID, true), writer: writer,
		}, progress)
	}
	im.done += info.Size()
	im.progress(name, 0)
	return err
}
