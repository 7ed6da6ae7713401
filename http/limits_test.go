package http

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine/access"
)

const bookPath = "/api/v1/orderbook/0"

// Checklist 16, 17, 19, 20, 22, 23: the window of a key, request by request.
func TestRateWindow(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "free")
	for i := range 30 {
		method := "GET"
		if i == 3 {
			method = "HEAD"
		}
		path := bookPath
		if i == 4 {
			path = "/api/v1/orderbook/x" // what fails counts, too
		}
		h := a.do(t, method, path, "X-Api-Key", key).Header
		if h["X-Ratelimit-Limit"] != "30" || h["X-Ratelimit-Remaining"] != strconv.Itoa(29-i) {
			t.Fatalf("request %d: %v", i, h)
		}
		reset, _ := strconv.ParseInt(h["X-Ratelimit-Reset"], 10, 64)
		if now := a.at.Load() / 1000; reset <= now || reset > now+61 {
			t.Fatalf("request %d: reset %d at %d", i, reset, now)
		}
		if h["Ratelimit-Policy"] != `"minute";q=30;w=60` || h["Ratelimit"] != fmt.Sprintf(`"minute";r=%d;t=%d`, 29-i, reset-a.at.Load()/1000) {
			t.Fatalf("request %d: %q, %q", i, h["Ratelimit-Policy"], h["Ratelimit"])
		}
		if h["Retry-After"] != "" {
			t.Fatalf("request %d: Retry-After on a success", i)
		}
		a.advance(time.Second)
	}
	var wait int
	for range 5 { // a refusal does not count: the wait does not grow
		r := a.do(t, "GET", bookPath, "X-Api-Key", key)
		e := r.envelope(t)
		details, _ := e.Data["details"].(map[string]any)
		wait, _ = strconv.Atoi(r.Header["Retry-After"])
		if r.Status != 429 || e.Data["code"] != "rate_limit_exceeded" || e.Data["message"] != "rate limit exceeded" || wait != 30 ||
			fmt.Sprint(details["retry_after"]) != "30" || r.Header["X-Ratelimit-Remaining"] != "0" || r.Header["X-Credits-Cost"] != "" {
			t.Fatalf("got %d %v %v", r.Status, e.Data, r.Header)
		}
	}
	a.advance(time.Duration(wait)*time.Second - time.Millisecond)
	if status := a.do(t, "GET", bookPath, "X-Api-Key", key).Status; status != 429 {
		t.Errorf("a moment too early: got %d", status)
	}
	a.advance(time.Millisecond)
	if status := a.do(t, "GET", bookPath, "X-Api-Key", key).Status; status != 200 {
		t.Errorf("after Retry-After: got %d", status)
	}
	if status := a.do(t, "GET", bookPath, "X-Api-Key", key).Status; status != 429 {
		t.Errorf("the window slides, it does not open anew: got %d", status)
	}
	// Checklist 21: another key of the same user has its own window.
	_, second := a.key(t, "a@example.com", access.KeySpec{})
	if h := a.do(t, "GET", bookPath, "X-Api-Key", second).Header; h["X-Ratelimit-Remaining"] != "29" {
		t.Errorf("a second key: %v", h)
	}
	// Calls that cost nothing still count (9.8.22).
	if h := a.do(t, "GET", "/api/v1/keys", "X-Api-Key", second).Header; h["X-Ratelimit-Remaining"] != "28" || h["X-Credits-Cost"] != "" {
		t.Errorf("/keys: %v", h)
	}
}

