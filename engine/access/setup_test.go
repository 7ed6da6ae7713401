package access

import (
	"context"
	"testing"
	"time"

	"hyperlight/engine/model"
)

func TestSetup(t *testing.T) {
	ctx := context.Background()
	h := newHouse(t)
	first, ok := h.SetupToken()
	if !ok || len(first) < 40 {
		t.Fatal(first, ok)
	}
	token, ok := h.SetupToken()
	if !ok || token == first {
		t.Fatal(token, ok)
	}
	refuses := func(what, token string) {
		t.Helper()
		_, err := h.Setup(ctx, token, "op@example.com", goodPassword)
		refused(t, what, err, model.CodeUnauthorized, errSetup.Message)
	}
	refuses("an earlier token", first)
	refuses("no token", "")
	refuses("a wrong token", token+"x")
	_, err := h.Setup(ctx, token, "op@", goodPassword)
	refused(t, "a bad e-mail", err, model.CodeBadRequest, "")
	_, err = h.Setup(ctx, token, "op@example.com", "short")
	refused(t, "a bad password", err, model.CodeBadRequest, "")
	h.pass(30*time.Minute - time.Millisecond)
	s, err := h.Setup(ctx, token, "op@example.com", goodPassword)
	if err != nil || s.User.Role != RoleOperator || s.User.Tier != "enterprise" || s.Token == "" {
		t.Fatal(s, err)
	}
	if p := h.caller(t, s.PlainKey); !p.Operator || p.Plan.Slug != "enterprise" {
		t.Errorf("got %+v", p)
	}
	refuses("a used token", token)
	if token, ok := h.SetupToken(); ok || token != "" {
		t.Error("a token beside users")
	}
	if _, ok := h.reopen(t).SetupToken(); ok {
		t.Error("a token beside stored users")
	}
}

func TestSetupTokenEnds(t *testing.T) {
	h := newHouse(t)
	token, _ := h.SetupToken()
	h.pass(30 * time.Minute)
	_, err := h.Setup(context.Background(), token, "op@example.com", goodPassword)
	refused(t, "after 30 minutes", err, model.CodeUnauthorized, "")
	token, _ = h.SetupToken()
	// A stranger who is quicker neither becomes the operator nor keeps the owner out; another operator does end the link.
	h.register(t, "you@example.com", "free")
	_, err = h.Setup(context.Background(), token, "you@example.com", goodPassword)
	refused(t, "the stranger's e-mail", err, model.CodeConflict, "")
	if _, err := h.CreateUser(context.Background(), UserSpec{Email: "op@example.com", Role: RoleOperator}); err != nil {
		t.Fatal(err)
	}
	_, err = h.Setup(context.Background(), token, "op2@example.com", goodPassword)
	refused(t, "once there is an operator", err, model.CodeUnauthorized, "")
	quick := newHouse(t)
	token, _ = quick.SetupToken()
	quick.register(t, "you@example.com", "free")
	if s, err := quick.Setup(context.Background(), token, "op@example.com", goodPassword); err != nil || s.User.Role != RoleOperator {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestSetupMakesOneOperator(t *testing.T) {
	h := newHouse(t)
	token, _ := h.SetupToken()
	const n = 8
	made := make(chan bool, n)
	for i := range n {
		go func() {
			_, err := h.Setup(context.Background(), token, string(rune('a'+i))+"@example.com", goodPassword)
			made <- err == nil
		}()
	}
	got := 0
	for range n {
		if <-made {
			got++
		}
	}
	if _, total := h.Users(0, 0); got != 1 || total != 1 { // operators
		t.Errorf("%d callers made %d users", got, total)
	}
}

// Without a store there are no users, and nothing panics.
func TestWithoutStore(t *testing.T) {
	a, err := New(Options{LocalPlan: "free"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, ok := a.SetupToken(); ok {
		t.Error("a setup token without a store")
	}
	_, err = a.Setup(ctx, "x", "you@example.com", goodPassword)
	refused(t, "setup", err, model.CodeServiceUnavailable, "")
	_, err = a.Register(ctx, "you@example.com", goodPassword, true)
	refused(t, "register", err, model.CodeServiceUnavailable, "")
	_, err = a.Login(ctx, "you@example.com", goodPassword)
	refused(t, "login", err, model.CodeServiceUnavailable, "")
	_, err = a.CreateUser(ctx, UserSpec{Email: "you@example.com"})
	refused(t, "create user", err, model.CodeServiceUnavailable, "")
	_, err = a.Authenticate(Request{Bearer: "a.b.c"})
	unauthorized(t, "token", err)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := a.Run(ended); err != nil {
		t.Error(err)
	}
}

func TestOptionsRefuse(t *testing.T) {
	s := newHouse(t).store
	for what, o := range map[string]Options{
		"registration": {Registration: "maybe"}, "default plan": {DefaultTier: "gold"}, "local plan": {LocalPlan: "gold"},
		"secret": {Store: s, JWTSecret: make([]byte, 31)}, "no secret": {Store: s}, "public URL": {PublicURL: "http://\x00"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}
