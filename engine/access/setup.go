package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"sync"
	"time"

	"hyperlight/engine/model"
)

// setupLifetime is how long a setup link works.
const setupLifetime = 30 * time.Minute

// setup is the one-time link that makes the first operator. Only its hash is kept, and only in memory.
type setup struct {
	mu    sync.Mutex
	live  bool
	hash  [sha256.Size]byte
	until model.Millis
}

// SetupToken makes the token of the one-time setup link, in place of an earlier one; false where there is an operator,
// or a user that was made at the command line, whose owner needs no link. Users who registered themselves do not count:
// the owner who let the first link run out must get another one. It is good for 30 minutes and one operator.
func (a *Access) SetupToken() (string, bool) {
	if a.store == nil || a.dir.owned() {
		return "", false
	}
	var b [32]byte
	if _, err := io.ReadFull(a.rand, b[:]); err != nil {
		a.log.Error("setup link not made", "error", err)
		return "", false
	}
	plain := base64.RawURLEncoding.EncodeToString(b[:])
	s := &a.setup
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live, s.hash = true, sha256.Sum256(lend(plain))
	s.until = a.millis() + model.Millis(setupLifetime.Milliseconds())
	return plain, true
}

func (s *setup) valid(plain string, now model.Millis) bool {
	hash := sha256.Sum256(lend(plain))
	s.mu.Lock()
	defer s.mu.Unlock()
	return subtle.ConstantTimeCompare(hash[:], s.hash[:]) == 1 && s.live && now < s.until
}

func (s *setup) use() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = false
}

// Setup makes the first operator, on the highest plan with a first key, and signs it in. A token that is wrong, used or
// too old is unauthorized, as any is once there is an operator; users who registered meanwhile do not end it, or any
// stranger could. A bad e-mail or password leaves it as it is.
func (a *Access) Setup(ctx context.Context, token, email, password string) (*Session, error) {
	if a.store == nil {
		return nil, errNoStore
	}
	if !a.setup.valid(token, a.millis()) || a.dir.hasOperator() {
		return nil, errSetup
	}
	email, err := checkCredentials(email, password)
	if err != nil {
		return nil, err
	}
	phc, err := a.passwords.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	now := a.millis()
	if !a.setup.valid(token, now) || a.dir.hasOperator() {
		return nil, errSetup
	}
	plans := a.plans.Load().order
	s, err := a.firstSession(userRecord{email: email, phc: phc, tier: plans[len(plans)-1].Slug, operator: true, created: now, terms: now})
	if err != nil {
		return nil, err
	}
	a.setup.use()
	return s, nil
}
