package replay

import (
	"context"
	"io"
	"iter"
	"math"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// rowLane gives the rows of a list that has few, one for each moment: statistics and settled funding of one market. It
// keeps copies, so nothing of the store's is lent.
type rowLane[T any] struct {
	req  *Request
	m    *model.Market
	kind Kind
	span history.Span
	read func(context.Context, model.MarketID, history.Span) iter.Seq2[T, error]
	time func(*T) model.Millis
	fill func(*Event, *T)

	rows cursor[T]
	next T    // head of rows, not yet given
	have bool // next is set
	end  bool
	lost Removal
	row  T // what the event points to
	gaps []model.Gap
	ev   Event

	from model.Millis // where the lane began: no gap stands before it
}

// newStatsLane returns the statistics by receive time.
func newStatsLane(s *MergedSource, m *model.Market, gaps []model.Gap) lane {
	return &rowLane[history.StatsRow]{req: &s.req, m: m, kind: Stats, span: s.span(), from: s.from, gaps: gaps,
		lost: s.removal(model.KindStats, s.from),
		read: func(ctx context.Context, id model.MarketID, sp history.Span) iter.Seq2[history.StatsRow, error] {
			return func(yield func(history.StatsRow, error) bool) {
				for row, err := range s.h.Stats(ctx, id, sp) {
					if err != nil {
						yield(history.StatsRow{}, err)
						return
					}
					if !yield(*row, nil) {
						return
					}
				}
			}
		},
		time: func(r *history.StatsRow) model.Millis { return r.Time },
		fill: func(e *Event, r *history.StatsRow) { e.Stats = &r.Stats },
	}
}

// newFundingLane returns the settled funding by the time of settlement: nobody received it at a time of its own.
func newFundingLane(s *MergedSource, m *model.Market) lane {
	return &rowLane[model.Funding]{req: &s.req, m: m, kind: Funding, span: s.span(), from: s.from, read: s.h.Fundings,
		lost: s.removal(model.KindFunding, s.from),
		time: func(r *model.Funding) model.Millis { return r.Time },
		fill: func(e *Event, r *model.Funding) { e.Funding = r },
	}
}

func (l *rowLane[T]) event() *Event { return &l.ev }

// advance moves to the next row, or to a gap if one began before it.
func (l *rowLane[T]) advance(ctx context.Context) (place, error) {
	if err := l.peek(ctx); err != nil {
		return place{}, err
	}
	at := model.Micros(math.MaxInt64)
	if l.have {
		at = l.time(&l.next).Micros()
	}
	if len(l.gaps) > 0 && l.gaps[0].From < at {
		g := &l.gaps[0]
		l.gaps = l.gaps[1:]
		l.ev = Event{Kind: Gap, Market: l.m, TS: max(g.From, l.from.Micros()), Gap: g}
		return l.req.placeAt(l.ev.TS, l.kind, l.m), nil
	}
	if !l.have {
		return place{}, io.EOF
	}
	l.row, l.have = l.next, false
	l.ev = Event{Kind: l.kind, Market: l.m, TS: at}
	l.fill(&l.ev, &l.row)
	return l.req.placeAt(at, l.kind, l.m), nil
}

// peek reads the next row if there is none at hand.
func (l *rowLane[T]) peek(ctx context.Context) error {
	if l.have || l.end {
		return nil
	}
	if !l.rows.isOpen() {
		l.rows.open(l.read(ctx, l.m.ID, l.span))
	}
	row, ok, err := l.rows.step()
	if err != nil {
		return err
	}
	if !ok {
		if err := l.lost.End(l.span.To); err != nil {
			return err
		}
		l.end = true
		l.rows.release()
		return nil
	}
	if err := l.lost.Row(l.time(&row)); err != nil {
		return err
	}
	l.next, l.have = row, true
	// A release goes on behind the row.
	l.span.From = max(l.span.From, l.time(&row)+1)
	return nil
}

func (l *rowLane[T]) release() { l.rows.release() }
