package archive

import (
	"bytes"
	"fmt"
	"strings"
)

// table reads the rows of a CSV. The first line names the columns; their order is free, unknown ones are passed over.
// Separators are commas, semicolons or tabs, whichever the header has. A quoted field ends in its line: one stray quote
// must not swallow the file.
type table struct {
	separator byte
	fields    []int // per column of the file the field, -1 for an unknown one
	dataset   Dataset
	cells     [][]byte
}

// newTable reads the header.
func newTable(header []byte, o Options) (*table, error) {
	header = bytes.TrimPrefix(header, []byte("\xef\xbb\xbf"))
	t := &table{separator: separatorOf(header)}
	cells, ok := t.split(header)
	if !ok {
		return nil, fmt.Errorf("%w: the header ends inside quotes", ErrColumns)
	}
	var given [fieldCount]string
	for _, cell := range cells {
		name := string(bytes.TrimSpace(cell))
		f, known := column(name)
		if !known {
			t.fields = append(t.fields, -1)
			continue
		}
		if given[f] != "" {
			return nil, fmt.Errorf("%w: %s and %s both name the %s; take one out", errHeader, given[f], name, f)
		}
		given[f] = name
		t.fields = append(t.fields, int(f))
	}
	var err error
	t.dataset, err = detect(o, func(f field) bool { return given[f] != "" })
	return t, err
}

// separatorOf finds what separates the columns of a header.
func separatorOf(header []byte) byte {
	best, most := byte(','), 0
	for _, c := range []byte{',', ';', '\t'} {
		if n := bytes.Count(header, []byte{c}); n > most {
			best, most = c, n
		}
	}
	return best
}

// parse takes a line apart; "" where it is well-formed, else what is wrong with it.
func (t *table) parse(line []byte, rec *record) string {
	cells, ok := t.split(line)
	if !ok {
		return "a quoted field does not end in its line"
	}
	if len(cells) != len(t.fields) {
		return "has not as many fields as the header"
	}
	for i, f := range t.fields {
		if f >= 0 {
			rec.set(field(f), cells[i])
		}
	}
	return ""
}

// split cuts a line into its fields, which share its memory as far as they have no quotes inside.
func (t *table) split(line []byte) ([][]byte, bool) {
	t.cells = t.cells[:0]
	line = bytes.TrimSuffix(line, []byte{'\r'})
	for {
		if len(line) > 0 && line[0] == '"' {
			cell, rest, ok := quotedCell(line)
			if !ok || len(rest) > 0 && rest[0] != t.separator {
				return nil, false
			}
			t.cells = append(t.cells, cell)
			if len(rest) == 0 {
				return t.cells, true
			}
			line = rest[1:]
			continue
		}
		i := bytes.IndexByte(line, t.separator)
		if i < 0 {
			t.cells = append(t.cells, line)
			return t.cells, true
		}
		t.cells = append(t.cells, line[:i])
		line = line[i+1:]
	}
}

// quotedCell reads a field in quotes, in which two quotes are one, and returns what follows.
func quotedCell(b []byte) (cell, rest []byte, ok bool) {
	doubled := false
	for i := 1; i < len(b); i++ {
		if b[i] != '"' {
			continue
		}
		if i+1 < len(b) && b[i+1] == '"' {
			doubled = true
			i++
			continue
		}
		cell = b[1:i]
		if doubled {
			cell = []byte(strings.ReplaceAll(string(cell), `""`, `"`))
		}
		return cell, b[i+1:], true
	}
	return nil, nil, false
}
