package market

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// venue is the truth: one market's book, every state it ever had, and the frames that tell it.
type venue struct {
	book   sides
	seq    uint64
	states map[uint64]sides
}

func (v *venue) move(t *rapid.T) *model.BookUpdate {
	u := &model.BookUpdate{Prev: v.seq, Seq: v.seq + uint64(rapid.IntRange(1, 3).Draw(t, "step")), Chained: true}
	for range rapid.IntRange(0, 4).Draw(t, "levels") {
		l := model.Level{Price: num.Price(rapid.IntRange(1, 40).Draw(t, "price")), Size: num.Size(rapid.IntRange(0, 3).Draw(t, "size"))}
		s := model.Ask
		if l.Price <= 20 {
			s = model.Bid
			u.Bids = append(u.Bids, l)
		} else {
			u.Asks = append(u.Asks, l)
		}
		if v.book[s][l.Price] = l.Size; l.Size == 0 {
			delete(v.book[s], l.Price)
		}
	}
	v.seq = u.Seq
	v.states[v.seq] = v.book.clone()
	return u
}

func (v *venue) snapshot() *model.BookUpdate {
	return &model.BookUpdate{Snapshot: true, Seq: v.seq, Bids: v.book.levels(model.Bid), Asks: v.book.levels(model.Ask), Chained: true}
}

// chain follows frames by the rules in their plainest form and says which gaps must be told.
type chain struct {
	synced bool
	seq    uint64
	time   model.Millis
	recv   model.Micros // of the last good frame, 0 before the first
	gaps   []model.Gap
}

func (c *chain) open() bool { return len(c.gaps) > 0 && c.gaps[len(c.gaps)-1].To == 0 }

func (c *chain) lose(from model.Micros, cause model.Cause) {
	c.synced = false
	if c.recv != 0 && !c.open() {
		c.gaps = append(c.gaps, model.Gap{Kind: model.KindBook, From: from, Cause: cause})
	}
}

func (c *chain) frame(e *model.Event) {
	switch p := e.Payload.(type) {
	case *model.Gap:
		c.lose(max(p.From, c.recv), p.Cause)
	case *model.BookUpdate:
		switch {
		case p.Snapshot && c.synced && p.Seq < c.seq && e.Time <= c.time:
			return
		case p.Snapshot:
			if c.synced && p.Seq != c.seq {
				c.lose(c.recv, model.CauseDisconnect)
			}
			if c.open() {
				c.gaps[len(c.gaps)-1].To = e.Recv
			}
			c.synced = true
		case !c.synced || p.Seq <= c.seq:
			return
		case p.Prev != c.seq:
			c.lose(c.recv, model.CauseNonce)
			return
		}
		c.seq, c.time, c.recv = p.Seq, e.Time, e.Recv
	}
}

// checker is a listener that holds what listeners are promised about books and ticks.
type checker struct {
	t     *rapid.T
	truth *venue
	seq   uint64
	ready bool // a snapshot came and no gap since
	view  *book.View
	gaps  []model.Gap
	last  model.Micros // tick
	ends  model.Micros // the gap that just ended: its snapshot must follow
}

func (c *checker) OnEvent(e *model.Event, v *book.View) {
	t := c.t
	if c.last != 0 && (e.Recv < c.last || e.Recv >= c.last+second) {
		t.Fatalf("event of %d between the ticks %d and the next", e.Recv, c.last)
	}
	switch p := e.Payload.(type) {
	case *model.BookUpdate:
		switch {
		case p.Snapshot && len(c.gaps) > 0 && c.gaps[len(c.gaps)-1].To == 0:
			t.Fatal("a snapshot inside an open gap")
		case c.ends != 0 && (!p.Snapshot || e.Recv != c.ends):
			t.Fatalf("a gap ended at %d and %+v came at %d", c.ends, p, e.Recv)
		case !p.Snapshot && !c.ready:
			t.Fatalf("delta %d while out of sync", p.Seq)
		case !p.Snapshot && p.Prev != c.seq:
			t.Fatalf("delta %d -> %d after %d", p.Prev, p.Seq, c.seq)
		}
		c.ends, c.ready, c.seq, c.view = 0, true, p.Seq, v
		if v == nil || v.Seq != p.Seq || v.Recv != e.Recv || v.Time != e.Time {
			t.Fatalf("view %+v of event %+v", v, e)
		}
		if !c.truth.states[p.Seq].equals(v) {
			t.Fatalf("view %d is not the venue's book", p.Seq)
		}
	case *model.Gap:
		if v != nil {
			t.Fatal("a gap came with a view")
		}
		if p.To == 0 {
			if !c.ready {
				t.Fatalf("gap %+v begins while out of sync", p)
			}
			c.ready = false
			c.gaps = append(c.gaps, *p)
			return
		}
		g := &c.gaps[len(c.gaps)-1]
		if g.To != 0 || g.From != p.From || g.Cause != p.Cause || g.Kind != p.Kind || p.To <= p.From || p.Filled {
			t.Fatalf("gap %+v ends as %+v", g, p)
		}
		*g, c.ends = *p, p.To
	}
}

