package http

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/relay"
	"hyperlight/engine/signal/delivery"
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

// A method is the client's to choose: what it writes there fills no log and shows no secret in it.
func TestUnknownMethodsAreNotLogged(t *testing.T) {
	f := newFixture(t, testOptions{})
	for _, method := range []string{strings.Repeat("G", 10_000), "hlt_0123456789abcdef0123456789abcdef0123456789abcdef", "get"} {
		f.raw(t, method+" /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	f.journal.flush()
	logs := f.logs.String()
	if strings.Contains(logs, "hlt_") || strings.Contains(logs, "GGG") || strings.Count(logs, `"method":"other"`) != 3 {
		t.Errorf("the log is %.500s", logs)
	}
}

// Behind a trusted proxy stand all its clients: one of them must not use up the connections of one address for the rest.
func TestTrustedProxiesAreNotCounted(t *testing.T) {
	f := newFixture(t, testOptions{edit: func(o *Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }})
	at := func(ip string) net.Conn { return &addressed{ip: ip} }
	for range maxPerIP + 10 {
		f.connections.observe(at("192.0.2.7"), fasthttp.StateNew)
		f.connections.observe(at("203.0.113.7"), fasthttp.StateNew)
	}
	proxy, other := at("192.0.2.7"), at("203.0.113.7")
	f.connections.observe(proxy, fasthttp.StateNew)
	f.connections.observe(other, fasthttp.StateNew)
	if err := f.connections.admit(proxy, false); err != nil {
		t.Errorf("a proxy's connection: %v", err)
	}
	if err := f.connections.admit(other, false); err == nil {
		t.Error("anybody else's has no cap")
	}
	f.SetTrustedProxies(nil)
	f.connections.observe(at("192.0.2.8"), fasthttp.StateNew)
	if n := len(f.connections.crowds); n != 2 {
		t.Errorf("%d addresses are counted, want 2", n)
	}
}

// addressed is a connection that only has an address.
type addressed struct {
	net.Conn
	ip string
}

func (a *addressed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(a.ip), Port: 5} }

func (a *addressed) Close() error { return nil }

// Proxies that each write a line of their own are followed like those that add to one line: else all clients behind two
// of them would be one, and an allow list that names a proxy would let everybody in.
func TestForwardedForInSeveralLines(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), loopbackProxies[0]}
	for lines, want := range map[string]string{
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 10.0.0.1\r\n":                               "203.0.113.7",
		"X-Forwarded-For: 203.0.113.7, 10.0.0.2\r\nX-Forwarded-For:\r\nx-forwarded-for: 10.0.0.1\r\n": "203.0.113.7",
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 198.51.100.1, 10.0.0.1\r\n":                 "198.51.100.1",
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 198.51.100.1\r\n":                           "198.51.100.1",
		"X-Forwarded-For: 203.0.113.7, 10.0.0.1\r\n":                                                  "203.0.113.7",
	} {
		var h head
		if err := h.readLines([]byte(lines + "\r\n")); err != nil {
			t.Fatal(err)
		}
		if got := clientIP(netip.MustParseAddr("127.0.0.1"), h.forwardedFor, trusted); got.String() != want {
			t.Errorf("%q: %s, want %s", lines, got, want)
		}
	}
}

// An e-mail is written in every command as in any other: key list and user disable fold it, so does signal list.
func TestControlFindsOwnersByAnySpelling(t *testing.T) {
	id := uuid.New()
	emails := map[uuid.UUID]string{uuid.New(): "other@example.com", id: "you@example.com"}
	for _, email := range []string{"you@example.com", "You@Example.com", " you@example.com "} {
		if got, err := ownerOf(emails, email); err != nil || got != id {
			t.Errorf("%q: %s, %v", email, got, err)
		}
	}
	if _, err := ownerOf(emails, "nobody@example.com"); err == nil {
		t.Error("nobody was found")
	}
}

// resender sends deliveries again, and notes which.
type resender struct {
	Signals
	sent []uuid.UUID
}

func (r *resender) Resend(_ context.Context, _, _, id uuid.UUID) (delivery.Delivery, error) {
	r.sent = append(r.sent, id)
	return delivery.Delivery{ID: id}, nil
}

// An Idempotency-Key names one call on one thing: with the same key another delivery is another call, which must neither
// be left out nor answered with the first one's answer. Both have the same body: none.
func TestIdempotencyKeyOfAnotherPath(t *testing.T) {
	desk := &resender{}
	a := newAccounts(t, accountsOptions{testOptions: testOptions{edit: func(o *Options) { o.Signals.Desk = desk }}})
	_, key := a.user(t, "a@example.com", "starter")
	signal, one, two := uuid.NewString(), uuid.New(), uuid.New()
	for _, c := range []struct {
		id       uuid.UUID
		replayed string
	}{{one, ""}, {two, ""}, {one, "true"}, {two, "true"}} {
		r := a.send(t, "POST", "/api/v1/signals/"+signal+"/deliveries/"+c.id.String()+"/resend", "", "X-Api-Key", key, "Idempotency-Key", "k")
		if r.Status != 202 || r.Header["Idempotent-Replayed"] != c.replayed || r.envelope(t).Data["delivery_id"] != c.id.String() {
			t.Errorf("%s: %d, replayed %q: %s", c.id, r.Status, r.Header["Idempotent-Replayed"], r.Body)
		}
	}
	if !slices.Equal(desk.sent, []uuid.UUID{one, two}) {
		t.Errorf("sent again: %v", desk.sent)
	}
}
