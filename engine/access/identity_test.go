package access

import (
	"context"
	"net/netip"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/config"
	"hyperlight/engine/model"
)

var plainKey = regexp.MustCompile(`^hlt_[0-9a-f]{48}$`)

// Contract 2.10.3, checklist 133.
func TestRegister(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "  You@Example.com ", "free")
	if !plainKey.MatchString(s.PlainKey) || s.Key == nil || s.Key.Prefix != s.PlainKey[:12] || s.Key.Name != "default" {
		t.Errorf("key: got %q, %+v", s.PlainKey, s.Key)
	}
	u := s.User
	if u.Email != "you@example.com" || u.Tier != "free" || u.Role != RoleUser || u.Created != startOfTests || u.TermsAccepted != startOfTests {
		t.Errorf("user: got %+v", u)
	}
	if want := model.Millis(startOfTests + 24*3600*1000); s.Expires != want {
		t.Errorf("expires: got %d, want %d", s.Expires, want)
	}
	for what, r := range map[string]Request{"header": {APIKey: s.PlainKey}, "bearer": {Bearer: s.PlainKey}, "query": {Query: s.PlainKey}, "token": {Bearer: s.Token}} {
		p, err := h.Authenticate(r)
		if err != nil || p.User != u.ID || p.Account != u.ID.String() || p.Plan.Slug != "free" || p.Local || p.Operator {
			t.Errorf("%s: got %+v, %v", what, p, err)
			continue
		}
		if p.Token != (what == "token") || (p.Key == uuid.Nil) != p.Token || (p.KeyPrefix == "") != p.Token {
			t.Errorf("%s: got %+v", what, p)
		}
	}
}

// Checklist 134.
func TestRegisterRefuses(t *testing.T) {
	h := newHouse(t)
	h.register(t, "you@example.com", "free")
	long := func(n int) string { return string(slices.Repeat([]rune{'ä'}, n)) }
	for _, c := range []struct {
		what, email, password string
		tos                   bool
		code                  model.Code
		field                 any
	}{
		{"terms", "a@example.com", goodPassword, false, model.CodeBadRequest, "tos_accepted"},
		{"email", "a@", goodPassword, true, model.CodeBadRequest, "email"},
		{"short", "a@example.com", long(7), true, model.CodeBadRequest, "password"},
		{"long", "a@example.com", long(129), true, model.CodeBadRequest, "password"},
		{"control", "a@example.com", "pass\x00word", true, model.CodeBadRequest, "password"},
		{"no text", "a@example.com", "pass\xff\xfeword", true, model.CodeBadRequest, "password"},
		{"taken", "YOU@example.COM ", goodPassword, true, model.CodeConflict, nil},
		{"shortest", "b@example.com", long(8), true, "", nil},
		{"longest", "c@example.com", long(128), true, "", nil},
	} {
		_, err := h.Register(context.Background(), c.email, c.password, c.tos)
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		refused(t, c.what, err, c.code, "")
		if field(err) != c.field {
			t.Errorf("%s: field %v, want %v", c.what, field(err), c.field)
		}
	}
	closed := newHouse(t, func(o *Options) { o.Registration = "closed" })
	_, err := closed.Register(context.Background(), "a@example.com", goodPassword, true)
	refused(t, "closed", err, model.CodeForbidden, "registration is closed")
	if _, total := closed.Users(0, 0); total != 0 {
		t.Error("a closed house took a user")
	}
}

// Checklist 135: one refusal for a wrong password and an unknown e-mail.
func TestLogin(t *testing.T) {
	h := newHouse(t)
	reg := h.register(t, "you@example.com", "free")
	s, err := h.Login(context.Background(), " YOU@example.com", goodPassword)
	if err != nil || s.User != reg.User || s.Key != nil || s.PlainKey != "" {
		t.Fatalf("got %+v, %v", s, err)
	}
	if p, err := h.Authenticate(Request{Bearer: s.Token}); err != nil || p.User != reg.User.ID {
		t.Errorf("token: got %+v, %v", p, err)
	}
	if _, err := h.CreateUser(context.Background(), UserSpec{Email: "keys@example.com"}); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string][2]string{"wrong": {"you@example.com", goodPassword + "!"}, "unknown": {"who@example.com", goodPassword},
		"no address": {"\x00", ""}, "empty": {"you@example.com", ""}, "without password": {"keys@example.com", ""}} {
		_, err := h.Login(context.Background(), c[0], c[1])
		refused(t, what, err, model.CodeUnauthorized, "invalid email or password")
	}
	if _, err := h.DisableUser("you@example.com"); err != nil {
		t.Fatal(err)
	}
	_, err = h.Login(context.Background(), "you@example.com", "not it, but long")
	refused(t, "disabled, wrong password", err, model.CodeUnauthorized, "invalid email or password")
	_, err = h.Login(context.Background(), "you@example.com", goodPassword)
	refused(t, "disabled", err, model.CodeForbidden, "account disabled")
}

