package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine/sim"
	api "hyperlight/http"
)

// quietVenue is a venue of four markets where little happens.
func quietVenue(t *testing.T) venue {
	t.Helper()
	return startVenue(t, sim.New(sim.Options{Seed: 3, Markets: 4, Accounts: 100, Rate: 50}), sim.ServeOptions{})
}

// everySocket opens each kind of socket with a key, and waits until each of them has said that it knows the caller.
func everySocket(t *testing.T, c *caller) []*socket {
	t.Helper()
	first := c.open(t, "/ws")
	first.expect(t, `"authenticated"`)
	replay := c.open(t, "/ws/replay")
	replay.expect(t, `"authenticated"`)
	native := c.open(t, "/stream")
	send(t, native.conn, `{"type":"subscribe","channel":"order_book/0"}`)
	native.expect(t, `"subscribed/order_book"`)
	bare := &caller{base: c.base, client: c.client}
	enriched := bare.open(t, "/stream")
	enriched.expect(t, `"connected"`)
	send(t, enriched.conn, fmt.Sprintf(`{"type":"auth","api_key":%q}`, c.key))
	enriched.expect(t, `"authenticated"`)
	late := bare.open(t, "/ws")
	send(t, late.conn, fmt.Sprintf(`{"type":"auth","api_key":%q}`, c.key))
	late.expect(t, fmt.Sprintf(`"tier":%q`, "growth"))
	return []*socket{first, replay, native, enriched, late}
}

// A revoked key ends every socket that was opened with it at once, and its next call; the key that
// took its place works before, meanwhile and after.
func TestRevokedKeyEndsItsSockets(t *testing.T) {
	a := startInFront(t, quietVenue(t), func(c *config.Config) { c.Access.DefaultTier = "growth" })
	fresh := a.as(a.register("rotation@example.com"))
	other := fresh.open(t, "/ws")
	other.expect(t, `"authenticated"`)
	const read = "/api/v1/orderbook/0"
	var delays []time.Duration
	for range 5 {
		made := fresh.makeKey(t, `{"name":"old"}`)
		old := a.as(made.Key)
		old.want(t, 200, "GET", read, "", nil)
		fresh.want(t, 200, "GET", read, "", nil)
		sockets := everySocket(t, old)
		fresh.want(t, 200, "DELETE", "/api/v1/keys/"+made.ID, "", nil)
		answered := time.Now()
		if r := old.want(t, 401, "GET", read, "", nil); r.header.Get("X-Credits-Cost") != "" {
			t.Error("a revoked key is charged")
		}
		old.want(t, 401, "GET", "/api/v1/orderBooks", "", nil) // native calls too
		for _, s := range sockets {
			delays = append(delays, s.closed(t, 4012, time.Minute).Sub(answered))
		}
		fresh.want(t, 404, "DELETE", "/api/v1/keys/"+made.ID, "", nil)
		fresh.want(t, 200, "GET", read, "", nil)
	}
	other.stays(t)
	slices.Sort(delays)
	t.Logf("sockets end %s after the answer to the DELETE, the slowest after %s", delays[len(delays)/2], delays[len(delays)-1])
	// That the server waits for nothing with it is a test of package ws, by a clock that waits for who computes.
	if median := delays[len(delays)/2]; median > 10*time.Second {
		t.Errorf("half of the sockets were open %s after the key was revoked", median)
	}
}

// What else ends a key's right to call reaches its sockets as well, with a code of its own.
func TestRefusedKeyEndsItsSockets(t *testing.T) {
	a := startInFront(t, quietVenue(t), func(c *config.Config) { c.Access.DefaultTier = "growth" })
	owner := a.as(a.register("owner@example.com"))
	for _, tt := range []struct{ name, patch, message string }{
		{"disabled", `{"enabled":false}`, "API key disabled"},
		{"expired", `{"expires_at":%d}`, "API key expired"},
		{"address", `{"allowed_ips":["203.0.113.0/24"]}`, "IP address not allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made := owner.makeKey(t, `{"name":"doomed"}`)
			doomed := a.as(made.Key)
			sockets := everySocket(t, doomed)
			patch := tt.patch
			if tt.name == "expired" {
				patch = fmt.Sprintf(patch, time.Now().Add(1500*time.Millisecond).UnixMilli())
			}
			owner.want(t, 200, "PATCH", "/api/v1/keys/"+made.ID, patch, nil)
			for _, s := range sockets {
				s.closed(t, 4003, time.Minute)
			}
			if code, message := doomed.want(t, 403, "GET", "/api/v1/orderbook/0", "", nil).fault(); code != "forbidden" || message != tt.message {
				t.Errorf("refused with %s: %s", code, message)
			}
			refused := doomed.open(t, "/ws")
			refused.expect(t, tt.message)
			refused.closed(t, 4003, time.Minute)
			owner.want(t, 200, "PATCH", "/api/v1/keys/"+made.ID, `{"enabled":true,"expires_at":null,"allowed_ips":[]}`, nil)
			doomed.want(t, 200, "GET", "/api/v1/orderbook/0", "", nil)
		})
	}
	t.Run("user", func(t *testing.T) {
		signedIn := a.login("owner@example.com")
		byToken := signedIn.open(t, "/ws")
		byToken.expect(t, `"authenticated"`)
		sockets := everySocket(t, owner)
		var gone api.ControlUser
		a.command("user/disable", api.ControlEmail{Email: "owner@example.com"}, &gone)
		for _, s := range sockets {
			s.closed(t, 4003, time.Minute)
		}
		byToken.closed(t, 4012, time.Minute)
		owner.want(t, 403, "GET", "/api/v1/orderbook/0", "", nil)
		signedIn.want(t, 401, "GET", "/api/v1/keys", "", nil)
	})
}

