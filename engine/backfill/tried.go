package backfill

import (
	"context"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

const (
	firstRest = time.Minute
	lastRest  = time.Hour
)

// tried remembers a hole whose end could not be filled although the venue answered: a row that it has lost, or not settled
// yet. It is told, and asked for again only after a rest that doubles each time.
type tried struct {
	end  model.Millis // of the hole
	rest time.Duration
	till time.Time
}

// rests tells whether a hole was tried in vain a short while ago.
func (s *Service) rests(at recordKey, hole history.Span) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tried[at]
	return ok && t.end == hole.To && s.o.Now().Before(t.till)
}

// remember notes how a walk ended: whether the hole's end is still missing.
func (s *Service) remember(ctx context.Context, w *walk) {
	g := grain(w.kind)
	left, err := s.missing(ctx, w.kind, w.m, history.Span{From: w.hole.To - g, To: w.hole.To})
	if err != nil {
		return
	}
	at := recordKey{w.kind, w.m.ID}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(left) == 0 {
		delete(s.tried, at)
		return
	}
	rest := firstRest
	if t, ok := s.tried[at]; ok && t.end == w.hole.To {
		rest = min(2*t.rest, lastRest)
	}
	s.tried[at] = tried{end: w.hole.To, rest: rest, till: s.o.Now().Add(rest)}
}
