package ws

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

// maxMissed is how many gap frames a conflated subscription remembers; of more the oldest go.
const maxMissed = 16

// channel is one family of one market. Publishing and subscribing hold its lock, so what a new subscriber gets first is
// followed by exactly the next frame. Without listeners it encodes nothing and only remembers the latest book.
type channel struct {
	hub    *Hub
	family *family
	name   string
	market atomic.Pointer[model.Market] // of the last event: names and scales
	set    *variant                     // of a family with options; nil of the others
	owned  bool                         // the book's frames name the owners of the levels

	mu     sync.Mutex
	active bool   // somebody listens, or left less than the ring's age ago
	epoch  string // new with each activation
	seq    uint64 // of the last frame; the book as it was at the activation counts as the first
	subs   []*subscription
	left   time.Time // when the last subscriber went
	ring   ring

	view    *book.View // published last; nil while the book is out of sync
	whole   *Frame     // the view as a frame of the present seq, nil until somebody needs it; with options the last frame
	heard   time.Time  // when the last event came: on the clock that nobody sets
	quiet   time.Time  // the last frame or heartbeat
	scratch []byte
}

// source is a channel as the writer knows it: catchUp ends the conflation of a subscription and returns what is to be
// written before anything that is queued from now on.
type source interface {
	catchUp(sub *subscription) []*Frame
}

func newEpoch() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// activate begins a new epoch.
func (c *channel) activate() {
	c.active, c.epoch, c.seq = true, newEpoch(), 1
	c.ring.reset()
	c.whole, c.quiet = nil, c.hub.now()
	if c.set != nil {
		c.begin(c.quiet)
	}
}

// begin makes what is known the state of the first seq, in the families that have one.
func (c *channel) begin(now time.Time) {
	switch c.family {
	case enrichedBookFamily:
		if c.set.latest.view != nil {
			c.show(now)
		}
	case heatmapFamily:
		if data := c.hub.own.heatmaps.Heatmap(c.market.Load().ID); data != nil {
			c.showHeatmap(data, now)
		}
	}
}

// state is what a new subscriber starts with, as a frame of the present seq; nil where there is none.
func (c *channel) state() *Frame {
	if c.set == nil && c.view != nil {
		return c.wholeBook()
	}
	return c.whole
}

// idle tells whether nobody listens.
func (c *channel) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.subs) == 0
}

// retire ends the epoch.
func (c *channel) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest()
}

// rest lets go of what only subscribers need. The lock is held.
func (c *channel) rest() {
	c.active, c.whole, c.scratch = false, nil, nil
	c.ring.reset()
	if c.set != nil && c.set.timer != nil {
		c.set.timer.Stop()
	}
}

// publish gives a frame to the ring and to every subscriber.
func (c *channel) publish(now time.Time, f *Frame) {
	framesEncoded.Add(f.messages())
	c.quiet = now
	c.ring.add(f, now)
	for _, sub := range c.subs {
		c.deliver(sub, f)
	}
}

func (c *channel) deliver(sub *subscription, f *Frame) {
	if sub.conflated {
		if f.lasting {
			sub.missed = append(sub.missed, f)
		}
		if n := len(sub.missed); n > maxMissed {
			sub.missed = sub.missed[n-maxMissed:]
		}
		return
	}
	n := sub.conn.push(item{frame: f, sub: sub, size: f.size})
	if c.family.book && !f.lasting && n >= c.hub.limits.ConflateAt {
		sub.conflated = true
		conflations.Inc()
		sub.conn.queue.conflate(sub)
	}
}

// catchUp ends the conflation of a subscription: it returns the gaps it has missed and the newest state, to be written
// before anything that is queued from now on. It is called by the connection's writer.
func (c *channel) catchUp(sub *subscription) []*Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sub.dead || !sub.conflated {
		return nil
	}
	frames := sub.missed
	sub.conflated, sub.missed = false, nil
	if f := c.state(); f != nil {
		frames = append(frames, f)
	}
	return frames
}

// wholeBook returns the present view as a frame with the present seq, encoded by whoever needs its bytes first.
func (c *channel) wholeBook() *Frame {
	if c.whole == nil {
		size := 256 + levelBytes*(c.view.Len(model.Bid)+c.view.Len(model.Ask))
		c.whole = &Frame{channel: c, view: c.view, owners: c.attribution(), seq: c.seq, at: model.Millis(c.hub.now().UnixMilli()), size: size}
	}
	return c.whole
}

// book publishes a book event; v is the book after it.
func (c *channel) book(e *model.Event, u *model.BookUpdate, v *book.View, m *model.Market, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.market.Store(m)
	synced := c.view != nil
	c.view, c.whole, c.heard = v, nil, now
	if !c.active {
		return
	}
	c.seq++
	if u.Snapshot || !synced {
		c.publish(now, c.wholeBook())
		return
	}
	f := bookFrame{update: u, epoch: e.Epoch, seq: c.seq, at: model.Millis(now.UnixMilli()), named: c.owned}
	if c.owned {
		// What is known of the owners was brought to this frame before: both are of one moment.
		f.owners, f.whale = c.attribution(), c.hub.whale(m.ID)
	}
	var shared int
	c.scratch, shared = appendBookFrame(c.scratch[:0], c.name, m, f)
	c.publish(now, c.frame(shared, false))
}

// batchBytes is from where on a batch of trades is published in several frames: a piece that a socket takes at once.
const batchBytes = joinBytes

// trades publishes one message per trade, joined to a frame.
func (c *channel) trades(b *model.TradeBatch, m *model.Market, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.market.Store(m)
	c.heard = now
	if !c.active {
		return
	}
	c.scratch = c.scratch[:0]
	f := &Frame{channel: c, seq: c.seq + 1}
	for i := range b.Rows {
		c.seq++
		t := tradeFrame{trade: &b.Rows[i], seq: c.seq, at: model.Millis(now.UnixMilli()), recovered: b.Recovered}
		var start, shared int
		c.scratch, start = beginFrame(c.scratch)
		c.scratch, shared = appendTradeFrame(c.scratch, c.name, m, t)
		f.shared = shared - start - frameHead
		c.scratch = endFrame(c.scratch, start)
		if i == len(b.Rows)-1 || len(c.scratch) >= batchBytes {
			f.typed, f.size, f.more = bytes.Clone(c.scratch), len(c.scratch), int(c.seq-f.seq)
			c.publish(now, f)
			c.scratch = c.scratch[:0]
			f = &Frame{channel: c, seq: c.seq + 1}
		}
	}
}

// gap follows a hole: the book is unknown from its begin on, and at its end the subscribers are told.
func (c *channel) gap(g *model.Gap, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.family.book {
		c.view, c.whole = nil, nil
		if c.set != nil {
			c.set.latest.view, c.set.shown = nil, enrichedBook{}
		}
	}
	if g.To == 0 || g.Filled || !c.active {
		return
	}
	c.seq++
	c.scratch = appendGapFrame(c.scratch[:0], c.name, g, c.seq, model.Millis(now.UnixMilli()))
	c.publish(now, c.frame(0, true))
}

// frame copies the scratch buffer into a frame.
func (c *channel) frame(shared int, lasting bool) *Frame {
	b := newFrame(c.scratch)
	return &Frame{typed: b, shared: shared, channel: c, seq: c.seq, size: len(b), lasting: lasting}
}
