package access

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv"
)

// The roles of a user.
const (
	RoleUser     = "user"
	RoleOperator = "operator"
)

// The states of a user and of a key. A revoked key is gone; only RevokedKeys tells of it.
const (
	StatusActive   = "active"
	StatusDisabled = "disabled"
	StatusExpired  = "expired" // keys only
	StatusRevoked  = "revoked" // keys only
)

// User is an account as it stands. It holds no secret.
type User struct {
	ID             uuid.UUID
	Email          string // lower case
	Tier           string // the slug of the plan in force
	Role           string
	Status         string
	Created        model.Millis
	TermsAccepted  model.Millis // 0: never, of a user whom the operator made
	SessionVersion uint32       // tokens of another version are void
}

// UserSpec is what a new user of the operator is asked to be.
type UserSpec struct {
	Email    string
	Tier     string // "": the default
	Role     string // "": user
	Password string // "": has keys only and cannot sign in
}

// CreateUser makes a user, without a key. It may wait for the password queue.
func (a *Access) CreateUser(ctx context.Context, s UserSpec) (User, error) {
	if a.store == nil {
		return User{}, errNoStore
	}
	email, err := parseEmail(s.Email)
	if err != nil {
		return User{}, err
	}
	rec := userRecord{email: email, created: a.millis()}
	switch s.Role {
	case "", RoleUser:
	case RoleOperator:
		rec.operator = true
	default:
		return User{}, model.BadRequest("role", "role must be user or operator")
	}
	if rec.tier, err = a.userTier(s.Tier); err != nil {
		return User{}, err
	}
	if s.Password != "" {
		if err := checkPassword(s.Password); err != nil {
			return User{}, err
		}
	}
	if a.dir.byEmail(email) != nil {
		return User{}, errTaken
	}
	if s.Password != "" {
		if rec.phc, err = a.passwords.hash(ctx, s.Password); err != nil {
			return User{}, err
		}
	}
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	u, _, _, err := a.addUser(rec, false)
	if err != nil {
		return User{}, err
	}
	return a.viewUser(u), nil
}

// Users lists the users, oldest first; a limit below 1 lists all.
func (a *Access) Users(limit, offset int) (rows []User, total int) {
	a.dir.mu.RLock()
	total = len(a.dir.order)
	users := slices.Clone(page(a.dir.order, limit, offset))
	a.dir.mu.RUnlock()
	rows = make([]User, len(users))
	for i, u := range users {
		rows[i] = a.viewUser(u)
	}
	return rows, total
}

// SetTier puts a user on another plan, for the next request of each of its keys and tokens.
func (a *Access) SetTier(email, tier string) (User, error) {
	if tier == "" {
		return User{}, errTier
	}
	slug, err := a.userTier(tier)
	if err != nil {
		return User{}, err
	}
	return a.changeUser(email, func(rec *userRecord) { rec.tier = slug })
}

// DisableUser refuses a user from now on: its keys as disabled ones, its tokens for ever.
func (a *Access) DisableUser(email string) (User, error) {
	return a.changeUser(email, func(rec *userRecord) {
		rec.disabled = true
		rec.version++
	})
}

// EnableUser takes a refusal back: the keys of the user work as they did. Tokens from before stay void.
func (a *Access) EnableUser(email string) (User, error) {
	return a.changeUser(email, func(rec *userRecord) { rec.disabled = false })
}

// SetPassword gives a user another password and ends its sessions; its keys stay. It may wait for the password queue.
func (a *Access) SetPassword(ctx context.Context, email, password string) (User, error) {
	if err := checkPassword(password); err != nil {
		return User{}, err
	}
	if a.dir.byEmail(foldEmail(email)) == nil { // before it costs a hash
		return User{}, errNoUser
	}
	phc, err := a.passwords.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	return a.changeUser(email, func(rec *userRecord) {
		rec.phc = phc
		rec.version++
	})
}

func (a *Access) changeUser(email string, change func(*userRecord)) (User, error) {
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	u := a.dir.byEmail(foldEmail(email))
	if u == nil {
		return User{}, errNoUser
	}
	if err := a.updateUser(u, change); err != nil {
		return User{}, err
	}
	a.changed()
	return a.viewUser(u), nil
}

