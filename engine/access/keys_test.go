package access

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/model"
)

// Contract 2.9, checklist 137, 138, 140.
func TestKeys(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "you@example.com", "starter")
	p := h.caller(t, s.PlainKey)
	h.pass(time.Second)
	until := model.Millis(startOfTests + 3600_000)
	k, plain, err := h.CreateKey(p, KeySpec{Name: " prod ", AllowedIPs: []string{"10.0.0.9/8", " 2001:db8::1", "10.0.0.0/8"}, Expires: until, Tier: "free"})
	if err != nil || !plainKey.MatchString(plain) {
		t.Fatal(plain, err)
	}
	if k.Name != "prod" || k.User != p.User || k.Prefix != plain[:12] || k.Tier != "free" || k.Status != StatusActive ||
		k.Created != startOfTests+1000 || k.Expires != until || k.LastUsed != 0 || !slices.Equal(k.Allowed(), []string{"10.0.0.0/8", "2001:db8::1"}) {
		t.Errorf("got %+v", k)
	}
	rows, total, err := h.Keys(p, 50, 0)
	if err != nil || total != 2 || rows[0].ID != p.Key || rows[0].LastUsed != startOfTests || rows[0].Tier != "starter" || rows[1].ID != k.ID {
		t.Errorf("got %+v, %d, %v", rows, total, err)
	}
	if rows, total, _ := h.Keys(p, 1, 1); total != 2 || len(rows) != 1 || rows[0].ID != k.ID {
		t.Errorf("second page: got %+v, %d", rows, total)
	}
	if rows, total, _ := h.Keys(p, 5, 9); total != 2 || len(rows) != 0 {
		t.Errorf("past the end: got %+v, %d", rows, total)
	}
	name, tier, none, off, never := "", "", []string{}, false, model.Millis(0)
	got, err := h.PatchKey(p, k.ID, KeyPatch{Name: &name, Tier: &tier, AllowedIPs: &none, Enabled: &off, Expires: &never})
	if err != nil || got.Name != "default" || got.Tier != "starter" || len(got.Allowed()) != 0 || got.Status != StatusDisabled || got.Expires != 0 {
		t.Errorf("patched: got %+v, %v", got, err)
	}
	if again, _ := h.PatchKey(p, k.ID, KeyPatch{}); again.Name != got.Name || again.Status != got.Status || again.Tier != got.Tier {
		t.Errorf("an empty patch: got %+v", again)
	}
	on := true
	if _, err := h.PatchKey(p, k.ID, KeyPatch{Enabled: &on}); err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{s.PlainKey, plain} { // rotation: both work
		h.caller(t, plain)
	}
	h.pass(time.Minute)
	at, err := h.RevokeKey(p, k.ID)
	if err != nil || at != h.millis() {
		t.Errorf("revoked at %d, %v", at, err)
	}
	_, err = h.Authenticate(Request{APIKey: plain})
	unauthorized(t, "revoked", err)
	for what, id := range map[string]uuid.UUID{"second delete": k.ID, "never made": uuid.Max, "nil": uuid.Nil} {
		_, err := h.RevokeKey(p, id)
		refused(t, what, err, model.CodeNotFound, "")
		_, err = h.PatchKey(p, id, KeyPatch{})
		refused(t, what, err, model.CodeNotFound, "")
	}
}

