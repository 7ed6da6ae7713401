package desk

import (
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/signal"
)

// watch is the evaluator of one market's signals. Its shard holds the lock for an event at a time, others for a change.
type watch struct {
	mu     sync.Mutex
	feed   *signal.Feed
	eval   *signal.Evaluator
	infos  map[uuid.UUID]armed
	hits   []firing     // of the event under way
	second model.Millis // of the last tick
	// back is that second too while the clock is where it was before already; 0 else. Events then tell a later time than it is.
	back model.Micros

	// booked says that the evaluator has seen the book of a full second; the shard's goroutine only.
	booked bool
}

// armed is a signal as its evaluator has it.
type armed struct {
	info      *Signal
	revision  uint64
	unwritten int // triggers on their way to the writer
}

// firing is a trigger on its way to the writer.
type firing struct {
	w        *watch
	info     *Signal
	revision uint64
	at       model.Millis
	received time.Time
	matched  []byte // JSON text
	context  []byte // JSON text
	state    signal.State
}

// watch returns a market's evaluator and makes it where there is none. Desk.changing must be held, or nobody else know the
// desk yet.
func (d *Desk) watch(id model.MarketID) *watch {
	all := *d.watches.Load()
	if w := all[id]; w != nil {
		return w
	}
	last := model.Millis(0)
	if d.o.LastStats != nil {
		last = d.o.LastStats(id)
	}
	w := &watch{feed: signal.NewFeed(last), eval: signal.NewEvaluator(), infos: map[uuid.UUID]armed{}}
	next := maps.Clone(all)
	next[id] = w
	d.watches.Store(&next)
	return w
}

func (d *Desk) of(id model.MarketID) *watch { return (*d.watches.Load())[id] }

// arm hands a signal to its market's evaluator; reset makes it forget what crossing conditions have seen. Desk.changing must
// be held.
func (d *Desk) arm(h *held, reset bool) {
	d.mu.RLock()
	info, revision, active := h.info, h.revision, h.active()
	saved := h.saved
	d.mu.RUnlock()
	w := d.watch(info.Market)
	w.mu.Lock()
	defer w.mu.Unlock()
	state, known := w.eval.State(info.ID)
	if !known { // new, or from another market: the cooldown comes along
		state, _ = signal.DecodeState(saved)
	}
	if reset {
		state = state.Reset()
	}
	w.infos[info.ID] = armed{info: info, revision: revision, unwritten: w.infos[info.ID].unwritten}
	w.eval.Set(info.ID, info.Rule, active, info.Cooldown, state)
}

// disarm takes a signal from a market's evaluator.
func (d *Desk) disarm(h *held, from model.MarketID) {
	w := d.of(from)
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.eval.Remove(h.info.ID)
	delete(w.infos, h.info.ID)
}

// state returns what the evaluator knows of a signal.
func (d *Desk) state(h *held) signal.State {
	d.mu.RLock()
	id, m := h.info.ID, h.info.Market
	d.mu.RUnlock()
	w := d.of(m)
	if w == nil {
		return signal.State{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s, _ := w.eval.State(id)
	return s
}

// OnEvent implements market.Listener.
func (d *Desk) OnEvent(e *model.Event, v *book.View) {
	w := d.of(e.Market)
	if w == nil {
		return
	}
	switch p := e.Payload.(type) {
	case *model.TradeBatch:
		m, ok := d.o.Markets.Get(e.Market)
		if !ok {
			return
		}
		received := time.Time{}
		if !p.History && e.Recv != 0 {
			received = time.UnixMicro(int64(e.Recv))
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.back != 0 {
			received = time.Time{} // not known, so that no delay can be told
		}
		w.feed.Trades(m, p, func(ev *signal.Event) { d.evaluate(w, ev, received) })
	case *model.Stats:
		w.mu.Lock()
		defer w.mu.Unlock()
		at := e.Recv
		if w.back != 0 {
			at = w.back
		}
		w.feed.Stats(at, p)
	case *model.BookUpdate:
		if m, ok := d.o.Markets.Get(e.Market); ok && v != nil && !w.booked {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.eval.ShowBook(w.feed.Book(e.Recv.Millis(), m, v))
		}
	}
}

// OnTick implements market.Listener.
func (d *Desk) OnTick(second model.Micros, held []market.Held) { d.tickAll(second, held, false) }

// OnRepeat implements market.Repeater: signals are not silent until a clock that was set back comes to where it was.
func (d *Desk) OnRepeat(second model.Micros, held []market.Held) { d.tickAll(second, held, true) }

func (d *Desk) tickAll(second model.Micros, held []market.Held, again bool) {
	if len(*d.watches.Load()) == 0 {
		return
	}
	for i := range held {
		if w := d.of(held[i].Market.ID); w != nil {
			d.tick(w, second, &held[i], again)
		}
	}
}

func (d *Desk) tick(w *watch, second model.Micros, h *market.Held, again bool) {
	w.mu.Lock()
	defer w.mu.Unlock() // the shard outlives a listener that panics
	now, received := second.Millis(), time.UnixMicro(int64(second))
	if now < w.second {
		w.rewind(now)
	}
	w.second, w.back = now, 0
	if again {
		w.back = second
		w.feed.SetBack(now)
	}
	w.booked = w.booked || h.View != nil
	w.feed.Tick(second, h.Market, h.View, func(ev *signal.Event) { d.evaluate(w, ev, received) })
}

// rewind lets cooldowns that began later than a time begin at it: the clock was set back, and signals must not be silent
// until it comes there again.
func (w *watch) rewind(to model.Millis) {
	for id, a := range w.infos {
		if s, ok := w.eval.State(id); ok && s.Last > to {
			s.Last = to
			w.eval.Set(id, a.info.Rule, w.eval.Enabled(id), a.info.Cooldown, s)
		}
	}
}

// OnHeatmaps is told the rows of a computation, those that the record keeps. It may be called from any goroutine; the
// evaluators see the sums at a tick to come.
func (d *Desk) OnHeatmaps(rows []model.Heatmap) {
	for i := range rows {
		if w := d.of(rows[i].Market); w != nil {
			row := signal.RowOf(&rows[i])
			w.feed.Heatmap(row.Time, row.Long, row.Short)
		}
	}
}

// evaluate lets the evaluator look at an event, and hands what triggers to the writer. The watch's lock must be held.
func (d *Desk) evaluate(w *watch, ev *signal.Event, received time.Time) {
	w.eval.OnEvent(ev, func(t *signal.Trigger) {
		a, ok := w.infos[t.Signal]
		if !ok {
			return
		}
		buf := signal.AppendMatches(make([]byte, 0, 512), t.Matched)
		n := len(buf)
		buf = t.Context.AppendJSON(buf)
		w.hits = append(w.hits, firing{
			w: w, info: a.info, revision: a.revision, at: t.At, received: received, matched: buf[:n:n], context: buf[n:],
		})
	})
	for _, f := range w.hits {
		id := f.info.ID
		f.state, _ = w.eval.State(id)
		select {
		case d.fired <- f:
			a := w.infos[id]
			a.unwritten++
			w.infos[id] = a
		default:
			d.lost(1, "the writer is behind")
		}
	}
	clear(w.hits)
	w.hits = w.hits[:0]
}
