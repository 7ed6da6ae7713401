package sim

import (
	"slices"
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// flushBook publishes the levels that changed since the last batch, each with its absolute size, best price first. A
// level that came and went inside the batch is not told: clients never saw it.
func (x *Exchange) flushBook(m *market) {
	x.checkTop(m)
	if len(m.dirty) == 0 {
		return
	}
	slices.SortFunc(m.dirty, func(a, b dirtyLevel) int {
		switch {
		case a.side != b.side:
			return int(b.side) - int(a.side) // asks first
		case a.side == model.Ask:
			return int(sign(a.price - b.price))
		}
		return int(sign(b.price - a.price))
	})
	kept := m.dirty[:0]
	for _, d := range m.dirty {
		if size := m.side(d.side).size(d.price); size != d.held {
			d.held = size
			kept = append(kept, d)
		}
	}
	m.dirty = m.dirty[:0]
	x.counts.LevelChanges += int64(len(kept))
	x.budget += float64(m.noted - int64(len(kept))) // the rate is that of the changes that clients see
	m.noted = 0
	if len(kept) == 0 {
		return
	}
	m.offset += 1 + x.nonce%7/5 // it skips; no random draw, so that a subscriber does not change what happens next
	begin := m.sentNonce
	m.sentNonce = m.nonce
	x.counts.BookFrames++
	key := m.key("order_book")
	if !x.hub.wanted(key) {
		return
	}
	b := m.appendBookHead(x.buf[:0], key)
	split := 0
	for split < len(kept) && kept[split].side == model.Ask {
		split++
	}
	b = append(b, `"asks":[`...)
	b = m.appendChanges(b, kept[:split])
	b = append(b, `],"bids":[`...)
	b = m.appendChanges(b, kept[split:])
	b = m.appendBookTail(b, begin, x.clock/1000, "update")
	x.hub.publish(key, b)
	x.buf = b
}

// key returns a channel key of the market.
func (m *market) key(family string) string { return family + ":" + strconv.FormatInt(m.id, 10) }

func (m *market) appendBookHead(b []byte, key string) []byte {
	b = append(append(b, `{"channel":"`...), key...)
	b = append(b, '"')
	if m.changedAt != 0 {
		b = appendInt(b, `,"last_updated_at":`, m.changedAt)
	}
	b = appendInt(b, `,"offset":`, m.offset)
	return append(b, `,"order_book":{"code":0,`...)
}

func (m *market) appendBookTail(b []byte, begin, ms int64, kind string) []byte {
	b = appendInt(b, `],"offset":`, m.offset)
	b = appendInt(b, `,"nonce":`, m.sentNonce)
	b = appendInt(b, `,"last_updated_at":`, m.changedAt)
	b = appendInt(b, `,"begin_nonce":`, begin)
	b = appendInt(b, `},"timestamp":`, ms)
	b = append(append(b, `,"type":"`...), kind...)
	return append(b, `/order_book"}`...)
}

func (m *market) appendChanges(b []byte, changes []dirtyLevel) []byte {
	for i, d := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		b = m.appendLevel(b, d.price, d.held)
	}
	return b
}

func (m *market) appendLevel(b []byte, p num.Price, s num.Size) []byte {
	return model.Level{Price: p, Size: s}.AppendObject(b, m.priceDecimals(), m.sizeDecimals)
}

// appendBook writes the frame that answers a subscribe: the whole book. The open batch is sent out first, so that the
// next update chains from the snapshot for everybody.
func (x *Exchange) appendBook(b []byte, m *market) []byte {
	x.flushBook(m)
	b = m.appendBookHead(b, m.key("order_book"))
	b = append(b, `"asks":[`...)
	b = m.appendSide(b, &m.asks)
	b = append(b, `],"bids":[`...)
	b = m.appendSide(b, &m.bids)
	return m.appendBookTail(b, 0, x.clock/1000, "subscribed")
}

func (m *market) appendSide(b []byte, s *side) []byte {
	for i := len(s.levels) - 1; i >= 0; i-- {
		b = m.appendLevel(b, s.levels[i].price, s.levels[i].size)
		if i > 0 {
			b = append(b, ',')
		}
	}
	return b
}

// checkTop publishes a ticker frame when the best level of a side has moved.
func (x *Exchange) checkTop(m *market) {
	bid, ask := top(&m.bids), top(&m.asks)
	if bid == m.topBid && ask == m.topAsk {
		return
	}
	m.topBid, m.topAsk = bid, ask
	key := m.key("ticker")
	if x.hub.wanted(key) {
		x.buf = x.appendTicker(x.buf[:0], m, "update")
		x.hub.publish(key, x.buf)
	}
}

func top(s *side) model.Level {
	if l := s.best(); l != nil {
		return model.Level{Price: l.price, Size: l.size}
	}
	return model.Level{}
}

func (x *Exchange) appendTicker(b []byte, m *market, kind string) []byte {
	b = append(append(b, `{"channel":"`...), m.key("ticker")...)
	b = appendInt(b, `","last_updated_at":`, m.changedAt)
	b = appendInt(b, `,"nonce":`, x.nonce)
	b = model.AppendString(append(b, `,"ticker":{"s":`...), m.symbol)
	b = m.appendTop(append(b, `,"a":`...), top(&m.asks))
	b = m.appendTop(append(b, `,"b":`...), top(&m.bids))
	b = appendInt(b, `,"last_updated_at":`, m.changedAt)
	b = appendInt(b, `},"timestamp":`, x.clock/1000)
	b = append(append(b, `,"type":"`...), kind...)
	return append(b, `/ticker"}`...)
}

// appendTop writes a best level; an empty side has empty texts.
func (m *market) appendTop(b []byte, l model.Level) []byte {
	if l.Size == 0 {
		return append(b, `{"price":"","size":""}`...)
	}
	return m.appendLevel(b, l.Price, l.Size)
}

func (x *Exchange) publishHeight() {
	if x.hub.wanted("height") {
		x.buf = x.appendHeight(x.buf[:0], "update")
		x.hub.publish("height", x.buf)
	}
}

func (x *Exchange) appendHeight(b []byte, kind string) []byte {
	b = appendInt(b, `{"channel":"height","height":`, x.height())
	b = appendInt(b, `,"timestamp":`, x.clock/1000)
	b = append(append(b, `,"type":"`...), kind...)
	return append(b, `/height"}`...)
}
