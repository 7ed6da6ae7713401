package record

import (
	"slices"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// The flags of a row in the core group.
const (
	coreKind     = 7      // the kind, or kindEscape followed by it
	coreMakerAsk = 1 << 3 // the maker was the ask
	coreNoRecv   = 1 << 4 // no receive time
	coreSameRecv = 1 << 5 // that of the row before
	coreSameTime = 1 << 6 // time and block are those of the row before
	coreValue    = 1 << 7 // the value is price x size exactly

	kindEscape = 7
)

// appendCore writes the core group: flags, id, time and block, receive time, price, size, value (after the exponent that
// makes it), takers' orders, makers' orders, the accounts, who of them traded. Numbers are differences from the row
// before.
func (c *tradeCoder) appendCore(dst []byte, rows []model.Trade) []byte {
	exp := valueExponent(rows)
	prev := c.origin()
	for i := range rows {
		t := &rows[i]
		f := byte(min(t.Kind, kindEscape))
		if t.MakerAsk {
			f |= coreMakerAsk
		}
		switch {
		case t.Recv == 0:
			f |= coreNoRecv
		case t.Recv == prev.Recv:
			f |= coreSameRecv
		}
		if t.Time == prev.Time && t.Block == prev.Block {
			f |= coreSameTime
		}
		if int64(t.USD) == value(t.Price, t.Size, exp) {
			f |= coreValue
		}
		dst = append(dst, f)
		if t.Kind >= kindEscape {
			dst = append(dst, byte(t.Kind))
		}
		recv := prev.Recv
		prev = *t
		if t.Recv == 0 {
			prev.Recv = recv
		}
	}
	dst = c.endColumn(dst)
	prev = c.origin()
	for i := range rows {
		dst = appendVarint(dst, int64(rows[i].ID-prev.ID))
		prev.ID = rows[i].ID
	}
	dst = c.endColumn(dst)
	for i := range rows {
		if t := &rows[i]; t.Time != prev.Time || t.Block != prev.Block {
			dst = appendVarint(dst, int64(t.Time-prev.Time))
			dst = appendVarint(dst, int64(t.Block-prev.Block))
			prev.Time, prev.Block = t.Time, t.Block
		}
	}
	dst = c.endColumn(dst)
	delay := model.Micros(0)
	for i := range rows {
		if t := &rows[i]; t.Recv != 0 && t.Recv != prev.Recv {
			dst = appendVarint(dst, int64(t.Recv-t.Time.Micros()-delay))
			prev.Recv, delay = t.Recv, t.Recv-t.Time.Micros()
		}
	}
	dst = c.endColumn(dst)
	for i := range rows {
		dst = appendVarint(dst, int64(rows[i].Price-prev.Price))
		prev.Price = rows[i].Price
	}
	dst = c.endColumn(dst)
	for i := range rows {
		dst = appendUvarint(dst, uint64(rows[i].Size))
	}
	dst = c.endColumn(dst)
	dst = appendVarint(dst, int64(exp))
	for i := range rows {
		if t := &rows[i]; int64(t.USD) != value(t.Price, t.Size, exp) {
			dst = appendVarint(dst, int64(t.USD)-value(t.Price, t.Size, exp))
		}
	}
	dst = c.endColumn(dst)
	dst = c.appendOrders(dst, rows)
	return c.appendAccounts(dst, rows)
}

// origin is the row that the first one is told against.
func (c *tradeCoder) origin() model.Trade {
	return model.Trade{Time: c.base, Recv: c.base.Micros()}
}

func (c *tradeCoder) readCore(rows []model.Trade) {
	flags := c.readFlags(rows)
	prev := c.origin()
	for i, u := range c.readNumbers(len(rows)) {
		prev.ID += uint64(unzigzag(u))
		rows[i].ID = prev.ID
	}
	r := c.nextColumn()
	for i, f := range flags {
		if f&coreSameTime == 0 {
			prev.Time += model.Millis(r.varint())
			prev.Block += uint64(r.varint())
		}
		rows[i].Time, rows[i].Block = prev.Time, prev.Block
	}
	r = c.nextColumn()
	delay := model.Micros(0)
	for i, f := range flags {
		if f&coreNoRecv != 0 {
			continue
		}
		if f&coreSameRecv == 0 {
			delay += model.Micros(r.varint())
			prev.Recv = rows[i].Time.Micros() + delay
		}
		rows[i].Recv = prev.Recv
	}
	for i, u := range c.readNumbers(len(rows)) {
		prev.Price += num.Price(unzigzag(u))
		rows[i].Price = prev.Price
	}
	for i, u := range c.readNumbers(len(rows)) {
		rows[i].Size = num.Size(u)
	}
	c.readValues(rows, flags)
	c.readOrders(rows)
	c.readAccounts(rows)
}

// readNumbers reads the next column where it has a number for every row. They are valid until the next call.
func (c *tradeCoder) readNumbers(n int) []uint64 {
	c.numbers = slices.Grow(c.numbers[:0], n)[:n]
	c.nextColumn().uvarints(c.numbers)
	return c.numbers
}

// readFlags keeps the flags aside, because several columns need them.
func (c *tradeCoder) readFlags(rows []model.Trade) []byte {
	r := c.nextColumn()
	c.flags = c.flags[:0]
	for i := range rows {
		f := r.byte()
		c.flags = append(c.flags, f)
		t := &rows[i]
		t.MakerAsk = f&coreMakerAsk != 0
		if t.Kind = model.TradeKind(f & coreKind); t.Kind == kindEscape {
			t.Kind = model.TradeKind(r.byte())
		}
	}
	return c.flags
}

func (c *tradeCoder) readValues(rows []model.Trade, flags []byte) {
	r := c.nextColumn()
	exp := int(r.varint())
	if exp < -maxExponent || exp > maxExponent {
		r.fail()
		exp = 0
	}
	for i, f := range flags {
		t := &rows[i]
		t.USD = num.USD(value(t.Price, t.Size, exp))
		if f&coreValue == 0 {
			t.USD += num.USD(r.varint())
		}
	}
}

// orders returns the taker's and the maker's order of a trade, and the index of the taker's side.
func orders(t *model.Trade) (taker, maker *uint64, side int) {
	if t.MakerAsk {
		return &t.BidOrder, &t.AskOrder, 0
	}
	return &t.AskOrder, &t.BidOrder, 1
}

// appendOrders writes the orders as two columns, takers' and makers': a taker that sweeps many makers repeats. Venues
// count the orders of a side, so an order is told against the last one of its side in its column.
func (c *tradeCoder) appendOrders(dst []byte, rows []model.Trade) []byte {
	var prev [2]uint64
	for i := range rows {
		taker, _, side := orders(&rows[i])
		dst = appendVarint(dst, int64(*taker-prev[side]))
		prev[side] = *taker
	}
	dst = c.endColumn(dst)
	for i := range rows {
		_, maker, side := orders(&rows[i])
		dst = appendVarint(dst, int64(*maker-prev[1-side]))
		prev[1-side] = *maker
	}
	return c.endColumn(dst)
}

func (c *tradeCoder) readOrders(rows []model.Trade) {
	var prev [2]uint64
	for i, u := range c.readNumbers(len(rows)) {
		taker, _, side := orders(&rows[i])
		prev[side] += uint64(unzigzag(u))
		*taker = prev[side]
	}
	for i, u := range c.readNumbers(len(rows)) {
		_, maker, side := orders(&rows[i])
		prev[1-side] += uint64(unzigzag(u))
		*maker = prev[1-side]
	}
}

// appendAccounts writes the accounts that traded, in the order of first appearance, and then for each trade the places
// of taker and maker in that list: few accounts make most trades, and those appear early.
func (c *tradeCoder) appendAccounts(dst []byte, rows []model.Trade) []byte {
	for i := range rows {
		taker, maker := accounts(&rows[i])
		c.place(*taker)
		c.place(*maker)
	}
	dst = appendUvarint(dst, uint64(len(c.accounts)))
	for _, a := range c.accounts {
		dst = appendUvarint(dst, uint64(a))
	}
	dst = c.endColumn(dst)
	for i := range rows {
		taker, _ := accounts(&rows[i])
		dst = appendUvarint(dst, uint64(c.known[*taker]))
	}
	dst = c.endColumn(dst)
	for i := range rows {
		_, maker := accounts(&rows[i])
		dst = appendUvarint(dst, uint64(c.known[*maker]))
	}
	return c.endColumn(dst)
}

func (c *tradeCoder) place(a model.AccountID) {
	if _, ok := c.known[a]; !ok {
		c.known[a] = len(c.accounts)
		c.accounts = append(c.accounts, a)
	}
}

func (c *tradeCoder) readAccounts(rows []model.Trade) {
	r := c.nextColumn()
	for range r.count(1) {
		c.accounts = append(c.accounts, model.AccountID(r.uvarint()))
	}
	for i, u := range c.readNumbers(len(rows)) {
		taker, _ := accounts(&rows[i])
		*taker = c.account(u)
	}
	for i, u := range c.readNumbers(len(rows)) {
		_, maker := accounts(&rows[i])
		*maker = c.account(u)
	}
}

func (c *tradeCoder) account(n uint64) model.AccountID {
	if n >= uint64(len(c.accounts)) {
		c.column.fail()
		return 0
	}
	return c.accounts[n]
}

func accounts(t *model.Trade) (taker, maker *model.AccountID) {
	if t.MakerAsk {
		return &t.BidAccount, &t.AskAccount
	}
	return &t.AskAccount, &t.BidAccount
}
