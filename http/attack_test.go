package http

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
)

// answers sends bytes on one connection and returns the statuses of everything that is answered.
func (f *fixture) answers(t *testing.T, bytes string) (statuses []int) {
	t.Helper()
	return f.answersWithin(t, bytes, 300*time.Millisecond)
}

// answersWithin gives each answer that long to come.
func (f *fixture) answersWithin(t *testing.T, bytes string, wait time.Duration) (statuses []int) {
	t.Helper()
	conn, err := f.ln.Dial()
	if err != nil {
		t.Error(err)
		return nil
	}
	defer conn.Close()
	go func() { _, _ = conn.Write([]byte(bytes)) }()
	r := bufio.NewReader(conn)
	for {
		// Whatever comes, comes at once; a server that waits for the rest of a request is done answering.
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Error(err)
			return statuses
		}
		var resp fasthttp.Response
		if err := resp.Read(r); err != nil {
			return statuses
		}
		statuses = append(statuses, resp.StatusCode())
		if resp.ConnectionClose() {
			return statuses
		}
	}
}

// Requests whose end two programs may see in different places. Behind each stands a second one, which makes a key for
// whoever smuggled it in: it must never be answered.
func TestRequestSmuggling(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "enterprise")
	hidden := "POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: " + key + "\r\nContent-Length: 2\r\n\r\n{}"
	const start = "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n"
	corpus := []string{
		"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"X: x\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding\x00: chunked\r\n\r\n0\r\n\r\n",
		"Transfer_Encoding: chunked\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
		"Content-Length: 0, 0\r\n\r\n",
		"Content-Length: -1\r\n\r\n",
		"Content-Length: +0\r\n\r\n",
		"Content-Length: 0x0\r\n\r\n",
		"Content-Length: 0 0\r\n\r\n",
		"Content-Length: 18446744073709551616\r\n\r\n",
		"Content-Length: \r\n\r\n",
		"Connection: Content-Length\r\nContent-Length: 0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n\r\n",
	}
	var all sync.WaitGroup
	for _, head := range corpus {
		all.Go(func() {
			if got := a.answers(t, start+head+hidden); len(got) > 1 || len(got) == 1 && got[0] != 400 && got[0] != 413 {
				t.Errorf("%q: got %v", head, got)
			}
		})
	}
	all.Wait()
	if list := a.do(t, "GET", "/api/v1/keys", "X-Api-Key", key).envelope(t).list("keys"); len(list) != 1 {
		t.Errorf("%d keys were smuggled in", len(list)-1)
	}
	// The corpus proves something only if an honest pair is answered twice.
	// The first of the two costs a password hash, which takes its time on a busy machine.
	honest := start + "Content-Length: 2\r\n\r\n{}" + strings.TrimSuffix(hidden, "\r\n\r\n{}") + "\r\nConnection: close\r\n\r\n{}"
	if got := a.answersWithin(t, honest, time.Minute); len(got) != 2 || got[1] != 201 {
		t.Errorf("an honest pair: %v", got)
	}
}

// What is echoed from a request cannot begin a header of its own, or a second answer.
func TestHeaderInjection(t *testing.T) {
	f := newFixture(t, testOptions{edit: func(o *Options) { o.CORSOrigins = []string{"https://ours.example.org"} }})
	for _, evil := range []string{"\r\nSet-Cookie: a=b", "\nSet-Cookie: a=b", "\rSet-Cookie: a=b", "%0d%0aSet-Cookie: a=b", "\x00\r\nSet-Cookie: a=b", "\u560d\u560aSet-Cookie: a=b", "\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n\r\n"} {
		for _, request := range []string{
			"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: " + testRequestID + evil + "\r\n\r\n",
			"GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: https://ours.example.org" + evil + "\r\n\r\n",
			"OPTIONS /health HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: X" + evil + "\r\nOrigin: https://ours.example.org\r\n\r\n",
			"GET /setup HTTP/1.1\r\nHost: localhost" + evil + "\r\n\r\n",
			"GET /setup?token=x" + strings.NewReplacer("\r", "%0d", "\n", "%0a").Replace(evil) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: x" + evil + "\r\nContent-Length: 0\r\n\r\n",
		} {
			head := f.rawHead(t, request)
			if strings.Contains(head, "Set-Cookie") {
				t.Errorf("%q: got %q", request, head)
			}
		}
	}
	// A caller cannot choose what goes out under the name of a request id, either.
	for _, id := range []string{"", "1", strings.Repeat("a", 36), testRequestID + "0", "<script>alert(1)</script>0123456789ab"} {
		if r := f.do(t, "GET", "/health", "X-Request-Id", id); !uuidForm.MatchString(r.Header["X-Request-Id"]) {
			t.Errorf("%q: got %q", id, r.Header["X-Request-Id"])
		}
	}
}

