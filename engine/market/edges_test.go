package market

import (
	"slices"
	"testing"

	"hyperlight/engine/model"
)

// rowsOf returns ordinary trades with the given ids, forced ones where an id is negative; a trade's time is its id.
func rowsOf(ids ...int64) (rows []model.Trade) {
	for _, id := range ids {
		r := model.Trade{ID: uint64(max(id, -id)), Time: t0.Millis() + model.Millis(max(id, -id))}
		if id < 0 {
			r.Kind = model.KindLiquidation
		}
		rows = append(rows, r)
	}
	return ascending(rows)
}

func at(id int64) model.Micros { return (t0.Millis() + model.Millis(id)).Micros() }

// TestGapIsNeverEmpty has a snapshot arrive in the very microsecond of the last good frame, at a second's end: the gap
// keeps a length, the snapshot lies behind it, and the tick between comes first.
func TestGapIsNeverEmpty(t *testing.T) {
	rec := &recorder{}
	_, s := newShard(t, Options{Listeners: []Listener{rec}}, 1)
	end := t0 + second - 1
	s.Handle(event(0, end, snapshotOf(1, -1, 2)))
	s.Handle(event(0, end, delta(2, 3)))
	s.Handle(event(0, end, snapshotOf(4, -1, 2)))
	if len(rec.calls) != 5 {
		t.Fatalf("%d calls, want snapshot, gap, tick, gap, snapshot", len(rec.calls))
	}
	if c := rec.calls[2]; c.tick != t0+second || len(c.held) != 0 {
		t.Fatalf("third call %+v", c)
	}
	if g := rec.calls[3].e.Payload.(*model.Gap); g.From != end || g.To != end+1 || rec.calls[4].e.Recv != end+1 {
		t.Fatalf("gap %+v, snapshot at %d", g, rec.calls[4].e.Recv)
	}
}

// TestFeedGapFromTheFuture has a feed whose clock is ahead of the event's: a gap does not begin after it was told.
func TestFeedGapFromTheFuture(t *testing.T) {
	rec := &recorder{}
	_, s := newShard(t, Options{Listeners: []Listener{rec}}, 1)
	s.Handle(event(0, t0, snapshotOf(1, -1, 2)))
	s.Handle(event(0, t0+10, &model.Gap{Kind: model.KindBook, From: t0 + 99, Cause: model.CauseStale}))
	if g := payloads[*model.Gap](rec.calls); len(g) != 1 || g[0].From != t0+10 || g[0].Cause != model.CauseStale {
		t.Fatalf("gaps %+v", g)
	}
}

// TestFetchWhileTheStreamIsAway answers an old request during the next outage: it moves the gap's edge, but neither closes
// it nor marks where the record goes on.
func TestFetchWhileTheStreamIsAway(t *testing.T) {
	for _, c := range []struct {
		name    string
		fetch   []int64
		history []int64
		refetch []int64
		want    model.Gap
	}{
		{"reaches back, and the history reaches it", []int64{8, 12, 20}, []int64{18, 20, 40}, nil, model.Gap{To: at(40), Filled: true}},
		{"reaches back, but a hole follows", []int64{8, 12, 20}, []int64{40, 41}, []int64{35, 40, 41}, model.Gap{To: at(35)}},
		{"does not reach back", []int64{15, 20}, []int64{40, 41}, []int64{}, model.Gap{To: at(40)}},
		{"comes too late for another one", []int64{15, 20}, []int64{40, 41}, []int64{10, 12, 40}, model.Gap{To: at(41), Filled: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := &recorder{}
			asked := 0
			_, s := newShard(t, Options{Listeners: []Listener{rec}, NeedTrades: func(model.MarketID, uint64) { asked++ }}, 1)
			send := func(p model.Payload) { s.Handle(event(0, t0, p)) }
			down := func() { send(&model.Gap{Kind: model.KindTrades, From: t0, Cause: model.CauseDisconnect}) }
			send(&model.TradeBatch{Rows: rowsOf(10)})
			down()
			send(&model.TradeBatch{Rows: rowsOf(14), History: true})
			down()
			send(&model.TradeBatch{Rows: rowsOf(c.fetch...), REST: true})
			if g := payloads[*model.Gap](rec.calls); len(g) != 1 || asked != 1 {
				t.Fatalf("while away: gaps %+v, asked %d times", g, asked)
			}
			send(&model.TradeBatch{Rows: rowsOf(c.history...), History: true})
			if c.refetch != nil {
				if asked != 2 {
					t.Fatalf("asked %d times, want 2", asked)
				}
				send(&model.TradeBatch{Rows: rowsOf(c.refetch...), REST: true})
			}
			c.want.Kind, c.want.Cause, c.want.From = model.KindTrades, model.CauseDisconnect, at(10)
			if g := payloads[*model.Gap](rec.calls); len(g) != 2 || *g[1] != c.want {
				t.Fatalf("gap %+v, want %+v", g[len(g)-1], c.want)
			}
		})
	}
}

