package http

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"hyperlight/engine/access"
)

var keyForm = regexp.MustCompile(`^hlt_[0-9a-f]{48}$`)

// Checklist 133, 134, 135.
func TestRegisterAndLogin(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	r := a.send(t, "POST", "/api/v1/auth/register", `{"email":" You@Example.com ","password":"correct horse","tos_accepted":true,"unknown":{}}`)
	e := r.envelope(t)
	user, _ := e.Data["user"].(map[string]any)
	if r.Status != 201 || !keyForm.MatchString(fmt.Sprint(e.Data["api_key"])) || user["email"] != "you@example.com" || user["tier"] != "free" || user["role"] != "user" {
		t.Fatalf("got %d %v", r.Status, e.Data)
	}
	token, key := fmt.Sprint(e.Data["token"]), fmt.Sprint(e.Data["api_key"])
	if h := a.do(t, "GET", bookPath, "X-Api-Key", key); h.Status != 200 || h.Header["X-Ratelimit-Limit"] != "30" || h.Header["X-Credits-Limit"] != "75000" {
		t.Errorf("the first key: %d %v", h.Status, h.Header)
	}
	if h := a.do(t, "GET", bookPath, "Authorization", "Bearer "+token); h.Status != 200 {
		t.Errorf("the token: %d", h.Status)
	}
	for body, want := range map[string]verdict{
		`{"email":"YOU@example.COM","password":"correct horse","tos_accepted":true}`:                  {409, "conflict", ""},
		`{"email":"b@example.com","password":"correct horse"}`:                                        {400, "bad_request", ""},
		`{"email":"b@example.com","password":"correct horse","tos_accepted":false}`:                   {400, "bad_request", ""},
		`{"email":"b@example.com","password":"correct horse","tos_accepted":"true"}`:                  {400, "bad_request", "tos_accepted must be true or false"},
		`{"email":"nothing","password":"correct horse","tos_accepted":true}`:                          {400, "bad_request", ""},
		`{"email":"b@example.com","password":"short","tos_accepted":true}`:                            {400, "bad_request", ""},
		`{"email":"b@example.com","password":"` + strings.Repeat("x", 129) + `","tos_accepted":true}`: {400, "bad_request", ""},
		`{"email":7,"password":"correct horse","tos_accepted":true}`:                                  {400, "bad_request", "email must be a string"},
	} {
		a.advance(7 * time.Second)
		r := a.send(t, "POST", "/api/v1/auth/register", body)
		e := r.envelope(t)
		details, _ := e.Data["details"].(map[string]any)
		if r.Status != want.status || e.Data["code"] != want.code || want.message != "" && e.Data["message"] != want.message {
			t.Errorf("%.90s: got %d %v", body, r.Status, e.Data)
		}
		if r.Status == 400 && details["field"] == nil {
			t.Errorf("%.90s: no field is named: %v", body, e.Data)
		}
	}
	a.advance(time.Minute)
	login := func(email, password string) reply {
		return a.send(t, "POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
	}
	if r := login("YOU@example.com", "correct horse"); r.Status != 200 || r.envelope(t).Data["token"] == nil || r.envelope(t).Data["api_key"] != nil {
		t.Errorf("login: %d %s", r.Status, r.Body)
	}
	wrong, unknown := login("you@example.com", "wrong horse"), login("nobody@example.com", "correct horse")
	if wrong.Status != 401 || unknown.Status != 401 || wrong.envelope(t).Data["message"] != "invalid email or password" || fmt.Sprint(wrong.envelope(t).Data) != fmt.Sprint(unknown.envelope(t).Data) {
		t.Errorf("got %s and %s", wrong.Body, unknown.Body)
	}
	closed := newAccounts(t, accountsOptions{registration: "closed"})
	if r := closed.send(t, "POST", "/api/v1/auth/register", `{"email":"b@example.com","password":"correct horse","tos_accepted":true}`); r.Status != 403 || r.envelope(t).Data["code"] != "forbidden" {
		t.Errorf("closed: %d %s", r.Status, r.Body)
	}
}

// Checklist 137 to 140.
func TestKeys(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "starter")
	r := a.send(t, "POST", "/api/v1/keys", `{"name":"prod","tier":"free","allowed_ips":["127.0.0.1","2001:db8::/32"],"expires_at":"2025-01-01"}`, "X-Api-Key", key)
	made := r.envelope(t).Data
	plain, path := fmt.Sprint(made["api_key"]), "/api/v1/keys/"+fmt.Sprint(made["id"])
	if r.Status != 201 || !keyForm.MatchString(plain) || made["prefix"] != plain[:12] || made["tier"] != "free" || made["name"] != "prod" ||
		fmt.Sprint(made["allowed_ips"]) != "[127.0.0.1 2001:db8::/32]" || fmt.Sprint(made["expires_at"]) != "1735689600000" || made["last_used_at"] != nil || made["status"] != "active" {
		t.Fatalf("got %d %v", r.Status, made)
	}
	if r.Header["Cache-Control"] != "no-store" {
		t.Errorf("a key may be cached: %v", r.Header)
	}
	if r := a.do(t, "GET", bookPath, "X-Api-Key", plain); r.Status != 200 || r.Header["X-Ratelimit-Limit"] != "30" {
		t.Errorf("the new key: %d %v", r.Status, r.Header)
	}
	list := a.do(t, "GET", "/api/v1/keys", "X-Api-Key", key)
	if e := list.envelope(t); len(e.list("keys")) != 2 || strings.Contains(string(list.Body), "api_key") || strings.Contains(string(list.Body), plain) || e.Meta.Total.String() != "2" {
		t.Errorf("got %s", list.Body)
	}
	_, e := a.get(t, "/api/v1/keys?limit=1&offset=1", "X-Api-Key", key)
	if len(e.list("keys")) != 1 || *e.Meta.Limit != 1 || *e.Meta.Offset != 1 || e.Meta.Total.String() != "2" {
		t.Errorf("paged: %v", e)
	}
	for _, bad := range []string{"limit=0", "limit=x", "offset=-1"} {
		if status, _ := a.get(t, "/api/v1/keys?"+bad, "X-Api-Key", key); status != 400 {
			t.Errorf("%s: got %d", bad, status)
		}
	}
	for _, c := range []struct {
		body  string
		want  int
		field string
	}{
		{`{"tier":"growth"}`, 403, ""}, {`{"tier":"gold"}`, 400, "tier"}, {`{"allowed_ips":["10.0.0.0/33"]}`, 400, "allowed_ips"}, {`{"allowed_ips":["here"]}`, 400, "allowed_ips"},
		{`{"allowed_ips":"127.0.0.1"}`, 400, "allowed_ips"}, {`{"allowed_ips":[null]}`, 400, "allowed_ips"}, {`{"expires_at":"soon"}`, 400, "expires_at"}, {`{"expires_at":1}`, 400, "expires_at"},
		{`{"enabled":1}`, 400, "enabled"}, {`{"name":5}`, 400, "name"}, {`[]`, 400, ""}, {`{"name":"renamed"}`, 200, ""}, {`{"allowed_ips":[]}`, 200, ""}, {`{"expires_at":null}`, 200, ""}, {`{}`, 200, ""},
	} {
		r := a.send(t, "PATCH", path, c.body, "X-Api-Key", key)
		details, _ := r.envelope(t).Data["details"].(map[string]any)
		if r.Status != c.want || c.field != "" && details["field"] != c.field {
			t.Errorf("%s: got %d %s", c.body, r.Status, r.Body)
		}
	}
	r = a.send(t, "PATCH", path, `{"enabled":false}`, "X-Api-Key", key)
	if d := r.envelope(t).Data; d["status"] != "disabled" || d["name"] != "renamed" || fmt.Sprint(d["allowed_ips"]) != "[]" || d["expires_at"] != nil {
		t.Errorf("got %v", d)
	}
	if r := a.do(t, "GET", bookPath, "X-Api-Key", plain); r.Status != 403 {
		t.Errorf("disabled: %d", r.Status)
	}
	a.send(t, "PATCH", path, `{"enabled":true}`, "X-Api-Key", key)
	if r := a.do(t, "GET", bookPath, "X-Api-Key", plain); r.Status != 200 {
		t.Errorf("both keys work: %d", r.Status)
	}
	r = a.do(t, "DELETE", path, "X-Api-Key", key)
	if d := r.envelope(t).Data; r.Status != 200 || d["revoked"] != true || fmt.Sprint(d["revoked_at"]) != fmt.Sprint(a.at.Load()) {
		t.Errorf("got %d %v", r.Status, d)
	}
	if r := a.do(t, "GET", bookPath, "X-Api-Key", plain); r.Status != 401 {
		t.Errorf("revoked: %d", r.Status)
	}
	if r := a.do(t, "DELETE", path, "X-Api-Key", key); r.Status != 404 {
		t.Errorf("a second delete: %d", r.Status)
	}
}

