package sim

import (
	"slices"
	"strings"

	"hyperlight/engine/num"
)

// resolutionList names the candle resolutions; their places are those of market.candles.
var resolutionList = [...]string{"1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w"}

// resolutions gives the length of each in milliseconds.
var resolutions = map[string]int64{"1m": 60_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1h": 3_600_000,
	"4h": 14_400_000, "12h": 43_200_000, "1d": 86_400_000, "1w": 604_800_000}

var resolutionLengths = func() (out [len(resolutionList)]int64) {
	for i, name := range resolutionList {
		out[i] = resolutions[name]
	}
	return out
}()

func resolutionPlace(name string) int {
	for i, n := range resolutionList {
		if n == name {
			return i
		}
	}
	return -1
}

const candleRows = 3000 // kept per resolution

// candle is one bar of trades, or of mark prices with the number of samples in volume.
type candle struct {
	start                  int64 // ms
	open, high, low, close num.Price
	volume                 num.Size
	quote                  num.USD
	lastID                 int64
}

// candleRing holds the bars of one resolution, oldest first.
type candleRing struct{ rows []candle }

// at returns the bar that a moment belongs to, a new one where it is the first of its time.
func (r *candleRing) at(ms, length int64, open num.Price) *candle {
	start := ms / length * length
	if n := len(r.rows); n > 0 && r.rows[n-1].start == start {
		return &r.rows[n-1]
	}
	r.rows = keepLast(append(r.rows, candle{start: start, open: open, high: open, low: open}), candleRows/2)
	return &r.rows[len(r.rows)-1]
}

func (c *candle) price(p num.Price) {
	c.high, c.low, c.close = max(c.high, p), min(c.low, p), p
}

func (m *market) addCandle(t *trade) {
	for i := range m.candles {
		c := m.candles[i].at(t.time/1000, resolutionLengths[i], t.price)
		c.price(t.price)
		c.volume += t.size
		c.quote += t.value
		c.lastID = t.id
	}
}

// markRing holds the mark price bars of each resolution.
type markRing [len(resolutionList)]candleRing

func (m *market) addMark(ms int64) {
	for i := range m.marks {
		c := m.marks[i].at(ms, resolutionLengths[i], m.mark)
		c.price(m.mark)
		c.lastID++
	}
}

// appendCandle writes a bar; members that are zero are left out, as at the venue.
func (m *market) appendCandle(b []byte, c *candle, marks bool) []byte {
	pd := m.priceDecimals()
	b = appendInt(b, `{"t":`, c.start)
	b = appendNumber(b, `,"o":`, int64(c.open), pd)
	b = appendNumber(b, `,"h":`, int64(c.high), pd)
	b = appendNumber(b, `,"l":`, int64(c.low), pd)
	b = appendNumber(b, `,"c":`, int64(c.close), pd)
	if marks {
		return append(appendInt(b, `,"sc":`, c.lastID), '}')
	}
	if c.volume != 0 {
		b = appendNumber(b, `,"v":`, int64(c.volume), m.sizeDecimals)
		b = appendNumber(b, `,"V":`, int64(c.quote), num.USDScale)
	}
	if c.lastID != 0 {
		b = appendInt(b, `,"i":`, c.lastID)
	}
	return append(b, '}')
}

// appendCandles writes a candle frame: the unfinished bar, behind a bar that ended since the frame before.
func (x *Exchange) appendCandles(b []byte, m *market, ch channel, kind string) []byte {
	marks := ch.family == "mark_price_candle"
	i := resolutionPlace(ch.resolution)
	ring := &m.candles[i]
	if marks {
		ring = &m.marks[i]
	}
	b = append(b, `{"candles":[`...)
	if n := len(ring.rows); n > 0 {
		rolled := x.clock/1000 - ring.rows[n-1].start
		if n > 1 && kind == "update" && rolled < candleSteps*stepMicros/1000 {
			b = append(m.appendCandle(b, &ring.rows[n-2], marks), ',')
		}
		b = m.appendCandle(b, &ring.rows[n-1], marks)
	}
	b = append(append(b, `],"channel":"`...), ch.key...)
	b = appendInt(b, `","timestamp":`, x.clock/1000)
	b = append(append(append(b, `,"type":"`...), kind...), '/')
	return append(append(b, ch.family...), `"}`...)
}

// publishCandles resends the unfinished bars that somebody watches, in the order of their names.
func (x *Exchange) publishCandles() {
	var keys []string
	for key := range x.hub.subs {
		if strings.HasPrefix(key, "candle:") || strings.HasPrefix(key, "mark_price_candle:") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		ch, e := parseKey(key)
		if e == nil && x.byID[ch.market] != nil {
			x.buf = x.appendCandles(x.buf[:0], x.byID[ch.market], ch, "update")
			x.hub.publish(key, x.buf)
		}
	}
}
