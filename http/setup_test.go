package http

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The one-time setup link, as a browser walks it.
func TestSetupPage(t *testing.T) {
	out := &syncBuffer{}
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none", edit: func(o *Options) { o.AccessLog = out }}})
	token, ok := a.rules.SetupToken()
	if !ok {
		t.Fatal("no token although there are no users")
	}
	page := a.do(t, "GET", "/setup?token="+token)
	body := string(page.Body)
	if page.Status != 200 || page.Header["Content-Type"] != "text/html; charset=utf-8" || !strings.Contains(body, `name="token" value="`+html.EscapeString(token)+`"`) {
		t.Fatalf("got %d %v\n%s", page.Status, page.Header, body)
	}
	for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if !strings.Contains(page.Header[name], want) {
			t.Errorf("%s: %q", name, page.Header[name])
		}
	}
	if regexp.MustCompile(`(?i)<script|<style|style=|\son[a-z]+=|https?://`).MatchString(body) {
		t.Errorf("the page breaks its own policy, or loads from elsewhere:\n%s", body)
	}
	style := regexp.MustCompile(`href="(/assets/setup\.[0-9a-f]+\.css)"`).FindStringSubmatch(body)
	if style == nil {
		t.Fatalf("no style sheet:\n%s", body)
	}
	css := a.do(t, "GET", style[1])
	if css.Status != 200 || css.Header["Content-Type"] != "text/css; charset=utf-8" || css.Header["Cache-Control"] != "public, max-age=31536000, immutable" || css.Header["Etag"] == "" {
		t.Errorf("got %d %v", css.Status, css.Header)
	}
	if r := a.do(t, "GET", style[1], "If-None-Match", css.Header["Etag"]); r.Status != 304 || len(r.Body) != 0 {
		t.Errorf("got %d", r.Status)
	}
	for _, other := range []string{"/assets/setup.css", "/assets/setup.html", "/assets/%2e%2e%2fopenapi.yaml", "/assets/"} {
		if r := a.do(t, "GET", other); r.Status != 404 && r.Status != 400 {
			t.Errorf("%s: got %d", other, r.Status)
		}
	}
	send := func(token, email, password string) reply {
		form := url.Values{"token": {token}, "email": {email}, "password": {password}}
		return a.send(t, "POST", "/setup", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	if r := send(token, "nothing", "correct horse"); r.Status != 400 || !strings.Contains(string(r.Body), `role="alert"`) || !strings.Contains(string(r.Body), "<form") {
		t.Errorf("a bad address: %d\n%s", r.Status, r.Body)
	}
	if r := send("wrong", "op@example.com", "correct horse"); r.Status != 401 || !strings.Contains(string(r.Body), "This link is not valid") || strings.Contains(string(r.Body), "<form") {
		t.Errorf("a wrong token: %d\n%s", r.Status, r.Body)
	}
	made := send(token, "op@example.com", "correct horse")
	key := regexp.MustCompile(`hlt_[0-9a-f]{48}`).FindString(string(made.Body))
	if made.Status != 201 || key == "" || made.Header["Cache-Control"] != "no-store" {
		t.Fatalf("got %d\n%s", made.Status, made.Body)
	}
	if r := a.do(t, "GET", bookPath, "X-Api-Key", key); r.Status != 200 {
		t.Errorf("the key: %d", r.Status)
	}
	if r := send(token, "second@example.com", "correct horse"); r.Status != 401 {
		t.Errorf("the token works twice: %d", r.Status)
	}
	a.journal.flush()
	for _, secret := range []string{token, key, "correct", "op@example.com"} {
		if strings.Contains(out.String(), secret) || strings.Contains(a.logs.String(), secret) {
			t.Errorf("%q is in a log", secret)
		}
	}
}

func TestSetupByJSON(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	token, _ := a.rules.SetupToken()
	body := fmt.Sprintf(`{"token":%q,"email":"op@example.com","password":"correct horse"}`, token)
	a.advance(31 * time.Minute)
	if r := a.send(t, "POST", "/setup", body); r.Status != 401 || r.envelope(t).Data["code"] != "unauthorized" {
		t.Errorf("an old token: %d %s", r.Status, r.Body)
	}
	token, _ = a.rules.SetupToken()
	body = fmt.Sprintf(`{"token":%q,"email":"op@example.com","password":"correct horse"}`, token)
	r := a.send(t, "POST", "/setup", body, "Content-Type", "application/x-www-form-urlencoded")
	user, _ := r.envelope(t).Data["user"].(map[string]any)
	if r.Status != 201 || user["role"] != "operator" || user["tier"] != "enterprise" || !keyForm.MatchString(fmt.Sprint(r.envelope(t).Data["api_key"])) {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
	if r := a.send(t, "POST", "/setup", body+"x"); r.Status != 400 {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
}

// Whatever a link or a form carries comes back as text.
func TestSetupPageEscapes(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	const evil = `"><script>alert(1)</script>`
	for _, r := range []reply{a.do(t, "GET", "/setup?token="+url.QueryEscape(evil)),
		a.send(t, "POST", "/setup", url.Values{"token": {evil}, "email": {evil}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")} {
		if strings.Contains(string(r.Body), "<script") {
			t.Errorf("got %s", r.Body)
		}
	}
}
