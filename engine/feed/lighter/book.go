package lighter

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// chain is what a book's body says about its place in the sequence.
type chain struct {
	nonce, begin, offset uint64
	updated              int64
	chained              bool // the body carries nonces
}

// settleBook finishes a book frame.
func (d *Decoder) settleBook() {
	if !d.at(bodyBook) {
		d.s.fail(ErrValue, "order_book")
		return
	}
	if d.bodyChannel.Native < 0 {
		d.s.fail(ErrValue, "channel")
		return
	}
	if d.market == nil { // only to count digits
		d.unknown = true
		d.readBook()
	}
	if d.widen() {
		d.at(bodyBook)
		d.readBook()
	}
	c, u := &d.chain, &d.book
	u.Snapshot = d.typ == typeFirst
	u.Offset = c.offset
	if c.offset == 0 {
		u.Offset = d.offset
	}
	u.UpdatedAt = model.Micros(c.updated)
	if c.updated == 0 {
		u.UpdatedAt = model.Micros(d.updated)
	}
	// Books of 2025 carry no nonces; their offset rises by exactly 1.
	if u.Chained = c.chained; u.Chained {
		u.Seq, u.Prev = c.nonce, c.begin
	} else {
		u.Seq, u.Prev = u.Offset, u.Offset-1
	}
	if u.Snapshot || u.Seq == 0 {
		u.Prev = 0
	}
}

// readBook reads the body at the cursor.
func (d *Decoder) readBook() {
	s, c := &d.s, &d.chain
	*c = chain{}
	d.book.Bids, d.book.Asks = d.book.Bids[:0], d.book.Asks[:0]
	d.needPrice, d.needSize = 0, 0
	if !s.begin('{') {
		if !s.null() {
			s.fail(ErrValue, "order_book")
		}
		return
	}
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			return
		}
		switch string(name) {
		case "asks":
			d.book.Asks = d.levels(d.book.Asks[:0])
		case "bids":
			d.book.Bids = d.levels(d.book.Bids[:0])
		case "nonce":
			c.nonce = d.link("nonce")
		case "begin_nonce":
			c.begin = d.link("begin_nonce")
		case "offset":
			c.offset = d.unsigned("offset")
		case "last_updated_at":
			c.updated = d.integer("last_updated_at")
		default:
			s.skip(2)
		}
		if s.err != nil {
			return
		}
	}
}

// link reads a nonce; its presence, not its value, makes the book chained: a market that never traded has nonce 0.
func (d *Decoder) link(what string) uint64 {
	t := d.s.text(what)
	v, ok := unsigned(t)
	if !ok {
		d.s.fail(ErrValue, what)
	}
	d.chain.chained = d.chain.chained || len(t) > 0
	return v
}

// levels reads a list of levels; null is an empty one.
func (d *Decoder) levels(dst []model.Level) []model.Level {
	s := &d.s
	if !s.begin('[') {
		if !s.null() {
			s.fail(ErrValue, "asks or bids")
		}
		return dst
	}
	price, size := d.scales()
	for first := true; s.element(first); first = false {
		l, n := recordedLevel(s.data[s.pos:], price, size)
		if n > 0 && !d.unknown {
			s.pos += n
		} else if l = d.level(price, size); s.err != nil {
			return dst
		}
		dst = append(dst, l)
	}
	return dst
}

// level reads a level in any spelling.
func (d *Decoder) level(price, size uint8) (l model.Level) {
	s := &d.s
	if !s.begin('{') {
		s.fail(ErrValue, "level")
		return l
	}
	priced := false
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			break
		}
		switch string(name) {
		case "price":
			if t := s.text("price"); len(t) > 0 {
				l.Price = num.Price(d.mantissa(t, price, &d.needPrice, "price"))
				priced = true
			}
		case "size":
			if t := s.text("size"); len(t) > 0 {
				l.Size = num.Size(d.mantissa(t, size, &d.needSize, "size"))
			}
		default:
			s.skip(4)
		}
		if s.err != nil {
			return l
		}
	}
	if !priced || l.Price < 0 || l.Size < 0 {
		s.fail(ErrValue, "level")
	}
	return l
}

const (
	levelHead = `{"price":"`
	levelMid  = `","size":"`
	levelTail = `"}`
)

// recordedLevel reads a level in the one spelling that the venue uses and returns its length, 0 where it is spelled in
// another way, which level then reads.
func recordedLevel(b []byte, price, size uint8) (model.Level, int) {
	if len(b) < len(levelHead)+1 || string(b[:len(levelHead)]) != levelHead {
		return model.Level{}, 0
	}
	p, i := plain(b, len(levelHead), price)
	if i == 0 || len(b) < i+len(levelMid) || string(b[i:i+len(levelMid)]) != levelMid {
		return model.Level{}, 0
	}
	q, i := plain(b, i+len(levelMid), size)
	if i == 0 || len(b) < i+len(levelTail) || string(b[i:i+len(levelTail)]) != levelTail {
		return model.Level{}, 0
	}
	return model.Level{Price: num.Price(p), Size: num.Size(q)}, i + len(levelTail)
}

// plain reads an unsigned decimal that surely fits and returns the end of it, 0 where it does not or may not.
func plain(b []byte, i int, scale uint8) (int64, int) {
	from, m := i, uint64(0)
	for i < len(b) && b[i]-'0' <= 9 {
		m = m*10 + uint64(b[i]-'0')
		i++
	}
	whole := i - from
	if whole == 0 || whole+int(scale) > num.MaxScale {
		return 0, 0
	}
	rest := scale
	if i < len(b) && b[i] == '.' {
		i++
		from = i
		for i < len(b) && b[i]-'0' <= 9 {
			m = m*10 + uint64(b[i]-'0')
			i++
		}
		n := i - from
		if n == 0 || n > int(scale) {
			return 0, 0
		}
		rest -= uint8(n)
	}
	if rest > 0 {
		m *= uint64(num.Pow10(rest))
	}
	return int64(m), i
}
