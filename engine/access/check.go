package access

import (
	"context"
	"errors"
	"fmt"

	"hyperlight/kv"
	"hyperlight/kv/key"
)

// Check walks the rows of users, keys, usage, rate windows and kept answers: every row decodes, and rows that lead to
// each other fit. report is told what does not; an error of it ends the walk. No problem names a person or a key. It must
// not run beside an Access that writes.
func Check(ctx context.Context, s *kv.Store, report func(k []byte, problem string) error) error {
	c := &storeCheck{ctx: ctx, store: s, report: report, users: map[[key.IDSize]byte]*checkedUser{}, keys: map[key.APIKeyKey]*checkedKey{}}
	steps := []struct {
		family key.Family
		row    func(row kv.KV) error
	}{
		{key.Users, c.user}, {key.Emails, c.email}, {key.APIKeys, c.apiKey}, {key.KeyHashes, c.keyHash},
		{key.Usage, func(row kv.KV) error {
			_, err := key.ParseUsageHour(row.Key)
			return errors.Join(err, addUsage(map[string]*routeCount{}, row.Value))
		}},
		{key.RateWindows, func(row kv.KV) error {
			_, err := key.ParseRateWindow(row.Key)
			_, bad := readSeconds(row.Value)
			return errors.Join(err, bad)
		}},
		{key.Idempotency, func(row kv.KV) error {
			_, err := key.ParseKeptAnswer(row.Key)
			_, bad := readAnswer(row.Value)
			return errors.Join(err, bad)
		}},
		{key.MonthTotals, func(row kv.KV) error {
			_, err := key.ParseMonthTotal(row.Key)
			_, bad := readTotal(row.Value)
			return errors.Join(err, bad)
		}},
	}
	for _, step := range steps {
		if err := c.each(step.family, step.row); err != nil {
			return fmt.Errorf("check %s: %w", step.family.Name(), err)
		}
	}
	return c.missing()
}

type checkedUser struct {
	email [key.HashSize]byte
	found bool // the row that leads from the e-mail
}

type checkedKey struct {
	hash    [key.HashSize]byte
	revoked bool
	found   bool // the row that leads from the hash
}

type storeCheck struct {
	ctx    context.Context
	store  *kv.Store
	report func(k []byte, problem string) error
	users  map[[key.IDSize]byte]*checkedUser
	keys   map[key.APIKeyKey]*checkedKey
	torn   bool // rows could not be read: what leads to them is not looked for
}

// each calls visit for every row of a family; what it returns is reported.
func (c *storeCheck) each(f key.Family, visit func(row kv.KV) error) error {
	torn, err := c.store.CheckRows(c.ctx, f, c.report, func(row kv.KV) error {
		if err := visit(row); err != nil {
			return c.report(append([]byte(nil), row.Key...), err.Error())
		}
		return nil
	})
	c.torn = c.torn || torn
	return err
}

func (c *storeCheck) user(row kv.KV) error {
	id, err := key.ParseUser(row.Key)
	if err != nil {
		return err
	}
	u := &checkedUser{}
	c.users[id] = u
	rec, err := decodeUser(row.Value)
	if err != nil {
		u.found = true // nothing is known of its e-mail
		return err
	}
	u.email = emailHash(rec.email)
	return nil
}

func (c *storeCheck) email(row kv.KV) error {
	hash, err := key.ParseEmail(row.Key)
	if err != nil {
		return err
	}
	var id [key.IDSize]byte
	if err := decodePointer(row.Value, &id); err != nil {
		return err
	}
	u := c.users[id]
	switch {
	case u == nil && !c.torn:
		return errors.New("e-mail leads to a user that is not there")
	case u != nil && !u.found && u.email != hash:
		return errors.New("e-mail leads to a user with another one")
	case u != nil:
		u.found = true
	}
	return nil
}

func (c *storeCheck) apiKey(row kv.KV) error {
	ids, err := key.ParseAPIKey(row.Key)
	if err != nil {
		return err
	}
	k := &checkedKey{}
	c.keys[ids] = k
	rec, err := decodeKey(row.Value)
	if err != nil {
		k.found = true
		return err
	}
	k.hash, k.revoked = rec.hash, rec.revoked != 0
	if c.users[ids.User] == nil && !c.torn {
		return errors.New("key belongs to a user that is not there")
	}
	return nil
}

func (c *storeCheck) keyHash(row kv.KV) error {
	hash, err := key.ParseKeyHash(row.Key)
	if err != nil {
		return err
	}
	var at key.APIKeyKey
	if err := decodePointer(row.Value, &at.User, &at.ID); err != nil {
		return err
	}
	k := c.keys[at]
	switch {
	case k == nil && !c.torn:
		return errors.New("hash leads to a key that is not there")
	case k != nil && k.revoked:
		return errors.New("hash leads to a key that was revoked")
	case k != nil && !k.found && k.hash != hash:
		return errors.New("hash leads to a key with another one")
	case k != nil:
		k.found = true
	}
	return nil
}

// missing reports users and keys that nothing leads to: nobody could sign in as them, or use them.
func (c *storeCheck) missing() error {
	if c.torn {
		return nil
	}
	for id, u := range c.users {
		if !u.found {
			if err := c.report(key.User(nil, id), "no e-mail leads to the user"); err != nil {
				return err
			}
		}
	}
	for at, k := range c.keys {
		if !k.found && !k.revoked {
			if err := c.report(key.APIKey(nil, at.User, at.ID), "no hash leads to the key"); err != nil {
				return err
			}
		}
	}
	return nil
}
