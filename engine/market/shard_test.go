package market

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const t0 = model.Micros(1_700_000_000_000_000)

// TestScaleChange moves a market to more decimals in the middle of its chain: book and frames meet at the wider epoch.
func TestScaleChange(t *testing.T) {
	rec := &recorder{}
	r, s := newShard(t, Options{Listeners: []Listener{rec}}, 1)
	s.Handle(event(0, t0, snapshotOf(1, -100, 200)))
	wide := market(0)
	wide.PriceScale, wide.SizeScale = 3, 5
	if _, err := r.Upsert([]model.Market{wide}); err != nil {
		t.Fatal(err)
	}
	e := event(0, t0+1, delta(1, 2, model.Level{Price: 1005, Size: 7}))
	e.Epoch = 1
	s.Handle(e)
	// A frame that was decoded before the change and comes behind it.
	late := event(0, t0+2, delta(2, 3, model.Level{Price: 99, Size: 3}))
	s.Handle(late)
	v, fresh := r.View(0)
	want := []model.Level{{Price: 1005, Size: 7}, {Price: 1000, Size: 10}, {Price: 990, Size: 30}}
	if got := v.Append(nil, model.Bid, 0); !fresh || v.Epoch != 1 || !slices.Equal(got, want) {
		t.Fatalf("fresh %v, epoch %d, bids %v, want %v", fresh, v.Epoch, got, want)
	}
	last := rec.calls[len(rec.calls)-1]
	if u := last.e.Payload.(*model.BookUpdate); last.e.Epoch != 1 || u.Bids[0] != (model.Level{Price: 990, Size: 30}) {
		t.Fatalf("the late frame was told as %+v of epoch %d", u, last.e.Epoch)
	}
	// An epoch nobody knows loses the book, as does a price that the older scale cannot hold.
	e = event(0, t0+3, delta(3, 4))
	e.Epoch = 9
	s.Handle(e)
	if _, fresh = r.View(0); fresh {
		t.Fatal("the book is fresh after a frame of an unknown scale")
	}
	e = event(0, t0+4, snapshotOf(5, -1005, 2000))
	e.Epoch = 1
	s.Handle(e)
	s.Handle(event(0, t0+5, delta(5, 6, model.Level{Price: math.MaxInt64, Size: 1})))
	gaps := payloads[*model.Gap](rec.calls)
	if len(gaps) != 3 || gaps[0].Cause != model.CauseParse || gaps[0].From != t0+2 || gaps[1].To != t0+4 || gaps[2].From != t0+4 {
		t.Fatalf("gaps %+v", gaps)
	}
}

// TestCrossedAndResync follows one market through a crossed book, the waits between requests, and a stuck chain.
func TestCrossedAndResync(t *testing.T) {
	rec := &recorder{}
	var asked int
	r, s := newShard(t, Options{Listeners: []Listener{rec}, Resync: func(model.MarketID) { asked++ }}, 1)
	wantAsked := func(when string, n int) {
		t.Helper()
		if asked != n {
			t.Fatalf("%s: asked %d times, want %d", when, asked, n)
		}
	}
	s.Handle(event(0, t0, delta(1, 2)))
	wantAsked("a first frame without a snapshot", 1)
	now := t0 + 2*second
	s.Handle(event(0, now, snapshotOf(5, -100, 200)))
	s.Handle(event(0, now+1, delta(5, 6, model.Level{Price: 200, Size: 1})))
	wantAsked("crossed", 2)
	s.Handle(event(0, now+2, delta(6, 7)))
	wantAsked("waiting", 2)
	s.Tick(now + 9*second)
	wantAsked("still waiting", 2)
	s.Tick(now + 11*second)
	wantAsked("the answer got lost", 3)
	now += 12 * second
	s.Handle(event(0, now, snapshotOf(9, -100, 100)))
	wantAsked("a crossed snapshot", 3)
	s.Handle(event(0, now+1, snapshotOf(10, -100, 200)))
	if g := payloads[*model.Gap](rec.take()); len(g) != 2 || g[0].Cause != model.CauseCrossed || g[0].From != t0+2*second || g[1].To != now+1 {
		t.Fatalf("gaps %+v", g)
	}
	// Within a second of the last request a new loss waits for the next tick.
	s.Handle(event(0, now+2, delta(11, 12)))
	wantAsked("lost again", 4)
	s.Handle(event(0, now+3, snapshotOf(12, -100, 200)))
	s.Handle(event(0, now+4, delta(13, 14)))
	wantAsked("lost at once", 4)
	s.Tick(now + second)
	wantAsked("within a second", 4)
	s.Tick(now + 2*second)
	wantAsked("after the wait", 5)
	now += 2 * second
	// Whoever lost the stream subscribes again himself.
	s.Handle(event(0, now+second, &model.Gap{Kind: model.KindBook, From: now, Cause: model.CauseStale}))
	s.Tick(now + 60*second)
	wantAsked("a broken stream", 5)
	if st, _ := r.State(0); st.Synced || st.GapCause != model.CauseNonce || st.Seq != 12 {
		t.Fatalf("state %+v", st)
	}
	// A venue that counts anew looks stale; after many such frames the chain is given up.
	now += 61 * second
	s.Handle(event(0, now, snapshotOf(1000, -100, 200)))
	for i := range uint64(staleLimit) {
		if _, fresh := r.View(0); !fresh {
			t.Fatalf("lost after %d stale frames", i)
		}
		s.Handle(event(0, now+1, delta(i, i+1)))
	}
	if _, fresh := r.View(0); fresh {
		t.Fatal("a chain that began anew is taken for stale for ever")
	}
	wantAsked("a chain that began anew", 6)
}

