package sim

import (
	"bytes"
	"strconv"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const dayMinutes = 1440

// minuteStats is what traded in one minute.
type minuteStats struct {
	minute      int64 // since the epoch
	base        num.Size
	quote       num.USD
	trades      int64
	first       num.Price
	low, high   num.Price
	initialized bool
}

// dayStats are the figures of the last 24 hours: a ring of minutes, behind the volume that the listing had before the
// simulation began, which fades out over the first day.
type dayStats struct {
	ring       [dayMinutes]minuteStats
	base       num.Size
	quote      num.USD
	trades     int64
	began      int64 // us
	priorBase  num.Size
	priorQuote num.USD
	priorPrice num.Price
	oldest     int64 // the minute up to which the ring has been expired
}

func (d *dayStats) begin(m *market, clock int64) {
	d.began, d.oldest = clock, clock/60_000_000-dayMinutes
	d.priorQuote = num.USD(m.volume * 1_000_000_000_000)
	d.priorBase = num.Size(int64(d.priorQuote) / int64(m.index))
	d.priorPrice = m.index
}

// expire drops the minutes that are older than a day.
func (d *dayStats) expire(minute int64) {
	for ; d.oldest < minute-dayMinutes; d.oldest++ {
		s := &d.ring[(d.oldest+1)%dayMinutes]
		if s.initialized && s.minute == d.oldest+1 {
			d.base, d.quote, d.trades = d.base-s.base, d.quote-s.quote, d.trades-s.trades
			*s = minuteStats{}
		}
	}
}

func (d *dayStats) add(t *trade) {
	minute := t.time / 60_000_000
	d.expire(minute)
	s := &d.ring[minute%dayMinutes]
	if !s.initialized {
		*s = minuteStats{minute: minute, first: t.price, low: t.price, high: t.price, initialized: true}
	}
	s.low, s.high = min(s.low, t.price), max(s.high, t.price)
	s.base, s.quote, s.trades = s.base+t.size, s.quote+t.value, s.trades+1
	d.base, d.quote, d.trades = d.base+t.size, d.quote+t.value, d.trades+1
}

// daily is the state of a day's figures at a moment.
type daily struct {
	base      num.Size
	quote     num.USD
	trades    int64
	low, high num.Price
	open      num.Price // the price a day ago
}

func (d *dayStats) at(clock int64) daily {
	d.expire(clock / 60_000_000)
	const day = 24 * hourMicros
	out := daily{base: d.base, quote: d.quote, trades: d.trades, open: d.priorPrice, low: d.priorPrice, high: d.priorPrice}
	if left := max(0, day-(clock-d.began)); left > 0 {
		seconds := left / 1_000_000
		out.base += num.Size(int64(d.priorBase) / 86400 * seconds)
		out.quote += num.USD(int64(d.priorQuote) / 86400 * seconds)
		out.trades += int64(d.priorQuote) / 400_000_000 / 86400 * seconds
	}
	first := true
	for i := range d.ring {
		s := &d.ring[(d.oldest+1+int64(i))%dayMinutes]
		if !s.initialized {
			continue
		}
		if first && clock-d.began >= day {
			out.open, out.low, out.high = s.first, s.low, s.high
		}
		first = false
		out.low, out.high = min(out.low, s.low), max(out.high, s.high)
	}
	return out
}

// change is the price change over the day in percent, with 12 decimals.
func (d *daily) change(last num.Price) int64 {
	var a num.Acc
	a.AddProduct(int64(last-d.open), 100)
	v, err := a.DivRound(int64(max(1, d.open)), 0, 12)
	if err != nil {
		return 0
	}
	return v
}

// statsRow is a market's last published row.
type statsRow struct {
	text  []byte
	day   daily
	dayAt int64
}

// openInterest is the size that longs hold; shorts hold the same.
func (m *market) openInterest() num.Size {
	var sum num.Size
	for _, p := range m.holders {
		sum += max(0, p.size)
	}
	return sum
}

// refreshStats encodes the market's row and reports whether it changed.
func (x *Exchange) refreshStats(m *market) bool {
	if x.clock-m.stats.dayAt >= 10_000_000 { // the day's low and high need a walk over its minutes
		m.stats.day, m.stats.dayAt = m.day.at(x.clock), x.clock
	}
	b := m.appendStats(nil, &m.stats.day)
	if bytes.Equal(b, m.stats.text) {
		return false
	}
	m.stats.text = b
	return true
}

func (m *market) appendStats(b []byte, d *daily) []byte {
	bid, ask := top(&m.bids), top(&m.asks)
	b = model.AppendString(append(b, `{"symbol":`...), m.symbol)
	b = appendInt(b, `,"market_id":`, m.id)
	b = m.appendPrice(append(b, `,"index_price":"`...), m.index)
	b = m.appendPrice(append(b, `","mark_price":"`...), m.mark)
	b = append(b, `","mid_price":"`...)
	if bid.Size != 0 && ask.Size != 0 {
		b = m.appendPrice(b, (bid.Price+ask.Price)/2)
	}
	b = append(b, `","best_ask_price":"`...)
	if ask.Size != 0 {
		b = m.appendPrice(b, ask.Price)
	}
	b = append(b, `","best_bid_price":"`...)
	if bid.Size != 0 {
		b = m.appendPrice(b, bid.Price)
	}
	b = appendUSD(append(b, `","open_interest":"`...), worth(m.mark, m.openInterest()))
	b = append(b, `","open_interest_limit":"72057594037927936.000000","funding_clamp_small":"0.0500","funding_clamp_big":"4.0000","last_trade_price":"`...)
	b = m.appendPrice(b, m.last)
	b = appendPercent(append(b, `","current_funding_rate":"`...), m.rateNow())
	b = appendPercent(append(b, `","funding_rate":"`...), m.funding.rate)
	b = appendInt(b, `","funding_timestamp":`, m.funding.at)
	b = appendNumber(b, `,"daily_base_token_volume":`, int64(d.base), m.sizeDecimals)
	b = appendNumber(b, `,"daily_quote_token_volume":`, int64(d.quote), num.USDScale)
	b = appendNumber(b, `,"daily_price_low":`, int64(min(d.low, m.last)), m.priceDecimals())
	b = appendNumber(b, `,"daily_price_high":`, int64(max(d.high, m.last)), m.priceDecimals())
	b = appendNumber(b, `,"daily_price_change":`, d.change(m.last), 12)
	return append(b, `,"base_interest_rate":"0.0100"}`...)
}

// appendPercent writes a rate as a percentage with four decimals, how the venue tells hourly funding.
func appendPercent(b []byte, r num.Rate) []byte {
	return num.Append(b, int64(r/hourTicks), 4)
}

// publishStats sends a market's row where it changed: on its own channel and on the channel of all.
func (x *Exchange) publishStats(m *market) {
	if !x.refreshStats(m) {
		return
	}
	if key := m.key("market_stats"); x.hub.wanted(key) {
		x.buf = x.appendStatsFrame(x.buf[:0], key, m.stats.text, "update")
		x.hub.publish(key, x.buf)
	}
	if x.hub.wanted(allStats) {
		x.buf = x.appendStatsMap(x.buf[:0], []*market{m}, "update")
		x.hub.publish(allStats, x.buf)
	}
}

const allStats = "market_stats:all"

func (x *Exchange) appendStatsFrame(b []byte, key string, rows []byte, kind string) []byte {
	b = append(append(b, `{"channel":"`...), key...)
	b = append(append(b, `","market_stats":`...), rows...)
	b = appendInt(b, `,"timestamp":`, x.clock/1000)
	b = append(append(b, `,"type":"`...), kind...)
	return append(b, `/market_stats"}`...)
}

func (x *Exchange) appendStatsMap(b []byte, markets []*market, kind string) []byte {
	rows := []byte{'{'}
	for i, m := range markets {
		if i > 0 {
			rows = append(rows, ',')
		}
		rows = strconv.AppendQuote(rows, strconv.FormatInt(m.id, 10))
		rows = append(append(rows, ':'), m.stats.text...)
	}
	return x.appendStatsFrame(b, allStats, append(rows, '}'), kind)
}
