package feed

import (
	"slices"
	"time"
)

// messageWindow is the span over which client messages are counted.
const messageWindow = time.Minute

// idleWait is how long the scheduler sleeps when only an event can give it work.
const idleWait = time.Minute

// resyncShare is the part of the message allowance that first subscribes leave to resyncs: one fifth.
const resyncShare = 5

// retryMax is the longest pause between subscribes of a channel that is never answered.
const retryMax = 5 * time.Minute

// schedule starts missing sockets with start, sends what may be sent now, most urgent first, and returns how long
// nothing more can be done unless somebody pokes.
func (s *Supervisor) schedule(start func()) time.Duration {
	s.mu.Lock()
	wait := s.step(s.o.Now(), start)
	late := s.late
	s.late = nil
	s.mu.Unlock()
	for _, c := range late {
		s.log.Warn("subscribe got no answer", "channel", c.String())
	}
	return wait
}

// step is schedule under the lock.
func (s *Supervisor) step(now time.Time, start func()) time.Duration {
	for s.slots < s.neededSockets() {
		s.slots++
		start()
	}
	s.overdue(now)
	if d := s.paused.Sub(now); d > 0 {
		return d
	}
	next := idleWait
	later := func(t time.Time) bool { // false, and remembered, where t is still to come
		d := t.Sub(now)
		if d > 0 {
			next = min(next, d)
		}
		return d <= 0
	}
	reserve := s.limits.MessagesPerMinute / resyncShare
	// Resyncs, then leaving channels, then the heartbeat of each socket, then what was never subscribed.
	for _, sub := range s.want {
		if sub.resync && sub.state == stateLive && later(sub.notBefore) && !s.send(now, sub, 0) {
			return s.untilRoom(now, 2, 0, next)
		}
	}
	for _, so := range s.sockets {
		for _, sub := range so.subs {
			switch {
			case sub.wanted || sub.state == statePending || sub.state == stateLeaving:
			case sub.state == stateIdle && !sub.again:
				s.left(sub)
			case !s.send(now, sub, 0):
				return s.untilRoom(now, 1, 0, next)
			}
		}
		if h := so.heartbeat; h.state == stateIdle && later(h.notBefore) && !s.send(now, h, 0) {
			return s.untilRoom(now, 1, 0, next)
		}
	}
	for _, sub := range s.want {
		if sub.state != stateIdle || !later(sub.notBefore) {
			continue
		}
		if sub.socket == nil {
			so := s.roomiest()
			if so == nil {
				break // the next socket that comes up pokes
			}
			sub.attach(so)
		}
		if !s.send(now, sub, reserve) {
			return s.untilRoom(now, 2, reserve, next)
		}
	}
	// Accounts last: half of the allowance stays for markets that must be taken again.
	for _, sub := range s.accounts {
		if sub.state != stateIdle || !later(sub.notBefore) {
			continue
		}
		if sub.socket == nil {
			so := s.roomiestForAccount()
			if so == nil {
				break
			}
			sub.attach(so)
		}
		if half := s.limits.MessagesPerMinute / 2; !s.send(now, sub, half) {
			return s.untilRoom(now, 2, half, next)
		}
	}
	return s.untilOverdue(now, next)
}

// neededSockets returns how many connections hold all channels; each also carries the height as its heartbeat.
func (s *Supervisor) neededSockets() int {
	per := max(s.perSocket-1, 1)
	all := (len(s.want) + len(s.accounts) + per - 1) / per
	accounts := (len(s.accounts) + s.perAccount - 1) / s.perAccount
	return min(max(all, accounts, 1), s.limits.MaxConnections)
}

// roomiest returns the first socket that takes another channel, nil where all are full or down.
func (s *Supervisor) roomiest() *socket {
	for _, so := range s.sockets {
		if len(so.subs) < s.perSocket {
			return so
		}
	}
	return nil
}

