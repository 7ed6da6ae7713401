package sim

import (
	"encoding/hex"
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	replayRows  = 50     // of each list in the frame that answers a subscribe
	recentRows  = 100    // most that recentTrades serves
	historyRows = 20_000 // of the whole exchange, for trades
	accountRows = 100    // an account's own last trades, for account_all
)

// trade is one fill with everything that its row tells.
type trade struct {
	fill
	market                   *market
	id, nonce                int64
	time                     int64 // us
	value                    num.USD
	takerFee, makerFee       int64
	takerBefore, makerBefore standing
	takerAfter, makerAfter   standing
}

// tapeRow is an encoded trade with what it is looked up by.
type tapeRow struct {
	id       int64
	market   *market
	ms       int64
	kind     model.TradeKind
	ask, bid int64 // accounts
	orders   [2]int64
	text     []byte
}

// tape is a ring of a market's last rows.
type tape struct {
	rows []tapeRow
	next int
}

func (t *tape) add(r tapeRow) {
	if len(t.rows) < recentRows {
		t.rows = append(t.rows, r)
		return
	}
	t.rows[t.next] = r
	t.next = (t.next + 1) % recentRows
}

// newest returns the i-th newest row.
func (t *tape) newest(i int) *tapeRow {
	return &t.rows[(t.next+len(t.rows)-1-i+len(t.rows))%len(t.rows)]
}

// record gives a booked trade its id and row and puts it on the tape, the candles and the statistics.
func (x *Exchange) record(m *market, t *trade) {
	x.lastID++
	t.id = x.lastID
	x.counts.Trades++
	row := tapeRow{id: t.id, market: m, ms: t.time / 1000, kind: t.kind, text: x.appendTrade(nil, t)}
	row.ask, row.bid, row.orders = t.taker.index, t.maker.index, [2]int64{t.takerOrder, t.makerOrder}
	if t.takerSide == model.Bid {
		row.ask, row.bid, row.orders = t.maker.index, t.taker.index, [2]int64{t.makerOrder, t.takerOrder}
	}
	m.last = t.price
	m.addCandle(t)
	m.day.add(t)
	if len(x.history) < historyRows {
		x.history = append(x.history, row)
	} else {
		x.history[x.histHead] = row
		x.histHead = (x.histHead + 1) % historyRows
	}
	for _, a := range [2]*account{t.taker, t.maker} {
		a.remember(accountRow{market: m, row: row})
	}
	if t.kind == model.KindTrade {
		m.recent.add(row)
		m.pendingNormal = append(m.pendingNormal, row)
		return
	}
	m.forced.add(row)
	m.pendingForced = append(m.pendingForced, row)
}

// appendTrade writes a row with the venue's members in the venue's order; members that are zero are left out as there.
func (x *Exchange) appendTrade(b []byte, t *trade) []byte {
	m := t.market
	ask, bid := t.taker.index, t.maker.index
	askID, bidID, askClient, bidClient := t.takerOrder, t.makerOrder, t.takerClient, t.makerClient
	if t.takerSide == model.Bid {
		ask, bid = bid, ask
		askID, bidID, askClient, bidClient = bidID, askID, bidClient, askClient
	}
	b = append(b, '{')
	b = appendIDs(b, `"trade_id":`, `,"trade_id_str":"`, t.id)
	b = append(b, `,"tx_hash":"`...)
	b = appendHash(b, t.id, t.time/1000)
	b = append(b, `","type":"`...)
	b = append(b, t.kind.String()...)
	b = appendInt(b, `","market_id":`, m.id)
	b = m.appendSize(append(b, `,"size":"`...), t.size)
	b = m.appendPrice(append(b, `","price":"`...), t.price)
	b = appendUSD(append(b, `","usd_amount":"`...), t.value)
	b = appendIDs(b, `","ask_id":`, `,"ask_id_str":"`, askID)
	b = appendIDs(b, `,"bid_id":`, `,"bid_id_str":"`, bidID)
	b = appendIDs(b, `,"ask_client_id":`, `,"ask_client_id_str":"`, askClient)
	b = appendIDs(b, `,"bid_client_id":`, `,"bid_client_id_str":"`, bidClient)
	b = appendInt(b, `,"ask_account_id":`, ask)
	b = appendInt(b, `,"bid_account_id":`, bid)
	b = append(b, `,"is_maker_ask":`...)
	b = strconv.AppendBool(b, t.takerSide == model.Bid)
	b = appendInt(b, `,"block_height":`, x.height())
	b = appendInt(b, `,"timestamp":`, t.time/1000)
	b = m.appendStanding(b, "taker", t.takerFee, t.takerBefore, t.takerAfter)
	b = m.appendStanding(b, "maker", t.makerFee, t.makerBefore, t.makerAfter)
	b = appendInt(b, `,"transaction_time":`, t.time)
	b = appendMargin(b, "taker", t.takerBefore, t.takerAfter)
	b = appendMargin(b, "maker", t.makerBefore, t.makerAfter)
	return append(b, '}')
}

