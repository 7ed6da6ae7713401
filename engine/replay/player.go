package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"hyperlight/engine/model"
)

const (
	// longWait is the shortest wait before which the source gives its iterators back.
	longWait = 200 * time.Millisecond
	// maxLate is how far an event may be sent behind its time and still be caught up with. A receiver that takes longer
	// than that slows the clock itself: there is no burst afterwards.
	maxLate = time.Second
	// early is how much before its time an event is sent rather than slept for: timers are coarser than that.
	early = 100 * time.Microsecond
	// maxControls is how many controls may wait while the receiver blocks.
	maxControls = 256
)

var (
	// ErrControls reports more controls than the player keeps while its receiver blocks.
	ErrControls = errors.New("too many controls wait for the replay")
	// ErrEnded reports a control for a player that has ended.
	ErrEnded = errors.New("replay has ended")
	// ErrStopped ends Run after Stop.
	ErrStopped = errors.New("replay stopped")
)

// PlayerOptions configures a player.
type PlayerOptions struct {
	Speed float64          // times the original pace; 0 is as fast as events are accepted
	Now   func() time.Time // nil means time.Now
	// Applied is called on Run's goroutine, between two events, when a control has taken effect; err is what a seek
	// outside the range gives. Whatever it sends stands at the right place among the events.
	Applied func(c Control, err error)
	// Pacer makes waits exact to a tenth of a millisecond; nil leaves them to the runtime's timers, which are a millisecond
	// late at times.
	Pacer *Pacer
	// Late, if not nil, is told by how much each paced event is sent behind its time; below zero it is early.
	Late func(time.Duration)
}

// Player sends a source's events at their pace. Run may be called once; the controls from any goroutine while it runs.
type Player struct {
	src   Source
	ahead func(bool) // of a source that can read ahead
	o     PlayerOptions

	mu       sync.Mutex
	controls []Control
	ended    bool
	pending  atomic.Bool   // controls is not empty
	wake     chan struct{} // capacity 1: a control came

	// The clock, on Run's goroutine only: the event of time ts is due at base + (ts - baseTS - skipped) / speed.
	speed   float64
	paused  bool
	started bool // base is set
	base    time.Time
	baseTS  model.Micros
	skipped model.Micros
	timer   *time.Timer
	fine    *fineWait    // nil without a pacer
	sent    model.Micros // time of the last event sent: the position is never behind it
}

// NewPlayer returns a player at its source's start.
func NewPlayer(src Source, o PlayerOptions) *Player {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Applied == nil {
		o.Applied = func(Control, error) {}
	}
	p := &Player{src: src, ahead: func(bool) {}, o: o, speed: o.Speed, wake: make(chan struct{}, 1)}
	if a, ok := src.(*Ahead); ok {
		p.ahead = a.ReadAhead
	}
	if o.Pacer != nil {
		p.fine = newFineWait()
	}
	return p
}

// Run sends every event in order and returns nil after the last one, ErrStopped after Stop, send's error, or ctx's. An
// event is valid until send returns. Run does not close the source.
func (p *Player) Run(ctx context.Context, send func(*Event) error) error {
	p.ahead(p.speed == 0)
	for {
		if err := p.apply(nil); err != nil && !errors.Is(err, errSought) {
			return err
		}
		ev, err := p.src.Next(ctx)
		if errors.Is(err, io.EOF) {
			if err := p.finish(ctx); !errors.Is(err, errSought) {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read replay: %w", err)
		}
		p.skipped += ev.Skip
		switch err := p.wait(ctx, ev); {
		case errors.Is(err, errSought):
			continue
		case err != nil:
			return err
		}
		if err := send(ev); err != nil {
			return err
		}
		p.sent = ev.TS
	}
}

// errSought tells Run that the event at hand is no longer the next one.
var errSought = errors.New("replay position changed")

// finish is the end of the timeline: errSought where a seek leads back. A paused player stays until it is resumed.
func (p *Player) finish(ctx context.Context) error {
	err := p.apply(nil)
	for p.paused && err == nil {
		err = p.sleep(ctx, -1, nil)
	}
	return err
}

// wait returns when ev is due. Controls are applied as they come.
func (p *Player) wait(ctx context.Context, ev *Event) error {
	if p.pending.Load() {
		if err := p.apply(ev); err != nil {
			return err
		}
	}
	for {
		if p.paused && !ev.Start {
			p.src.Release()
			if err := p.sleep(ctx, -1, ev); err != nil {
				return err
			}
			continue
		}
		if p.speed == 0 {
			return p.alive(ctx)
		}
		now := p.o.Now()
		if !p.started {
			p.rebase(now, ev.TS)
		}
		d := p.due(ev.TS).Sub(now)
		if d <= early {
			if p.o.Late != nil {
				p.o.Late(-d)
			}
			if d < -maxLate {
				p.rebase(now, ev.TS)
			}
			return p.alive(ctx)
		}
		if d >= longWait {
			p.src.Release()
		}
		if err := p.sleep(ctx, d, ev); err != nil {
			return err
		}
	}
}

// alive ends a replay whose receiver never blocks.
func (p *Player) alive(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}

// sleep waits for d, or for ever where d is negative, or until a control was applied.
func (p *Player) sleep(ctx context.Context, d time.Duration, ev *Event) error {
	if p.fine != nil && d >= 0 {
		if d <= fineFrom {
			woken, err := p.o.Pacer.sleep(ctx, p.fine, d, p.wake)
			if !woken {
				return err
			}
			return p.apply(ev)
		}
		d -= fineFrom
	}
	var due <-chan time.Time
	if d >= 0 {
		if p.timer == nil {
			p.timer = time.NewTimer(d)
		} else {
			p.timer.Reset(d)
		}
		defer p.timer.Stop()
		due = p.timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-due:
		return nil
	case <-p.wake:
		return p.apply(ev)
	}
}

// due is when an event of time ts is to be sent.
func (p *Player) due(ts model.Micros) time.Time {
	us := float64(ts-p.baseTS-p.skipped) / p.speed
	return p.base.Add(time.Duration(us * float64(time.Microsecond)))
}

// rebase lets the clock stand at ts now.
func (p *Player) rebase(now time.Time, ts model.Micros) {
	p.started, p.base, p.baseTS, p.skipped = true, now, ts, 0
}

// position is where the clock stands, between the last event sent and the next one.
func (p *Player) position(now time.Time, next *Event) model.Micros {
	if p.speed == 0 || !p.started {
		if next == nil {
			return p.sent
		}
		return min(p.sent+next.Skip, next.TS) // as a clock that runs jumps over the silence first
	}
	ran := model.Micros(float64(now.Sub(p.base)) / float64(time.Microsecond) * p.speed)
	at := max(p.baseTS+p.skipped+ran, p.sent)
	if next != nil {
		at = min(at, next.TS)
	}
	return at
}