// The failure table of contract 1.2, checklist 9 to 14.
func TestFailures(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.LocalPlan = "enterprise" })
	s := h.register(t, "you@example.com", "starter")
	p := h.caller(t, s.PlainKey)
	make := func(spec KeySpec) (Key, string) {
		k, plain, err := h.CreateKey(p, spec)
		if err != nil {
			t.Fatal(err)
		}
		return k, plain
	}
	_, expired := make(KeySpec{Expires: startOfTests + 1000})
	off, disabled := make(KeySpec{})
	both, expiredOff := make(KeySpec{Expires: startOfTests + 1000, AllowedIPs: []string{"10.0.0.0/8"}})
	offIP, disabledIP := make(KeySpec{AllowedIPs: []string{"10.0.0.0/8"}})
	gone, revoked := make(KeySpec{})
	_, fenced := make(KeySpec{AllowedIPs: []string{"203.0.113.7", "10.0.0.0/8", "2001:db8::/32", "::ffff:198.51.100.0/120"}})
	no := false
	for _, k := range []Key{off, both, offIP} {
		if _, err := h.PatchKey(p, k.ID, KeyPatch{Enabled: &no}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.RevokeKey(p, gone.ID); err != nil {
		t.Fatal(err)
	}
	h.pass(time.Second)
	local := Request{Peer: netip.MustParseAddrPort("127.0.0.1:9"), Host: "localhost"}
	with := func(r Request, set func(*Request)) Request { set(&r); return r }
	const none, expiry, disable, address = "missing or invalid API key", "API key expired", "API key disabled", "IP address not allowed"
	for _, c := range []struct {
		what, message string
		r             Request
	}{
		{"nothing", none, Request{}},
		{"unknown key", none, Request{APIKey: "hlt_000000000000000000000000000000000000000000000000"}},
		{"prefix only", none, Request{APIKey: "hlt_"}},
		{"upper case", none, Request{APIKey: "HLT_" + s.PlainKey[4:]}},
		{"a character more", none, Request{APIKey: s.PlainKey + "0"}},
		{"a token as key", none, Request{APIKey: s.Token}},
		{"a token in the query", none, Request{Query: s.Token}},
		{"revoked", none, Request{APIKey: revoked}},
		{"expired", expiry, Request{APIKey: expired}},
		{"disabled", disable, Request{Bearer: disabled}},
		{"expired, disabled, elsewhere", expiry, Request{Query: expiredOff}},
		{"disabled, elsewhere", disable, Request{Query: disabledIP}},
		{"elsewhere", address, with(from("203.0.113.8"), func(r *Request) { r.APIKey = fenced })},
		{"elsewhere in IPv6", address, with(from("2001:db9::1"), func(r *Request) { r.APIKey = fenced })},
		{"no address", address, Request{APIKey: fenced}},
		{"peer elsewhere", address, Request{APIKey: fenced, Peer: netip.MustParseAddrPort("9.9.9.9:1")}},
		{"peer allowed, client not", address, with(from("9.9.9.9"), func(r *Request) { r.APIKey, r.Peer = fenced, netip.MustParseAddrPort("10.0.0.1:1") })},
		{"address", "", with(from("203.0.113.7"), func(r *Request) { r.APIKey = fenced })},
		{"mapped address", "", with(from("::ffff:10.1.2.3"), func(r *Request) { r.APIKey = fenced })},
		{"mapped block", "", with(from("198.51.100.9"), func(r *Request) { r.APIKey = fenced })},
		{"IPv6 block", "", with(from("2001:db8:ffff::1%eth0"), func(r *Request) { r.APIKey = fenced })},
		{"peer", "", Request{APIKey: fenced, Peer: netip.MustParseAddrPort("10.9.9.9:1")}},
		{"header first", none, Request{APIKey: revoked, Bearer: s.PlainKey, Query: s.PlainKey}},
		{"bearer second", none, Request{Bearer: revoked, Query: s.PlainKey}},
		{"bad bearer", none, Request{Bearer: "x", Query: s.PlainKey}},
		{"header before bad ones", "", Request{APIKey: s.PlainKey, Bearer: "x", Query: "x"}},
		{"bearer before a bad query", "", Request{Bearer: s.PlainKey, Query: revoked}},
		{"local with a bad key", none, with(local, func(r *Request) { r.Query = revoked })},
		{"local", "", local},
	} {
		got, err := h.Authenticate(c.r)
		switch {
		case c.message == "" && (err != nil || got == nil):
			t.Errorf("%s: %v", c.what, err)
		case c.message == none:
			unauthorized(t, c.what, err)
		case c.message != "":
			refused(t, c.what, err, model.CodeForbidden, c.message)
		}
		if err != nil && got != nil {
			t.Errorf("%s: a principal beside an error", c.what)
		}
	}
}

// Checklist 42 and contract 6: the lower of the key's and the user's plan, from the next request on.
func TestEffectivePlan(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "you@example.com", "growth")
	p := h.caller(t, s.PlainKey)
	_, low, err := h.CreateKey(p, KeySpec{Tier: "starter"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ user, own, low string }{{"growth", "growth", "starter"}, {"free", "free", "free"}, {"enterprise", "enterprise", "starter"}} {
		if _, err := h.SetTier("YOU@example.com", c.user); err != nil {
			t.Fatal(err)
		}
		for what, got := range map[string]string{"own": h.caller(t, s.PlainKey).Plan.Slug, "low": h.caller(t, low).Plan.Slug} {
			if want := map[string]string{"own": c.own, "low": c.low}[what]; got != want {
				t.Errorf("user on %s, key %s: got %s, want %s", c.user, what, got, want)
			}
		}
		if token, err := h.Authenticate(Request{Bearer: s.Token}); err != nil || token.Plan.Slug != c.user {
			t.Errorf("user on %s: token %+v, %v", c.user, token, err)
		}
	}
	_, err = h.SetTier("you@example.com", "gold")
	refused(t, "unknown plan", err, model.CodeBadRequest, "")
	_, err = h.SetTier("who@example.com", "free")
	refused(t, "unknown user", err, model.CodeNotFound, "")
}

// Checklist 21: each key has a window of its own, and the user's tokens one together.
func TestBuckets(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.LocalPlan = "free" })
	s := h.register(t, "you@example.com", "free")
	p := h.caller(t, s.PlainKey)
	_, second, err := h.CreateKey(p, KeySpec{})
	if err != nil {
		t.Fatal(err)
	}
	token, _ := h.Authenticate(Request{Bearer: s.Token})
	h.pass(time.Minute)
	again, err := h.Login(context.Background(), "you@example.com", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	token2, _ := h.Authenticate(Request{Bearer: again.Token})
	local, _ := h.Authenticate(Request{Peer: netip.MustParseAddrPort("127.0.0.1:9"), Host: "localhost"})
	q := h.caller(t, second)
	seen := map[BucketID]bool{p.Bucket: true, q.Bucket: true, token.Bucket: true, local.Bucket: true}
	if len(seen) != 4 || token.Bucket != token2.Bucket || p.Account != q.Account || p.Account != token.Account {
		t.Errorf("buckets %x %x %x %x, accounts %s %s %s", p.Bucket, q.Bucket, token.Bucket, local.Bucket, p.Account, q.Account, token.Account)
	}
}