// appendStanding writes one side's fee and position before the trade.
func (m *market) appendStanding(b []byte, role string, fee int64, was, is standing) []byte {
	if fee != 0 {
		b = appendInt(append(append(b, `,"`...), role...), `_fee":`, fee)
	}
	b = m.appendSize(append(append(append(b, `,"`...), role...), `_position_size_before":"`...), was.size)
	b = appendUSD(append(append(append(b, `","`...), role...), `_entry_quote_before":"`...), was.entry)
	b = append(append(b, `","`...), role...)
	b = appendInt(b, `_initial_margin_fraction_before":`, was.fraction)
	if sign(was.size) != sign(is.size) {
		b = append(append(append(b, `,"`...), role...), `_position_sign_changed":true`...)
	}
	return b
}

// appendMargin writes the margin of an isolated position before and after the trade.
func appendMargin(b []byte, role string, was, is standing) []byte {
	if was.allocated != 0 {
		b = appendInt(append(append(b, `,"`...), role...), `_allocated_margin_usdc_before":`, int64(was.allocated))
	}
	if is.allocated != 0 {
		b = appendInt(append(append(b, `,"`...), role...), `_allocated_margin_usdc_after":`, int64(is.allocated))
	}
	return b
}

// flushTrades publishes the trades of one taker order in one frame, newest first, forced ones in their own list.
func (x *Exchange) flushTrades(m *market) {
	if len(m.pendingNormal) == 0 && len(m.pendingForced) == 0 {
		return
	}
	key := "trade:" + strconv.FormatInt(m.id, 10)
	if x.hub.wanted(key) {
		b := append(x.buf[:0], `{"channel":"`...)
		b = append(b, key...)
		b = append(b, `","liquidation_trades":[`...)
		b = appendNewestFirst(b, m.pendingForced)
		b = appendInt(b, `],"nonce":`, x.nonce)
		b = append(b, `,"trades":[`...)
		b = appendNewestFirst(b, m.pendingNormal)
		b = append(b, `],"type":"update/trade"}`...)
		x.hub.publish(key, b)
		x.buf = b
	}
	x.counts.TradeFrames++
	m.pendingNormal, m.pendingForced = m.pendingNormal[:0], m.pendingForced[:0]
}

func appendNewestFirst(b []byte, rows []tapeRow) []byte {
	for i := len(rows) - 1; i >= 0; i-- {
		b = append(b, rows[i].text...)
		if i > 0 {
			b = append(b, ',')
		}
	}
	return b
}

// appendNewest writes a tape's last n rows, newest first.
func (t *tape) appendNewest(b []byte, n int) []byte {
	for i := range min(n, len(t.rows)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, t.newest(i).text...)
	}
	return b
}

// appendHash writes a transaction hash of the venue's common form: a number, the time, zeros; 80 hex digits.
func appendHash(b []byte, n, ms int64) []byte {
	var raw [40]byte
	for i := range 8 {
		raw[7-i] = byte(n >> (8 * i))
		raw[15-i] = byte(ms >> (8 * i))
	}
	return hex.AppendEncode(b, raw[:])
}