// TestWholeFromTheLaterList has the two lists of a history begin at different trades: the record is whole from the later.
func TestWholeFromTheLaterList(t *testing.T) {
	for _, ids := range [][]int64{{12, 13, -30, 31}, {-12, -13, 30, 31}} {
		rec := &recorder{}
		_, s := newShard(t, Options{Listeners: []Listener{rec}}, 1)
		s.Handle(event(0, t0, &model.TradeBatch{Rows: rowsOf(10)}))
		s.Handle(event(0, t0, &model.TradeBatch{Rows: rowsOf(ids...), History: true}))
		if g := payloads[*model.Gap](rec.calls); len(g) != 2 || g[1].Filled || g[1].To != at(30) {
			t.Fatalf("%v: gaps %+v", ids, g)
		}
	}
}

// TestFirstHistory is the first frame of a market that nobody followed before: history, not recovered. What comes after an
// outage without any trade is whole if the past is empty.
func TestFirstHistory(t *testing.T) {
	rec := &recorder{}
	r, s := newShard(t, Options{Listeners: []Listener{rec}}, 2)
	s.Handle(event(0, t0, &model.TradeBatch{Rows: rowsOf(-1, 10, 11), History: true}))
	if b := payloads[*model.TradeBatch](rec.take()); len(b) != 1 || b[0].Recovered || !b[0].History || len(b[0].Rows) != 3 {
		t.Fatalf("batches %+v", b)
	}
	for i := range 2 {
		s.Handle(event(1, t0, &model.TradeBatch{History: true}))
		if st, _ := r.State(1); !st.TradesHeld {
			t.Fatalf("round %d: the record of a market without trades is not held", i)
		}
		if i == 0 {
			s.Handle(event(1, t0+1, &model.Gap{Kind: model.KindTrades, From: t0, Cause: model.CauseDisconnect}))
		}
	}
	if g := payloads[*model.Gap](rec.take()); len(g) != 2 || !g[1].Filled || g[1].To <= g[1].From {
		t.Fatalf("gaps %+v", g)
	}
	// The first trades of such a market come after an outage: earlier ones may be missing.
	s.Handle(event(1, t0+2, &model.Gap{Kind: model.KindTrades, From: t0 + 2, Cause: model.CauseStale}))
	s.Handle(event(1, t0+3, &model.TradeBatch{Rows: rowsOf(5)}))
	if g := payloads[*model.Gap](rec.take()); len(g) != 2 || g[1].Filled || g[1].To != at(5) {
		t.Fatalf("gaps %+v", g)
	}
}

// TestUnsortedRows gives rows in no order and twice: listeners get each once, ascending, and the batch is not changed.
func TestUnsortedRows(t *testing.T) {
	rec := &recorder{}
	_, s := newShard(t, Options{Listeners: []Listener{rec}}, 1)
	rows := []model.Trade{{ID: 5}, {ID: 3}, {ID: 5}, {ID: 4}}
	s.Handle(event(0, t0, &model.TradeBatch{Rows: rows}))
	var ids []uint64
	for _, b := range payloads[*model.TradeBatch](rec.calls) {
		for _, r := range b.Rows {
			ids = append(ids, r.ID)
		}
	}
	if !slices.Equal(ids, []uint64{3, 4, 5}) || rows[0].ID != 5 || rows[1].ID != 3 {
		t.Fatalf("told %v of %v", ids, rows)
	}
}

// TestRecentFull adds an id below all others to a full ring.
func TestRecentFull(t *testing.T) {
	var r recent
	for id := range uint64(2 * recentIDs) {
		r.add(10 + 2*id)
	}
	if !r.add(3) || r.add(3) || !r.add(10+4*recentIDs) || len(r.ids) != recentIDs+2 || !slices.IsSorted(r.ids) {
		t.Fatalf("%d ids, first %v", len(r.ids), r.ids[:3])
	}
}
