package market

import (
	"cmp"
	"runtime/debug"
	"slices"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
)

const (
	second = model.Micros(1e6)
	// catchUp is how many missed seconds are ticked one by one; of a longer stall or hole only the first and the last.
	catchUp = 60
)

// Shard applies the events of its markets and tells the listeners. It is plain and synchronous: one goroutine at a time
// calls Handle and Tick, a shard of a Registry its own, an Importer the caller's.
type Shard struct {
	r       *Registry
	markets map[model.MarketID]*state
	sorted  []*state // by ascending id
	last    model.Micros
	back    model.Micros // the second that was repeated last; 0 while the clock is where it was
	panics  map[int]int  // per listener, since the last tick
}

// state is what a shard knows of one market.
type state struct {
	*entry
	minute int64 // the staggered minute that had its keyframe tick

	book     *book.Book
	bookRecv model.Micros // receive time of the last good book frame, 0 before the first
	bookGap  *model.Gap   // open gap
	stale    int          // stale updates in a row
	asked    model.Micros // when a new snapshot was asked for last
	asking   bool         // it was, since the book went out of sync
	wanted   bool         // nobody else will bring a new snapshot

	trades trades

	statsRecv model.Micros
	statsGap  *model.Gap
}

func (r *Registry) newShard() *Shard {
	return &Shard{r: r, markets: map[model.MarketID]*state{}, panics: map[int]int{}}
}

// Handle applies an event and keeps it. Full seconds that lie between the last tick and the event's receive time are
// ticked first; a receive time before the last tick becomes that of the tick.
func (s *Shard) Handle(e *model.Event) {
	if e.Recv < s.last {
		e.Recv = s.last
		clampedEvents.Inc()
	}
	s.advance(e.Recv.Second())
	if e.Market == model.NoMarket {
		if g, ok := e.Payload.(*model.Gap); ok {
			for _, st := range s.sorted {
				s.onGap(st, e, g)
			}
			return
		}
		s.tell(e, nil)
		return
	}
	st := s.state(e.Market)
	if st == nil {
		unknownMarkets.Inc()
		return
	}
	switch p := e.Payload.(type) {
	case *model.BookUpdate:
		s.onBook(st, e, p)
	case *model.TradeBatch:
		s.onTrades(st, e, p)
	case *model.Stats:
		s.onStats(st, e)
	case *model.Gap:
		s.onGap(st, e, p)
	default:
		s.tell(e, nil)
	}
}

// Tick tells the listeners that a second is full; missed ones are made up for. One before the last tick shows that the clock
// was set back, and only repeaters hear of it. A tick that the events of the next second overtook is told already.
func (s *Shard) Tick(sec model.Micros) {
	sec = sec.Second()
	if s.last == 0 {
		s.last = sec - second
	}
	if sec < s.last-second {
		s.repeat(sec)
		return
	}
	s.advance(sec)
}

// advance ticks every second up to and including to.
func (s *Shard) advance(to model.Micros) {
	if s.last == 0 {
		s.last = to // nothing was held before the first event
		return
	}
	if missing := (to - s.last) / second; missing > catchUp {
		s.tick(s.last + second)
		skippedSeconds.Add(int(missing - 2))
		s.tick(to)
		return
	}
	for s.last < to {
		s.tick(s.last + second)
	}
}

func (s *Shard) tick(sec model.Micros) {
	s.last, s.back = sec, 0
	held, views := s.hold(sec)
	snapshots.Add(views)
	if !s.r.importing {
		snapshotLag.Update(float64(s.r.o.Now().UnixMicro()-int64(sec)) / 1e6)
	}
	for i := range s.r.o.Listeners {
		s.tickOne(i, sec, held)
	}
	clear(s.panics)
}

// repeat is tick for a second before the last one.
func (s *Shard) repeat(sec model.Micros) {
	s.back = sec
	held, _ := s.hold(sec)
	for i, l := range s.r.o.Listeners {
		if l, ok := l.(Repeater); ok {
			s.repeatOne(i, l, sec, held)
		}
	}
	clear(s.panics)
}

// hold returns what the markets hold at a second, and of how many the book is whole. Snapshots that are wanted still are
// asked for.
func (s *Shard) hold(sec model.Micros) (held []Held, views int) {
	held = make([]Held, 0, len(s.sorted))
	for _, st := range s.sorted {
		if st.wanted {
			s.ask(st, sec)
		}
		h := Held{Market: st.market.Load(), TradesHeld: st.trades.held()}
		if st.fresh.Load() {
			h.View = st.view.Load()
			views++
			// Keyframes of the markets are spread over the minute.
			if m := (int64(sec/second) + int64(st.id%60)) / 60; m != st.minute && s.back == 0 {
				st.minute, h.Minute = m, true
			}
		}
		if h.View != nil || h.TradesHeld {
			held = append(held, h)
		}
	}
	return held, views
}

// state returns a shard's state of a market, made at its first event; nil where the registry does not know it.
func (s *Shard) state(id model.MarketID) *state {
	if st := s.markets[id]; st != nil {
		return st
	}
	e := s.r.table.Load().byID[id]
	if e == nil {
		return nil
	}
	st := &state{entry: e, book: book.New(), minute: -1}
	if start := e.start.Swap(nil); start != nil && !s.r.importing {
		st.restore(start)
	}
	s.markets[id] = st
	i, _ := slices.BinarySearchFunc(s.sorted, id, func(st *state, id model.MarketID) int { return cmp.Compare(st.id, id) })
	s.sorted = slices.Insert(s.sorted, i, st)
	return st
}

// tell gives an event to every listener. A listener that panics loses this event only: the shard's other markets and
// listeners must not suffer for it.
func (s *Shard) tell(e *model.Event, v *book.View) {
	for i := range s.r.o.Listeners {
		s.tellOne(i, e, v)
	}
}

func (s *Shard) tellOne(i int, e *model.Event, v *book.View) {
	defer s.recovered(i)
	s.r.o.Listeners[i].OnEvent(e, v)
}

func (s *Shard) tickOne(i int, sec model.Micros, held []Held) {
	defer s.recovered(i)
	s.r.o.Listeners[i].OnTick(sec, held)
}

func (s *Shard) repeatOne(i int, l Repeater, sec model.Micros, held []Held) {
	defer s.recovered(i)
	l.OnRepeat(sec, held)
}

// recovered counts a listener's panic; the stack is logged once between two ticks, so that a panic at every event does not
// fill the disk.
func (s *Shard) recovered(i int) {
	if p := recover(); p != nil {
		listenerPanics.Inc()
		if s.panics[i]++; s.panics[i] == 1 {
			s.r.o.Logger.Error("market listener panicked", "listener", i, "panic", p, "stack", string(debug.Stack()))
		}
	}
}
