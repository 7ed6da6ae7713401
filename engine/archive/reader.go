package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"hyperlight/engine/model"
)

// longestDocument bounds a JSON document that is spread over lines.
const longestDocument = 64 << 20

// errDamaged is the fault of a line that is no JSON.
const errDamaged = "not a whole JSON value"

// Lines gives the lines of a file without their ends, io.EOF behind the last. A line is valid until the next call.
type Lines func() ([]byte, error)

// Reader is the Source of a file of text.
type Reader struct {
	o       Options
	lines   Lines
	line    uint64
	table   *table // of a CSV
	docs    documents
	dataset Dataset
	build   builder
	row     Row
	length  time.Duration // of candles whose rows tell none
	first   []byte        // the line that told the form, still to be read
	hasHead bool
}

var _ Source = (*Reader)(nil)

// NewReader reads the head of a file and finds out what it holds. ErrColumns reports a file that is no archive.
func NewReader(lines Lines, o Options) (*Reader, error) {
	r := &Reader{o: o, lines: lines, dataset: o.Dataset, length: o.Resolution}
	if r.length == 0 {
		r.length = resolutionOfName(o.Name)
	}
	for {
		head, err := r.next()
		if err == io.EOF {
			return nil, fmt.Errorf("%w: the file is empty", ErrColumns)
		}
		if err != nil {
			return nil, err
		}
		c := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")))
		if len(c) == 0 {
			continue
		}
		if c[0] == '{' || c[0] == '[' {
			r.first, r.hasHead = append([]byte(nil), c...), true
			return r, nil
		}
		if r.table, err = newTable(head, o); err != nil {
			return nil, err
		}
		r.dataset = r.table.dataset
		return r, nil
	}
}

// Dataset returns what the file holds; Unknown until a row of JSON lines has told.
func (r *Reader) Dataset() Dataset { return r.dataset }

func (r *Reader) next() ([]byte, error) {
	line, err := r.lines()
	if err == nil || !errors.Is(err, io.EOF) {
		r.line++
	}
	return line, err
}

// Next returns the next row.
func (r *Reader) Next() (*Row, error) {
	for {
		row, wrong, err := r.read()
		switch {
		case err != nil:
			return nil, err
		case wrong != "":
			return nil, &RowError{File: r.o.Name, Line: r.line, Reason: wrong}
		case row:
			r.row.Line = r.line
			f := r.build.row(r.dataset, &r.row)
			if f == nil && r.dataset == Candles {
				if r.row.Candle.Resolution == 0 {
					r.row.Candle.Resolution = r.length
				}
				f = candleFits(&r.row)
			}
			if f != nil {
				return nil, &RowError{File: r.o.Name, Line: r.line, Column: f.column.String(), Reason: f.reason}
			}
			return &r.row, nil
		}
	}
}

// read fills the record with the next row; row is false where there was none yet, wrong says what is damaged.
func (r *Reader) read() (row bool, wrong string, err error) {
	r.build.rec.reset()
	if r.table != nil {
		line, err := r.next()
		if err != nil {
			return false, "", err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return false, "", nil
		}
		wrong = r.table.parse(line, &r.build.rec)
		return wrong == "", wrong, nil
	}
	text, ok := r.docs.next()
	if !ok {
		return false, errDamaged, nil
	}
	if text == nil {
		err = r.document(&wrong)
		return false, wrong, err
	}
	if wrong = r.docs.parse(text, &r.build.rec); wrong != "" {
		return false, wrong, nil
	}
	return r.kind(&wrong), wrong, nil
}

// document takes up the next JSON value of the file.
func (r *Reader) document(wrong *string) error {
	line, first := r.first, r.hasHead
	if first {
		r.first, r.hasHead = nil, false
	} else {
		var err error
		if line, err = r.next(); err != nil {
			return err
		}
	}
	if len(bytes.TrimSpace(line)) == 0 || r.docs.begin(line) {
		return nil
	}
	// Only the head of a file may be spread over lines: of a damaged line nothing behind it may get lost.
	if first {
		if whole, err := r.gather(line); err != nil {
			return err
		} else if whole != nil && r.docs.begin(whole) {
			return nil
		}
	}
	*wrong = errDamaged
	return nil
}

// gather joins the lines of a document that begins with head; nil where it does not end.
func (r *Reader) gather(head []byte) ([]byte, error) {
	whole := head
	for len(whole) < longestDocument {
		line, err := r.next()
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		whole = append(append(whole, '\n'), line...)
		if c := bytes.TrimRight(line, " \t\r"); len(c) == 0 || c[len(c)-1] != '}' && c[len(c)-1] != ']' {
			continue
		}
		if end, ok := valueEnd(whole, 0); ok && len(bytes.TrimSpace(whole[end:])) == 0 {
			return whole, nil
		}
	}
	return nil, nil
}

// kind finds out what a row of JSON is. All rows of a file are of one dataset: the first that is one tells.
func (r *Reader) kind(wrong *string) bool {
	if r.dataset != Unknown {
		return true
	}
	if r.docs.list != Unknown {
		r.dataset = r.docs.list
		return true
	}
	d, err := detect(r.o, func(f field) bool { return r.build.rec.has[f] })
	if err != nil {
		*wrong = err.Error()
		return false
	}
	r.dataset = d
	return true
}

// Plausible tells whether a row's time can be true: after the venue's beginnings and not ahead of now.
func Plausible(at, now model.Millis) bool {
	return at >= earliest && at <= now+model.Millis(24*time.Hour/time.Millisecond)
}

var earliest = model.Millis(time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
