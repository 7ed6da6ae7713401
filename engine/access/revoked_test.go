package access

import (
	"context"
	"testing"
	"time"

	"hyperlight/engine/model"
)

// What a key used can be told after it was revoked, also by the next process, until its usage is gone; a key that was
// never used leaves nothing, and neither of them lets anybody in.
func TestRevokedKeys(t *testing.T) {
	h := newHouse(t)
	s := h.register(t, "a@example.com", "starter")
	other := h.register(t, "b@example.com", "starter")
	p := h.caller(t, s.PlainKey)
	used, plain, err := h.CreateKey(p, KeySpec{Name: "bot"})
	if err != nil {
		t.Fatal(err)
	}
	unused, _, err := h.CreateKey(p, KeySpec{Name: "never"})
	if err != nil {
		t.Fatal(err)
	}
	now := h.millis()
	h.Settle(h.caller(t, plain), Use{Route: h.Route("GET /x"), Status: 200}, now)
	for _, k := range []Key{used, unused} {
		if _, err := h.RevokeKey(p, k.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.write(); err != nil {
		t.Fatal(err)
	}
	check := func(name string, h *house, email string, want int) {
		t.Helper()
		rows, total, err := h.RevokedKeys(email, 0, 0)
		if err != nil || total != want || len(rows) != want {
			t.Fatalf("%s: got %+v, %d, %v", name, rows, total, err)
		}
		if _, total, _ := h.KeysOf("", 0, 0); total != 2 {
			t.Errorf("%s: %d keys are listed", name, total)
		}
		_, err = h.Authenticate(Request{APIKey: plain})
		unauthorized(t, name, err)
		if want == 0 {
			return
		}
		k := rows[0]
		if k.ID != used.ID || k.User != s.User.ID || k.Name != "bot" || k.Prefix != plain[:12] || k.Status != StatusRevoked || k.LastUsed != now {
			t.Errorf("%s: got %+v", name, k)
		}
		if _, c, err := h.UsageOf(k.ID, now-1, now+1); err != nil || c.Requests != 1 {
			t.Errorf("%s: usage %+v, %v", name, c, err)
		}
	}
	check("all", h, "", 1)
	check("its user", h, "A@example.com", 1)
	check("another user", h, other.User.Email, 0)
	_, _, err = h.RevokedKeys("who@example.com", 0, 0)
	refused(t, "of nobody", err, model.CodeNotFound, "")
	if rows, total, err := h.RevokedKeys("", 1, 1); err != nil || total != 1 || len(rows) != 0 {
		t.Errorf("second page: %+v, %d, %v", rows, total, err)
	}
	again := h.reopen(t)
	check("next process", again, "", 1)
	again.pass((usageDays + 1) * 24 * time.Hour)
	if err := again.write(); err != nil {
		t.Fatal(err)
	}
	check("after its usage", again, "", 0)
}

// What the operator did to a user can be undone, and a new password ends the sessions but not the keys.
func TestEnableUserAndSetPassword(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	s := h.register(t, "a@example.com", "starter")
	lets := func(name string, in bool, r Request) {
		t.Helper()
		if _, err := h.Authenticate(r); (err == nil) != in {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.DisableUser("a@example.com"); err != nil {
		t.Fatal(err)
	}
	lets("key while disabled", false, Request{APIKey: s.PlainKey})
	if u, err := h.EnableUser("A@example.com"); err != nil || u.Status != StatusActive {
		t.Fatalf("got %+v, %v", u, err)
	}
	lets("key", true, Request{APIKey: s.PlainKey})
	lets("token from before", false, Request{Bearer: s.Token})
	session, err := h.Login(ctx, "a@example.com", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.SetPassword(ctx, "a@example.com", "another password"); err != nil {
		t.Fatal(err)
	}
	lets("key after a new password", true, Request{APIKey: s.PlainKey})
	lets("session from before", false, Request{Bearer: session.Token})
	if _, err := h.Login(ctx, "a@example.com", goodPassword); err == nil {
		t.Error("the old password still works")
	}
	if session, err = h.reopen(t).Login(ctx, "a@example.com", "another password"); err != nil {
		t.Fatal(err)
	}
	lets("new session", true, Request{Bearer: session.Token})
	_, err = h.SetPassword(ctx, "a@example.com", "short")
	refused(t, "short password", err, model.CodeBadRequest, "")
	_, err = h.SetPassword(ctx, "who@example.com", "another password")
	refused(t, "password of nobody", err, model.CodeNotFound, "")
	_, err = h.EnableUser("who@example.com")
	refused(t, "enable nobody", err, model.CodeNotFound, "")
}
