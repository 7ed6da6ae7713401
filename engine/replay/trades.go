package replay

import (
	"context"
	"io"
	"iter"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// In ReceiveOrder trades, which are stored by the venue's time, are put into the order of their receive time. A trade
// is received after it was made, except for the clocks' difference; recovered ones come much later.
const (
	clockSkew    = model.Millis(2_000)  // a trade is never received this long before the venue's time of it
	longestDelay = model.Millis(60_000) // trades received later than this after the venue's time are not looked for
)

// tradeLane gives the trades of one market, or only the forced ones among them.
type tradeLane struct {
	h    HistoryReader
	req  *Request
	m    *model.Market
	kind Kind
	span history.Span
	q    history.TradeQuery

	rows cursor[*model.Trade]
	last history.Position // of the trade that rows gave last
	any  bool             // last is set
	row  *model.Trade     // head of rows, not yet given; nil: none, or at the end
	end  bool
	lost Removal
	copy model.Trade // what row points to while rows is released

	sorter *receiveSorter // nil in EventOrder
	gaps   []model.Gap
	ev     Event
}

func newTradeLane(s *MergedSource, m *model.Market, kind Kind, gaps []model.Gap) *tradeLane {
	l := &tradeLane{h: s.h, req: &s.req, m: m, kind: kind, span: s.span(), gaps: gaps}
	l.q.Columns = s.req.Columns
	if s.req.Order == ReceiveOrder {
		l.sorter = &receiveSorter{from: l.span.From.Micros(), to: l.span.To.Micros()}
		l.span.From -= longestDelay
		l.span.To += clockSkew
	}
	l.lost = s.removal(model.KindTrades, l.span.From)
	return l
}

func (l *tradeLane) event() *Event { return &l.ev }

// advance moves to the next trade, or to a gap if one began before it.
func (l *tradeLane) advance(ctx context.Context) (place, error) {
	t, err := l.peek(ctx)
	if err != nil {
		return place{}, err
	}
	if len(l.gaps) > 0 && (t == nil || l.gaps[0].From < l.time(t)) {
		g := &l.gaps[0]
		l.gaps = l.gaps[1:]
		l.ev = Event{Kind: Gap, Market: l.m, TS: max(g.From, l.start()), Gap: g}
		return l.req.placeAt(l.ev.TS, l.kind, l.m), nil
	}
	if t == nil {
		return place{}, io.EOF
	}
	l.take()
	l.ev.Kind, l.ev.Market, l.ev.TS, l.ev.Trade, l.ev.Gap = l.kind, l.m, l.time(t), t, nil
	return l.req.placeAt(l.ev.TS, l.kind, l.m), nil
}

func (l *tradeLane) start() model.Micros {
	if l.sorter != nil {
		return l.sorter.from
	}
	return l.span.From.Micros()
}

// time is where a trade stands in the timeline.
func (l *tradeLane) time(t *model.Trade) model.Micros {
	if l.sorter != nil {
		return received(t)
	}
	return t.Time.Micros()
}

// peek returns the next trade in the lane's order, nil at the end; it stays valid until the peek after the next take.
func (l *tradeLane) peek(ctx context.Context) (*model.Trade, error) {
	if l.sorter == nil {
		return l.read(ctx)
	}
	for !l.sorter.ready(l.end) {
		t, err := l.read(ctx)
		if err != nil {
			return nil, err
		}
		if t != nil {
			l.sorter.add(t)
			l.row = nil
		}
	}
	return l.sorter.first(), nil
}

// take consumes what peek returned.
func (l *tradeLane) take() {
	if l.sorter != nil {
		l.sorter.take()
		return
	}
	l.row = nil
}

// read returns the head of the stored trades, nil at their end.
func (l *tradeLane) read(ctx context.Context) (*model.Trade, error) {
	for l.row == nil && !l.end {
		if !l.rows.isOpen() {
			l.rows.open(l.stored(ctx))
		}
		t, ok, err := l.rows.step()
		if err != nil {
			return nil, err
		}
		if !ok {
			if err := l.lost.End(l.span.To); err != nil {
				return nil, err
			}
			l.end = true
			l.rows.release()
			break
		}
		if err := l.lost.Row(t.Time); err != nil {
			return nil, err
		}
		l.last, l.any = history.Position{Time: t.Time, Market: l.m.ID, ID: t.ID}, true
		l.row = t
	}
	return l.row, nil
}

// stored reads on behind the last trade given: in all of the market's, or in the list of the forced ones of every market,
// which is short.
func (l *tradeLane) stored(ctx context.Context) iter.Seq2[*model.Trade, error] {
	if l.kind != Liquidation {
		if l.any {
			l.q.After = &l.last
		}
		return l.h.Trades(ctx, l.m.ID, l.span, l.q)
	}
	sp, after, resumed := l.span, l.last, l.any
	if resumed {
		sp.From = after.Time
	}
	return func(yield func(*model.Trade, error) bool) {
		for t, err := range l.h.Liquidations(ctx, sp, false) {
			if err != nil {
				yield(nil, err)
				return
			}
			given := resumed && t.Time == after.Time && t.ID <= after.ID
			if t.Market == l.m.ID && !given && !yield(t.Trade, nil) {
				return
			}
		}
	}
}

func (l *tradeLane) release() {
	if !l.rows.isOpen() {
		return
	}
	if l.row != nil {
		l.copy = *l.row
		l.row = &l.copy
	} else if l.sorter == nil && l.ev.Trade != nil {
		// The event handed out points into the iterator's memory and is still to be read.
		l.copy = *l.ev.Trade
		l.ev.Trade = &l.copy
	}
	l.rows.release()
}

// received is the receive time of a trade, or the venue's where it was fetched later.
func received(t *model.Trade) model.Micros {
	if t.Recv == 0 {
		return t.Time.Micros()
	}
	return t.Recv
}

// receiveSorter puts trades that come by venue time into the order (receive time, id). It holds as many as fit between
// the receive time of the oldest held and the venue time read: a second or two of trades.
type receiveSorter struct {
	from, to model.Micros
	heap     []*model.Trade
	free     []*model.Trade
	given    *model.Trade // handed out by take, reused at the next one
	read     model.Millis // venue time of the latest trade read
}

func (s *receiveSorter) less(a, b *model.Trade) bool {
	ra, rb := received(a), received(b)
	return ra < rb || ra == rb && a.ID < b.ID
}

// ready tells whether the first trade can have no predecessor among those not yet read.
func (s *receiveSorter) ready(end bool) bool {
	if end {
		return true
	}
	return len(s.heap) > 0 && received(s.heap[0]) < (s.read-clockSkew).Micros()
}

func (s *receiveSorter) first() *model.Trade {
	if len(s.heap) == 0 {
		return nil
	}
	return s.heap[0]
}

// add copies a trade in; one received outside the range is dropped.
func (s *receiveSorter) add(t *model.Trade) {
	s.read = max(s.read, t.Time)
	if r := received(t); r < s.from || r >= s.to {
		return
	}
	var c *model.Trade
	if n := len(s.free); n > 0 {
		c, s.free = s.free[n-1], s.free[:n-1]
	} else {
		c = new(model.Trade)
	}
	*c = *t
	s.heap = append(s.heap, c)
	for i := len(s.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !s.less(s.heap[i], s.heap[up]) {
			return
		}
		s.heap[i], s.heap[up] = s.heap[up], s.heap[i]
		i = up
	}
}

// take removes the first trade, which stays valid until the next take.
func (s *receiveSorter) take() {
	if s.given != nil {
		s.free = append(s.free, s.given)
	}
	s.given = s.heap[0]
	last := len(s.heap) - 1
	s.heap[0] = s.heap[last]
	s.heap = s.heap[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			return
		}
		if c+1 < last && s.less(s.heap[c+1], s.heap[c]) {
			c++
		}
		if !s.less(s.heap[c], s.heap[i]) {
			return
		}
		s.heap[i], s.heap[c] = s.heap[c], s.heap[i]
		i = c
	}
}