// A window that began within a second ends within one: the wait is the shortest whole number of seconds after which a
// call passes, and never longer than the window.
func TestRetryAfterIsExact(t *testing.T) {
	plans := config.DefaultPlans()
	plans[0].RequestsPerMinute = 1
	for _, began := range []time.Duration{0, time.Millisecond, 500 * time.Millisecond, 999 * time.Millisecond} {
		for _, later := range []time.Duration{0, time.Millisecond, 600 * time.Millisecond, 30 * time.Second, 59_001 * time.Millisecond, 59_999 * time.Millisecond} {
			a := newAccounts(t, accountsOptions{plans: plans})
			_, key := a.user(t, "a@example.com", "free")
			a.advance(began)
			first := a.do(t, "GET", bookPath, "X-Api-Key", key).Header
			if first["Ratelimit"] != `"minute";r=0;t=60` {
				t.Errorf("began %s: %q", began, first["Ratelimit"])
			}
			a.advance(later)
			r := a.do(t, "GET", bookPath, "X-Api-Key", key)
			want := int((time.Minute - later + time.Second - 1) / time.Second)
			details, _ := r.envelope(t).Data["details"].(map[string]any)
			if r.Status != 429 || r.Header["Retry-After"] != strconv.Itoa(want) || fmt.Sprint(details["retry_after"]) != strconv.Itoa(want) ||
				r.Header["Ratelimit"] != fmt.Sprintf(`"minute";r=0;t=%d`, want) || r.Header["X-Ratelimit-Reset"] != first["X-Ratelimit-Reset"] {
				t.Errorf("began %s, asked %s later, want %d: got %v %v", began, later, want, details, r.Header)
			}
			a.advance(time.Duration(want) * time.Second)
			if status := a.do(t, "GET", bookPath, "X-Api-Key", key).Status; status != 200 {
				t.Errorf("began %s, asked %s later, waited %d s: got %d", began, later, want, status)
			}
		}
	}
}

// Checklist 22.
func TestRateLimitOfEveryPlan(t *testing.T) {
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "enterprise"}})
	for plan, want := range map[string]string{"free": "30", "starter": "300", "growth": "3000", "scale": "30000", "enterprise": "-1"} {
		_, key := a.user(t, plan+"@example.com", plan)
		h := a.do(t, "GET", bookPath, "X-Api-Key", key).Header
		if h["X-Ratelimit-Limit"] != want || want == "-1" && (h["X-Ratelimit-Remaining"] != "-1" || h["Ratelimit"] != "") {
			t.Errorf("%s: %v", plan, h)
		}
	}
	if h := a.do(t, "GET", bookPath).Header; h["X-Ratelimit-Limit"] != "-1" {
		t.Errorf("local: %v", h)
	}
}

// Checklist 16: what nobody is behind tells the window of its address.
func TestRateHeadersWithoutACaller(t *testing.T) {
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none"}})
	for name, r := range map[string]reply{
		"health":      a.do(t, "GET", "/health"),
		"no route":    a.do(t, "GET", "/nothing"),
		"wrong verb":  a.do(t, "PUT", "/health"),
		"refused":     a.do(t, "GET", bookPath),
		"bad key":     a.do(t, "GET", bookPath, "X-Api-Key", "hlt_x"),
		"preflight":   a.do(t, "OPTIONS", bookPath, "Origin", "https://a.example.com", "Access-Control-Request-Method", "GET"),
		"options":     a.do(t, "OPTIONS", bookPath),
		"description": a.do(t, "GET", "/openapi.yaml"),
		"metrics":     a.do(t, "GET", "/metrics"),
		"socket":      a.do(t, "GET", "/ws?api_key=hlt_x"),
		"stream":      a.do(t, "GET", "/stream"),
	} {
		if r.Header["X-Ratelimit-Limit"] != "300" || r.Header["X-Ratelimit-Remaining"] == "" || r.Header["X-Ratelimit-Reset"] == "" ||
			r.Header["Ratelimit-Policy"] != `"minute";q=300;w=60` {
			t.Errorf("%s: %v", name, r.Header)
		}
	}
	for name, request := range map[string]string{
		"bad head":  "GET /health HTTP/1.1\r\nHost: localhost\r\nX Y: 1\r\n\r\n",
		"no HTTP":   "BROKEN\r\n\r\n",
		"long body": "POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n",
	} {
		if h := a.rawHead(t, request); !strings.Contains(h, "X-RateLimit-Limit: 300\r\n") {
			t.Errorf("%s: %s", name, h)
		}
	}
}

// Handshakes show the public window of their address and leave it as it is.
func TestHandshakesTakeNothing(t *testing.T) {
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none"}})
	for range 310 {
		if h := a.do(t, "GET", "/ws").Header; h["X-Ratelimit-Remaining"] != "300" || h["X-Ratelimit-Reset"] != strconv.FormatInt(a.at.Load()/1000+60, 10) {
			t.Fatalf("got %v", h)
		}
	}
	a.do(t, "GET", "/health")
	a.advance(10 * time.Second)
	if h := a.do(t, "GET", "/ws").Header; h["X-Ratelimit-Remaining"] != "299" || h["Ratelimit"] != `"minute";r=299;t=50` {
		t.Errorf("got %v", h)
	}
}

