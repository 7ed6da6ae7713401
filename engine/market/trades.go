package market

import (
	"cmp"
	"slices"

	"hyperlight/engine/model"
)

// trades is the state of a market's trade record.
type trades struct {
	lastID   uint64       // the greatest id told, or stored before the start
	lastTime model.Millis // its time at the venue, 0 where unknown
	recent   recent
	live     bool // a batch came since the start
	gap      *tradeGap
}

// held tells whether the record is whole up to now.
func (t *trades) held() bool { return t.live && t.gap == nil }

// onTrades tells the rows of a batch that are new, each once and ascending by id: those behind the last one as they came
// or, where the batch repeats the past, as recovered; older ones as history, which the store merges.
func (s *Shard) onTrades(st *state, e *model.Event, b *model.TradeBatch) {
	t := &st.trades
	repeats := b.History || b.REST
	rows := ascending(b.Rows)
	after, first := t.lastID, t.lastID == 0
	if b.History && !b.REST && t.gap == nil && !first && t.lastTime != 0 && !bridges(b, after) {
		// The stream began anew without anybody telling that it had stopped.
		s.loseTrades(st, e, e.Recv, model.CauseDisconnect)
	}
	t.live = true

	split, _ := slices.BinarySearchFunc(rows, after+1, func(r model.Trade, id uint64) int { return cmp.Compare(r.ID, id) })
	if first {
		split = 0
	}
	old, fresh := t.unseen(rows[:split]), t.unseen(rows[split:])
	tradesRepeated.Add(len(b.Rows) - len(old) - len(fresh))
	if n := len(fresh); n > 0 {
		t.lastID, t.lastTime = fresh[n-1].ID, fresh[n-1].Time
	}
	s.tellTrades(st, e, b, old, true, false)
	s.tellTrades(st, e, b, fresh, repeats, repeats && !first)
	s.closeTrades(st, e, b, rows)
	st.tradesOK.Store(t.held())
}

// tellTrades tells rows as a batch of their own, or as the batch they came in where that says the same.
func (s *Shard) tellTrades(st *state, e *model.Event, b *model.TradeBatch, rows []model.Trade, history, recovered bool) {
	if len(rows) == 0 {
		return
	}
	tradesIngested.Add(len(rows))
	if recovered {
		tradesRecovered.Add(len(rows))
	}
	if len(rows) == len(b.Rows) && &rows[0] == &b.Rows[0] && b.History == history && b.Recovered == recovered {
		s.tell(e, nil)
		return
	}
	c := *e
	c.Payload = &model.TradeBatch{Rows: rows, History: history, REST: b.REST, Recovered: recovered, Nonce: b.Nonce}
	s.tell(&c, nil)
}

// unseen returns the rows whose ids are not remembered, and remembers them. Without a repetition it is the same slice.
func (t *trades) unseen(rows []model.Trade) []model.Trade {
	for i := range rows {
		if t.recent.add(rows[i].ID) {
			continue
		}
		kept := slices.Clone(rows[:i])
		for _, r := range rows[i+1:] {
			if t.recent.add(r.ID) {
				kept = append(kept, r)
			}
		}
		return kept
	}
	return rows
}

// ascending returns the rows by ascending id; decoders usually send them so. It never changes the given slice.
func ascending(rows []model.Trade) []model.Trade {
	byID := func(a, b model.Trade) int { return cmp.Compare(a.ID, b.ID) }
	for i := 1; i < len(rows); i++ {
		if rows[i].ID < rows[i-1].ID {
			rows = slices.Clone(rows)
			slices.SortStableFunc(rows, byID)
			break
		}
	}
	return rows
}