// send queues the messages that a subscription needs next; false where the allowance or the socket's queue has no room
// for them. reserve is the part of the allowance that must stay.
func (s *Supervisor) send(now time.Time, sub *subscription, reserve int) bool {
	so := sub.socket
	var messages [][]byte
	leaving := !sub.wanted
	if leaving || sub.resync || sub.again {
		messages = append(messages, s.o.Dialect.AppendUnsubscribe(nil, sub.channel))
	}
	leaves := len(messages)
	if !leaving {
		messages = append(messages, s.o.Dialect.AppendSubscribe(nil, sub.channel))
	}
	n := len(messages)
	s.forget(now)
	if len(s.sent)+n > s.limits.MessagesPerMinute-reserve || s.unanswered+n > s.window || cap(so.out)-len(so.out) < n {
		return false
	}
	for _, m := range messages {
		so.out <- m
		s.sent = append(s.sent, now)
	}
	s.m.sent.Add(n)
	s.unanswered += n
	sub.unanswered += n
	sub.leaves += leaves
	sub.sentAt = now
	switch {
	case leaving:
		sub.state = stateLeaving
	case sub.resync:
		sub.resync, sub.resynced, sub.state = false, now, statePending
	default:
		sub.again, sub.state = false, statePending
	}
	return true
}

// TakeMessage takes one client message of the allowance for a socket that is not the supervisor's own, but stands behind
// the same address; false where no more is left than the share of resyncs, and while the venue wants none at all.
func (s *Supervisor) TakeMessage() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	s.forget(now)
	if now.Before(s.paused) || len(s.sent) >= s.limits.MessagesPerMinute-s.limits.MessagesPerMinute/resyncShare {
		return false
	}
	s.sent = append(s.sent, now)
	s.m.sent.Inc()
	return true
}

// forget drops the messages that have left the window.
func (s *Supervisor) forget(now time.Time) {
	n := 0
	for n < len(s.sent) && now.Sub(s.sent[n]) >= messageWindow {
		n++
	}
	s.sent = slices.Delete(s.sent, 0, n)
}

// untilRoom returns when n messages may fit: when enough old ones leave the window. Answers poke, so the unanswered
// ones need no timer but that of their deadline.
func (s *Supervisor) untilRoom(now time.Time, n, reserve int, next time.Duration) time.Duration {
	if free := s.limits.MessagesPerMinute - reserve - len(s.sent); free < n && len(s.sent) > 0 {
		oldest := s.sent[min(n-free, len(s.sent))-1]
		next = min(next, oldest.Add(messageWindow).Sub(now))
	}
	return s.untilOverdue(now, next)
}

// untilOverdue returns when the next answer is overdue, if that is before next.
func (s *Supervisor) untilOverdue(now time.Time, next time.Duration) time.Duration {
	for _, so := range s.sockets {
		for _, sub := range so.subs {
			if sub.unanswered > 0 {
				next = min(next, sub.sentAt.Add(s.limits.Answer).Sub(now))
			}
		}
	}
	return max(next, time.Millisecond)
}

// overdue gives up waiting for answers. Most errors of the venue name no channel, so this is how a refused subscribe is
// noticed: it is sent again, behind an unsubscribe, after growing pauses.
func (s *Supervisor) overdue(now time.Time) {
	for _, so := range s.sockets {
		for _, sub := range so.subs {
			if sub.unanswered == 0 || now.Sub(sub.sentAt) < s.limits.Answer {
				continue
			}
			s.settle(sub, sub.unanswered)
			switch sub.state {
			case statePending:
				sub.state, sub.again = stateIdle, true
				if sub.attempts > 0 {
					sub.notBefore = now.Add(min(s.limits.Answer<<min(sub.attempts-1, 8), retryMax))
				}
				sub.attempts++
				s.late = append(s.late, sub.channel)
				refused := so.accountsFull && ofAccount(sub.channel.Family)
				if refused {
					s.perAccount = max(min(s.perAccount, so.liveAccounts()), 1)
				}
				if (so.full || refused) && !sub.held && sub != so.heartbeat { // which has no other socket to go to
					sub.detach()
				}
			case stateLeaving:
				s.left(sub)
			}
		}
	}
}

// settle counts n messages of a subscription as answered.
func (s *Supervisor) settle(sub *subscription, n int) {
	n = min(n, sub.unanswered)
	sub.unanswered -= n
	s.unanswered -= n
}

// left ends a subscription that was given up; if it is wanted again by now, it starts anew.
func (s *Supervisor) left(sub *subscription) {
	s.settle(sub, sub.unanswered)
	sub.detach()
	if !sub.wanted {
		delete(s.known, sub.channel)
	}
}
