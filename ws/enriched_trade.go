package ws

import (
	"strconv"
	"time"

	"hyperlight/engine/model"
)

const (
	// tradesPerFrame is how many trades of an event share a frame at most.
	tradesPerFrame = 100
	// enrichedTradeBytes is about how long one of their messages is.
	enrichedTradeBytes = 720
)

// enrichedTrades publishes one message per trade. Rows belong to an event, which never changes: they are encoded by
// whoever needs the bytes first.
func (c *channel) enrichedTrades(b *model.TradeBatch, m *model.Market, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = now
	if !c.active {
		return
	}
	for rows := b.Rows; len(rows) > 0; {
		n := min(len(rows), tradesPerFrame)
		f := &Frame{channel: c, seq: c.seq + 1, more: n - 1, at: model.Millis(now.UnixMilli()), size: n * enrichedTradeBytes,
			lazy: &enrichedTrades{rows: rows[:n], market: m, recovered: b.Recovered}}
		c.seq += uint64(n)
		c.publish(now, f)
		rows = rows[n:]
	}
}

// enrichedTrades is what a frame of trades shows.
type enrichedTrades struct {
	rows      []model.Trade
	market    *model.Market
	recovered bool
}

// encode writes the messages one behind the other.
func (e *enrichedTrades) encode(f *Frame) []byte {
	c := f.channel
	b := make([]byte, 0, f.size)
	for i := range e.rows {
		var start int
		b, start = beginFrame(b)
		b = appendEnvelope(b, c.name)
		b = appendEnrichedTrade(b, &e.rows[i], e.market, &c.set.options)
		b = endFrame(appendTail(b, e.recovered, f.seq+uint64(i), f.at), start)
	}
	e.rows = nil // the event's memory is free again
	return b
}

// appendEnrichedTrade writes the data object: the Trade object, who took and who made.
func appendEnrichedTrade(dst []byte, t *model.Trade, m *model.Market, o *options) []byte {
	whale := t.USD >= o.threshold
	if !o.accounts {
		dst = t.AppendAnonymous(dst, m, whale)
		return append(dst[:len(dst)-1], `,"account":null,"maker_account":null,"taker_account":null}`...)
	}
	maker, taker := parties(t)
	dst = t.AppendJSON(dst, m, whale)
	dst = append(dst[:len(dst)-1], `,"account":`...)
	dst = strconv.AppendUint(dst, uint64(taker), 10)
	dst = append(dst, `,"maker_account":`...)
	dst = strconv.AppendUint(dst, uint64(maker), 10)
	dst = append(dst, `,"taker_account":`...)
	dst = strconv.AppendUint(dst, uint64(taker), 10)
	return append(dst, '}')
}

func parties(t *model.Trade) (maker, taker model.AccountID) {
	if t.MakerAsk {
		return t.AskAccount, t.BidAccount
	}
	return t.BidAccount, t.AskAccount
}