func TestSetPlans(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.LocalPlan, o.DefaultTier = "enterprise", "free" })
	s := h.register(t, "you@example.com", "growth")
	free := h.register(t, "free@example.com", "free")
	local := Request{Peer: netip.MustParseAddrPort("127.0.0.1:9"), Host: "localhost"}
	before, unmoved := h.caller(t, s.PlainKey), h.caller(t, free.PlainKey)
	at, _ := h.Authenticate(local)
	changed := h.Changed()
	table := config.DefaultPlans()
	table[2].RequestsPerMinute = 7
	if err := h.SetPlans(table); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was woken")
	}
	if p, err := h.Recheck(before, netip.Addr{}); err != nil || p == before || p.Plan.RequestsPerMinute != 7 {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := h.Recheck(unmoved, netip.Addr{}); err != nil || p != unmoved {
		t.Errorf("a caller whose plan is as before moved: %+v, %v", p, err)
	}
	if p, err := h.Recheck(at, netip.Addr{}); err != nil || p != at {
		t.Errorf("the local caller moved: %+v, %v", p, err)
	}
	// A plan that is gone: its users fall to the lowest. One that a setting names may not go.
	if err := h.SetPlans(slices.Delete(config.DefaultPlans(), 2, 3)); err != nil {
		t.Fatal(err)
	}
	if p := h.caller(t, s.PlainKey); p.Plan.Slug != "free" {
		t.Errorf("got %s, want the lowest plan", p.Plan.Slug)
	}
	for what, table := range map[string][]config.Plan{"local": config.DefaultPlans()[:4], "default": config.DefaultPlans()[1:], "none": nil,
		"twice": append(config.DefaultPlans(), config.DefaultPlans()[0])} {
		if h.SetPlans(table) == nil {
			t.Errorf("%s: the table was taken", what)
		}
	}
	if got := len(h.Plans()); got != 4 {
		t.Errorf("a refused table changed the plans: %d", got)
	}
	if err := h.SetPlans(config.DefaultPlans()); err != nil {
		t.Fatal(err)
	}
	if p := h.caller(t, s.PlainKey); p.Plan.Slug != "growth" || p.Plan.RequestsPerMinute != 3000 {
		t.Errorf("got %+v", p.Plan)
	}
}

