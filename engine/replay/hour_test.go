package replay

import (
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hyperlight/engine/model"
)

// attempts is how often a measured time may be missed in a soak because others use the machine.
const attempts = 4

// An hour of a busy market at 1,000 times its pace takes its 3.6 s: six minutes of it take 0.36 s of a clock that waits for
// who computes, each event at its time. A soak measures the whole hour by the machine's own clock.
func TestHourAtAThousand(t *testing.T) {
	if !soak() {
		s := store(t, 360, true, false)
		s.playExactly(t, 1000, s.to)
		return
	}
	const want = 3600 * time.Millisecond
	s := store(t, 3600, true, false)
	for attempt := 1; ; attempt++ {
		took, _ := s.play(t, 1000, s.to)
		if took > want*99/100 && took < want*105/100 {
			return
		}
		if took < want*99/100 || attempt == attempts {
			t.Fatalf("an hour took %v, want %v", took, want)
		}
	}
}

// At 10 times the pace and below the events keep their distances: the 99th percentile is off by less than 20 ms by the
// machine's own clock, which a soak looks at, and none is late by a clock that waits for who computes.
func TestJitter(t *testing.T) {
	s := store(t, 20, false, false)
	if !soak() {
		s.playExactly(t, 10, s.from+5000)
		return
	}
	for attempt := 1; ; attempt++ {
		took, late := s.play(t, 10, s.from+5000)
		slices.Sort(late)
		p99 := late[len(late)*99/100]
		if p99 < 20*time.Millisecond && late[0] >= -early && took > 490*time.Millisecond && took < 525*time.Millisecond {
			return
		}
		if attempt == attempts {
			t.Fatalf("5 s took %v, p99 of lateness %v", took, p99)
		}
	}
}

func soak() bool { return os.Getenv("HYPERLIGHT_SOAK") != "" }

// playExactly replays the record up to a moment in a bubble of fake time, where only waiting takes time.
func (s *stored) playExactly(t *testing.T, speed float64, to model.Millis) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		took, late := s.play(t, speed, to)
		if want := time.Duration(float64((to-s.from).Micros())/speed) * time.Microsecond; took > want || took < want*99/100 {
			t.Errorf("took %v, want %v", took, want)
		}
		if len(late) < 100 || slices.Max(late) > 2*time.Microsecond || slices.Min(late) < -early {
			t.Errorf("%d events, %v early to %v late", len(late), -slices.Min(late), slices.Max(late))
		}
	})
}

// play replays the record up to a moment and returns how long that took, and how late each event was.
func (s *stored) play(t *testing.T, speed float64, to model.Millis) (time.Duration, []time.Duration) {
	src := NewSource(s.reader, Request{Markets: []*model.Market{s.market}, From: s.from, To: to,
		Include: Kinds(Trade, BookUpdate, Snapshot), Depth: 20, StartBooks: true})
	defer src.Close()
	var late []time.Duration
	p := NewPlayer(src, PlayerOptions{Speed: speed, Late: func(d time.Duration) { late = append(late, d) }})
	began := time.Now()
	if err := p.Run(t.Context(), func(*Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return time.Since(began), late
}
