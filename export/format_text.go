package export

import (
	"bufio"
	"bytes"
	"fmt"

	"hyperlight/engine/model"
)

// textWriter writes rows as lines of text: CSV with a header, or one JSON object a line. Columns have the names and the order of
// the dataset's files. Numbers are exact and have no zeros at their end, times are unix milliseconds, and microseconds where
// they are of our own clock. Nothing is "" in CSV and is left out of JSON, where numbers with decimals are texts.
type textWriter[T any] struct {
	out     *bufio.Writer
	columns []textColumn[T]
	json    bool
	begun   bool
	line    []byte
	cell    []byte
}

func newTextWriter[T Row[T]](out *bufio.Writer, f Format) *textWriter[T] {
	return &textWriter[T]{out: out, columns: columnsOf[T](), json: f == NDJSON}
}

// header writes the names of the columns, once; also of a file without rows.
func (w *textWriter[T]) header() error {
	if w.json || w.begun {
		return nil
	}
	w.begun = true
	line := w.line[:0]
	for i := range w.columns {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, w.columns[i].name...)
	}
	w.line = append(line, '\n')
	return w.flush()
}

func (w *textWriter[T]) write(rows []T) error {
	if err := w.header(); err != nil {
		return err
	}
	for i := range rows {
		if w.json {
			w.object(&rows[i])
		} else {
			w.record(&rows[i])
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (w *textWriter[T]) flush() error {
	if _, err := w.out.Write(w.line); err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}

func (w *textWriter[T]) record(row *T) {
	w.line = w.line[:0]
	for i := range w.columns {
		if i > 0 {
			w.line = append(w.line, ',')
		}
		w.cell = w.columns[i].append(w.cell[:0], row)
		if !bytes.ContainsAny(w.cell, "\",\r\n") {
			w.line = append(w.line, w.cell...)
			continue
		}
		w.line = append(w.line, '"')
		for _, c := range w.cell {
			if c == '"' {
				w.line = append(w.line, '"')
			}
			w.line = append(w.line, c)
		}
		w.line = append(w.line, '"')
	}
	w.line = append(w.line, '\n')
}

func (w *textWriter[T]) object(row *T) {
	w.line = append(w.line[:0], '{')
	for i := range w.columns {
		c := &w.columns[i]
		if w.cell = c.append(w.cell[:0], row); len(w.cell) == 0 {
			continue
		}
		if len(w.line) > 1 {
			w.line = append(w.line, ',')
		}
		w.line = append(append(append(w.line, '"'), c.name...), `":`...)
		if c.quoted {
			w.line = model.AppendString(w.line, string(w.cell))
		} else {
			w.line = append(w.line, w.cell...)
		}
	}
	w.line = append(w.line, "}\n"...)
}
