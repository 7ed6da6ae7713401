package replay

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

const (
	// aheadEvents is how many events go from the reading goroutine to the other one at once. The first ones after a start
	// go alone or by few: somebody waits for them.
	aheadEvents = 128
	// aheadBatches is how many such batches may wait: half a megabyte of trades.
	aheadBatches = 4
	// aheadLevels bounds the levels of a batch, whole books being large.
	aheadLevels = 4096
)

// Ahead is a source that reads another one on a goroutine of its own before it is asked, so that reading and decoding have
// one core and encoding and sending another. It gives the same events, errors included, and keeps no place in the store
// while it is released. Like any source it is used by one goroutine; the source behind it by nobody else. It reads ahead
// only while ReadAhead has turned that on; a player does so at "max".
type Ahead struct {
	src   Source
	on    bool
	run   *aheadRun // nil while nobody reads
	ready []*batch  // what a run had read when it was stopped, in order
	cur   *batch    // whose events are handed out
	at    int       // of the next one
	free  []*batch
}

// aheadRun is one reading goroutine.
type aheadRun struct {
	full, free chan *batch
	quit, done chan struct{}
	rest       *batch // read, and not yet sent when the run ended; read after done
}

// batch is a piece of the timeline, copied out of its source. Pointers of the events go into the other slices.
type batch struct {
	events   []Event
	trades   []model.Trade
	fundings []model.Funding
	stats    []model.Stats
	rows     []record.BookRow
	tops     []Top
	levels   []model.Level
	err      error // behind the events
	panicked string
}

// batches keeps the memory of ended replays.
var batches = sync.Pool{New: func() any { return &batch{} }}

// NewAhead returns a source of the same events; it closes src when it is closed.
func NewAhead(src Source) *Ahead { return &Ahead{src: src} }

var _ Source = (*Ahead)(nil)

// ReadAhead turns reading ahead on or off. What was read is still handed out.
func (a *Ahead) ReadAhead(on bool) {
	if a.on = on; !on {
		a.stop()
	}
}

