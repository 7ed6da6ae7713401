package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"
)

// result is what a command found: rows for people and spreadsheets, a document for programs.
type result struct {
	header []string
	rows   [][]string
	json   any // nil: an array of objects made of header and rows
}

// print writes a result in the form that --output asks for.
func (a *app) print(r result) error {
	switch a.output {
	case "json":
		return writeJSON(a.stdout, r.document())
	case "csv":
		w := csv.NewWriter(a.stdout)
		if err := w.WriteAll(append([][]string{r.header}, r.rows...)); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
		return nil
	}
	t := table.NewWriter()
	t.SetStyle(plainTable)
	t.SuppressTrailingSpaces()
	t.AppendHeader(tableRow(r.header))
	for _, row := range r.rows {
		t.AppendRow(tableRow(row))
	}
	if _, err := io.WriteString(a.stdout, t.Render()+"\n"); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// plainTable has no lines: columns two blanks apart, as other command lines print.
var plainTable = func() table.Style {
	s := table.StyleDefault
	s.Options = table.OptionsNoBordersAndSeparators
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	return s
}()

func tableRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i, c := range cells {
		row[i] = c
	}
	return row
}

func (r result) document() any {
	if r.json != nil {
		return r.json
	}
	list := make([]map[string]string, len(r.rows))
	for i, row := range r.rows {
		list[i] = map[string]string{}
		for j, name := range r.header {
			list[i][name] = row[j]
		}
	}
	return list
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// isTerminal tells whether a person watches the stream.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
