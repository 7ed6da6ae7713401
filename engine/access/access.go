// Package access decides who may call what, and how often. It owns users, API keys, sign-in and its tokens, the plans,
// and what is counted against them: rate windows, credits and usage. It keeps them in memory and in the store; a plain
// key, a password or a token is in neither. It must not know of HTTP or sockets: both hand it the same Request, and what
// it refuses is a *model.Error that they show as it is.
package access

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

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
	// SealKey seals what the store keeps of answers.
	SealKey []byte
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: none
	Random  io.Reader        // keys, ids, salts and the setup token come from it; nil: crypto/rand
}

// Access authenticates callers. Its methods may be called from any goroutine.
type Access struct {
	plans      atomic.Pointer[planSet]
	local      *Principal
	publicHost string
	origins    map[string]bool

	limits limits
}

// New checks the options and returns an Access.
func New(o Options) (*Access, error) {
	table := o.Plans
	if len(table) == 0 {
		table = config.DefaultPlans()
	}
	plans, err := newPlanSet(table)
	if err != nil {
		return nil, err
	}
	a := &Access{origins: map[string]bool{}}
	a.plans.Store(plans)
	if o.LocalPlan != "" {
		p, ok := plans.bySlug[o.LocalPlan]
		if !ok {
			return nil, fmt.Errorf("access.local_plan: no plan is called %q", o.LocalPlan)
		}
		a.local = &Principal{Plan: p, Account: LocalAccount, Local: true}
	}
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("read server.public_url: %w", err)
		}
		a.publicHost = strings.ToLower(u.Hostname())
		a.origins[strings.ToLower(u.Scheme+"://"+u.Host)] = true
	}
	return a, nil
}

// Plan returns a plan by its slug.
func (a *Access) Plan(slug string) (*Plan, bool) {
	p, ok := a.plans.Load().bySlug[slug]
	return p, ok
}

// errUnauthorized is shared: it is immutable and every refusal reads alike, whatever was wrong.
var errUnauthorized = &model.Error{Code: model.CodeUnauthorized, Message: "missing or invalid API key"}

// Authenticate returns the caller behind a request, or an unauthorized *model.Error.
func (a *Access) Authenticate(r Request) (*Principal, error) {
	if _, ok := r.Credential(); ok {
		return nil, errUnauthorized
	}
	if a.local != nil && a.isLocal(&r) {
		return a.local, nil
	}
	return nil, errUnauthorized
}

// isLocal applies contract 9.5: a web page, a rebound name or a proxy in front gets nothing.
func (a *Access) isLocal(r *Request) bool {
	if !r.Peer.Addr().Unmap().IsLoopback() || r.Forwarded {
		return false
	}
	host := hostname(r.Host)
	if !a.localHost(host) {
		return false
	}
	if r.Origin == "" {
		return true
	}
	if a.origins[strings.ToLower(r.Origin)] {
		return true
	}
	// Our own origin without a public URL is the very host that was asked.
	u, err := url.Parse(r.Origin)
	return err == nil && a.localHost(strings.ToLower(u.Hostname())) && strings.EqualFold(u.Host, r.Host)
}

func (a *Access) localHost(host string) bool {
	if host == "localhost" || (a.publicHost != "" && host == a.publicHost) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// hostname cuts the port and the brackets of an IPv6 literal. It does not allocate for the usual lower-case host.
func hostname(hostport string) string {
	h := hostport
	if i := strings.LastIndexByte(h, ':'); i >= 0 && (strings.IndexByte(h, ':') == i || strings.HasSuffix(h[:i], "]")) {
		h = h[:i]
	}
	h = strings.TrimSuffix(strings.TrimPrefix(h, "["), "]")
	return strings.ToLower(strings.TrimSuffix(h, "."))
}
