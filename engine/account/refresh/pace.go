package refresh

import (
	"container/heap"
	"context"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

// pattern says which known accounts are looked at first in each turn that nobody's question takes. Whoever has nothing
// due leaves the turn to the next in the pattern, so that nobody starves: of eight turns two at least go round.
var pattern = [...]why{whyUrgent, whyWatched, whyOpen, whyUrgent, whyWatched, whyUrgent, whyIdle, whyWatched}

// pacer chooses what a paced call asks for. Pace's goroutine owns it.
type pacer struct {
	r     *Refresher
	turn  int
	tried map[model.AccountID]model.Millis // what was asked for lately, answered or not

	urgent  ring
	watched ring
	open    ring // accounts with an open position
	idle    ring // all others
	scanned model.Millis
	forgot  model.Millis
	last    model.Millis // when next was called last
}

// interval returns the time between two paced calls, 0 where there are none.
func (o *Options) interval() time.Duration {
	perMinute := o.Allowance * o.Share
	if perMinute <= 0 {
		return 0
	}
	return time.Minute * 100 / time.Duration(perMinute)
}

// pacedAtOnce bounds the paced calls under way: a venue that answers slowly is asked less, and where the budget was spent
// on other things nothing piles up to come in a burst.
func (o *Options) pacedAtOnce() int { return min(max(o.Allowance/15, 2), 16) }

// pace asks for known accounts, one at each tick.
func (r *Refresher) pace(ctx context.Context) {
	every := r.o.interval()
	if every == 0 {
		return
	}
	p := &pacer{r: r, tried: map[model.AccountID]model.Millis{}}
	room := make(chan struct{}, r.o.pacedAtOnce())
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case room <- struct{}{}:
		default:
			continue
		}
		f, why := p.next(r.now())
		if f == nil {
			<-room
			continue
		}
		priority := feed.Tracking
		if why == whyAsked {
			priority = feed.Refresh
		}
		r.calls.Go(func() {
			defer func() { <-room }()
			r.ask(ctx, f, priority, why)
		})
	}
}

// next begins a flight for what is due now, nil where nothing is.
func (p *pacer) next(now model.Millis) (*flight, why) {
	if p.last-now >= setBack { // our clock was set back: nothing would be due until it is there again
		*p = pacer{r: p.r, tried: map[model.AccountID]model.Millis{}}
	}
	p.last = now
	p.forget(now)
	if f := p.asked(now); f != nil {
		return f, whyAsked
	}
	p.refill(now)
	first := p.turn
	for i := range pattern {
		w := pattern[(first+i)%len(pattern)]
		id, ok := p.ring(w).pick(now, p.fresh)
		if !ok {
			continue
		}
		if f := p.begin(target{id: id}, now); f != nil {
			p.turn = (first + 1) % len(pattern)
			if w == whyOpen {
				p.noteAge(now, id)
			}
			return f, w
		}
	}
	return nil, whyOpen
}

// asked takes what somebody asked for, the oldest first.
func (p *pacer) asked(now model.Millis) *flight {
	r := p.r
	for {
		r.mu.Lock()
		if r.queue.Len() == 0 {
			r.mu.Unlock()
			return nil
		}
		t := heap.Pop(&r.queue).(target)
		r.mu.Unlock()
		if !t.byOwner && p.polledLately(now, t.id) {
			continue
		}
		if f := p.begin(t.name(), now); f != nil {
			return f
		}
	}
}

// begin makes a flight of a target unless there is one already.
func (p *pacer) begin(t target, now model.Millis) *flight {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.r.flights[t] != nil {
		return nil
	}
	f := &flight{target: t, begun: true, done: make(chan struct{})}
	p.r.flights[t] = f
	p.r.dequeue(t)
	if !t.byOwner {
		p.tried[t.id] = now
	}
	return f
}

// fresh tells whether an account need not be asked for: it was, answered or not, less than StaleAfter ago.
func (p *pacer) fresh(now model.Millis, id model.AccountID) bool {
	return lately(p.tried[id], now, p.r.o.StaleAfter) || p.polledLately(now, id)
}

func (p *pacer) polledLately(now model.Millis, id model.AccountID) bool {
	var row model.Account
	return p.r.o.Table.Get(id, &row) && lately(row.Polled, now, p.r.o.StaleAfter)
}

// noteAge keeps how old the answer is that is renewed now; an account that was never asked for has no age.
func (p *pacer) noteAge(now model.Millis, id model.AccountID) {
	var row model.Account
	if p.r.o.Table.Get(id, &row) && row.Polled != 0 {
		p.r.round.Store(int64(max(now-row.Polled, 0)))
	}
}

// forget drops attempts that no longer count: there are never more than the calls of twice StaleAfter.
func (p *pacer) forget(now model.Millis) {
	if now-p.forgot < millis(p.r.o.StaleAfter) {
		return
	}
	p.forgot = now
	for id, at := range p.tried {
		if now-at >= millis(p.r.o.StaleAfter) {
			delete(p.tried, id)
		}
	}
}

func (p *pacer) ring(w why) *ring {
	switch w {
	case whyUrgent:
		return &p.urgent
	case whyWatched:
		return &p.watched
	case whyIdle:
		return &p.idle
	}
	return &p.open
}

// refill starts rings that have come round anew.
func (p *pacer) refill(now model.Millis) {
	stale := millis(p.r.o.StaleAfter)
	if u := p.r.o.Urgent; u != nil && now-p.urgent.filled >= millis(watchEvery) {
		p.urgent.fill(now, u(), 0) // the order counts, and it changes: it is not spread
	}
	if p.watched.empty() && now-p.watched.filled >= stale {
		p.r.mu.Lock()
		ids := p.r.watch.all()
		p.r.mu.Unlock()
		p.watched.fill(now, ids, stale)
	}
	openDue := p.open.empty() && now-p.open.filled >= stale
	idleDue := p.idle.empty() && now-p.idle.filled >= stale
	if !openDue && !idleDue || now-p.scanned < stale {
		return
	}
	p.scanned = now
	var open, idle []model.AccountID
	p.r.o.Table.Each(func(a *model.Account) bool {
		if isOpen(a) {
			if openDue {
				open = append(open, a.ID)
			}
		} else if idleDue {
			idle = append(idle, a.ID)
		}
		return true
	})
	if openDue {
		p.open.fill(now, open, stale)
	}
	if idleDue {
		p.idle.fill(now, idle, stale)
	}
}

func isOpen(a *model.Account) bool {
	for i := range a.Positions {
		if a.Positions[i].Size != 0 {
			return true
		}
	}
	return false
}

// ring goes round a list of accounts once.
type ring struct {
	ids    []model.AccountID
	filled model.Millis
	gap    model.Millis // between two picks, so that a short list is spread over the time it is good for
	next   model.Millis
}

// fill starts the ring with a list, to be gone through within a time at the earliest.
func (g *ring) fill(now model.Millis, ids []model.AccountID, within model.Millis) {
	*g = ring{ids: ids, filled: now, gap: within / model.Millis(max(len(ids), 1)), next: now}
}

func (g *ring) empty() bool { return len(g.ids) == 0 }

// pick takes the next account that is not fresh; false where none is due.
func (g *ring) pick(now model.Millis, fresh func(model.Millis, model.AccountID) bool) (model.AccountID, bool) {
	for !g.empty() && now >= g.next {
		id := g.ids[0]
		g.ids = g.ids[1:]
		if !fresh(now, id) {
			g.next = now + g.gap
			return id, true
		}
	}
	return 0, false
}
