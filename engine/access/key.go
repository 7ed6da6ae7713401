package access

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"hyperlight/engine/model"
	"hyperlight/kv"
)

// Key is an API key as it stands, without the key itself: nothing but its prefix tells it from others.
type Key struct {
	ID, User   uuid.UUID
	Name       string
	Prefix     string         // the first 12 characters
	Tier       string         // the slug of the plan in force: the lower of the key's own and the user's
	AllowedIPs []netip.Prefix // empty: from anywhere
	Status     string
	Created    model.Millis
	Expires    model.Millis // 0: never
	LastUsed   model.Millis // 0: never; right to a second while the process runs
}

// KeySpec is what a new key is asked to be.
type KeySpec struct {
	Name       string   // "": default
	AllowedIPs []string // addresses and CIDR blocks
	Expires    model.Millis
	Tier       string // "": follows the user's plan
	Made       Made
}

// KeyPatch is a change of a key; nil leaves as it is.
type KeyPatch struct {
	Name       *string
	AllowedIPs *[]string // empty: from anywhere
	Tier       *string   // "": follows the user's plan
	Enabled    *bool
	Expires    *model.Millis // 0: never
}

const (
	keyBytes    = 24 // random ones: 48 characters of hex after the prefix
	shownPrefix = 12 // characters of a key that may be shown
	maxName     = 100
	defaultName = "default"
	// maxStored bounds the keys of a user, disabled and expired ones included, where the plan allows fewer active ones:
	// they do not count against the plan, but each takes memory.
	maxStored = 1000
	// newKeysPerMinute is how many keys a user may make in a minute, where the plan does not allow more active ones. Every
	// key has a rate window of its own: without it one key after another, made and revoked, would lift the limit.
	newKeysPerMinute = 10
)

// CreateKey makes a key of the caller's user and returns it with the plain key, which is kept nowhere: a key that s.Made
// finds comes with "".
func (a *Access) CreateKey(p *Principal, s KeySpec) (Key, string, error) {
	u, err := a.owner(p)
	if err != nil {
		return Key{}, "", err
	}
	for _, id := range [...]uuid.UUID{s.Made.ID, s.Made.Last} {
		if k := a.dir.key(id); k != nil && k.owner == u && k.record.Load().created >= s.Made.Since {
			return a.viewKey(k, a.millis()), "", nil
		}
	}
	return a.createKey(u, s, a.rationKeys)
}

// Keys lists the caller's keys, oldest first.
func (a *Access) Keys(p *Principal, limit, offset int) (rows []Key, total int, err error) {
	u, err := a.owner(p)
	if err != nil {
		return nil, 0, err
	}
	all := a.dir.keysOf(u)
	return a.viewKeys(page(all, limit, offset)), len(all), nil
}

// PatchKey changes a key of the caller's user; another's is not_found. It applies to the next request, and open sockets
// hear of it through Changed.
func (a *Access) PatchKey(p *Principal, id uuid.UUID, c KeyPatch) (Key, error) {
	u, err := a.owner(p)
	if err != nil {
		return Key{}, err
	}
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	k, err := a.keyOf(u, id)
	if err != nil {
		return Key{}, err
	}
	now := a.millis()
	was := k.record.Load()
	rec := *was
	if err := a.patch(u, &rec, c, now); err != nil {
		return Key{}, err
	}
	if active(&rec, now) && !active(was, now) {
		if err := a.roomForKey(u, now); err != nil {
			return Key{}, err
		}
	}
	if err := a.saveKey(k, &rec); err != nil {
		return Key{}, err
	}
	k.record.Store(&rec)
	a.changed()
	return a.viewKey(k, now), nil
}

// RevokeKey removes a key of the caller's user for good and returns when; another's is not_found. The key is refused
// from then on, and open sockets hear of it through Changed.
func (a *Access) RevokeKey(p *Principal, id uuid.UUID) (model.Millis, error) {
	u, err := a.owner(p)
	if err != nil {
		return 0, err
	}
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	k, err := a.keyOf(u, id)
	if err != nil {
		return 0, err
	}
	return a.revoke(k)
}

// revoke removes a key. The caller holds directory.changing.
func (a *Access) revoke(k *apiKey) (model.Millis, error) {
	now := max(a.millis(), 1)
	if err := a.deleteKey(k, now); err != nil {
		return 0, err
	}
	a.dir.removeKey(k)
	a.changed()
	return now, nil
}

// owner returns the user behind a caller; the local one has none.
func (a *Access) owner(p *Principal) (*user, error) {
	if p == nil || p.Local {
		return nil, errNeedsUser
	}
	u := a.dir.user(p.User)
	if u == nil {
		return nil, errNeedsUser
	}
	return u, nil
}

// keyOf returns a key of a user; another user's is as absent as one that never was.
func (a *Access) keyOf(u *user, id uuid.UUID) (*apiKey, error) {
	k := a.dir.key(id)
	if k == nil || k.owner != u {
		return nil, errNoKey
	}
	return k, nil
}

