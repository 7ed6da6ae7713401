package ws

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// The kinds of alerts, and where one comes from.
const (
	kindLargeOrder       = "large_order"
	kindWhaleTrade       = "whale_trade"
	kindLargeLiquidation = "large_liquidation"

	sourceOrder = "order"
	sourceLevel = "level"
	sourceTrade = "trade"
)

// alert is one noteworthy event, before it is known whose threshold it reaches.
type alert struct {
	kind, side, source string
	id                 uuid.UUID
	market             *model.Market
	account            model.AccountID
	owned              bool // account is known
	price              num.Price
	size               num.Size
	ps, ss             uint8
	notional           num.USD
	order              uint64 // 0 where it is not known
	trade              uint64 // 0 where it is no trade
	ts                 model.Millis
	recovered          bool
}

// alertSpace is the name space of the ids of alerts: one event has one id, whoever receives it and whenever.
var alertSpace = uuid.MustParse("5c2f1b0e-7d0b-4b0c-9a53-0d5cf0f9c1aa")

// alertID names an event by its market, what it is, and two numbers of the venue.
func alertID(m model.MarketID, source string, a, b uint64, side model.Side) uuid.UUID {
	text := binary.BigEndian.AppendUint32(make([]byte, 0, 32), uint32(m))
	text = binary.BigEndian.AppendUint64(text, a)
	text = binary.BigEndian.AppendUint64(text, b)
	return uuid.NewSHA1(alertSpace, append(append(text, byte(side)), source...))
}

// lowest is the least threshold of the alert channels. The lock is held.
func (d *desk) lowest() num.USD {
	alerts := d.open[alertFamily.own()]
	low := alerts[0].set.threshold
	for _, c := range alerts[1:] {
		low = min(low, c.set.threshold)
	}
	return low
}

// growth raises an alert for each level that has grown by enough in one update. What cannot have grown by enough, because
// the whole level is smaller, is left out by one multiplication; only the rest is looked up in the book before.
func (d *desk) growth(e *model.Event, u *model.BookUpdate, before, after *book.View, m *model.Market, now time.Time) {
	ps, ss := m.ScaleAt(e.Epoch)
	low := d.lowest()
	least := leastProduct(low, ps+ss)
	for s, levels := range [...][]model.Level{model.Bid: u.Bids, model.Ask: u.Asks} {
		for i, l := range levels {
			if below(l, least) || repeated(levels[i+1:], l.Price) {
				continue
			}
			side := model.Side(s)
			grown := after.At(side, l.Price) - before.At(side, l.Price)
			if grown <= 0 || below(model.Level{Price: l.Price, Size: grown}, least) {
				continue
			}
			notional, err := num.MulUSD(l.Price, ps, grown, ss)
			if err != nil || notional < low {
				continue
			}
			ts := e.Time
			if ts == 0 {
				ts = e.Recv.Millis()
			}
			d.told.add(side, l.Price, grown, e.Recv.Millis())
			d.raise(&alert{kind: kindLargeOrder, side: side.String(), source: sourceLevel, market: m, price: l.Price, size: grown,
				ps: ps, ss: ss, notional: notional, ts: ts, id: alertID(m.ID, sourceLevel, u.Seq, uint64(l.Price), side)}, now)
		}
	}
}

// product is a price times a size, in 128 bits.
type product struct{ hi, lo uint64 }

// leastProduct is what price times size must at least be for a value to reach a threshold, with room for its rounding.
func leastProduct(threshold num.USD, scale uint8) product {
	if scale <= num.USDScale {
		return product{lo: uint64(threshold-1) / uint64(num.Pow10(num.USDScale-scale))}
	}
	hi, lo := bits.Mul64(uint64(threshold-1), uint64(num.Pow10(min(scale-num.USDScale, num.MaxScale))))
	return product{hi, lo}
}