func (c *checker) OnTick(sec model.Micros, held []Held) {
	if sec%second != 0 || c.last != 0 && sec != c.last+second {
		c.t.Fatalf("tick %d after %d", sec, c.last)
	}
	c.last = sec
	if !c.ready {
		if len(held) != 0 {
			c.t.Fatalf("an unsynced market is held: %+v", held)
		}
		return
	}
	if len(held) != 1 || held[0].View != c.view || held[0].Market.Native != 0 || held[0].TradesHeld {
		c.t.Fatalf("tick %d holds %+v", sec, held)
	}
}

// TestBooksUnderFaults sends a venue's frames through a bad line: dropped, repeated, swapped, delayed, disconnected, and
// answered resyncs. Listeners must see the venue's book and every hole in it, and nothing else.
func TestBooksUnderFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		truth := &venue{book: newSides(), seq: 10, states: map[uint64]sides{10: newSides()}}
		check, want := &checker{t: t, truth: truth}, &chain{}
		asked := 0
		r := NewRegistry(Options{Listeners: []Listener{check}, Resync: func(model.MarketID) { asked++ }})
		if _, err := r.Upsert([]model.Market{market(0)}); err != nil {
			t.Fatal(err)
		}
		s := r.newShard()
		now := model.Micros(1_700_000_000_000_000)
		var sent []*model.BookUpdate
		send := func(p model.Payload, at model.Millis) {
			e := &model.Event{Time: at, Recv: now, Payload: p}
			want.frame(e)
			s.Handle(e)
			if v, fresh := r.View(0); fresh != want.synced || fresh && !truth.states[want.seq].equals(v) {
				t.Fatalf("fresh %v, want %v at %d", fresh, want.synced, want.seq)
			}
			if st, _ := r.State(0); st.Synced != want.synced || want.open() != (st.GapSince != 0) || want.open() && st.GapSince != want.gaps[len(want.gaps)-1].From {
				t.Fatalf("state %+v, want %+v", st, want)
			}
		}
		for range rapid.IntRange(10, 120).Draw(t, "frames") {
			now += model.Micros(rapid.OneOf(rapid.IntRange(1, 60_000), rapid.IntRange(1, 4_000_000)).Draw(t, "wait"))
			if rapid.IntRange(0, 9).Draw(t, "clock") == 0 {
				s.Tick(now) // the live clock ticks too
			}
			u := truth.move(t)
			sent = append(sent, u)
			switch rapid.IntRange(0, 14).Draw(t, "fault") {
			case 0: // lost
			case 1: // twice
				send(u, now.Millis())
				send(u, now.Millis())
			case 2: // an old one again
				send(u, now.Millis())
				send(sent[rapid.IntRange(0, len(sent)-1).Draw(t, "old")], now.Millis())
			case 3: // swapped with the next
				next := truth.move(t)
				sent = append(sent, next)
				send(next, now.Millis())
				send(u, now.Millis())
			case 4: // the socket breaks; what follows until the new snapshot is never sent
				send(&model.Gap{Kind: model.KindBook, From: now - model.Micros(rapid.IntRange(0, 20_000_000).Draw(t, "silence")), Cause: model.CauseDisconnect}, 0)
				for range rapid.IntRange(0, 5).Draw(t, "missed") {
					truth.move(t)
				}
				now += model.Micros(rapid.IntRange(1, 3_000_000).Draw(t, "away"))
				send(truth.snapshot(), now.Millis())
			case 5: // subscribed anew without a word
				send(truth.snapshot(), now.Millis())
			case 6: // a snapshot is repeated late
				old := truth.snapshot()
				at := now.Millis()
				send(old, at)
				u = truth.move(t)
				now += 2000
				send(u, now.Millis())
				send(old, at)
			default:
				send(u, now.Millis())
			}
			if asked > 0 && rapid.IntRange(0, 3).Draw(t, "answer") == 0 {
				asked = 0
				send(truth.snapshot(), now.Millis())
			}
		}
		for range 2 {
			now += 11 * second
			send(truth.move(t), now.Millis())
		}
		if !want.synced && asked == 0 {
			t.Fatal("the book is out of sync and nobody was asked for a snapshot")
		}
		now += second
		send(truth.snapshot(), now.Millis())
		if v, fresh := r.View(0); !fresh || !truth.book.equals(v) {
			t.Fatal("the book is not the venue's at the end")
		}
		if !slices.Equal(check.gaps, want.gaps) {
			t.Fatalf("gaps told\n%+v, want\n%+v", check.gaps, want.gaps)
		}
	})
}
