package ws

import (
	"testing"

	"hyperlight/engine/access"
)

// Checklist 150, 155-157 and 186: what each plan of the contract's table allows an account to have at once, over all of
// its connections, and not one more; what is given back can be taken again.
func TestSlotsOfEveryPlan(t *testing.T) {
	want := map[string][slots]int{
		"free": {1, 5, 0}, "starter": {50, 1_000, 2}, "growth": {500, 10_000, 5}, "scale": {1_000, 25_000, 10}, "enterprise": {-1, -1, -1},
	}
	plans := access.DefaultPlans()
	if len(plans) != len(want) {
		t.Fatalf("%d plans", len(plans))
	}
	q := newQuota()
	for i := range plans {
		p := &access.Principal{Plan: &plans[i], Account: plans[i].Slug}
		for s, most := range want[plans[i].Slug] {
			unlimited := most < 0
			if unlimited {
				most = 100_000
			}
			for n := range most {
				if !q.take(p, slot(s)) {
					t.Fatalf("%s: no slot %d of kind %d", p.Account, n+1, s)
				}
			}
			if q.take(p, slot(s)) != unlimited {
				t.Errorf("%s: slot %d of kind %d is wrong", p.Account, most+1, s)
			}
			if most == 0 {
				continue
			}
			q.give(p, slot(s))
			if !q.take(p, slot(s)) {
				t.Errorf("%s: a slot of kind %d that was given back is lost", p.Account, s)
			}
		}
	}
}
