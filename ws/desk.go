package ws

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// maxVariants bounds the option sets of one family of one market that differ from the defaults. Those that nobody
// listens to make room; the defaults always have room.
const maxVariants = 64

// Owners tells who owns resting orders. Until it is given, levels have no owners and books no attribution time.
type Owners interface {
	// Attribution returns who owns the resting orders of a market's book, nil where nothing is known. It must not block.
	Attribution(m model.MarketID) *model.Attribution
	// Watch says, once a second, that somebody watches a market's enriched book. It must not block.
	Watch(m model.MarketID)
}

// Heatmaps computes liquidation heatmaps. Until it is given, their channel is refused.
type Heatmaps interface {
	// Heatmap returns the data object of a market's latest heatmap with the default parameters of the REST endpoint, nil
	// where there is none yet. The bytes are never changed again. It must not block.
	Heatmap(m model.MarketID) []byte
}

// whaleRules are the values from which something is a whale's. They are immutable.
type whaleRules struct {
	notional num.USD // 0 means defaultWhale
	byMarket map[model.MarketID]num.USD
}

// ownOptions is what the channels of ours need besides events.
type ownOptions struct {
	whales   atomic.Pointer[whaleRules]
	owners   Owners   // may be nil
	heatmaps Heatmaps // may be nil
}

// desk is the channels of one market that have options. Events and subscriptions hold its lock, which is taken before
// those of its channels: a new channel begins with the state after one event and goes on with the next.
type desk struct {
	hub    *Hub
	market *model.Market // of the first event or subscription: names

	mu     sync.Mutex
	view   *book.View         // latest; nil while the book is out of sync
	owners *model.Attribution // latest; nil where nothing is known
	told   toldGrowth         // for what alerts were raised
	open   [ownFamilies][]*channel
	count  int // channels in open
}

// variant is what a channel with options has besides. The channel's lock guards what follows its options.
type variant struct {
	options
	chosen bool // the options differ from the defaults

	next   time.Time // when the next frame of a paced family may come
	timer  *time.Timer
	armed  bool
	latest enrichedBook // what the next frame of a book will show
	shown  enrichedBook // what the last one showed
	sent   []byte       // the last heatmap
}

// subscribe gives a connection the channel of an option set, made where there is none, in place of old; false where too
// many option sets are in use.
func (d *desk) subscribe(f *family, m *model.Market, o options, conn *Conn, old *subscription, s *since) (*subscription, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.find(f, o)
	if c == nil {
		if c = d.add(f, m, o); c == nil {
			return nil, false
		}
	}
	if old != nil && old.source != source(c) {
		old.source.(*channel).unsubscribe(old, nil)
		old = nil
	}
	return c.subscribe(conn, old, s), true
}

func (d *desk) find(f *family, o options) *channel {
	for _, c := range d.open[f.own()] {
		if c.set.options == o {
			return c
		}
	}
	return nil
}

// add makes the channel of an option set; nil where there is no room.
func (d *desk) add(f *family, m *model.Market, o options) *channel {
	v := &variant{options: o, chosen: !d.hub.defaults(f, m, o)}
	if v.chosen && !d.room(f) {
		return nil
	}
	if owners := d.hub.own.owners; owners != nil && f == enrichedBookFamily {
		owners.Watch(m.ID)
		d.owners = owners.Attribution(m.ID) // while nobody listened it was not followed
	}
	if d.count == 0 {
		d.told.clear() // nor were the lists of orders
	}
	v.latest = enrichedBook{view: d.view, owners: d.owners, market: m}
	c := d.hub.newChannel(f, m)
	c.set = v
	d.open[f.own()] = append(d.open[f.own()], c)
	d.count++
	return c
}