// A path that only looks like another one never reaches a handler that the caller may not use, nor the venue.
func TestPathTraversal(t *testing.T) {
	upstream := &fakeRelay{}
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none", peer: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}, edit: func(o *Options) {
		o.Relay, o.AllowAnonymous = upstream, true
	}}})
	k, _ := a.user(t, "a@example.com", "growth")
	for _, path := range []string{
		"/api/v1/../keys", "/api/v1/x/../keys", "/api/v1/./keys", "/api/v1//keys", "//api/v1/keys", "/api//v1/keys", "/api/v1/%6beys", "/api/v1/keys/", "/api/v1/keys;x",
		"/api/v1/%2e%2e/v1/keys", "/api/v1/%2e%2e%2fv1%2fkeys", "/api/v1/..%2fkeys", "/api/v1%2fkeys", "/api%2fv1/keys", "/api/v1/keys%2f", "/api/v1/keys%00",
		"/api/v1/tx/..%2f..%2fkeys", "/api/v1/tx/%2e%2e/keys", "/api/v1/%252e%252e/keys", "/api/v1/..;/keys", "/api/v1/\\..\\keys", "/api/v1/%5c..%5ckeys", "/API/v1/keys",
		"/api/v1/KEYS", "http://localhost/api/v1/keys", "http://evil.example.org/api/v1/keys", "/api/v1/keys/" + k.ID.String() + "/../" + k.ID.String() + "/usage",
		"/api/v1/keys/..%2f" + k.ID.String(), "/api/v1/orderbook/../keys", "/health/../api/v1/keys", "/setup/../api/v1/keys", "/ws/../api/v1/keys", "/api/v1/%c0%ae%c0%ae/keys",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			a.advance(10 * time.Second)
			status, body := a.raw(t, method+" "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
			if status < 400 && status != 299 || strings.Contains(body, k.ID.String()) {
				t.Errorf("%s %s: got %d %s", method, path, status, body)
			}
		}
	}
	upstream.mu.Lock()
	defer upstream.mu.Unlock()
	for _, path := range upstream.paths {
		if p := strings.ToLower(path); strings.Contains(p, "..") || strings.Contains(p, "%2e") || strings.Contains(p, "%2f") || strings.Contains(p, "//") || strings.Contains(p, "\\") ||
			strings.Contains(path, "keys") || !strings.HasPrefix(path, "/api/v1/") {
			t.Errorf("the venue was asked for %q", path)
		}
	}
}

// No answer that a credential bought may be taken from a shared cache by somebody else.
func TestAnswersAreNotCached(t *testing.T) {
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "enterprise", edit: func(o *Options) { o.Relay, o.AllowAnonymous = &fakeRelay{}, true }}})
	_, key := a.user(t, "a@example.com", "enterprise")
	for _, r := range append(a.routes, &route{method: "GET", pattern: "/api/v1/nextNonce"}, &route{method: "GET", pattern: "/nothing"}) {
		if r.pattern == "/assets/{file}" || strings.HasPrefix(r.pattern, "/openapi") {
			continue // they are the same for everybody
		}
		a.advance(time.Minute)
		for _, poison := range [][]string{nil, {"X-Forwarded-Host", "evil.example.org"}, {"X-Original-URL", "/api/v1/keys"}, {"X-Rewrite-URL", "/api/v1/keys"}, {"X-HTTP-Method-Override", "DELETE"}, {"Cache-Control", "max-age=100"}} {
			got := a.send(t, r.method, strings.NewReplacer("{market_id}", "0", "{account_id}", "42", "{key_id}", testRequestID).Replace(r.pattern), "", append([]string{"X-Api-Key", key}, poison...)...)
			if got.Header["Cache-Control"] != "no-store" || bytes.Contains(got.Body, []byte("evil.example.org")) {
				t.Errorf("%s %s %v: got %q %s", r.method, r.pattern, poison, got.Header["Cache-Control"], got.Body)
			}
		}
	}
}

// Two credentials in one place, odd places and odd spellings: what decides is what the contract says, and nothing else.
func TestOddCredentials(t *testing.T) {
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none"}})
	_, key := a.user(t, "a@example.com", "growth", access.KeySpec{})
	unknown := "hlt_" + strings.Repeat("0", 48)
	ask := func(head string) int {
		status, _ := a.raw(t, "GET "+bookPath+" HTTP/1.1\r\nHost: localhost\r\n"+head+"\r\n")
		return status
	}
	for head, want := range map[string]int{
		fmt.Sprintf("X-Api-Key: %s\r\nX-Api-Key: %s\r\n", unknown, key):                       401,
		fmt.Sprintf("X-Api-Key: %s\r\nX-Api-Key: %s\r\n", key, unknown):                       200,
		fmt.Sprintf("Authorization: Bearer %s\r\nAuthorization: Bearer %s\r\n", unknown, key): 401,
		fmt.Sprintf("X-Api-Key:%s\r\n", key):                                                  200,
		fmt.Sprintf("x-api-key: \t%s \t\r\n", key):                                            200,
		fmt.Sprintf("Authorization: BEARER   %s\r\n", key):                                    200,
		fmt.Sprintf("Authorization: %s\r\n", key):                                             401,
		fmt.Sprintf("Authorization: Token %s\r\n", key):                                       401,
		fmt.Sprintf("X-Api-Key: Bearer %s\r\n", key):                                          401,
		fmt.Sprintf("X_Api_Key: %s\r\n", key):                                                 401,
		fmt.Sprintf("Cookie: api_key=%s\r\n", key):                                            401,
		fmt.Sprintf("X-Api-Key: %s, %s\r\n", key, key):                                        401,
		fmt.Sprintf("X-Api-Key: %s\x00\r\n", key):                                             400,
		"X-Api-Key: " + strings.Repeat("hlt_", 2000) + "\r\n":                                 401,
		"Authorization: Bearer " + strings.Repeat("eyJ.", 3000) + "\r\n":                      401,
		"X-Api-Key: ' OR 1=1 --\r\n":                                                          401,
		"X-Api-Key: hlt_%00\r\n":                                                              401,
	} {
		if got := ask(head); got != want && !(want == 400 && got == 401) {
			t.Errorf("%.80q: got %d, want %d", head, got, want)
		}
	}
}