// CreateKeyFor makes a key of a user for the operator.
func (a *Access) CreateKeyFor(email string, s KeySpec) (Key, string, error) {
	u := a.dir.byEmail(foldEmail(email))
	if u == nil {
		return Key{}, "", errNoUser
	}
	return a.createKey(u, s, nil)
}

// KeysOf lists the keys of a user, or of all where email is "", by user and age; a limit below 1 lists all.
func (a *Access) KeysOf(email string, limit, offset int) (rows []Key, total int, err error) {
	var all []*apiKey
	if email == "" {
		a.dir.mu.RLock()
		for _, u := range a.dir.order {
			all = append(all, u.keys...)
		}
		a.dir.mu.RUnlock()
	} else {
		u := a.dir.byEmail(foldEmail(email))
		if u == nil {
			return nil, 0, errNoUser
		}
		all = a.dir.keysOf(u)
	}
	return a.viewKeys(page(all, limit, offset)), len(all), nil
}

// RevokeKeyByID removes anybody's key for the operator.
func (a *Access) RevokeKeyByID(id uuid.UUID) (model.Millis, error) {
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	k := a.dir.key(id)
	if k == nil {
		return 0, errNoKey
	}
	return a.revoke(k)
}

var errTier = model.BadRequest("tier", "tier must be the slug of a plan")

// userTier returns the plan of a new user: the one asked for, else the default, else the lowest.
func (a *Access) userTier(slug string) (string, error) {
	plans := a.plans.Load()
	if slug == "" {
		slug = a.defaultTier
	}
	if slug == "" {
		return plans.order[0].Slug, nil
	}
	p, ok := plans.bySlug[slug]
	if !ok {
		return "", errTier
	}
	return p.Slug, nil
}

// addUser stores and publishes a user, with a first key where it is asked for and the plan allows one. The caller holds
// directory.changing.
func (a *Access) addUser(rec userRecord, withKey bool) (u *user, k *apiKey, plain string, err error) {
	if a.dir.byEmail(rec.email) != nil {
		return nil, nil, "", errTaken
	}
	id, err := uuid.NewRandomFromReader(a.rand)
	if err != nil {
		return nil, nil, "", fmt.Errorf("draw user id: %w", err)
	}
	b := a.store.NewBatch()
	putUser(b, id, &rec)
	u = newUser(id, rec)
	if withKey && a.plans.Load().of(rec.tier).Keys != 0 {
		first := keyRecord{name: defaultName, created: rec.created}
		var kid uuid.UUID
		if kid, plain, err = a.newPlain(&first); err != nil {
			return nil, nil, "", err
		}
		putKey(b, id, kid, &first)
		k = newKey(kid, u, first)
	}
	if err := stored("save user", a.store.Commit(b, kv.Sync)); err != nil {
		return nil, nil, "", err
	}
	a.dir.addUser(u)
	if k != nil {
		a.dir.addKey(k)
	}
	return u, k, plain, nil
}

// Admits tells whether a user may call: it exists and was not disabled. It takes no time.
func (a *Access) Admits(id uuid.UUID) bool {
	u := a.dir.user(id)
	return u != nil && !u.record.Load().disabled
}

// SignalLimit returns how many signals a user's plan allows, Unlimited where there is no limit. It takes no time.
func (a *Access) SignalLimit(id uuid.UUID) int {
	u := a.dir.user(id)
	if u == nil {
		return 0
	}
	return a.plans.Load().of(u.record.Load().tier).Signals
}

func (a *Access) viewUser(u *user) User {
	rec := u.record.Load()
	v := User{
		ID: u.id, Email: rec.email, Tier: a.plans.Load().of(rec.tier).Slug, Role: RoleUser, Status: StatusActive,
		Created: rec.created, TermsAccepted: rec.terms, SessionVersion: rec.version,
	}
	if rec.operator {
		v.Role = RoleOperator
	}
	if rec.disabled {
		v.Status = StatusDisabled
	}
	return v
}
