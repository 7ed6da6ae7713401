package access

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// user is a known user. Its record is replaced as a whole and never holds the password's hash, which stays in the store.
type user struct {
	id       uuid.UUID
	record   atomic.Pointer[userRecord]
	standing atomic.Pointer[standing] // of its tokens
	keys     []*apiKey                // oldest first; guarded by directory.mu
}

// apiKey is a known API key.
type apiKey struct {
	id       uuid.UUID
	owner    *user
	record   atomic.Pointer[keyRecord]
	standing atomic.Pointer[standing]
	used     atomic.Int64 // milliseconds; newer than the record's
	dirty    atomic.Bool  // used since it was last written, and listed in touched
}

// directory holds every user and key. Each change is made by one goroutine at a time, first in the store, then here.
type directory struct {
	changing sync.Mutex // held over the store's commit: what was checked must still hold when it is written

	mu     sync.RWMutex
	users  map[uuid.UUID]*user
	emails map[string]*user
	order  []*user // oldest first
	keys   map[uuid.UUID]*apiKey

	hashes [hashShards]hashShard
}

// hashShards keeps lookups of many cores from meeting on one lock.
const hashShards = 64

type hashShard struct {
	mu   sync.RWMutex
	keys map[[sha256.Size]byte]*apiKey
	_    [32]byte // a cache line of its own
}

func newDirectory() *directory {
	d := &directory{users: map[uuid.UUID]*user{}, emails: map[string]*user{}, keys: map[uuid.UUID]*apiKey{}}
	for i := range d.hashes {
		d.hashes[i].keys = map[[sha256.Size]byte]*apiKey{}
	}
	return d
}

func (d *directory) byHash(h *[sha256.Size]byte) *apiKey {
	s := &d.hashes[h[0]%hashShards]
	s.mu.RLock()
	k := s.keys[*h]
	s.mu.RUnlock()
	return k
}

func (d *directory) user(id uuid.UUID) *user {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.users[id]
}

func (d *directory) byEmail(email string) *user {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.emails[email]
}

func (d *directory) key(id uuid.UUID) *apiKey {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.keys[id]
}

// owned tells whether somebody has a hold of the server already: an operator, or who made users without registration.
func (d *directory) owned() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.ContainsFunc(d.order, func(u *user) bool {
		rec := u.record.Load()
		return rec.operator || rec.terms == 0
	})
}

func (d *directory) hasOperator() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.ContainsFunc(d.order, func(u *user) bool { return u.record.Load().operator })
}

// keysOf returns the keys of a user, oldest first.
func (d *directory) keysOf(u *user) []*apiKey {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(u.keys)
}

func (d *directory) addUser(u *user) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[u.id] = u
	d.emails[u.record.Load().email] = u
	d.order = append(d.order, u)
}

func (d *directory) addKey(k *apiKey) {
	d.mu.Lock()
	d.keys[k.id] = k
	k.owner.keys = append(k.owner.keys, k)
	d.mu.Unlock()
	h := &k.record.Load().hash
	s := &d.hashes[h[0]%hashShards]
	s.mu.Lock()
	s.keys[*h] = k
	s.mu.Unlock()
}

func (d *directory) removeKey(k *apiKey) {
	h := &k.record.Load().hash
	s := &d.hashes[h[0]%hashShards]
	s.mu.Lock()
	delete(s.keys, *h)
	s.mu.Unlock()
	d.mu.Lock()
	delete(d.keys, k.id)
	// A copy: a list that was handed out stays whole.
	k.owner.keys = slices.DeleteFunc(slices.Clone(k.owner.keys), func(o *apiKey) bool { return o == k })
	d.mu.Unlock()
}

// sort puts what was loaded in the order of creation.
func (d *directory) sort() {
	created := func(a, b model.Millis, x, y uuid.UUID) int {
		if a != b {
			return int(max(-1, min(1, a-b)))
		}
		return strings.Compare(string(x[:]), string(y[:]))
	}
	slices.SortFunc(d.order, func(a, b *user) int {
		return created(a.record.Load().created, b.record.Load().created, a.id, b.id)
	})
	for _, u := range d.order {
		slices.SortFunc(u.keys, func(a, b *apiKey) int {
			return created(a.record.Load().created, b.record.Load().created, a.id, b.id)
		})
	}
}

// page cuts a page out of a list; a limit below 1 takes the rest.
func page[T any](all []T, limit, offset int) []T {
	offset = min(max(offset, 0), len(all))
	all = all[offset:]
	if limit > 0 && limit < len(all) {
		all = all[:limit]
	}
	return all
}
