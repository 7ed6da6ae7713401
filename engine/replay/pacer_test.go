package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"hyperlight/engine/model"
)

// BenchmarkLateness plays 1,000 replays with ten events a second each and reports how late they were sent, with the
// runtime's timers and with the pacer. The baseline is as many goroutines with a timer each and nothing else.
func BenchmarkLateness(b *testing.B) {
	for _, fine := range []bool{false, true} {
		b.Run(map[bool]string{false: "timers", true: "pacer"}[fine], func(b *testing.B) {
			for b.Loop() {
				var pacer *Pacer
				if fine {
					pacer = NewPacer(nil)
				}
				reportLateness(b, "bare-", bareLateness(1000))
				reportLateness(b, "", lateness(b, 1000, 2*sec, 100_000, 1, pacer))
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func reportLateness(b *testing.B, prefix string, late []time.Duration) {
	slices.Sort(late)
	for _, q := range []int{50, 99} {
		b.ReportMetric(float64(late[len(late)*q/100])/1e6, fmt.Sprintf("%sp%d-ms", prefix, q))
	}
}

// lateness plays n replays of an event each step and returns how late each event was, all sorted by nothing.
func lateness(t testing.TB, n int, length, step model.Micros, speed float64, pacer *Pacer) []time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			time.Sleep(time.Duration(rand.Int63n(int64(step))) * time.Microsecond) // none in step with another
			var late []time.Duration
			p := NewPlayer(&ticks{step: step, end: length}, PlayerOptions{Speed: speed, Pacer: pacer,
				Late: func(d time.Duration) { late = append(late, d) }})
			if err := p.Run(t.Context(), func(*Event) error { return nil }); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, late[1:]...)
		})
	}
	wg.Wait()
	return all
}

// bareLateness waits the same waits with nothing but timers.
func bareLateness(n int) []time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			due := time.Now().Add(time.Duration(rand.Int63n(100_000)) * time.Microsecond)
			var late []time.Duration
			for range 20 {
				time.Sleep(time.Until(due))
				late = append(late, time.Since(due))
				due = due.Add(100 * time.Millisecond)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, late...)
		})
	}
	wg.Wait()
	return all
}

// Every event of a replay with a pacer comes, none of them early, while others end in the middle of a wait.
func TestPacer(t *testing.T) {
	pacer := NewPacer(nil)
	var given sync.WaitGroup
	for range 20 {
		given.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(rand.Int63n(int64(100*time.Millisecond))), cancel)
			p := NewPlayer(&ticks{step: 900, end: 10 * sec}, PlayerOptions{Speed: 1, Pacer: pacer})
			if err := p.Run(ctx, func(*Event) error { return nil }); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	late := lateness(t, 20, 100_000, 1_000, 1, pacer)
	given.Wait()
	if len(late) != 20*99 {
		t.Errorf("%d events", len(late))
	}
	if first := slices.Min(late); first < -early {
		t.Errorf("an event came %v early", -first)
	}
	p := NewPlayer(&ticks{step: 5_000, end: sec}, PlayerOptions{Speed: 1, Pacer: pacer})
	time.AfterFunc(20*time.Millisecond, func() { _ = p.Pause(); _ = p.Stop() })
	if err := p.Run(t.Context(), func(*Event) error { return nil }); !errors.Is(err, ErrStopped) {
		t.Errorf("ended with %v", err)
	}
	pacer.mu.Lock()
	defer pacer.mu.Unlock()
	if len(pacer.waits) != 0 {
		t.Errorf("%d waits are left", len(pacer.waits))
	}
}

// A wait whose time has come in the very moment in which it is given up leaves nothing behind for the next one.
func TestPacerForgetsAnEndedWait(t *testing.T) {
	pacer := NewPacer(nil)
	w := newFineWait()
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.Int63n(int64(200*time.Microsecond))))
		_, _ = pacer.sleep(ctx, w, 100*time.Microsecond, nil)
		cancel()
		began := time.Now()
		if _, err := pacer.sleep(t.Context(), w, 200*time.Microsecond, nil); err != nil || time.Since(began) < 200*time.Microsecond-pacerEarly {
			t.Fatalf("slept %v, %v", time.Since(began), err)
		}
	}
}
