package replay

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// releaseEvery is how many events pass before lanes that had none of them give their iterators back: an open iterator
// keeps deleted tables on disk, and a quiet market would hold one for hours.
const releaseEvery = 4096

// lane is one sorted stream of events of one market.
type lane interface {
	// advance moves to the next event and returns its place in the timeline; io.EOF at the end.
	advance(ctx context.Context) (place, error)
	// event returns the event that advance moved to.
	event() *Event
	// release closes what is open in the store; the event stays valid.
	release()
}

// place orders events: by time and class, then by market. A lane's own events never change their order, whatever their
// places say, because only the head of a lane competes.
type place struct {
	key    uint64 // time in the order's unit, shifted by 4, and the class below
	market model.MarketID
}

func (p place) before(q place) bool { return p.key < q.key || p.key == q.key && p.market < q.market }

// placeAt returns the place of an event.
func (r *Request) placeAt(ts model.Micros, k Kind, m *model.Market) place {
	t := uint64(max(ts, 0))
	if r.Order == EventOrder {
		t /= 1000
	}
	return place{key: t<<4 | uint64(k), market: m.ID}
}

type head struct {
	place
	ord  int // position of the lane: the last tie-breaker, so that two runs are the same
	lane lane
	idle bool // no event taken since the last round of releases
}

func (h *head) before(o *head) bool {
	return h.place.before(o.place) || h.place == o.place && h.ord < o.ord
}

// MergedSource is the timeline of a request. It is used by one goroutine.
type MergedSource struct {
	h      HistoryReader
	req    Request
	from   model.Millis // where the current run began: Request.From, or the target of the last seek
	heads  []*head      // binary heap, least place first
	taken  bool         // heads[0]'s event was handed out and must be advanced first
	opened bool
	count  int
	dead   []history.Interval // nothing at all was recorded inside
	prev   model.Micros       // time of the event before, for Skip
	starts int                // events with Initial that are still to come
	gaps   int                // gaps that the run tells, from its start on
	mute   bool               // gaps are left out: a probe of HasData

	dropped map[model.Kind][]history.Span // by retention, when the replay began
}

// NewSource returns the timeline of a request; nothing is read before the first Next.
func NewSource(h HistoryReader, req Request) *MergedSource {
	return &MergedSource{h: h, req: req, from: req.From}
}

var _ Source = (*MergedSource)(nil)

// open makes the lanes and moves each to its first event.
func (s *MergedSource) open(ctx context.Context) error {
	if s.opened {
		return nil
	}
	if err := s.findDropped(); err != nil {
		return err
	}
	holes, err := s.findHoles(ctx)
	if err != nil {
		return err
	}
	s.gaps = 0
	for _, g := range holes.gaps {
		s.gaps += len(g)
	}
	s.dead, s.prev, s.starts, s.heads = holes.dead, 0, 0, s.heads[:0]
	for _, m := range s.req.Markets {
		if err := s.openMarket(ctx, m, holes); err != nil {
			return err
		}
	}
	s.opened, s.taken = true, false
	return nil
}

func (s *MergedSource) openMarket(ctx context.Context, m *model.Market, holes *holes) error {
	var lanes []lane
	tradeGaps := holes.gaps[recordID{m.ID, model.KindTrades}]
	if s.req.Include.Has(Trade) {
		lanes = append(lanes, newTradeLane(s, m, Trade, tradeGaps))
		tradeGaps = nil // told once
	}
	if s.req.Include.Has(Liquidation) {
		lanes = append(lanes, newTradeLane(s, m, Liquidation, tradeGaps))
	}
	if s.req.Include.Has(Funding) {
		lanes = append(lanes, newFundingLane(s, m))
	}
	if s.req.Include.Has(Stats) {
		lanes = append(lanes, newStatsLane(s, m, holes.gaps[recordID{m.ID, model.KindStats}]))
	}
	if s.wantsBooks() {
		lanes = append(lanes, newBookLane(s, m, holes.gaps[recordID{m.ID, model.KindBook}]))
	}
	for _, l := range lanes {
		p, err := l.advance(ctx)
		if err != nil {
			l.release() // it stays outside of heads: nobody else would
		}
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open replay of market %d: %w", m.Native, err)
		}
		if l.event().Initial {
			s.starts++
		}
		s.push(&head{place: p, ord: len(s.heads), lane: l})
	}
	return nil
}

func (s *MergedSource) wantsBooks() bool {
	return s.req.StartBooks || s.req.Include.Has(BookUpdate) || s.req.Include.Has(Snapshot)
}

// Next returns the next event of the timeline, io.EOF at the end.
func (s *MergedSource) Next(ctx context.Context) (*Event, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if s.taken {
		if err := s.step(ctx); err != nil {
			return nil, err
		}
	}
	if len(s.heads) == 0 {
		return nil, io.EOF
	}
	h := s.heads[0]
	h.idle, s.taken = false, true
	e := h.lane.event()
	e.Skip, e.Start = 0, s.starts > 0
	if e.Initial {
		s.starts--
	}
	if len(s.dead) > 0 {
		e.Skip = s.deadBetween(s.prev, e.TS)
		s.prev = max(s.prev, e.TS)
	}
	return e, nil
}

// step advances the lane whose event was handed out.
func (s *MergedSource) step(ctx context.Context) error {
	h := s.heads[0]
	p, err := h.lane.advance(ctx)
	switch {
	case err == nil:
		h.place = p
		s.down()
	case errors.Is(err, io.EOF):
		h.lane.release()
		last := len(s.heads) - 1
		s.heads[0], s.heads[last] = s.heads[last], nil
		s.heads = s.heads[:last]
		s.down()
	default:
		return err
	}
	s.taken = false
	if s.count++; s.count%releaseEvery == 0 {
		for _, h := range s.heads {
			if h.idle {
				h.lane.release()
			}
			h.idle = true
		}
	}
	return nil
}

func (s *MergedSource) push(h *head) {
	s.heads = append(s.heads, h)
	i := len(s.heads) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !s.heads[i].before(s.heads[up]) {
			return
		}
		s.heads[i], s.heads[up] = s.heads[up], s.heads[i]
		i = up
	}
}

func (s *MergedSource) down() {
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(s.heads) {
			return
		}
		if c+1 < len(s.heads) && s.heads[c+1].before(s.heads[c]) {
			c++
		}
		if !s.heads[c].before(s.heads[i]) {
			return
		}
		s.heads[i], s.heads[c] = s.heads[c], s.heads[i]
		i = c
	}
}

// Seek moves to t; the lanes open there at the next call of Next.
func (s *MergedSource) Seek(t model.Millis) error {
	if t < s.req.From || t >= s.req.To {
		return ErrRange
	}
	s.Release()
	s.from, s.opened, s.heads = t, false, nil
	return nil
}

// Release closes all iterators in the store; the timeline goes on where it was.
func (s *MergedSource) Release() {
	for _, h := range s.heads {
		h.lane.release()
	}
}

// Close ends the timeline.
func (s *MergedSource) Close() error {
	s.Release()
	s.heads, s.opened, s.taken = nil, true, false
	return nil
}

// span is the range from the current start to the request's end.
func (s *MergedSource) span() history.Span { return history.Span{From: s.from, To: s.req.To} }
