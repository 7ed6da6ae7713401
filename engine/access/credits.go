package access

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// OverageBlock is the number of credits that are billed together once the first of them is used.
const OverageBlock = 100_000

// Month is what an account has spent in a calendar month (UTC).
type Month struct {
	Period    string `json:"period"` // "2024-02"
	Used      int64  `json:"credits_used"`
	Limit     int64  `json:"credits_limit"`     // Unlimited (-1)
	Remaining int64  `json:"credits_remaining"` // Unlimited (-1)
	// Overage is what was used above the allowance of a plan that bills it; OverageUSD is its price in started blocks.
	Overage    int64  `json:"overage_credits"`
	OverageUSD string `json:"overage_usd"`
}

// period is a calendar month as it stands in keys: year*100 + month.
type period uint32

func periodOf(now model.Millis) period {
	t := time.UnixMilli(int64(now)).UTC()
	return period(t.Year()*100 + int(t.Month()))
}

func (p period) String() string { return fmt.Sprintf("%04d-%02d", p/100, p%100) }

// before returns the month before.
func (p period) before() period {
	if p%100 == 1 {
		return p - 100 + 11
	}
	return p - 1
}

// end returns the first millisecond of the month after.
func (p period) end() model.Millis {
	return model.Millis(time.Date(int(p/100), time.Month(p%100)+1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
}

// total is what one account used in one month.
type total struct {
	period   period
	used     int64 // what calls in flight reserved included
	reserved int64
	dirty    bool
}

// account is the totals of an account; the month before is kept for calls that end after midnight.
type account struct{ current, previous total }

// at returns the total of a month, and moves on when the month is new. A month before the two that are kept counts as
// the current one: the clock was set back, and the allowance must not come back with it. A month between them is one in
// which nothing was used yet: the clock had run ahead, and what it left must not be the one total of all months till then.
func (a *account) at(p period) *total {
	switch {
	case p == a.previous.period:
		return &a.previous
	case a.previous.period != 0 && p > a.previous.period && p < a.current.period:
		a.previous = total{period: p}
		return &a.previous
	case p > a.current.period:
		a.previous, a.current = a.current, total{period: p}
	}
	return &a.current
}

const meterShards = 64

// meter counts credits per account and month, exactly: what is reserved is taken at once, under the account's lock.
type meter struct{ shards [meterShards]meterShard }

type meterShard struct {
	mu       sync.Mutex
	accounts map[uuid.UUID]*account
	dirty    []uuid.UUID // accounts with a dirty total; may hold one twice
	_        [24]byte    // a cache line of its own
}

func newMeter() *meter {
	m := &meter{}
	for i := range m.shards {
		m.shards[i].accounts = map[uuid.UUID]*account{}
	}
	return m
}

// shard finds an account's shard: ids are random, the local account's is zero.
func (m *meter) shard(id uuid.UUID) *meterShard { return &m.shards[id[15]%meterShards] }

// total returns the total of a month. The shard's lock is held.
func (s *meterShard) total(id uuid.UUID, p period) *total {
	a := s.accounts[id]
	if a == nil {
		a = &account{}
		s.accounts[id] = a
	}
	return a.at(p)
}

func (s *meterShard) changed(id uuid.UUID, t *total) {
	if !t.dirty {
		t.dirty = true
		s.dirty = append(s.dirty, id)
	}
}

// reserve takes credits. It returns what is used with them, and whether they were taken.
func (m *meter) reserve(id uuid.UUID, plan *Plan, cost int64, now model.Millis) (used int64, ok bool) {
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.total(id, periodOf(now))
	if cost <= 0 {
		return t.used, true
	}
	if plan.HardCap() && cost > plan.CreditsPerMonth-t.used {
		return t.used, false
	}
	t.used += cost
	t.reserved += cost
	return t.used, true
}

// settle turns a reservation into use, or gives it back.
func (m *meter) settle(id uuid.UUID, cost int64, spent bool, now model.Millis) {
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.total(id, periodOf(now))
	t.reserved = max(t.reserved-cost, 0)
	if spent {
		s.changed(id, t)
	} else {
		t.used = max(t.used-cost, 0)
	}
}

// spend takes credits at once.
func (m *meter) spend(id uuid.UUID, plan *Plan, cost int64, now model.Millis) bool {
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.total(id, periodOf(now))
	if plan.HardCap() && cost > plan.CreditsPerMonth-t.used {
		return false
	}
	t.used += cost
	s.changed(id, t)
	return true
}

// used returns what an account used in the month of now.
func (m *meter) used(id uuid.UUID, now model.Millis) (period, int64) {
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := periodOf(now)
	if a := s.accounts[id]; a != nil {
		t := a.at(p)
		return t.period, t.used
	}
	return p, 0
}

// restore sets a stored total. Months come in order.
func (m *meter) restore(id uuid.UUID, p period, used int64) {
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total(id, p).used = used
}

// collect calls fn for each total that has changed since the last call, and returns the accounts, for markDirty. What
// calls in flight have reserved is left out: a crash must not charge for an answer that nobody got.
func (m *meter) collect(fn func(id uuid.UUID, p period, used int64)) []uuid.UUID {
	var all []uuid.UUID
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for _, id := range s.dirty {
			a := s.accounts[id]
			for _, t := range [...]*total{&a.previous, &a.current} {
				if t.dirty {
					t.dirty = false
					fn(id, t.period, t.used-t.reserved)
				}
			}
		}
		all = append(all, s.dirty...)
		s.dirty = s.dirty[:0]
		s.mu.Unlock()
	}
	return all
}

// markDirty puts accounts back that could not be written.
func (m *meter) markDirty(ids []uuid.UUID) {
	for _, id := range ids {
		s := m.shard(id)
		s.mu.Lock()
		a := s.accounts[id]
		s.changed(id, &a.current)
		if a.previous.period != 0 {
			s.changed(id, &a.previous)
		}
		s.mu.Unlock()
	}
}

// monthOf puts a total beside a plan's allowance.
func monthOf(p period, used int64, plan *Plan) Month {
	m := Month{Period: p.String(), Used: used, Limit: plan.CreditsPerMonth, OverageUSD: "0"}
	if m.Limit == Unlimited {
		m.Remaining = Unlimited
		return m
	}
	m.Remaining = max(m.Limit-used, 0)
	if !plan.HardCap() {
		m.Overage = max(used-m.Limit, 0)
		m.OverageUSD = overagePrice(m.Overage, plan.OverageUSD)
	}
	return m
}

// overagePrice prices credits in started blocks. A price that the configuration would have refused counts as 0.
func overagePrice(overage int64, perBlock string) string {
	const scale = 6
	price, err := num.Parse([]byte(perBlock), scale)
	if err != nil || price <= 0 || overage <= 0 {
		return "0"
	}
	blocks := (overage-1)/OverageBlock + 1
	if blocks > math.MaxInt64/price {
		return string(num.AppendTrim(nil, math.MaxInt64, scale))
	}
	return string(num.AppendTrim(nil, blocks*price, scale))
}
