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
	nextID  uint64       // the trade from which on the record is whole again, 0 where none came yet
	next    model.Millis // its time
}

// see notes from which trade on the record is whole again, as far as a batch shows it.
func (g *tradeGap) see(b *model.TradeBatch) {
	from := wholeFrom(b, g.after)
	if from != nil && (g.nextID == 0 || from.ID < g.nextID) {
		g.nextID, g.next = from.ID, from.Time
	}
}

// wholeFrom returns the trade with which a batch begins to hold every trade, nil where all lists begin at or before after.
// Each list is whole from its first row on, all of them together from the latest of these.
func wholeFrom(b *model.TradeBatch, after uint64) (from *model.Trade) {
	for _, first := range lists(b) {
		if first != nil && first.ID > after && (from == nil || first.ID > from.ID) {
			from = first
		}
	}
	return from
}

// WholeFrom returns the venue's time from which on a batch with rows holds every trade.
func WholeFrom(b *model.TradeBatch) model.Millis {
	if t := wholeFrom(b, 0); t != nil {
		return t.Time
	}
	return b.Rows[len(b.Rows)-1].Time
}

// loseTrades ends the trade record: rows may be missing from now on. The gap begins, on the venue's clock, at the last
// trade held; a record that has not begun has none.
func (s *Shard) loseTrades(st *state, e *model.Event, from model.Micros, cause model.Cause) {
	t := &st.trades
	if g := t.gap; g != nil {
		*g = tradeGap{Gap: g.Gap, after: g.after, down: true}
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
	if !g.down {
		g.see(b)
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

// bridges tells whether a batch of the past reaches back to a trade. Each list that it was made of must.
func bridges(b *model.TradeBatch, after uint64) bool {
	if after == 0 || len(b.Rows) == 0 {
		return false
	}
	for _, first := range lists(b) {
		if first != nil && first.ID > after {
			return false
		}
	}
	return true
}

// lists returns the first row of each list that a batch was merged from, nil for one without rows, which has none to miss
// either. The venue's first frame has the last rows of two lists, ordinary trades and forced ones, of which the rarer go
// further back; of a kind that could stand in both nothing is concluded. Any other batch is one list.
func lists(b *model.TradeBatch) (first [2]*model.Trade) {
	least := func(l **model.Trade, r *model.Trade) {
		if *l == nil || r.ID < (*l).ID {
			*l = r
		}
	}
	for i := range b.Rows {
		r := &b.Rows[i]
		switch {
		case b.REST || !b.History || r.Kind == model.KindTrade:
			least(&first[0], r)
		case r.Kind == model.KindLiquidation || r.Kind == model.KindDeleverage:
			least(&first[1], r)
		}
	}
	return first
}