// room tells whether one more option set may be used, once one that nobody listens to has made place.
func (d *desk) room(f *family) bool {
	used, idle := 0, -1
	for i, c := range d.open[f.own()] {
		if !c.set.chosen {
			continue
		}
		used++
		if c.idle() {
			idle = i
		}
	}
	if used < maxVariants {
		return true
	}
	if idle < 0 {
		return false
	}
	d.drop(f.own(), idle)
	return true
}

// drop forgets a channel without subscribers.
func (d *desk) drop(family, i int) {
	list := d.open[family]
	list[i].retire()
	list[i] = list[len(list)-1]
	list[len(list)-1] = nil
	d.open[family] = list[:len(list)-1]
	d.count--
}

// book shows an update to the channels of books and alerts; v is the book after it.
func (d *desk) book(e *model.Event, u *model.BookUpdate, v *book.View, m *model.Market, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.view
	d.view = v
	if d.count == 0 {
		return
	}
	// What is known of the owners was brought to this frame before: it is asked for here, so that both are of one moment.
	d.readOwners(m, e.Recv, now)
	for _, c := range d.open[enrichedBookFamily.own()] {
		c.offer(enrichedBook{view: v, owners: d.owners, market: m}, now)
	}
	if alerts := d.open[alertFamily.own()]; len(alerts) > 0 {
		heard(alerts, now)
		if u.Snapshot {
			d.told.clear()
		} else if before != nil && before.Epoch == v.Epoch {
			d.growth(e, u, before, v, m, now)
		}
	}
}

// trades shows new trades to the channels of trades and alerts.
func (d *desk) trades(b *model.TradeBatch, m *model.Market, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.open[enrichedTradeFamily.own()] {
		c.enrichedTrades(b, m, now)
	}
	if alerts := d.open[alertFamily.own()]; len(alerts) > 0 {
		heard(alerts, now)
		d.tradeAlerts(b, m, now)
	}
}

// heard notes an event that need not be worth a frame.
func heard(channels []*channel, now time.Time) {
	for _, c := range channels {
		c.mu.Lock()
		c.heard = now
		c.mu.Unlock()
	}
}

// gap tells of a hole in the books or in the trades.
func (d *desk) gap(g *model.Gap, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g.Kind == model.KindBook {
		d.view = nil
	}
	for _, f := range []*family{enrichedBookFamily, enrichedTradeFamily, alertFamily} {
		if f == enrichedBookFamily && g.Kind != model.KindBook || f == enrichedTradeFamily && g.Kind != model.KindTrades {
			continue
		}
		for _, c := range d.open[f.own()] {
			c.gap(g, now)
		}
	}
}

// sweep does what is due once a second.
func (d *desk) sweep(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count == 0 {
		return
	}
	d.askOwners(now)
	for _, c := range d.open[heatmapFamily.own()] {
		c.heatmap(now)
	}
	for family := range d.open {
		for i := len(d.open[family]) - 1; i >= 0; i-- {
			if !d.open[family][i].sweep(now) {
				d.drop(family, i)
			}
		}
	}
}

// askOwners says that the market's books are watched, and shows what a new list has told meanwhile.
func (d *desk) askOwners(now time.Time) {
	books := d.open[enrichedBookFamily.own()]
	if d.hub.own.owners == nil || d.market == nil {
		return
	}
	if slices.ContainsFunc(books, func(c *channel) bool { return !c.idle() }) {
		d.hub.own.owners.Watch(d.market.ID)
	}
	if before := d.owners; d.view != nil && d.readOwners(d.market, model.Micros(now.UnixMicro()), now) != before {
		for _, c := range books {
			c.offerOwners(d.owners, now)
		}
	}
}

// readOwners takes what is known of the owners now, and raises the alerts of the orders that a new list brought.
func (d *desk) readOwners(m *model.Market, recv model.Micros, now time.Time) *model.Attribution {
	if d.hub.own.owners == nil {
		return nil
	}
	a := d.hub.own.owners.Attribution(m.ID)
	if a == d.owners {
		return a
	}
	d.owners = a
	d.arrivals(a, m, recv, now)
	return a
}
