package record

import (
	"encoding/binary"
	"encoding/hex"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
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
	return dst
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

func (c *tradeCoder) readHashes(r *reader, rows []model.Trade) {
	kinds := r.bytes(uint64(len(rows)))
	count, ms := uint64(0), uint64(c.base)
	var last span
	var buf [16 + venueZeros]byte
	for _, k := range kinds {
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

// The flags of a row in the rest group.
const (
	restTakerSign = 1 << iota
	restMakerSign
	restHasClients
	restTakerBefore // the taker's position before is written
	restMakerBefore
	restTakerKnown
	restMakerKnown
	restMore // one of the rarer members below is not zero
)

const (
	moreClients = 1 << iota
	moreFees
	moreTime
	moreExtra
)

// appendRest writes the group of the rest, row by row: these members are seldom read, and most rows lack most of them.
func (c *tradeCoder) appendRest(dst []byte, rows []model.Trade) []byte {
	prev := c.origin()
	prev.TransactionTime = c.base.Micros()
	for i := range rows {
		t := &rows[i]
		f, m := restFlags(t, &prev)
		dst = append(dst, f)
		if f&restMore != 0 {
			dst = append(dst, m)
		}
		if m&moreTime != 0 {
			dst = appendVarint(dst, int64(t.TransactionTime-prev.TransactionTime))
			prev.TransactionTime = t.TransactionTime
		}
		if m&moreClients != 0 {
			dst = appendVarint(dst, int64(t.AskClient-prev.AskClient))
			dst = appendVarint(dst, int64(t.BidClient-prev.BidClient))
			prev.AskClient, prev.BidClient = t.AskClient, t.BidClient
		}
		if m&moreFees != 0 {
			dst = appendVarint(dst, int64(t.TakerFee))
			dst = appendVarint(dst, int64(t.MakerFee))
			prev.TakerFee, prev.MakerFee = t.TakerFee, t.MakerFee
		}
		if f&restTakerBefore != 0 {
			dst = appendBefore(dst, &t.TakerBefore)
		}
		if f&restMakerBefore != 0 {
			dst = appendBefore(dst, &t.MakerBefore)
		}
		if m&moreExtra != 0 {
			dst = appendString(dst, t.Extra)
		}
	}
	return dst
}

// restFlags tells which members of a row are written, given those of the rows before.
func restFlags(t, prev *model.Trade) (f, m byte) {
	set := func(dst *byte, bit byte, on bool) {
		if on {
			*dst |= bit
		}
	}
	var none model.PositionBefore
	none.Known = t.TakerBefore.Known
	set(&f, restTakerBefore, t.TakerBefore != none)
	none.Known = t.MakerBefore.Known
	set(&f, restMakerBefore, t.MakerBefore != none)
	set(&f, restTakerKnown, t.TakerBefore.Known)
	set(&f, restMakerKnown, t.MakerBefore.Known)
	set(&f, restTakerSign, t.TakerSignChanged)
	set(&f, restMakerSign, t.MakerSignChanged)
	set(&f, restHasClients, t.HasClients)
	set(&m, moreTime, t.TransactionTime != 0)
	set(&m, moreClients, t.AskClient != 0 || t.BidClient != 0)
	set(&m, moreFees, t.TakerFee != prev.TakerFee || t.MakerFee != prev.MakerFee)
	set(&m, moreExtra, t.Extra != "")
	set(&f, restMore, m != 0)
	return f, m
}

func appendBefore(dst []byte, p *model.PositionBefore) []byte {
	dst = appendVarint(dst, int64(p.Size))
	dst = appendVarint(dst, int64(p.EntryQuote))
	return appendVarint(dst, int64(p.InitialMargin))
}

func readBefore(r *reader, p *model.PositionBefore) {
	p.Size = num.Size(r.varint())
	p.EntryQuote = num.USD(r.varint())
	p.InitialMargin = int32(r.varint())
}

func (c *tradeCoder) readRest(r *reader, rows []model.Trade) {
	prev := c.origin()
	prev.TransactionTime = c.base.Micros()
	for i := range rows {
		t := &rows[i]
		f, m := r.byte(), byte(0)
		if f&restMore != 0 {
			m = r.byte()
		}
		t.TakerSignChanged, t.MakerSignChanged = f&restTakerSign != 0, f&restMakerSign != 0
		t.TakerBefore.Known, t.MakerBefore.Known = f&restTakerKnown != 0, f&restMakerKnown != 0
		t.HasClients = f&restHasClients != 0
		if m&moreTime != 0 {
			prev.TransactionTime += model.Micros(r.varint())
			t.TransactionTime = prev.TransactionTime
		}
		if m&moreClients != 0 {
			prev.AskClient += uint64(r.varint())
			prev.BidClient += uint64(r.varint())
			t.AskClient, t.BidClient = prev.AskClient, prev.BidClient
		}
		if m&moreFees != 0 {
			prev.TakerFee, prev.MakerFee = int32(r.varint()), int32(r.varint())
		}
		t.TakerFee, t.MakerFee = prev.TakerFee, prev.MakerFee
		if f&restTakerBefore != 0 {
			readBefore(r, &t.TakerBefore)
		}
		if f&restMakerBefore != 0 {
			readBefore(r, &t.MakerBefore)
		}
		lo := len(c.text)
		if m&moreExtra != 0 {
			c.text = append(c.text, r.bytes(r.uvarint())...)
		}
		c.extras = append(c.extras, span{lo, len(c.text)})
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