// TestRestart begins with what the store knew: the downtime ends with the first snapshot and the bridging trades.
func TestRestart(t *testing.T) {
	rec := &recorder{}
	var after uint64
	r := NewRegistry(Options{Listeners: []Listener{rec}, NeedTrades: func(_ model.MarketID, id uint64) { after = id }})
	m := market(0)
	m.Scales = []model.Scale{{Price: 2, Size: 4}}
	down := model.Gap{Kind: model.KindBook, From: t0 - 60*second, Cause: model.CauseDowntime}
	trades, stats := down, down
	trades.Kind, stats.Kind = model.KindTrades, model.KindStats
	r.Restore(&m, Start{LastTradeID: 50, LastTradeTime: (t0 - 61*second).Millis(), BookGap: &down, TradeGap: &trades, StatsGap: &stats})
	s := r.newShard()
	s.Handle(event(0, t0, delta(3, 4)))
	s.Handle(event(0, t0+1, snapshotOf(7, -1, 2)))
	s.Handle(event(0, t0+2, &model.Stats{}))
	row := func(id uint64) model.Trade { return model.Trade{ID: id, Time: t0.Millis() - 1000 + model.Millis(id)} }
	s.Handle(event(0, t0+3, &model.TradeBatch{History: true, Rows: []model.Trade{row(60), row(70)}}))
	if after != 50 {
		t.Fatalf("trades after %d were asked for, want 50", after)
	}
	if st, _ := r.State(0); st.TradesHeld {
		t.Fatal("trades are held before the gap is decided")
	}
	s.Handle(event(0, t0+4, &model.TradeBatch{Rows: []model.Trade{row(80)}}))
	s.Handle(event(0, t0+5, &model.TradeBatch{REST: true, Rows: []model.Trade{row(49), row(50), row(55), row(60), row(70)}}))
	var gaps []model.Gap
	var batches []string
	for _, c := range rec.calls {
		switch p := c.e.Payload.(type) {
		case *model.Gap:
			gaps = append(gaps, *p)
		case *model.TradeBatch:
			word := "live"
			if p.Recovered {
				word = "recovered"
			} else if p.History {
				word = "history"
			}
			for _, r := range p.Rows {
				batches = append(batches, word+string(rune('0'+r.ID/10))+string(rune('0'+r.ID%10)))
			}
		}
	}
	book, tr, st := down, trades, stats
	book.To, st.To, tr.To, tr.Filled = t0+1, t0+2, row(80).Time.Micros(), true
	if !slices.Equal(gaps, []model.Gap{book, st, tr}) {
		t.Fatalf("gaps %+v", gaps)
	}
	// Rows 49 and 50 may be in the store already: history merges them.
	if want := []string{"recovered60", "recovered70", "live80", "history49", "history50", "history55"}; !slices.Equal(batches, want) {
		t.Fatalf("rows %v, want %v", batches, want)
	}
	if st, _ := r.State(0); !st.TradesHeld || st.GapSince != 0 || down.To != 0 {
		t.Fatalf("state %+v", st)
	}
}

