package record

import (
	"encoding/binary"
	"math"
	"math/bits"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// sources are where the parts of a row come from: one reader for a block, one for each stream of a segment.
type sources struct {
	readers                        [streamCount]reader
	head, delay, time, price, size *reader
}

func (s *sources) open(b []byte) {
	s.readers[0] = reader{b: b}
	r := &s.readers[0]
	s.head, s.delay, s.time, s.price, s.size = r, r, r, r, r
}

// end reports a fault, or bytes left over.
func (s *sources) end(what string) error {
	for _, r := range [...]*reader{s.head, s.delay, s.time, s.price, s.size} {
		if err := r.end(what); err != nil {
			return err
		}
	}
	return nil
}

func (s *sources) bad() bool {
	return s.head.bad || s.delay.bad || s.time.bad || s.price.bad || s.size.bad
}

// BookCursor goes through the rows of a book block, or of a sealed segment after its keyframe. The zero value is ready
// for Open; a cursor that is opened again reuses its memory and then allocates nothing. It belongs to one goroutine and
// must not be copied.
type BookCursor struct {
	head  bookHead
	src   sources
	state bookState
	row   BookRow
	left  uint32
	err   error

	key    Keyframe
	sealed bool
	bufs   [streamCount][]byte // unpacked streams
}

// Open starts before the first row. b must stay unchanged while the cursor is used.
func (c *BookCursor) Open(b []byte) error {
	c.left, c.err, c.sealed = 0, nil, false
	h, r, err := openBook(b)
	if err != nil {
		c.err = err
		return err
	}
	c.head = h
	c.row.Epoch = h.Epoch
	if b[0]&sealedBit == 0 {
		c.src.open(b[r.i:])
		c.state = startOf(h.base)
		c.left = h.Updates
		return nil
	}
	if c.err = c.openSegment(&r); c.err != nil {
		return c.err
	}
	c.sealed = true
	c.left = h.Updates
	return nil
}

func (c *BookCursor) openSegment(r *reader) error {
	for i := range c.src.readers {
		raw, buf, err := r.section().unpack(c.bufs[i], "book segment")
		c.bufs[i] = buf
		if err != nil {
			return err
		}
		c.src.readers[i] = reader{b: raw}
	}
	if err := r.end("book segment"); err != nil {
		return err
	}
	s := &c.src
	q := &s.readers
	s.head, s.delay, s.time, s.price, s.size = &q[0], &q[1], &q[2], &q[3], &q[4]
	c.key.Epoch = c.head.Epoch
	c.key.read(s)
	if s.bad() {
		return corrupt("book segment")
	}
	c.state = stateAfter(&c.key)
	return nil
}

// Header returns the head of the opened value.
func (c *BookCursor) Header() Header { return c.head.Header }

// Keyframe returns the state before the first row of a sealed segment, nil for a block; it is valid until the next Open.
func (c *BookCursor) Keyframe() *Keyframe {
	if !c.sealed {
		return nil
	}
	return &c.key
}

// Row returns the current row; it and its slices are reused by Next.
func (c *BookCursor) Row() *BookRow { return &c.row }

// Err returns what ended the rows early, nil at the regular end.
func (c *BookCursor) Err() error { return c.err }

// Next moves to the next row; false at the end and at damage, which Err tells apart.
func (c *BookCursor) Next() bool {
	if c.left == 0 {
		if c.err == nil && c.src.head != nil {
			c.err = c.src.end("book block")
		}
		return false
	}
	c.left--
	s, r, u := &c.state, &c.src, &c.row.Update
	f := r.head.byte()
	counts := uint64(r.head.byte())
	bids, asks := counts>>4, counts&15
	if bids == 15 {
		bids += r.head.uvarint()
	}
	if asks == 15 {
		asks += r.head.uvarint()
	}
	s.delay += model.Micros(r.delay.varint())
	if f&rowSameTime == 0 {
		s.time += model.Millis(r.time.varint())
	}
	u.UpdatedAt = 0
	if f&rowUpdatedAt != 0 {
		s.age += model.Micros(r.time.varint())
		u.UpdatedAt = s.time.Micros() - s.age
	}
	u.Prev = s.seq
	if f&rowLinked == 0 {
		u.Prev += uint64(r.time.varint())
	}
	u.Seq = u.Prev + 1
	if f&rowNext == 0 {
		u.Seq = u.Prev + uint64(r.time.varint())
	}
	u.Offset = s.offset + 1
	if f&rowOffset == 0 {
		u.Offset = s.offset + uint64(r.time.varint())
	}
	s.seq, s.offset = u.Seq, u.Offset
	u.Snapshot, u.Chained = f&rowSnapshot != 0, f&rowChained != 0
	c.row.Time, c.row.Recv = s.time, s.time.Micros()+s.delay
	u.Bids = readLevels(r, model.Bid, s.first[model.Bid], bids, u.Bids[:0])
	u.Asks = readLevels(r, model.Ask, s.first[model.Ask], asks, u.Asks[:0])
	if len(u.Bids) > 0 {
		s.first[model.Bid] = u.Bids[0].Price
	}
	if len(u.Asks) > 0 {
		s.first[model.Ask] = u.Asks[0].Price
	}
	if r.bad() {
		c.left, c.err = 0, corrupt("book block")
		return false
	}
	return true
}

// readLevels appends n levels to dst. Each takes a byte at least, so that n cannot make it allocate more than sixteen
// times the bytes there are.
func readLevels(s *sources, side model.Side, ref num.Price, n uint64, dst []model.Level) []model.Level {
	if n == 0 {
		return dst
	}
	if n > uint64(s.price.left()) {
		s.price.fail()
		return dst
	}
	if uint64(cap(dst)) < n {
		dst = make([]model.Level, 0, n)
	}
	if s.price != s.size {
		return readStreams(s.price, s.size, side, ref, n, dst)
	}
	for range n {
		first := s.price.byte()
		z := uint64(first>>1) & 0x3f
		if first >= 0x80 {
			z |= s.price.uvarint() << 6
		}
		d := unzigzag(z)
		if side == model.Bid {
			d = -d
		}
		ref += num.Price(d)
		l := model.Level{Price: ref}
		if first&1 == 0 {
			l.Size = num.Size(s.size.uvarint())
		}
		dst = append(dst, l)
	}
	return dst
}

// readStreams is readLevels for a segment, whose prices and sizes are two streams. It is where most of the time of a replay
// goes, so that it keeps both places in registers and takes a size of up to four bytes apart without a branch.
func readStreams(price, size *reader, side model.Side, ref num.Price, n uint64, dst []model.Level) []model.Level {
	prices, sizes := price.b, size.b
	p, z := price.i, size.i
	for range n {
		var first byte
		var d uint64
		switch {
		case len(prices)-p >= 2:
			// A second byte is there or not at random: it is masked, not branched on.
			first = prices[p]
			more := first >> 7
			second := prices[p+1]
			d = uint64(first>>1)&0x3f | uint64(second&-more)<<6
			p += 1 + int(more)
			if second&-more >= 0x80 {
				price.i = p - 1
				d = uint64(first>>1)&0x3f | price.uvarint()<<6
				p = price.i
			}
		case p < len(prices):
			first = prices[p]
			p++
			d = uint64(first>>1) & 0x3f
			if first >= 0x80 {
				price.fail()
				return dst
			}
		default:
			price.fail()
			return dst
		}
		if side == model.Bid {
			ref -= num.Price(unzigzag(d))
		} else {
			ref += num.Price(unzigzag(d))
		}
		l := model.Level{Price: ref}
		if first&1 == 0 {
			var four uint32
			if len(sizes)-z >= 4 {
				four = binary.LittleEndian.Uint32(sizes[z:])
			} else {
				four = math.MaxUint32
			}
			if last := ^four & 0x80808080; last != 0 {
				z += bits.TrailingZeros32(last)/8 + 1
				four &= last ^ (last - 1)
				l.Size = num.Size(four&0x7f | four>>1&0x3f80 | four>>2&0x1fc000 | four>>3&0xfe00000)
			} else {
				size.i = z
				l.Size = num.Size(size.uvarint())
				z = size.i
			}
		}
		dst = append(dst, l)
	}
	price.i, size.i = p, z
	return dst
}
