package http

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/relay"
)

// Whatever is meant as a credential of ours decides, also in a form that is not ours: nobody who shows one is taken for
// somebody who shows none. What another program asked for by its own scheme is neither ours nor the venue's.
func TestOddBearersAreNobody(t *testing.T) {
	v := newVenueServer(t)
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none", edit: withVenue(t, v, relay.Options{})}})
	_, key := a.user(t, "bot@example.com", "growth")
	_, token := a.member(t, "member@example.com", "growth", "")
	for _, c := range []struct {
		value  string
		status int
	}{
		{"Bearer garbage", 401}, {"Bearer a.b.c", 401}, {"Bearer a b", 401}, {"Bearer", 401}, {"Bearer ", 401}, {"bearer\t" + strings.Repeat("0", 48), 401},
		{"Bearer\t" + key, 200}, {"Bearer \t " + key, 200}, {"Bearer hlt_:1:2:3", 401}, {key, 401}, {"hlt_short", 401}, {token, 401}, {"Token " + key, 401},
		{"Bearer 1777000000:123:4:ab", 200}, {"1777000000:123:4:ab", 200}, {"Basic dXNlcjpwYXNz", 200}, {"Digest username=\"a\", uri=\"x:y\"", 200},
	} {
		for _, path := range []string{"/api/v1/nextNonce", "/api/v1/candles?count_back=1"} {
			if r := a.do(t, "GET", path, "Authorization", c.value); r.Status != c.status {
				t.Errorf("%s with %q: got %d, want %d", path, c.value, r.Status, c.status)
			}
		}
	}
	if r := a.do(t, "GET", "/api/v1/nextNonce?api_key="+key, "Authorization", "Bearer"); r.Status != 401 {
		t.Errorf("a bad credential was skipped for the next one: %d", r.Status)
	}
	if r := a.do(t, "GET", "/api/v1/nextNonce", "Authorization", "Bearer x", "X-Api-Key", key); r.Status != 200 {
		t.Errorf("a bad second credential: %d", r.Status)
	}
	for _, h := range v.calls() {
		if strings.Contains(h, "Basic") || strings.Contains(h, "Digest") {
			t.Errorf("somebody's password left: %q", h)
		}
	}
}

// A page of another site can make a browser on this machine ask without an Origin, and a client that takes us for a
// proxy names the host in its target: neither is the local caller.
func TestLocalIsNobodyElse(t *testing.T) {
	f := newFixture(t, testOptions{plan: "enterprise"})
	for request, want := range map[string]int{
		"GET " + bookPath + " HTTP/1.1\r\nHost: localhost\r\n":                                           200,
		"GET " + bookPath + " HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: none\r\n":                   200,
		"GET " + bookPath + " HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n":            200,
		"GET " + bookPath + " HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n":             401,
		"GET " + bookPath + " HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-site\r\n":              401,
		"GET http://evil.example" + bookPath + " HTTP/1.1\r\nHost: localhost\r\n":                        401,
		"GET http://localhost" + bookPath + " HTTP/1.1\r\nHost: evil.example\r\n":                        401,
		"GET " + bookPath + " HTTP/1.1\r\nHost: localhost\r\nOrigin:\r\nOrigin: http://evil.example\r\n": 401,
	} {
		if got, body := f.raw(t, request+"\r\n"); got != want {
			t.Errorf("%q: got %d, want %d: %s", request, got, want, body)
		}
	}
}

// What the venue calls a page must not run in our origin.
func TestNativePagesAreInert(t *testing.T) {
	v := newVenueServer(t)
	f := newFixture(t, testOptions{edit: withVenue(t, v, relay.Options{})})
	v.answers(func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/html")
		ctx.SetBodyString("<script>alert(1)</script>")
		ctx.Response.Header.Set("Content-Security-Policy", "default-src *")
		ctx.Response.Header.Set("Location", "https://evil.example/")
		ctx.Response.Header.Set("Refresh", "0; url=https://evil.example/")
		ctx.Response.Header.Set("Access-Control-Allow-Credentials", "true")
		ctx.SetStatusCode(302)
	})
	r := f.do(t, "GET", "/api/v1/nextNonce")
	if r.Status != 302 || r.Header["Content-Type"] != "text/html" || r.Header["Content-Security-Policy"] != "default-src 'none'; sandbox" ||
		r.Header["X-Content-Type-Options"] != "nosniff" || r.Header["Location"] != "" || r.Header["Refresh"] != "" || r.Header["Access-Control-Allow-Credentials"] != "" {
		t.Errorf("got %d %v", r.Status, r.Header)
	}
}
