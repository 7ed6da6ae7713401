package access

import (
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"hyperlight/engine/model"
)

const hourMillis = 3_600_000

// RouteID names a route in usage; it is good for this process only, rows hold the name.
type RouteID uint16

// Use is one answered call.
type Use struct {
	Route  RouteID
	Status int
	Cost   int64 // what Reserve took; 0 where it refused or was not asked
	// Reserved is the now that Reserve was called with: credits go back to the month that they came from. 0: that of Settle.
	Reserved model.Millis
}

// The classes of a status. Rate limited answers have one of their own.
const (
	statusOK       = iota // below 300
	statusRedirect        // 3xx
	statusClient          // 4xx without 429
	statusLimited         // 429
	statusServer          // 5xx
	statusClasses
)

func classOf(status int) int {
	switch {
	case status == 429:
		return statusLimited
	case status < 300:
		return statusOK
	case status < 400:
		return statusRedirect
	case status < 500:
		return statusClient
	default:
		return statusServer
	}
}

// routeCount is what one caller used of one route in an hour.
type routeCount struct {
	answers [statusClasses]int64
	credits int64
}

func (c *routeCount) add(o *routeCount) {
	for i, n := range o.answers {
		c.answers[i] += n
	}
	c.credits += o.credits
}

// routeNames hands out ids. Readers take no lock.
type routeNames struct {
	mu    sync.Mutex // of writers
	names atomic.Pointer[[]string]
}

// maxRoutes bounds the ids; the route tables have some hundred.
const maxRoutes = 4096

// id returns the id of a name, a new one for a new name. Names beyond maxRoutes share the last id.
func (r *routeNames) id(name string) RouteID {
	name = name[:min(len(name), maxRouteName)]
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	if p := r.names.Load(); p != nil {
		names = *p
	}
	for i, n := range names {
		if n == name {
			return RouteID(i)
		}
	}
	if len(names) == maxRoutes {
		return maxRoutes - 1
	}
	names = append(names[:len(names):len(names)], name)
	r.names.Store(&names)
	return RouteID(len(names) - 1)
}

func (r *routeNames) name(id RouteID) string {
	if p := r.names.Load(); p != nil && int(id) < len(*p) {
		return (*p)[id]
	}
	return "unknown"
}

// usageKey is an hour of a caller: a key's id, a user's for tokens, zero for the local caller.
type usageKey struct {
	caller uuid.UUID
	hour   model.Millis // its first millisecond
}

// callerOf returns whom usage is counted for.
func callerOf(p *Principal) uuid.UUID {
	if p.Key != uuid.Nil {
		return p.Key
	}
	return p.User
}

func hourOf(now model.Millis) model.Millis { return now - now%hourMillis }

// hourUsage is what an hour's row lacks. Few routes are used in a flush interval: a slice beats a map.
type hourUsage []routeUsage

type routeUsage struct {
	route RouteID
	routeCount
}

func (h *hourUsage) of(route RouteID) *routeCount {
	for i := range *h {
		if (*h)[i].route == route {
			return &(*h)[i].routeCount
		}
	}
	*h = append(*h, routeUsage{route: route})
	return &(*h)[len(*h)-1].routeCount
}

const usageShards = 64

// maxPendingHours bounds what waits for a store that takes no writes: some 50 MiB. Beyond it use is counted as lost.
const maxPendingHours = 200_000 / usageShards

// usage holds what was used since the last flush. The rest is in the store: a flush adds to the row there is, in the
// same batch for all, so that nothing is counted twice and a crash loses what came after the last flush only.
type usage struct {
	// flushing is held for writing by a flush, so that a reader sees each count either in the store or here.
	flushing sync.RWMutex
	shards   [usageShards]usageShard
}

type usageShard struct {
	mu      sync.Mutex
	pending map[usageKey]*hourUsage
	_       [48]byte // a cache line of its own
}

func newUsage() *usage {
	u := &usage{}
	for i := range u.shards {
		u.shards[i].pending = map[usageKey]*hourUsage{}
	}
	return u
}

func (u *usage) shard(caller uuid.UUID) *usageShard { return &u.shards[caller[15]%usageShards] }

// count adds to an hour. fn is called under the shard's lock.
func (u *usage) count(caller uuid.UUID, route RouteID, now model.Millis, c routeCount) {
	k := usageKey{caller: caller, hour: hourOf(now)}
	s := u.shard(caller)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.pending[k]
	if h == nil {
		if len(s.pending) >= maxPendingHours {
			usageLost.Inc()
			return
		}
		h = &hourUsage{}
		s.pending[k] = h
	}
	h.of(route).add(&c)
}

// takeAll returns what is pending and leaves nothing. The caller holds flushing.
func (u *usage) takeAll() map[usageKey]*hourUsage {
	all := map[usageKey]*hourUsage{}
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		for k, h := range s.pending {
			all[k] = h
		}
		clear(s.pending)
		s.mu.Unlock()
	}
	return all
}

// putBack adds what could not be written. The caller holds flushing.
func (u *usage) putBack(all map[usageKey]*hourUsage) {
	for k, h := range all {
		for i := range *h {
			u.count(k.caller, (*h)[i].route, k.hour, (*h)[i].routeCount)
		}
	}
}

// pendingOf calls fn for what is pending of a caller in from <= hour < to.
func (u *usage) pendingOf(caller uuid.UUID, from, to model.Millis, fn func(hour model.Millis, h *hourUsage)) {
	s := u.shard(caller)
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, h := range s.pending {
		if k.caller == caller && k.hour >= from && k.hour < to {
			fn(k.hour, h)
		}
	}
}