// Checklist 24, and the windows of public routes.
func TestAddressWindows(t *testing.T) {
	a := newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none", edit: func(o *Options) { o.TrustedProxies = loopbackProxies }}})
	first := func(path, method, from string, most int) (passed int) {
		for range most + 5 {
			if r := a.send(t, method, path, "{}", "X-Forwarded-For", from); r.Status != 429 {
				passed++
			} else if r.Header["Retry-After"] == "" {
				t.Errorf("%s: 429 without Retry-After", path)
			}
		}
		return passed
	}
	if n := first("/api/v1/auth/login", "POST", "192.0.2.1", 10); n != 10 {
		t.Errorf("login: %d passed", n)
	}
	if n := first("/api/v1/auth/register", "POST", "192.0.2.1", 10); n != 0 {
		t.Errorf("login and register share a window: %d passed", n)
	}
	if n := first("/api/v1/auth/register", "POST", "192.0.2.2", 10); n != 10 {
		t.Errorf("register from elsewhere: %d passed", n)
	}
	if n := first("/health", "GET", "192.0.2.1", 300); n != 300 {
		t.Errorf("health: %d passed", n)
	}
	// Addresses of one IPv6 /64 are one.
	if n := first("/setup", "POST", "2001:db8::1", 10) + first("/setup", "POST", "2001:db8::2", 10); n != 10 {
		t.Errorf("one block: %d passed", n)
	}
	a.advance(time.Minute)
	if n := first("/api/v1/auth/login", "POST", "192.0.2.1", 10); n != 10 {
		t.Errorf("a minute later: %d passed", n)
	}
	// Guessing keys is counted, and does not shut out who has one.
	_, key := a.user(t, "a@example.com", "enterprise")
	guessed := 0
	for i := range 310 {
		if r := a.do(t, "GET", bookPath, "X-Forwarded-For", "192.0.2.9", "X-Api-Key", fmt.Sprintf("hlt_%048x", i)); r.Status == 401 {
			guessed++
		}
	}
	if guessed != 300 {
		t.Errorf("%d guesses in a minute", guessed)
	}
	if r := a.do(t, "GET", bookPath, "X-Forwarded-For", "192.0.2.9", "X-Api-Key", key); r.Status != 200 {
		t.Errorf("the owner of a key: %d", r.Status)
	}
}