func TestRecheck(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.LocalPlan = "free" })
	s := h.register(t, "you@example.com", "free")
	p := h.caller(t, s.PlainKey)
	token, _ := h.Authenticate(Request{Bearer: s.Token})
	addr := netip.MustParseAddr("10.0.0.1")
	for _, c := range []*Principal{p, token} {
		if got, err := h.Recheck(c, addr); err != nil || got != c {
			t.Errorf("nothing changed: got %+v, %v", got, err)
		}
	}
	_, err := h.Recheck(nil, addr)
	unauthorized(t, "nobody", err)
	list := []string{"10.0.0.2"}
	if _, err := h.PatchKey(p, p.Key, KeyPatch{AllowedIPs: &list}); err != nil {
		t.Fatal(err)
	}
	_, err = h.Recheck(p, addr)
	refused(t, "address", err, model.CodeForbidden, "IP address not allowed")
	if got, err := h.Recheck(p, netip.MustParseAddr("::ffff:10.0.0.2")); err != nil || got != p {
		t.Errorf("got %+v, %v", got, err)
	}
	until := model.Millis(startOfTests + 1000)
	if _, err := h.PatchKey(p, p.Key, KeyPatch{Expires: &until, AllowedIPs: &[]string{}}); err != nil {
		t.Fatal(err)
	}
	h.pass(time.Second)
	_, err = h.Recheck(p, addr)
	refused(t, "expired", err, model.CodeForbidden, "API key expired")
	changed := h.Changed()
	if _, err := h.RevokeKey(token, p.Key); err != nil {
		t.Fatal(err)
	}
	<-changed
	_, err = h.Recheck(p, addr)
	unauthorized(t, "revoked", err)
	// A disabled user: keys are disabled, sign-ins over.
	other, plain, err := h.CreateKey(token, KeySpec{})
	if err != nil {
		t.Fatal(err)
	}
	q := h.caller(t, plain)
	if _, err := h.DisableUser("you@example.com"); err != nil {
		t.Fatal(err)
	}
	_, err = h.Recheck(q, addr)
	refused(t, "disabled user's key", err, model.CodeForbidden, "API key disabled")
	_, err = h.Recheck(token, addr)
	unauthorized(t, "disabled user's token", err)
	_, err = h.Authenticate(Request{Bearer: s.Token})
	unauthorized(t, "disabled user's token in a call", err)
	if rows, _, err := h.KeysOf("you@example.com", 0, 0); err != nil || len(rows) != 1 || rows[0].ID != other.ID || rows[0].Status != StatusDisabled {
		t.Errorf("got %+v, %v", rows, err)
	}
}

// Signals ask how many of them a user's plan in force allows; a key's own plan does not matter, and nobody has none.
func TestSignalLimit(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "you@example.com", "growth")
	p := h.caller(t, s.PlainKey)
	want := func(limit int) {
		t.Helper()
		if got := h.SignalLimit(s.User.ID); got != limit {
			t.Errorf("got %d, want %d", got, limit)
		}
	}
	want(100)
	free := "free"
	if _, err := h.PatchKey(p, p.Key, KeyPatch{Tier: &free}); err != nil {
		t.Fatal(err)
	}
	want(100)
	changed := h.Changed()
	if _, err := h.SetTier("you@example.com", "enterprise"); err != nil {
		t.Fatal(err)
	}
	<-changed
	want(Unlimited)
	if err := h.SetPlans(config.DefaultPlans()[:1]); err != nil {
		t.Fatal(err)
	}
	want(3)
	if got := h.SignalLimit(uuid.New()); got != 0 {
		t.Errorf("nobody has %d", got)
	}
}

// Signals ask whether their owner is still admitted: nothing is sent for a user who was disabled, or who never was.
func TestAdmits(t *testing.T) {
	h := newHouse(t)
	u := h.register(t, "you@example.com", "free").User
	if !h.Admits(u.ID) || h.Admits(uuid.New()) || h.Admits(uuid.Nil) {
		t.Error("a user is not admitted, or somebody who is none is")
	}
	if _, err := h.DisableUser(u.Email); err != nil || h.Admits(u.ID) {
		t.Errorf("a disabled user is admitted, %v", err)
	}
	if _, err := h.EnableUser(u.Email); err != nil || !h.Admits(u.ID) {
		t.Errorf("a user who is enabled again is not admitted, %v", err)
	}
}