// createKey makes a key; ration, where not nil, is asked last.
func (a *Access) createKey(u *user, s KeySpec, ration func(u *user, now model.Millis) error) (Key, string, error) {
	a.dir.changing.Lock()
	defer a.dir.changing.Unlock()
	now := a.millis()
	rec := keyRecord{created: now}
	c := KeyPatch{Name: &s.Name, AllowedIPs: &s.AllowedIPs, Tier: &s.Tier, Expires: &s.Expires}
	if err := a.patch(u, &rec, c, now); err != nil {
		return Key{}, "", err
	}
	if err := a.roomForKey(u, now); err != nil {
		return Key{}, "", err
	}
	if ration != nil {
		if err := ration(u, now); err != nil {
			return Key{}, "", err
		}
	}
	id, plain, err := a.newPlain(&rec)
	if err != nil {
		return Key{}, "", err
	}
	if s.Made.ID != uuid.Nil && a.dir.key(s.Made.ID) == nil {
		id = s.Made.ID
	}
	b := a.store.NewBatch()
	putKey(b, u.id, id, &rec)
	if err := stored("save API key", a.store.Commit(b, kv.Sync)); err != nil {
		return Key{}, "", err
	}
	k := newKey(id, u, rec)
	a.dir.addKey(k)
	return a.viewKey(k, now), plain, nil
}

// newPlain draws a key and its id, and puts what is kept of it into the record.
func (a *Access) newPlain(rec *keyRecord) (id uuid.UUID, plain string, err error) {
	var b [keyBytes]byte
	if _, err := io.ReadFull(a.rand, b[:]); err != nil {
		return uuid.Nil, "", fmt.Errorf("draw API key: %w", err)
	}
	if id, err = uuid.NewRandomFromReader(a.rand); err != nil {
		return uuid.Nil, "", fmt.Errorf("draw key id: %w", err)
	}
	plain = keyPrefix + hex.EncodeToString(b[:])
	rec.hash, rec.prefix = sha256.Sum256(lend(plain)), strings.Clone(plain[:shownPrefix])
	return id, plain, nil
}

// patch checks a change and makes it.
func (a *Access) patch(u *user, rec *keyRecord, c KeyPatch, now model.Millis) (err error) {
	if c.Name != nil {
		if rec.name, err = keyName(*c.Name); err != nil {
			return err
		}
	}
	if c.AllowedIPs != nil {
		if rec.allowed, err = parseAllowed(*c.AllowedIPs); err != nil {
			return err
		}
	}
	if c.Tier != nil {
		if rec.tier, err = a.keyTier(u, *c.Tier); err != nil {
			return err
		}
	}
	if c.Expires != nil {
		if *c.Expires != 0 && *c.Expires <= now {
			return model.BadRequest("expires_at", "expires_at must be in the future")
		}
		rec.expires = *c.Expires
	}
	if c.Enabled != nil {
		rec.disabled = !*c.Enabled
	}
	return nil
}

func keyName(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return defaultName, nil
	}
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxName || !printable(s) {
		return "", model.BadRequest("name", fmt.Sprintf("name must have at most %d characters and no control characters", maxName))
	}
	return s, nil
}

// keyTier checks the plan that a key shall have of its own.
func (a *Access) keyTier(u *user, slug string) (string, error) {
	if slug == "" {
		return "", nil
	}
	plans := a.plans.Load()
	p, ok := plans.bySlug[slug]
	if !ok {
		return "", model.BadRequest("tier", "tier must be the slug of a plan")
	}
	if top := plans.of(u.record.Load().tier); p.Rank > top.Rank {
		return "", &model.Error{Code: model.CodeForbidden, Message: "tier must not be above the user's",
			Details: map[string]any{"field": "tier", "limit": top.Slug}}
	}
	return p.Slug, nil
}

// roomForKey refuses an active key more than the user's plan allows.
func (a *Access) roomForKey(u *user, now model.Millis) error {
	limit := a.plans.Load().of(u.record.Load().tier).Keys
	if limit == Unlimited {
		return nil
	}
	n := 0
	all := a.dir.keysOf(u)
	for _, k := range all {
		if active(k.record.Load(), now) {
			n++
		}
	}
	if n < limit && len(all) < max(limit, maxStored) {
		return nil
	}
	return &model.Error{Code: model.CodeForbidden, Message: "no more API keys on this plan, revoke one first",
		Details: map[string]any{"limit": limit}}
}

// rationKeys refuses a user who makes one key after another.
func (a *Access) rationKeys(u *user, now model.Millis) error {
	limit := a.plans.Load().of(u.record.Load().tier).Keys
	if limit != Unlimited {
		limit = max(limit, newKeysPerMinute)
	}
	bucket := bucketOf(bucketNewKeys, u.id)
	d := a.limits.limiter.take(&bucket, limit, now)
	if d.OK {
		return nil
	}
	return &model.Error{Code: model.CodeRateLimit, Message: "too many new API keys, use those there are or wait",
		Details: map[string]any{"limit": limit, "retry_after": max((int64(d.Reset-now)+999)/1000, 1)}}
}

func active(rec *keyRecord, now model.Millis) bool {
	return !rec.disabled && (rec.expires == 0 || now < rec.expires)
}

func (a *Access) viewKeys(keys []*apiKey) []Key {
	now := a.millis()
	rows := make([]Key, len(keys))
	for i, k := range keys {
		rows[i] = a.viewKey(k, now)
	}
	return rows
}

func (a *Access) viewKey(k *apiKey, now model.Millis) Key {
	rec := k.record.Load()
	v := Key{
		ID: k.id, User: k.owner.id, Name: rec.name, Prefix: rec.prefix, AllowedIPs: slices.Clone(rec.allowed), Status: StatusActive,
		Tier:    a.plans.Load().lower(rec.tier, k.owner.record.Load().tier).Slug,
		Created: rec.created, Expires: rec.expires, LastUsed: model.Millis(k.used.Load()),
	}
	switch {
	case rec.expires != 0 && now >= rec.expires:
		v.Status = StatusExpired
	case rec.disabled || k.owner.record.Load().disabled:
		v.Status = StatusDisabled
	}
	return v
}
