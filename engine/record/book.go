package record

import (
	"encoding/binary"
	"fmt"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	bookVersion = 1
	// headRoom is the most that the head of a block takes: two bytes and five varints.
	headRoom = 2 + 5*binary.MaxVarintLen64
)

// BookRow is one book update as it was received.
type BookRow struct {
	Update model.BookUpdate
	Time   model.Millis // the venue's time of the frame; 0 where it sent none
	Recv   model.Micros
	Epoch  uint8
}

// A book value, of either form, begins with
//
//	version, epoch, count of updates, count of changed levels, receive time of the first row, that - smallest,
//	greatest - that
//
// A block goes on with its rows. A segment goes on with five sections (streams), in which the keyframe stands before the
// rows.

// bookHead gathers what the head of a block or segment says.
type bookHead struct {
	Header
	base model.Micros // receive time of the first row
}

func (h *bookHead) add(u *model.BookUpdate, recv model.Micros) {
	if h.Updates == 0 {
		h.base, h.First, h.Last = recv, int64(recv), int64(recv)
	}
	h.First, h.Last = min(h.First, int64(recv)), max(h.Last, int64(recv))
	h.Updates++
	h.Levels += uint32(len(u.Bids) + len(u.Asks))
}

func (h *bookHead) append(dst []byte, version byte) []byte {
	dst = append(dst, version, h.Epoch)
	dst = appendUvarint(dst, uint64(h.Updates))
	dst = appendUvarint(dst, uint64(h.Levels))
	dst = appendUvarint(dst, uint64(h.base))
	dst = appendUvarint(dst, uint64(h.base)-uint64(h.First))
	return appendUvarint(dst, uint64(h.Last)-uint64(h.base))
}

// openBook reads the head and leaves the reader behind it.
func openBook(b []byte) (h bookHead, r reader, err error) {
	if len(b) < 2 {
		return h, r, corrupt("book block")
	}
	if b[0]&^sealedBit != bookVersion {
		return h, r, fmt.Errorf("decode book block: %w %d", ErrVersion, b[0])
	}
	h.Epoch = b[1]
	r = reader{b: b, i: 2}
	updates, levels := r.uvarint(), r.uvarint()
	h.Updates, h.Levels = uint32(updates), uint32(levels)
	h.base = model.Micros(r.uvarint())
	h.First = int64(h.base) - int64(r.uvarint())
	h.Last = int64(h.base) + int64(r.uvarint())
	if r.bad || updates != uint64(h.Updates) || levels != uint64(h.Levels) {
		return bookHead{}, r, corrupt("book block")
	}
	return h, r, nil
}

// BookHeader reads the head of a book block or segment without decoding the rest.
func BookHeader(b []byte) (Header, error) {
	h, _, err := openBook(b)
	return h.Header, err
}

// BookBlock collects the updates of one market-second. Its value is complete at any time, because an open block is
// rewritten under its key at each commit. It belongs to one goroutine; the zero value is an empty block of epoch 0.
type BookBlock struct {
	head  bookHead
	state bookState
	buf   []byte // headRoom bytes, then the rows: the head is put right in front of the rows when it is asked for
}

// Reset empties the block and gives it the scale epoch of all its mantissas.
func (b *BookBlock) Reset(epoch uint8) {
	b.head = bookHead{Header: Header{Epoch: epoch}}
	b.state = bookState{}
	b.buf = b.buf[:0]
}

// Add appends an update; nothing of it is kept.
func (b *BookBlock) Add(u *model.BookUpdate, t model.Millis, recv model.Micros) {
	if b.head.Updates == 0 {
		b.buf = append(b.buf[:0], make([]byte, headRoom)...)
		b.state = startOf(recv)
	}
	b.head.add(u, recv)
	b.state.append(single(&b.buf), u, t, recv)
}

// Bytes returns the complete value; it is valid until the next Add or Reset.
func (b *BookBlock) Bytes() []byte {
	if len(b.buf) < headRoom {
		b.buf = append(b.buf[:0], make([]byte, headRoom)...)
	}
	var room [headRoom]byte
	head := b.head.append(room[:0], bookVersion)
	start := headRoom - len(head)
	copy(b.buf[start:], head)
	return b.buf[start:]
}

// Updates returns how many updates the block holds.
func (b *BookBlock) Updates() int { return int(b.head.Updates) }

// BookSegment makes a sealed segment: a keyframe and the updates that follow it, compressed. It belongs to one
// goroutine and is reused by beginning again.
type BookSegment struct {
	head  bookHead
	state bookState
	start model.Micros // receive time of the keyframe: what a segment without rows gives as its time
	parts [streamCount][]byte
}

// Begin empties the segment and sets the state of the book before its first row; nothing of k is kept.
func (s *BookSegment) Begin(k *Keyframe) {
	s.head = bookHead{Header: Header{Epoch: k.Epoch}}
	s.start = k.Recv
	for i := range s.parts {
		s.parts[i] = s.parts[i][:0]
	}
	k.write(s.streams())
	s.state = stateAfter(k)
}

// AddRow appends an update, whose mantissas are of the keyframe's epoch; nothing of it is kept.
func (s *BookSegment) AddRow(r *BookRow) {
	s.head.add(&r.Update, r.Recv)
	s.state.append(s.streams(), &r.Update, r.Time, r.Recv)
}

// Levels returns how many changed levels the segment holds.
func (s *BookSegment) Levels() int { return int(s.head.Levels) }

