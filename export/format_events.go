package export

import (
	"context"
	"iter"
	"time"
)

// The kinds and flags of the backtester's events.
const (
	eventDepth    = 1
	eventTrade    = 2
	eventClear    = 3 // without a side: of both
	eventSnapshot = 4

	eventSell     = 1 << 28
	eventBuy      = 1 << 29
	eventLocal    = 1 << 30 // takes place when we receive it
	eventExchange = 1 << 31 // takes place when it happens at the venue
)

// event is a row of the backtester's array. Times are nanoseconds; prices and sizes are binary, as it has them.
type event struct {
	kind        uint64
	exch, local int64
	price, size float64
}

// lateTrade is how long after it happened a trade is received at most. One that came later was fetched afterwards, and counts as
// received when it happened; so does one without a receive time.
const lateTrade = int64(time.Minute)

// eventStream is what one feed sends, in the order of both clocks: a time that falls is raised to the one before, and what happens
// later than it is received, because the clocks differ, is taken to happen then.
type eventStream struct {
	next    func() ([]event, error, bool)
	stop    func()
	waiting []event // those that were not received yet
	passed  int     // how many of them have happened
	exch    int64
	local   int64
	ended   bool
}

// newEventStream makes a stream of batches of rows. The caller calls stop.
func newEventStream[T Row[T]](rows iter.Seq2[[]T, error], convert func([]event, *T) []event) *eventStream {
	s := &eventStream{}
	var batch []event
	s.next, s.stop = iter.Pull2(func(yield func([]event, error) bool) {
		for rows, err := range rows {
			batch = batch[:0]
			for i := range rows {
				batch = convert(batch, &rows[i])
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	})
	return s
}

// fill makes sure that an event is there which has not happened yet, if there is one.
func (s *eventStream) fill() error {
	for s.passed == len(s.waiting) && !s.ended {
		batch, err, ok := s.next()
		if err != nil {
			return err
		}
		s.ended = !ok
		for _, e := range batch {
			s.local = max(s.local, e.local)
			s.exch = max(s.exch, min(e.exch, s.local))
			e.exch, e.local = s.exch, s.local
			s.waiting = append(s.waiting, e)
		}
	}
	return nil
}

// happens returns the next event in the order of the venue's clock, nil behind the last.
func (s *eventStream) happens() *event {
	if s.passed == len(s.waiting) {
		return nil
	}
	return &s.waiting[s.passed]
}

// received returns the next event in the order of our clock, nil behind the last.
func (s *eventStream) received() *event {
	if len(s.waiting) == 0 {
		return nil
	}
	return &s.waiting[0]
}

// drop takes away the event that was received.
func (s *eventStream) drop() {
	s.waiting = s.waiting[1:]
	s.passed--
}

// mergeEvents gives the events of streams such that those with the venue's flag are in the order of its clock and those with ours
// in the order of ours. An event that has another place in each is given twice. What is kept in memory is the time between what
// has happened and what was received.
func mergeEvents(streams []*eventStream, emit func(*event) error) error {
	for {
		exch, local := -1, -1
		for i, s := range streams {
			if err := s.fill(); err != nil {
				return err
			}
			if e := s.happens(); e != nil && (exch < 0 || before(e.exch, e.local, streams[exch].happens().exch, streams[exch].happens().local)) {
				exch = i
			}
			if e := s.received(); e != nil && (local < 0 || before(e.local, e.exch, streams[local].received().local, streams[local].received().exch)) {
				local = i
			}
		}
		if local < 0 {
			return nil
		}
		var one event
		switch s := streams[local]; {
		case s.passed > 0:
			one = *s.received()
			one.kind |= eventLocal
			s.drop()
		case exch == local:
			one = *s.received()
			one.kind |= eventLocal | eventExchange
			s.passed++
			s.drop()
		default:
			one = *streams[exch].happens()
			one.kind |= eventExchange
			streams[exch].passed++
		}
		if err := emit(&one); err != nil {
			return err
		}
	}
}

func before(a, thenA, b, thenB int64) bool { return a < b || a == b && thenA < thenB }

// marketEvents gives the events of a market: of its trades and of its book.
func (s *Source) marketEvents(ctx context.Context, r *RangeRequest, emit func(*event) error) error {
	trades := newEventStream(s.Trades(ctx, r.Market, r.Span), tradeEvent)
	defer trades.stop()
	updates := newEventStream(s.BookUpdates(ctx, r.Market, r.Span), bookEvents())
	defer updates.stop()
	return mergeEvents([]*eventStream{trades, updates}, emit)
}

func tradeEvent(dst []event, t *Trade) []event {
	e := event{kind: eventTrade | eventSell, exch: t.Timestamp * 1e6, local: t.RecvTS * 1e3, price: binary64(t.Price), size: binary64(t.Size)}
	if t.Side == "buy" {
		e.kind = eventTrade | eventBuy
	}
	if e.local == 0 || e.local-e.exch > lateTrade {
		e.local = e.exch
	}
	return append(dst, e)
}

// bookEvents returns what makes events of the rows of a book: a whole book begins with an event that clears what was there.
func bookEvents() func([]event, *BookUpdate) []event {
	var last BookUpdate
	return func(dst []event, u *BookUpdate) []event {
		e := event{kind: eventDepth, exch: u.Timestamp * 1e6, local: u.RecvTS * 1e3}
		if u.Snapshot {
			e.kind = eventSnapshot
			if !last.Snapshot || last.RecvTS != u.RecvTS || last.Nonce != u.Nonce || last.Side == "ask" && u.Side == "bid" {
				dst = append(dst, event{kind: eventClear, exch: e.exch, local: e.local})
			}
		}
		last = *u
		if e.kind |= eventSell; u.Side == "bid" {
			e.kind ^= eventSell | eventBuy
		}
		e.price, e.size = binary64(u.Price), binary64(u.Size)
		return append(dst, e)
	}
}
