package record

import (
	"encoding/binary"
	"encoding/hex"

	"hyperlight/engine/model"
)

// span is a piece of a coder's text.
type span struct{ lo, hi int }

// The kinds of transaction hash.
const (
	hashNone   = iota
	hashSame   // that of the row before
	hashVenue  // the venue's own transactions: a count and a time in ms of 8 bytes each, then 24 zero bytes
	hashHex    // any lower-case hex: length in bytes, number of zero bytes at the end that are not written, bytes
	hashText   // anything else
	venueZeros = 24
	maxZeros   = 64
)

// appendHashes writes the group of the hashes: the kinds, then what each kind needs.
func (c *tradeCoder) appendHashes(dst []byte, rows []model.Trade) []byte {
	last := ""
	for i := range rows {
		h := rows[i].TxHash
		dst = append(dst, hashKind(h, last))
		last = h
	}
	dst = c.endColumn(dst)
	count, ms := uint64(0), uint64(c.base)
	last = ""
	var buf []byte
	for i := range rows {
		h := rows[i].TxHash
		switch hashKind(h, last) {
		case hashVenue:
			buf, _ = hex.AppendDecode(buf[:0], []byte(h[:32]))
			n, t := binary.BigEndian.Uint64(buf), binary.BigEndian.Uint64(buf[8:])
			dst = appendVarint(dst, int64(n-count))
			dst = appendVarint(dst, int64(t-ms))
			count, ms = n, t
		case hashHex:
			buf, _ = hex.AppendDecode(buf[:0], []byte(h))
			zeros := 0
			for zeros < len(buf) && zeros < maxZeros && buf[len(buf)-1-zeros] == 0 {
				zeros++
			}
			dst = append(appendUvarint(dst, uint64(len(buf)-zeros)), byte(zeros))
			dst = append(dst, buf[:len(buf)-zeros]...)
		case hashText:
			dst = appendString(dst, h)
		}
		last = h
	}
	return c.endColumn(dst)
}

func hashKind(h, last string) byte {
	switch {
	case h == "":
		return hashNone
	case h == last:
		return hashSame
	case len(h)%2 != 0 || !isLowerHex(h):
		return hashText
	case len(h) == 2*(16+venueZeros) && isZeros(h[32:]):
		return hashVenue
	}
	return hashHex
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isZeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

func (c *tradeCoder) readHashes(rows []model.Trade) {
	c.flags = append(c.flags[:0], c.nextColumn().bytes(uint64(len(rows)))...)
	r := c.nextColumn()
	count, ms := uint64(0), uint64(c.base)
	var last span
	var buf [16 + venueZeros]byte
	for _, k := range c.flags {
		lo := len(c.text)
		switch k {
		case hashNone:
			last = span{lo, lo}
		case hashSame:
		case hashVenue:
			count += uint64(r.varint())
			ms += uint64(r.varint())
			binary.BigEndian.PutUint64(buf[:], count)
			binary.BigEndian.PutUint64(buf[8:], ms)
			c.text = hex.AppendEncode(c.text, buf[:])
			last = span{lo, len(c.text)}
		case hashHex:
			n, zeros := r.uvarint(), r.byte()
			c.text = hex.AppendEncode(c.text, r.bytes(n))
			for range min(zeros, maxZeros) {
				c.text = append(c.text, "00"...)
			}
			last = span{lo, len(c.text)}
		case hashText:
			c.text = append(c.text, r.bytes(r.uvarint())...)
			last = span{lo, len(c.text)}
		default:
			r.fail()
		}
		c.hashes = append(c.hashes, last)
	}
}

// setTexts makes one string of all texts and gives each row its part.
func (c *tradeCoder) setTexts(rows []model.Trade) {
	if len(c.text) == 0 {
		return
	}
	text := string(c.text)
	for i, s := range c.hashes {
		rows[i].TxHash = text[s.lo:s.hi]
	}
	for i, s := range c.extras {
		rows[i].Extra = text[s.lo:s.hi]
	}
}
