package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"runtime"
	"strings"
	"testing"
	"weak"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// A source that reads ahead gives the events of the one behind it, through releases, seeks, and turning it off and on at
// any moment; what it handed out stays whole meanwhile, and released it holds nothing open.
func TestAheadEqualsItsSource(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		markets := rapid.IntRange(1, 3).Draw(t, "markets")
		seed, req := rapid.Int64().Draw(t, "seed"), drawRequest(t, markets)
		plain, f := NewSource(madeHistory(seed, markets), req), madeHistory(seed, markets)
		ahead := NewAhead(NewSource(f, req))
		ahead.ReadAhead(true)
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "moves")))
		seeks := rapid.IntRange(0, 5).Draw(t, "seeks")
		next := func(s Source, between func()) string {
			e, err := s.Next(t.Context())
			if err != nil {
				return err.Error()
			}
			between()
			return fmt.Sprint(line(e), e.Skip, e.Start)
		}
		for n := 0; ; n++ {
			want := next(plain, func() {})
			got := next(ahead, func() {
				switch r.Intn(20) {
				case 0:
					ahead.Release()
					if f.open != 0 {
						t.Fatalf("%d iterators open after Release", f.open)
					}
				case 1:
					ahead.ReadAhead(false)
				case 2, 3:
					ahead.ReadAhead(true)
				}
			})
			if got != want {
				t.Fatalf("event %d:\n got %s\nwant %s", n, got, want)
			}
			end := want == io.EOF.Error()
			if end && seeks == 0 {
				break
			}
			if end || seeks > 0 && r.Intn(50) == 0 {
				seeks--
				to := req.From - 5 + model.Millis(r.Intn(int(req.To-req.From)+10))
				if got, want := ahead.Seek(to), plain.Seek(to); !errors.Is(got, want) {
					t.Fatalf("Seek(%d) = %v, want %v", to, got, want)
				}
			}
		}
		plain.Close()
		ahead.Close()
		if f.open != 0 {
			t.Fatalf("%d iterators open after Close", f.open)
		}
	})
}

// A read that fails is told behind the events before it, and leaves nothing open, wherever it was.
func TestAheadTellsAFailedReadInItsPlace(t *testing.T) {
	made := madeHistory(1, 2)
	req := Request{Markets: []*model.Market{testMarket(1), testMarket(2)}, To: 25_000, Include: Kinds(Trade, BookUpdate, Snapshot)}
	for failAt := range 200 {
		count := func(s Source) (n int, err error) {
			for ; err == nil; n++ {
				_, err = s.Next(t.Context())
			}
			return n, err
		}
		plain := NewSource(&failingHistory{fakeHistory: made, failAt: failAt}, req)
		want, wantErr := count(plain)
		plain.Close()
		f := &failingHistory{fakeHistory: made, failAt: failAt}
		ahead := NewAhead(NewSource(f, req))
		ahead.ReadAhead(true)
		got, err := count(ahead)
		ahead.Close()
		if got != want || !errors.Is(err, errRead) && !errors.Is(err, io.EOF) || errors.Is(err, errRead) != errors.Is(wantErr, errRead) {
			t.Fatalf("read %d: %d events and %v, want %d and %v", failAt, got, err, want, wantErr)
		}
		if f.open != 0 {
			t.Fatalf("%d readers are open after read %d failed", f.open, failAt)
		}
	}
}

// wild is a source that panics behind some events, or waits for its context.
type wild struct {
	ticks
	panics bool
}

func (s *wild) Next(ctx context.Context) (*Event, error) {
	e, err := s.ticks.Next(ctx)
	if !errors.Is(err, io.EOF) {
		return e, err
	}
	if s.panics {
		panic("the record is damaged")
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// A panic of the reading goroutine comes out where the event would have come.
func TestAheadPanicsForItsReader(t *testing.T) {
	a := NewAhead(&wild{ticks: ticks{step: 1, end: 10}, panics: true})
	defer a.Close()
	a.ReadAhead(true)
	for range 10 {
		if _, err := a.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "the record is damaged") {
			t.Errorf("panicked with %s", v)
		}
	}()
	_, err := a.Next(t.Context())
	t.Errorf("went on with %v", err)
}

// What one replay had read ahead when it was closed is never an event of another.
func TestAheadClosedEarlyLeavesNothingBehind(t *testing.T) {
	for range 20 { // a pool may forget what it was given
		early := NewAhead(&wild{ticks: ticks{step: 1, end: 5000}})
		early.ReadAhead(true)
		for range 100 {
			if _, err := early.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := early.Close(); err != nil {
			t.Fatal(err)
		}
		other := NewAhead(&ticks{step: 7, end: 50})
		other.ReadAhead(true)
		for at := model.Micros(0); ; at += 7 {
			e, err := other.Next(t.Context())
			if err == io.EOF {
				break
			}
			if err != nil || e.TS != at {
				t.Fatalf("got %+v and %v, want the event of %d", e, err, at)
			}
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// An emptied batch keeps nothing of what it held: large books would stay in memory with the rows that pointed to them.
func TestEmptiedBatchHoldsNoLevels(t *testing.T) {
	for _, kind := range []Kind{BookUpdate, Snapshot} {
		var b batch
		levels := make([]model.Level, 3*aheadLevels)
		row := record.BookRow{Update: model.BookUpdate{Bids: levels}}
		b.add(&Event{Kind: kind, Row: &row, Top: &Top{Bids: levels}})
		held := weak.Make(&b.levels[0])
		b.clear()
		runtime.GC()
		if held.Value() != nil {
			t.Errorf("the levels of a %v are still held", kind)
		}
		runtime.KeepAlive(&b)
	}
}

// Whoever waits for an event that does not come is free when the context ends, and so is the reading goroutine.
func TestAheadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := NewAhead(&wild{ticks: ticks{step: 1, end: 5}})
	defer a.Close()
	a.ReadAhead(true)
	for range 5 { // the first two batches
		if _, err := a.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if _, err := a.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A replay that stands still reads nothing ahead: only at "max" does it, and a pause ends that.
func TestPlayerReadsAheadOnlyAtMax(t *testing.T) {
	f := madeHistory(1, 1)
	req := Request{Markets: []*model.Market{testMarket(1)}, To: 25_000, Include: Kinds(Trade, BookUpdate)}
	want := readAll(t, NewSource(f, req), nil)
	a := NewAhead(NewSource(f, req))
	defer a.Close()
	var p *Player
	var got []string
	p = NewPlayer(a, PlayerOptions{Applied: func(c Control, _ error) {
		switch c.Action {
		case ActionPause: // the player stands between two events: it is released as soon as it waits
			_ = p.Resume()
		case ActionSpeed:
			if c.Speed != 0 && a.run != nil {
				t.Errorf("reads ahead at %v", c.Speed)
			}
		}
	}})
	err := p.Run(t.Context(), func(e *Event) error {
		got = append(got, line(e))
		switch len(got) % 7 {
		case 0:
			_ = p.Pause()
		case 2:
			_ = p.SetSpeed(1e9)
		case 4:
			_ = p.SetSpeed(0)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if i := firstDifference(got, want); i >= 0 {
		t.Errorf("event %d:\n got %s\nwant %s", i, at(got, i), at(want, i))
	}
}
