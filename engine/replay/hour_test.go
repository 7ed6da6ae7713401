package replay

import (
	"os"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
)

// attempts is how often a measured time may be missed because others use the machine.
const attempts = 4

// An hour of a busy market at 1,000 times its pace takes its 3.6 s; six minutes of it take 0.36 s. A machine that has no time
// for that, with the race detector say, may take a second longer, except in a soak.
func TestHourAtAThousand(t *testing.T) {
	seconds, excused := 360, time.Second
	if os.Getenv("HYPERLIGHT_SOAK") == "1" {
		seconds, excused = 3600, 0
	}
	s := store(t, seconds, true, false)
	want := time.Duration(seconds) * time.Millisecond
	for attempt := 1; ; attempt++ {
		took, _ := s.play(t, 1000, s.to)
		if took > want*99/100 && took < want*105/100 {
			return
		}
		if attempt == attempts && took >= want*99/100 && took < want+excused {
			t.Logf("%d s took %v, want %v", seconds, took, want)
			return
		}
		if took < want*99/100 || attempt == attempts {
			t.Fatalf("%d s took %v, want %v", seconds, took, want)
		}
	}
}

// At 10 times the pace and below the events keep their distances: the 99th percentile is off by less than 20 ms.
func TestJitter(t *testing.T) {
	s := store(t, 20, false, false)
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
