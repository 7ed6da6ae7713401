package record

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

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

// appendRest writes the group of the rest: flags, the further flags of the rows that have some, then the members that
// these tell of.
func (c *tradeCoder) appendRest(dst []byte, rows []model.Trade) []byte {
	prev := model.Trade{TransactionTime: c.base.Micros()}
	c.flags, c.more = c.flags[:0], c.more[:0]
	for i := range rows {
		f, m := restFlags(&rows[i], &prev)
		c.flags, c.more = append(c.flags, f), append(c.more, m)
		prev.TakerFee, prev.MakerFee = rows[i].TakerFee, rows[i].MakerFee
	}
	dst = c.endColumn(append(dst, c.flags...))
	for i, f := range c.flags {
		if f&restMore != 0 {
			dst = append(dst, c.more[i])
		}
	}
	dst = c.endColumn(dst)
	for i, m := range c.more {
		if t := &rows[i]; m&moreTime != 0 {
			dst = appendVarint(dst, int64(t.TransactionTime-prev.TransactionTime))
			prev.TransactionTime = t.TransactionTime
		}
	}
	dst = c.endColumn(dst)
	for i, m := range c.more {
		if t := &rows[i]; m&moreClients != 0 {
			dst = appendVarint(dst, int64(t.AskClient-prev.AskClient))
			dst = appendVarint(dst, int64(t.BidClient-prev.BidClient))
			prev.AskClient, prev.BidClient = t.AskClient, t.BidClient
		}
	}
	dst = c.endColumn(dst)
	for i, m := range c.more {
		if t := &rows[i]; m&moreFees != 0 {
			dst = appendVarint(dst, int64(t.TakerFee))
			dst = appendVarint(dst, int64(t.MakerFee))
		}
	}
	dst = c.endColumn(dst)
	dst = c.appendBefore(dst, rows, func(p *model.PositionBefore) int64 { return int64(p.Size) })
	dst = c.appendBefore(dst, rows, func(p *model.PositionBefore) int64 { return int64(p.EntryQuote) })
	dst = c.appendBefore(dst, rows, func(p *model.PositionBefore) int64 { return int64(p.InitialMargin) })
	for i, m := range c.more {
		if m&moreExtra != 0 {
			dst = appendString(dst, rows[i].Extra)
		}
	}
	return c.endColumn(dst)
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

// appendBefore writes one member of the positions before.
func (c *tradeCoder) appendBefore(dst []byte, rows []model.Trade, member func(*model.PositionBefore) int64) []byte {
	for i, f := range c.flags {
		if f&restTakerBefore != 0 {
			dst = appendVarint(dst, member(&rows[i].TakerBefore))
		}
		if f&restMakerBefore != 0 {
			dst = appendVarint(dst, member(&rows[i].MakerBefore))
		}
	}
	return c.endColumn(dst)
}

func (c *tradeCoder) readBefore(rows []model.Trade, set func(*model.PositionBefore, int64)) {
	r := c.nextColumn()
	for i, f := range c.flags {
		if f&restTakerBefore != 0 {
			set(&rows[i].TakerBefore, r.varint())
		}
		if f&restMakerBefore != 0 {
			set(&rows[i].MakerBefore, r.varint())
		}
	}
}

func (c *tradeCoder) readRestFlags(rows []model.Trade) {
	r := c.nextColumn()
	c.flags, c.more = c.flags[:0], c.more[:0]
	for i := range rows {
		f, t := r.byte(), &rows[i]
		c.flags = append(c.flags, f)
		t.TakerSignChanged, t.MakerSignChanged = f&restTakerSign != 0, f&restMakerSign != 0
		t.TakerBefore.Known, t.MakerBefore.Known = f&restTakerKnown != 0, f&restMakerKnown != 0
		t.HasClients = f&restHasClients != 0
	}
	r = c.nextColumn()
	for _, f := range c.flags {
		m := byte(0)
		if f&restMore != 0 {
			m = r.byte()
		}
		c.more = append(c.more, m)
	}
}

func (c *tradeCoder) readRest(rows []model.Trade) {
	prev := model.Trade{TransactionTime: c.base.Micros()}
	c.readRestFlags(rows)
	r := c.nextColumn()
	for i, m := range c.more {
		if m&moreTime != 0 {
			prev.TransactionTime += model.Micros(r.varint())
			rows[i].TransactionTime = prev.TransactionTime
		}
	}
	r = c.nextColumn()
	for i, m := range c.more {
		if m&moreClients != 0 {
			prev.AskClient += uint64(r.varint())
			prev.BidClient += uint64(r.varint())
			rows[i].AskClient, rows[i].BidClient = prev.AskClient, prev.BidClient
		}
	}
	r = c.nextColumn()
	for i, m := range c.more {
		if m&moreFees != 0 {
			prev.TakerFee, prev.MakerFee = int32(r.varint()), int32(r.varint())
		}
		rows[i].TakerFee, rows[i].MakerFee = prev.TakerFee, prev.MakerFee
	}
	c.readBefore(rows, func(p *model.PositionBefore, v int64) { p.Size = num.Size(v) })
	c.readBefore(rows, func(p *model.PositionBefore, v int64) { p.EntryQuote = num.USD(v) })
	c.readBefore(rows, func(p *model.PositionBefore, v int64) { p.InitialMargin = int32(v) })
	r = c.nextColumn()
	for _, m := range c.more {
		lo := len(c.text)
		if m&moreExtra != 0 {
			c.text = append(c.text, r.bytes(r.uvarint())...)
		}
		c.extras = append(c.extras, span{lo, len(c.text)})
	}
}
