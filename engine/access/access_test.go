package access

import (
	"errors"
	"net/netip"
	"testing"

	"hyperlight/engine/model"
)

func TestLocalPlan(t *testing.T) {
	a, err := New(Options{LocalPlan: "enterprise", PublicURL: "https://bots.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	peer := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for _, c := range []struct {
		name string
		req  Request
		ok   bool
	}{
		{"loopback", Request{Peer: peer("127.0.0.1:5000"), Host: "localhost:8080"}, true},
		{"loopback by address", Request{Peer: peer("127.0.0.1:5000"), Host: "127.0.0.1:8080"}, true},
		{"IPv6 loopback", Request{Peer: peer("[::1]:5000"), Host: "[::1]:8080"}, true},
		{"bare IPv6", Request{Peer: peer("[::1]:5000"), Host: "::1"}, true},
		{"rooted name", Request{Peer: peer("127.0.0.1:5000"), Host: "LOCALHOST.:8080"}, true},
		{"IPv4-mapped", Request{Peer: peer("[::ffff:127.0.0.1]:5000"), Host: "localhost"}, true},
		{"public host", Request{Peer: peer("127.0.0.1:5000"), Host: "bots.example.com"}, true},
		{"own origin", Request{Peer: peer("127.0.0.1:5000"), Host: "localhost:8080", Origin: "http://localhost:8080"}, true},
		{"public origin", Request{Peer: peer("127.0.0.1:5000"), Host: "bots.example.com", Origin: "https://bots.example.com"}, true},
		{"remote peer", Request{Peer: peer("10.0.0.7:5000"), Host: "localhost:8080"}, false},
		{"proxy in front", Request{Peer: peer("127.0.0.1:5000"), Host: "localhost:8080", Forwarded: true}, false},
		{"rebound name", Request{Peer: peer("127.0.0.1:5000"), Host: "evil.example.org:8080"}, false},
		{"foreign page", Request{Peer: peer("127.0.0.1:5000"), Host: "localhost:8080", Origin: "https://evil.example.org"}, false},
		{"page on another port", Request{Peer: peer("127.0.0.1:5000"), Host: "localhost:8080", Origin: "http://localhost:3000"}, false},
		{"opaque origin", Request{Peer: peer("127.0.0.1:5000"), Host: "localhost:8080", Origin: "null"}, false},
		{"a bad key is not skipped", Request{Peer: peer("127.0.0.1:5000"), Host: "localhost:8080", APIKey: "hlt_x"}, false},
		{"a bad bearer is not skipped", Request{Peer: peer("127.0.0.1:5000"), Host: "localhost:8080", Bearer: "x"}, false},
		{"no host", Request{Peer: peer("127.0.0.1:5000")}, false},
	} {
		p, err := a.Authenticate(c.req)
		if c.ok {
			if err != nil || p.Plan.Slug != "enterprise" || !p.Local {
				t.Errorf("%s: got %v, %v; want the local enterprise caller", c.name, p, err)
			}
			continue
		}
		if e, ok := errors.AsType[*model.Error](err); !ok || e.Code != model.CodeUnauthorized {
			t.Errorf("%s: got %v, %v; want unauthorized", c.name, p, err)
		}
	}
}

func TestNoLocalPlanLetsNobodyIn(t *testing.T) {
	a, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := a.Authenticate(Request{Peer: netip.MustParseAddrPort("127.0.0.1:1"), Host: "localhost"}); err == nil {
		t.Fatalf("got %v, want a refusal", p)
	}
}

func TestUnknownLocalPlan(t *testing.T) {
	if _, err := New(Options{LocalPlan: "gold"}); err == nil {
		t.Fatal("an unknown plan must be refused")
	}
}

// The table is the contract's section 1.9; a changed default must be a decision, not a slip.
func TestDefaultPlans(t *testing.T) {
	want := map[string][4]int{ // requests, subscriptions, window, concurrent replays
		"free": {30, 5, 0, 0}, "starter": {300, 1000, 7, 2}, "growth": {3000, 10000, 30, 5},
		"scale": {30000, 25000, 90, 10}, "enterprise": {-1, -1, -1, -1},
	}
	for _, p := range DefaultPlans() {
		got := [4]int{p.RequestsPerMinute, p.Subscriptions, p.ReplayWindowDays, p.ConcurrentReplays}
		if got != want[p.Slug] {
			t.Errorf("%s: got %v, want %v", p.Slug, got, want[p.Slug])
		}
		if p.ReplayAtMax() != (p.Slug == "enterprise") {
			t.Errorf("%s: ReplayAtMax is %v", p.Slug, p.ReplayAtMax())
		}
	}
}

// A local call is authenticated on the path of every request: it must cost nothing.
func TestAuthenticateDoesNotAllocate(t *testing.T) {
	a, err := New(Options{LocalPlan: "free"})
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Peer: netip.MustParseAddrPort("127.0.0.1:1"), Host: "localhost:8080"}
	if n := testing.AllocsPerRun(100, func() { _, _ = a.Authenticate(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
