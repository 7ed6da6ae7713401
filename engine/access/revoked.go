package access

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// What is left of a revoked key that was used is a row in the store and nothing in memory: its name, its prefix and whose
// it was, for as long as its usage is kept.

// RevokedKeys lists the keys of a user, or of all where email is "", that were revoked after they had been used, in the
// order of their ids; a limit below 1 lists all. It reads the store.
func (a *Access) RevokedKeys(email string, limit, offset int) (rows []Key, total int, err error) {
	if a.store == nil {
		return nil, 0, nil
	}
	r := key.All(key.APIKeys)
	if email != "" {
		u := a.dir.byEmail(foldEmail(email))
		if u == nil {
			return nil, 0, errNoUser
		}
		r = key.APIKeysOf(u.id)
	}
	err = a.eachRevoked(r, func(owner, id uuid.UUID, rec *keyRecord) {
		if total++; total > offset && (limit < 1 || len(rows) < limit) {
			rows = append(rows, Key{
				ID: id, User: owner, Name: rec.name, Prefix: rec.prefix, Tier: rec.tier, AllowedIPs: rec.allowed, Status: StatusRevoked,
				Created: rec.created, Expires: rec.expires, LastUsed: rec.used,
			})
		}
	})
	return rows, total, err
}

// dropRevoked forgets the keys that were revoked so long ago that their usage is gone.
func (a *Access) dropRevoked(now model.Millis) error {
	if a.store == nil {
		return nil
	}
	b := a.store.NewBatch()
	err := a.eachRevoked(key.All(key.APIKeys), func(owner, id uuid.UUID, rec *keyRecord) {
		if rec.revoked < now-usageDays*24*hourMillis {
			b.Delete(key.APIKey(nil, owner, id))
		}
	})
	if err != nil || b.Len() == 0 {
		return err
	}
	return a.store.Commit(b, kv.NoSync)
}

func (a *Access) eachRevoked(r key.Range, fn func(owner, id uuid.UUID, rec *keyRecord)) error {
	for row, err := range a.store.Scan(context.Background(), r) {
		if err != nil {
			return fmt.Errorf("list revoked API keys: %w", err)
		}
		ids, err := key.ParseAPIKey(row.Key)
		if err != nil {
			return fmt.Errorf("list revoked API keys: %w", err)
		}
		rec, err := decodeKey(row.Value)
		if err != nil {
			return fmt.Errorf("list revoked API keys: %w", err)
		}
		if rec.revoked != 0 {
			fn(ids.User, ids.ID, &rec)
		}
	}
	return nil
}