// Updates returns how many updates the segment holds.
func (s *BookSegment) Updates() int { return int(s.head.Updates) }

// Finish appends the segment's value to dst.
func (s *BookSegment) Finish(dst []byte) []byte {
	h := s.head
	if h.Updates == 0 {
		h.base, h.First, h.Last = s.start, int64(s.start), int64(s.start)
	}
	dst = h.append(dst, bookVersion|sealedBit)
	for _, p := range s.parts {
		dst = appendSection(dst, p, true)
	}
	return dst
}

func (s *BookSegment) streams() streams {
	return streams{&s.parts[0], &s.parts[1], &s.parts[2], &s.parts[3], &s.parts[4]}
}

// streams are where the parts of a row go. A block writes them one after the other into one buffer, a segment keeps like
// with like, which compresses better.
type streams struct{ head, delay, time, price, size *[]byte }

const streamCount = 5

func single(b *[]byte) streams { return streams{b, b, b, b, b} }

// bookState is what a row is told against: the row before it.
type bookState struct {
	time   model.Millis
	delay  model.Micros // receive time - venue time: steadier than the receive time alone
	age    model.Micros // venue time - engine time
	seq    uint64
	offset uint64
	first  [2]num.Price // of the last change of each side
}

func startOf(recv model.Micros) bookState {
	return bookState{time: recv.Millis(), delay: recv - recv.Millis().Micros()}
}

func stateAfter(k *Keyframe) bookState {
	s := bookState{time: k.Time, delay: k.Recv - k.Time.Micros(), seq: k.Seq, offset: k.Offset}
	if k.UpdatedAt != 0 {
		s.age = k.Time.Micros() - k.UpdatedAt
	}
	if len(k.Bids) > 0 {
		s.first[model.Bid] = k.Bids[0].Price
	}
	if len(k.Asks) > 0 {
		s.first[model.Ask] = k.Asks[0].Price
	}
	return s
}

// The flags of a row.
const (
	rowSnapshot = 1 << iota
	rowChained
	rowLinked    // Prev is the Seq of the row before
	rowNext      // Seq is Prev + 1
	rowOffset    // Offset is that of the row before + 1
	rowUpdatedAt // UpdatedAt is there
	rowSameTime  // venue time is that of the row before
)

// append writes a row: flags, numbers of bids and asks, delay, venue time, engine time, prev, seq, offset (each
// against the row before, and only where the flags do not tell it), then the levels.
func (s *bookState) append(w streams, u *model.BookUpdate, t model.Millis, recv model.Micros) {
	f := byte(0)
	set := func(bit byte, on bool) {
		if on {
			f |= bit
		}
	}
	set(rowSnapshot, u.Snapshot)
	set(rowChained, u.Chained)
	set(rowLinked, u.Prev == s.seq)
	set(rowNext, u.Seq == u.Prev+1)
	set(rowOffset, u.Offset == s.offset+1)
	set(rowUpdatedAt, u.UpdatedAt != 0)
	set(rowSameTime, t == s.time)
	*w.head = appendCounts(append(*w.head, f), len(u.Bids), len(u.Asks))
	delay := recv - t.Micros()
	*w.delay = appendVarint(*w.delay, int64(delay-s.delay))
	b := *w.time
	if f&rowSameTime == 0 {
		b = appendVarint(b, int64(t-s.time))
	}
	if f&rowUpdatedAt != 0 {
		age := t.Micros() - u.UpdatedAt
		b = appendVarint(b, int64(age-s.age))
		s.age = age
	}
	if f&rowLinked == 0 {
		b = appendVarint(b, int64(u.Prev-s.seq))
	}
	if f&rowNext == 0 {
		b = appendVarint(b, int64(u.Seq-u.Prev))
	}
	if f&rowOffset == 0 {
		b = appendVarint(b, int64(u.Offset-s.offset))
	}
	*w.time = b
	s.time, s.delay, s.seq, s.offset = t, delay, u.Seq, u.Offset
	for side, levels := range [...][]model.Level{u.Bids, u.Asks} {
		appendLevels(w, model.Side(side), s.first[side], levels)
		if len(levels) > 0 {
			s.first[side] = levels[0].Price
		}
	}
}

// appendCounts writes two numbers in one byte where both are below 15.
func appendCounts(dst []byte, bids, asks int) []byte {
	dst = append(dst, byte(min(bids, 15)<<4|min(asks, 15)))
	if bids >= 15 {
		dst = appendUvarint(dst, uint64(bids-15))
	}
	if asks >= 15 {
		dst = appendUvarint(dst, uint64(asks-15))
	}
	return dst
}

func appendLevels(w streams, side model.Side, ref num.Price, levels []model.Level) {
	for _, l := range levels {
		appendLevel(w, side, ref, l)
		ref = l.Price
	}
}

// appendLevel writes the distance outward from ref, with the lowest bit telling that the level is removed, and the size
// of one that is not. Distance and bit have 65 bits together: the first byte carries the bit and six of the distance.
func appendLevel(w streams, side model.Side, ref num.Price, l model.Level) {
	d := int64(l.Price - ref)
	if side == model.Bid {
		d = -d
	}
	z := zigzag(d)
	first := byte(z&0x3f) << 1
	if l.Size == 0 {
		first |= 1
	}
	if z >>= 6; z != 0 {
		*w.price = appendUvarint(append(*w.price, first|0x80), z)
	} else {
		*w.price = append(*w.price, first)
	}
	if l.Size != 0 {
		*w.size = appendUvarint(*w.size, uint64(l.Size))
	}
}
