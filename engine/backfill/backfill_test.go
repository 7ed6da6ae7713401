package backfill

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
)

// Holes are, grain by grain, what no interval covers whole.
func TestHolesEqualNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grain := model.Millis(rapid.SampledFrom([]int{1, 3, 10}).Draw(t, "grain"))
		sp := history.Span{From: model.Millis(rapid.IntRange(0, 40).Draw(t, "from"))}
		sp.To = sp.From + model.Millis(rapid.IntRange(1, 60).Draw(t, "length"))
		var held []history.Interval
		at := model.Micros(0)
		for range rapid.IntRange(0, 5).Draw(t, "intervals") {
			from := at + model.Micros(rapid.IntRange(1, 30_000).Draw(t, "gap"))
			at = from + model.Micros(rapid.IntRange(1, 30_000).Draw(t, "held"))
			held = append(held, history.Interval{From: from, To: at})
		}
		covered := func(ms model.Millis) bool {
			for _, iv := range held {
				if iv.From <= ms.Micros() && (ms+1).Micros() <= iv.To {
					return true
				}
			}
			return false
		}
		got := holes(sp, held, grain)
		missing := func(ms model.Millis) bool {
			for _, h := range got {
				if h.From <= ms && ms < h.To {
					return true
				}
			}
			return false
		}
		for b := sp.From / grain; b < (sp.To+grain-1)/grain; b++ {
			want := false
			for ms := b * grain; ms < (b+1)*grain; ms++ {
				want = want || !covered(ms)
			}
			if missing(b*grain) != want {
				t.Fatalf("unit %d of %v over %v by %d: missing %v, want %v; holes %v", b, sp, held, grain, !want, want, got)
			}
		}
		for i, h := range got {
			if h.From >= h.To || h.From%grain != 0 || h.To%grain != 0 || i > 0 && h.From < got[i-1].To {
				t.Fatalf("holes are %v", got)
			}
		}
	})
}

// In no minute is more taken than the minute's, and nobody waits longer than that needs.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(10, time.Now)
		var taken []time.Time
		for i := range 40 {
			weight := 1 + i%2
			if err := p.wait(t.Context(), weight); err != nil {
				t.Fatal(err)
			}
			for range weight {
				taken = append(taken, time.Now())
			}
		}
		for i := range taken[10:] {
			if taken[i+10].Sub(taken[i]) < time.Minute {
				t.Fatalf("takes %d and %d are %s apart", i, i+10, taken[i+10].Sub(taken[i]))
			}
		}
		if all := taken[len(taken)-1].Sub(taken[0]); all > 7*time.Minute {
			t.Errorf("60 of 10 a minute took %s", all)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.wait(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait that its context ended is %v", err)
		}
	})
}

// The bytes of a memory on disk.
func TestMemoryGolden(t *testing.T) {
	m := memory{floor: 1_760_000_000_000, cause: causeEnd, until: 1_760_604_800_000,
		marks: []mark{{1_760_000_000_001, "26000000100"}, {1_760_000_360_001, "26000000900"}}}
	const want = "01018080b3c19c338088e5e19e33028180b3c19c330b3236303030303030313030c0fc150b3236303030303030393030"
	if got := hex.EncodeToString(m.append(nil)); got != want {
		t.Errorf("memory is\n%s, want\n%s", got, want)
	}
}

// Bytes are refused or give a memory that is written as the same bytes.
func FuzzMemory(f *testing.F) {
	f.Add((&memory{}).append(nil))
	f.Add((&memory{floor: 5, cause: causeRefused, until: 7, marks: []mark{{3, "a"}, {9, "bc"}}}).append(nil))
	f.Add([]byte{1, 1, 0, 0, 1, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMemory(b)
		if err != nil {
			return
		}
		if again := m.append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
	})
}

func TestMemoryName(t *testing.T) {
	at := recordKey{model.KindTrades, 77}
	if got, ok := parseMemoryName(memoryName(at)); !ok || got != at {
		t.Errorf("%v became %v, %v", at, got, ok)
	}
	for _, bad := range []string{"backfill/", "backfill/1", "backfill/1/x", "backfill/999/1"} {
		if _, ok := parseMemoryName(bad); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}
