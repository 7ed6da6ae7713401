package http

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// lookAhead is how many accounts are looked up before the first of them is written. What is known of accounts lies all
// over the memory: the processor waits for many of them at once where they are looked up together.
const lookAhead = 256

// ahead is what was looked up of the next accounts of a batch.
type ahead struct {
	versions [lookAhead]uint32 // from before the rows were read: what changes in between makes a body fall
	orders   [lookAhead][]model.OpenOrder
	listed   []model.OpenOrder     // the orders, one account's after the other's
	bodies   [lookAhead]*readyBody // nil: none, or one that does not stand
	written  [lookAhead]uint32     // the bodies' counts of writes
	resting  [lookAhead]bool       // the bodies have the text of the orders
	keep     [lookAhead]bool       // there is no body, and one that is made now is worth keeping

	// The rows of the accounts without a body, in their order.
	unready   [lookAhead]model.AccountID
	rows      [lookAhead]model.Account
	positions []model.Position
	taken     int // rows that were used
}

// elementParts is what an element has besides its head and its standing.
type elementParts struct {
	positions bool
	orders    bool // the member
	owned     bool // what is in it: the caller may see whose an order is
	last      bool // nothing comes between the orders and the standing
	whales    *whaleRules
}

// reach is how far the text of an element could be copied from a ready body.
type reach uint8

const (
	reachedNothing   reach = iota
	reachedPositions       // or the head, where positions are not wanted
	reachedOrders
	reachedStanding
)

// parts returns what the elements of 2.1.1 have for a caller.
func (b *batch) parts(c *call) elementParts {
	orders := b.include&includeOrders != 0
	return elementParts{positions: b.include&includePositions != 0, orders: orders, owned: orders && c.server.accounts.Orders != nil && c.attribution(),
		last: b.include&includeFills == 0, whales: c.server.whales.Load()}
}

// look looks up accounts, at most lookAhead.
func (b *batch) look(d *accountDesk, ids []model.AccountID, m *marks, parts *elementParts) {
	a := &b.ahead
	if parts.owned {
		a.listed = a.listed[:0]
		for i, id := range ids {
			from := len(a.listed)
			a.listed = d.Orders.AppendOrders(a.listed, id)
			a.orders[i] = a.listed[from:len(a.listed):len(a.listed)]
		}
	}
	unready := ids
	if d.ready != nil {
		for i, id := range ids {
			a.versions[i] = d.Accounts.Version(id)
		}
		d.ready.look(a, ids, b.activeOnly, m, parts)
		unready = a.unready[:0]
		for i, id := range ids {
			if a.bodies[i] == nil {
				unready = append(unready, id)
			}
		}
	}
	a.taken = 0
	if len(unready) > 0 {
		a.lookRows(d, unready)
	}
}

// lookRows looks up the rows of accounts, at most lookAhead; the Index of those that are not known is negative.
func (a *ahead) lookRows(d *accountDesk, ids []model.AccountID) []model.Account {
	rows := a.rows[:len(ids)]
	a.positions = d.Accounts.GetAll(ids, rows, a.positions[:0])
	return rows
}

// forget lets go of what was looked up.
func (a *ahead) forget() {
	clear(a.bodies[:])
	clear(a.orders[:])
}

// appendKnown appends the object of the i-th account that was looked up: to the end of its orders or, where whole is set,
// to the end of where it stands. It appends nothing where the account is not known.
func (b *batch) appendKnown(d *accountDesk, dst []byte, i int, id model.AccountID, m *marks, parts *elementParts) (_ []byte, stood standing, whole, known bool) {
	a := &b.ahead
	orders, body, keep := a.orders[i], a.bodies[i], a.keep[i]
	var row *model.Account
	if body != nil {
		var to reach
		dst, stood, to = d.ready.take(dst, a, i, m, parts, &b.assessed)
		switch {
		case to >= reachedOrders || to == reachedPositions && !parts.orders:
			return dst, stood, to == reachedStanding, true
		case to == reachedPositions:
			from := len(dst)
			dst = appendOrders(dst, orders, m, parts)
			if parts.owned {
				d.ready.putOrders(body.key, a.versions[i], dst[from:], orders, m, parts)
			}
			return dst, stood, false, true
		}
		// It fell since, or its markets are others now.
		row, keep = &b.row, true
		if !d.Accounts.Get(id, row) {
			return dst, stood, false, false
		}
	} else if row, a.taken = &a.rows[a.taken], a.taken+1; row.Index < 0 {
		return dst, stood, false, false
	}
	made := madeBody{from: len(dst), stood: standingOf(row)}
	dst = appendAccountHead(dst, row)
	made.head = len(dst)
	if parts.positions {
		b.assessed.Assess(row, m.lookup)
		var marked *markedParts
		if keep {
			marked = &b.marked
			marked.list = marked.list[:0]
		}
		dst = appendPositions(append(dst, `,"positions":`...), row, &b.assessed, m, nil, b.activeOnly, marked)
	}
	made.orders = len(dst)
	if parts.orders {
		dst = appendOrders(dst, orders, m, parts)
	}
	if keep && parts.positions {
		k := readyKeyOf(id, b.activeOnly)
		d.ready.put(k, a.versions[i], m, dst, &made, row, b.marked.list)
		if parts.owned {
			d.ready.putOrders(k, a.versions[i], dst[made.orders:], orders, m, parts)
		}
	}
	return dst, made.stood, false, true
}

// appendOrders appends an account's resting orders, to those who may see whose an order is.
func appendOrders(dst []byte, orders []model.OpenOrder, m *marks, parts *elementParts) []byte {
	dst = append(dst, `,"orders":[`...)
	if !parts.owned {
		return append(dst, ']')
	}
	first := true
	for i := range orders {
		o := &orders[i]
		k := m.of(o.Market)
		if k == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		ps, ss := k.Info.ScaleAt(o.Epoch)
		value, err := num.MulUSD(o.Price, ps, o.Size, ss)
		dst = o.AppendJSON(dst, k.Info, err != nil || value >= parts.whales.threshold(o.Market))
	}
	return append(dst, ']')
}
