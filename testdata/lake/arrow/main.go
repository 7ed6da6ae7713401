// Command arrow reads files of the lake with Arrow's Parquet library for Go: arrow FILE... It prints what it found as JSON.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

type told struct {
	Rows     int64             `json:"rows"`
	Digest   string            `json:"digest"`
	Sums     map[string]string `json:"sums"`
	Schema   []string          `json:"schema"`
	Metadata map[string]string `json:"metadata"`
	Codecs   []string          `json:"codecs"`
	Sorting  [][]string        `json:"sorting"`
}

func main() {
	out := make(map[string]told)
	for _, name := range os.Args[1:] {
		t, err := read(name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "read %s: %v\n", name, err)
			os.Exit(1)
		}
		out[name] = t
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		os.Exit(1)
	}
}

// cell is a value as text, with the levels that say where it belongs.
type cell struct {
	text            string
	repeat, defined int16
}

func read(name string) (t told, err error) {
	in, err := file.OpenParquetFile(name, false)
	if err != nil {
		return t, err
	}
	defer in.Close()
	s := in.MetaData().Schema
	t.Metadata, t.Sums = make(map[string]string), make(map[string]string)
	for _, kv := range in.MetaData().GetKeyValueMetadata() {
		t.Metadata[kv.Key] = kv.GetValue()
	}
	sums := make(map[string]*big.Int)
	h := sha256.New()
	for g := range in.NumRowGroups() {
		group := in.RowGroup(g)
		t.Rows += group.NumRows()
		var sorted []string
		for _, c := range group.MetaData().SortingColumns() {
			sorted = append(sorted, s.Column(int(c.ColumnIdx)).Name())
		}
		t.Sorting = append(t.Sorting, sorted)
		columns := make([][]cell, s.NumColumns())
		for i := range columns {
			chunk, err := group.MetaData().ColumnChunk(i)
			if err != nil {
				return t, err
			}
			if codec := chunk.Compression().String(); !slices.Contains(t.Codecs, codec) {
				t.Codecs = append(t.Codecs, codec)
			}
			reader, err := group.Column(i)
			if err != nil {
				return t, err
			}
			if columns[i], err = cells(reader, s.Column(i), chunk.NumValues(), sums); err != nil {
				return t, err
			}
		}
		if err := join(columns, s, group.NumRows(), h.Write); err != nil {
			return t, err
		}
	}
	for i := range s.NumColumns() {
		c := s.Column(i)
		t.Schema = append(t.Schema, c.Path()+" "+c.LogicalType().String())
	}
	for name, sum := range sums {
		t.Sums[name] = sum.String()
	}
	t.Digest = hex.EncodeToString(h.Sum(nil))
	return t, nil
}

func cells(r file.ColumnChunkReader, c *schema.Column, values int64, sums map[string]*big.Int) ([]cell, error) {
	defined, repeated := make([]int16, values), make([]int16, values)
	var texts []string
	var n int64
	var err error
	micros := int64(1)
	if ts, ok := c.LogicalType().(schema.TimestampLogicalType); ok && ts.TimeUnit() == schema.TimeUnitMillis {
		micros = 1000
	}
	number := func(v int64) string {
		v *= micros
		if c.MaxRepetitionLevel() == 0 {
			if sums[c.Name()] == nil {
				sums[c.Name()] = new(big.Int)
			}
			sums[c.Name()].Add(sums[c.Name()], big.NewInt(v))
		}
		return strconv.FormatInt(v, 10)
	}
	// A call reads at most a page, so it is called until all is read.
	for n < values && err == nil {
		var got int64
		switch r := r.(type) {
		case *file.Int64ColumnChunkReader:
			got, texts, err = batch(r.ReadBatch, values-n, defined[n:], repeated[n:], texts, number)
		case *file.Int32ColumnChunkReader:
			got, texts, err = batch(r.ReadBatch, values-n, defined[n:], repeated[n:], texts, func(v int32) string { return number(int64(v)) })
		case *file.BooleanColumnChunkReader:
			got, texts, err = batch(r.ReadBatch, values-n, defined[n:], repeated[n:], texts, strconv.FormatBool)
		case *file.ByteArrayColumnChunkReader:
			got, texts, err = batch(r.ReadBatch, values-n, defined[n:], repeated[n:], texts, func(v parquet.ByteArray) string { return strconv.Quote(string(v)) })
		default:
			return nil, fmt.Errorf("column %s: of another type", c.Path())
		}
		if got == 0 && err == nil {
			err = fmt.Errorf("column %s: ends after %d values of %d", c.Path(), n, values)
		}
		n += got
	}
	if err != nil {
		return nil, err
	}
	out := make([]cell, values)
	for i := range out {
		out[i] = cell{text: "null", repeat: repeated[i], defined: defined[i]}
		if c.MaxDefinitionLevel() == 0 || defined[i] == c.MaxDefinitionLevel() {
			out[i].text, texts = texts[0], texts[1:]
		}
	}
	return out, nil
}

func batch[T any](read func(int64, []T, []int16, []int16) (int64, int, error), most int64, defined, repeated []int16, texts []string, text func(T) string) (int64, []string, error) {
	buffer := make([]T, most)
	n, values, err := read(most, buffer, defined, repeated)
	for _, v := range buffer[:values] {
		texts = append(texts, text(v))
	}
	return n, texts, err
}

// join writes rows as lines. The columns of a list are lists of the structs' members.
func join(columns [][]cell, s *schema.Schema, rows int64, write func([]byte) (int, error)) error {
	for range rows {
		var line []string
		for i := 0; i < len(columns); i++ {
			if s.Column(i).MaxRepetitionLevel() == 0 {
				line = append(line, columns[i][0].text)
				columns[i] = columns[i][1:]
				continue
			}
			prices, sizes := take(&columns[i], s.Column(i)), take(&columns[i+1], s.Column(i+1))
			i++
			levels := make([]string, len(prices))
			for n := range prices {
				levels[n] = "[" + prices[n] + " " + sizes[n] + "]"
			}
			line = append(line, "["+strings.Join(levels, " ")+"]")
		}
		if _, err := write([]byte(strings.Join(line, ",") + "\n")); err != nil {
			return err
		}
	}
	return nil
}

// take takes the values of one row's list.
func take(column *[]cell, c *schema.Column) (out []string) {
	for i, v := range *column {
		if i > 0 && v.repeat == 0 {
			*column = (*column)[i:]
			return out
		}
		if v.defined == c.MaxDefinitionLevel() {
			out = append(out, v.text)
		}
	}
	*column = nil
	return out
}
