package http

import (
	"bytes"
	"context"
	"net/netip"
	"strings"

	"github.com/google/uuid"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
	"hyperlight/engine/relay"
)

// Authenticator decides who is calling, how often, and what it costs; *access.Access is one. Texts of an access.Request
// are lent for the call. Its errors are *model.Error and go out as they are.
type Authenticator interface {
	Authenticate(access.Request) (*access.Principal, error)
	Plan(slug string) (*access.Plan, bool)
	// Plans returns every plan, lowest first.
	Plans() []*access.Plan

	Take(p *access.Principal, now model.Millis) access.Decision
	TakeIP(client netip.Addr, class access.IPClass, now model.Millis) access.Decision
	PeekIP(client netip.Addr, class access.IPClass, now model.Millis) access.Decision
	Reserve(p *access.Principal, cost int64, now model.Millis) (access.Credits, error)
	Settle(p *access.Principal, u access.Use, now model.Millis)
	Route(name string) access.RouteID
	Begin(account, route, key string, bodyHash [32]byte) (kept *access.Answer, done func(status int, body []byte), err error)

	Register(ctx context.Context, email, password string, tos bool) (*access.Session, error)
	Login(ctx context.Context, email, password string) (*access.Session, error)
	Setup(ctx context.Context, token, email, password string) (*access.Session, error)
	CreateKey(p *access.Principal, s access.KeySpec) (access.Key, string, error)
	Keys(p *access.Principal, limit, offset int) (rows []access.Key, total int, err error)
	PatchKey(p *access.Principal, id uuid.UUID, c access.KeyPatch) (access.Key, error)
	RevokeKey(p *access.Principal, id uuid.UUID) (model.Millis, error)
	KeyUsage(p *access.Principal, id uuid.UUID, from, to model.Millis) (*access.Usage, error)
}

var (
	errNoUser = &model.Error{Code: model.CodeUnauthorized, Message: "this call needs a user, send an API key or a token"}
	errNoJWT  = &model.Error{Code: model.CodeUnauthorized, Message: "JWT required"}
)

// authenticate finds out who is calling, as far as the route wants to know, and refuses whoever may not. Cookies are no
// credential: nothing that a browser sends by itself counts.
func (c *call) authenticate() error {
	class := c.route.auth
	switch class {
	case authNone, authSocket:
		return nil
	case authSigned:
		return c.checkLink()
	}
	r := c.credentials()
	if class == authRelay && !ours(r.Bearer) {
		r.Bearer = "" // the venue's own token
	}
	p, err := c.server.access.Authenticate(r)
	if err != nil {
		if _, shown := r.Credential(); !shown && (class == authOptional || class == authRelay && c.server.anonymous) {
			return nil
		}
		return err
	}
	switch {
	case class == authJWT && !p.Token:
		return errNoJWT
	case class == authUser && p.Local:
		return errNoUser
	}
	c.principal = p
	return nil
}

// credentials collects what the access rules look at. The texts are the request's.
func (c *call) credentials() access.Request {
	r := access.Request{
		APIKey:    lend(c.head.apiKey),
		Bearer:    lend(bearer(c.head.authorization)),
		Peer:      c.peer,
		Client:    c.client,
		Host:      lend(c.ctx.Request.Header.Host()),
		Origin:    lend(c.head.origin),
		Forwarded: c.head.forwarded || c.otherHost(),
	}
	if r.Bearer == "" && misplaced(c.head.authorization) {
		r.Bearer = "misplaced" // is nobody's
	}
	// An escape may spell the name; parsing every query for it would cost every request.
	if q := queryString(c.ctx); bytes.Contains(q, []byte("api_key")) || bytes.IndexByte(q, '%') >= 0 {
		r.Query = lend(c.ctx.QueryArgs().Peek("api_key"))
	}
	return r
}

// ours tells whether a bearer token is meant for us. The venue's own have colons; ours never do.
func ours(token string) bool {
	return strings.HasPrefix(token, "hlt_") || strings.IndexByte(token, ':') < 0
}

// otherHost tells whether the target names another host than the head: such a client takes us for a proxy.
func (c *call) otherHost() bool {
	h := &c.ctx.Request.Header
	return h.RequestURI()[0] != '/' && !bytes.EqualFold(c.ctx.URI().Host(), h.Host())
}

const bearerScheme = "bearer"

// bearer cuts the scheme off an Authorization header; nothing where it is another scheme.
func bearer(v []byte) []byte {
	const n = len(bearerScheme)
	if len(v) > n && (v[n] == ' ' || v[n] == '\t') && equalFold(v[:n], bearerScheme) {
		return trim(v[n:])
	}
	return nil
}

// misplaced tells whether an Authorization header without a bearer token is meant for us all the same: the word alone,
// or a key or token under no scheme or another. Whoever shows one must not be taken for somebody who shows nothing.
func misplaced(v []byte) bool {
	if len(v) == 0 || relay.IsNative(v) {
		return false
	}
	return equalFold(v, bearerScheme) || bytes.HasPrefix(v, []byte("hlt_")) || relay.HoldsCredential(v) ||
		relay.HoldsCredential(v[bytes.IndexByte(v, ' ')+1:])
}
