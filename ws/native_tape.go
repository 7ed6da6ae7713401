package ws

import (
	"cmp"
	"slices"

	"hyperlight/engine/model"
)

// tapeRows is how many trades of each of its two lists the venue sends when somebody subscribes.
const tapeRows = 50

// tape remembers the latest trades of a market, ordinary ones and forced ones apart.
type tape struct {
	lists  [2][]model.Trade // ascending by id; up to twice as many as are told, so that most rows are only appended
	nonce  uint64
	seeded bool // the store was asked for what came before us
}

func listOf(t *model.Trade) int {
	if t.Kind == model.KindLiquidation || t.Kind == model.KindDeleverage {
		return 1
	}
	return 0
}

// add takes the rows of a batch, which are new but may be older than some that are there.
func (t *tape) add(b *model.TradeBatch) {
	if b.Nonce != 0 {
		t.nonce = b.Nonce
	}
	for i := range b.Rows {
		t.insert(&b.Rows[i])
	}
}

func (t *tape) insert(r *model.Trade) {
	list := &t.lists[listOf(r)]
	n := len(*list)
	at := n
	if n > 0 && (*list)[n-1].ID >= r.ID {
		var there bool
		at, there = slices.BinarySearchFunc(*list, r.ID, func(x model.Trade, id uint64) int { return cmp.Compare(x.ID, id) })
		if there {
			return
		}
	}
	if at == 0 && n >= tapeRows {
		return
	}
	if n == 2*tapeRows { // the oldest make room
		at = max(at-tapeRows, 0)
		*list = slices.Delete(*list, 0, tapeRows)
	}
	*list = slices.Insert(*list, at, *r)
}

// batch returns what is remembered as the venue tells it to a subscriber.
func (t *tape) batch() *model.TradeBatch {
	latest := func(list []model.Trade) []model.Trade { return list[max(len(list)-tapeRows, 0):] }
	return &model.TradeBatch{Rows: slices.Concat(latest(t.lists[0]), latest(t.lists[1])), History: true, Nonce: t.nonce}
}

// short tells whether rows from the store could complete the lists. Of forced trades there may never have been as many.
func (t *tape) short() bool { return !t.seeded && len(t.lists[0]) < tapeRows }
