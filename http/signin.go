package http

import (
	"context"
	"strconv"
	"time"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// signInDeadline is how long a sign-in may wait for its turn at the password hash.
const signInDeadline = 10 * time.Second

// signIn is what somebody who wants in sends. It lives as long as the request; nothing of it is logged.
type signIn struct {
	email, password string
	terms           bool
}

func parseSignIn(c *call) (signIn, error) {
	o := c.object()
	var q signIn
	q.email, _ = o.text("email")
	q.password, _ = o.text("password")
	q.terms, _ = o.flag("tos_accepted")
	return q, o.err
}

func answerRegister(c *call, dst []byte, q signIn) ([]byte, meta, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signInDeadline)
	defer cancel()
	s, err := c.server.access.Register(ctx, q.email, q.password, q.terms)
	if err != nil {
		return dst, meta{}, err
	}
	return appendSession(dst, s), meta{}, nil
}

func answerLogin(c *call, dst []byte, q signIn) ([]byte, meta, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signInDeadline)
	defer cancel()
	s, err := c.server.access.Login(ctx, q.email, q.password)
	if err != nil {
		return dst, meta{}, err
	}
	return appendSession(dst, s), meta{}, nil
}

// appendSession writes what whoever signed in gets: a token, and the first key where one was made.
func appendSession(dst []byte, s *access.Session) []byte {
	dst = append(dst, `{"token":`...)
	dst = model.AppendString(dst, s.Token)
	if s.Key != nil {
		dst = append(dst, `,"api_key":`...)
		dst = model.AppendString(dst, s.PlainKey)
	}
	dst = append(dst, `,"expires_at":`...)
	dst = strconv.AppendInt(dst, int64(s.Expires), 10)
	dst = append(dst, `,"user":{"id":"`...)
	dst = append(dst, s.User.ID.String()...)
	dst = append(dst, `","email":`...)
	dst = model.AppendString(dst, s.User.Email)
	dst = append(dst, `,"tier":`...)
	dst = model.AppendString(dst, s.User.Tier)
	dst = append(dst, `,"role":`...)
	dst = model.AppendString(dst, s.User.Role)
	dst = append(dst, `,"created_at":`...)
	dst = strconv.AppendInt(dst, int64(s.User.Created), 10)
	dst = append(dst, '}')
	if s.Key != nil {
		dst = append(dst, `,"key":{"id":"`...)
		dst = append(dst, s.Key.ID.String()...)
		dst = append(dst, `","name":`...)
		dst = model.AppendString(dst, s.Key.Name)
		dst = append(dst, `,"prefix":`...)
		dst = model.AppendString(dst, s.Key.Prefix)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}
