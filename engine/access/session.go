package access

import (
	"context"

	"hyperlight/engine/model"
)

// Session is a sign-in. Token and PlainKey are shown to the caller and kept nowhere.
type Session struct {
	Token    string
	Expires  model.Millis
	User     User
	Key      *Key   // the first key, where the sign-in made one
	PlainKey string // "" without Key
}

// Register makes a user on the default plan with a first key, and signs it in. It may wait for the password queue.
func (a *Access) Register(ctx context.Context, email, password string, tos bool) (*Session, error) {
	return nil, errNoStore
}

// Login signs a user in. Every refusal reads alike and takes as long. It may wait for the password queue.
func (a *Access) Login(ctx context.Context, email, password string) (*Session, error) {
	return nil, errNoStore
}
