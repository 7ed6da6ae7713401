package record

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// PriceRow is the part of a trade that sums, averages and candles are made of.
type PriceRow struct {
	ID       uint64
	Time     model.Millis
	Price    num.Price
	Size     num.Size
	USD      num.USD
	Epoch    uint8
	TakerBuy bool
}

// DecodePrices appends the rows of a trade block or segment to dst and returns it; after an error dst comes back as it was
// given. The columns that a row has no member for are not unpacked, which makes it several times as fast as DecodeTrades.
// It allocates nothing where there is room in dst.
func DecodePrices(dst []PriceRow, b []byte) ([]PriceRow, error) {
	c := tradeCoders.Get().(*tradeCoder)
	defer tradeCoders.Put(c)
	h, err := c.open(b)
	if err != nil || h.Trades == 0 {
		return dst, err
	}
	start := len(dst)
	out := dst
	if n := start + int(h.Trades); n > cap(out) {
		out = make([]PriceRow, start, max(n, 2*cap(dst)))
		copy(out, dst)
	}
	out = out[:start+int(h.Trades)]
	c.part, c.column, c.begun = &c.parts[0], c.parts[0].r, false
	c.readPrices(out[start:], h.Epoch)
	if c.column.bad || c.part.sealed && (c.column.left() != 0 || c.part.r.bad) {
		return dst, corrupt("trades")
	}
	return out, nil
}

// readPrices fills every member of the rows; the columns are those of appendCore, up to the values.
func (c *tradeCoder) readPrices(rows []PriceRow, epoch uint8) {
	r := c.nextColumn()
	c.flags = c.flags[:0]
	for range rows {
		f := r.byte()
		c.flags = append(c.flags, f)
		if f&coreKind == kindEscape {
			r.byte()
		}
	}
	prev := c.origin()
	r = c.nextColumn()
	for i := range rows {
		prev.ID += uint64(r.varint())
		rows[i].ID, rows[i].Epoch, rows[i].TakerBuy = prev.ID, epoch, c.flags[i]&coreMakerAsk != 0
	}
	r = c.nextColumn()
	for i, f := range c.flags {
		if f&coreSameTime == 0 {
			prev.Time += model.Millis(r.varint())
			r.varint() // the block
		}
		rows[i].Time = prev.Time
	}
	c.skipReceived()
	r = c.nextColumn()
	for i := range rows {
		prev.Price += num.Price(r.varint())
		rows[i].Price = prev.Price
	}
	r = c.nextColumn()
	for i := range rows {
		rows[i].Size = num.Size(r.uvarint())
	}
	r = c.nextColumn()
	exp := int(r.varint())
	if exp < -maxExponent || exp > maxExponent {
		r.fail()
		exp = 0
	}
	for i, f := range c.flags {
		t := &rows[i]
		t.USD = num.USD(value(t.Price, t.Size, exp))
		if f&coreValue == 0 {
			t.USD += num.USD(r.varint())
		}
	}
}

// skipReceived passes the column of receive times: in a segment it stays packed, in a block it has to be read.
func (c *tradeCoder) skipReceived() {
	if c.part.sealed {
		done := c.column
		c.part.r.section()
		c.column = reader{bad: done.bad || done.left() != 0}
		return
	}
	for _, f := range c.flags {
		if f&(coreNoRecv|coreSameRecv) == 0 {
			c.column.varint()
		}
	}
}
