package access

import (
	"context"
	"net/netip"

	"github.com/google/uuid"

	"hyperlight/config"
	"hyperlight/engine/model"
)

var errNoStore = &model.Error{Code: model.CodeServiceUnavailable, Message: "accounts are not available"}

// UserSpec is what a new user of the operator is asked to be.
type UserSpec struct {
	Email    string
	Tier     string // "": the default
	Role     string // "": user
	Password string // "": cannot sign in
}

// Run writes what was counted every 5 s until ctx ends, and once more then.
func (a *Access) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Recheck returns the caller as it stands now.
func (a *Access) Recheck(p *Principal, client netip.Addr) (*Principal, error) { return p, nil }

// Changed is closed at the next change.
func (a *Access) Changed() <-chan struct{} { return nil }

// SetPlans puts another plan table in force.
func (a *Access) SetPlans(table []config.Plan) error { return nil }

// Plans returns the plans in force, lowest first.
func (a *Access) Plans() []*Plan { return a.plans.Load().order }

// CreateKey makes a key of the caller's user and returns it with the plain key.
func (a *Access) CreateKey(p *Principal, s KeySpec) (Key, string, error) {
	return Key{}, "", errNoStore
}

// Keys lists the caller's keys.
func (a *Access) Keys(p *Principal, limit, offset int) (rows []Key, total int, err error) {
	return nil, 0, errNoStore
}

// PatchKey changes a key of the caller's user.
func (a *Access) PatchKey(p *Principal, id uuid.UUID, c KeyPatch) (Key, error) {
	return Key{}, errNoStore
}

// RevokeKey removes a key of the caller's user.
func (a *Access) RevokeKey(p *Principal, id uuid.UUID) (model.Millis, error) { return 0, errNoStore }

// CreateUser makes a user for the operator.
func (a *Access) CreateUser(ctx context.Context, s UserSpec) (User, error) {
	return User{}, errNoStore
}

// Users lists the users.
func (a *Access) Users(limit, offset int) (rows []User, total int) { return nil, 0 }

// SetTier changes a user's plan.
func (a *Access) SetTier(email, tier string) (User, error) { return User{}, errNoStore }

// DisableUser refuses a user and its keys from now on.
func (a *Access) DisableUser(email string) (User, error) { return User{}, errNoStore }

// CreateKeyFor makes a key of a user for the operator.
func (a *Access) CreateKeyFor(email string, s KeySpec) (Key, string, error) {
	return Key{}, "", errNoStore
}

// KeysOf lists the keys of a user, or of all where email is "".
func (a *Access) KeysOf(email string, limit, offset int) (rows []Key, total int, err error) {
	return nil, 0, errNoStore
}

// RevokeKeyByID removes a key for the operator.
func (a *Access) RevokeKeyByID(id uuid.UUID) (model.Millis, error) { return 0, errNoStore }
