package http

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"hyperlight/engine/access"
	"hyperlight/engine/signal/desk"
)

// verdict is what a caller must get; the message is compared where it is set.
type verdict struct {
	status        int
	code, message string
}

var (
	refused  = verdict{401, "unauthorized", "missing or invalid API key"}
	expired  = verdict{403, "forbidden", "API key expired"}
	disabled = verdict{403, "forbidden", "API key disabled"}
	address  = verdict{403, "forbidden", "IP address not allowed"}
	needUser = verdict{401, "unauthorized", "this call needs a user, send an API key or a token"}
	needJWT  = verdict{401, "unauthorized", "JWT required"}
)

// credential is one state that a caller can be in.
type credential struct {
	name    string
	headers []string
	query   string
	from    string // the client's address behind the proxy; "" is a call from this machine
	kind    string // none, local, key, token, or bad
	bad     verdict
	low     bool // a plan below the locked route's
}

// forge signs a token as a thief of everything but the secret would, or of the secret too.
func forge(t *testing.T, genuine string, secret any, method jwt.SigningMethod, change func(h map[string]any, c jwt.MapClaims)) string {
	t.Helper()
	c := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(genuine, c)
	if err != nil {
		t.Fatal(err)
	}
	j := jwt.NewWithClaims(method, c)
	j.Header["kid"] = parsed.Header["kid"]
	if change != nil {
		change(j.Header, c)
	}
	text, err := j.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// credentials makes every state; those that let in belong to owner@example.com.
func (a *accounts) credentials(t *testing.T) []credential {
	const owner = "owner@example.com"
	_, token := a.member(t, owner, "enterprise", "")
	_, good := a.key(t, owner, access.KeySpec{})
	make := func(s access.KeySpec) (access.Key, string) { return a.key(t, owner, s) }
	principal := func(plain string) *access.Principal {
		p, err := a.rules.Authenticate(access.Request{APIKey: plain})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	dead, deleted := make(access.KeySpec{})
	if _, err := a.rules.RevokeKey(principal(deleted), dead.ID); err != nil {
		t.Fatal(err)
	}
	off, switchedOff := make(access.KeySpec{})
	if _, err := a.rules.PatchKey(principal(switchedOff), off.ID, access.KeyPatch{Enabled: new(bool)}); err != nil {
		t.Fatal(err)
	}
	_, short := make(access.KeySpec{Expires: a.millis() + 1000})
	_, bound := make(access.KeySpec{AllowedIPs: []string{"203.0.113.7", "198.51.100.0/24", "2001:db8:1::/48"}})
	_, low := make(access.KeySpec{Tier: "free"})
	_, gone := a.member(t, "gone@example.com", "enterprise", "")
	_, goneKey := a.key(t, "gone@example.com", access.KeySpec{})
	if _, err := a.rules.DisableUser("gone@example.com"); err != nil {
		t.Fatal(err)
	}
	_, operator := a.member(t, "operator@example.com", "enterprise", access.RoleOperator)
	_, operatorKey := a.key(t, "operator@example.com", access.KeySpec{})
	a.advance(2 * time.Second)
	unknown := "hlt_" + strings.Repeat("0", 48)
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	past := func(_ map[string]any, c jwt.MapClaims) {
		c["exp"] = a.at.Load()/1000 - 3600
		c["iat"] = a.at.Load()/1000 - 7200
	}
	claim := func(name string, v any) func(map[string]any, jwt.MapClaims) {
		return func(_ map[string]any, c jwt.MapClaims) { c[name] = v }
	}
	list := []credential{
		{name: "none", kind: "none"},
		{name: "another scheme", kind: "none", headers: []string{"Authorization", "Basic b3duZXI6eA=="}},
		{name: "cookie", kind: "none", headers: []string{"Cookie", "__Host-hl_session=" + token}},
		{name: "local", kind: "local", from: "-"},
		{name: "local with a bad key", kind: "bad", from: "-", headers: []string{"X-Api-Key", unknown}, bad: refused},
		{name: "key in the header", kind: "key", headers: []string{"X-Api-Key", good}},
		{name: "key as bearer", kind: "key", headers: bearer(good)},
		{name: "key as bearer, lower case", kind: "key", headers: []string{"authorization", "bearer " + good}},
		{name: "key in the query", kind: "key", query: "api_key=" + good},
		{name: "key in the query, escaped", kind: "key", query: "%61pi_key=" + good},
		{name: "good first, bad second", kind: "key", headers: []string{"X-Api-Key", good}, query: "api_key=" + unknown},
		{name: "bad first, good second", kind: "bad", headers: append(bearer(good), "X-Api-Key", unknown), bad: refused},
		{name: "bad bearer, good query", kind: "bad", headers: bearer(unknown), query: "api_key=" + good, bad: refused},
		{name: "unknown key", kind: "bad", headers: []string{"X-Api-Key", unknown}, bad: refused},
		{name: "upper-case key", kind: "bad", headers: []string{"X-Api-Key", strings.ToUpper(good)}, bad: refused},
		{name: "half a key", kind: "bad", headers: []string{"X-Api-Key", good[:20]}, bad: refused},
		{name: "key with a tail", kind: "bad", headers: []string{"X-Api-Key", good + "0"}, bad: refused},
		{name: "the hash of nothing", kind: "bad", headers: []string{"X-Api-Key", "hlt_"}, bad: refused},
		{name: "deleted key", kind: "bad", headers: []string{"X-Api-Key", deleted}, bad: refused},
		{name: "disabled key", kind: "bad", headers: []string{"X-Api-Key", switchedOff}, bad: disabled},
		{name: "expired key", kind: "bad", headers: []string{"X-Api-Key", short}, bad: expired},
		{name: "key of a disabled user", kind: "bad", headers: []string{"X-Api-Key", goneKey}, bad: disabled},
		{name: "address not allowed", kind: "bad", headers: []string{"X-Api-Key", bound}, from: "203.0.113.8", bad: address},
		{name: "IPv6 address not allowed", kind: "bad", headers: []string{"X-Api-Key", bound}, from: "2001:db8:2::1", bad: address},
		{name: "address allowed", kind: "key", headers: []string{"X-Api-Key", bound}, from: "203.0.113.7"},
		{name: "address in a block", kind: "key", headers: []string{"X-Api-Key", bound}, from: "198.51.100.200"},
		{name: "IPv4 mapped address in a block", kind: "key", headers: []string{"X-Api-Key", bound}, from: "::ffff:198.51.100.9"},
		{name: "IPv6 address in a block", kind: "key", headers: []string{"X-Api-Key", bound}, from: "2001:db8:1:2::3"},
		{name: "token", kind: "token", headers: bearer(token)},
		{name: "token as API key", kind: "bad", headers: []string{"X-Api-Key", token}, bad: refused},
		{name: "token in the query", kind: "bad", query: "api_key=" + token, bad: refused},
		{name: "expired token", kind: "bad", headers: bearer(forge(t, token, testSecret, jwt.SigningMethodHS256, past)), bad: refused},
		{name: "token that never expires", kind: "bad", headers: bearer(forge(t, token, testSecret, jwt.SigningMethodHS256, claim("exp", nil))), bad: refused},
		{name: "token for a hundred years", kind: "bad", headers: bearer(forge(t, token, testSecret, jwt.SigningMethodHS256, claim("exp", a.at.Load()/1000+3e9))), bad: refused},
		{name: "token of another secret", kind: "bad", headers: bearer(forge(t, token, []byte("another secret"), jwt.SigningMethodHS256, nil)), bad: refused},
		{name: "token of no secret", kind: "bad", headers: bearer(forge(t, token, []byte{}, jwt.SigningMethodHS256, nil)), bad: refused},
		{name: "token without a signature", kind: "bad", headers: bearer(forge(t, token, jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone, nil)), bad: refused},
		{name: "token of another method", kind: "bad", headers: bearer(forge(t, token, testSecret, jwt.SigningMethodHS512, nil)), bad: refused},
		{name: "token of another issuer", kind: "bad", headers: bearer(forge(t, token, testSecret, jwt.SigningMethodHS256, claim("iss", "somebody"))), bad: refused},
		{name: "token of another session", kind: "bad", headers: bearer(forge(t, token, testSecret, jwt.SigningMethodHS256, claim("sv", 77))), bad: refused},
		{name: "token of nobody", kind: "bad", headers: bearer(forge(t, token, testSecret, jwt.SigningMethodHS256, claim("sub", "c0a8012e-0d0c-4a53-9f0f-0f6f1d3c7a01"))), bad: refused},
		{name: "token with its last letter changed", kind: "bad", headers: bearer(token[:len(token)-2] + "AA"), bad: refused},
		{name: "token of a disabled user", kind: "bad", headers: bearer(gone), bad: refused},
		{name: "nonsense as bearer", kind: "bad", headers: bearer("nonsense"), bad: refused},
		{name: "key of a lower plan", kind: "key", headers: []string{"X-Api-Key", low}, low: true},
		{name: "operator's key", kind: "key", headers: []string{"X-Api-Key", operatorKey}},
		{name: "operator's token", kind: "token", headers: bearer(operator)},
	}
	for i := range list {
		if list[i].from == "" {
			list[i].from = fmt.Sprintf("192.0.2.%d", i+1)
		}
	}
	return list
}

// want is the matrix: what a state gets on a class of routes. ok is what the route answers to those it lets in.
func (s *credential) want(class authClass, ok verdict) verdict {
	switch {
	case class == authNone || class == authSocket || class == authSigned:
		return ok
	case s.kind == "bad":
		return s.bad
	case class == authOptional || class == authRelay:
		return ok
	case s.kind == "none":
		return refused
	case class == authUser && s.kind == "local":
		return needUser
	case class == authJWT && s.kind != "token":
		return needJWT
	}
	return ok
}

// Every route in every state of a credential gives exactly the status and the code that the contract says.
func TestAuthorizationMatrix(t *testing.T) {
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "enterprise", edit: func(o *Options) {
		o.TrustedProxies, o.Relay, o.AllowAnonymous = loopbackProxies, &fakeRelay{}, true
	}}})
	locked := a.lock("/api/v1/data-quality/gaps", "growth")
	rows := append([]*route{
		{method: "GET", pattern: "/nothing/here", auth: authOptional}, {method: "GET", pattern: "/api/v1/signals/a/nothing", auth: authOptional},
		{method: "PUT", pattern: "/api/v1/orderbook/0", auth: authOptional},
	}, a.routes...)
	rows = append(rows, &route{method: "GET", pattern: "/api/v1/nextNonce", auth: authRelay}, &route{method: "POST", pattern: "/api/v1/sendTx", auth: authRelay},
		&route{method: "GET", pattern: "/api/v1/candles?market_id=0&count_back=1", auth: authRelay})
	states := a.credentials(t)
	if len(states) < 18 {
		t.Fatalf("only %d states", len(states))
	}
	for i := range states {
		s := &states[i]
		a.advance(61 * time.Second) // every state finds its windows empty
		for at, r := range rows {
			if at%25 == 24 {
				a.advance(61 * time.Second) // there are more routes than the lowest plan has calls in a minute
			}
			path, body, ok := a.example(t, r, s)
			if s.query != "" {
				path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + s.query
			}
			headers := s.headers
			if s.from != "-" {
				headers = append([]string{"X-Forwarded-For", s.from}, headers...)
			}
			got := a.send(t, r.method, path, body, headers...)
			want := s.want(r.auth, ok)
			if r.pattern == "/api/v1/funding-rates" && s.kind == "none" {
				want = verdict{status: 299} // native: the anonymous allowance covers it (contract 9.8)
			}
			if r.needs != nil && want == ok && s.low {
				want = verdict{403, "forbidden", "this endpoint requires the starter tier or above"}
			}
			if r == locked && want == ok && s.low {
				want = verdict{403, "forbidden", "this endpoint requires the growth tier or above"}
			}
			if r.pattern == "/replay/api/v1/{call}" && want == ok && s.low {
				want = verdict{403, "forbidden", "replay is not part of the free tier"}
			}
			if got.Status != want.status {
				t.Errorf("%s: %s %s: got %d, want %d: %s", s.name, r.method, r.pattern, got.Status, want.status, got.Body)
				continue
			}
			if want.code != "" {
				e := got.envelope(t)
				if e.Data["code"] != want.code || want.message != "" && e.Data["message"] != want.message {
					t.Errorf("%s: %s %s: got %v, want %v", s.name, r.method, r.pattern, e.Data, want)
				}
			}
			if got.Header["X-Ratelimit-Limit"] == "" || got.Header["X-Ratelimit-Remaining"] == "" || got.Header["X-Ratelimit-Reset"] == "" {
				t.Errorf("%s: %s %s: rate headers are missing: %v", s.name, r.method, r.pattern, got.Header)
			}
		}
	}
	// What the tests of the whole file forget must not be the secrets themselves.
	// A key's prefix, its first 12 characters, may be shown.
	secret := regexp.MustCompile(`hlt_[0-9a-f]{9}|eyJ|` + regexp.QuoteMeta(testPassword))
	if at := secret.FindStringIndex(a.logs.String()); at != nil {
		t.Errorf("the log holds %q", a.logs.String()[max(0, at[0]-200):at[1]])
	}
}

