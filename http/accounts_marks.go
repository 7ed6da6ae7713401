package http

import (
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/risk"
)

// marksEvery is how long mark prices are taken for the current ones, in milliseconds. The venue tells each market's about
// once a second.
const marksEvery = model.Millis(1000)

// marks is the mark prices of all markets at one moment, with the parts of a position's text that are the same for every
// position of a market. It is immutable.
type marks struct {
	at     model.Millis
	number uint64 // of these marks: what was encoded with others must be encoded again
	dense  []*mark
	rest   map[model.MarketID]*mark
	lookup func(model.MarketID) (risk.Market, bool)
	market func(model.MarketID) *model.Market // nil where it is not known
}

// mark is a market at its mark price.
type mark struct {
	risk.Market
	known bool   // positions can be valued
	head  []byte // of a position, up to its side
	price []byte // the member mark_price, up to the quote before position_value
}

// denseMarkets is how many ids are looked up by place instead of by hash.
const denseMarkets = 4096

func (m *marks) of(id model.MarketID) *mark {
	if int(id) < len(m.dense) {
		return m.dense[id]
	}
	return m.rest[id]
}

// stand tells whether marks are those of the last second at a moment. That of a call which waited is a little before theirs;
// where theirs is far ahead, the clock was set back.
func (m *marks) stand(now model.Millis) bool { return now-m.at < marksEvery && m.at-now < setBack }

// current returns the marks of the last second. The first call of a second makes them, the others of that moment go on
// with those from before.
func (d *accountDesk) current(c *call) *marks {
	now := c.nowMillis()
	m := d.marks.Load()
	if m != nil && m.stand(now) {
		return m
	}
	if m != nil {
		if !d.marking.TryLock() {
			return m
		}
	} else {
		d.marking.Lock()
	}
	defer d.marking.Unlock()
	last := d.marks.Load()
	if last != nil && last.stand(now) {
		return last
	}
	m = d.makeMarks(c.server.engine.Markets(), now)
	if last != nil {
		m.number = last.number + 1
	}
	d.marks.Store(m)
	return m
}

func (d *accountDesk) makeMarks(markets []*model.Market, now model.Millis) *marks {
	m := &marks{at: now, number: 1, rest: map[model.MarketID]*mark{}}
	for _, info := range markets {
		k := newMark(info)
		if d.Stats != nil {
			if s, _ := d.Stats(info.ID); s != nil && s.Has&model.HasMark != 0 {
				k.Mark = s.Mark
			}
		}
		k.known = k.Known()
		k.price = append(k.price, `,"mark_price":`...)
		if k.Mark.Mant > 0 {
			k.price = append(k.Mark.Append(append(k.price, '"')), '"')
		} else {
			k.price = append(k.price, "null"...)
		}
		k.price = append(k.price, `,"position_value":`...)
		if info.ID >= denseMarkets {
			m.rest[info.ID] = k
			continue
		}
		for int(info.ID) >= len(m.dense) {
			m.dense = append(m.dense, nil)
		}
		m.dense[info.ID] = k
	}
	m.lookup = func(id model.MarketID) (risk.Market, bool) {
		if k := m.of(id); k != nil {
			return k.Market, true
		}
		return risk.Market{}, false
	}
	m.market = func(id model.MarketID) *model.Market {
		if k := m.of(id); k != nil {
			return k.Info
		}
		return nil
	}
	return m
}

func newMark(info *model.Market) *mark {
	k := &mark{Market: risk.Market{Info: info}}
	k.head = strconv.AppendInt(append(k.head, `{"market_id":`...), info.Native, 10)
	k.head = model.AppendString(append(k.head, `,"symbol":`...), info.Symbol)
	k.head = append(k.head, `,"side":`...)
	return k
}
