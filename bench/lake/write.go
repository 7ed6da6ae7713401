package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hyperlight/bench/sides"
	"hyperlight/export"
)

const oursName = "ours.parquet"

// format is a way in which DuckDB writes Parquet.
type format struct{ name, file, options string }

var formats = []format{
	{"DuckDB, its default", "default.parquet", ""},
	{"DuckDB, its newest format", "v2.parquet", ", PARQUET_VERSION v2"},
}

func formatNames() (out []string) {
	for _, f := range formats {
		out = append(out, f.file)
	}
	return out
}

// turn is what one writing took.
type turn struct{ took, processor time.Duration }

// median returns the medians of turns, each by itself.
func median(turns []turn) turn {
	var took, processor []time.Duration
	for _, t := range turns {
		took, processor = append(took, t.took), append(processor, t.processor)
	}
	slices.Sort(took)
	slices.Sort(processor)
	return turn{took[len(took)/2], processor[len(processor)/2]}
}

// batch is how many rows the writer is handed at once.
const batch = 4096

// writeOurs writes a file and has it on disk as DuckDB has: without waiting for the disk.
func writeOurs(name string, rows func(func([]export.Trade) error) error) (t turn, err error) {
	before, began := sides.ProcessorTime(os.Getpid()), time.Now()
	f, err := os.Create(name)
	if err != nil {
		return t, err
	}
	w := export.NewWriter[export.Trade](f, export.Footer{Venue: "lighter"})
	if err := errors.Join(rows(w.Write), w.Close(), f.Close()); err != nil {
		return t, err
	}
	return turn{time.Since(began), sides.ProcessorTime(os.Getpid()) - before}, nil
}

func inBatches(rows []export.Trade) func(func([]export.Trade) error) error {
	return func(write func([]export.Trade) error) error {
		for part := range slices.Chunk(rows, batch) {
			if err := write(part); err != nil {
				return err
			}
		}
		return nil
	}
}

// measureWriting has all sides write the same rows in turns and prints the medians.
func measureWriting(ctx context.Context, o *options, db *duck, dir string, r *sample) error {
	ours := filepath.Join(dir, oursName)
	if _, err := writeOurs(ours, inBatches(r.rows)); err != nil {
		return err
	}
	if _, err := db.run("CREATE OR REPLACE TABLE t AS SELECT * FROM '%s'", ours); err != nil {
		return err
	}
	turns := make([][]turn, 2+len(formats))
	for range o.rounds {
		t, err := writeOurs(ours, inBatches(r.rows))
		if err != nil {
			return err
		}
		turns[0] = append(turns[0], t)
		if r.fromStore != nil {
			if t, err = writeOurs(filepath.Join(dir, "stored.parquet"), func(write func([]export.Trade) error) error {
				return r.fromStore(ctx, write)
			}); err != nil {
				return err
			}
			turns[1] = append(turns[1], t)
		}
		for i, f := range formats {
			t, err := db.run("COPY t TO '%s' (FORMAT parquet, COMPRESSION zstd%s)", filepath.Join(dir, f.file), f.options)
			if err != nil {
				return err
			}
			turns[2+i] = append(turns[2+i], t.turn)
		}
	}
	n := float64(len(r.rows))
	size := func(file string) float64 {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			return 0
		}
		return float64(info.Size()) / n
	}
	our, ourSize := median(turns[0]), size(oursName)
	line := func(name string, t turn, size float64) {
		fmt.Printf("| %s | %s | %.0f | %.0f | %.2f |", r.name, name, n/t.took.Seconds(), float64(t.processor)/n, size)
	}
	line("ours", our, ourSize)
	fmt.Println(" | | |")
	if len(turns[1]) > 0 {
		line("ours, from the store on", median(turns[1]), size("stored.parquet"))
		fmt.Println(" | | |")
	}
	for i, f := range formats {
		t, s := median(turns[2+i]), size(f.file)
		line(f.name, t, s)
		fmt.Printf(" %.2f | %.2f | %.3f |\n", float64(t.took)/float64(our.took), float64(t.processor)/float64(our.processor), ourSize/s)
	}
	return nil
}
