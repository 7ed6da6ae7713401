// Package access decides who may call what, and how often. It owns users, API keys, sign-in and its tokens, the plans,
// and what is counted against them: rate windows, credits and usage. It keeps them in memory and in the store; a plain
// key, a password or a token is in neither. It must not know of HTTP or sockets: both hand it the same Request, and what
// it refuses is a *model.Error that they show as it is.
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"hyperlight/config"
	"hyperlight/engine/model"
	"hyperlight/kv"
)

// Request is what a caller showed: its credentials by place, and what tells a local caller from a remote one.
type Request struct {
	APIKey string // header X-Api-Key
	Bearer string // Authorization: Bearer ...
	Query  string // ?api_key=
	Peer   netip.AddrPort
	// Client is the caller's address behind trusted proxies, for allow lists; the peer's where it is not valid.
	Client netip.Addr
	Host   string // Host header, with or without a port
	Origin string // Origin header
	// Forwarded tells that a Forwarded, X-Forwarded-* or Via header was present: somebody stands in between.
	Forwarded bool
}

// Credential returns the first credential in the contract's order: header, bearer, query. A bad one is never skipped
// in favour of the next.
func (r *Request) Credential() (string, bool) {
	for _, c := range [...]string{r.APIKey, r.Bearer, r.Query} {
		if c != "" {
			return c, true
		}
	}
	return "", false
}

// Options configures an Access.
type Options struct {
	// LocalPlan is the plan of calls from loopback without a credential; "" lets nobody in.
	LocalPlan string
	// PublicURL's host counts as a local Host, and as our own Origin.
	PublicURL string
	// Plans is the plan table; the contract's where it is empty.
	Plans []config.Plan
	// Store keeps users, keys and counts; without one there are none and nobody but the local caller gets in.
	Store *kv.Store
	// Registration is open or closed; "" is open.
	Registration string
	// DefaultTier is the plan of new users; "" is the lowest plan.
	DefaultTier string
	// TokenLifetime is how long a sign-in lasts; 0 is 24 hours.
	TokenLifetime time.Duration
	// JWTSecret signs the tokens: 32 bytes or more, kept outside the store. Needed where there is a Store.
	JWTSecret []byte
	Now       func() time.Time // nil: time.Now
	Logger    *slog.Logger     // nil: none
	Random    io.Reader        // keys, ids, salts and the setup token come from it; nil: crypto/rand
}

// Access knows the callers and counts what they use. Its methods may be called from any goroutine.
type Access struct {
	now   func() time.Time
	log   *slog.Logger
	store *kv.Store // nil: no users
	rand  io.Reader

	localPlan, defaultTier string
	closed                 bool // to registrations
	publicHost             string
	origins                map[string]bool

	dir     *directory
	plans   atomic.Pointer[planSet]
	local   atomic.Pointer[Principal] // nil: nobody
	version atomic.Uint64             // of the directory and the plans: a standing of another one is made anew
	changes changes

	passwords *passwords
	tokens    *tokens // nil without a store
	setup     setup
	touched   touched
	ending    atomic.Bool // the last round of Run writes

	limits limits
}

// New checks the options and loads users, keys and counts from the store.
func New(o Options) (*Access, error) {
	a := &Access{
		now: o.Now, log: o.Logger, store: o.Store, rand: o.Random, localPlan: o.LocalPlan, defaultTier: o.DefaultTier,
		origins: map[string]bool{}, dir: newDirectory(), passwords: newPasswords(hashing),
	}
	a.changes.next = make(chan struct{})
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.rand == nil {
		a.rand = rand.Reader
	}
	if err := a.configure(&o); err != nil {
		return nil, err
	}
	if a.store != nil {
		var err error
		if a.tokens, err = newTokens(o.JWTSecret, o.TokenLifetime, a.now); err != nil {
			return nil, err
		}
		if err := a.load(context.Background()); err != nil {
			return nil, err
		}
		a.warnLostPlans()
	}
	if err := a.openLimits(o); err != nil {
		return nil, err
	}
	return a, nil
}

// configure takes over the settings.
func (a *Access) configure(o *Options) error {
	table := o.Plans
	if len(table) == 0 {
		table = config.DefaultPlans()
	}
	plans, err := newPlanSet(table)
	if err != nil {
		return err
	}
	if err := a.checkPlans(plans); err != nil {
		return err
	}
	a.plans.Store(plans)
	a.standLocal()
	switch o.Registration {
	case "", "open":
	case "closed":
		a.closed = true
	default:
		return fmt.Errorf("access.registration: %q is neither open nor closed", o.Registration)
	}
	if o.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(o.PublicURL)
	if err != nil {
		return fmt.Errorf("read server.public_url: %w", err)
	}
	a.publicHost = strings.ToLower(u.Hostname())
	a.origins[strings.ToLower(u.Scheme+"://"+u.Host)] = true
	return nil
}

// Plan returns a plan in force by its slug.
func (a *Access) Plan(slug string) (*Plan, bool) {
	p, ok := a.plans.Load().bySlug[slug]
	return p, ok
}

// Plans returns the plans in force, lowest first. The slice must not be changed.
func (a *Access) Plans() []*Plan { return a.plans.Load().order }

func (a *Access) millis() model.Millis { return model.Millis(a.now().UnixMilli()) }

// keyPrefix begins every API key; nothing else is asked of its form.
const keyPrefix = "hlt_"

// noAddress is the address of a caller who needs none.
var noAddress netip.Addr

// Authenticate returns the caller behind a request, or the *model.Error of contract 1.2: the first credential decides,
// and a call without one may be the local caller. For a known key it takes well under a microsecond and does not
// allocate.
func (a *Access) Authenticate(r Request) (*Principal, error) {
	p, err := a.authenticate(&r)
	switch {
	case err == nil:
	case errors.Is(err, errUnauthorized):
		if _, shown := r.Credential(); shown {
			refusedUnknown.Inc()
		}
	default:
		refusedByKey.Inc()
	}
	return p, err
}

func (a *Access) authenticate(r *Request) (*Principal, error) {
	switch {
	case r.APIKey != "":
		return a.byKey(r.APIKey, r)
	case strings.HasPrefix(r.Bearer, keyPrefix):
		return a.byKey(r.Bearer, r)
	case r.Bearer != "":
		return a.byToken(r.Bearer)
	case r.Query != "":
		return a.byKey(r.Query, r)
	}
	if local := a.local.Load(); local != nil && a.isLocal(r) {
		return local, nil
	}
	return nil, errUnauthorized
}

// byKey returns the caller behind an API key and notes that it was used.
func (a *Access) byKey(plain string, r *Request) (*Principal, error) {
	if !strings.HasPrefix(plain, keyPrefix) {
		return nil, errUnauthorized
	}
	hash := sha256.Sum256(lend(plain))
	k := a.dir.byHash(&hash)
	if k == nil {
		return nil, errUnauthorized
	}
	s := a.stand(k)
	if subtle.ConstantTimeCompare(s.key.hash[:], hash[:]) != 1 {
		return nil, errUnauthorized
	}
	now := a.millis()
	p, err := s.admit(r.client(), now)
	if err == nil {
		a.touch(k, now)
	}
	return p, err
}

// client is the address that allow lists look at.
func (r *Request) client() netip.Addr {
	if r.Client.IsValid() {
		return r.Client.Unmap().WithZone("")
	}
	return r.Peer.Addr().Unmap().WithZone("")
}

// lend shows a string as bytes to a function that only reads them, without a copy.
func lend(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
