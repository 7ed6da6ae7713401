package access

import (
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/model"
)

// windowModel is the rule of the contract written down without a thought for speed.
type windowModel struct {
	clock    int64
	admitted []int64
}

func (m *windowModel) take(now int64, limit int) Decision {
	if back := m.clock - now; back > windowMillis {
		for i := range m.admitted {
			m.admitted[i] -= back
		}
	} else if back > 0 {
		now = m.clock
	}
	m.clock = now
	for len(m.admitted) > 0 && m.admitted[0] <= now-windowMillis {
		m.admitted = m.admitted[1:]
	}
	d := Decision{OK: len(m.admitted) < limit, Limit: limit}
	if d.OK {
		m.admitted = append(m.admitted, now)
	}
	d.Remaining = max(limit-len(m.admitted), 0)
	d.Reset = model.Millis(now + windowMillis)
	if len(m.admitted) > 0 {
		d.Reset = model.Millis(m.admitted[0] + windowMillis)
	}
	return d
}

// stepOf draws the time to the next request: bursts, even traffic, pauses around the window's length, clocks that go
// back a little or a lot. One in calm requests is out of the ordinary.
func stepOf(r *rand.Rand, pace int64, calm int) int64 {
	switch r.IntN(calm) {
	case 0:
		return r.Int64N(2 * windowMillis)
	case 1:
		return windowMillis - 2 + r.Int64N(4)
	case 2:
		return -r.Int64N(5)
	case 3:
		if r.IntN(50) == 0 {
			return -windowMillis - 2 + r.Int64N(4)
		}
	case 4:
		if r.IntN(200) == 0 {
			return -r.Int64N(1 << 40)
		}
	case 5:
		return r.Int64N(1_000)
	}
	return r.Int64N(pace)
}

// Ten million random decisions are those of the model: all plans' limits, limits that change on the way, every pace.
func TestWindowEqualsModel(t *testing.T) {
	decisions := 10_000_000
	if raceEnabled && os.Getenv("HYPERLIGHT_SOAK") == "" {
		decisions = 1_000_000
	}
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	limits := []int{0, 1, 2, 10, 30, 300, 3_000, 30_000, 100_000}
	forms := map[uint8]int{}
	for done := 0; done < decisions; {
		w, m := &window{}, &windowModel{}
		limit, pace := limits[r.IntN(len(limits))], []int64{1, 2, 3, 5, 30, 400, 4_000}[r.IntN(7)]
		calm := []int{20, 400, 40_000, 1_000_000}[r.IntN(4)]
		if done == 0 { // one is sure to get full
			limit, pace, calm = 30_000, 3, 1_000_000
		}
		first := done == 0
		now := int64(1_700_000_000_000) + r.Int64N(1<<40)
		for range 20_000 + r.IntN(180_000) {
			if r.IntN(20_000) == 0 && !first {
				limit = limits[r.IntN(len(limits))]
			}
			if r.IntN(5_000) == 0 {
				w.fit()
			}
			now += stepOf(r, pace, calm)
			got, want := w.take(now, limit), m.take(now, limit)
			if got != want {
				t.Fatalf("decision %d at %d, limit %d: got %+v, want %+v", done, now, limit, got, want)
			}
			done++
		}
		forms[w.low]++
		if most := 90_000/8 + (100_000-30_000)/8; len(w.ring)*8 > most+8 {
			t.Fatalf("ring of %d bytes for %d admissions", len(w.ring)*8, len(m.admitted))
		}
	}
	t.Logf("%d decisions, windows by their coding: %v", decisions, forms)
	if forms[0] == 0 || len(forms) < 3 {
		t.Error("too few codings were used")
	}
}

// A burst takes memory for as long as it lies in the window, however long its caller goes on.
func TestWindowGivesBack(t *testing.T) {
	w, now := &window{}, int64(1_700_000_000_000)
	for range 30_000 {
		now++
		w.take(now, 30_000)
	}
	w.fit()
	if size := len(w.ring) * 8; size < 9_000 {
		t.Fatalf("a full window in %d bytes", size)
	}
	for range 120 {
		now += 1_000
		w.take(now, 30_000)
		w.fit()
	}
	if size := len(w.ring) * 8; size > 200 || w.n != 60 {
		t.Errorf("%d bytes for %d admissions", size, w.n)
	}
	if now += 60_000; w.take(now, 0).OK { // nothing is left, nothing comes in
		t.Error("admitted above the limit")
	}
	w.fit()
	if !w.take(now, 1).OK || w.take(now, 1).OK {
		t.Error("an empty window that was made shorter miscounts")
	}
}

