// Command lake compares the lake's files of trades with those that DuckDB writes of the very same rows: rows a second, bytes
// and processor time a row, in turns, and how long DuckDB takes to answer questions from each of the files. It measures and owns
// nothing else; run it by the script beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"

	"hyperlight/export"
)

type options struct {
	dir, recordings, profile string
	rows, rounds, threads    int
	seed                     uint64
}

func main() {
	o := options{recordings: os.Getenv("HYPERLIGHT_RECORDINGS")}
	if o.recordings == "" {
		o.recordings = "../../../shared/data"
	}
	flag.IntVar(&o.rows, "rows", 2_000_000, "trades that are made up")
	flag.IntVar(&o.rounds, "rounds", 5, "turns of each side")
	flag.IntVar(&o.threads, "threads", 2, "threads of DuckDB; ours are those of GOMAXPROCS")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the trades")
	flag.StringVar(&o.dir, "dir", "", "directory for all files; empty: a temporary one")
	flag.StringVar(&o.profile, "profile", "", "file for the processor profile of our writing")
	quick := flag.Bool("quick", false, "half a million trades and three turns")
	flag.Parse()
	if *quick {
		o.rows, o.rounds = 500_000, 3
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/lake:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, o *options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "hyperlight-lake-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	db, err := startDuck(o.threads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Stop()) }()

	made, err := madeUpRows(o.rows, o.seed)
	if err != nil {
		return err
	}
	records := []sample{{fmt.Sprintf("made up, %d trades of one market and day", len(made)), made, nil}}
	for _, r := range recordings {
		rec, err := r.rows(ctx, o, dir)
		if err != nil {
			return fmt.Errorf("take %s: %w", r.name, err)
		}
		records = append(records, rec)
	}
	fmt.Print("| trades | written by | rows/s | processor ns/row | bytes/row | ours: times as fast | times by processor | of its bytes |\n|---|---|---|---|---|---|---|---|\n")
	for i := range records {
		if err := measureWriting(ctx, o, db, dir, &records[i]); err != nil {
			return err
		}
		if i == 0 { // the questions are asked of the large files
			for _, name := range append([]string{oursName}, formatNames()...) {
				if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, "large-"+name)); err != nil {
					return err
				}
			}
		}
	}
	if err := measureColumns(db, dir, len(made)); err != nil {
		return err
	}
	return measureScans(o, db, dir)
}

// sample is what is written: rows, and what reads the same rows from a store.
type sample struct {
	name      string
	rows      []export.Trade
	fromStore func(context.Context, func([]export.Trade) error) error
}
