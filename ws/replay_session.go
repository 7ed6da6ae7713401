package ws

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/access"
	"hyperlight/engine/replay"
)

// replaySession is the session of /ws/replay: at most one replay at a time. Its methods run on the connection's reader
// goroutine; the replay itself on one of its own.
type replaySession struct {
	c  *Conn
	wg sync.WaitGroup

	mu     sync.Mutex
	active *playing
}

func newReplaySession(c *Conn) session {
	c.pipe = newPipe(c.server.limits.ReplayBuffer, c.queue.poke)
	return &replaySession{c: c}
}

func (r *replaySession) greet(b []byte, p *access.Principal) []byte {
	b = append(b, `,"max_replay_window_days":`...)
	b = strconv.AppendInt(b, int64(p.Plan.ReplayWindowDays), 10)
	b = append(b, `,"max_concurrent_replays":`...)
	return strconv.AppendInt(b, int64(p.Plan.ConcurrentReplays), 10)
}

func (r *replaySession) handle(m *message) {
	var err error
	switch m.Type {
	case "replay":
		err = r.start(m)
	case "pause", "resume", "stop", "seek", "scrub", "set_speed":
		err = r.control(m)
	default:
		err = badRequest("type must be replay, pause, resume, stop, seek, set_speed or ping")
	}
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		r.c.fail(refused.code, refused.message, "")
	case err != nil:
		r.c.server.o.Logger.Error("replay message failed", "type", m.Type, "err", err)
		r.c.fail(codeInternal, "internal error", "")
	}
}

// start checks a request and begins to play it.
func (r *replaySession) start(m *message) error {
	c := r.c
	if r.current() != nil {
		return &refusal{codeReplayActive, "a replay is active on this connection"}
	}
	req, err := c.server.parseReplay(m, c.owner.Load().Plan)
	if err != nil {
		return err
	}
	if c.server.o.History == nil {
		return &refusal{codeNoData, "nothing is recorded"}
	}
	owner := c.owner.Load()
	if !c.server.quota.take(owner, slotReplay) {
		return &refusal{codeReplayLimit, "too many replays are active"}
	}
	p := &playing{s: r, id: uuid.NewString(), req: req, owner: owner, speed: req.speed, enc: newReplayEncoder(req, &c.server.o.Native)}
	p.src = replay.NewSource(c.server.o.History, req.source)
	p.ahead = replay.NewAhead(p.src)
	p.player = replay.NewPlayer(p.ahead, replay.PlayerOptions{Speed: req.speed, Now: c.server.o.Now, Applied: p.applied,
		Pacer: c.server.o.Pacer, Late: func(d time.Duration) { replayLateness.Update(max(d, 0).Seconds()) }})
	p.ctx, p.cancel = context.WithCancel(c.server.ctx)
	r.mu.Lock()
	r.active = p
	r.mu.Unlock()
	replaysActive.Inc()
	c.hold(1)
	r.wg.Go(p.run)
	return nil
}

func (r *replaySession) current() *playing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active
}

// control hands a control to the player, which acknowledges it in its place among the events.
func (r *replaySession) control(m *message) error {
	p := r.current()
	if p == nil {
		return &refusal{codeNoActiveReplay, noActiveReplay}
	}
	var c replay.Control
	switch m.Type {
	case "pause":
		c.Action = replay.ActionPause
	case "resume":
		c.Action = replay.ActionResume
	case "stop":
		c.Action = replay.ActionStop
	case "seek", "scrub":
		c.Action = replay.ActionSeek
		if m.To == nil {
			return badRequest("to is required")
		}
		to, err := parseTime(m.To)
		if err != nil {
			return badRequest("to " + err.Error())
		}
		if to < p.req.source.From || to >= p.req.source.To {
			return badRequest("to must lie in the replayed range")
		}
		c.To = to
	case "set_speed":
		c.Action = replay.ActionSpeed
		if m.Speed == nil {
			return badRequest("speed is required")
		}
		speed, err := parseSpeed(m.Speed, r.c.owner.Load().Plan)
		if err != nil {
			return err
		}
		c.Speed = speed
	}
	switch err := p.player.Do(c); {
	case errors.Is(err, replay.ErrEnded):
		return &refusal{codeNoActiveReplay, noActiveReplay}
	case err != nil:
		return &refusal{codeRateLimit, "too many controls wait for the replay"}
	}
	return nil
}

const noActiveReplay = "no replay is active"

func (r *replaySession) moved(_, _ *access.Principal) {} // a running replay keeps the slot that it was started with

func (r *replaySession) end() {
	if p := r.current(); p != nil {
		p.cancel()
	}
	r.wg.Wait()
}

const (
	// reportEvery is how many events are counted at once in the metric.
	reportEvery = 1024
	// clockEvery is how many events at "max" share one reading of the clock for replay_ts.
	clockEvery = 64
	// firstEvents are sent at once even at "max": a client waits for them.
	firstEvents = 64
	// togetherBytes is how much a replay at "max" joins before it goes into the pipe.
	togetherBytes = 16 << 10
)