// lock puts a route under a plan.
func (a *accounts) lock(pattern, plan string) *route {
	for _, r := range a.routes {
		if r.pattern == pattern {
			r.plan = plan
			return r
		}
	}
	return nil
}

// owner is whose the credential is, where it lets in.
func (s *credential) owner() string {
	if strings.HasPrefix(s.name, "operator") {
		return "operator@example.com"
	}
	return "owner@example.com"
}

// example returns a request that the route answers well where it lets the caller in, and that answer.
func (a *accounts) example(t *testing.T, r *route, s *credential) (path, body string, ok verdict) {
	path, ok = strings.NewReplacer("{market_id}", "0", "{account_id}", "42", "{file}", setupStyle.name, "{call}", firstCalls[0]).Replace(r.pattern), verdict{status: 200}
	if strings.HasPrefix(r.pattern, "/api/v1/data-lake/") {
		return exampleLakePath(r.pattern), "", ok
	}
	switch r.method + " " + r.pattern {
	case "GET /api/v1/candles", "GET /api/v1/trades/aggregate", "GET /api/v1/funding-rates/history", "GET /api/v1/data-quality/coverage",
		"GET /api/v1/data-quality/gaps":
		path += "?market_id=0"
	case "POST /api/v1/accounts/batch", "POST /api/v1/accounts/batch/fills", "POST /api/v1/accounts/batch/positions",
		"POST /api/v1/accounts/batch/liquidations":
		body = `{"accounts":[42]}`
	case "POST /api/v1/keys":
		ok.status = 201
	case "PATCH /api/v1/keys/{key_id}", "DELETE /api/v1/keys/{key_id}", "GET /api/v1/keys/{key_id}/usage":
		k, _ := a.key(t, s.owner(), access.KeySpec{})
		path = strings.Replace(path, "{key_id}", k.ID.String(), 1)
	case "POST /api/v1/auth/register":
		ok = verdict{400, "bad_request", ""}
	case "POST /api/v1/auth/login":
		body, ok = `{"email":"a@example.com"}`, verdict{401, "unauthorized", "invalid email or password"}
	case "POST /setup":
		ok = verdict{401, "unauthorized", ""}
	case "POST /api/v1/billing/checkout", "POST /api/v1/billing/portal", "POST /api/v1/billing/webhook":
		ok = verdict{503, "service_unavailable", "billing is not configured"}
	case "POST /api/v1/signals":
		for _, made := range a.signals() {
			if err := a.desk.Delete(desk.Anyone, made.ID); err != nil { // the lower plan has three
				t.Fatal(err)
			}
		}
		body, ok.status = testSignal, 201
	case "GET /api/v1/signals/{signal_id}", "PATCH /api/v1/signals/{signal_id}", "DELETE /api/v1/signals/{signal_id}",
		"GET /api/v1/signals/{signal_id}/backtest", "POST /api/v1/signals/{signal_id}/deliveries/{delivery_id}/resend":
		path = strings.NewReplacer("{signal_id}", a.signalOf(t, s.owner()).String(), "{delivery_id}", uuid.NewString()).Replace(path)
		if strings.HasSuffix(path, "/backtest") {
			path += "?start=2024-01-31&end=2024-02-01"
		}
		if r.status == 202 {
			ok = verdict{404, "not_found", "delivery not found"}
		}
	case "GET /nothing/here", "GET /api/v1/signals/a/nothing":
		ok = verdict{404, "not_found", ""}
	case "PUT /api/v1/orderbook/0":
		ok = verdict{405, "method_not_allowed", ""}
	case "GET /api/v1/nextNonce", "POST /api/v1/sendTx", "GET /api/v1/candles?market_id=0&count_back=1":
		ok.status = 299
	}
	if r.auth == authSocket {
		ok.status = 101
	}
	return path, body, ok
}
