package access

import "context"

// SetupToken makes the token of the one-time setup link, in place of an earlier one; false where there are users
// already. It is valid for 30 minutes, once.
func (a *Access) SetupToken() (string, bool) { return "", false }

// Setup makes the first user: an operator on the highest plan with a first key, and signs it in.
func (a *Access) Setup(ctx context.Context, token, email, password string) (*Session, error) {
	return nil, errNoStore
}
