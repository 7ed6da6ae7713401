package market

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

const (
	historyRows = 4 // of each list in the venue's first frame
	fetchRows   = 8 // of a REST answer
)

// tape is the truth: every trade of the venue.
type tape struct{ rows []model.Trade }

func (v *tape) trade(t *rapid.T, now model.Micros) model.Trade {
	r := model.Trade{ID: 100, Time: now.Millis() - 20, Recv: now}
	if n := len(v.rows); n > 0 {
		r.ID = v.rows[n-1].ID + uint64(rapid.IntRange(1, 3).Draw(t, "id step"))
	}
	if rapid.IntRange(0, 5).Draw(t, "forced") == 0 {
		r.Kind = model.KindLiquidation
	}
	v.rows = append(v.rows, r)
	return r
}

// last returns the last n trades that a list takes.
func (v *tape) last(n int, takes func(model.TradeKind) bool) (out []model.Trade) {
	for i := len(v.rows) - 1; i >= 0 && len(out) < n; i-- {
		if takes(v.rows[i].Kind) {
			out = append(out, v.rows[i])
		}
	}
	return out
}

// history is the venue's first frame: the end of both lists, merged by id as a decoder does.
func (v *tape) history() *model.TradeBatch {
	rows := v.last(historyRows, func(k model.TradeKind) bool { return k == model.KindTrade })
	rows = append(rows, v.last(historyRows, func(k model.TradeKind) bool { return k != model.KindTrade })...)
	return &model.TradeBatch{Rows: ascending(rows), History: true}
}

func (v *tape) fetch() *model.TradeBatch {
	rows := slices.Clone(v.last(fetchRows, func(model.TradeKind) bool { return true }))
	for i := range rows {
		rows[i].Recv = 0
	}
	return &model.TradeBatch{Rows: ascending(rows), History: true, REST: true}
}

// reader is a listener that holds what listeners are promised about trades.
type reader struct {
	t      *rapid.T
	truth  *tape
	told   map[uint64]bool
	stream uint64 // the last id told as live or recovered
	gaps   []model.Gap
	begin  uint64 // the last id of the first frame: what came before it is nobody's gap
}

func (l *reader) OnTick(sec model.Micros, held []Held) {
	open := len(l.gaps) > 0 && l.gaps[len(l.gaps)-1].To == 0
	for _, h := range held {
		if h.TradesHeld == open || h.View != nil {
			l.t.Fatalf("tick %d holds %+v while the gaps are %+v", sec, h, l.gaps)
		}
	}
}

func (l *reader) OnEvent(e *model.Event, v *book.View) {
	switch p := e.Payload.(type) {
	case *model.TradeBatch:
		if len(p.Rows) == 0 {
			l.t.Fatal("an empty batch")
		}
		if p.REST && !p.History || p.Recovered && !p.History {
			l.t.Fatalf("batch %+v", p)
		}
		for i, r := range p.Rows {
			if i > 0 && r.ID <= p.Rows[i-1].ID {
				l.t.Fatalf("ids do not rise: %d after %d", r.ID, p.Rows[i-1].ID)
			}
			if l.told[r.ID] {
				l.t.Fatalf("trade %d twice", r.ID)
			}
			l.told[r.ID] = true
			if !p.History || p.Recovered {
				if r.ID <= l.stream {
					l.t.Fatalf("trade %d comes as new behind %d", r.ID, l.stream)
				}
				l.stream = r.ID
			}
		}
		if !p.Recovered && p.History {
			for _, r := range p.Rows {
				if l.stream != 0 && r.ID > l.stream {
					l.t.Fatalf("new trade %d is hidden as history", r.ID)
				}
			}
			l.stream = max(l.stream, p.Rows[len(p.Rows)-1].ID)
		}
	case *model.Gap:
		if p.To == 0 {
			if n := len(l.gaps); n > 0 && l.gaps[n-1].To == 0 {
				l.t.Fatalf("gap %+v inside %+v", p, l.gaps[n-1])
			}
			l.gaps = append(l.gaps, *p)
			return
		}
		g := &l.gaps[len(l.gaps)-1]
		if g.To != 0 || g.From != p.From || g.Cause != p.Cause || p.Kind != model.KindTrades || p.To <= p.From {
			l.t.Fatalf("gap %+v ends as %+v", g, p)
		}
		*g = *p
		l.whole(g)
	}
}