// Next returns the next event, io.EOF at the end.
func (a *Ahead) Next(ctx context.Context) (*Event, error) {
	for {
		if b := a.cur; b != nil {
			if a.at < len(b.events) {
				a.at++
				return &b.events[a.at-1], nil
			}
			a.cur = nil
			err, panicked := b.err, b.panicked
			a.recycle(b)
			if panicked != "" {
				panic(panicked)
			}
			if err != nil {
				a.stop()
				return nil, err
			}
		}
		switch {
		case len(a.ready) > 0:
			a.cur, a.at = a.ready[0], 0
			a.ready = slices.Delete(a.ready, 0, 1)
		case !a.on:
			return a.src.Next(ctx)
		default:
			if a.run == nil {
				a.begin(ctx)
			}
			select {
			case a.cur = <-a.run.full:
				a.at = 0
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

// Seek moves to the first event at or after t; what was read ahead is void then.
func (a *Ahead) Seek(t model.Millis) error {
	a.stop()
	if err := a.src.Seek(t); err != nil {
		return err
	}
	if a.cur != nil {
		a.recycle(a.cur)
	}
	for _, b := range a.ready {
		a.recycle(b)
	}
	a.cur, a.ready = nil, a.ready[:0]
	return nil
}

// Release stops reading and closes what is open in the store; what was read stays.
func (a *Ahead) Release() {
	a.stop()
	a.src.Release()
}

// Close ends the timeline.
func (a *Ahead) Close() error {
	a.stop()
	for _, b := range append(a.ready, a.free...) {
		b.clear() // the next replay to take it may be somebody else's
		batches.Put(b)
	}
	a.cur, a.at, a.ready, a.free = nil, 0, nil, nil
	return a.src.Close()
}

// begin starts to read.
func (a *Ahead) begin(ctx context.Context) {
	r := &aheadRun{full: make(chan *batch, aheadBatches), free: make(chan *batch, aheadBatches+2),
		quit: make(chan struct{}), done: make(chan struct{})}
	for _, b := range a.free {
		r.free <- b
	}
	a.free = a.free[:0]
	a.run = r
	go r.read(ctx, a.src)
}

// stop ends the reading goroutine and takes over what it has read.
func (a *Ahead) stop() {
	r := a.run
	if r == nil {
		return
	}
	close(r.quit)
	<-r.done
	a.run = nil
	for len(r.full) > 0 {
		a.ready = append(a.ready, <-r.full)
	}
	if r.rest != nil {
		a.ready = append(a.ready, r.rest)
	}
	for len(r.free) > 0 {
		a.free = append(a.free, <-r.free)
	}
}

// recycle gives a batch back that was handed out whole.
func (a *Ahead) recycle(b *batch) {
	b.clear()
	if a.run != nil {
		select {
		case a.run.free <- b:
			return
		default:
		}
	} else if len(a.free) < aheadBatches+2 {
		a.free = append(a.free, b)
		return
	}
	batches.Put(b)
}

// read fills batches until the source ends or the run is stopped.
func (r *aheadRun) read(ctx context.Context, src Source) {
	defer close(r.done)
	b, size := r.take(), 1
	defer func() {
		if v := recover(); v != nil {
			b.panicked = fmt.Sprintf("%v, in the reading goroutine:\n%s", v, debug.Stack())
			r.rest = b
			r.send()
		}
	}()
	for {
		select {
		case <-r.quit:
			r.rest = b
			return
		default:
		}
		e, err := src.Next(ctx)
		if err == nil {
			b.add(e)
		}
		if b.err = err; err == nil && len(b.events) < size && len(b.levels) < aheadLevels {
			continue
		}
		if r.rest = b; !r.send() || err != nil {
			return
		}
		b, size = r.take(), min(4*size, aheadEvents)
	}
}

// send hands the rest over; false where the run was stopped before there was room.
func (r *aheadRun) send() bool {
	select {
	case r.full <- r.rest:
		r.rest = nil
		return true
	case <-r.quit:
		return false
	}
}

// take returns an empty batch.
func (r *aheadRun) take() *batch {
	select {
	case b := <-r.free:
		return b
	default:
		return batches.Get().(*batch)
	}
}

// clear empties a batch and lets go of what it points to.
func (b *batch) clear() {
	clear(b.events)
	clear(b.trades)
	clear(b.rows) // they point into the levels, those outgrown too
	clear(b.tops)
	b.events, b.trades, b.fundings, b.stats = b.events[:0], b.trades[:0], b.fundings[:0], b.stats[:0]
	b.rows, b.tops, b.levels = b.rows[:0], b.tops[:0], b.levels[:0]
	if cap(b.levels) > 2*aheadLevels {
		b.levels = nil
	}
	b.err, b.panicked = nil, ""
}

// add copies an event and what it points to. Where a slice grows, events before keep pointing into the one before.
func (b *batch) add(e *Event) {
	b.events = append(b.events, *e)
	c := &b.events[len(b.events)-1]
	switch e.Kind {
	case Trade, Liquidation:
		b.trades = append(b.trades, *e.Trade)
		c.Trade = &b.trades[len(b.trades)-1]
	case Funding:
		b.fundings = append(b.fundings, *e.Funding)
		c.Funding = &b.fundings[len(b.fundings)-1]
	case Stats:
		b.stats = append(b.stats, *e.Stats)
		c.Stats = &b.stats[len(b.stats)-1]
	case BookUpdate:
		b.rows = append(b.rows, *e.Row)
		c.Row = &b.rows[len(b.rows)-1]
		u := &c.Row.Update
		u.Bids, u.Asks = b.copied(u.Bids), b.copied(u.Asks)
	case Snapshot:
		if e.Top != nil {
			b.tops = append(b.tops, *e.Top)
			c.Top = &b.tops[len(b.tops)-1]
			c.Top.Bids, c.Top.Asks = b.copied(e.Top.Bids), b.copied(e.Top.Asks)
		}
	}
}

func (b *batch) copied(levels []model.Level) []model.Level {
	from := len(b.levels)
	b.levels = append(b.levels, levels...)
	return b.levels[from:len(b.levels):len(b.levels)]
}
