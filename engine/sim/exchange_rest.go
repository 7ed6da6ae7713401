package sim

import (
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const ok200 = `{"code":200`

// answer serves the reads that come from the exchange's state.
func (x *Exchange) answer(b []byte, name string, q query) ([]byte, *venueError) {
	switch name {
	case "orderBooks", "orderBookDetails":
		id, ok := q.int("market_id", 255)
		if !ok || id != 255 && x.byID[id] == nil {
			return nil, errInvalidParam
		}
		return appendMarkets(b, x.markets, id, q.text("filter"), name == "orderBookDetails")
	case "orderBookOrders":
		return x.answerOrders(b, q)
	case "recentTrades":
		return x.answerRecent(b, q)
	case "trades":
		return x.answerTrades(b, q)
	case "candles":
		return x.answerCandles(b, q)
	case "fundings":
		return x.answerFundings(b, q)
	case "funding-rates":
		return x.answerFundingRates(b), nil
	case "exchangeStats":
		return x.answerExchangeStats(b), nil
	case "exchangeMetrics":
		return x.answerExchangeMetrics(b, q)
	case "currentHeight":
		return append(appendInt(b, `{"code":200,"height":`, x.height()), '}'), nil
	case "account", "accountMetadata":
		return x.answerAccount(b, q, name == "accountMetadata")
	case "accountsByL1Address":
		return x.answerByAddress(b, q)
	case "accountActiveOrders":
		return x.answerActiveOrders(b, q)
	case "accountInactiveOrders":
		return append(b, `{"code":200,"orders":[]}`...), nil
	case "accountLimits":
		return append(b, `{"code":200,"max_llp_percentage":100,"max_llp_amount":"0.000000","user_tier":"standard","can_create_public_pool":false,"user_tier_name":"standard","current_maker_fee_tick":0,"current_taker_fee_tick":0,"leased_lit":"0.00000000","effective_lit_stakes":"0.00000000","user_tier_last_update":0}`...), nil
	case "positionFunding":
		return x.answerPositionFunding(b, q)
	case "liquidations":
		return append(b, `{"code":200,"liquidations":[]}`...), nil
	case "apikeys":
		return x.answerKeys(b, q)
	case "publicPoolsMetadata":
		return append(b, `{"code":200,"public_pools":[]}`...), nil
	}
	if b, e, ok := x.answerChain(b, name, q); ok {
		return b, e
	}
	return nil, errNotFound
}

// market reads a required market_id.
func (x *Exchange) market(q query) (*market, *venueError) {
	id, ok := q.int("market_id", -1)
	m := x.byID[id]
	if !ok || m == nil {
		return nil, errInvalidParam
	}
	return m, nil
}

// answerOrders lists the best resting orders of each side, in price-time priority, with their owners.
func (x *Exchange) answerOrders(b []byte, q query) ([]byte, *venueError) {
	m, e := x.market(q)
	limit, ok := q.limit(250)
	if e != nil || !ok {
		return nil, errInvalidParam
	}
	rows := func(b []byte, s *side) ([]byte, int64) {
		n := 0
		for i := len(s.levels) - 1; i >= 0 && n < limit; i-- {
			for o := s.levels[i].head; o != nil && n < limit; o = o.next {
				if n > 0 {
					b = append(b, ',')
				}
				n++
				b = appendIDs(b, `{"order_index":`, `,"order_id":"`, o.index)
				b = appendInt(b, `,"owner_account_index":`, o.owner.index)
				b = m.appendSize(append(b, `,"initial_base_amount":"`...), o.initial)
				b = m.appendSize(append(b, `","remaining_base_amount":"`...), o.left)
				b = m.appendPrice(append(b, `","price":"`...), o.price)
				b = append(appendInt(b, `","order_expiry":`, o.expiry), `,"transaction_time":0}`...)
			}
		}
		return b, int64(n)
	}
	asks, n := rows(nil, &m.asks)
	b = appendInt(b, `{"code":200,"total_asks":`, n)
	b = append(append(b, `,"asks":[`...), asks...)
	bids, n := rows(nil, &m.bids)
	b = appendInt(b, `],"total_bids":`, n)
	b = append(append(b, `,"bids":[`...), bids...)
	return append(b, `]}`...), nil
}

// answerRecent lists a market's last trades of every kind, newest first.
func (x *Exchange) answerRecent(b []byte, q query) ([]byte, *venueError) {
	m, e := x.market(q)
	limit, ok := q.limit(recentRows)
	if e != nil || !ok {
		return nil, errInvalidParam
	}
	b = append(b, `{"code":200,"trades":[`...)
	i, j := 0, 0
	for n := range limit {
		var r *tapeRow
		switch a, f := i < len(m.recent.rows), j < len(m.forced.rows); {
		case a && (!f || m.recent.newest(i).id > m.forced.newest(j).id):
			r = m.recent.newest(i)
			i++
		case f:
			r = m.forced.newest(j)
			j++
		default:
			return append(b, `]}`...), nil
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, r.text...)
	}
	return append(b, `]}`...), nil
}

func (x *Exchange) answerFundingRates(b []byte) []byte {
	b = append(b, `{"code":200,"funding_rates":[`...)
	first := true
	for _, exchange := range [4]string{"binance", "bybit", "hyperliquid", "lighter"} {
		for _, m := range x.markets {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = appendInt(b, `{"market_id":`, m.id)
			b = append(append(b, `,"exchange":"`...), exchange...)
			b = model.AppendString(append(b, `","symbol":`...), m.symbol)
			b = append(appendNumber(b, `,"rate":`, int64(8*m.rateNow()), num.RateScale), '}')
		}
	}
	return append(b, `]}`...)
}

func (x *Exchange) answerExchangeStats(b []byte) []byte {
	var quote num.USD
	var trades int64
	b = appendInt(b, `{"code":200,"total":`, int64(len(x.markets)))
	b = append(b, `,"order_book_stats":[`...)
	for i, m := range x.markets {
		if i > 0 {
			b = append(b, ',')
		}
		d := &m.stats.day
		quote += d.quote
		trades += d.trades
		b = model.AppendString(append(b, `{"symbol":`...), m.symbol)
		b = appendNumber(b, `,"last_trade_price":`, int64(m.last), m.priceDecimals())
		b = appendInt(b, `,"daily_trades_count":`, d.trades)
		b = appendNumber(b, `,"daily_base_token_volume":`, int64(d.base), m.sizeDecimals)
		b = appendNumber(b, `,"daily_quote_token_volume":`, int64(d.quote), num.USDScale)
		b = append(appendNumber(b, `,"daily_price_change":`, d.change(m.last), 12), '}')
	}
	b = appendNumber(b, `],"daily_usd_volume":`, int64(quote), num.USDScale)
	return append(appendInt(b, `,"daily_trades_count":`, trades), '}')
}

// span reads start_timestamp, end_timestamp and count_back; times may be seconds or milliseconds.
func (q query) span() (from, to int64, back int, e *venueError) {
	from, ok1 := q.int("start_timestamp", 0)
	to, ok2 := q.int("end_timestamp", 0)
	n, ok3 := q.int("count_back", 0)
	if !ok1 || !ok2 || !ok3 || from < 0 || to < 0 || to > 5_000_000_000_000 || from > 5_000_000_000_000 {
		return 0, 0, 0, errInvalidTimestamp
	}
	const inSeconds = 100_000_000_000
	if from < inSeconds {
		from *= 1000
	}
	if to < inSeconds {
		to *= 1000
	}
	if to <= from {
		return 0, 0, 0, errInvalidTimestamps
	}
	return from, to, int(n), nil
}

// answerCandles serves at most 500 bars, oldest first. The time range wins over a smaller count_back.
func (x *Exchange) answerCandles(b []byte, q query) ([]byte, *venueError) {
	m, e := x.market(q)
	if e != nil {
		return nil, e
	}
	i := resolutionPlace(q.text("resolution"))
	if i < 0 {
		return nil, errInvalidResolution
	}
	return m.appendBars(b, q, i, &m.candles[i], false)
}

// appendBars answers with the bars of a ring that begin in the asked time, oldest first.
func (m *market) appendBars(b []byte, q query, i int, ring *candleRing, marks bool) ([]byte, *venueError) {
	from, to, _, e := q.span()
	if e != nil {
		return nil, e
	}
	b = append(append(b, `{"code":200,"r":"`...), resolutionList[i]...)
	b = append(b, `","c":[`...)
	n := 0
	for k := range ring.rows {
		c := &ring.rows[k]
		if c.start < from || c.start > to || n == 500 {
			continue
		}
		if n > 0 {
			b = append(b, ',')
		}
		n++
		b = m.appendCandle(b, c, marks)
	}
	return append(b, `]}`...), nil
}

func (x *Exchange) answerFundings(b []byte, q query) ([]byte, *venueError) {
	m, e := x.market(q)
	if e != nil {
		return nil, e
	}
	res := q.text("resolution")
	if res != "1h" && res != "1d" {
		return nil, errInvalidResolution
	}
	from, to, _, e := q.span()
	if e != nil {
		return nil, e
	}
	b = append(append(b, `{"code":200,"resolution":"`...), res...)
	b = append(b, `","fundings":[`...)
	n := 0
	for _, r := range m.funding.settled {
		if r.second*1000 < from || r.second*1000 > to || res == "1d" && r.second%86400 != 0 {
			continue
		}
		if n++; n > 750 {
			break
		}
		if n > 1 {
			b = append(b, ',')
		}
		b = appendInt(b, `{"timestamp":`, r.second)
		b = num.AppendTrim(append(b, `,"value":"`...), int64(r.mark)*int64(abs(r.rate)/hourTicks), m.priceDecimals()+6)
		b = appendPercent(append(b, `","rate":"`...), abs(r.rate))
		b = append(b, `","direction":"`...)
		if r.rate < 0 {
			b = append(b, `short"}`...)
		} else {
			b = append(b, `long"}`...)
		}
	}
	return append(b, `]}`...), nil
}

// answerTrades is the history over the whole exchange, newest first, with a cursor.
func (x *Exchange) answerTrades(b []byte, q query) ([]byte, *venueError) {
	limit, ok1 := q.limit(100)
	id, ok2 := q.int("market_id", 255)
	who, ok3 := q.int("account_index", -1)
	order, ok4 := q.int("order_index", -1)
	before, ok5 := q.int("cursor", 1<<62)
	sortBy := q.text("sort_by")
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || id != 255 && x.byID[id] == nil ||
		sortBy != "block_height" && sortBy != "timestamp" && sortBy != "trade_id" {
		return nil, errInvalidParam
	}
	if a := x.byIndex[who]; who >= 0 && (a == nil || a.kind < 2) {
		if q.text("auth") == "" {
			return nil, errNoAuth
		}
	}
	kind := q.text("type")
	b = append(b, ok200...)
	n, last := 0, int64(0)
	rows := append([]byte(nil), `,"trades":[`...)
	for i := range x.history {
		r := &x.history[(x.histHead+len(x.history)-1-i)%len(x.history)]
		switch {
		case r.id >= before, id != 255 && r.market.id != id, who >= 0 && r.ask != who && r.bid != who,
			order >= 0 && r.orders[0] != order && r.orders[1] != order, kind != "" && kind != "all" && kind != r.kind.String():
			continue
		}
		if n == limit {
			b = append(strconv.AppendInt(append(b, `,"next_cursor":"`...), last, 10), '"')
			break
		}
		if n > 0 {
			rows = append(rows, ',')
		}
		n++
		last = r.id
		rows = append(rows, r.text...)
	}
	return append(append(b, rows...), `]}`...), nil
}
