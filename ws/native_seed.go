package ws

import (
	"context"
	"strings"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// How far back the store is read for the trades that a subscriber gets first, and for how long.
const (
	seedReach = model.Millis(24 * time.Hour / time.Millisecond)
	seedRows  = 5000
	seedTime  = 2 * time.Second
)

// seed completes a market's tape from the store: after a start the venue's own history holds only rows that the store
// has, and those do not come again as events. It is called by readers, without a lock held while the store is read.
func (s *Server) seed(c *nativeChannel) {
	c.mu.Lock()
	short, m := c.trades.short(), c.market.Load()
	c.mu.Unlock()
	if c.family != nativeTrade || !short || s.o.History == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, seedTime)
	defer cancel()
	now := model.Millis(s.o.Now().UnixMilli())
	var stored tape
	rows := 0
	for t, err := range s.o.History.Trades(ctx, m.ID, history.Span{From: now - seedReach, To: now + 1}, history.TradeQuery{Columns: record.All, Reverse: true}) {
		if err != nil {
			s.o.Logger.Warn("recent trades not read", "market", m.ID, "error", err)
			return
		}
		row := *t
		row.TxHash, row.Extra = strings.Clone(t.TxHash), strings.Clone(t.Extra) // t is the reader's
		stored.insert(&row)
		rows++
		if rows == seedRows || len(stored.lists[0]) >= tapeRows && len(stored.lists[1]) >= tapeRows {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trades.seeded = true
	for i := range stored.lists {
		for j := range stored.lists[i] {
			c.trades.insert(&stored.lists[i][j])
		}
	}
}
