package ws

import (
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/replay"
)

// replayEncoder writes events in a replay's format. It is used by the player's goroutine.
type replayEncoder struct {
	req   *replayRequest
	seqs  map[string]uint64 // format live: frames sent per channel
	names map[model.MarketID]*liveNames

	native     *Native // the venue's encoders, for format native
	batch      model.TradeBatch
	bids, asks []model.Level // working memory: the levels of a whole book

	sent model.Millis // the time that tail says
	tail []byte       // the end of a message: at "max" a thousand of them are sent in a millisecond
}

// liveNames are a market's channel names in format live.
type liveNames struct{ book, trade, stats, funding string }

// of returns the channel of an event. A hole is told on the channel of its record.
func (n *liveNames) of(ev *replay.Event) string {
	kind := ev.Kind
	if kind == replay.Gap {
		kind = gapKinds[ev.Gap.Kind]
	}
	switch kind {
	case replay.Trade:
		return n.trade
	case replay.Stats:
		return n.stats
	case replay.Funding:
		return n.funding
	default:
		return n.book
	}
}

// gapKinds are the events of a record, by the kind of record.
var gapKinds = [...]replay.Kind{model.KindBook: replay.BookUpdate, model.KindTrades: replay.Trade, model.KindStats: replay.Stats}

func newReplayEncoder(req *replayRequest, native *Native) *replayEncoder {
	e := &replayEncoder{req: req, native: native, seqs: map[string]uint64{}, names: map[model.MarketID]*liveNames{}}
	for _, m := range req.source.Markets {
		id := strconv.FormatInt(m.Native, 10)
		e.names[m.ID] = &liveNames{book: bookFamily.name + "/" + id, trade: tradeFamily.name + "/" + id,
			stats: replay.Stats.String() + "/" + id, funding: replay.Funding.String() + "/" + id}
	}
	return e
}

// append writes an event as one message.
func (e *replayEncoder) append(b []byte, ev *replay.Event, now model.Millis) []byte {
	switch e.req.format {
	case formatNative:
		return e.appendNative(b, ev)
	case formatLive:
		b = e.appendLive(b, ev)
	default:
		b = e.appendEvent(b, ev)
	}
	b = append(b, `,"ts":`...)
	b = num.Append(b, int64(ev.TS.Millis()), 0)
	if now != e.sent || e.tail == nil {
		e.sent = now
		e.tail = append(num.Append(append(e.tail[:0], `,"replay_ts":`...), int64(now), 0), '}')
	}
	return append(b, e.tail...)
}

// appendEvent writes a replay_event up to its data.
func (e *replayEncoder) appendEvent(b []byte, ev *replay.Event) []byte {
	switch ev.Kind {
	case replay.Trade:
		b = append(b, `{"type":"replay_event","event_type":"trade","data":{"market_id":`...)
		b = appendReplayTrade(b, ev.Market, ev.Trade)
	case replay.Liquidation:
		b = append(b, `{"type":"replay_event","event_type":"liquidation","data":`...)
		b = ev.Trade.AppendLiquidation(b, ev.Market)
	case replay.Funding:
		b = append(b, `{"type":"replay_event","event_type":"funding","data":`...)
		b = appendFunding(b, ev.Market, ev.Funding)
	case replay.Stats:
		b = append(b, `{"type":"replay_event","event_type":"market_stats","data":`...)
		b = appendStats(b, ev.Market, ev.Stats, ev.TS)
	case replay.BookUpdate:
		b = append(b, `{"type":"replay_event","event_type":"order_book","data":{"market_id":`...)
		b = appendReplayUpdate(b, ev)
	case replay.Snapshot:
		b = e.appendSnapshot(b, ev)
	case replay.Gap:
		b = append(b, `{"type":"replay_event","event_type":"gap","data":{"market_id":`...)
		b = strconv.AppendInt(b, ev.Market.Native, 10)
		b = append(b, `,"kind":"`...)
		b = append(b, ev.Gap.Kind.String()...)
		b = append(b, `","from":`...)
		b = strconv.AppendInt(b, int64(ev.Gap.From.Millis()), 10)
		b = append(b, `,"to":`...)
		b = appendEnd(b, ev.Gap.To)
		b = append(b, `,"reason":"`...)
		b = append(b, ev.Gap.Cause.String()...)
		b = append(b, `"}`...)
	}
	return b
}

func appendReplayTrade(b []byte, m *model.Market, t *model.Trade) []byte {
	ps, ss := m.ScaleAt(t.Epoch)
	b = strconv.AppendInt(b, m.Native, 10)
	b = append(b, `,"trade_id":`...)
	b = num.AppendUint(b, t.ID)
	b = append(b, `,"price":"`...)
	b = num.Append(b, int64(t.Price), ps)
	b = append(b, `","size":"`...)
	b = num.Append(b, int64(t.Size), ss)
	if t.TakerBuys() {
		b = append(b, `","side":"buy","type":"`...)
	} else {
		b = append(b, `","side":"sell","type":"`...)
	}
	b = append(b, t.Kind.String()...)
	b = append(b, `","usd_amount":"`...)
	b = num.Append(b, int64(t.USD), num.USDScale)
	b = append(b, `","ask_account_id":`...)
	b = num.AppendUint(b, uint64(t.AskAccount))
	b = append(b, `,"bid_account_id":`...)
	b = num.AppendUint(b, uint64(t.BidAccount))
	b = append(b, `,"recv_ts":`...)
	return append(appendRecv(b, t.Recv), '}')
}

