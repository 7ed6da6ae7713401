package replay

import "hyperlight/engine/model"

// Action is what a control does.
type Action uint8

// The controls of a player.
const (
	ActionPause Action = iota
	ActionResume
	ActionSeek
	ActionSpeed
	ActionStop
)

// Control is a request to a running player.
type Control struct {
	Action Action
	To     model.Millis // of ActionSeek
	Speed  float64      // of ActionSpeed; 0 is as fast as events are accepted
}

// Do queues a control, which takes effect between two events.
func (p *Player) Do(c Control) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
		return ErrEnded
	case len(p.controls) >= maxControls:
		return ErrControls
	}
	p.controls = append(p.controls, c)
	p.pending.Store(true)
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

// End is called after Run. It takes no control any more, and returns those that came too late to take effect.
func (p *Player) End() []Control {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	late := p.controls
	p.controls = nil
	return late
}

// Pause stops the flow after the event being sent.
func (p *Player) Pause() error { return p.Do(Control{Action: ActionPause}) }

// Resume lets the flow go on; the time in between does not count.
func (p *Player) Resume() error { return p.Do(Control{Action: ActionResume}) }

// Seek moves to the first event at or after t. A paused player sends the state there and stays paused.
func (p *Player) Seek(t model.Millis) error { return p.Do(Control{Action: ActionSeek, To: t}) }

// SetSpeed changes the pace from now on; 0 is as fast as events are accepted.
func (p *Player) SetSpeed(speed float64) error {
	return p.Do(Control{Action: ActionSpeed, Speed: speed})
}

// Stop ends Run with ErrStopped.
func (p *Player) Stop() error { return p.Do(Control{Action: ActionStop}) }

// apply runs the queued controls. next is the event that waits to be sent, nil between events. It returns errSought
// where that event is void, ErrStopped after a stop.
func (p *Player) apply(next *Event) error {
	if !p.pending.Load() {
		return nil
	}
	p.mu.Lock()
	controls := p.controls
	p.controls = nil
	p.pending.Store(false)
	p.mu.Unlock()
	var result error
	for i, c := range controls {
		var err error
		switch c.Action {
		case ActionPause:
			p.pause(next)
		case ActionResume:
			p.resume(next)
		case ActionSpeed:
			p.setSpeed(c.Speed, next)
		case ActionSeek:
			if err = p.src.Seek(c.To); err == nil {
				p.started, p.sent, next = false, 0, nil
				result = errSought
			}
		case ActionStop:
			p.o.Applied(c, nil)
			p.mu.Lock()
			p.controls = append(controls[i+1:], p.controls...)
			p.mu.Unlock()
			return ErrStopped
		}
		p.o.Applied(c, err)
	}
	return result
}

// pause freezes the position.
func (p *Player) pause(next *Event) {
	if p.paused {
		return
	}
	p.freeze(next)
	p.paused = true
}

// resume lets the clock run on from the frozen position.
func (p *Player) resume(next *Event) {
	if !p.paused {
		return
	}
	p.paused = false
	if p.started {
		p.base = p.o.Now()
	}
}

// setSpeed changes the pace from the present position on.
func (p *Player) setSpeed(speed float64, next *Event) {
	if !p.paused {
		p.freeze(next)
	}
	p.speed = speed
	p.ahead(speed == 0)
}

// freeze makes the present position the clock's base. A clock that never ran, because the speed was "max", starts there.
func (p *Player) freeze(next *Event) {
	if !p.started && p.sent == 0 {
		return
	}
	now := p.o.Now()
	p.rebase(now, p.position(now, next))
}
