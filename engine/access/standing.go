package access

import (
	"net/netip"
	"sync"

	"github.com/google/uuid"

	"hyperlight/config"
	"hyperlight/engine/model"
)

// standing is what a key, or a user's tokens, may do, made from the records and the plan table of one version. It is
// immutable.
type standing struct {
	version   uint64
	principal *Principal
	refusal   *model.Error // nil: may call
	key       *keyRecord   // nil for tokens
}

// stand returns the key's standing of now. Records are read after the version and changed before it: what was made
// from old ones has an old version and is made anew.
func (a *Access) stand(k *apiKey) *standing {
	v := a.version.Load()
	old := k.standing.Load()
	if old != nil && old.version == v {
		return old
	}
	rec, owner, plans := k.record.Load(), k.owner.record.Load(), a.plans.Load()
	s := &standing{version: v, key: rec}
	if rec.disabled || owner.disabled {
		s.refusal = errDisabled
	}
	s.principal = keep(old, &Principal{
		Plan: plans.lower(rec.tier, owner.tier), Account: k.owner.id.String(), Bucket: bucketOf(bucketKey, k.id),
		User: k.owner.id, Key: k.id, KeyPrefix: rec.prefix, Operator: owner.operator,
	})
	k.standing.Store(s)
	return s
}

// standToken returns the standing of a user's tokens.
func (a *Access) standToken(u *user) *standing {
	v := a.version.Load()
	old := u.standing.Load()
	if old != nil && old.version == v {
		return old
	}
	rec, plans := u.record.Load(), a.plans.Load()
	s := &standing{version: v}
	if rec.disabled {
		s.refusal = errUnauthorized // its session has ended
	}
	s.principal = keep(old, &Principal{
		Plan: plans.of(rec.tier), Account: u.id.String(), Bucket: bucketOf(bucketUser, u.id),
		User: u.id, Token: true, Operator: rec.operator, session: rec.version,
	})
	u.standing.Store(s)
	return s
}

// keep returns the earlier principal where nothing changed about it: who holds it need not look at it again.
func keep(old *standing, p *Principal) *Principal {
	if old != nil && *old.principal == *p {
		return old.principal
	}
	return p
}

// admit applies what depends on the moment: expiry and the caller's address, in the order of contract 1.2.
func (s *standing) admit(client netip.Addr, now model.Millis) (*Principal, error) {
	if s.key != nil && s.key.expires != 0 && now >= s.key.expires {
		return nil, errExpired
	}
	if s.refusal != nil {
		return nil, s.refusal
	}
	if s.key != nil && !allows(s.key.allowed, client) {
		return nil, errAddress
	}
	return s.principal, nil
}

// Recheck returns the caller as it stands now: the same pointer where nothing changed, another after a change of its
// plan, or the *model.Error that a new call would get (unauthorized: revoked or signed out; forbidden: expired, disabled
// or a foreign address). A token that has expired meanwhile still stands: its socket was opened in time.
func (a *Access) Recheck(p *Principal, client netip.Addr) (*Principal, error) {
	switch {
	case p == nil:
		return nil, errUnauthorized
	case p.Local:
		if local := a.local.Load(); local != nil {
			return local, nil
		}
		return nil, errUnauthorized
	case p.Key != uuid.Nil:
		k := a.dir.key(p.Key)
		if k == nil {
			return nil, errUnauthorized
		}
		return a.stand(k).admit(client.Unmap(), a.millis())
	}
	u := a.dir.user(p.User)
	if u == nil {
		return nil, errUnauthorized
	}
	s := a.standToken(u)
	if s.principal.session != p.session {
		return nil, errUnauthorized
	}
	return s.admit(client, 0)
}

// changes wakes those who keep a principal.
type changes struct {
	mu   sync.Mutex
	next chan struct{}
}

// Changed returns a channel that is closed at the next change of a user, a key or the plan table that can touch an open
// connection. Take it before Recheck, so that no change falls in between. Expiry is no change: who holds a principal for
// long asks Recheck once in a while as well.
func (a *Access) Changed() <-chan struct{} {
	a.changes.mu.Lock()
	defer a.changes.mu.Unlock()
	return a.changes.next
}

// changed makes every standing old and wakes those who wait; the records were replaced before.
func (a *Access) changed() {
	a.version.Add(1)
	a.changes.mu.Lock()
	defer a.changes.mu.Unlock()
	close(a.changes.next)
	a.changes.next = make(chan struct{})
}

// SetPlans puts another plan table in force, for the next request of everybody. Rows that are as before keep their
// *Plan. A table that lacks the default or the local plan is refused and changes nothing; users and keys of a plan that
// is gone fall to the lowest.
func (a *Access) SetPlans(table []config.Plan) error {
	plans, err := newPlanSet(table)
	if err != nil {
		return err
	}
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	if err := a.checkPlans(plans); err != nil {
		return err
	}
	plans.adopt(a.plans.Load())
	a.plans.Store(plans)
	a.standLocal()
	a.changed()
	a.warnLostPlans()
	return nil
}

// checkPlans refuses a table without a plan that the settings name.
func (a *Access) checkPlans(plans *planSet) error {
	if err := plans.has("access.local_plan", a.localPlan); err != nil {
		return err
	}
	return plans.has("access.default_tier", a.defaultTier)
}

// standLocal makes the local caller.
func (a *Access) standLocal() {
	if a.localPlan == "" {
		return
	}
	p := &Principal{Plan: a.plans.Load().bySlug[a.localPlan], Account: LocalAccount, Bucket: bucketOf(bucketLocal, uuid.Nil), Local: true}
	if old := a.local.Load(); old == nil || *old != *p {
		a.local.Store(p)
	}
}

func (a *Access) warnLostPlans() {
	plans, users, keys := a.plans.Load(), 0, 0
	lost := func(slug string) bool { return slug != "" && plans.bySlug[slug] == nil }
	a.dir.mu.RLock()
	for _, u := range a.dir.order {
		if lost(u.record.Load().tier) {
			users++
		}
	}
	for _, k := range a.dir.keys {
		if lost(k.record.Load().tier) {
			keys++
		}
	}
	a.dir.mu.RUnlock()
	if users+keys > 0 {
		a.log.Warn("users and keys of a plan that is gone are on the lowest plan", "users", users, "keys", keys, "plan", plans.order[0].Slug)
	}
}
