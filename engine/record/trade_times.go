package record

import "hyperlight/engine/model"

// DecodeTimes appends the times of a trade block or segment to dst and returns it; after an error dst comes back as it was
// given. It unpacks two columns of twelve: what counts trades at the edge of a range needs no more.
func DecodeTimes(dst []model.Millis, b []byte) ([]model.Millis, error) {
	c := tradeCoders.Get().(*tradeCoder)
	defer tradeCoders.Put(c)
	h, err := c.open(b)
	if err != nil || h.Trades == 0 {
		return dst, err
	}
	c.part, c.column, c.begun = &c.parts[0], c.parts[0].r, false
	r := c.nextColumn()
	c.flags = c.flags[:0]
	for range h.Trades {
		f := r.byte()
		c.flags = append(c.flags, f)
		if f&coreKind == kindEscape {
			r.byte()
		}
	}
	c.skipIDs()
	r = c.nextColumn()
	out, at := dst, model.Millis(c.base)
	for _, f := range c.flags {
		if f&coreSameTime == 0 {
			at += model.Millis(r.varint())
			r.varint() // the block
		}
		out = append(out, at)
	}
	if c.column.bad || c.part.sealed && (c.column.left() != 0 || c.part.r.bad) {
		return dst, corrupt("trades")
	}
	return out, nil
}

// skipIDs passes the column of ids: in a segment it stays packed, in a block it has to be read.
func (c *tradeCoder) skipIDs() {
	if c.part.sealed {
		done := c.column
		c.part.r.section()
		c.column = reader{bad: done.bad || done.left() != 0}
		return
	}
	for range c.flags {
		c.column.varint()
	}
}