// Authentication, rate limit, quota, tier, validation, work: of two rules that refuse the earlier one speaks.
func TestOrderOfRefusals(t *testing.T) {
	plans := tinyPlans("")
	plans[0].CreditsPerMonth, plans[0].RequestsPerMinute = 1, 3
	a := newAccounts(t, accountsOptions{plans: plans})
	a.lock("/api/v1/orderbook/{market_id}/depth", "growth")
	const path = bookPath + "/depth?levels=x"
	_, key := a.user(t, "a@example.com", "free")
	want := []string{"unauthorized", "forbidden", "quota_exceeded", "rate_limit_exceeded"}
	got := []string{a.do(t, "GET", path, "X-Api-Key", key+"0").code(t), a.do(t, "GET", path, "X-Api-Key", key).code(t)}
	a.do(t, "GET", bookPath, "X-Api-Key", key)
	got = append(got, a.do(t, "GET", path, "X-Api-Key", key).code(t), a.do(t, "GET", path, "X-Api-Key", key).code(t))
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func (r reply) code(t *testing.T) string { return fmt.Sprint(r.envelope(t).Data["code"]) }

// Contract 9.1: a plan's longest range and its depth of history.
func TestPlanBoundsHistory(t *testing.T) {
	plans := config.DefaultPlans()
	plans[0].MaxRangeDays, plans[0].HistoryDepthDays = 2, 30
	a := newAccounts(t, accountsOptions{plans: plans})
	_, key := a.user(t, "a@example.com", "free")
	for path, field := range map[string]string{
		"/api/v1/trades/by-time?start=2024-01-29":                                 "start",
		"/api/v1/trades/by-time?start=2023-12-01&end=2023-12-02":                  "start",
		"/api/v1/orderbook/0/snapshots?start=2023-12-01&end=2023-12-02":           "start",
		"/api/v1/orderbook/0/snapshots?at=2023-12-01":                             "at",
		"/api/v1/candles?market_id=0&start=2024-01-29":                            "start",
		"/api/v1/data-quality/gaps?start=2023-12-01&end=2023-12-02":               "start",
		"/api/v1/data-quality/coverage?market_id=0&start=2024-01-29":              "start",
		"/api/v1/trades/by-time?start=2024-01-31":                                 "",
		"/api/v1/trades/by-time?start=2024-01-05&end=2024-01-07":                  "",
		"/api/v1/orderbook/0/snapshots?start=2024-01-05T00:00:00Z&end=2024-01-06": "",
	} {
		r := a.do(t, "GET", path, "X-Api-Key", key)
		e := r.envelope(t)
		details, _ := e.Data["details"].(map[string]any)
		if field == "" && r.Status != 200 || field != "" && (r.Status != 403 || details["field"] != field || details["limit"] == nil) {
			t.Errorf("%s: got %d %v", path, r.Status, e.Data)
		}
	}
}

// Checklist 200: native calls without a credential.
func TestAnonymousNativeCalls(t *testing.T) {
	open := func(anonymous bool) *accounts {
		return newAccounts(t, accountsOptions{testOptions: testOptions{plan: "none", peer: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}, edit: func(o *Options) {
			o.Relay, o.AllowAnonymous = &fakeRelay{}, anonymous
		}}})
	}
	a := open(true)
	for i := range 30 {
		r := a.do(t, "GET", "/api/v1/nextNonce", "Authorization", "1706745600:1:2:abcdef")
		if r.Status != 299 || r.Header["X-Ratelimit-Limit"] != "30" || r.Header["X-Ratelimit-Remaining"] != strconv.Itoa(29-i) || r.Header["X-Credits-Cost"] != "" {
			t.Fatalf("call %d: %d %v", i, r.Status, r.Header)
		}
	}
	if r := a.do(t, "GET", "/api/v1/nextNonce"); r.Status != 429 {
		t.Errorf("call 31: %d", r.Status)
	}
	_, key := a.user(t, "a@example.com", "starter")
	r := a.do(t, "POST", "/api/v1/sendTx", "X-Api-Key", key, "Authorization", "Bearer 1706745600:1:2:abcdef")
	if r.Status != 299 || r.Header["X-Ratelimit-Limit"] != "300" || r.Header["X-Credits-Cost"] != "1" {
		t.Errorf("with a key: %d %v", r.Status, r.Header)
	}
	a = open(false)
	if r := a.do(t, "GET", "/api/v1/nextNonce"); r.Status != 401 {
		t.Errorf("switched off: %d", r.Status)
	}
}

// Checklist 141: usage is kept by route, as the contract writes patterns.
func TestUsageByRoute(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	k, key := a.user(t, "a@example.com", "free")
	for _, path := range []string{bookPath, bookPath, bookPath + "?depth=x", "/nothing"} {
		a.do(t, "GET", path, "X-Api-Key", key)
	}
	for range 27 {
		a.do(t, "GET", bookPath, "X-Api-Key", key)
	}
	_, e := a.get(t, keyPath(k.ID)+"/usage?start=2024-01-31&end=2024-02-02", "X-Api-Key", key)
	if e.Data["code"] != "rate_limit_exceeded" {
		t.Errorf("got %v", e.Data)
	}
	a.advance(time.Minute)
	_, e = a.get(t, keyPath(k.ID)+"/usage?start=2024-01-31&end=2024-02-02", "X-Api-Key", key)
	rows := e.list("usage")
	if len(rows) != 1 || fmt.Sprint(rows[0]["timestamp"]) != fmt.Sprint(testNow) {
		t.Fatalf("got %v", e.Data)
	}
	row, endpoints := rows[0], rows[0]["endpoints"].(map[string]any)
	if fmt.Sprintf("%v %v %v %v", row["requests"], row["credits"], row["errors"], row["rate_limited"]) != "30 28 2 2" ||
		fmt.Sprint(endpoints["GET /api/v1/orderbook/:market_id"]) != "29" {
		t.Errorf("got %v", row)
	}
	month := e.Data["month"].(map[string]any)
	if month["period"] != "2024-02" || fmt.Sprintf("%v %v %v", month["credits_used"], month["credits_limit"], month["credits_remaining"]) != "28 75000 74972" {
		t.Errorf("got %v", month)
	}
}

