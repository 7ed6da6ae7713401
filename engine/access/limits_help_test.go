package access

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/uuid"

	"hyperlight/config"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// raceEnabled is set by the build with the race detector, which makes everything slower and allocate.
var raceEnabled bool

// testClock is a clock that tests set.
type testClock struct{ ms atomic.Int64 }

func (c *testClock) now() time.Time       { return time.UnixMilli(c.ms.Load()) }
func (c *testClock) set(at model.Millis)  { c.ms.Store(int64(at)) }
func (c *testClock) millis() model.Millis { return model.Millis(c.ms.Load()) }
func (c *testClock) advance(by int64)     { c.ms.Add(by) }
func newClock(at model.Millis) *testClock { c := &testClock{}; c.set(at); return c }
func utc(text string) (at model.Millis) {
	return model.Millis(must(time.Parse(time.RFC3339, text)).UnixMilli())
}
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// testAccess returns an Access with the contract's plans, whose limits rest in the store (nil: nowhere).
func testAccess(t testing.TB, s *kv.Store, now time.Time) *Access {
	t.Helper()
	return openAccess(t, s, newClock(model.Millis(now.UnixMilli())))
}

func openAccess(t testing.TB, s *kv.Store, c *testClock) *Access {
	t.Helper()
	a := &Access{}
	plans, err := newPlanSet(config.DefaultPlans())
	if err != nil {
		t.Fatal(err)
	}
	a.plans.Store(plans)
	if err := a.openLimits(Options{Store: s, Now: c.now}); err != nil {
		t.Fatal(err)
	}
	return a
}

// keyOf returns a caller with a key of its own, of the user with the given number.
func keyOf(t testing.TB, a *Access, slug string, user, key byte) *Principal {
	t.Helper()
	plan, ok := a.plans.Load().bySlug[slug]
	if !ok {
		t.Fatalf("no plan %q", slug)
	}
	p := &Principal{Plan: plan, User: uuid.UUID{1, 15: user}, Key: uuid.UUID{2, 14: user, 15: key}}
	p.Account = p.User.String()
	copy(p.Bucket[:], p.Key[:])
	return p
}

func localCaller(a *Access, slug string) *Principal {
	return &Principal{Plan: a.plans.Load().bySlug[slug], Account: LocalAccount, Local: true}
}

func limitedTotal(slug string) uint64 {
	return metrics.GetOrCreateCounter(`hyperlight_rate_limited_total{tier="` + slug + `"}`).Get()
}
