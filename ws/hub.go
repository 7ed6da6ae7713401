package ws

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
)

// Hub fans live events out to the subscribers of their channels. It is a market.Listener: a market's events come on its
// shard's goroutine, in order, and none of its methods waits for a client.
type Hub struct {
	markets Markets
	native  *Native
	now     func() time.Time
	limits  Limits
	budget  *ringBudget
	own     ownOptions

	mu    sync.Mutex // guards adding; taken before any channel's lock
	feeds atomic.Pointer[map[model.MarketID]*feed]

	allStats, height *nativeChannel
}

// feed is the channels of one market: our own, those of ours with options, and those in the venue's form.
type feed struct {
	channels [hubFamilies]*channel
	owned    *channel // order_book with owners
	desk     desk
	native   [nativeFamilies]*nativeChannel
}

var _ market.Listener = (*Hub)(nil)

func newHub(markets Markets, native *Native, now func() time.Time, l Limits) *Hub {
	h := &Hub{markets: markets, native: native, now: now, limits: l, budget: &ringBudget{max: l.RingBytes}}
	h.allStats = &nativeChannel{hub: h, family: nativeStats, key: "market_stats:all"}
	h.height = &nativeChannel{hub: h, family: nativeHeight, key: "height"}
	h.feeds.Store(&map[model.MarketID]*feed{})
	return h
}

// OnEvent publishes an event.
func (h *Hub) OnEvent(e *model.Event, v *book.View) {
	switch p := e.Payload.(type) {
	case *model.BookUpdate:
		if v == nil {
			return
		}
	case *model.Height:
		h.height.onHeight(p, e)
		return
	case *model.TradeBatch, *model.Stats, *model.Gap:
	default:
		return
	}
	m, ok := h.markets.Get(e.Market)
	if !ok {
		return
	}
	f, now := h.feed(m), h.now()
	switch p := e.Payload.(type) {
	case *model.BookUpdate:
		f.channels[bookFamily.index].book(e, p, v, m, now)
		f.owned.book(e, p, v, m, now)
		f.native[nativeBook].onBook(e, p, v, m)
		f.desk.book(e, p, v, m, now)
		h.lag(e, now)
	case *model.TradeBatch:
		if !p.History || p.Recovered {
			f.channels[tradeFamily.index].trades(p, m, now)
			f.desk.trades(p, m, now)
			h.lag(e, now)
		}
		f.native[nativeTrade].onTrades(p, m)
	case *model.Stats:
		if m.Type != typeSpot { // their statistics are another family of the venue
			f.native[nativeStats].onStats(p, e, m)
			h.allStats.onStats(p, e, m)
		}
	case *model.Gap:
		f.native[nativeFamilyOf(p.Kind)].onGap(p)
		if p.Kind == model.KindStats {
			h.allStats.onGapOf(m, p)
		}
		switch p.Kind {
		case model.KindBook:
			f.channels[bookFamily.index].gap(p, now)
			f.owned.gap(p, now)
			f.desk.gap(p, now)
		case model.KindTrades:
			f.channels[tradeFamily.index].gap(p, now)
			f.desk.gap(p, now)
		}
	}
}

// lag records how long an event took from its receipt into the queues.
func (h *Hub) lag(e *model.Event, now time.Time) {
	if e.Recv > 0 {
		fanOut.Update(float64(now.UnixMicro()-int64(e.Recv)) / 1e6)
	}
}

// OnTick takes from the shard whether a market's trades are held: of a market that does not trade no event tells it.
func (h *Hub) OnTick(_ model.Micros, held []market.Held) {
	for i := range held {
		if m := held[i].Market; m != nil && held[i].TradesHeld {
			h.feed(m).native[nativeTrade].onHeld()
		}
	}
}

// OnRepeat is OnTick while the clock is set back: a market is held whatever second it is.
func (h *Hub) OnRepeat(second model.Micros, held []market.Held) { h.OnTick(second, held) }

// feed returns the channels of a market and makes them at the first call.
func (h *Hub) feed(m *model.Market) *feed {
	if f, ok := (*h.feeds.Load())[m.ID]; ok {
		return f
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	old := *h.feeds.Load()
	if f, ok := old[m.ID]; ok {
		return f
	}
	f := &feed{}
	f.desk.hub, f.desk.market = h, m
	for _, fam := range families[:hubFamilies] {
		f.channels[fam.index] = h.newChannel(fam, m)
	}
	f.owned = h.newChannel(bookFamily, m)
	f.owned.owned = true
	for fam := range nativeFamilies {
		f.native[fam] = &nativeChannel{hub: h, family: fam, key: fam.String() + ":" + strconv.FormatInt(m.Native, 10)}
		f.native[fam].market.Store(m)
	}
	grown := maps.Clone(old)
	grown[m.ID] = f
	h.feeds.Store(&grown)
	return f
}

func (h *Hub) newChannel(f *family, m *model.Market) *channel {
	c := &channel{hub: h, family: f, name: f.channelName(m.Native)}
	c.ring = ring{budget: h.budget, maxFrames: h.limits.RingFrames, maxAge: h.limits.RingAge}
	c.market.Store(m)
	return c
}

// find reads the name of a channel.
func (h *Hub) find(name string) (*family, *model.Market, bool) {
	fam, native, ok := parseChannel(name)
	if !ok {
		return nil, nil, false
	}
	m, ok := h.markets.ByNative(venueLighter, native)
	return fam, m, ok
}

// venueLighter is the venue whose native ids the channel names hold.
const venueLighter = 0

// sweep sends heartbeats and lets go of what nobody has listened to for a ring's age. It is called each second.
func (h *Hub) sweep(now time.Time) {
	for _, f := range *h.feeds.Load() {
		for _, c := range f.channels {
			c.sweep(now)
		}
		f.sweepOwned(now)
		f.desk.sweep(now)
	}
}

// sweep tells whether the channel goes on.
func (c *channel) sweep(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.active {
		return false
	}
	if len(c.subs) == 0 && now.Sub(c.left) > c.hub.limits.RingAge {
		c.rest()
		return false
	}
	c.ring.prune(now)
	if now.Sub(c.quiet) >= c.hub.limits.HeartbeatTime {
		c.quiet = now
		c.beat(now)
	}
	return true
}

// beat sends a heartbeat to those who asked for one. It repeats the last seq.
func (c *channel) beat(now time.Time) {
	var frame []byte
	for _, sub := range c.subs {
		if !sub.conn.heartbeats.Load() {
			continue
		}
		if frame == nil {
			frame = c.heartbeat(now)
		}
		sub.conn.send(frame)
	}
}

func (c *channel) heartbeat(now time.Time) []byte {
	b := append(make([]byte, 0, 128), `{"type":"heartbeat","channel":"`...)
	b = append(b, c.name...)
	b = append(b, `","seq":`...)
	b = appendUint(b, c.seq)
	b = append(b, `,"upstream_age_ms":`...)
	if c.heard.IsZero() {
		b = append(b, "null"...)
	} else {
		b = appendInt(b, now.Sub(c.heard).Milliseconds())
	}
	return newFrame(append(b, '}'))
}