// A changed plan, of a user, of a key or of the table itself, holds from the next request on and on sockets that are
// open: what is held stays, what comes is counted by the new limits.
func TestChangedPlanReachesOpenSockets(t *testing.T) {
	a := startInFront(t, quietVenue(t), func(c *config.Config) { c.Access.DefaultTier = "growth" })
	const email = "mover@example.com"
	owner := a.as(a.register(email))
	perMinute := func(want int) {
		t.Helper()
		if got := owner.want(t, 200, "GET", "/api/v1/orderbook/0", "", nil).number("X-RateLimit-Limit"); got != want {
			t.Errorf("%d requests per minute, want %d", got, want)
		}
	}
	live := owner.open(t, "/ws")
	live.expect(t, `"max_subscriptions":10000`)
	replay := owner.open(t, "/ws/replay")
	replay.expect(t, `"authenticated"`)
	for m := range 4 {
		live.subscribe(t, fmt.Sprintf("trade/%d", m))
	}
	perMinute(3000)

	setTier := func(tier string) {
		t.Helper()
		var u api.ControlUser
		a.command("user/set-tier", api.ControlUserTier{Email: email, Tier: tier}, &u)
	}
	setTier("free") // 5 subscriptions, no replay
	perMinute(30)
	if got := live.subscribe(t, "order_book/0"); !strings.Contains(got, `"subscribed"`) {
		t.Errorf("the fifth subscription: %s", got)
	}
	live.subscribeUntil(t, "order_book/1", "subscription_limit") // the sixth under the new plan
	waitFor(t, time.Minute, func() bool {
		now := time.Now()
		send(t, replay.conn, fmt.Sprintf(`{"type":"replay","market_id":0,"start":%d,"end":%d}`, now.Add(-time.Second).UnixMilli(), now.UnixMilli()))
		return strings.Contains(replay.expect(t, `"type":"`), `"forbidden"`)
	}, func() string { return "a plan without replays replays" })
	setTier("starter")
	perMinute(300)
	live.subscribeUntil(t, "order_book/1", `"subscribed"`) // after the plan was raised

	// A key of its own plan below the user's.
	low := a.as(owner.makeKey(t, `{"tier":"free"}`).Key)
	if got := low.want(t, 200, "GET", "/api/v1/orderbook/0", "", nil).number("X-RateLimit-Limit"); got != 30 {
		t.Errorf("a key of the free plan has %d requests per minute", got)
	}

	a.reload(func(c *config.Config) {
		c.Plans = slices.Clone(c.Plans)
		for i := range c.Plans {
			if c.Plans[i].Slug == "starter" {
				c.Plans[i].RequestsPerMinute, c.Plans[i].Subscriptions = 77, 6
			}
		}
	})
	perMinute(77)
	live.subscribeUntil(t, "order_book/2", "subscription_limit") // the seventh after the table was changed
	live.stays(t)
	replay.stays(t)
	native := owner.open(t, "/stream")
	send(t, native.conn, `{"type":"subscribe","channel":"order_book/3"}`)
	native.expect(t, `"code":23001`) // the venue's own word for it

	// The plan goes: its users are not let out, they come under the one below.
	a.reload(func(c *config.Config) {
		c.Plans = slices.DeleteFunc(slices.Clone(c.Plans), func(p config.Plan) bool { return p.Slug == "starter" })
	})
	perMinute(30)
	time.Sleep(200 * time.Millisecond) // it has reached the sockets
	live.stays(t)
}
