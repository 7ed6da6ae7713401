package ws

import (
	"slices"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// maxTold bounds the growths that a desk remembers; older ones make room.
const maxTold = 256

// toldGrowth is by how much levels have grown for which an alert was raised, while nobody knew whose the orders were.
// When a list names them later, they are not told a second time.
type toldGrowth struct {
	list uint64 // the last list whose new orders were looked at; 0 where nothing is known
	rows []grownLevel
}

type grownLevel struct {
	side  model.Side
	price num.Price
	size  num.Size
	at    model.Millis // our receive time
}

func (t *toldGrowth) clear() { t.rows, t.list = t.rows[:0], 0 }

// add remembers a growth.
func (t *toldGrowth) add(s model.Side, p num.Price, size num.Size, at model.Millis) {
	if len(t.rows) == maxTold {
		t.rows = t.rows[:copy(t.rows, t.rows[1:])]
	}
	t.rows = append(t.rows, grownLevel{side: s, price: p, size: size, at: at})
}

// take tells whether an order is part of a growth that was told, and takes it out of it.
func (t *toldGrowth) take(s model.Side, r *model.RestingOrder) bool {
	for i := range t.rows {
		if g := &t.rows[i]; g.side == s && g.price == r.Price && g.size >= r.Size {
			g.size -= r.Size
			return true
		}
	}
	return false
}

// expire forgets what grew before a list was asked for: its orders were in the list, or are gone.
func (t *toldGrowth) expire(asked model.Millis) {
	t.rows = slices.DeleteFunc(t.rows, func(g grownLevel) bool { return g.at < asked })
}

// arrivals raises an alert for each order that is new in a list and large enough, unless the growth of its level was told
// already. The first list that is seen, after a hole or when alerts begin, tells what was there before.
func (d *desk) arrivals(a *model.Attribution, m *model.Market, recv model.Micros, now time.Time) {
	if a == nil || len(a.Arrivals) == 0 {
		d.told.list = 0
		return
	}
	after, last := d.told.list, a.Arrivals[len(a.Arrivals)-1].List
	d.told.list = last
	if last <= after {
		return
	}
	defer d.told.expire(a.At)
	if len(d.open[alertFamily.own()]) == 0 || after == 0 {
		return
	}
	low := d.lowest()
	ps, ss := m.ScaleAt(a.Epoch)
	least := leastProduct(low, ps+ss)
	for _, news := range a.Arrivals {
		if news.List <= after {
			continue
		}
		for s, orders := range news.Orders {
			for i := range orders {
				r := &orders[i]
				if below(model.Level{Price: r.Price, Size: r.Size}, least) {
					continue
				}
				notional, err := num.MulUSD(r.Price, ps, r.Size, ss)
				if err != nil || notional < low || d.told.take(model.Side(s), r) {
					continue
				}
				side := model.Side(s)
				d.raise(&alert{kind: kindLargeOrder, side: side.String(), source: sourceOrder, market: m, account: r.Account, owned: true,
					price: r.Price, size: r.Size, ps: ps, ss: ss, notional: notional, order: r.ID, ts: recv.Millis(),
					id: alertID(m.ID, sourceOrder, r.ID, 0, side)}, now)
			}
		}
	}
}
