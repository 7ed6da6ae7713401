package ws

import (
	"context"
	"errors"
	"runtime/debug"
	"strconv"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
	"hyperlight/engine/replay"
)

// playing is one running replay.
type playing struct {
	s      *replaySession
	id     string
	req    *replayRequest
	owner  *access.Principal    // whose slot it holds
	src    *replay.MergedSource // asked what there is, before ahead reads it
	ahead  *replay.Ahead
	player *replay.Player
	ctx    context.Context
	cancel context.CancelFunc

	// On the player's goroutine.
	enc   *replayEncoder
	speed float64
	sent  uint64
	now   model.Millis
	// joined are the frames that the pipe does not have yet. They are written where only this goroutine reads and writes:
	// bytes that the writer has just read from another core would have to be fetched from there, one by one.
	joined []byte
}

// removedWords say why a replay ends within its range.
const removedWords = "the rest of the range was removed or thinned while it was replayed: start anew"

// run plays and tells the end.
func (p *playing) run() {
	var last []byte
	defer func() {
		if v := recover(); v != nil {
			panics.Inc()
			p.s.c.server.o.Logger.Error("replay panicked", "panic", v, "stack", string(debug.Stack()))
			last = errorFrame(codeInternal, "internal error", "")
		}
		p.finish(last)
	}()
	err := p.play()
	if p.flush() != nil {
		return // the connection is closing
	}
	var refused *refusal
	switch {
	case err == nil:
		b := append(make([]byte, 0, 64), `{"type":"replay_complete","events_sent":`...)
		last = newFrame(append(strconv.AppendUint(b, p.sent, 10), '}'))
	case errors.Is(err, replay.ErrStopped):
		last = typeFrame("replay_stopped")
	case errors.Is(err, errSpent):
		// The last message goes out, then the connection closes; so it does where the frames of a live channel are metered.
		p.s.c.pipe.send(errorFrame(codeQuota, spentWords, ""))
		p.s.c.shutFor(closeRefused, spentWords, false)
	case errors.Is(err, replay.ErrRemoved):
		last = errorFrame(codeNoData, removedWords, "")
	case errors.As(err, &refused):
		last = errorFrame(refused.code, refused.message, "")
	case p.ctx.Err() != nil || errors.Is(err, errPipeClosed):
		// The connection is closing.
	default:
		p.s.c.server.o.Logger.Error("replay failed", "replay_id", p.id, "err", err)
		last = errorFrame(codeInternal, "the replay cannot go on", "")
	}
}

// finish frees the slot and sends the last message, in this order for whoever answers it with the next replay. Controls
// that came too late to take effect are answered behind it.
func (p *playing) finish(last []byte) {
	p.cancel()
	p.ahead.Close()
	replaysActive.Dec()
	p.s.c.hold(-1)
	replayEvents.Add(int(p.sent % reportEvery))
	messagesOut.Add(int(p.sent % reportEvery))
	late := p.player.End()
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.active = nil
	p.s.c.server.quota.give(p.owner, slotReplay)
	if last != nil {
		p.s.c.pipe.send(last)
	}
	for range late {
		p.s.c.pipe.send(errorFrame(codeNoActiveReplay, noActiveReplay, ""))
	}
}

func (p *playing) play() error {
	switch some, err := p.src.HasData(p.ctx); {
	case err != nil:
		return err
	case !some:
		return &refusal{codeNoData, "nothing is recorded in that range"}
	}
	total, known, err := p.src.Total(p.ctx)
	if err != nil {
		return err
	}
	p.s.c.pipe.send(p.started(total, known))
	return p.player.Run(p.ctx, p.send)
}

// started makes the message that opens the replay.
func (p *playing) started(total uint64, known bool) []byte {
	r := p.req
	b := append(make([]byte, 0, 256), `{"type":"replay_started","replay_id":"`...)
	b = append(b, p.id...)
	b = append(b, '"')
	if r.several {
		b = append(b, `,"market_ids":[`...)
		for i, m := range r.source.Markets {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, m.Native, 10)
		}
		b = append(b, ']')
	} else {
		b = append(b, `,"market_id":`...)
		b = strconv.AppendInt(b, r.source.Markets[0].Native, 10)
	}
	b = append(b, `,"start":`...)
	b = appendInt(b, r.source.From)
	b = append(b, `,"end":`...)
	b = appendInt(b, r.end)
	b = append(b, `,"speed":`...)
	b = appendSpeed(b, r.speed)
	b = append(b, `,"format":"`...)
	b = append(b, r.format...)
	b = append(b, `","events_total":`...)
	if known {
		b = strconv.AppendUint(b, total, 10)
	} else {
		b = append(b, "null"...)
	}
	return newFrame(append(b, '}'))
}

// send encodes one event, and waits while the pipe is full.
func (p *playing) send(ev *replay.Event) error {
	if ev.Kind != replay.Gap && !p.s.c.spend(1) {
		return errSpent
	}
	if p.speed != 0 || p.sent%clockEvery == 0 {
		p.now = model.Millis(p.s.c.server.o.Now().UnixMilli())
	}
	b, start := beginFrame(p.joined)
	p.joined = endFrame(p.enc.append(b, ev, p.now), start)
	if p.sent++; p.speed != 0 || p.sent <= firstEvents || len(p.joined) >= togetherBytes {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if p.sent%reportEvery == 0 {
		replayEvents.Add(reportEvery)
		messagesOut.Add(reportEvery)
	}
	return nil
}

// flush puts what was joined into the pipe, as soon as that has room.
func (p *playing) flush() error {
	if len(p.joined) == 0 {
		return nil
	}
	b, err := p.s.c.pipe.open(p.ctx, p.ahead.Release)
	if err != nil {
		return err
	}
	p.s.c.pipe.commit(append(b, p.joined...), p.speed != 0 || p.sent <= firstEvents)
	if p.joined = p.joined[:0]; cap(p.joined) > keepBytes {
		p.joined = nil
	}
	return nil
}

// applied acknowledges a control; it is called by the player between two events.
func (p *playing) applied(c replay.Control, err error) {
	if p.flush() != nil {
		return // the connection is closing
	}
	var frame []byte
	switch c.Action {
	case replay.ActionPause:
		frame = typeFrame("replay_paused")
	case replay.ActionResume:
		frame = typeFrame("replay_resumed")
	case replay.ActionSeek:
		if err != nil {
			frame = errorFrame(codeBadRequest, "to must lie in the replayed range", "")
			break
		}
		b := append(make([]byte, 0, 64), `{"type":"replay_seeked","ts":`...)
		frame = newFrame(append(appendInt(b, c.To), '}'))
	case replay.ActionSpeed:
		p.speed = c.Speed
		b := append(make([]byte, 0, 64), `{"type":"replay_speed","speed":`...)
		frame = newFrame(append(appendSpeed(b, c.Speed), '}'))
	case replay.ActionStop:
		return // told by the replay's last message
	}
	p.s.c.pipe.send(frame)
}