func TestKeysRefuse(t *testing.T) {
	h := newHouse(t)
	p := h.caller(t, h.register(t, "you@example.com", "starter").PlainKey)
	many := make([]string, 101)
	for i := range many {
		many[i] = "10.0.0.1"
	}
	for _, c := range []struct {
		what  string
		spec  KeySpec
		code  model.Code
		field any
	}{
		{"name", KeySpec{Name: strings.Repeat("x", 101)}, model.CodeBadRequest, "name"},
		{"name with a line end", KeySpec{Name: "a\nb"}, model.CodeBadRequest, "name"},
		{"name of no text", KeySpec{Name: "\xff"}, model.CodeBadRequest, "name"},
		{"address", KeySpec{AllowedIPs: []string{"10.0.0"}}, model.CodeBadRequest, "allowed_ips"},
		{"mask", KeySpec{AllowedIPs: []string{"10.0.0.0/33"}}, model.CodeBadRequest, "allowed_ips"},
		{"zone", KeySpec{AllowedIPs: []string{"fe80::1%eth0"}}, model.CodeBadRequest, "allowed_ips"},
		{"zone in a block", KeySpec{AllowedIPs: []string{"fe80::1%eth0/64"}}, model.CodeBadRequest, "allowed_ips"},
		{"host", KeySpec{AllowedIPs: []string{"localhost"}}, model.CodeBadRequest, "allowed_ips"},
		{"empty", KeySpec{AllowedIPs: []string{""}}, model.CodeBadRequest, "allowed_ips"},
		{"more than the mapped", KeySpec{AllowedIPs: []string{"::ffff:0.0.0.0/90"}}, model.CodeBadRequest, "allowed_ips"},
		{"too many", KeySpec{AllowedIPs: many}, model.CodeBadRequest, "allowed_ips"},
		{"past", KeySpec{Expires: startOfTests}, model.CodeBadRequest, "expires_at"},
		{"negative", KeySpec{Expires: -1}, model.CodeBadRequest, "expires_at"},
		{"plan", KeySpec{Tier: "gold"}, model.CodeBadRequest, "tier"},
		{"plan above", KeySpec{Tier: "growth"}, model.CodeForbidden, "tier"},
	} {
		_, plain, err := h.CreateKey(p, c.spec)
		refused(t, c.what, err, c.code, "")
		if field(err) != c.field || plain != "" {
			t.Errorf("%s: field %v, key %q", c.what, field(err), plain)
		}
		patch := KeyPatch{Name: &c.spec.Name, AllowedIPs: &c.spec.AllowedIPs, Expires: &c.spec.Expires, Tier: &c.spec.Tier}
		_, err = h.PatchKey(p, p.Key, patch)
		refused(t, c.what, err, c.code, "")
	}
	if k, _, _ := h.Keys(p, 0, 0); len(k) != 1 || k[0].Name != "default" {
		t.Errorf("a refused call left something: %+v", k)
	}
}

