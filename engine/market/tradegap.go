package market

import "hyperlight/engine/model"

// tradeGap is an open gap of a market's trades. Streams of trades have no chain: a gap is closed by a batch of the past
// that reaches back to the last trade before it, or by learning that no such batch is to be had.
type tradeGap struct {
	model.Gap
	after   uint64       // the last trade before the gap; 0 where there was none
	down    bool         // the stream has not come back yet
	asked   bool         // older trades were asked for
	refused bool         // and are not to be had
	nextID  uint64       // the earliest trade seen behind the gap, 0 where none yet
	next    model.Millis // its time
}

// see remembers the earliest trade behind the gap.
func (g *tradeGap) see(rows []model.Trade) {
	for i := range rows {
		if r := &rows[i]; r.ID > g.after && (g.nextID == 0 || r.ID < g.nextID) {
			g.nextID, g.next = r.ID, r.Time
		}
	}
}

// loseTrades ends the trade record: rows may be missing from now on. The gap begins, on the venue's clock, at the last
// trade held; a record that has not begun has none.
func (s *Shard) loseTrades(st *state, e *model.Event, from model.Micros, cause model.Cause) {
	t := &st.trades
	if g := t.gap; g != nil {
		g.down, g.asked, g.refused = true, false, false
		return
	}
	if !t.live && t.lastID == 0 {
		return
	}
	if t.lastTime != 0 {
		from = t.lastTime.Micros()
	}
	t.gap = &tradeGap{Gap: model.Gap{Kind: model.KindTrades, From: from, Cause: cause}, after: t.lastID, down: true}
	st.tradesOK.Store(false)
	countGap(&t.gap.Gap)
	s.tellGap(st, e, &t.gap.Gap)
}

// closeTrades decides, after the rows of a batch were told, whether an open gap ends. A gap ends filled where the batch
// reaches back to its beginning; unfilled, at the first trade behind it, where nobody has the missing rows.
func (s *Shard) closeTrades(st *state, e *model.Event, b *model.TradeBatch, rows []model.Trade) {
	g := st.trades.gap
	if g == nil {
		return
	}
	if !b.REST {
		g.down = false
	}
	if (b.History || b.REST) && bridges(b, g.after) {
		if n := len(rows); g.down {
			// The fetch closed the gap as far as it reaches, but the stream is still away.
			if rows[n-1].ID > g.after {
				g.after, g.nextID, g.next = rows[n-1].ID, 0, 0
			}
			return
		}
		s.endTrades(st, e, true)
		return
	}
	if g.down {
		return
	}
	switch {
	case b.REST, s.r.o.NeedTrades == nil, g.after == 0:
		g.refused = true
	case !g.asked:
		g.asked = true
		s.r.o.NeedTrades(st.id, g.after)
	}
	if g.refused && (g.nextID != 0 || g.after == 0 && b.History) {
		s.endTrades(st, e, g.nextID == 0) // a past without any row: nothing was missed
	}
}

// endTrades closes the gap: a filled one where the record is whole again, an unfilled one at the first trade behind it.
func (s *Shard) endTrades(st *state, e *model.Event, filled bool) {
	t := &st.trades
	g := t.gap
	t.gap = nil
	g.Filled = filled
	switch {
	case filled && t.lastID > g.after:
		g.To = t.lastTime.Micros()
	case !filled && g.nextID != 0:
		g.To = g.next.Micros()
	case e.Time != 0:
		g.To = e.Time.Micros()
	default:
		g.To = e.Recv
	}
	g.To = max(g.To, g.From+1)
	s.tellGap(st, e, &g.Gap)
}

// bridges tells whether a batch of the past reaches back to a trade: each list it was made of must, because the venue's
// first frame has the last rows of two lists, ordinary trades and forced ones, and the rarer ones go further back. A list
// without rows has none to miss. A fetched batch is one list.
func bridges(b *model.TradeBatch, after uint64) bool {
	if after == 0 || len(b.Rows) == 0 {
		return false
	}
	var ordinary, forced, all uint64 // least ids, 0 where the list is empty
	least := func(l *uint64, id uint64) {
		if *l == 0 || id < *l {
			*l = id
		}
	}
	for i := range b.Rows {
		r := &b.Rows[i]
		least(&all, r.ID)
		switch r.Kind {
		case model.KindTrade:
			least(&ordinary, r.ID)
		case model.KindLiquidation, model.KindDeleverage:
			least(&forced, r.ID)
		}
	}
	if b.REST {
		return all <= after
	}
	return all <= after && ordinary <= after && forced <= after
}
