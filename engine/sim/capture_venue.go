package sim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"hyperlight/engine/num"
)

// parseKey reads the colon form of a channel name.
func parseKey(key string) (channel, *venueError) {
	return parseChannel(strings.ReplaceAll(key, ":", "/"))
}

// open checks a channel: markets are those that the recording speaks of, accounts those whose channels it has.
func (c *Capture) open(ch channel) *venueError {
	if ch.market >= 0 && c.listed(ch.market) == nil {
		return errUnknownMarket
	}
	if ch.account >= 0 && c.state.last[ch.key] == nil {
		return errUnknownAccount
	}
	return nil
}

func (c *Capture) listed(id int64) *market {
	for _, m := range c.markets {
		if m.id == id {
			return m
		}
	}
	return nil
}

// snapshot writes the frame that answers a subscribe, from the state held now, its times shifted like all others.
func (c *Capture) snapshot(dst []byte, ch channel) []byte {
	return shiftTimes(dst, c.appendState(nil, ch), c.offset())
}

func (c *Capture) appendState(b []byte, ch channel) []byte {
	s := c.state
	ms := s.time[ch.key]
	if ms == 0 {
		ms = c.lines[max(0, c.next-1)].at / 1000
	}
	switch {
	case ch.family == "order_book":
		book := s.books[ch.market]
		if book == nil {
			zero := int64(0)
			book = &heldBook{head: bookHead{Nonce: &zero, UpdatedAt: &zero}}
		}
		return book.appendBook(b, ch.key, ms)
	case ch.family == "trade":
		t := s.trades[ch.market]
		if t == nil {
			t = &heldTrades{}
		}
		return t.appendTrades(b, ch.key)
	case strings.HasSuffix(ch.family, "market_stats") && ch.market < 0:
		return s.appendStats(b, ch.key)
	}
	if f := s.last[ch.key]; f != nil {
		// The last update, told as an answer.
		return bytes.Replace(f, []byte(`"update/`+ch.family+`"`), []byte(`"subscribed/`+ch.family+`"`), 1)
	}
	b = append(append(b, `{"channel":"`...), ch.key...)
	if ch.family == "height" {
		b = append(b, `","height":0,"timestamp":`...)
		b = append(strconv.AppendInt(b, ms, 10), `,"type":"subscribed/height"}`...)
		return b
	}
	return append(append(append(b, `","type":"subscribed/`...), ch.family...), `"}`...)
}

// list finds the markets of the recording with their decimals, symbols and volumes. Those without a book or trades of
// their own are listed as inactive.
func (c *Capture) list() {
	found := make(map[int64]*market)
	at := func(id int64) *market {
		m := found[id]
		if m == nil {
			m = &market{inactive: true}
			m.id = id
			for _, l := range listings {
				if l.id == id {
					m.listing = l
				}
			}
			if m.symbol == "" {
				m.symbol, m.sizeDecimals, m.minBase = "M"+strconv.FormatInt(id, 10), 2, "0.01"
			}
			m.initial, m.smallest, m.maintenance, m.closeOut = m.margins()
			found[id] = m
		}
		return m
	}
	type row struct {
		Symbol string      `json:"symbol"`
		Last   string      `json:"last_trade_price"`
		Volume json.Number `json:"daily_quote_token_volume"`
	}
	for i := range c.lines {
		l := &c.lines[i]
		family, arg, _ := strings.Cut(l.channel, ":")
		arg, _, _ = strings.Cut(arg, ":")
		id, err := strconv.ParseInt(arg, 10, 64)
		if err == nil && id >= 0 && !strings.HasPrefix(family, "account") && family != "user_stats" {
			m := at(id)
			m.inactive = m.inactive && family != "order_book" && family != "trade"
			if family == "order_book" && l.subscribed {
				m.sizeDecimals = observed(l.frame, m.sizeDecimals)
			}
		}
		if family != "market_stats" || arg != "all" || !l.subscribed {
			continue
		}
		var f struct {
			Rows map[string]row `json:"market_stats"`
		}
		if json.Unmarshal(l.frame, &f) != nil {
			continue
		}
		for key, r := range f.Rows {
			if id, err := strconv.ParseInt(key, 10, 64); err == nil {
				at(id).describe(r.Symbol, r.Last, r.Volume.String())
			}
		}
	}
	for _, m := range found {
		c.markets = append(c.markets, m)
	}
	slices.SortFunc(c.markets, func(a, b *market) int { return int(sign(a.id - b.id)) })
}

