package ws

import (
	"math"
	"sync"
	"time"

	"hyperlight/engine/model"
)

// noFrame is the time of a frame that is not there.
const noFrame = model.Micros(math.MaxInt64)

// pastClock is the moment at which a session of the recorded past stands: everything received before it has happened. The
// session's timeline moves it, and anybody may read it. It never passes a frame that is not on its way.
type pastClock struct {
	mu      sync.Mutex
	speed   float64 // times the original pace; 0: the clock moves from frame to frame
	running bool
	base    time.Time // when the clock stood at baseTS
	baseTS  model.Micros
	sent    model.Micros // just behind the last frame sent
	next    model.Micros // the time of the next frame
	end     model.Micros
}

// at is where the clock stands.
func (k *pastClock) at(now time.Time) model.Micros {
	k.mu.Lock()
	defer k.mu.Unlock()
	pos := k.baseTS
	if k.running && k.speed > 0 {
		pos += model.Micros(float64(now.Sub(k.base)) / float64(time.Microsecond) * k.speed)
	}
	// A frame that was told has happened, even where another of the same microsecond is still to come.
	return min(max(pos, k.sent), max(k.next, k.sent), k.end)
}

// start lets the clock run from where it stands.
func (k *pastClock) start(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running, k.base = true, now
}

// jump puts the clock to a moment.
func (k *pastClock) jump(now time.Time, ts model.Micros) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.base, k.baseTS = now, ts
}

// expect tells the clock when the next frame is due.
func (k *pastClock) expect(ts model.Micros) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = ts
}

// tell moves the clock behind a frame that is about to be sent.
func (k *pastClock) tell(ts model.Micros) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent = max(k.sent, ts+1)
}

// due is how long it takes the clock to come to a moment; negative where it is behind.
func (k *pastClock) due(now time.Time, ts model.Micros) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	us := float64(ts-k.baseTS) / k.speed
	return k.base.Add(time.Duration(us * float64(time.Microsecond))).Sub(now)
}

// ReplayClock returns where a running session of /replay/stream stands: everything received before that moment has
// happened. It must belong to the account; without an id it is the account's only one. running is how many sessions were
// meant: the moment holds where that is 1. It may be called from any goroutine.
func (s *Server) ReplayClock(account, id string) (at model.Micros, running int) {
	s.pastMu.Lock()
	defer s.pastMu.Unlock()
	for p := range s.pasts {
		if p.account != account || id != "" && p.id != id {
			continue
		}
		running++
		at = p.clock.at(s.o.Now())
	}
	return at, running
}

// enterPast lets a session be found by its clock.
func (s *Server) enterPast(p *pastSession) {
	s.pastMu.Lock()
	defer s.pastMu.Unlock()
	if s.pasts == nil {
		s.pasts = map[*pastSession]struct{}{}
	}
	s.pasts[p] = struct{}{}
}

func (s *Server) leavePast(p *pastSession) {
	s.pastMu.Lock()
	defer s.pastMu.Unlock()
	delete(s.pasts, p)
}