// Contract 2.9.5: the last day unless asked otherwise, at most 31 days; the hours of the month before go with its own
// month, and what is above the allowance is told with its price.
func TestUsageRange(t *testing.T) {
	plans := tinyPlans("9")
	plans[0].CreditsPerMonth = 3
	a := newAccounts(t, accountsOptions{plans: plans})
	k, key := a.user(t, "a@example.com", "free")
	path := keyPath(k.ID) + "/usage"
	for query, want := range map[string]string{
		"?start=2024-01-01&end=2024-02-01":               "",
		"?start=2024-01-01&end=2024-02-01T00:00:00.001Z": "start",
		"?start=2024-02-01&end=2024-02-01":               "start",
		"?start=2024-02-02&end=2024-02-01":               "start",
		"?start=soon":                                    "start",
		"?end=2024-13-01":                                "end",
	} {
		status, e := a.get(t, path+query, "X-Api-Key", key)
		details, _ := e.Data["details"].(map[string]any)
		if want == "" && status != 200 || want != "" && (status != 400 || details["field"] != want) {
			t.Errorf("%s: got %d %v", query, status, e.Data)
		}
	}
	a.advance(28*24*time.Hour + 23*time.Hour + time.Second) // the last hour of February
	for range 5 {
		a.do(t, "GET", bookPath, "X-Api-Key", key)
	}
	month := func(want string) {
		t.Helper()
		_, e := a.get(t, path, "X-Api-Key", key)
		m, rows := e.Data["month"].(map[string]any), e.list("usage")
		got := fmt.Sprintln(len(rows), m["period"], m["credits_used"], m["credits_limit"], m["credits_remaining"], m["overage_credits"], m["overage_usd"])
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	month("1 2024-02 5 3 0 2 9\n")
	a.advance(time.Hour)
	a.do(t, "GET", bookPath, "X-Api-Key", key)
	month("2 2024-03 1 3 2 0 0\n")
	a.advance(24*time.Hour - time.Second)
	month("1 2024-03 1 3 2 0 0\n") // February has left the last day
}

// Trusted proxies may change while the server runs.
func TestSetTrustedProxies(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "free", access.KeySpec{AllowedIPs: []string{"203.0.113.7"}})
	ask := func() int {
		return a.do(t, "GET", bookPath, "X-Api-Key", key, "X-Forwarded-For", "203.0.113.7").Status
	}
	before := ask()
	a.SetTrustedProxies(loopbackProxies)
	during := ask()
	a.SetTrustedProxies(nil)
	if after := ask(); before != 403 || during != 200 || after != 403 {
		t.Errorf("got %d, %d, %d", before, during, after)
	}
}

func TestStrictTransport(t *testing.T) {
	f := newFixture(t, testOptions{edit: func(o *Options) { o.TLS = true }})
	if h := f.do(t, "GET", "/health").Header["Strict-Transport-Security"]; h != "max-age=31536000" {
		t.Errorf("got %q", h)
	}
	if h := newFixture(t, testOptions{}).do(t, "GET", "/health").Header["Strict-Transport-Security"]; h != "" {
		t.Errorf("without TLS: %q", h)
	}
}

// The access log names the account and the key's prefix, and no secret.
func TestAccessLogNamesTheCaller(t *testing.T) {
	out := &syncBuffer{}
	a := newAccounts(t, accountsOptions{testOptions: testOptions{edit: func(o *Options) { o.AccessLog = out }}})
	k, key := a.user(t, "a@example.com", "free")
	a.do(t, "GET", bookPath+"?api_key="+key)
	a.journal.flush()
	line := out.String()
	if !strings.Contains(line, `"account_id":"`+k.User.String()+`","key_prefix":"`+key[:12]+`"`) || strings.Contains(line, key[:13]) || strings.Contains(line, "api_key") {
		t.Errorf("got %s", line)
	}
}