func (m *market) describe(symbol, last, volume string) {
	if symbol != "" {
		m.symbol = symbol
	}
	if p, err := num.ParseDecimal([]byte(last)); err == nil && p.Scale <= quoteDecimals && p.Mant > 0 {
		m.sizeDecimals = quoteDecimals - p.Scale
		m.last, m.mark, m.index = num.Price(p.Mant), num.Price(p.Mant), num.Price(p.Mant)
		m.stats.day.low, m.stats.day.high, m.stats.day.open = m.last, m.last, m.last
	}
	whole, _, _ := strings.Cut(volume, ".")
	if v, err := strconv.ParseInt(whole, 10, 64); err == nil {
		m.stats.day.quote = num.USD(v * num.Pow10(num.USDScale))
	}
}

// observed reads the size decimals off the first level of a book frame.
func observed(frame []byte, known uint8) uint8 {
	_, rest, ok := bytes.Cut(frame, []byte(`"size":"`))
	text, _, ok2 := bytes.Cut(rest, []byte{'"'})
	if d := num.Decimals(text); ok && ok2 && d <= quoteDecimals {
		return d
	}
	return known
}

// answer serves the reads that a recording can answer; accounts and histories are not in it.
func (c *Capture) answer(b []byte, name string, q query) ([]byte, *venueError) {
	id, ok := q.int("market_id", 255)
	if !ok || id != 255 && c.listed(id) == nil {
		return nil, errInvalidParam
	}
	switch name {
	case "orderBooks", "orderBookDetails":
		return appendMarkets(b, c.markets, id, q.text("filter"), name == "orderBookDetails")
	case "orderBookOrders":
		return c.answerOrders(b, id, q)
	case "recentTrades":
		limit, ok := q.limit(recentRows)
		if !ok || id == 255 {
			return nil, errInvalidParam
		}
		t := c.state.trades[id]
		if t == nil {
			t = &heldTrades{}
		}
		rows := appendRaw([]byte(`{"code":200,"trades":[`), t.normal, limit)
		return shiftTimes(b, append(rows, `]}`...), c.offset()), nil
	case "candles":
		return append(append(append(b, `{"code":200,"r":"`...), q.text("resolution")...), `","c":[]}`...), nil
	case "fundings":
		return append(append(append(b, `{"code":200,"resolution":"`...), q.text("resolution")...), `","fundings":[]}`...), nil
	case "funding-rates":
		return append(b, `{"code":200,"funding_rates":[]}`...), nil
	case "exchangeStats":
		return append(b, `{"code":200,"total":0,"order_book_stats":[],"daily_usd_volume":0,"daily_trades_count":0}`...), nil
	case "currentHeight":
		var f struct {
			Height int64 `json:"height"`
		}
		_ = json.Unmarshal(c.state.last["height"], &f)
		return append(appendInt(b, `{"code":200,"height":`, f.Height), '}'), nil
	}
	return nil, errNotFound
}

// answerOrders lists each level as one order of nobody: a recording has no owners.
func (c *Capture) answerOrders(b []byte, id int64, q query) ([]byte, *venueError) {
	limit, ok := q.limit(250)
	if !ok || id == 255 {
		return nil, errInvalidParam
	}
	book := c.state.books[id]
	if book == nil {
		book = &heldBook{}
	}
	rows := func(b []byte, list []heldLevel, base int64) []byte {
		for i, l := range list[:min(limit, len(list))] {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendIDs(b, `{"order_index":`, `,"order_id":"`, base+int64(i))
			b = append(append(b, `,"owner_account_index":0,"initial_base_amount":"`...), l.text[1]...)
			b = append(append(b, `","remaining_base_amount":"`...), l.text[1]...)
			b = append(append(b, `","price":"`...), l.text[0]...)
			b = append(b, `","order_expiry":0,"transaction_time":0}`...)
		}
		return b
	}
	b = appendInt(b, `{"code":200,"total_asks":`, int64(min(limit, len(book.asks))))
	b = rows(append(b, `,"asks":[`...), book.asks, (id+1)<<48)
	b = appendInt(b, `],"total_bids":`, int64(min(limit, len(book.bids))))
	b = rows(append(b, `,"bids":[`...), book.bids, (id+2)<<48-int64(limit))
	return append(b, `]}`...), nil
}