// What is drained from a window, second by second, is what the model admitted.
func TestWindowDrain(t *testing.T) {
	for _, n := range []int{0, 1, 2, 30, 5000, 20_000} {
		w, m := &window{}, &windowModel{}
		r := rand.New(rand.NewPCG(uint64(n), 7))
		now := int64(1_700_000_000_123)
		for range n {
			now += r.Int64N(8)
			w.take(now, 30_000)
			m.take(now, 30_000)
		}
		var c window
		w.copyTo(&c)
		want := map[int64]int{}
		for _, at := range m.admitted {
			want[at/1000]++
		}
		last := int64(-1)
		c.drain(func(second int64, count int) {
			if second <= last || want[second] != count {
				t.Fatalf("%d admissions: second %d after %d holds %d, want %d", n, second, last, count, want[second])
			}
			last = second
			delete(want, second)
		})
		if len(want) != 0 {
			t.Fatalf("%d admissions: seconds missing: %v", n, want)
		}
		if got, want := w.take(now, 30_000), m.take(now, 30_000); got != want {
			t.Fatalf("draining a copy changed the window: %+v, want %+v", got, want)
		}
	}
}

// A stored second counts at its last millisecond, so that a restart never admits more.
func TestWindowRestore(t *testing.T) {
	w := &window{}
	w.restore(1_700_000_000, 29)
	now := int64(1_700_000_000_400) // within the restored second
	if d := w.take(now, 30); !d.OK || d.Remaining != 0 {
		t.Fatalf("the 30th: %+v", d)
	}
	if d := w.take(now, 30); d.OK || d.Reset != 1_700_000_060_999 {
		t.Fatalf("the 31st: %+v", d)
	}
	if d := w.take(1_700_000_060_998, 30); d.OK {
		t.Fatalf("a millisecond too early: %+v", d)
	}
	if d := w.take(1_700_000_060_999, 30); !d.OK || d.Remaining != 29 {
		t.Fatalf("when the restored second has left: %+v", d)
	}
}

// 64 goroutines on one key admit exactly the limit, and every refusal and every remainder is consistent.
func TestOneKeyManyGoroutines(t *testing.T) {
	for _, limit := range []int{1, 30, 3_000} {
		l := newLimiter(0, true)
		id := BucketID{1}
		var admitted atomic.Int64
		remaining := make([]atomic.Bool, limit)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for i := range limit/16 + 10 {
					d := l.take(&id, limit, model.Millis(1_700_000_000_000+int64(i%7)))
					if !d.OK {
						continue
					}
					admitted.Add(1)
					if remaining[d.Remaining].Swap(true) {
						t.Errorf("limit %d: two calls were told %d remain", limit, d.Remaining)
					}
				}
			})
		}
		wg.Wait()
		if admitted.Load() != int64(limit) {
			t.Errorf("limit %d: %d admitted", limit, admitted.Load())
		}
	}
}

// The contract's headers: limits of all plans, a second key has its own window, a plan change keeps the history.
func TestTake(t *testing.T) {
	a := testAccess(t, nil, time.UnixMilli(1_700_000_000_000))
	now := model.Millis(1_700_000_000_000)
	plan := func(slug string) *Plan {
		p, ok := a.plans.Load().bySlug[slug]
		if !ok {
			t.Fatalf("no plan %q", slug)
		}
		return p
	}
	for slug, limit := range map[string]int{"free": 30, "starter": 300, "growth": 3_000, "scale": 30_000} {
		p := &Principal{Plan: plan(slug), Bucket: BucketID{byte(limit), byte(limit >> 8)}}
		for i := range limit {
			if d := a.Take(p, now); !d.OK || d.Limit != limit || d.Remaining != limit-1-i || d.Reset != now+60_000 {
				t.Fatalf("%s, call %d: %+v", slug, i+1, d)
			}
		}
		before := limitedTotal(slug)
		for range 3 { // refused calls do not count
			if d := a.Take(p, now+59_999); d.OK || d.Remaining != 0 || d.Reset != now+60_000 {
				t.Fatalf("%s, call %d: %+v", slug, limit+1, d)
			}
		}
		if got := limitedTotal(slug) - before; got != 3 {
			t.Errorf("%s: %d refusals counted, want 3", slug, got)
		}
		if d := a.Take(p, now+60_000); !d.OK || d.Remaining != limit-1 {
			t.Fatalf("%s, a minute later: %+v", slug, d)
		}
	}
	p := &Principal{Plan: plan("free"), Bucket: BucketID{7}}
	other := &Principal{Plan: plan("free"), Bucket: BucketID{8}}
	for range 30 {
		a.Take(p, now)
	}
	if a.Take(p, now).OK || !a.Take(other, now).OK {
		t.Error("keys share a window")
	}
	p = &Principal{Plan: plan("starter"), Bucket: BucketID{7}}
	if d := a.Take(p, now); !d.OK || d.Limit != 300 || d.Remaining != 269 {
		t.Errorf("after the upgrade: %+v", d)
	}
	p = &Principal{Plan: plan("free"), Bucket: BucketID{7}}
	if d := a.Take(p, now); d.OK || d.Remaining != 0 {
		t.Errorf("after the downgrade: %+v", d)
	}
	p = &Principal{Plan: plan("enterprise"), Bucket: BucketID{9}}
	if d := a.Take(p, now); !d.OK || d.Limit != -1 || d.Remaining != -1 || d.Reset != now+60_000 {
		t.Errorf("unlimited: %+v", d)
	}
	if n := a.limits.limiter.known(); n != 6 {
		t.Errorf("%d windows, want 6: an unlimited plan needs none", n)
	}
}