// Checklist 143: user A never reaches what is user B's, and cannot tell that it is there.
func TestAnotherUsersKeys(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, mine := a.user(t, "a@example.com", "growth")
	_, operator := a.member(t, "operator@example.com", "growth", access.RoleOperator)
	_, token := a.member(t, "c@example.com", "growth", "")
	theirs, theirPlain := a.user(t, "b@example.com", "growth")
	for name, headers := range map[string][]string{"key": {"X-Api-Key", mine}, "token": {"Authorization", "Bearer " + token}, "operator": {"Authorization", "Bearer " + operator}} {
		for _, call := range [][3]string{{"PATCH", "", `{"name":"mine now","enabled":false}`}, {"DELETE", "", ""}, {"GET", "/usage", ""}} {
			real, made := a.send(t, call[0], keyPath(theirs.ID)+call[1], call[2], headers...), a.send(t, call[0], keyPath(uuid.New())+call[1], call[2], headers...)
			if real.Status != 404 || made.Status != 404 || fmt.Sprint(real.envelope(t).Data) != fmt.Sprint(made.envelope(t).Data) {
				t.Errorf("%s: %s %s: got %d %s, of no key %d %s", name, call[0], call[1], real.Status, real.Body, made.Status, made.Body)
			}
			odd := a.send(t, call[0], "/api/v1/keys/x"+call[1], call[2], headers...)
			if odd.Status != 404 || fmt.Sprint(odd.envelope(t).Data) != fmt.Sprint(made.envelope(t).Data) {
				t.Errorf("%s: %s of no id: got %d %s", name, call[0], odd.Status, odd.Body)
			}
		}
		if list := a.do(t, "GET", "/api/v1/keys", headers...); strings.Contains(string(list.Body), theirs.ID.String()) {
			t.Errorf("%s: the list shows %s", name, list.Body)
		}
	}
	if r := a.do(t, "GET", bookPath, "X-Api-Key", theirPlain); r.Status != 200 {
		t.Errorf("b's key: %d", r.Status)
	}
}

