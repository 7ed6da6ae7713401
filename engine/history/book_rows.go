package history

import (
	"context"
	"fmt"
	"sync"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// soloEntries is how many blocks and segments of a range are opened one by one, before the next segment is opened while the
// rows of the one before are read. A query for one moment's book reads no more than that.
const soloEntries = 2

// bookRows goes through the rows of a time range, which lies in one held interval, slice by slice. In a long range a second
// goroutine opens the next segment in the meantime, because that takes as long as reading its rows.
type bookRows struct {
	r        *Reader
	market   uint32
	slice    bookSlice
	cursors  [2]record.BookCursor
	cursor   *record.BookCursor // of the open entry; the other one is free, or opens the next entry
	at, to   model.Micros       // what of the range is not loaded yet
	from     model.Micros       // of the loaded slice
	until    model.Micros
	entry    int  // the next one to open
	opened   int  // entries of the range
	unopened bool // no entry is open

	ahead  bool            // the next entry is being opened; its cursor and its bytes belong to that goroutine
	result chan openResult // of it
}

// openResult is what became of an entry that was opened ahead.
type openResult struct {
	err      error
	panicked any
}

// bookReaders keeps the memory of finished queries: copied blocks and what a cursor has decompressed.
var bookReaders = sync.Pool{New: func() any { return &bookRows{result: make(chan openResult, 1)} }}

func newBookRows(r *Reader, mkt uint32) *bookRows {
	s := bookReaders.Get().(*bookRows)
	s.r, s.market, s.cursor = r, mkt, &s.cursors[0]
	return s
}

// free gives the memory back; rows that were returned are invalid from then on.
func (s *bookRows) free() {
	s.join()
	s.r = nil
	bookReaders.Put(s)
}

// start sets the range from <= receive time < to.
func (s *bookRows) start(from, to model.Micros) {
	s.join()
	s.at, s.to = max(from, 0), to
	s.slice.entries, s.slice.limit = s.slice.entries[:0], 0
	s.entry, s.opened, s.unopened = 0, 0, true
}

// keyframe returns the state at the start of a segment, valid until the next call; the rows are over.
func (s *bookRows) keyframe(segment []byte) (*record.Keyframe, error) {
	s.start(0, 0)
	if err := s.cursor.Open(segment); err != nil {
		return nil, err
	}
	return s.cursor.Keyframe(), nil
}

// next returns the next row, valid until the call after, or nil at the end.
func (s *bookRows) next(ctx context.Context) (*record.BookRow, error) {
	for {
		if !s.unopened {
			for s.cursor.Next() {
				row := s.cursor.Row()
				if row.Recv >= s.from && row.Recv < s.until {
					return row, nil
				}
			}
			if err := s.cursor.Err(); err != nil {
				return nil, fmt.Errorf("read book block: %w", err)
			}
			s.unopened = true
		}
		if s.entry < len(s.slice.entries) {
			if err := s.open(); err != nil {
				return nil, fmt.Errorf("open book block: %w", err)
			}
			continue
		}
		if s.at >= s.to {
			return nil, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read book updates: %w", err)
		}
		until, err := s.slice.load(ctx, s.r, s.market, s.at, s.to)
		if err != nil {
			return nil, err
		}
		s.from, s.until, s.at, s.entry = s.at, until, until, 0
	}
}

// open opens the next entry, or takes it over where that was done ahead, and begins with the one after.
func (s *bookRows) open() error {
	if s.ahead {
		got := s.join()
		if got.panicked != nil {
			panic(got.panicked)
		}
		if got.err != nil {
			return got.err
		}
		s.cursor = s.other()
	} else if err := s.cursor.Open(s.slice.value(s.entry)); err != nil {
		return err
	}
	s.entry++
	s.opened++
	s.unopened = false
	if s.opened >= soloEntries && s.entry < len(s.slice.entries) && s.slice.entries[s.entry].sealed {
		s.ahead = true
		go openAhead(s.other(), s.slice.value(s.entry), s.result)
	}
	return nil
}

// other returns the cursor that is not being read.
func (s *bookRows) other() *record.BookCursor {
	if s.cursor == &s.cursors[0] {
		return &s.cursors[1]
	}
	return &s.cursors[0]
}

// join waits for the entry that is being opened ahead, if there is one.
func (s *bookRows) join() (got openResult) {
	if s.ahead {
		s.ahead = false
		got = <-s.result
	}
	return got
}

func openAhead(c *record.BookCursor, value []byte, result chan<- openResult) {
	var got openResult
	defer func() {
		got.panicked = recover()
		result <- got
	}()
	got.err = c.Open(value)
}
