package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"hyperlight/engine/model"
)

const (
	tokenIssuer   = "hyperlight"
	tokenLeeway   = 30 * time.Second
	maxTokenBytes = 4096
	minSecret     = 32 // bytes: what HS256 needs
	// defaultLifetime of a sign-in.
	defaultLifetime = 24 * time.Hour
	// maxVerified bounds the tokens whose signature need not be checked again.
	maxVerified = 4096
)

// claims are what a token says. A fresh value is taken for each parse: a reused one would keep what the last token said.
type claims struct {
	Email   string  `json:"email"`
	Session *uint32 `json:"sv"`
	jwt.RegisteredClaims
}

// tokens signs and verifies sign-ins.
type tokens struct {
	secret   []byte
	kid      string
	lifetime time.Duration
	parser   *jwt.Parser

	mu       sync.RWMutex
	verified map[[sha256.Size]byte]verified // by the token's hash
}

// verified is what a token with a good signature said.
type verified struct {
	user    *user
	session uint32
	until   model.Millis // with leeway
}

func newTokens(secret []byte, lifetime time.Duration, now func() time.Time) (*tokens, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("token secret: it must have at least %d bytes", minSecret)
	}
	if lifetime <= 0 {
		lifetime = defaultLifetime
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("kid"))
	return &tokens{
		secret: secret, kid: hex.EncodeToString(mac.Sum(nil)[:8]), lifetime: lifetime,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(tokenIssuer), jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(), jwt.WithLeeway(tokenLeeway), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
		),
		verified: map[[sha256.Size]byte]verified{},
	}, nil
}

// sign makes a token of a user's present session.
func (t *tokens) sign(id uuid.UUID, rec *userRecord, now time.Time) (token string, expires model.Millis, err error) {
	until := now.Add(t.lifetime).Truncate(time.Second)
	j := jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		Email: rec.email, Session: &rec.version,
		RegisteredClaims: jwt.RegisteredClaims{Issuer: tokenIssuer, Subject: id.String(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(until)},
	})
	j.Header["kid"] = t.kid
	if token, err = j.SignedString(t.secret); err != nil {
		return "", 0, fmt.Errorf("sign token: %w", err)
	}
	return token, model.Millis(until.UnixMilli()), nil
}

var errToken = errors.New("not a token of ours")

// parse checks a token's signature and claims; nothing of it is known to be true of the user yet.
func (t *tokens) parse(token string, now time.Time) (id uuid.UUID, session uint32, until time.Time, err error) {
	c := &claims{}
	_, err = t.parser.ParseWithClaims(token, c, func(j *jwt.Token) (any, error) {
		if kid, _ := j.Header["kid"].(string); kid != t.kid {
			return nil, errToken
		}
		if _, critical := j.Header["crit"]; critical { // RFC 7515: what is not understood refuses the token
			return nil, errToken
		}
		return t.secret, nil
	})
	if err != nil {
		return uuid.Nil, 0, time.Time{}, fmt.Errorf("parse token: %w", err)
	}
	// A lifetime that was shortened counts for the tokens that are out as well.
	if c.Session == nil || c.IssuedAt == nil || c.ExpiresAt.After(now.Add(t.lifetime+tokenLeeway)) {
		return uuid.Nil, 0, time.Time{}, errToken
	}
	if id, err = uuid.Parse(c.Subject); err != nil {
		return uuid.Nil, 0, time.Time{}, errToken
	}
	return id, *c.Session, c.ExpiresAt.Add(tokenLeeway), nil
}

// recall returns what an earlier parse of the token said.
func (t *tokens) recall(hash *[sha256.Size]byte) (verified, bool) {
	t.mu.RLock()
	v, ok := t.verified[*hash]
	t.mu.RUnlock()
	return v, ok
}

// remember keeps what a token said. Of a full table those that have expired go, and where that is not enough any few:
// they cost another check.
func (t *tokens) remember(hash [sha256.Size]byte, v verified, now model.Millis) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.verified) >= maxVerified {
		for h, old := range t.verified {
			if now >= old.until {
				delete(t.verified, h)
			}
		}
		for h := range t.verified {
			if len(t.verified) < maxVerified*3/4 {
				break
			}
			delete(t.verified, h)
		}
	}
	t.verified[hash] = v
}

// byToken returns the user behind a token.
func (a *Access) byToken(token string) (*Principal, error) {
	if a.tokens == nil || len(token) > maxTokenBytes {
		return nil, errUnauthorized
	}
	t := a.now()
	now := model.Millis(t.UnixMilli())
	hash := sha256.Sum256(lend(token))
	v, ok := a.tokens.recall(&hash)
	if !ok {
		id, session, until, err := a.tokens.parse(token, t)
		if err != nil {
			return nil, errUnauthorized
		}
		u := a.dir.user(id)
		if u == nil {
			return nil, errUnauthorized
		}
		v = verified{user: u, session: session, until: model.Millis(until.UnixMilli())}
	}
	s := a.standToken(v.user)
	if now >= v.until || s.principal.session != v.session {
		return nil, errUnauthorized
	}
	if !ok {
		a.tokens.remember(hash, v, now)
	}
	return s.admit(noAddress, now)
}
