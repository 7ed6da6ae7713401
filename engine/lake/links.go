package lake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"hyperlight/engine/model"
)

// Links makes and checks links that one path may be fetched with until a time, by whoever has them. It may be used from
// any goroutine.
type Links struct {
	secret   []byte
	base     string
	lifetime time.Duration
	now      func() time.Time
}

// NewLinks returns links that begin with base, as http://localhost:8080, and are valid for a lifetime of whole seconds.
func NewLinks(secret []byte, base string, lifetime time.Duration, now func() time.Time) *Links {
	return &Links{secret: secret, base: base, lifetime: lifetime, now: now}
}

// Sign returns the signature, in hex, of fetching a path until a Unix time in seconds.
func (l *Links) Sign(path string, expires int64) string {
	mac := hmac.New(sha256.New, l.secret)
	mac.Write([]byte("GET\n" + path + "\n" + strconv.FormatInt(expires, 10)))
	return hex.EncodeToString(mac.Sum(nil))
}

// Link returns a link to a path, valid from now on for the lifetime.
func (l *Links) Link(path string) (url string, expires time.Time) {
	expires = l.now().Add(l.lifetime).Truncate(time.Second)
	text := strconv.FormatInt(expires.Unix(), 10)
	return l.base + path + "?expires=" + text + "&signature=" + l.Sign(path, expires.Unix()), expires
}

// Verify checks what came with a link to a path. The errors are for clients, code forbidden, and do not say which part is wrong
// where the signature does not fit.
func (l *Links) Verify(path, expires, signature string) error {
	seconds, err := strconv.ParseInt(expires, 10, 64)
	// The comparison is of texts and takes the same time whatever they are; a number has one form that is signed.
	if err != nil || strconv.FormatInt(seconds, 10) != expires || !hmac.Equal([]byte(l.Sign(path, seconds)), []byte(signature)) {
		return &model.Error{Code: model.CodeForbidden, Message: "the link is not valid, ask for a new one"}
	}
	if l.now().Unix() >= seconds {
		return &model.Error{Code: model.CodeForbidden, Message: "the link has expired, ask for a new one"}
	}
	return nil
}
