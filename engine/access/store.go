package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// load reads every user and key into the directory.
func (a *Access) load(ctx context.Context) error {
	if err := a.loadUsers(ctx); err != nil {
		return fmt.Errorf("load users: %w", err)
	}
	if err := a.loadKeys(ctx); err != nil {
		return fmt.Errorf("load API keys: %w", err)
	}
	a.dir.sort()
	return nil
}

// errTorn reports rows that are only ever written together and do not fit.
var errTorn = errors.New("a row and the row that leads to it do not fit")

func (a *Access) loadUsers(ctx context.Context) error {
	for row, err := range a.store.Scan(ctx, key.All(key.Users)) {
		if err != nil {
			return err
		}
		id, err := key.ParseUser(row.Key)
		if err != nil {
			return err
		}
		rec, err := decodeUser(row.Value)
		if err != nil {
			return err
		}
		rec.tier = a.intern(rec.tier)
		a.dir.addUser(newUser(id, rec))
	}
	emails := 0
	for row, err := range a.store.Scan(ctx, key.All(key.Emails)) {
		if err != nil {
			return err
		}
		var id [key.IDSize]byte
		hash, err := key.ParseEmail(row.Key)
		if err := errors.Join(err, decodePointer(row.Value, &id)); err != nil {
			return err
		}
		if u := a.dir.users[id]; u == nil || hash != emailHash(u.record.Load().email) {
			return errTorn
		}
		emails++
	}
	if emails != len(a.dir.users) || emails != len(a.dir.emails) {
		return errTorn
	}
	return nil
}

func (a *Access) loadKeys(ctx context.Context) error {
	for row, err := range a.store.Scan(ctx, key.All(key.APIKeys)) {
		if err != nil {
			return err
		}
		ids, err := key.ParseAPIKey(row.Key)
		if err != nil {
			return err
		}
		rec, err := decodeKey(row.Value)
		if err != nil {
			return err
		}
		owner := a.dir.users[ids.User]
		if owner == nil {
			return errTorn
		}
		if rec.revoked != 0 {
			continue
		}
		rec.tier = a.intern(rec.tier)
		a.dir.addKey(newKey(ids.ID, owner, rec))
	}
	hashes := 0
	for row, err := range a.store.Scan(ctx, key.All(key.KeyHashes)) {
		if err != nil {
			return err
		}
		var owner, id [key.IDSize]byte
		hash, err := key.ParseKeyHash(row.Key)
		if err := errors.Join(err, decodePointer(row.Value, &owner, &id)); err != nil {
			return err
		}
		if k := a.dir.byHash(&hash); k == nil || k.id != id || k.owner.id != owner {
			return errTorn
		}
		hashes++
	}
	if hashes != len(a.dir.keys) {
		return errTorn
	}
	return nil
}

// intern returns the plan table's own copy of a slug: a hundred thousand records share it.
func (a *Access) intern(slug string) string {
	if p := a.plans.Load().bySlug[slug]; p != nil {
		return p.Slug
	}
	return slug
}

func newUser(id uuid.UUID, rec userRecord) *user {
	u := &user{id: id}
	rec.phc = ""
	u.record.Store(&rec)
	return u
}

func newKey(id uuid.UUID, owner *user, rec keyRecord) *apiKey {
	k := &apiKey{id: id, owner: owner}
	k.used.Store(int64(rec.used))
	k.record.Store(&rec)
	return k
}

func emailHash(email string) [sha256.Size]byte { return sha256.Sum256([]byte(email)) }

// readUser returns a user's record as stored, with the password's hash.
func (a *Access) readUser(id uuid.UUID) (rec userRecord, err error) {
	err = a.store.Get(key.User(nil, id), func(v []byte) error {
		rec, err = decodeUser(v)
		return err
	})
	if err != nil {
		return userRecord{}, stored("read user", err)
	}
	return rec, nil
}

// putUser adds the rows of a new user to a batch.
func putUser(b *kv.Batch, id uuid.UUID, rec *userRecord) {
	b.Set(key.User(nil, id), appendUser(nil, rec))
	b.Set(key.Email(nil, emailHash(rec.email)), appendPointer(nil, id))
}

// putKey adds the rows of a new key to a batch.
func putKey(b *kv.Batch, owner, id uuid.UUID, rec *keyRecord) {
	b.Set(key.APIKey(nil, owner, id), appendKey(nil, rec))
	b.Set(key.KeyHash(nil, rec.hash), appendPointer(nil, owner, id))
}

// saveKey stores the changed record of a key.
func (a *Access) saveKey(k *apiKey, rec *keyRecord) error {
	rec.used = model.Millis(k.used.Load())
	b := a.store.NewBatch()
	b.Set(key.APIKey(nil, k.owner.id, k.id), appendKey(nil, rec))
	return stored("save API key", a.store.Commit(b, kv.Sync))
}

// deleteKey removes a key. It goes through while the disk is short of space: a revocation must not wait. Of a key that
// was used a row stays that names it, so that what it used can still be told.
func (a *Access) deleteKey(k *apiKey, now model.Millis) error {
	b := a.store.NewBatch()
	if row := key.APIKey(nil, k.owner.id, k.id); k.used.Load() == 0 {
		b.Delete(row)
	} else {
		rest := *k.record.Load()
		rest.hash, rest.used, rest.revoked = [sha256.Size]byte{}, model.Millis(k.used.Load()), now
		b.Set(row, appendKey(nil, &rest))
	}
	b.Delete(key.KeyHash(nil, k.record.Load().hash))
	return stored("delete API key", a.store.CommitReserve(b, kv.Sync))
}

// updateUser changes a user's record, in the store first. The caller holds directory.changing. It goes through while the
// disk is short of space: it is what refuses a user.
func (a *Access) updateUser(u *user, change func(*userRecord)) error {
	rec, err := a.readUser(u.id)
	if err != nil {
		return err
	}
	change(&rec)
	b := a.store.NewBatch()
	b.Set(key.User(nil, u.id), appendUser(nil, &rec))
	if err := stored("save user", a.store.CommitReserve(b, kv.Sync)); err != nil {
		return err
	}
	rec.phc, rec.tier = "", a.intern(rec.tier)
	u.record.Store(&rec)
	return nil
}
