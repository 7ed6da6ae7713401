package ws

import (
	"slices"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// listed is a subscriber of alerts, the book and the lists of orders that it hears of.
type listed struct {
	*peer
	t      *testing.T
	book   *maker
	owners *fakeOwners
	lists  []*model.Arrivals
}

// withLists runs f with a subscriber who has heard the first list.
func withLists(t *testing.T, f func(*listed)) {
	owners := &fakeOwners{}
	inBubble(t, Options{Owners: owners}, func(t *testing.T, b *bubble) {
		l := &listed{peer: b.dial("/ws", growthKey), t: t, book: newMaker(b.s.Hub(), 0), owners: owners}
		time.Sleep(250 * time.Millisecond) // nothing here is at the moment at which the server looks at owners
		l.book.snapshot(level(100_00, 1))
		l.take()
		l.say(`{"type":"subscribe","channel":"alert/0"}`)
		l.list(1, now())
		f(l)
	})
}

func now() model.Millis { return model.Millis(time.Now().UnixMilli()) }

// list publishes a list of that number, asked for then, with new bids at 100.00 of 100,000 USD each.
func (l *listed) list(number uint64, asked model.Millis, ids ...uint64) {
	news := &model.Arrivals{List: number, At: asked}
	for _, id := range ids {
		news.Orders[model.Bid] = append(news.Orders[model.Bid], model.RestingOrder{Account: 42, ID: id, Price: 100_00, Size: 1_000_0000})
	}
	l.lists = append(l.lists, news)
	l.lists = l.lists[max(0, len(l.lists)-3):]
	l.read(&model.Attribution{At: asked, Arrivals: slices.Clone(l.lists)})
}

// read publishes what is known of the owners, and waits until that was looked at.
func (l *listed) read(a *model.Attribution) {
	l.owners.mu.Lock()
	l.owners.reading = a
	l.owners.mu.Unlock()
	time.Sleep(1500 * time.Millisecond)
}

// grow tells the growth of 100.00 by an order of 100,000 USD, as an alert of the level.
func (l *listed) grow() {
	l.t.Helper()
	var size num.Size
	if v := l.book.book.View(); v != nil {
		size = v.At(model.Bid, 100_00)
	}
	l.book.update(level(100_00, int(size)+1_000_0000))
	if a := l.only("data").alert(l.t); a.Source != "level" {
		l.t.Fatalf("a growth raised %+v", a)
	}
}

// expect checks which orders were told since.
func (l *listed) expect(what string, want ...string) {
	l.t.Helper()
	var got []string
	for _, f := range l.take() {
		if f.Type == "gap" {
			continue
		}
		a := f.alert(l.t)
		if a.OrderID == nil {
			l.t.Fatalf("%s: %s", what, f.raw)
		}
		got = append(got, *a.OrderID)
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("%s: told of %v, want %v", what, got, want)
	}
}

// Whatever number the first list has after a hole, in what is known of owners or in the book, it tells what was there
// before; the next one tells what is new.
func TestFirstListAfterHoleRaisesNothing(t *testing.T) {
	withLists(t, func(l *listed) {
		l.list(2, now(), 2)
		l.expect("a list", "2")
		l.read(nil)
		l.lists = nil
		l.list(7, now(), 3)
		l.expect("after a hole of owners")
		l.list(8, now(), 4)
		l.expect("the one after", "4")
		l.book.hole(level(100_00, 1))
		l.list(9, now(), 5)
		l.expect("after a hole of the book")
		l.list(10, now(), 6)
		l.expect("the one after", "6")
		// What grew before a hole has nothing to do with what is new after it.
		grown := now()
		l.grow()
		l.book.snapshot(level(100_00, 1))
		l.list(11, grown-1)
		l.list(12, grown-1, 7)
		l.expect("a growth before the hole", "7")
	})
}

// A growth that was told stands for an order of a list that was asked for later, once; a list asked for after it, without
// such an order, ends that.
func TestToldGrowthExpires(t *testing.T) {
	withLists(t, func(l *listed) {
		grown := now()
		l.grow()
		l.list(2, grown-1) // asked for before: it knows nothing of the growth
		l.list(3, grown, 2)
		l.expect("a growth that was told")
		l.list(4, grown+2, 3)
		l.expect("the next of that size", "3")
		grown = now()
		l.grow()
		l.list(5, grown+1) // whatever grew is gone again
		l.list(6, grown+2, 4)
		l.expect("an order after that", "4")
	})
}

// Alerts begin with what comes from then on: neither with the orders of the lists before, nor with what somebody was told
// whose alerts ended long ago.
func TestAlertsBeginAnew(t *testing.T) {
	for name, other := range map[string]string{"nobody listens": "", "the book is watched": `{"type":"subscribe","channel":"enriched_order_book/0","depth":1}`} {
		withLists(t, func(l *listed) {
			books := l.b.dial("/ws", growthKey)
			if other != "" {
				books.say("%s", other)
			}
			l.grow()
			l.say(`{"type":"unsubscribe","channel":"alert/0"}`)
			time.Sleep(2 * time.Minute)
			for number := range uint64(5) {
				l.list(2+number, now(), 20+number)
			}
			if f := l.say(`{"type":"subscribe","channel":"alert/0"}`); len(f) != 1 || f[0].Type != "subscribed" {
				t.Fatalf("%s: %v", name, f)
			}
			time.Sleep(1500 * time.Millisecond)
			l.expect(name + ": lists of before")
			l.list(7, now(), 30)
			l.expect(name+": a list of now", "30")
		})
	}
}

// Where the market's decimals change, sizes before and after are not comparable: nothing has grown.
func TestNoAlertsAcrossScales(t *testing.T) {
	withLists(t, func(l *listed) {
		hub, seq := l.book.hub, l.book.seq
		for i, c := range []struct{ size, alerts int }{{3_000_0000, 0}, {3_999_9999, 0}, {5_000_0000, 1}} {
			bids := []model.Level{level(100_00, c.size)}
			u := &model.BookUpdate{Prev: seq, Seq: seq + 1, Bids: bids}
			seq++
			hub.OnEvent(&model.Event{Epoch: 1, Recv: recvNow(), Payload: u}, book.NewView(book.Meta{Seq: seq, Epoch: 1}, bids, nil))
			if f := l.take(); len(f) != c.alerts {
				t.Errorf("update %d: %v", i, f)
			}
		}
	})
}
