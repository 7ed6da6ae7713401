package record

import "hyperlight/engine/model"

// BookRow is one book update as it was received.
type BookRow struct {
	Update model.BookUpdate
	Time   model.Millis // the venue's time of the frame; 0 where it sent none
	Recv   model.Micros
	Epoch  uint8
}

// BookBlock collects the updates of one market-second. Its value is complete at any time, because an open block is
// rewritten under its key at each commit.
type BookBlock struct{ buf []byte }

// Reset empties the block and gives it the scale epoch of all its mantissas.
func (b *BookBlock) Reset(epoch uint8) { panic("not written") }

// Add appends an update.
func (b *BookBlock) Add(u *model.BookUpdate, t model.Millis, recv model.Micros) { panic("not written") }

// Bytes returns the complete value; it is valid until the next Add or Reset.
func (b *BookBlock) Bytes() []byte { return b.buf }

// Updates returns how many updates the block holds.
func (b *BookBlock) Updates() int { return 0 }

// BookHeader reads the head of a book block or segment.
func BookHeader(b []byte) (Header, error) { panic("not written") }

// BookCursor goes through the rows of a book block, or of a sealed segment after its keyframe. The zero value is ready
// for Open; a cursor is reused by opening it again, and then allocates nothing.
type BookCursor struct{ row BookRow }

// Open starts at the first row. b must stay unchanged while the cursor is used.
func (c *BookCursor) Open(b []byte) error { panic("not written") }

// Header returns the head of the opened value.
func (c *BookCursor) Header() Header { return Header{} }

// Keyframe returns the start state of a sealed segment, nil for a hot block; it is valid until the next Open.
func (c *BookCursor) Keyframe() *Keyframe { return nil }

// Next moves to the next row; false at the end and at damage, which Err tells apart.
func (c *BookCursor) Next() bool { return false }

// Row returns the current row; it and its slices are reused by Next.
func (c *BookCursor) Row() *BookRow { return &c.row }

// Err returns what ended the rows early, nil at the regular end.
func (c *BookCursor) Err() error { return nil }

// BookSegment makes a sealed segment: a keyframe and the updates that follow it, compressed.
type BookSegment struct{ levels int }

// Begin empties the segment and sets its start state, which is encoded at once.
func (s *BookSegment) Begin(k *Keyframe) { panic("not written") }

// AddRow appends an update; its epoch must be the keyframe's.
func (s *BookSegment) AddRow(r *BookRow) { panic("not written") }

// Levels returns how many changed levels the segment holds.
func (s *BookSegment) Levels() int { return s.levels }

// Updates returns how many updates the segment holds.
func (s *BookSegment) Updates() int { return 0 }

// Finish appends the segment's value.
func (s *BookSegment) Finish(dst []byte) []byte { panic("not written") }
