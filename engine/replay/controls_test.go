package replay

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
)

// listed is a source of given times; the sources of the timeline have tests of their own.
type listed struct {
	ts []model.Micros
	at int
	ev Event
}

func (s *listed) Next(context.Context) (*Event, error) {
	if s.at == len(s.ts) {
		return nil, io.EOF
	}
	s.ev = Event{Kind: Trade, TS: s.ts[s.at], Trade: &model.Trade{}}
	s.at++
	return &s.ev, nil
}

func (s *listed) Seek(t model.Millis) error {
	if t.Micros() > s.ts[len(s.ts)-1] {
		return ErrRange
	}
	for s.at = 0; s.ts[s.at] < t.Micros(); s.at++ {
	}
	return nil
}

func (s *listed) Release()     {}
func (s *listed) Close() error { return nil }

// entry is one thing that a player did, on the test's clock.
type entry struct {
	when    time.Duration
	ts      model.Micros // of an event
	control *Control     // or the control that took effect
}

// naivePlayer says what may come next: the plainest clock there is.
type naivePlayer struct {
	ts      []model.Micros
	next    int
	speed   float64
	paused  bool
	running bool // base is set
	base    time.Duration
	baseTS  model.Micros
	sent    model.Micros // -1: nothing since the start or the last seek
	last    time.Duration
}

// position is where the clock stands.
func (n *naivePlayer) position(now time.Duration) model.Micros {
	if n.speed == 0 || !n.running {
		return max(n.sent, 0)
	}
	at := max(n.baseTS+model.Micros(float64(now-n.base)/1000*n.speed), n.sent)
	if n.next < len(n.ts) {
		at = min(at, n.ts[n.next])
	}
	return at
}

func (n *naivePlayer) freeze(now time.Duration) {
	if n.running || n.sent >= 0 {
		n.baseTS, n.base, n.running = n.position(now), now, true
	}
}

// take checks an entry; it returns "" where it is right.
func (n *naivePlayer) take(e entry) string {
	defer func() { n.last = e.when }()
	if c := e.control; c != nil {
		switch c.Action {
		case ActionPause:
			if !n.paused {
				n.freeze(e.when)
			}
			n.paused = true
		case ActionResume:
			if n.paused && n.running {
				n.base = e.when
			}
			n.paused = false
		case ActionSpeed:
			if !n.paused {
				n.freeze(e.when)
			}
			n.speed = c.Speed
		case ActionSeek:
			n.running, n.sent = false, -1
			for n.next = 0; n.ts[n.next] < c.To.Micros(); n.next++ {
			}
		}
		return ""
	}
	switch {
	case n.paused:
		return "sent while paused"
	case n.next == len(n.ts):
		return "sent behind the end"
	case e.ts != n.ts[n.next]:
		return "lost, sent twice or out of order"
	}
	due := n.last // at once
	if n.speed != 0 && n.running {
		due = max(due, n.base+time.Duration(float64(e.ts-n.baseTS)/n.speed*1000))
	}
	if d := e.when - due; d > 2*time.Microsecond || d < -early-2*time.Microsecond {
		return "sent at the wrong time, off by " + d.String()
	}
	if n.speed != 0 && !n.running {
		n.running, n.base, n.baseTS = true, e.when, e.ts
	}
	n.next++
	n.sent = e.ts
	return ""
}

// TestRandomControls pauses, resumes, seeks, changes the speed and stops at random moments: nothing is lost, nothing comes
// twice, and every event comes at its time.
func TestRandomControls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewSource(rapid.Int64().Draw(rt, "seed")))
		src := &listed{}
		for at := model.Micros(r.Intn(1_000_000)); len(src.ts) < 300; at += model.Micros([]int{0, 1, 700, 40_000, 900_000}[r.Intn(5)]) {
			src.ts = append(src.ts, at)
		}
		speeds := []float64{0, 0.1, 1, 10, 100, 1000}
		n := &naivePlayer{ts: src.ts, speed: speeds[r.Intn(len(speeds))], sent: -1}
		var entries []entry
		var ended error
		steps := rapid.IntRange(0, 30).Draw(rt, "steps")
		stop, readsAhead := rapid.Bool().Draw(rt, "stop"), rapid.Bool().Draw(rt, "reads ahead")
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			var from Source = src
			if readsAhead {
				from = NewAhead(src)
				defer from.Close()
			}
			p := NewPlayer(from, PlayerOptions{Speed: n.speed, Applied: func(c Control, err error) {
				if err == nil {
					entries = append(entries, entry{when: time.Since(begin), control: &c})
				}
			}})
			done := make(chan error, 1)
			go func() {
				done <- p.Run(t.Context(), func(e *Event) error {
					entries = append(entries, entry{when: time.Since(begin), ts: e.TS})
					return nil
				})
			}()
			for range steps {
				time.Sleep(time.Duration(math.Pow(10, 3+r.Float64()*6.3))) // 1 us to 2 s
				switch r.Intn(5) {
				case 0, 1:
					_ = p.Do(Control{Action: ActionPause + Action(r.Intn(2))})
				case 2:
					_ = p.Seek(model.Millis(r.Int63n(int64(src.ts[len(src.ts)-1])/1000 + 10)))
				case 3:
					_ = p.SetSpeed(speeds[r.Intn(len(speeds))])
				case 4:
					_ = p.Pause()
					_ = p.Resume()
				}
			}
			if stop {
				_ = p.Stop()
			} else {
				_ = p.Resume()
				_ = p.SetSpeed(0)
			}
			ended = <-done
		})
		for i, e := range entries {
			if wrong := n.take(e); wrong != "" {
				rt.Fatalf("entry %d of %d, event of %d at %v: %s (next is %d of %d)", i, len(entries), e.ts, e.when, wrong, n.next, len(n.ts))
			}
		}
		if ended == nil && n.next != len(n.ts) {
			rt.Fatalf("ended with %d of %d sent", n.next, len(n.ts))
		}
		if ended != nil && !(stop && errors.Is(ended, ErrStopped)) {
			rt.Fatal(ended)
		}
	})
}