// appendRecv writes a receive time, null for rows that were fetched later.
func appendRecv(b []byte, recv model.Micros) []byte {
	if recv == 0 {
		return append(b, "null"...)
	}
	return num.Append(b, int64(recv), 0)
}

func appendReplayUpdate(b []byte, ev *replay.Event) []byte {
	u := &ev.Row.Update
	ps, ss := ev.Market.ScaleAt(ev.Row.Epoch)
	b = strconv.AppendInt(b, ev.Market.Native, 10)
	b = append(b, `,"bids":[`...)
	b = appendPairs(b, u.Bids, ps, ss)
	b = append(b, `],"asks":[`...)
	b = appendPairs(b, u.Asks, ps, ss)
	b = append(b, `],"nonce":`...)
	b = num.AppendUint(b, u.Seq)
	b = append(b, `,"begin_nonce":`...)
	b = num.AppendUint(b, u.Prev)
	b = append(b, `,"timestamp":`...)
	if ev.Row.Time == 0 {
		b = append(b, "null"...)
	} else {
		b = num.Append(b, int64(ev.Row.Time), 0)
	}
	b = append(b, `,"recv_ts":`...)
	return append(appendRecv(b, ev.Row.Recv), '}')
}

// appendPairs writes the levels of an update; size "0" removes.
func appendPairs(b []byte, levels []model.Level, ps, ss uint8) []byte {
	for i, l := range levels {
		if i > 0 {
			b = append(b, ',')
		}
		if l.Size != 0 {
			b = l.AppendPair(b, ps, ss)
			continue
		}
		b = append(b, `["`...)
		b = num.Append(b, int64(l.Price), ps)
		b = append(b, `","0"]`...)
	}
	return b
}

// appendSnapshot writes an orderbook_snapshot. The marks of a start state and of a book received again stand on the event
// and in its data: whoever keeps only the data needs them too.
func (e *replayEncoder) appendSnapshot(b []byte, ev *replay.Event) []byte {
	mark, depth := "", e.req.depth
	switch {
	case ev.Initial:
		mark, depth = `"initial":true,`, e.req.fullDepth
	case ev.Resync:
		mark, depth = `"resync":true,`, 0
	}
	top := ev.Top
	if top == nil {
		v := ev.View
		e.bids, e.asks = v.Append(e.bids[:0], model.Bid, depth), v.Append(e.asks[:0], model.Ask, depth)
		top = &replay.Top{Bids: e.bids, Asks: e.asks, Seq: v.Seq, Epoch: v.Epoch}
	}
	ps, ss := ev.Market.ScaleAt(top.Epoch)
	b = append(b, `{"type":"replay_event","event_type":"orderbook_snapshot",`...)
	b = append(b, mark...)
	b = append(b, `"data":{"market_id":`...)
	b = strconv.AppendInt(b, ev.Market.Native, 10)
	b = append(b, ',')
	b = append(b, mark...)
	b = append(b, `"bids":[`...)
	b = appendPairs(b, top.Bids, ps, ss)
	b = append(b, `],"asks":[`...)
	b = appendPairs(b, top.Asks, ps, ss)
	b = append(b, `],"best_bid":`...)
	bid, hasBid := first(top.Bids)
	b = appendPrice(b, bid.Price, ps, hasBid)
	b = append(b, `,"best_ask":`...)
	ask, hasAsk := first(top.Asks)
	b = appendPrice(b, ask.Price, ps, hasAsk)
	b = append(b, `,"spread":`...)
	b = appendPrice(b, ask.Price-bid.Price, ps, hasBid && hasAsk)
	b = append(b, `,"nonce":`...)
	b = num.AppendUint(b, top.Seq)
	return append(b, '}')
}

// first returns the best of a side's levels.
func first(levels []model.Level) (model.Level, bool) {
	if len(levels) == 0 {
		return model.Level{}, false
	}
	return levels[0], true
}

func appendPrice(b []byte, p num.Price, ps uint8, known bool) []byte {
	if !known {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = num.Append(b, int64(p), ps)
	return append(b, '"')
}

// appendLive writes the frame that /ws sends for the event, without its last brace.
func (e *replayEncoder) appendLive(b []byte, ev *replay.Event) []byte {
	name := e.names[ev.Market.ID].of(ev)
	e.seqs[name]++
	seq, at := e.seqs[name], ev.TS.Millis()
	switch ev.Kind {
	case replay.Trade:
		b, _ = appendTradeFrame(b, name, ev.Market, tradeFrame{trade: ev.Trade, seq: seq, at: at})
	case replay.BookUpdate:
		b, _ = appendBookFrame(b, name, ev.Market, bookFrame{update: &ev.Row.Update, epoch: ev.Row.Epoch, seq: seq, at: at})
	case replay.Snapshot:
		b, _ = appendBookFrame(b, name, ev.Market, bookFrame{view: ev.View, depth: e.req.fullDepth, seq: seq, at: at})
	case replay.Stats, replay.Funding:
		b = appendLiveRow(b, name, ev, seq)
	case replay.Gap:
		b = appendGapFrame(b, name, ev.Gap, seq, at)
	}
	return b[:len(b)-1]
}
