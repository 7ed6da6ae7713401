package ws

import (
	"testing"
	"time"

	"hyperlight/engine/model"
)

// A large order that a list names is told once: not if its level's growth was, not twice, and not of the first list after
// a hole.
func TestOrderAlerts(t *testing.T) {
	owners := &fakeOwners{}
	inBubble(t, Options{Owners: owners}, func(t *testing.T, b *bubble) {
		k := newMaker(b.s.Hub(), 0)
		k.snapshot(level(100_00, 1))
		paid, free := b.dial("/ws", growthKey), b.dial("/ws", freeKey)
		paid.take()
		free.take()
		paid.say(`{"type":"subscribe","channel":"alert/0"}`)
		free.say(`{"type":"subscribe","channel":"alert/0"}`)
		var lists []*model.Arrivals
		list := func(number uint64, orders ...model.RestingOrder) {
			lists = append(lists, &model.Arrivals{List: number, At: model.Millis(time.Now().UnixMilli()), Orders: [2][]model.RestingOrder{model.Bid: orders}})
			lists = lists[max(0, len(lists)-3):]
			owners.mu.Lock()
			owners.reading = &model.Attribution{At: lists[len(lists)-1].At, Arrivals: append([]*model.Arrivals(nil), lists...)}
			owners.mu.Unlock()
			time.Sleep(1500 * time.Millisecond)
		}
		whale := func(id uint64) model.RestingOrder {
			return model.RestingOrder{Account: 42, ID: id, Price: 100_00, Size: 1_000_0000, Initial: 1_000_0000}
		}
		list(1, whale(1)) // the first: nobody knows since when
		if f := paid.take(); len(f) != 0 {
			t.Errorf("the first list raised %v", f)
		}
		small := whale(3)
		small.Size--
		list(2, whale(2), small)
		a, anonymous := paid.only("data").alert(t), free.only("data").alert(t)
		if a.Kind != "large_order" || a.Source != "order" || a.Side != "bid" || a.Account == nil || *a.Account != 42 || a.OrderID == nil || *a.OrderID != "2" ||
			a.Price != "100.00" || a.Size != "1000.0000" || a.Notional != "100000" || a.TradeID != nil || a.TS == 0 {
			t.Errorf("got %+v", a)
		}
		if anonymous.Account != nil || anonymous.OrderID != nil || anonymous.ID != a.ID {
			t.Errorf("on free %+v", anonymous)
		}
		k.update(level(100_00, 1_000_0002)) // told as a level's growth
		if a := paid.only("data").alert(t); a.Source != "level" {
			t.Errorf("got %+v", a)
		}
		list(3, whale(4))
		if f := paid.take(); len(f) != 0 {
			t.Errorf("an order was told twice: %v", f)
		}
		list(4, whale(5)) // grown by as much again, in several updates that nobody was told of
		if a := paid.only("data").alert(t); a.Source != "order" || *a.OrderID != "5" {
			t.Errorf("got %+v", a)
		}
		owners.mu.Lock()
		owners.reading, lists = nil, nil // a hole
		owners.mu.Unlock()
		time.Sleep(1500 * time.Millisecond)
		list(1, whale(6))
		if f := paid.take(); len(f) != 0 {
			t.Errorf("the first list after a hole raised %v", f)
		}
	})
}
