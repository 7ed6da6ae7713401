package access

import (
	"context"
	"crypto/subtle"

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
	switch {
	case a.store == nil:
		return nil, errNoStore
	case a.closed:
		return nil, errClosed
	case !tos:
		return nil, model.BadRequest("tos_accepted", "tos_accepted must be true")
	}
	email, err := checkCredentials(email, password)
	if err != nil {
		return nil, err
	}
	if a.dir.byEmail(email) != nil { // before it costs a hash
		return nil, errTaken
	}
	phc, err := a.passwords.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	tier, err := a.userTier("")
	if err != nil {
		return nil, err
	}
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	now := a.millis()
	return a.firstSession(userRecord{email: email, phc: phc, tier: tier, created: now, terms: now})
}

// firstSession makes a user with a key and signs it in. The caller holds directory.changing.
func (a *Access) firstSession(rec userRecord) (*Session, error) {
	u, k, plain, err := a.addUser(rec, true)
	if err != nil {
		return nil, err
	}
	s, err := a.session(u, u.record.Load())
	if err != nil {
		return nil, err
	}
	if k != nil {
		key := a.viewKey(k, rec.created)
		s.Key, s.PlainKey = &key, plain
	}
	return s, nil
}

// Login signs a user in. An unknown e-mail and a wrong password are refused alike, after the same hash. It may wait for
// the password queue.
func (a *Access) Login(ctx context.Context, email, password string) (*Session, error) {
	if a.store == nil {
		return nil, errNoStore
	}
	var rec userRecord
	u := a.dir.byEmail(foldEmail(email))
	if u != nil {
		var err error
		if rec, err = a.readUser(u.id); err != nil {
			return nil, err
		}
	}
	ok, renewed, err := a.passwords.verify(ctx, password, rec.phc)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		signInsRefused.Inc()
		return nil, errSignIn
	case u.record.Load().disabled: // said only to who knows the password
		return nil, errAccount
	}
	if renewed != "" {
		a.renew(u, rec.phc, renewed)
	}
	// The session is that of the password which was checked: one that was changed meanwhile has ended it.
	return a.session(u, &rec)
}

// renew replaces the stored hash by one of today's cost. A failure costs nothing but another try at the next sign-in.
func (a *Access) renew(u *user, was, phc string) {
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	err := a.updateUser(u, func(rec *userRecord) {
		if subtle.ConstantTimeCompare([]byte(rec.phc), []byte(was)) == 1 { // else it was changed meanwhile
			rec.phc = phc
		}
	})
	if err != nil {
		a.log.Warn("password not hashed again with the parameters of today", "user", u.id.String(), "error", err)
	}
}

// session signs a user in under the session version of a record.
func (a *Access) session(u *user, rec *userRecord) (*Session, error) {
	token, expires, err := a.tokens.sign(u.id, rec, a.now())
	if err != nil {
		return nil, err
	}
	signIns.Inc()
	return &Session{Token: token, Expires: expires, User: a.viewUser(u)}, nil
}

// checkCredentials checks what a new user chose, and returns the folded e-mail.
func checkCredentials(email, password string) (string, error) {
	email, err := parseEmail(email)
	if err != nil {
		return "", err
	}
	return email, checkPassword(password)
}
