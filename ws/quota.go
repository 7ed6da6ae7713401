package ws

import (
	"sync"
	"time"

	"hyperlight/engine/access"
)

// maxStrikes is how many messages above the rate in a row close the connection.
const maxStrikes = 3

// slot is something of which a plan allows an account a number.
type slot uint8

const (
	slotConnection slot = iota
	slotSubscription
	slotReplay
	slots
)

// limit returns a plan's number of slots.
func (s slot) limit(p *access.Plan) int {
	switch s {
	case slotConnection:
		return p.Connections
	case slotSubscription:
		return p.Subscriptions
	default:
		return p.ConcurrentReplays
	}
}

// quota counts what each account uses over all its connections.
type quota struct {
	mu   sync.Mutex
	used map[string]*[slots]int
}

func newQuota() *quota { return &quota{used: map[string]*[slots]int{}} }

// take takes a slot, or returns false where the plan has none left.
func (q *quota) take(p *access.Principal, s slot) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.used[p.Account]
	if u == nil {
		u = new([slots]int)
		q.used[p.Account] = u
	}
	if limit := s.limit(p.Plan); limit >= 0 && u[s] >= limit {
		return false
	}
	u[s]++
	return true
}

// force takes a slot whatever the plan says: for what is held already and only changes its owner.
func (q *quota) force(p *access.Principal, s slot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.used[p.Account]
	if u == nil {
		u = new([slots]int)
		q.used[p.Account] = u
	}
	u[s]++
}

// give gives a slot back.
func (q *quota) give(p *access.Principal, s slot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.used[p.Account]
	if u == nil {
		return
	}
	u[s]--
	if *u == [slots]int{} {
		delete(q.used, p.Account)
	}
}

// bucket is a token bucket. It is used by one goroutine.
type bucket struct {
	perSecond, burst int
	tokens           time.Duration // time's worth of tokens
	last             time.Time
}

// take takes a token.
func (b *bucket) take(now time.Time) bool {
	each := time.Second / time.Duration(b.perSecond)
	full := each * time.Duration(b.burst)
	if b.last.IsZero() {
		b.tokens = full
	} else {
		b.tokens = min(full, b.tokens+now.Sub(b.last))
	}
	b.last = now
	if b.tokens < each {
		return false
	}
	b.tokens -= each
	return true
}
