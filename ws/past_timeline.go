package ws

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

const (
	// startGrace is how long the clock of a session stands after a subscription before it starts: clients subscribe to
	// one channel after another, and at "max" the second would miss what the first has played. Every further subscription
	// prolongs it, up to startLatest after the first.
	startGrace  = 200 * time.Millisecond
	startLatest = 2 * time.Second
	// pastLate is how far a frame may be behind its time and still be caught up with; a slower client slows the clock.
	pastLate = time.Second
	// pastEarly is how much before its time a frame is sent rather than slept for.
	pastEarly = 100 * time.Microsecond
	// pastRelease is the shortest wait before which iterators of the store are given back.
	pastRelease = 200 * time.Millisecond
	// silence is the shortest wait of which it is looked up whether anything is held in it at all.
	silence = time.Second
)

// heldLane is a subscribed channel.
type heldLane struct {
	pastLane
	key     string // with a colon, as frames name it
	family  nativeFamily
	markets []*model.Market
	next    model.Micros // of its next frame, noFrame at the end
}

// timeline plays the channels of a session in one order, by receive time. All but push run on its goroutine.
type timeline struct {
	s        *pastSession
	markets  []*model.Market
	from, to model.Millis
	speed    float64
	ctx      context.Context
	cancel   context.CancelFunc

	mu       sync.Mutex
	commands []pastCommand
	wake     chan struct{} // capacity 1: a command came

	lanes    []*heldLane
	latest   time.Time // when the clock starts at the latest; zero before the first subscription
	startAt  time.Time // when it starts as it looks now
	running  bool
	sent     uint64
	searched model.Micros // up to where silence was looked up
	timer    *time.Timer
}

func newTimeline(p *pastSession, r *replayRequest) *timeline {
	t := &timeline{s: p, markets: r.source.Markets, from: r.source.From, to: r.source.To, speed: r.speed, wake: make(chan struct{}, 1)}
	t.ctx, t.cancel = context.WithCancel(p.c.server.ctx)
	return t
}

func (t *timeline) now() time.Time { return t.s.c.server.o.Now() }

// play sends every frame at its time and returns nil at the end of the range.
func (t *timeline) play(ctx context.Context) error {
	for {
		if err := t.apply(ctx); err != nil {
			return err
		}
		lane := t.first()
		ts := noFrame
		if lane != nil {
			ts = lane.next
		}
		t.s.clock.expect(ts)
		if !t.running && ts > t.from.Micros() {
			if err := t.begin(ctx); err != nil {
				return err
			}
			continue
		}
		if ts >= t.to.Micros() {
			done, err := t.finish(ctx)
			if done || err != nil {
				return err
			}
			continue
		}
		if t.running && t.speed > 0 {
			switch waited, err := t.await(ctx, ts); {
			case err != nil:
				return err
			case waited:
				continue // a command may have come
			}
		}
		if err := t.send(ctx, lane); err != nil {
			return err
		}
	}
}

// first returns the lane whose frame comes first.
func (t *timeline) first() *heldLane {
	var best *heldLane
	for _, l := range t.lanes {
		if best == nil || l.next < best.next {
			best = l
		}
	}
	return best
}

// begin waits for the moment at which the clock starts.
func (t *timeline) begin(ctx context.Context) error {
	if t.latest.IsZero() {
		return t.sleep(ctx, -1)
	}
	if now := t.now(); now.Before(t.startAt) {
		return t.sleep(ctx, t.startAt.Sub(now))
	}
	t.running = true
	t.s.clock.start(t.now())
	return nil
}

// await returns false when the frame of time ts is due; true where it has to be looked again what comes first.
func (t *timeline) await(ctx context.Context, ts model.Micros) (waited bool, err error) {
	now := t.now()
	d := t.s.clock.due(now, ts)
	if d >= silence && ts != t.searched {
		t.searched = ts
		if to, silent, err := t.skip(ctx, ts); err != nil {
			return false, err
		} else if silent {
			t.s.clock.jump(now, to)
			return true, nil
		}
	}
	if d <= pastEarly {
		if d < -pastLate {
			t.s.clock.jump(now, ts)
		}
		return false, nil
	}
	return true, t.sleep(ctx, d)
}

// finish is the rest of the range after the last frame. It is done when the clock has come to the end; at "max" that is
// at once, unless nothing is subscribed to.
func (t *timeline) finish(ctx context.Context) (done bool, err error) {
	if t.speed == 0 {
		if len(t.lanes) > 0 {
			return true, nil
		}
		return false, t.sleep(ctx, -1)
	}
	again, err := t.await(ctx, t.to.Micros())
	return !again && err == nil, err
}

// skip tells where the clock can go on where nothing that is subscribed to was held: not behind ts.
func (t *timeline) skip(ctx context.Context, ts model.Micros) (to model.Micros, silent bool, err error) {
	at := t.s.clock.at(t.now())
	to = ts
	sp := history.Span{From: at.Millis(), To: ts.Millis() + 1}
	for _, l := range t.lanes {
		kind := [...]model.Kind{model.KindBook, model.KindTrades, model.KindStats, model.KindTrades}[l.family]
		for _, m := range l.markets {
			held, err := t.s.c.server.o.History.Coverage(ctx, kind, m.ID, sp)
			if err != nil {
				return 0, false, err
			}
			for _, iv := range held {
				if iv.To > at+1000 {
					to = min(to, max(iv.From, at))
					break
				}
			}
		}
	}
	return to, len(t.lanes) > 0 && to > at, nil
}

// sleep waits for d, for ever where it is negative, or until a command comes.
func (t *timeline) sleep(ctx context.Context, d time.Duration) error {
	if d < 0 || d >= pastRelease {
		t.release()
	}
	var due <-chan time.Time
	if d >= 0 {
		if t.timer == nil {
			t.timer = time.NewTimer(d)
		} else {
			t.timer.Reset(d)
		}
		defer t.timer.Stop()
		due = t.timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-due:
	case <-t.wake:
	}
	return nil
}

func (t *timeline) release() {
	for _, l := range t.lanes {
		l.release()
	}
}

// close gives back all that the session holds, and counts what the metrics do not have yet.
func (t *timeline) close() {
	rest := int(t.sent % reportEvery)
	replayEvents.Add(rest)
	messagesOut.Add(rest)
	for _, l := range t.lanes {
		t.drop(l)
	}
	t.lanes = nil
}

// drop gives back what a lane holds.
func (t *timeline) drop(l *heldLane) {
	t.s.c.server.quota.give(t.s.slot, slotSubscription)
	nativeSubscriptions(l.family).Dec()
	l.close()
}

// send encodes a lane's frame into the pipe, and waits while that is full.
func (t *timeline) send(ctx context.Context, l *heldLane) error {
	c := t.s.c
	if !c.spend(1) {
		return errSpent
	}
	b, err := c.pipe.open(ctx, t.release)
	if err != nil {
		return err
	}
	b, start := beginFrame(b)
	b = endFrame(l.append(b), start)
	// The clock first: who has read the frame and asks over REST must find what it told.
	t.s.clock.tell(l.next)
	c.pipe.commit(b, t.speed != 0 || t.sent < firstEvents)
	if t.sent++; t.sent%reportEvery == 0 {
		replayEvents.Add(reportEvery)
		messagesOut.Add(reportEvery)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return t.look(ctx, l)
}

// look reads the time of a lane's next frame.
func (t *timeline) look(ctx context.Context, l *heldLane) (err error) {
	if l.next, err = l.peek(ctx); errors.Is(err, io.EOF) {
		l.next, err = noFrame, nil
	}
	return err
}
