package http

import (
	"fmt"
	"testing"
	"time"

	"hyperlight/engine/access"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// crashing takes a copy of the store, as a crash would leave it, when a call has done its work and its answer is not yet kept.
type crashing struct {
	*access.Access
	t     testing.TB
	store *kv.Store
	left  *kv.Store
}

func (c *crashing) Begin(account, route, key string, body [32]byte) (*access.Answer, func(int, []byte), error) {
	kept, done, err := c.Access.Begin(account, route, key, body)
	if done == nil {
		return kept, done, err
	}
	return kept, func(status int, answer []byte) {
		c.left = kvtest.CrashClone(c.t, c.store, 0)
		done(status, answer)
	}, err
}

// A call that is repeated after a crash between its work and its answer finds what it has made, over midnight too. A day
// later the same call is another one.
func TestCrashBeforeTheAnswerIsKept(t *testing.T) {
	for path, body := range map[string]string{"/api/v1/keys": `{"name":"x"}`, "/api/v1/signals": testSignal} {
		c := &crashing{t: t}
		a := newAccounts(t, accountsOptions{testOptions: testOptions{edit: func(o *Options) {
			c.Access = o.Access.(*access.Access)
			o.Access = c
		}}})
		c.store = a.store
		_, key := a.user(t, "a@example.com", "starter")
		post := func(a *accounts) reply {
			return a.send(t, "POST", path, body, "X-Api-Key", key, "Idempotency-Key", "one")
		}
		list := func(a *accounts) string {
			return fmt.Sprint(a.do(t, "GET", path, "X-Api-Key", key).envelope(t).Meta.Total)
		}
		first := post(a).envelope(t).Data
		count := list(a)

		after := newAccounts(t, accountsOptions{store: c.left})
		after.at.Store(a.at.Load())
		after.advance(24*time.Hour - time.Second)
		for range 2 { // then the answer is kept
			r := post(after)
			again := r.envelope(t).Data
			if r.Status != 201 || r.Header["Idempotent-Replayed"] != "true" || again["id"] != first["id"] || again["api_key"] != nil || list(after) != count {
				t.Errorf("%s: %d %v: got %s, the first answer was %v; %s instead of %s", path, r.Status, r.Header, r.Body, first, list(after), count)
			}
		}
		late := newAccounts(t, accountsOptions{store: kvtest.CrashClone(t, c.left, 0)})
		late.at.Store(a.at.Load())
		late.advance(48*time.Hour + time.Second)
		if r := post(late); r.Status != 201 || r.envelope(t).Data["id"] == first["id"] {
			t.Errorf("%s: two days later: %d %s", path, r.Status, r.Body)
		}
	}
}
