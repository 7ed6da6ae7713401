package feed

import (
	"context"
	"errors"
	"time"

	"hyperlight/engine/model"

	"github.com/VictoriaMetrics/metrics"
)

// lagEvery thins out the lag figures: one frame in 16.
const lagEvery = 16

// logEvery is the shortest pause between two log lines about refused frames of a socket; the metric counts them all.
const logEvery = 10 * time.Second

// reader handles the frames of one socket, on the socket's reader goroutine.
type reader struct {
	ctx    context.Context
	so     *socket
	s      *Supervisor
	dec    Decoder
	arena  arena
	emit   func(*model.Event) error
	err    error        // of the sink
	recv   model.Micros // of the frame being handled
	prev   model.Micros // of the one before
	count  uint64
	logged time.Time
	noted  bool // the answer to a subscribe in this frame is noted
}

func newReader(ctx context.Context, so *socket) *reader {
	r := &reader{ctx: ctx, so: so, s: so.s, dec: so.s.o.Dialect.NewDecoder()}
	r.emit = r.event
	return r
}

// frame handles one frame; an error ends the socket.
func (r *reader) frame(frame []byte) error {
	s := r.s
	now := s.o.Now()
	r.prev = model.Micros(r.so.frame.Load())
	r.recv, r.err, r.noted = model.Micros(now.UnixMicro()), nil, false
	r.so.frame.Store(int64(r.recv))
	s.last.Store(int64(r.recv))
	s.m.bytes.Add(len(frame))
	err := r.dec.Decode(frame, r.recv, r.emit)
	if r.err != nil {
		return r.err
	}
	f := r.dec.Last()
	if err != nil {
		r.refused(now, f, err)
		return nil
	}
	s.m.messages[f.Kind].Inc()
	switch f.Kind {
	case FrameError:
		s.refusal(r.so, f)
	case FramePing:
		s.pong(r.so)
	case FrameUnsubscribed:
		if gap, ok := s.unsubscribed(r.so, f.Channel); ok {
			gap.Recv = r.recv
			return s.o.Sink.Deliver(r.ctx, gap)
		}
	default:
		if f.First && !r.noted {
			s.answered(r.so, f.Channel)
		}
	}
	return nil
}

// event delivers one event of the frame being decoded.
func (r *reader) event(e *model.Event) error {
	s := r.s
	if f := r.dec.Last(); f.First && !r.noted {
		// Noted before it is delivered: a shard that dislikes the snapshot must find a channel it can resync.
		r.noted = true
		s.answered(r.so, f.Channel)
	}
	if u, ok := e.Payload.(*model.AccountUpdate); ok {
		if s.o.Accounts != nil {
			s.o.Accounts(u, r.recv)
		}
		return nil
	}
	if h, ok := e.Payload.(*model.Height); ok && s.height.Swap(h.Height) == h.Height {
		return nil // another socket was first
	}
	if r.count++; r.count%lagEvery == 0 && e.Time > 0 {
		s.m.observe(r.recv, e.Time)
	}
	if err := s.o.Sink.Deliver(r.ctx, r.arena.clone(e)); err != nil {
		r.err = err
		return err
	}
	return nil
}

// refused handles a frame that could not be decoded. Where its channel is known, that record has a hole from here on
// and the channel is subscribed anew; where not, the chain of the book it belonged to will tell.
func (r *reader) refused(now time.Time, f Frame, err error) {
	s := r.s
	reason := "other"
	if e := (interface{ Reason() string })(nil); errors.As(err, &e) {
		reason = e.Reason()
	}
	s.m.parseError(reason)
	if now.Sub(r.logged) >= logEvery {
		r.logged = now
		s.log.Warn("frame refused", "channel", f.Channel.String(), "reason", reason, "error", err.Error())
	}
	s.mu.Lock()
	sub := r.so.subs[f.Channel]
	if sub == nil || !sub.held || (f.Channel.Family != FamilyBook && f.Channel.Family != FamilyTrade) {
		s.mu.Unlock()
		return
	}
	kind, _ := sub.kind()
	e := model.Event{Market: sub.market, Recv: r.recv, Payload: &model.Gap{Kind: kind, From: r.prev, Cause: model.CauseParse}}
	s.mu.Unlock()
	if s.o.Sink.Deliver(r.ctx, e) != nil {
		return
	}
	s.mu.Lock()
	s.requestResync(sub)
	s.mu.Unlock()
}