// TestUnannouncedTradeHistory has a stream begin anew without a word: rows that may be missing are told as a gap.
func TestUnannouncedTradeHistory(t *testing.T) {
	rec := &recorder{}
	_, s := newShard(t, Options{Listeners: []Listener{rec}}, 1)
	row := func(id uint64, k model.TradeKind) model.Trade {
		return model.Trade{ID: id, Kind: k, Time: t0.Millis() + model.Millis(id)}
	}
	s.Handle(event(0, t0, &model.TradeBatch{Rows: []model.Trade{row(10, model.KindTrade)}}))
	// The forced prints reach far back, the ordinary ones do not: rows between 10 and 30 may be missing.
	s.Handle(event(0, t0+1, &model.TradeBatch{History: true, Rows: []model.Trade{row(5, model.KindLiquidation), row(12, model.KindLiquidation), row(30, model.KindTrade)}}))
	gaps := payloads[*model.Gap](rec.calls)
	if len(gaps) != 2 || gaps[1].Filled || gaps[1].From != row(10, 0).Time.Micros() || gaps[1].To != row(30, 0).Time.Micros() || gaps[0].To != 0 {
		t.Fatalf("gaps %+v", gaps)
	}
	rec.take()
	s.Handle(event(0, t0+2, &model.TradeBatch{History: true, Rows: []model.Trade{row(12, model.KindLiquidation), row(30, model.KindTrade), row(31, model.KindTrade)}}))
	if len(payloads[*model.Gap](rec.calls)) != 0 {
		t.Fatal("a history that reaches back was told as a gap")
	}
	if b := payloads[*model.TradeBatch](rec.calls); len(b) != 1 || !b[0].Recovered || len(b[0].Rows) != 1 {
		t.Fatalf("batches %+v", b)
	}
}

func TestMinutesAreStaggered(t *testing.T) {
	rec := &recorder{}
	_, s := newShard(t, Options{Listeners: []Listener{rec}}, 120)
	for m := range model.MarketID(120) {
		s.Handle(event(m, t0, snapshotOf(1, -1, 2)))
	}
	minutes := map[model.MarketID]int{}
	for i := range model.Micros(181) {
		s.Tick(t0 + (i+1)*second)
		due := 0
		for _, h := range rec.calls[len(rec.calls)-1].held {
			if h.Minute {
				due++
				minutes[h.Market.ID]++
			}
		}
		if i > 0 && due != 2 {
			t.Fatalf("second %d has %d keyframes, want 2 of 120", i, due)
		}
	}
	for m, n := range minutes {
		if n != 4 {
			t.Fatalf("market %d had %d keyframes in 3 minutes", m, n)
		}
	}
}

func TestClampsAndUnknownMarkets(t *testing.T) {
	rec := &recorder{}
	_, s := newShard(t, Options{Listeners: []Listener{rec}}, 2)
	s.Handle(event(0, t0, snapshotOf(1, -1, 2)))
	s.Tick(t0 + second)
	s.Handle(event(0, t0+second-5, delta(1, 2)))
	s.Handle(event(1, t0+second+9, snapshotOf(1, -1, 2)))
	s.Handle(event(0, t0+second+8, delta(2, 3)))
	s.Handle(event(0, t0+second+7, delta(3, 4)))
	s.Handle(event(77, t0+second+10, delta(3, 4)))
	s.Tick(t0) // long past
	want := []model.Micros{t0, t0 + second, t0 + second + 9, t0 + second + 8, t0 + second + 8}
	var got []model.Micros
	for _, c := range rec.calls {
		if c.e != nil {
			got = append(got, c.e.Recv)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("received at %v, want %v", got, want)
	}
}

// TestRecent compares the ring of ids with a map.
func TestRecent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r recent
		seen := map[uint64]bool{}
		next := uint64(1)
		for range rapid.IntRange(1, 6000).Draw(t, "ids") {
			id := next
			if next%7 == 0 {
				id = next - min(next-1, next%900)
			}
			next += 1 + next%3
			if r.add(id) == seen[id] {
				t.Fatalf("add(%d) is %v", id, !seen[id])
			}
			seen[id] = true
			if len(r.ids) > 2*recentIDs || !slices.IsSorted(r.ids) {
				t.Fatalf("%d ids are kept", len(r.ids))
			}
		}
	})
}

func TestImporter(t *testing.T) {
	rec := &recorder{}
	i := NewImporter(Options{Listeners: []Listener{rec}})
	m := market(0)
	m.Scales = []model.Scale{{Price: 2, Size: 4}}
	i.Registry().Restore(&m, Start{LastTradeID: 1 << 40, BookGap: &model.Gap{From: t0 + 1000*second}})
	lent := event(0, t0+5, snapshotOf(1, -1, 2))
	i.Handle(lent)
	lent.Payload.(*model.BookUpdate).Bids[0].Size = 99
	i.Handle(event(0, t0+2*second+5, delta(1, 2)))
	i.Handle(event(0, t0+500*second+5, delta(2, 3)))
	var ticks []model.Micros
	for _, c := range rec.calls {
		if c.e == nil {
			ticks = append(ticks, (c.tick-t0)/second)
			continue
		}
		if g, ok := c.e.Payload.(*model.Gap); ok {
			t.Fatalf("gap %+v", g)
		}
	}
	if !slices.Equal(ticks, []model.Micros{1, 2, 3, 500}) {
		t.Fatalf("ticks %v", ticks)
	}
	if u := rec.calls[0].e.Payload.(*model.BookUpdate); u.Bids[0].Size != num.Size(1) {
		t.Fatal("a lent event was kept")
	}
}