// A plan's number counts active keys: neither disabling nor expiry is a way around it.
func TestKeysPerPlan(t *testing.T) {
	h := newHouse(t)
	p := h.caller(t, h.register(t, "you@example.com", "free").PlainKey) // 2 keys
	until := model.Millis(startOfTests + 1000)
	second, _, err := h.CreateKey(p, KeySpec{Expires: until})
	if err != nil {
		t.Fatal(err)
	}
	full := func(what string, err error) {
		t.Helper()
		refused(t, what, err, model.CodeForbidden, "")
		if e, _ := err.(*model.Error); e == nil || e.Details["limit"] != 2 {
			t.Errorf("%s: details of %v", what, err)
		}
	}
	_, _, err = h.CreateKey(p, KeySpec{})
	full("third", err)
	h.pass(time.Second) // the second has expired
	third, _, err := h.CreateKey(p, KeySpec{})
	if err != nil {
		t.Fatal(err)
	}
	never := model.Millis(0)
	_, err = h.PatchKey(p, second.ID, KeyPatch{Expires: &never})
	full("expired one back", err)
	off, on := false, true
	if _, err := h.PatchKey(p, third.ID, KeyPatch{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.PatchKey(p, second.ID, KeyPatch{Expires: &never}); err != nil {
		t.Fatal(err)
	}
	_, err = h.PatchKey(p, third.ID, KeyPatch{Enabled: &on})
	full("disabled one back", err)
	if _, err := h.PatchKey(p, third.ID, KeyPatch{Name: new(string)}); err != nil {
		t.Errorf("a disabled key can be renamed on a full plan: %v", err)
	}
	if _, err := h.RevokeKey(p, second.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.PatchKey(p, third.ID, KeyPatch{Enabled: &on}); err != nil {
		t.Error(err)
	}
}

// Checklist 143: another user's key is not found, on every function.
func TestKeysOfOthers(t *testing.T) {
	h := newHouse(t)
	mine := h.caller(t, h.register(t, "me@example.com", "free").PlainKey)
	yours := h.caller(t, h.register(t, "you@example.com", "free").PlainKey)
	off := false
	_, err := h.PatchKey(mine, yours.Key, KeyPatch{Enabled: &off})
	refused(t, "patch", err, model.CodeNotFound, "API key not found")
	_, err = h.RevokeKey(mine, yours.Key)
	refused(t, "revoke", err, model.CodeNotFound, "API key not found")
	if rows, total, err := h.Keys(mine, 50, 0); err != nil || total != 1 || rows[0].ID != mine.Key {
		t.Errorf("got %+v, %d, %v", rows, total, err)
	}
	for what, p := range map[string]*Principal{"local": {Local: true}, "nobody": nil, "unknown user": {User: uuid.Max}} {
		_, _, err := h.CreateKey(p, KeySpec{})
		refused(t, what, err, model.CodeUnauthorized, "keys need a user")
		_, _, err = h.Keys(p, 50, 0)
		refused(t, what, err, model.CodeUnauthorized, "keys need a user")
		_, err = h.PatchKey(p, mine.Key, KeyPatch{})
		refused(t, what, err, model.CodeUnauthorized, "keys need a user")
		_, err = h.RevokeKey(p, mine.Key)
		refused(t, what, err, model.CodeUnauthorized, "keys need a user")
	}
}

func TestOperator(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.DefaultTier = "starter" })
	ctx := context.Background()
	u, err := h.CreateUser(ctx, UserSpec{Email: "Op@example.com", Tier: "scale", Role: RoleOperator, Password: goodPassword})
	if err != nil || u.Email != "op@example.com" || u.Tier != "scale" || u.Role != RoleOperator || u.TermsAccepted != 0 {
		t.Fatal(u, err)
	}
	if plain, err := h.CreateUser(ctx, UserSpec{Email: "b@example.com"}); err != nil || plain.Tier != "starter" || plain.Role != RoleUser {
		t.Error(plain, err)
	}
	for what, s := range map[string]UserSpec{"email": {Email: "x"}, "tier": {Email: "c@example.com", Tier: "gold"}, "role": {Email: "c@example.com", Role: "root"},
		"password": {Email: "c@example.com", Password: "short"}} {
		_, err := h.CreateUser(ctx, s)
		refused(t, what, err, model.CodeBadRequest, "")
		if field(err) != what {
			t.Errorf("%s: field %v", what, field(err))
		}
	}
	_, err = h.CreateUser(ctx, UserSpec{Email: "OP@example.com"})
	refused(t, "taken", err, model.CodeConflict, "")
	if rows, total := h.Users(0, 0); total != 2 || rows[0].ID != u.ID || rows[1].Email != "b@example.com" {
		t.Errorf("got %+v, %d", rows, total)
	}
	if rows, total := h.Users(1, 1); total != 2 || len(rows) != 1 || rows[0].Email != "b@example.com" {
		t.Errorf("second page: got %+v, %d", rows, total)
	}
	s, err := h.Login(ctx, "op@example.com", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := h.Authenticate(Request{Bearer: s.Token}); err != nil || !p.Operator {
		t.Error(p, err)
	}
	k, plain, err := h.CreateKeyFor("b@example.com ", KeySpec{Name: "bot"})
	if err != nil {
		t.Fatal(err)
	}
	if p := h.caller(t, plain); p.Operator || p.Key != k.ID {
		t.Errorf("got %+v", p)
	}
	_, _, err = h.CreateKeyFor("who@example.com", KeySpec{})
	refused(t, "key of nobody", err, model.CodeNotFound, "")
	_, _, err = h.KeysOf("who@example.com", 0, 0)
	refused(t, "keys of nobody", err, model.CodeNotFound, "")
	_, err = h.DisableUser("who@example.com")
	refused(t, "disable nobody", err, model.CodeNotFound, "")
	if rows, total, err := h.KeysOf("", 10, 0); err != nil || total != 1 || rows[0].ID != k.ID {
		t.Errorf("got %+v, %d, %v", rows, total, err)
	}
	if _, err := h.RevokeKeyByID(k.ID); err != nil {
		t.Error(err)
	}
	_, err = h.RevokeKeyByID(k.ID)
	refused(t, "revoke twice", err, model.CodeNotFound, "")
	_, err = h.Authenticate(Request{APIKey: plain})
	unauthorized(t, "revoked", err)
}