// whole checks a gap's end against the truth: a filled one has no row missing, an unfilled one ends where rows go on.
func (l *reader) whole(g *model.Gap) {
	ends := false
	for _, r := range l.truth.rows {
		at := r.Time.Micros()
		ends = ends || l.told[r.ID] && at == g.To
		switch {
		case l.told[r.ID] || r.ID > l.stream || r.ID <= l.begin || at < g.From:
		case g.Filled:
			l.t.Fatalf("gap %+v is filled but trade %d at %d is missing", g, r.ID, at)
		case at > g.To:
			l.t.Fatalf("gap %+v ends before the lost trade %d at %d", g, r.ID, at)
		}
	}
	if !g.Filled && !ends {
		l.t.Fatalf("gap %+v ends unfilled where no trade is", g)
	}
}

// TestTradesUnderFaults sends a venue's trades through a bad line: repeated and swapped frames, lost connections, fetches
// that come late, refused or reach too short. No trade may come twice, and what is missing must lie in an unfilled gap.
func TestTradesUnderFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		truth := &tape{}
		l := &reader{t: t, truth: truth, told: map[uint64]bool{}}
		var wanted []uint64
		o := Options{Listeners: []Listener{l}}
		if rapid.Bool().Draw(t, "fetches") {
			o.NeedTrades = func(_ model.MarketID, after uint64) { wanted = append(wanted, after) }
		}
		r := NewRegistry(o)
		if _, err := r.Upsert([]model.Market{market(0)}); err != nil {
			t.Fatal(err)
		}
		s := r.newShard()
		now := model.Micros(1_700_000_000_000_000)
		send := func(p model.Payload) {
			s.Handle(&model.Event{Time: now.Millis() - 10, Recv: now, Payload: p})
			now += 100
		}
		live := func() *model.TradeBatch {
			b := &model.TradeBatch{}
			for range rapid.IntRange(1, 3).Draw(t, "rows") {
				b.Rows = append(b.Rows, truth.trade(t, now))
			}
			return b
		}
		outages := 0
		for range rapid.IntRange(1, 9).Draw(t, "before") {
			truth.trade(t, now)
		}
		send(truth.history())
		if n := len(truth.rows); n > 0 {
			l.begin = truth.rows[n-1].ID
		}
		for range rapid.IntRange(5, 80).Draw(t, "frames") {
			now += model.Micros(rapid.IntRange(1000, 3_000_000).Draw(t, "wait"))
			switch rapid.IntRange(0, 9).Draw(t, "fault") {
			case 0: // twice
				b := live()
				send(b)
				send(&model.TradeBatch{Rows: slices.Clone(b.Rows)})
			case 1: // swapped with the next
				a, b := live(), live()
				send(b)
				send(a)
			case 2, 3: // the socket breaks
				outages++
				send(&model.Gap{Kind: model.KindTrades, From: now - 5000, Cause: model.CauseDisconnect})
				for range rapid.IntRange(0, 12).Draw(t, "missed") {
					now += 7000
					truth.trade(t, now)
				}
				if rapid.IntRange(0, 3).Draw(t, "again") == 0 {
					continue // it breaks again before the first frame comes
				}
				send(truth.history())
			case 4: // the past is repeated without need
				if len(l.gaps) == 0 || l.gaps[len(l.gaps)-1].To != 0 {
					send(truth.history())
				}
			default:
				if n := len(l.gaps); n > 0 && l.gaps[n-1].To == 0 && len(wanted) == 0 {
					send(truth.history()) // the stream comes back as it always does
				}
				send(live())
			}
			if len(wanted) > 0 && rapid.IntRange(0, 2).Draw(t, "answered") == 0 {
				b := truth.fetch()
				if rapid.IntRange(0, 3).Draw(t, "refused") == 0 {
					b.Rows = nil
				}
				wanted = wanted[1:]
				send(b)
			}
		}
		now += second
		send(truth.history())
		for len(wanted) > 0 {
			wanted = wanted[1:]
			send(truth.fetch())
		}
		send(live())
		if n := len(l.gaps); n > 0 && l.gaps[n-1].To == 0 {
			t.Fatalf("gap %+v stays open", l.gaps[n-1])
		}
		for _, row := range truth.rows {
			if l.told[row.ID] || row.ID <= l.begin {
				continue
			}
			at := row.Time.Micros()
			if !slices.ContainsFunc(l.gaps, func(g model.Gap) bool { return !g.Filled && g.From <= at && at <= g.To }) {
				t.Fatalf("trade %d at %d is missing without a gap in %+v", row.ID, at, l.gaps)
			}
		}
		if outages == 0 && len(l.gaps) != 0 && o.NeedTrades != nil {
			t.Fatalf("gaps %+v without an outage", l.gaps)
		}
	})
}
