package replay

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"hyperlight/engine/model"
)

func TestMain(m *testing.M) {
	// The metrics library keeps one goroutine per summary window for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}

// ticks is a source with one event each step, from 0.
type ticks struct {
	step, end model.Micros
	next      model.Micros
	starts    int // events with Start after a seek
	left      int
	skip      map[model.Micros]model.Micros
	ev        Event
	releases  int
}

func (s *ticks) Next(context.Context) (*Event, error) {
	if s.left > 0 {
		s.left--
		s.ev = Event{Kind: Snapshot, TS: s.next, Start: true, Initial: true}
		return &s.ev, nil
	}
	if s.next >= s.end {
		return nil, io.EOF
	}
	s.ev = Event{Kind: Trade, TS: s.next, Skip: s.skip[s.next], Trade: &model.Trade{}}
	s.next += s.step
	return &s.ev, nil
}

func (s *ticks) Seek(t model.Millis) error {
	if t < 0 || t.Micros() >= s.end {
		return ErrRange
	}
	s.next, s.left = t.Micros(), s.starts
	return nil
}

func (s *ticks) Release()     { s.releases++ }
func (s *ticks) Close() error { return nil }

// log is what a player sent and when, on the test's clock.
type log struct {
	mu    sync.Mutex
	begin time.Time
	ts    []model.Micros
	when  []time.Duration
	kinds []Kind
	acks  []Action
}

func (l *log) send(e *Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ts = append(l.ts, e.TS)
	l.kinds = append(l.kinds, e.Kind)
	l.when = append(l.when, time.Since(l.begin))
	return nil
}

func (l *log) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ts)
}

func (l *log) last() model.Micros {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ts) == 0 {
		return -1
	}
	return l.ts[len(l.ts)-1]
}

// play runs a player in a bubble of fake time and hands it to script.
func play(t *testing.T, src Source, speed float64, script func(p *Player, l *log)) *log {
	t.Helper()
	l := &log{}
	synctest.Test(t, func(t *testing.T) {
		l.begin = time.Now()
		p := NewPlayer(src, PlayerOptions{Speed: speed, Applied: func(c Control, _ error) { l.acks = append(l.acks, c.Action) }})
		done := make(chan error, 1)
		go func() { done <- p.Run(t.Context(), l.send) }()
		if script != nil {
			script(p, l)
		}
		if err := <-done; err != nil && !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
	})
	return l
}

const sec = model.Micros(1_000_000)

// complete tells whether every tick was sent once and in order.
func complete(l *log, s *ticks) bool {
	var want []model.Micros
	for ts := model.Micros(0); ts < s.end; ts += s.step {
		want = append(want, ts)
	}
	return slices.Equal(l.ts, want)
}

func TestPace(t *testing.T) {
	for _, speed := range []float64{0.1, 1, 10, 100, 1000} {
		s := &ticks{step: 37_000, end: 100 * sec}
		l := play(t, s, speed, nil)
		if !complete(l, s) {
			t.Fatalf("speed %v: events missing or out of order", speed)
		}
		for i := range l.ts {
			want := time.Duration(float64(l.ts[i]) / speed * float64(time.Microsecond))
			if d := l.when[i] - want; d < -time.Millisecond || d > time.Millisecond {
				t.Fatalf("speed %v: event at %v was sent at %v, want %v", speed, l.ts[i], l.when[i], want)
			}
		}
	}
}

func TestMaxDoesNotWait(t *testing.T) {
	s := &ticks{step: sec, end: 1000 * sec}
	l := play(t, s, 0, nil)
	if !complete(l, s) || l.when[len(l.when)-1] != 0 {
		t.Errorf("sent %d events in %v", len(l.ts), l.when[len(l.when)-1])
	}
}

