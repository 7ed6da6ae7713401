package market

import "hyperlight/engine/model"

// restore takes over what the store knew at the start.
func (st *state) restore(start *Start) {
	st.trades.lastID, st.trades.lastTime = start.LastTradeID, start.LastTradeTime
	if g := start.BookGap; g != nil {
		c := *g
		st.bookGap, st.bookRecv = &c, g.From
		st.gapCause.Store(uint32(g.Cause))
		st.gapSince.Store(int64(g.From))
	}
	if g := start.TradeGap; g != nil {
		st.trades.gap = &tradeGap{Gap: *g, after: start.LastTradeID, down: true}
	}
	if g := start.StatsGap; g != nil {
		c := *g
		st.statsGap, st.statsRecv = &c, g.From
	}
}

// onGap takes a gap that the feed found: the record of one kind ends at From. Where it had ended already, or had not begun,
// nothing is told.
func (s *Shard) onGap(st *state, e *model.Event, g *model.Gap) {
	from := min(g.From, e.Recv)
	switch g.Kind {
	case model.KindBook:
		st.asking, st.wanted = false, false // whoever lost the stream subscribes again
		s.loseBook(st, e, max(from, st.bookRecv), g.Cause)
	case model.KindTrades:
		s.loseTrades(st, e, from, g.Cause)
	case model.KindStats:
		if st.statsGap == nil && st.statsRecv != 0 {
			st.statsGap = &model.Gap{Kind: model.KindStats, From: max(from, st.statsRecv), Cause: g.Cause}
			countGap(st.statsGap)
			s.tellGap(st, e, st.statsGap)
		}
	}
}

// onStats passes statistics on; the first after a gap ends it.
func (s *Shard) onStats(st *state, e *model.Event) {
	if g := st.statsGap; g != nil {
		st.statsGap = nil
		g.To = max(e.Recv, g.From+1)
		s.tellGap(st, e, g)
	}
	st.statsRecv = e.Recv
	s.tell(e, nil)
}

// tellGap tells the listeners of a gap as it stands: of its beginning while To is 0, else of its end.
func (s *Shard) tellGap(st *state, cause *model.Event, g *model.Gap) {
	if g.Filled {
		gapsClosedFilled.Inc()
	}
	c := *g
	s.tell(&model.Event{Market: st.id, Epoch: cause.Epoch, Time: cause.Time, Recv: cause.Recv, Payload: &c}, nil)
}
