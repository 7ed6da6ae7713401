// Command iceberg reads tables of the lake with Iceberg's own library for Go: iceberg DIRECTORY... where a directory is that
// of a table. It prints what it found as JSON.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
)

type told struct {
	Rows   int64             `json:"rows"`
	Levels int64             `json:"levels"`
	Sums   map[string]string `json:"sums"`
	Schema []string          `json:"schema"`
	Files  int               `json:"files"`  // of the table
	Pruned int               `json:"pruned"` // of these, those that a filter by time leaves
}

func main() {
	out := make(map[string]told)
	for _, dir := range os.Args[1:] {
		t, err := read(context.Background(), dir)
		if err != nil {
			fmt.Fprintf(os.Stderr, "read %s: %v\n", dir, err)
			os.Exit(1)
		}
		out[dir] = t
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		os.Exit(1)
	}
}

func read(ctx context.Context, dir string) (t told, err error) {
	hint, err := os.ReadFile(filepath.Join(dir, "metadata", "version-hint.text"))
	if err != nil {
		return t, err
	}
	location := "file://" + filepath.Join(dir, "metadata", "v"+string(bytes.TrimSpace(hint))+".metadata.json")
	tbl, err := table.NewFromLocation(ctx, table.Identifier{filepath.Base(dir)}, location, io.LoadFSFunc(nil, location), nil)
	if err != nil {
		return t, err
	}
	tasks, err := tbl.Scan().PlanFiles(ctx)
	if err != nil {
		return t, err
	}
	t.Files = len(tasks)
	column := "timestamp"
	if _, ok := tbl.Schema().FindFieldByName(column); !ok {
		column = "from"
	}
	// 2026-01-02 and later, of a lake with 2026-01-01 and, of trades, that day.
	late := iceberg.GreaterThanEqual(iceberg.Reference(column), "2026-01-02T00:00:00+00:00")
	if tasks, err = tbl.Scan(table.WithRowFilter(late)).PlanFiles(ctx); err != nil {
		return t, err
	}
	t.Pruned = len(tasks)
	schema, records, err := tbl.Scan().ToArrowRecords(ctx)
	if err != nil {
		return t, err
	}
	for _, f := range schema.Fields() {
		t.Schema = append(t.Schema, f.Name+" "+f.Type.String())
	}
	sums := make(map[string]*big.Int)
	for record, err := range records {
		if err != nil {
			return t, err
		}
		t.Rows += record.NumRows()
		for i, f := range schema.Fields() {
			add(f.Name, record.Column(i), sums, &t.Levels)
		}
		record.Release()
	}
	t.Sums = make(map[string]string)
	for name, sum := range sums {
		t.Sums[name] = sum.String()
	}
	return t, nil
}

func add(name string, column arrow.Array, sums map[string]*big.Int, levels *int64) {
	sum := sums[name]
	if sum == nil {
		sum = new(big.Int)
	}
	for i := range column.Len() {
		if column.IsNull(i) {
			continue
		}
		switch c := column.(type) {
		case *array.Int32:
			sum.Add(sum, big.NewInt(int64(c.Value(i))))
		case *array.Int64:
			sum.Add(sum, big.NewInt(c.Value(i)))
		case *array.Timestamp:
			sum.Add(sum, big.NewInt(int64(c.Value(i))))
		case *array.Decimal128:
			sum.Add(sum, c.Value(i).BigInt())
		case *array.List:
			from, to := c.ValueOffsets(i)
			*levels += to - from
			continue
		default:
			continue
		}
		sums[name] = sum
	}
}
