package market

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/model"
)

// follower is a listener that goes along where the clock is set back.
type follower struct {
	recorder
	again []model.Micros
	held  []Held // of the last repeat
}

func (f *follower) OnRepeat(second model.Micros, held []Held) {
	f.again, f.held = append(f.again, second), held
}

// A clock that is set back, also right after it was set forward, is followed from the next full second on by those who ask
// for it. Nobody else is told a second twice.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, plain, clock := &follower{}, &recorder{}, &stepClock{}
		r, stop := start(t, Options{Shards: 1, Now: clock.now, Listeners: []Listener{plain, f}}, 1)
		first := micros(time.Now().Truncate(time.Second))
		deliver := func(p model.Payload) {
			t.Helper()
			if err := r.Deliver(t.Context(), *event(0, micros(clock.now()), p)); err != nil {
				t.Fatal(err)
			}
		}
		// step sets the clock and returns the seconds that are full from then on, from the first one.
		step := func(d, wait time.Duration) (ticks, again []model.Micros) {
			clock.offset.Add(int64(d))
			time.Sleep(wait)
			synctest.Wait()
			for _, c := range f.take() {
				if c.e == nil {
					ticks = append(ticks, (c.tick-first)/second)
				}
			}
			for _, s := range f.again {
				again = append(again, (s-first)/second)
			}
			f.again = nil
			return ticks, again
		}
		deliver(snapshotOf(1, -1, 2))
		step(0, 2500*time.Millisecond) // 1 and 2
		if ticks, again := step(-time.Hour, 3*time.Second); len(ticks) != 0 || !slices.Equal(again, []model.Micros{-3597, -3596, -3595}) {
			t.Errorf("an hour back: ticks %v, repeated %v", ticks, again)
		}
		if len(f.held) != 1 || f.held[0].View == nil || f.held[0].Minute {
			t.Errorf("a repeated second holds %+v", f.held)
		}
		if ticks, again := step(time.Hour, 2*time.Second); !slices.Equal(ticks, []model.Micros{3, 4, 5, 6, 7}) || len(again) != 0 {
			t.Errorf("right again: ticks %v, repeated %v", ticks, again)
		}
		// An event carries the shard an hour ahead before any tick does, and the clock is set right at once.
		clock.offset.Add(int64(time.Hour))
		deliver(delta(1, 2))
		if ticks, again := step(-time.Hour, 2*time.Second); !slices.Equal(ticks, []model.Micros{8, 3607}) || !slices.Equal(again, []model.Micros{8, 9}) {
			t.Errorf("forward and back: ticks %v, repeated %v", ticks, again)
		}
		stop()
		last := model.Micros(0)
		for _, c := range plain.calls {
			if c.e == nil && c.tick <= last {
				t.Errorf("second %d was told after %d", c.tick, last)
			}
			last = max(last, c.tick)
		}
	})
}

// A tick that a second overtook in the queue is no clock that was set back.
func TestLateTickIsNoRepeat(t *testing.T) {
	f := &follower{}
	_, s := newShard(t, Options{Listeners: []Listener{f}}, 1)
	s.Handle(event(0, t0, snapshotOf(1, -1, 2)))
	s.Handle(event(0, t0+2*second, delta(1, 2)))
	s.Tick(t0 + 2*second)
	s.Tick(t0 + second)
	if len(f.again) != 0 {
		t.Errorf("repeated %v", f.again)
	}
}

// A book that is lost after the clock was set back is asked for as at any time, not only when the clock comes there again.
func TestResyncAfterClockSetBack(t *testing.T) {
	asked := 0
	_, s := newShard(t, Options{Resync: func(model.MarketID) { asked++ }}, 1)
	s.Handle(event(0, t0, delta(1, 2)))
	if asked != 1 {
		t.Fatalf("asked %d times for a first snapshot", asked)
	}
	back := t0 - 3600*second
	want := func(when model.Micros, n int) {
		t.Helper()
		s.Handle(event(0, back+when*second, delta(2, 3)))
		s.Tick(back + when*second)
		if asked != n {
			t.Errorf("after %d s: asked %d times, want %d", when, asked, n)
		}
	}
	want(0, 1)
	want(9, 1)
	want(10, 2)
	want(19, 2)
	want(21, 3)
}
