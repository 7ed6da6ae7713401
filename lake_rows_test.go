package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyperlight/export"
)

// Files and tables of the lake in readers of other people: what they find has to be what was written, row by row. Each
// reader is a program of its own, testdata/clients/lake-*.mjs and the modules in testdata/lake.

// fileTold is what a reader tells of a file or a table.
type fileTold struct {
	Rows     int64             `json:"rows"`
	Digest   string            `json:"digest"` // of all rows as text, in their order
	Sums     map[string]string `json:"sums"`   // of whole numbers, and of mantissas of decimals
	Own      map[string]string `json:"own"`    // the same, by the reader's own sum
	Schema   []string          `json:"schema"`
	Metadata map[string]string `json:"metadata"`
	Codecs   []string          `json:"codecs"`
	Sorting  [][]string        `json:"sorting"`
	Groups   []string          `json:"groups"`
	Fetched  int               `json:"fetched"` // ranges
	Levels   int64             `json:"levels"`
	Files    int               `json:"files"`
	Pruned   int               `json:"pruned"` // of these, what a filter by time leaves
}

// readLake runs a reader on files, addresses or tables.
func readLake(t testing.TB, dir string, program []string, names ...string) map[string]fileTold {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program[0], append(program[1:], names...)...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%.3000s", program, err, errs.String())
	}
	var all map[string]fileTold
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatalf("%v: %v in %.500s", program, err, out.String())
	}
	return all
}

// fileRows is what we say of rows.
type fileRows struct {
	fileTold
	sum  map[string]*big.Int
	text []byte
}

// column returns a column's name and whether it is null where it is zero, and how many microseconds its unit has.
func column(f reflect.StructField) (name string, optional bool, micros int64) {
	tag := strings.Split(f.Tag.Get("parquet"), ",")
	switch {
	case slices.Contains(tag, "timestamp(millisecond)"):
		micros = 1000
	case slices.Contains(tag, "timestamp(microsecond)"):
		micros = 1
	}
	return tag[0], slices.Contains(tag, "optional"), micros
}

func (o *fileRows) add(row reflect.Value) {
	o.Rows++
	for i := range row.NumField() {
		if i > 0 {
			o.text = append(o.text, ',')
		}
		name, optional, micros := column(row.Type().Field(i))
		v := row.Field(i)
		switch {
		case optional && v.IsZero():
			o.text = append(o.text, "null"...)
		case v.Kind() == reflect.String:
			o.text = strconv.AppendQuote(o.text, v.String())
		case v.Kind() == reflect.Bool:
			o.text = strconv.AppendBool(o.text, v.Bool())
		case v.Kind() == reflect.Slice:
			o.text = fmt.Append(o.text, strings.NewReplacer("{", "[", "}", "]").Replace(fmt.Sprint(v.Interface())))
			o.Levels += int64(v.Len())
		default:
			n := v.Int() * max(micros, 1)
			o.text = strconv.AppendInt(o.text, n, 10)
			if o.sum[name] == nil {
				o.sum[name] = new(big.Int)
			}
			o.sum[name].Add(o.sum[name], big.NewInt(n))
		}
	}
	o.text = append(o.text, '\n')
}

// rowsOf reads the rows of a file.
func rowsOf[T export.Row[T]](t testing.TB, name string) (out []T) {
	t.Helper()
	f, err := export.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := export.NewReader[T](f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		batch := make([]T, 1000)
		n, err := r.Read(batch)
		out = append(out, batch[:n]...)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// tellRows says of rows what a reader of other people says of a file.
func tellRows[T export.Row[T]](rows []T) fileRows {
	o := fileRows{sum: make(map[string]*big.Int)}
	for i := range rows {
		o.add(reflect.ValueOf(rows[i]))
	}
	h := sha256.Sum256(o.text)
	o.Digest, o.Sums, o.text = hex.EncodeToString(h[:]), make(map[string]string), nil
	for name, sum := range o.sum {
		o.Sums[name] = sum.String()
	}
	return o
}
