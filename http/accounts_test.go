package http

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"hyperlight/config"
	"hyperlight/engine/access"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/signal"
	"hyperlight/engine/signal/delivery"
	"hyperlight/engine/signal/desk"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

var testSecret = []byte("a secret for tests only: 32 bytes or more of it")

var loopbackProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// accounts is a fixture whose callers are real: users, keys and tokens in a store in memory, and a clock that a test
// moves.
type accounts struct {
	*fixture
	rules *access.Access
	at    *atomic.Int64 // unix ms
	desk  *desk.Desk    // of signals; it does not run
	store *kv.Store     // which everybody above uses
}

// accountsOptions changes how accounts are made.
type accountsOptions struct {
	testOptions
	plans        []config.Plan
	registration string
	store        *kv.Store // nil: a new one
}

func newAccounts(t testing.TB, o accountsOptions) *accounts {
	t.Helper()
	a := &accounts{at: &atomic.Int64{}}
	a.at.Store(int64(testNow))
	now := func() time.Time { return time.UnixMilli(a.at.Load()) }
	local := o.plan
	if local == "none" {
		local = ""
	}
	store := o.store
	if store == nil {
		store = kvtest.Open(t)
	}
	rules, err := access.New(access.Options{LocalPlan: local, Plans: o.plans, Store: store, Registration: o.registration,
		JWTSecret: testSecret, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	a.rules = rules
	a.store = store
	a.desk = testDesk(t, store, signal.Record{History: history.NewReader(store, deskMarkets{}.Get)}, now, delivery.Policy{}, rules)
	edit := o.edit
	o.testOptions.edit = func(s *Options) {
		s.Access, s.Now = rules, now
		s.Signals.Desk = a.desk
		if edit != nil {
			edit(s)
		}
	}
	a.fixture = newFixture(t, o.testOptions)
	return a
}

func (a *accounts) advance(d time.Duration) { a.at.Add(d.Milliseconds()) }

// user makes a user who cannot sign in with a password, and a key.
func (a *accounts) user(t testing.TB, email, tier string, specs ...access.KeySpec) (k access.Key, plain string) {
	t.Helper()
	if _, err := a.rules.CreateUser(context.Background(), access.UserSpec{Email: email, Tier: tier}); err != nil {
		t.Fatal(err)
	}
	if len(specs) == 0 {
		specs = []access.KeySpec{{}}
	}
	return a.key(t, email, specs[0])
}

func (a *accounts) key(t testing.TB, email string, s access.KeySpec) (k access.Key, plain string) {
	t.Helper()
	k, plain, err := a.rules.CreateKeyFor(email, s)
	if err != nil {
		t.Fatal(err)
	}
	return k, plain
}

const testPassword = "correct horse"

// member makes a user with a password and returns a token.
func (a *accounts) member(t testing.TB, email, tier, role string) (u access.User, token string) {
	t.Helper()
	u, err := a.rules.CreateUser(context.Background(), access.UserSpec{Email: email, Tier: tier, Role: role, Password: testPassword})
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.rules.Login(context.Background(), email, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	return u, s.Token
}

// send sends a body; headers come in pairs.
func (f *fixture) send(t tester, method, path, body string, headers ...string) reply {
	t.Helper()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://localhost" + path)
	req.Header.SetMethod(method)
	req.Header.DisableNormalizing()
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	req.SetBodyString(body)
	if err := f.client.DoTimeout(req, resp, 20*time.Second); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return newReply(resp)
}

func newReply(resp *fasthttp.Response) reply {
	r := reply{Status: resp.StatusCode(), Header: map[string]string{}, Body: bytes.Clone(resp.Body())}
	for k, v := range resp.Header.All() {
		r.Header[string(k)] = string(v)
	}
	return r
}

// keyPath is the path of a key.
func keyPath(id uuid.UUID) string { return "/api/v1/keys/" + id.String() }

// millis is the fixture's time.
func (a *accounts) millis() model.Millis { return model.Millis(a.at.Load()) }

// What was not counted yet is null; without a venue nothing is said of accounts.
func TestStatusOfAccounts(t *testing.T) {
	f := newFixture(t, testOptions{plan: "none"})
	f.status.Accounts = &AccountStatus{Known: 3, Queued: 2, Waited: 1}
	_, e := f.get(t, "/status")
	got := fmt.Sprint(e.Data["accounts"])
	want := "map[counted_at:<nil> known:3 oldest_poll_at:<nil> poll_queue:2 stale:<nil> unpolled:<nil> waited_for:1 with_positions:<nil>]"
	if got != want {
		t.Errorf("got %s", got)
	}
	f.status.Accounts = nil
	if _, e = f.get(t, "/status"); e.Data["accounts"] != nil {
		t.Errorf("got %v", e.Data["accounts"])
	}
}
