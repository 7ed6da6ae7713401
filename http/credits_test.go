package http

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"hyperlight/config"
	"hyperlight/engine/access"
)

// Checklist 25, 27, 28: what calls cost, and who pays.
func TestCredits(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, one := a.user(t, "a@example.com", "free")
	_, two := a.key(t, "a@example.com", access.KeySpec{})
	check := func(name string, r reply, status int, cost, used string) {
		t.Helper()
		if r.Status != status || r.Header["X-Credits-Cost"] != cost || r.Header["X-Credits-Used"] != used || cost != "" && r.Header["X-Credits-Limit"] != "75000" {
			t.Errorf("%s: %d %v", name, r.Status, r.Header)
		}
	}
	check("first", a.do(t, "GET", bookPath, "X-Api-Key", one), 200, "1", "1")
	check("second key", a.do(t, "GET", bookPath, "X-Api-Key", two), 200, "1", "2")
	check("HEAD", a.do(t, "HEAD", bookPath, "X-Api-Key", two), 200, "1", "3")
	check("404", a.do(t, "GET", "/api/v1/orderbook/77", "X-Api-Key", one), 404, "0", "3")
	check("400", a.do(t, "GET", bookPath+"?depth=x", "X-Api-Key", one), 400, "0", "3")
	check("502", func() reply { a.engine.set(1, nil); return a.do(t, "GET", "/api/v1/orderbook/1", "X-Api-Key", one) }(), 502, "0", "3")
	check("/keys", a.do(t, "GET", "/api/v1/keys", "X-Api-Key", one), 200, "", "")
	check("no route", a.do(t, "GET", "/nothing", "X-Api-Key", one), 404, "", "")
	check("third", a.do(t, "GET", bookPath, "X-Api-Key", one), 200, "1", "4")
	a.lock(bookPath[:len(bookPath)-1]+"{market_id}", "growth")
	check("tier", a.do(t, "GET", bookPath, "X-Api-Key", one), 403, "0", "4")
	a.lock(bookPath[:len(bookPath)-1]+"{market_id}", "")
	a.at.Store(int64(testNow) + 29*86_400_000) // March begins
	check("next month", a.do(t, "GET", bookPath, "X-Api-Key", one), 200, "1", "1")
}

// Checklist 25: the price of each class of calls. The routes of the dearer two come later; what they cost is the class's
// business, not theirs.
func TestCreditClasses(t *testing.T) {
	a := newAccounts(t, accountsOptions{})
	_, key := a.user(t, "a@example.com", "starter")
	free := map[string]bool{"/api/v1/keys": true, "/api/v1/keys/{key_id}": true, "/api/v1/keys/{key_id}/usage": true,
		"/api/v1/auth/register": true, "/api/v1/auth/login": true, "/api/v1/billing/checkout": true, "/api/v1/billing/portal": true}
	for _, r := range a.routes {
		want := creditFree
		if strings.HasPrefix(strings.TrimPrefix(r.pattern, "/replay"), "/api/v1/") && !free[r.pattern] && r.pattern != "/api/v1/billing/webhook" &&
			!strings.HasPrefix(r.pattern, lakeFilesPath) {
			want = creditStandard
		}
		switch r.pattern {
		case "/api/v1/accounts/batch", "/api/v1/accounts/batch/positions":
			want = 25
		case "/api/v1/accounts/batch/fills", "/api/v1/accounts/batch/liquidations":
			want = 50
		}
		if r.credits != want {
			t.Errorf("%s %s costs %d, want %d", r.method, r.pattern, r.credits, want)
		}
	}
	if n := len(a.natives); n == 0 || slices.ContainsFunc(a.natives, func(r *route) bool { return r.credits != creditStandard }) {
		t.Errorf("%d rows of native calls, each must cost 1", n)
	}
	used := 0
	for _, price := range []creditClass{creditStandard, 25, 50, creditFree} {
		a.lock("/api/v1/orderbook/{market_id}", "").credits = price
		r := a.do(t, "GET", bookPath, "X-Api-Key", key)
		bad := a.do(t, "GET", bookPath+"?depth=x", "X-Api-Key", key)
		used += int(price)
		cost, total := strconv.Itoa(int(price)), strconv.Itoa(used)
		if price == creditFree {
			cost, total = "", ""
		}
		if r.Status != 200 || r.Header["X-Credits-Cost"] != cost || r.Header["X-Credits-Used"] != total || bad.Header["X-Credits-Used"] != total {
			t.Errorf("%d credits: %d %v, then %v", price, r.Status, r.Header, bad.Header)
		}
	}
}

// tinyPlans have a hundred credits a month.
func tinyPlans(overage string) []config.Plan {
	plans := config.DefaultPlans()
	plans[0].CreditsPerMonth, plans[0].RequestsPerMinute, plans[0].OverageUSD = 100, access.Unlimited, overage
	return plans
}

// Checklist 29 and 30.
func TestQuota(t *testing.T) {
	a := newAccounts(t, accountsOptions{plans: tinyPlans("")})
	_, key := a.user(t, "a@example.com", "free")
	for range 100 {
		if r := a.do(t, "GET", bookPath, "X-Api-Key", key); r.Status != 200 {
			t.Fatalf("got %d", r.Status)
		}
	}
	r := a.do(t, "GET", bookPath, "X-Api-Key", key)
	e := r.envelope(t)
	wait, _ := strconv.Atoi(r.Header["Retry-After"])
	if r.Status != 429 || e.Data["code"] != "quota_exceeded" || e.Data["message"] != "monthly credit quota exceeded" || wait != 29*86_400 {
		t.Errorf("got %d %v %v", r.Status, e.Data, r.Header)
	}
	if r.Header["X-Credits-Cost"] != "0" || r.Header["X-Credits-Used"] != "100" || r.Header["X-Credits-Limit"] != "100" {
		t.Errorf("got %v", r.Header)
	}
	if r := a.do(t, "GET", "/api/v1/keys", "X-Api-Key", key); r.Status != 200 {
		t.Errorf("what costs nothing still works: got %d", r.Status)
	}
	b := newAccounts(t, accountsOptions{plans: tinyPlans("9")})
	_, key = b.user(t, "a@example.com", "free")
	for range 101 {
		r = b.do(t, "GET", bookPath, "X-Api-Key", key)
	}
	if r.Status != 200 || r.Header["X-Credits-Used"] != "101" {
		t.Errorf("with overage: got %d %v", r.Status, r.Header)
	}
}