// below tells whether a level's product is too small.
func below(l model.Level, least product) bool {
	if l.Price <= 0 || l.Size <= 0 {
		return true
	}
	hi, lo := bits.Mul64(uint64(l.Price), uint64(l.Size))
	return hi < least.hi || hi == least.hi && lo < least.lo
}

// repeated tells whether a price comes again: of a level that an update names twice the last word counts.
func repeated(rest []model.Level, p num.Price) bool {
	for _, l := range rest {
		if l.Price == p {
			return true
		}
	}
	return false
}

// tradeAlerts raises an alert for each trade that is large enough. A forced one is a liquidation and nothing else.
func (d *desk) tradeAlerts(b *model.TradeBatch, m *model.Market, now time.Time) {
	low := d.lowest()
	for i := range b.Rows {
		t := &b.Rows[i]
		if t.USD < low {
			continue
		}
		ps, ss := m.ScaleAt(t.Epoch)
		_, taker := parties(t)
		a := alert{kind: kindWhaleTrade, side: "sell", source: sourceTrade, market: m, account: taker, owned: true, price: t.Price,
			size: t.Size, ps: ps, ss: ss, notional: t.USD, trade: t.ID, ts: t.Time, recovered: b.Recovered,
			id: alertID(m.ID, sourceTrade, t.ID, 0, 0)}
		switch {
		case t.Forced():
			a.kind = kindLargeLiquidation
			_, _, a.side = t.Closed()
		case t.TakerBuys():
			a.side = "buy"
		}
		d.raise(&a, now)
	}
}

// raise publishes an alert on every channel whose threshold it reaches.
func (d *desk) raise(a *alert, now time.Time) {
	for _, c := range d.open[alertFamily.own()] {
		if a.notional >= c.set.threshold {
			c.alert(a, now)
		}
	}
}

func (c *channel) alert(a *alert, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.active {
		return
	}
	c.seq++
	c.scratch = appendEnvelope(c.scratch[:0], c.name)
	c.scratch = appendAlert(c.scratch, a, &c.set.options)
	c.scratch = appendTail(c.scratch, a.recovered, c.seq, model.Millis(now.UnixMilli()))
	c.publish(now, c.frame(0, false))
}

// appendAlert writes the data object.
func appendAlert(dst []byte, a *alert, o *options) []byte {
	dst = append(dst, `{"alert_id":"`...)
	dst = append(dst, a.id.String()...)
	dst = append(dst, `","kind":"`...)
	dst = append(dst, a.kind...)
	dst = append(dst, `","market_id":`...)
	dst = strconv.AppendInt(dst, a.market.Native, 10)
	dst = append(dst, `,"symbol":`...)
	dst = model.AppendString(dst, a.market.Symbol)
	dst = append(dst, `,"account":`...)
	if a.owned && o.accounts {
		dst = strconv.AppendUint(dst, uint64(a.account), 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"side":"`...)
	dst = append(dst, a.side...)
	dst = append(dst, `","price":"`...)
	dst = num.Append(dst, int64(a.price), a.ps)
	dst = append(dst, `","size":"`...)
	dst = num.Append(dst, int64(a.size), a.ss)
	dst = append(dst, `","notional":"`...)
	if a.trade == 0 {
		dst = num.AppendTrim(dst, int64(a.notional), num.USDScale)
	} else {
		dst = num.Append(dst, int64(a.notional), num.USDScale) // the venue's own, with its digits
	}
	dst = append(dst, `","threshold":"`...)
	dst = num.AppendTrim(dst, int64(o.threshold), num.USDScale)
	dst = append(dst, `","order_id":`...)
	if a.order == 0 || !o.accounts { // the id leads to the account
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '"')
		dst = strconv.AppendUint(dst, a.order, 10)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"trade_id":`...)
	if a.trade == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendUint(dst, a.trade, 10)
	}
	dst = append(dst, `,"source":"`...)
	dst = append(dst, a.source...)
	dst = append(dst, `","ts":`...)
	dst = strconv.AppendInt(dst, int64(a.ts), 10)
	return append(dst, '}')
}
