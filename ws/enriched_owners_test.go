package ws

import (
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
)

func (o *fakeOwners) read(a *model.Attribution) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reading = a
}

func (o *fakeOwners) watches() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.watched
}

// bidOf is a reading that knows one order at 99.00.
func bidOf(account model.AccountID, at model.Millis) *model.Attribution {
	return &model.Attribution{At: at, Levels: [2][]*model.OwnedLevel{model.Bid: {owned(10_0000, model.RestingOrder{Account: account, ID: 7, Price: 99_00, Size: 10_0000})}}}
}

// A new list of owners makes a frame though the book did not change, each list one; while the book is unknown none does.
func TestOwnersMakeFrames(t *testing.T) {
	owners := &fakeOwners{}
	inBubble(t, Options{Owners: owners}, func(t *testing.T, b *bubble) {
		k := newMaker(b.s.Hub(), 0)
		k.snapshot(level(99_00, 10_0000))
		p := b.dial("/ws", growthKey)
		p.take()
		got := p.say(`{"type":"subscribe","channel":"enriched_order_book/0"}`)
		if len(got) != 2 || len(got[1].enriched(t).Bids[0].Orders) != 0 {
			t.Fatalf("subscribed with %v", got)
		}
		seq := got[1].Seq
		for account := range int64(3) {
			owners.read(bidOf(model.AccountID(account), 5000+model.Millis(account)))
			time.Sleep(2500 * time.Millisecond)
			f := p.only("data")
			e := f.enriched(t)
			if seq++; f.Seq != seq || e.Nonce != k.seq || *e.At != 5000+account || len(e.Bids[0].Orders) != 1 || *e.Bids[0].Orders[0].Account != account {
				t.Errorf("list %d: %s", account, f.raw)
			}
		}
		time.Sleep(time.Minute)
		if f := p.take(); len(f) != 0 {
			t.Errorf("without a new list: %v", f)
		}
		k.event(&model.Gap{Kind: model.KindBook, From: 5_000_000, Cause: model.CauseNonce}, nil)
		owners.read(bidOf(9, 6000))
		time.Sleep(3 * time.Second)
		if f := p.take(); len(f) != 0 {
			t.Errorf("of an unknown book: %v", f)
		}
		k.snapshot(level(99_00, 10_0000))
		if e := p.only("data").enriched(t); e.Nonce != k.seq || *e.At != 6000 {
			t.Errorf("the book that came again: %+v", e)
		}
	})
}

// Frames are kept for whoever comes back soon. When nobody does the channel ends: it makes none any more, and begins anew.
func TestEnrichedBookWithoutListeners(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, b *bubble) {
		k := newMaker(b.s.Hub(), 0)
		k.snapshot(level(99_00, 1))
		p := b.dial("/ws", growthKey)
		p.take()
		got := p.say(`{"type":"subscribe","channel":"enriched_order_book/0"}`)
		last := got[1]
		epoch := got[0].Epoch
		p.say(`{"type":"unsubscribe","channel":"enriched_order_book/0"}`)
		for i := range 3 {
			time.Sleep(2 * time.Second)
			k.update(level(99_00, 5+i))
		}
		got = p.say(`{"type":"subscribe","channel":"enriched_order_book/0","since":{"epoch":%q,"seq":%d}}`, epoch, last.Seq)
		if len(got) != 4 || got[0].Recovered == nil || !*got[0].Recovered || got[3].Seq != last.Seq+3 || got[3].enriched(t).Nonce != k.seq {
			t.Fatalf("back after six seconds: %v", got)
		}
		p.say(`{"type":"unsubscribe","channel":"enriched_order_book/0"}`)
		m, _ := testMarkets{}.Get(0)
		d := &b.s.hub.feed(m).desk
		d.mu.Lock()
		c := d.open[enrichedBookFamily.own()][0]
		d.mu.Unlock()
		k.update(level(99_00, 100))
		k.update(level(99_00, 101)) // one frame of both is due in a second
		time.Sleep(2 * time.Minute)
		k.update(level(99_00, 102))
		c.offer(enrichedBook{view: k.book.View(), market: m}, time.Now()) // of whoever still held it
		c.late()
		c.mu.Lock()
		if c.active || c.seq != last.Seq+4 || c.whole != nil || c.set.armed {
			t.Errorf("a channel that ended: active %v, seq %d, armed %v", c.active, c.seq, c.set.armed)
		}
		c.mu.Unlock()
		got = p.say(`{"type":"subscribe","channel":"enriched_order_book/0","since":{"epoch":%q,"seq":%d}}`, epoch, last.Seq)
		if len(got) != 2 || got[0].Epoch == epoch || *got[0].Recovered || got[1].Seq != got[0].Seq+1 || got[1].enriched(t).Nonce != k.seq {
			t.Errorf("back after two minutes: %v", got)
		}
	})
}

// Owners are asked for while somebody listens to a book that names them: no longer, though its channel stays for who comes
// back, and for nothing else.
func TestWatchEndsWithTheListeners(t *testing.T) {
	native := lighterNative()
	for _, c := range []struct{ path, channel, end string }{
		{"/ws", "enriched_order_book/0", `{"type":"unsubscribe","channel":"enriched_order_book/0"}`}, {"/ws", "enriched_order_book/0", ""},
		{"/stream", "order_book/0", `{"type":"unsubscribe","channel":"order_book/0"}`}, {"/stream", "order_book/0", ""},
	} {
		owners := &fakeOwners{}
		inBubble(t, Options{Owners: owners, Native: native}, func(t *testing.T, b *bubble) {
			newMaker(b.s.Hub(), 0).snapshot(level(99_00, 1))
			others := b.dial("/ws", growthKey)
			for _, name := range []string{"alert/0", "enriched_trade/0", "order_book/0", "trade/0"} {
				others.say(`{"type":"subscribe","channel":%q}`, name)
			}
			time.Sleep(5 * time.Second)
			if n := owners.watches(); n != 0 {
				t.Fatalf("asked for owners %d times for whom they are not shown", n)
			}
			p := b.dial(c.path, nil)
			p.say(`{"type":"auth","api_key":"hlt_growth"}`)
			if got := p.say(`{"type":"subscribe","channel":%q}`, c.channel); !slices.ContainsFunc(got, func(f frame) bool { return f.Type == "subscribed" }) {
				t.Fatalf("%v", got)
			}
			time.Sleep(10 * time.Second)
			n := owners.watches()
			if n < 9 || n > 12 {
				t.Errorf("%s of %s: asked %d times in ten seconds", c.channel, c.path, n)
			}
			if c.end != "" {
				p.say("%s", c.end)
			} else {
				p.conn.Close()
				p.take()
			}
			n = owners.watches()
			time.Sleep(30 * time.Second)
			if late := owners.watches(); late != n {
				t.Errorf("%s of %s: asked %d times more after %q", c.channel, c.path, late-n, c.end)
			}
		})
	}
}
