package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/lake"
)

// buildReader builds a module of testdata/lake.
func buildReader(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	cmd.Dir = filepath.Join("testdata", "lake", name)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly")
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%.2000s", name, err, out)
	}
	t.Logf("built in %v", time.Since(start).Round(time.Second))
	return program
}

// TestLakeInArrow opens a file of each dataset with Arrow's library for Go. It is part of make soak: a first build of that library
// takes 110 seconds of processor time. Without it the files are read by hyparquet and DuckDB.
func TestLakeInArrow(t *testing.T) {
	if os.Getenv("HYPERLIGHT_SOAK") == "" {
		t.Skip("HYPERLIGHT_SOAK is not set: Arrow's library for Go takes minutes to build")
	}
	t.Parallel()
	program := buildReader(t, "arrow")
	files := lakeOfAll(t, t.TempDir())
	var names []string
	for _, f := range files {
		names = append(names, f.path)
	}
	got := readLake(t, ".", []string{program}, names...)
	for _, f := range files {
		f.check(t, "arrow-go", got[f.path])
		for _, s := range got[f.path].Sorting {
			if !slices.Equal(s, lakeSorted[f.file.ID.Dataset]) {
				t.Errorf("arrow-go, %s: sorted by %v", f.file.ID, s)
			}
		}
	}
}

// TestLakeTablesInIceberg opens the table of each dataset with Iceberg's own library for Go. It is part of make soak: a first
// build of that library takes minutes.
func TestLakeTablesInIceberg(t *testing.T) {
	if os.Getenv("HYPERLIGHT_SOAK") == "" {
		t.Skip("HYPERLIGHT_SOAK is not set: Iceberg's library for Go takes minutes to build")
	}
	program := buildReader(t, "iceberg")
	dir := t.TempDir()
	want := inTables(icebergLake(t, dir, ""))
	var names []string
	for _, d := range lake.Datasets {
		names = append(names, filepath.Join(dir, string(d)))
	}
	got := readLake(t, ".", []string{program}, names...)
	for i, d := range lake.Datasets {
		g, w := got[names[i]], want[d]
		if g.Rows != w.Rows || g.Levels != w.Levels {
			t.Errorf("iceberg-go, %s: %d rows with %d levels, not %d with %d", d, g.Rows, g.Levels, w.Rows, w.Levels)
		}
		for name, sum := range w.sum {
			if g.Sums[name] != sum.String() {
				t.Errorf("iceberg-go, %s: the sum of %s is %s, not %s", d, name, g.Sums[name], sum)
			}
		}
		files, pruned := 1, 0
		if d == lake.Trades {
			files, pruned = 2, 1
		}
		if g.Files != files || g.Pruned != pruned {
			t.Errorf("iceberg-go, %s: %d files, %d of them of the second day; want %d and %d", d, g.Files, g.Pruned, files, pruned)
		}
	}
}
