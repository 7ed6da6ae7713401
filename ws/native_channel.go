package ws

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// nativeFamily is a family of the venue's own channels that we serve ourselves.
type nativeFamily int

const (
	nativeBook nativeFamily = iota
	nativeTrade
	nativeStats
	nativeFamilies // how many a market has channels of
	nativeHeight   = nativeFamilies
)

// String returns the venue's name.
func (f nativeFamily) String() string {
	return [...]string{"order_book", "trade", "market_stats", "height"}[f]
}

func nativeFamilyOf(k model.Kind) nativeFamily {
	switch k {
	case model.KindBook:
		return nativeBook
	case model.KindTrades:
		return nativeTrade
	default:
		return nativeStats
	}
}

// typeSpot is the type of markets whose statistics the venue sends in another family.
const typeSpot = "spot"

// nativeChannel is a channel in the venue's form: a subscriber gets a first frame made from what is held, then every
// update in the venue's own words, so that its chain of nonces holds. As in channel, publishing and subscribing hold the
// lock, and nothing is encoded while nobody listens.
//
// After a hole subscribers get a new first frame of the book: the venue itself never leaves a chain broken, and its
// clients take a repeated first frame as the new state. Closing their sockets instead would have each of them, bots
// behind one address all at once, come back with everything they had subscribed to.
type nativeChannel struct {
	hub    *Hub
	family nativeFamily
	key    string                       // with a colon, as frames name it: order_book:0
	market atomic.Pointer[model.Market] // of the last event; nil for channels of all markets
	held   atomic.Bool                  // the record is whole up to now, as far as the last event or tick says

	mu      sync.Mutex
	subs    []*subscription
	scratch []byte
	arrival chan struct{} // closed when there is a state to begin with; nil while nobody waits for it

	view  *book.View // nil while the book is out of sync
	whole *Frame     // the view as a first frame, nil until somebody needs it

	trades tape
	rows   map[int64]statsRow // by the venue's market id; of a channel of one market its own

	height uint64
	at     model.Millis // the venue's time of the last height
	recv   model.Micros // and ours
}

// statsRow is a market's latest statistics.
type statsRow struct {
	market *model.Market
	stats  *model.Stats
	at     model.Millis
}

// heightAge is how old a height may be that is still served: the venue tells two a second.
const heightAge = 15_000_000

// available tells whether the channel has a state to begin with. The lock is held.
func (c *nativeChannel) available() bool {
	switch c.family {
	case nativeBook:
		return c.view != nil
	case nativeHeight:
		return c.height != 0 && c.hub.now().UnixMicro()-int64(c.recv) < heightAge
	case nativeStats:
		return len(c.rows) > 0
	default:
		return c.held.Load()
	}
}

// subscribe puts the first frame into the connection's queue and adds the subscription; nil where the channel is not held.
func (c *nativeChannel) subscribe(conn *Conn) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.available() {
		return nil
	}
	sub := &subscription{source: c, conn: conn, index: len(c.subs)}
	c.subs = append(c.subs, sub)
	f := c.first()
	conn.push(item{frame: f, sub: sub, size: f.size})
	return sub
}

// unsubscribe removes a subscription; ack, if not nil, follows its last frame.
func (c *nativeChannel) unsubscribe(sub *subscription, ack []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.subs) - 1
	c.subs[sub.index] = c.subs[last]
	c.subs[sub.index].index = sub.index
	c.subs[last] = nil
	c.subs = c.subs[:last]
	sub.dead = true
	if ack != nil {
		sub.conn.send(ack)
	}
}

// first returns the frame that answers a subscribe. The lock is held.
func (c *nativeChannel) first() *Frame {
	n := c.hub.native
	switch c.family {
	case nativeBook:
		return c.wholeBook()
	case nativeTrade:
		c.scratch = n.Trades(c.scratch[:0], c.market.Load(), c.trades.batch())
	case nativeHeight:
		c.scratch = n.Height(c.scratch[:0], c.height, c.at, true)
	default:
		c.scratch = c.appendRows(c.scratch[:0])
	}
	return c.frame()
}

// frame copies the scratch buffer into a frame.
func (c *nativeChannel) frame() *Frame {
	framesEncoded.Inc()
	b := newFrame(c.scratch)
	return &Frame{typed: b, size: len(b)}
}

// wholeBook returns the present book as a first frame, encoded by whoever needs its bytes first.
func (c *nativeChannel) wholeBook() *Frame {
	if c.whole == nil {
		size := 256 + levelBytes*(c.view.Len(model.Bid)+c.view.Len(model.Ask))
		c.whole = &Frame{native: c, view: c.view, size: size}
	}
	return c.whole
}

// appendWhole writes a book as a first frame.
func (c *nativeChannel) appendWhole(b []byte, v *book.View) []byte {
	u := model.BookUpdate{Snapshot: true, Bids: v.Append(nil, model.Bid, 0), Asks: v.Append(nil, model.Ask, 0), Seq: v.Seq,
		Offset: v.Offset, UpdatedAt: v.UpdatedAt, Chained: v.Chained}
	return c.hub.native.Book(b, c.market.Load(), v.Epoch, &u, v.Time)
}