// answered notes that a subscribe was answered with the channel's state.
func (s *Supervisor) answered(so *socket, c Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := so.subs[c]
	if sub == nil || sub.state == stateLeaving {
		return
	}
	s.settle(sub, sub.unanswered)
	sub.state, sub.held, sub.attempts, sub.again = stateLive, true, 0, false
	s.window = min(s.window+1, s.limits.MaxUnanswered)
	s.poke()
}

// unsubscribed notes the end of a channel. For one that was given up, or that the venue ended by itself, it returns the
// gap that begins now: everything that came before has been delivered.
func (s *Supervisor) unsubscribed(so *socket, c Channel) (model.Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.poke()
	sub := so.subs[c]
	if sub == nil {
		return model.Event{}, false
	}
	s.settle(sub, 1)
	asked := sub.leaves > 0 // an acknowledgement may come behind the snapshot, or behind the second attempt's
	sub.leaves = max(sub.leaves-1, 0)
	if sub.state != stateLeaving && (asked || sub.state != stateLive) {
		return model.Event{}, false
	}
	kind, ok := sub.kind()
	e := model.Event{Market: sub.market, Payload: &model.Gap{Kind: kind, From: model.Micros(so.frame.Load()), Cause: model.CauseDisconnect}}
	ok = ok && sub.held
	if sub.state == stateLive {
		// Nothing more may come. A snapshot is waited for as if it had been asked for: without one the channel is overdue.
		sub.state, sub.resync, sub.sentAt = statePending, false, s.o.Now()
		sub.unanswered++
		s.unanswered++
		return e, ok
	}
	s.left(sub)
	return e, ok
}

// refusal answers an error frame of the venue.
func (s *Supervisor) refusal(so *socket, f Frame) {
	s.m.refusal(f.Code)
	s.log.Warn("venue refused a message", "code", f.Code)
	kind, c, named := s.o.Dialect.Refusal(f)
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.poke()
	switch kind {
	case RefusalTooFast:
		// Somebody else behind our address talks too, or the limit fell. Whatever was refused is overdue later; a
		// fresh connection would have to send everything again.
		if now.Sub(s.paused) > messageWindow {
			s.pause = 0
		}
		if now.Before(s.paused) {
			return // one refusal for each message that was under way
		}
		s.pause = min(max(2*s.pause, s.limits.ThrottledPause), s.limits.ThrottledMax)
		s.paused = now.Add(s.pause)
	case RefusalTooMany:
		s.window = max(s.window/2, 2)
	case RefusalFull:
		so.full = true
		live := 0
		for _, sub := range so.subs {
			if sub.state == stateLive {
				live++
			}
		}
		s.perSocket = max(min(s.perSocket, live), 2)
	case RefusalAccounts:
		so.accountsFull = true // how many it carries shows once all that is under way is answered or overdue
	case RefusalDuplicate:
		if sub := so.subs[c]; named && sub != nil && sub.state == statePending {
			s.settle(sub, 1)
			if sub == so.heartbeat {
				sub.state, sub.held = stateLive, true // the next height comes anyway
				return
			}
			// No snapshot will come. Let go and take it again, not at once: the venue may be slow.
			sub.state, sub.again, sub.notBefore = stateIdle, true, now.Add(s.limits.ResyncFirst)
		}
	case RefusalNotHeld:
		if sub := so.subs[c]; named && sub != nil {
			sub.leaves = max(sub.leaves-1, 0)
			if s.settle(sub, 1); sub.state == stateLeaving {
				s.left(sub)
			}
		}
	}
}

// pong answers the venue's own ping; it counts as a message.
func (s *Supervisor) pong(so *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case so.out <- s.o.Dialect.AppendPong(nil):
		now := s.o.Now()
		s.forget(now) // nobody else may for days, where all is subscribed
		s.sent = append(s.sent, now)
		s.m.sent.Inc()
	default:
	}
}

// unregister takes the gauges of a supervisor that has ended out of the metrics.
func unregister(set *metrics.Set) { metrics.UnregisterSet(set, true) }
