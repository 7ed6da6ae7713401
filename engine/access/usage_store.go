package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Counts are the figures of usage, of an hour or of several.
type Counts struct {
	Requests    int64 `json:"requests"` // answered calls; those that were rate limited stand below only
	Credits     int64 `json:"credits"`
	Errors      int64 `json:"errors"` // statuses of 400 and above other than 429
	RateLimited int64 `json:"rate_limited"`
}

func (c *Counts) add(r *routeCount) {
	c.Requests += r.requests()
	c.Credits += r.credits
	c.Errors += r.answers[statusClient] + r.answers[statusServer]
	c.RateLimited += r.answers[statusLimited]
}

func (c *routeCount) requests() (n int64) {
	for _, a := range c.answers {
		n += a
	}
	return n - c.answers[statusLimited]
}

// UsageHour is what one caller used in the hour that begins at Timestamp.
type UsageHour struct {
	Timestamp model.Millis `json:"timestamp"`
	Counts
	Endpoints map[string]int64 `json:"endpoints"` // requests by route
}

// Usage is the body of contract 2.9.5. Hours are in order, empty ones left out.
type Usage struct {
	KeyID  string      `json:"key_id"`
	Hours  []UsageHour `json:"usage"`
	Totals Counts      `json:"totals"`
	Month  Month       `json:"month"`
}

// addRows adds what was used to the rows of the store that it belongs to.
func (u *usage) addRows(s *kv.Store, b *kv.Batch, names *routeNames, all map[usageKey]*hourUsage) error {
	var k, v []byte
	for at, h := range all {
		k = key.UsageHour(k[:0], at.caller, int64(at.hour))
		routes := map[string]*routeCount{}
		err := s.Get(k, func(v []byte) error { return addUsage(routes, v) })
		switch {
		case errors.Is(err, errValue): // a damaged row must not stop the counting
			clear(routes)
		case err != nil && !errors.Is(err, kv.ErrNotFound):
			return fmt.Errorf("read usage: %w", err)
		}
		h.addTo(routes, names)
		v = appendUsage(v[:0], routes)
		b.Set(k, v)
	}
	return nil
}

// addTo adds what was used to counts by name.
func (h *hourUsage) addTo(routes map[string]*routeCount, names *routeNames) {
	for i := range *h {
		name := names.name((*h)[i].route)
		if routes[name] == nil {
			routes[name] = &routeCount{}
		}
		routes[name].add(&(*h)[i].routeCount)
	}
}

// hours returns what a caller used in the hours of from <= t < to, by hour. Rows of more than usageDays after now are not
// looked for: a range without an end would take a look at every day that will ever be.
func (u *usage) hours(ctx context.Context, s *kv.Store, names *routeNames, caller uuid.UUID, from, to, now model.Millis) (map[model.Millis]map[string]*routeCount, error) {
	from, to = hourOf(max(from, 0)), hourOf(min(max(to, 0), math.MaxInt64-hourMillis)+hourMillis-1)
	all := map[model.Millis]map[string]*routeCount{}
	of := func(hour model.Millis) map[string]*routeCount {
		if all[hour] == nil {
			all[hour] = map[string]*routeCount{}
		}
		return all[hour]
	}
	u.flushing.RLock()
	defer u.flushing.RUnlock()
	stored := min(to, hourOf(now)+usageDays*24*hourMillis) // what a clock that ran ahead has left included
	for start := from; s != nil && start < stored; start = model.Millis(key.DayStart(key.Day(int64(start)) + 1)) {
		r, err := key.UsageRange(caller, int64(start), int64(stored))
		if err != nil {
			return nil, fmt.Errorf("read usage: %w", err)
		}
		for row, err := range s.Scan(ctx, r) {
			if err != nil {
				return nil, fmt.Errorf("read usage: %w", err)
			}
			at, err := key.ParseUsageHour(row.Key)
			if err != nil {
				return nil, fmt.Errorf("read usage: %w", err)
			}
			if err := addUsage(of(model.Millis(at.Hour)), row.Value); err != nil {
				return nil, err
			}
		}
	}
	u.pendingOf(caller, from, to, func(hour model.Millis, h *hourUsage) { h.addTo(of(hour), names) })
	return all, nil
}

// UsageOf returns what a key, a user with tokens, or the local caller (uuid.Nil) used in the hours that touch
// from <= t < to, in order, and their sum. It reads the store.
func (a *Access) UsageOf(caller uuid.UUID, from, to model.Millis) ([]UsageHour, Counts, error) {
	l := &a.limits
	all, err := l.usage.hours(context.Background(), l.store, &l.routes, caller, from, to, l.millis())
	if err != nil {
		return nil, Counts{}, err
	}
	hours, totals := make([]UsageHour, 0, len(all)), Counts{}
	for at, routes := range all {
		h := UsageHour{Timestamp: at, Endpoints: make(map[string]int64, len(routes))}
		for name, c := range routes {
			h.add(c)
			totals.add(c)
			if n := c.requests(); n > 0 {
				h.Endpoints[name] = n
			}
		}
		if h.Counts != (Counts{}) {
			hours = append(hours, h)
		}
	}
	slices.SortFunc(hours, func(x, y UsageHour) int { return cmp.Compare(x.Timestamp, y.Timestamp) })
	return hours, totals, nil
}

// KeyUsage returns the body of contract 2.9.5 for a key of the caller's user, with the present month of its account.
// Another user's key is not_found.
func (a *Access) KeyUsage(p *Principal, id uuid.UUID, from, to model.Millis) (*Usage, error) {
	u, err := a.owner(p)
	if err != nil {
		return nil, err
	}
	if _, err := a.keyOf(u, id); err != nil {
		return nil, err
	}
	return a.usageBody(p, id, from, to)
}

func (a *Access) usageBody(p *Principal, id uuid.UUID, from, to model.Millis) (*Usage, error) {
	hours, totals, err := a.UsageOf(id, from, to)
	if err != nil {
		return nil, err
	}
	month := a.Month(p.Account, p.Plan, a.limits.millis())
	return &Usage{KeyID: id.String(), Hours: hours, Totals: totals, Month: month}, nil
}