// Contract 9.4 and conventions 1.6.
func TestIdempotencyKey(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "starter")
	_, other := a.user(t, "b@example.com", "starter")
	post := func(key, id, body string) reply {
		return a.send(t, "POST", "/api/v1/keys", body, "X-Api-Key", key, "Idempotency-Key", id)
	}
	first, again := post(key, "one", `{"name":"x"}`), post(key, "one", `{"name":"x"}`)
	one, two := first.envelope(t).Data, again.envelope(t).Data
	if first.Status != 201 || again.Status != 201 || one["id"] != two["id"] || one["api_key"] == nil || first.Header["Idempotent-Replayed"] != "" ||
		again.Header["Idempotent-Replayed"] != "true" || first.envelope(t).Meta.RequestID == again.envelope(t).Meta.RequestID {
		t.Errorf("got %s and %s", first.Body, again.Body)
	}
	if shown, there := two["api_key"]; !there || shown != nil {
		t.Errorf("the key is shown once: %v", two)
	}
	delete(one, "api_key")
	delete(two, "api_key")
	if fmt.Sprint(one) != fmt.Sprint(two) {
		t.Errorf("got %v and %v", one, two)
	}
	r := post(key, "one", `{"name":"y"}`)
	if details, _ := r.envelope(t).Data["details"].(map[string]any); r.Status != 409 || details["reason"] != "other_body" {
		t.Errorf("another body: %d %s", r.Status, r.Body)
	}
	if r := post(other, "one", `{"name":"x"}`); r.Status != 201 || r.envelope(t).Data["id"] == one["id"] {
		t.Errorf("another account: %d %s", r.Status, r.Body)
	}
	if r := post(key, strings.Repeat("k", 256), `{}`); r.Status != 400 {
		t.Errorf("a long key: %d", r.Status)
	}
	if r := post(key, strings.Repeat("k", 255), `{}`); r.Status != 201 {
		t.Errorf("255 bytes: %d", r.Status)
	}
	// What failed is not kept: the call may be repeated with the same key.
	if r := post(key, "two", `{"tier":"scale"}`); r.Status != 403 {
		t.Errorf("got %d", r.Status)
	}
	if r := post(key, "two", `{"tier":"free"}`); r.Status != 201 || r.Header["Idempotent-Replayed"] != "" {
		t.Errorf("got %d %v", r.Status, r.Header)
	}
	a.advance(24*time.Hour + time.Second)
	if r := post(key, "one", `{"name":"x"}`); r.Status != 201 || r.envelope(t).Data["id"] == one["id"] {
		t.Errorf("a day later: %d %s", r.Status, r.Body)
	}
	if n := len(a.do(t, "GET", "/api/v1/keys", "X-Api-Key", key).envelope(t).list("keys")); n != 5 {
		t.Errorf("%d keys", n)
	}
}

// Checklist 42, and 1.2: a changed plan, and a revoked key, hold for the next request.
func TestChangesHoldAtOnce(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	k, key := a.user(t, "a@example.com", "free")
	for _, c := range []struct{ tier, limit string }{{"free", "30"}, {"growth", "3000"}, {"starter", "300"}} {
		if _, err := a.rules.SetTier("a@example.com", c.tier); err != nil {
			t.Fatal(err)
		}
		if h := a.do(t, "GET", bookPath, "X-Api-Key", key).Header; h["X-Ratelimit-Limit"] != c.limit {
			t.Errorf("%s: %v", c.tier, h)
		}
	}
	if _, err := a.rules.RevokeKeyByID(k.ID); err != nil {
		t.Fatal(err)
	}
	if r := a.do(t, "GET", bookPath, "X-Api-Key", key); r.Status != 401 {
		t.Errorf("got %d", r.Status)
	}
}