// A receiver that is sometimes late is caught up with: the clock is absolute.
func TestShortDelaysDoNotAddUp(t *testing.T) {
	s := &ticks{step: 100_000, end: 100 * sec}
	var end time.Duration
	synctest.Test(t, func(t *testing.T) {
		begin, n := time.Now(), 0
		p := NewPlayer(s, PlayerOptions{Speed: 1})
		if err := p.Run(t.Context(), func(*Event) error {
			if n++; n%10 == 0 {
				time.Sleep(300 * time.Millisecond)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		end = time.Since(begin)
	})
	if want := 99*time.Second + 900*time.Millisecond; end < want || end > want+400*time.Millisecond {
		t.Errorf("took %v, want %v and at most the last delay", end, want)
	}
}

// A receiver that blocks for long slows the clock; there is no burst to catch up.
func TestLongDelaySlowsTheClock(t *testing.T) {
	s := &ticks{step: sec, end: 20 * sec}
	l := &log{}
	synctest.Test(t, func(t *testing.T) {
		l.begin = time.Now()
		p := NewPlayer(s, PlayerOptions{Speed: 1})
		if err := p.Run(t.Context(), func(e *Event) error {
			if e.TS == 5*sec {
				time.Sleep(10 * time.Second)
			}
			return l.send(e)
		}); err != nil {
			t.Error(err)
		}
	})
	if got := l.when[6] - l.when[5]; got != 0 {
		t.Errorf("the event after the delay came %v later, want at once", got)
	}
	if got := l.when[7] - l.when[6]; got != time.Second {
		t.Errorf("the second event after the delay came %v later, want 1s", got)
	}
}

func TestPauseLosesNothing(t *testing.T) {
	s := &ticks{step: 100_000, end: 10 * sec}
	l := play(t, s, 1, func(p *Player, l *log) {
		time.Sleep(2050 * time.Millisecond)
		p.Pause()
		p.Pause()
		synctest.Wait()
		n := l.count()
		time.Sleep(time.Hour)
		if l.count() != n {
			t.Errorf("%d events came while paused", l.count()-n)
		}
		p.Resume()
		p.Resume()
	})
	if !complete(l, s) {
		t.Fatal("events missing or out of order")
	}
	if got, want := l.when[len(l.when)-1], time.Hour+9900*time.Millisecond; got != want {
		t.Errorf("last event at %v, want %v", got, want)
	}
	if !slices.Equal(l.acks, []Action{ActionPause, ActionPause, ActionResume, ActionResume}) {
		t.Errorf("acknowledged %v", l.acks)
	}
	if s.releases == 0 {
		t.Error("the source was not released while paused")
	}
}

// A pause at "max" stops too, and the pace afterwards begins where it stopped.
func TestPauseAtMaxThenPaced(t *testing.T) {
	s := &ticks{step: sec, end: 100 * sec}
	l := &log{}
	synctest.Test(t, func(t *testing.T) {
		l.begin = time.Now()
		p := NewPlayer(s, PlayerOptions{})
		go func() {
			time.Sleep(time.Minute)
			p.SetSpeed(1)
			p.Resume()
		}()
		if err := p.Run(t.Context(), func(e *Event) error {
			if e.TS == 50*sec {
				p.Pause()
			}
			return l.send(e)
		}); err != nil {
			t.Error(err)
		}
	})
	if !complete(l, s) {
		t.Fatal("events missing or out of order")
	}
	if l.when[50] != 0 || l.when[51] != 61*time.Second || l.when[99] != 109*time.Second {
		t.Errorf("events 50, 51, 99 at %v, %v, %v", l.when[50], l.when[51], l.when[99])
	}
}

func TestSetSpeedActsAtOnce(t *testing.T) {
	s := &ticks{step: sec, end: 101 * sec}
	l := play(t, s, 1, func(p *Player, l *log) {
		time.Sleep(10*time.Second + 500*time.Millisecond)
		p.SetSpeed(100) // in the middle of the wait for the event of second 11
	})
	if !complete(l, s) {
		t.Fatal("events missing or out of order")
	}
	if got, want := l.when[11], 10*time.Second+505*time.Millisecond; got != want {
		t.Errorf("event 11 at %v, want %v", got, want)
	}
	if got, want := l.when[100], 10*time.Second+500*time.Millisecond+895*time.Millisecond; got != want {
		t.Errorf("last event at %v, want %v", got, want)
	}
}

func TestSeekForwardAndBack(t *testing.T) {
	s := &ticks{step: sec, end: 1000 * sec}
	l := play(t, s, 1, func(p *Player, l *log) {
		time.Sleep(3500 * time.Millisecond)
		p.Seek(500_000)
		synctest.Wait()
		if l.last() != 500*sec {
			t.Errorf("after the seek forward: %v", l.last())
		}
		time.Sleep(2 * time.Second)
		p.Seek(100_500)
		synctest.Wait()
		if l.last() != 100_500_000 {
			t.Errorf("after the seek back: %v", l.last())
		}
		p.Seek(5_000_000) // outside: nothing changes
		time.Sleep(1100 * time.Millisecond)
		p.Stop()
	})
	want := []model.Micros{0, sec, 2 * sec, 3 * sec, 500 * sec, 501 * sec, 502 * sec, 100_500_000, 101_500_000}
	if !slices.Equal(l.ts, want) {
		t.Errorf("sent %v, want %v", l.ts, want)
	}
}

func TestSeekWhilePausedSendsTheStateOnly(t *testing.T) {
	s := &ticks{step: sec, end: 100 * sec, starts: 2}
	l := play(t, s, 1, func(p *Player, l *log) {
		time.Sleep(1500 * time.Millisecond)
		p.Pause()
		synctest.Wait()
		n := l.count()
		p.Seek(50_000)
		time.Sleep(time.Minute)
		if got := l.count() - n; got != 2 {
			t.Errorf("%d events after a seek while paused, want the 2 of the state", got)
		}
		p.Resume()
		time.Sleep(1100 * time.Millisecond)
		p.Stop()
	})
	want := []model.Micros{0, sec, 50 * sec, 50 * sec, 50 * sec, 51 * sec}
	if !slices.Equal(l.ts, want) {
		t.Errorf("sent %v, want %v", l.ts, want)
	}
}

// A paused player does not end with its last event: the client may still seek.
func TestSeekAfterTheLastEventWhilePaused(t *testing.T) {
	s := &ticks{step: sec, end: 3 * sec}
	l := &log{}
	synctest.Test(t, func(t *testing.T) {
		p := NewPlayer(s, PlayerOptions{})
		go func() {
			time.Sleep(time.Minute)
			p.Seek(1000)
			p.Resume()
		}()
		paused := false
		if err := p.Run(t.Context(), func(e *Event) error {
			if e.TS == 2*sec && !paused {
				paused = true
				p.Pause()
			}
			return l.send(e)
		}); err != nil {
			t.Error(err)
		}
	})
	if want := []model.Micros{0, sec, 2 * sec, sec, 2 * sec}; !slices.Equal(l.ts, want) {
		t.Errorf("sent %v, want %v", l.ts, want)
	}
}

func TestSilenceInsideAHoleIsNotSlept(t *testing.T) {
	s := &ticks{step: sec, end: 10 * sec, skip: map[model.Micros]model.Micros{5 * sec: 900_000}}
	l := play(t, s, 1, nil)
	if got, want := l.when[9], 8100*time.Millisecond; got != want {
		t.Errorf("last event at %v, want %v", got, want)
	}
}

// asking is a source of which a control is asked for while it reads an event.
type asking struct {
	*ticks
	at  model.Micros
	ask func()
}

func (s *asking) Next(ctx context.Context) (*Event, error) {
	ev, err := s.ticks.Next(ctx)
	if err == nil && ev.TS == s.at {
		s.ask()
	}
	return ev, err
}

// TestSilenceAheadOfAPacedRestIsNotSlept slows a replay at "max" down in front of a hole: the event at hand has the
// silence of the hole before it, which is skipped as any other.
func TestSilenceAheadOfAPacedRestIsNotSlept(t *testing.T) {
	for name, ask := range map[string]func(p *Player){
		"set_speed": func(p *Player) { p.SetSpeed(1) },
		"paused in between": func(p *Player) {
			p.Pause()
			p.SetSpeed(1)
			p.Resume()
		},
	} {
		t.Run(name, func(t *testing.T) {
			src := &asking{ticks: &ticks{step: sec, end: 10 * sec, skip: map[model.Micros]model.Micros{5 * sec: 900_000}}, at: 5 * sec}
			var p *Player
			src.ask = func() { ask(p) }
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				p = NewPlayer(src, PlayerOptions{})
				var when []time.Duration
				if err := p.Run(t.Context(), func(*Event) error { when = append(when, time.Since(began)); return nil }); err != nil {
					t.Fatal(err)
				}
				if got, want := when[5], 100*time.Millisecond; got > want || got < want-early {
					t.Errorf("the event behind the hole came at %v, want %v", got, want)
				}
			})
		})
	}
}

func TestSendErrorAndContextEnd(t *testing.T) {
	boom := errors.New("boom")
	if err := NewPlayer(&ticks{step: sec, end: 9 * sec}, PlayerOptions{}).Run(context.Background(), func(*Event) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Run = %v, want send's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, speed := range []float64{0, 1} {
		if err := NewPlayer(&ticks{step: sec, end: 9 * sec}, PlayerOptions{Speed: speed}).Run(ctx, func(*Event) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("speed %v: Run = %v, want the context's error", speed, err)
		}
	}
}

func TestControlsAreBounded(t *testing.T) {
	p := NewPlayer(&ticks{}, PlayerOptions{})
	for range maxControls {
		if err := p.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Pause(); !errors.Is(err, ErrControls) {
		t.Errorf("one control too many: %v", err)
	}
}
