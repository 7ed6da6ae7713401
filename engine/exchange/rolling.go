package exchange

import (
	"sync"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
)

const (
	minuteMillis = model.Millis(60_000)
	hourMillis   = 60 * minuteMillis
	dayMinutes   = 1440
	// ringHours hold a day at any minute of its first hour, and one hour more for a venue whose clock is ahead of ours.
	ringHours = 26
)

// WindowStart is the first moment of the 24 hours before now: those of the minute under way and the 1,439 before it.
func WindowStart(now model.Millis) model.Millis {
	return now - now%minuteMillis - (dayMinutes-1)*minuteMillis
}

// ringEnd is where what the ring takes ends: later trades would push hours out that are still needed.
func ringEnd(now model.Millis) model.Millis { return now - now%hourMillis + 2*hourMillis }

// rolling is one market's ring of minutes in blocks of an hour, each with its sum: a window is the sum of at most 24
// blocks and of the minutes left of the oldest one, whatever came in which order. Nothing is ever subtracted.
type rolling struct {
	mu    sync.Mutex // a leaf lock, held for one trade or one sum
	hours [ringHours]*hourBlock
	// before is the last trade that the ring has dropped.
	before lastTrade
	// lost is the end of the newest hour with trades that were never counted: a clock that was set back, or one of
	// the venue's that is hours ahead.
	lost    model.Millis
	held    heldSince
	version uint64 // counts the changes
	last    *Day   // the sum that was asked for last
	lastOf  uint64 // its version
}

// hourBlock holds one hour.
type hourBlock struct {
	start   model.Millis
	sum     record.Candle
	minutes [60]record.Candle
	forced  *[60]forcedMinute // nil while nobody was forced out
}

// forcedMinute sums forced trades by kind (liquidation, deleverage) and by side (long, short).
type forcedMinute struct {
	count [2][2]uint32
	usd   [2][2]num.USD
}

// lastTrade is a price and its place: the minute of the trade, and its id within.
type lastTrade struct {
	minute model.Millis
	id     uint64
	price  num.Price
	epoch  uint8
	known  bool
}

func (l *lastTrade) take(minute model.Millis, c *record.Candle) {
	if c.Trades > 0 && (!l.known || minute > l.minute || minute == l.minute && c.LastID > l.id) {
		*l = lastTrade{minute: minute, id: c.LastID, price: c.Close, epoch: c.Epoch, known: true}
	}
}

// add counts a trade that nobody has counted.
func (r *rolling) add(m *model.Market, t *model.Trade) error {
	one := record.Candle{
		Epoch: t.Epoch, Open: t.Price, High: t.Price, Low: t.Price, Close: t.Price,
		Volume: t.Size, QuoteVolume: t.USD, Trades: 1, FirstID: t.ID, LastID: t.ID,
	}
	minute := t.Time - t.Time%minuteMillis
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := r.addMinute(m, minute, &one)
	if err != nil || b == nil {
		return err
	}
	b.addForced(t)
	return nil
}

// addMinute adds a candle of a minute, or of part of one. The block is nil where the ring no longer reaches back.
func (r *rolling) addMinute(m *model.Market, minute model.Millis, c *record.Candle) (*hourBlock, error) {
	r.version++
	b := r.block(minute - minute%hourMillis)
	if b == nil {
		r.before.take(minute, c)
		return nil, nil
	}
	err := history.MergeCandle(&b.minutes[(minute-b.start)/minuteMillis], c, m)
	if err == nil {
		err = history.MergeCandle(&b.sum, c, m)
	}
	if err != nil {
		r.lose(minute)
		return nil, err
	}
	return b, nil
}

// block returns the block of an hour, nil where its place belongs to a later one.
func (r *rolling) block(start model.Millis) *hourBlock {
	slot := &r.hours[(start/hourMillis)%ringHours]
	switch b := *slot; {
	case b == nil:
		*slot = &hourBlock{start: start}
	case b.start > start:
		r.lose(start)
		return nil
	case b.start < start:
		r.drop(b)
		*b = hourBlock{start: start}
	}
	return *slot
}

// lose notes that the hour of a moment is not counted, or no longer.
func (r *rolling) lose(t model.Millis) { r.lost = max(r.lost, t-t%hourMillis+hourMillis) }

// drop remembers what a block says of later windows: its last price.
func (r *rolling) drop(b *hourBlock) {
	r.lose(b.start)
	for i := len(b.minutes) - 1; i >= 0; i-- {
		if c := &b.minutes[i]; c.Trades > 0 {
			r.before.take(b.start+model.Millis(i)*minuteMillis, c)
			return
		}
	}
}

// addForced counts a forced trade. The closed account is the taker: one that sold closed a long.
func (b *hourBlock) addForced(t *model.Trade) {
	kind := 0
	switch t.Kind {
	case model.KindLiquidation:
	case model.KindDeleverage:
		kind = 1
	default:
		return
	}
	side := 0
	if t.TakerBuys() {
		side = 1
	}
	if b.forced == nil {
		b.forced = new([60]forcedMinute)
	}
	f := &b.forced[(t.Time-b.start)/minuteMillis]
	f.count[kind][side]++
	f.usd[kind][side] += t.USD
}

// forced adds what a filter takes of the window to sum.
func (r *rolling) forced(now model.Millis, f *ForcedFilter, sum *Forced) {
	from := WindowStart(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.hours {
		if b == nil || b.forced == nil || b.start+hourMillis <= from {
			continue
		}
		for i := max(0, (from-b.start)/minuteMillis); i < 60; i++ {
			b.forced[i].addTo(f, sum)
		}
	}
}

func (m *forcedMinute) addTo(f *ForcedFilter, sum *Forced) {
	for kind := range 2 {
		if f.Kind == model.KindLiquidation && kind != 0 || f.Kind == model.KindDeleverage && kind != 1 {
			continue
		}
		if f.Side != "short" {
			sum.Count += uint64(m.count[kind][0])
			sum.Long += m.usd[kind][0]
		}
		if f.Side != "long" {
			sum.Count += uint64(m.count[kind][1])
			sum.Short += m.usd[kind][1]
		}
	}
}
