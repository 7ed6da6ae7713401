package access

import (
	"errors"
	"fmt"

	"hyperlight/config"
)

// Unlimited is how "no limit" is written in a plan and sent on the wire.
const Unlimited = config.Unlimited

// Plan is a row of the plan table with its place in it. It is immutable.
type Plan struct {
	config.Plan
	// Rank orders plans; a route that needs a plan is open to every plan of the same or a higher rank.
	Rank int
}

// DefaultPlans returns the contract's table, lowest rank first. The caller owns the slice.
func DefaultPlans() []Plan { return rank(config.DefaultPlans()) }

func rank(table []config.Plan) []Plan {
	plans := make([]Plan, len(table))
	for i := range table {
		plans[i] = Plan{Plan: table[i], Rank: i}
	}
	return plans
}

// planSet is one whole plan table; a reload swaps it.
type planSet struct {
	bySlug map[string]*Plan
	order  []*Plan // lowest rank first
}

func newPlanSet(table []config.Plan) (*planSet, error) {
	if len(table) == 0 {
		return nil, errors.New("plans: the table must have at least one plan")
	}
	s := &planSet{bySlug: make(map[string]*Plan, len(table))}
	for _, p := range rank(table) {
		if s.bySlug[p.Slug] != nil {
			return nil, fmt.Errorf("plans: two plans are called %q", p.Slug)
		}
		s.bySlug[p.Slug] = &p
		s.order = append(s.order, &p)
	}
	return s, nil
}

// of returns a plan by its slug, the lowest where there is none of that name.
func (s *planSet) of(slug string) *Plan {
	if p := s.bySlug[slug]; p != nil {
		return p
	}
	return s.order[0]
}

// lower returns the plan in force of a key: the lower of its own and its user's; "" has none of its own.
func (s *planSet) lower(own, user string) *Plan {
	p := s.of(user)
	if own == "" {
		return p
	}
	if k := s.of(own); k.Rank < p.Rank {
		return k
	}
	return p
}

// has refuses a table without the plan that a setting names.
func (s *planSet) has(setting, slug string) error {
	if slug != "" && s.bySlug[slug] == nil {
		return fmt.Errorf("%s: no plan is called %q", setting, slug)
	}
	return nil
}

// adopt takes over the rows of an earlier table that are the same in this one, before it is published.
func (s *planSet) adopt(old *planSet) {
	for i, p := range s.order {
		if was := old.bySlug[p.Slug]; was != nil && *was == *p {
			s.order[i], s.bySlug[p.Slug] = was, was
		}
	}
}
