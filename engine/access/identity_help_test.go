package access

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// quickHashing makes tests of anything but the hash itself fast.
var quickHashing = argon2id.Params{Memory: 16, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

var testSecret = bytes.Repeat([]byte{7}, 32)

const goodPassword = "correct horse"

// house is an Access over a store in memory, with a clock that stands still until it is moved.
type house struct {
	*Access
	store *kv.Store
	ms    *atomic.Int64
}

// startOfTests is 2024-02-01T00:00:00Z.
const startOfTests = 1706745600000

func newHouse(t testing.TB, change ...func(*Options)) *house {
	t.Helper()
	ms := &atomic.Int64{}
	ms.Store(startOfTests)
	return openHouse(t, kvtest.Open(t), ms, change...)
}

func openHouse(t testing.TB, s *kv.Store, ms *atomic.Int64, change ...func(*Options)) *house {
	t.Helper()
	h, err := houseOn(s, ms, change...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func houseOn(s *kv.Store, ms *atomic.Int64, change ...func(*Options)) (*house, error) {
	o := Options{Store: s, JWTSecret: testSecret, Now: func() time.Time { return time.UnixMilli(ms.Load()) }}
	for _, c := range change {
		c(&o)
	}
	a, err := New(o)
	if err != nil {
		return nil, err
	}
	a.passwords = newPasswords(quickHashing)
	return &house{Access: a, store: s, ms: ms}, nil
}

// reopen loads what the store holds into a new Access.
func (h *house) reopen(t testing.TB) *house {
	t.Helper()
	return openHouse(t, h.store, h.ms)
}

func (h *house) pass(d time.Duration) { h.ms.Add(d.Milliseconds()) }

// register makes a user on the given plan with its first key.
func (h *house) register(t testing.TB, email, tier string) *Session {
	t.Helper()
	s, err := h.Register(context.Background(), email, goodPassword, true)
	if err != nil {
		t.Fatal(err)
	}
	if tier != "free" {
		if _, err := h.SetTier(email, tier); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (h *house) caller(t testing.TB, plain string) *Principal {
	t.Helper()
	p, err := h.Authenticate(Request{APIKey: plain})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refused checks an error's code and message.
func refused(t testing.TB, what string, err error, code model.Code, message string) {
	t.Helper()
	e, ok := errors.AsType[*model.Error](err)
	if !ok || e.Code != code || message != "" && e.Message != message {
		t.Errorf("%s: got %v, want %s: %s", what, err, code, message)
	}
}

// unauthorized checks for the one refusal of bad credentials.
func unauthorized(t testing.TB, what string, err error) {
	t.Helper()
	refused(t, what, err, model.CodeUnauthorized, "missing or invalid API key")
}

func field(err error) any {
	if e, ok := errors.AsType[*model.Error](err); ok {
		return e.Details["field"]
	}
	return nil
}

func from(addr string) Request { return Request{Client: netip.MustParseAddr(addr)} }

func (h *house) callerFrom(t testing.TB, plain, client string) *Principal {
	t.Helper()
	r := from(client)
	r.APIKey = plain
	p, err := h.Authenticate(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