// publish gives a frame to every subscriber. A slow one of a book is put aside until its writer comes for the newest state.
func (c *nativeChannel) publish(f *Frame) {
	for _, sub := range c.subs {
		if sub.conflated {
			continue
		}
		n := sub.conn.push(item{frame: f, sub: sub, size: f.size})
		if c.family == nativeBook && n >= c.hub.limits.ConflateAt {
			sub.conflated = true
			conflations.Inc()
			sub.conn.queue.conflate(sub)
		}
	}
}

// catchUp returns the whole book for a subscriber that was put aside; every update from now on follows it.
func (c *nativeChannel) catchUp(sub *subscription) []*Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sub.dead || !sub.conflated {
		return nil
	}
	sub.conflated = false
	if c.view == nil {
		return nil // the first frame after the hole goes to everybody
	}
	return []*Frame{c.wholeBook()}
}

// onBook publishes a book event; v is the book after it.
func (c *nativeChannel) onBook(e *model.Event, u *model.BookUpdate, v *book.View, m *model.Market) {
	c.mu.Lock()
	defer c.mu.Unlock()
	repeated := u.Snapshot && c.view != nil && c.view.Seq == v.Seq
	whole := u.Snapshot || c.view == nil
	c.market.Store(m)
	c.view, c.whole = v, nil
	c.arrived()
	switch {
	case len(c.subs) == 0 || repeated:
	case whole:
		c.publish(c.wholeBook())
	default:
		c.scratch = c.hub.native.Book(c.scratch[:0], m, e.Epoch, u, e.Time)
		c.publish(c.frame())
	}
}

// onTrades remembers the rows of a batch, and publishes those that happened or were missed.
func (c *nativeChannel) onTrades(b *model.TradeBatch, m *model.Market) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.market.Store(m)
	c.held.Store(true)
	c.trades.add(b)
	c.arrived()
	if len(c.subs) == 0 || b.History && !b.Recovered || len(b.Rows) == 0 {
		return
	}
	out := *b
	out.History = false // what was missed comes as if it had just happened
	c.scratch = c.hub.native.Trades(c.scratch[:0], m, &out)
	c.publish(c.frame())
}

// onStats remembers a market's row and publishes it.
func (c *nativeChannel) onStats(s *model.Stats, e *model.Event, m *model.Market) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil {
		c.rows = map[int64]statsRow{}
	}
	row := statsRow{market: m, stats: s, at: e.Time}
	c.rows[m.Native] = row
	c.arrived()
	if len(c.subs) == 0 {
		return
	}
	if c.all() {
		c.scratch = c.hub.native.AllStats(c.scratch[:0], func(yield func(*model.Market, *model.Stats) bool) { yield(m, s) }, row.at, false)
	} else {
		c.scratch = c.hub.native.Stats(c.scratch[:0], m, s, row.at, false)
	}
	c.publish(c.frame())
}

// all tells whether the channel is of all markets.
func (c *nativeChannel) all() bool { return c == c.hub.allStats }

// appendRows writes the first frame of statistics. The venue orders rows by their ids as text.
func (c *nativeChannel) appendRows(b []byte) []byte {
	if !c.all() {
		for _, r := range c.rows {
			return c.hub.native.Stats(b, r.market, r.stats, r.at, true)
		}
		return b
	}
	rows := slices.SortedFunc(maps.Values(c.rows), func(x, y statsRow) int {
		return cmp.Compare(strconv.FormatInt(x.market.Native, 10), strconv.FormatInt(y.market.Native, 10))
	})
	var at model.Millis
	for _, r := range rows {
		at = max(at, r.at)
	}
	return c.hub.native.AllStats(b, func(yield func(*model.Market, *model.Stats) bool) {
		for _, r := range rows {
			if !yield(r.market, r.stats) {
				return
			}
		}
	}, at, true)
}

// onHeight publishes the venue's block height.
func (c *nativeChannel) onHeight(p *model.Height, e *model.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.height, c.at, c.recv = p.Height, e.Time, e.Recv
	c.arrived()
	if len(c.subs) > 0 {
		c.scratch = c.hub.native.Height(c.scratch[:0], c.height, c.at, false)
		c.publish(c.frame())
	}
}

// onGap follows a hole: from its beginning on nobody new can be served from here. Those who have subscribed stay.
func (c *nativeChannel) onGap(g *model.Gap) {
	if g.To != 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held.Store(false)
	switch c.family {
	case nativeBook:
		c.view, c.whole = nil, nil
	case nativeStats:
		c.rows = nil
	}
}

// onGapOf forgets one market's row in the channel of all.
func (c *nativeChannel) onGapOf(m *model.Market, g *model.Gap) {
	if g.To != 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rows, m.Native)
}

// onHeld takes over that the record is whole, which of a market that does not trade no event tells.
func (c *nativeChannel) onHeld() {
	if c.held.Swap(true) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived()
}
