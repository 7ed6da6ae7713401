package access

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"hyperlight/config"
	"hyperlight/engine/model"
)

func TestPeriods(t *testing.T) {
	for _, c := range []struct {
		at     string
		want   string
		before period
		end    string
	}{
		{"2024-02-29T23:59:59.999Z", "2024-02", 202401, "2024-03-01T00:00:00Z"},
		{"2024-03-01T00:00:00Z", "2024-03", 202402, "2024-04-01T00:00:00Z"},
		{"2024-01-01T00:00:00Z", "2024-01", 202312, "2024-02-01T00:00:00Z"},
		{"2023-12-31T23:59:59Z", "2023-12", 202311, "2024-01-01T00:00:00Z"},
	} {
		p := periodOf(utc(c.at))
		if p.String() != c.want || p.before() != c.before || p.end() != utc(c.end) {
			t.Errorf("%s: %s, before %d, end %d", c.at, p, p.before(), p.end())
		}
	}
}

// Free: refused when used + cost would pass the allowance, with the seconds to the next month; a new month begins at
// zero (UTC). Paid: served, in started blocks. Enterprise: neither.
func TestQuota(t *testing.T) {
	clock := newClock(utc("2024-02-29T23:59:58.500Z"))
	a := openAccess(t, nil, clock)
	p := keyOf(t, a, "free", 1, 1)
	if c, err := a.Reserve(p, 74_990, clock.millis()); err != nil || c != (Credits{Cost: 74_990, Used: 74_990, Limit: 75_000}) {
		t.Fatal(c, err)
	}
	a.Settle(p, Use{Status: 200, Cost: 74_990}, clock.millis())
	c, err := a.Reserve(p, 25, clock.millis())
	e, ok := errors.AsType[*model.Error](err)
	if !ok || e.Code != model.CodeQuota || e.Message != "monthly credit quota exceeded" || e.Details["retry_after"] != int64(2) || c != (Credits{Used: 74_990, Limit: 75_000}) {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := a.Reserve(p, 10, clock.millis()); err != nil { // exactly the allowance
		t.Fatal(err)
	}
	if _, err := a.Reserve(p, 1, clock.millis()); err == nil {
		t.Fatal("one credit above the allowance was given")
	}
	if c, err := a.Reserve(p, 0, clock.millis()); err != nil || c.Used != 75_000 {
		t.Fatal("a free call was refused", c, err)
	}
	if a.Spend(p, 1, clock.millis()) {
		t.Fatal("a message above the allowance was given")
	}
	reserved := clock.millis()
	clock.set(utc("2024-03-01T00:00:00Z"))
	if c, err := a.Reserve(p, 50, clock.millis()); err != nil || c.Used != 50 {
		t.Fatal("a new month", c, err)
	}
	a.Settle(p, Use{Status: 500, Cost: 10, Reserved: reserved}, clock.millis()) // goes back to February
	a.Settle(p, Use{Status: 201, Cost: 50}, clock.millis())
	if m := a.Month(p.Account, p.Plan, clock.millis()); m != (Month{"2024-03", 50, 75_000, 74_950, 0, "0"}) {
		t.Errorf("%+v", m)
	}
	if m := a.Month(p.Account, p.Plan, reserved); m.Used != 74_990 || m.Period != "2024-02" {
		t.Errorf("%+v", m)
	}
	for _, c := range []struct {
		plan string
		used int64
		want Month
	}{
		{"starter", 750_000, Month{"2024-03", 750_000, 750_000, 0, 0, "0"}},
		{"starter", 750_001, Month{"2024-03", 750_001, 750_000, 0, 1, "29"}},
		{"growth", 5_100_000, Month{"2024-03", 5_100_000, 5_000_000, 0, 100_000, "9"}},
		{"scale", 25_100_001, Month{"2024-03", 25_100_001, 25_000_000, 0, 100_001, "8"}},
		{"enterprise", 1 << 40, Month{"2024-03", 1 << 40, -1, -1, 0, "0"}},
		{"free", 80_000, Month{"2024-03", 80_000, 75_000, 0, 0, "0"}}, // downgraded
	} {
		if got := monthOf(202403, c.used, a.plans.Load().bySlug[c.plan]); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.plan, got, c.want)
		}
	}
	for price, want := range map[string]string{"0.5": "1", "12.345678": "24.691356", "": "0", "x": "0", "9000000000000": "9223372036854.775807"} {
		if got := overagePrice(100_001, price); got != want {
			t.Errorf("two blocks at %q: %s, want %s", price, got, want)
		}
	}
}

// 64 goroutines on one account never get more than the allowance, and all of it; failed calls give theirs back.
func TestCreditsAreExact(t *testing.T) {
	plan := &Plan{Plan: config.Plan{Slug: "small", CreditsPerMonth: 10_000}}
	m := newMeter()
	id := uuid.UUID{15: 3}
	now := utc("2024-02-10T00:00:00Z")
	var spent, over atomic.Int64
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 400 {
				cost := []int64{1, 25, 50}[r.IntN(3)]
				if r.IntN(10) == 0 {
					if m.spend(id, plan, cost, now) {
						spent.Add(cost)
					}
					continue
				}
				used, ok := m.reserve(id, plan, cost, now)
				if used > plan.CreditsPerMonth {
					over.Add(1)
				}
				if !ok {
					continue
				}
				good := r.IntN(4) > 0
				m.settle(id, cost, good, now)
				if good {
					spent.Add(cost)
				}
			}
		})
	}
	wg.Wait()
	for m.spend(id, plan, 1, now) {
		spent.Add(1)
	}
	_, used := m.used(id, now)
	if over.Load() > 0 || used != plan.CreditsPerMonth || spent.Load() != used {
		t.Errorf("used %d, spent %d, allowance %d, passed %d times", used, spent.Load(), plan.CreditsPerMonth, over.Load())
	}
}

// A clock that is set back by months does not give the allowance back.
func TestMonthClockSetBack(t *testing.T) {
	plan := &Plan{Plan: config.Plan{CreditsPerMonth: 10}}
	m := newMeter()
	if !m.spend(uuid.Nil, plan, 10, utc("2024-06-10T00:00:00Z")) || m.spend(uuid.Nil, plan, 1, utc("2024-01-10T00:00:00Z")) {
		t.Error("credits of an earlier month were given")
	}
}
