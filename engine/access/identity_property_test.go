package access

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"hyperlight/config"
	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// naive is what users and keys should be: lists that are searched, and rules written down once more.
type naive struct {
	users []*naiveUser
	keys  []*naiveKey
}

type naiveUser struct {
	email, password, tier string
	disabled              bool
	id                    uuid.UUID
	tokens                []naiveToken
}

type naiveToken struct {
	text  string
	until int64
}

type naiveKey struct {
	owner           *naiveUser
	plain, tier     string
	allowed         string // "" from anywhere, else one address
	disabled, gone  bool
	expires, lastMs int64
	id              uuid.UUID
}

var planOrder = []string{"free", "starter", "growth", "scale", "enterprise"}

var keysPerPlan = map[string]int{"free": 2, "starter": 10, "growth": 50, "scale": 100, "enterprise": 1 << 30}

func lowerPlan(a, b string) string {
	return planOrder[min(slices.Index(planOrder, a), slices.Index(planOrder, b))]
}

func (k *naiveKey) plan() string {
	if k.tier == "" {
		return k.owner.tier
	}
	return lowerPlan(k.tier, k.owner.tier)
}

func (k *naiveKey) active(now int64) bool {
	return !k.gone && !k.disabled && (k.expires == 0 || now < k.expires)
}

// says returns the message of the refusal, or the plan.
func (k *naiveKey) says(now int64, client string) string {
	switch {
	case k.gone:
		return "missing or invalid API key"
	case k.expires != 0 && now >= k.expires:
		return "API key expired"
	case k.disabled || k.owner.disabled:
		return "API key disabled"
	case k.allowed != "" && k.allowed != client:
		return "IP address not allowed"
	}
	return k.plan()
}

func (n *naive) active(u *naiveUser, now int64) (c int) {
	for _, k := range n.keys {
		if k.owner == u && k.active(now) {
			c++
		}
	}
	return c
}

// Random operations, restarts among them, give what the naive lists say.
func TestIdentityAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := kvtest.NewDisk().TryOpen(kv.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ms := &atomic.Int64{}
		ms.Store(startOfTests)
		h, err := houseOn(s, ms)
		if err != nil {
			t.Fatal(err)
		}
		m := &naive{}
		emails := []string{"a@example.com", "b@example.com", "c@example.com"}
		clients := []string{"10.0.0.1", "10.0.0.2"}
		anyUser := func(t *rapid.T) *naiveUser {
			if len(m.users) == 0 {
				t.Skip("no user")
			}
			return rapid.SampledFrom(m.users).Draw(t, "user")
		}
		anyKey := func(t *rapid.T) *naiveKey {
			if len(m.keys) == 0 {
				t.Skip("no key")
			}
			return rapid.SampledFrom(m.keys).Draw(t, "key")
		}
		as := func(u *naiveUser) *Principal { return &Principal{User: u.id} }
		say := func(p *Principal, err error) string {
			if err != nil {
				return strings.SplitN(err.Error(), ": ", 2)[1]
			}
			return p.Plan.Slug
		}
		expect := func(t *rapid.T, what string, err error, want string) {
			t.Helper()
			got := ""
			if err != nil {
				got = string(err.(*model.Error).Code)
			}
			if got != want {
				t.Fatalf("%s: got %v, want %q", what, err, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"register": func(t *rapid.T) {
				email := rapid.SampledFrom(emails).Draw(t, "email")
				s, err := h.Register(context.Background(), strings.ToUpper(email), goodPassword, true)
				if slices.ContainsFunc(m.users, func(u *naiveUser) bool { return u.email == email }) {
					expect(t, "register", err, "conflict")
					return
				}
				expect(t, "register", err, "")
				u := &naiveUser{email: email, password: goodPassword, tier: "free", id: s.User.ID, tokens: []naiveToken{{s.Token, h.ms.Load() + 86_400_000}}}
				m.users = append(m.users, u)
				m.keys = append(m.keys, &naiveKey{owner: u, plain: s.PlainKey, id: s.Key.ID})
			},
			"login": func(t *rapid.T) {
				u := anyUser(t)
				s, err := h.Login(context.Background(), u.email, u.password)
				if u.disabled {
					expect(t, "login", err, "forbidden")
					return
				}
				expect(t, "login", err, "")
				u.tokens = append(u.tokens, naiveToken{s.Token, h.ms.Load() + 86_400_000})
			},
			"create key": func(t *rapid.T) {
				u := anyUser(t)
				k := &naiveKey{owner: u, tier: rapid.SampledFrom(append([]string{""}, planOrder...)).Draw(t, "tier"), allowed: rapid.SampledFrom(append([]string{""}, clients...)).Draw(t, "allowed")}
				if rapid.Bool().Draw(t, "expires") {
					k.expires = h.ms.Load() + rapid.Int64Range(-1, 5000).Draw(t, "in")
				}
				spec := KeySpec{Tier: k.tier, Expires: model.Millis(k.expires)}
				if k.allowed != "" {
					spec.AllowedIPs = []string{k.allowed}
				}
				got, plain, err := h.CreateKey(as(u), spec)
				switch {
				case k.tier != "" && lowerPlan(k.tier, u.tier) != k.tier:
					expect(t, "key above the user", err, "forbidden")
				case k.expires != 0 && k.expires <= h.ms.Load():
					expect(t, "key of the past", err, "bad_request")
				case m.active(u, h.ms.Load()) >= keysPerPlan[u.tier]:
					expect(t, "key too many", err, "forbidden")
				default:
					expect(t, "create key", err, "")
					k.plain, k.id = plain, got.ID
					m.keys = append(m.keys, k)
				}
			},
			"patch key": func(t *rapid.T) {
				u, k := anyUser(t), anyKey(t)
				on := rapid.Bool().Draw(t, "enabled")
				_, err := h.PatchKey(as(u), k.id, KeyPatch{Enabled: &on})
				now := h.ms.Load()
				after := *k
				after.disabled = !on
				switch {
				case k.gone || k.owner != u:
					expect(t, "patch", err, "not_found")
				case after.active(now) && !k.active(now) && m.active(u, now) >= keysPerPlan[u.tier]:
					expect(t, "patch on a full plan", err, "forbidden")
				default:
					expect(t, "patch", err, "")
					k.disabled = !on
				}
			},
			"revoke": func(t *rapid.T) {
				u, k := anyUser(t), anyKey(t)
				_, err := h.RevokeKey(as(u), k.id)
				if k.gone || k.owner != u {
					expect(t, "revoke", err, "not_found")
					return
				}
				expect(t, "revoke", err, "")
				k.gone = true
			},
			"set tier": func(t *rapid.T) {
				u := anyUser(t)
				u.tier = rapid.SampledFrom(planOrder).Draw(t, "tier")
				_, err := h.SetTier(u.email, u.tier)
				expect(t, "set tier", err, "")
			},
			"disable": func(t *rapid.T) {
				u := anyUser(t)
				if rapid.IntRange(0, 9).Draw(t, "dice") > 0 {
					t.Skip("seldom")
				}
				_, err := h.DisableUser(u.email)
				expect(t, "disable", err, "")
				u.disabled, u.tokens = true, append([]naiveToken(nil), u.tokens...)
				for i := range u.tokens {
					u.tokens[i].until = 0
				}
			},
			"plans again": func(t *rapid.T) {
				if err := h.SetPlans(config.DefaultPlans()); err != nil {
					t.Fatal(err)
				}
			},
			"time": func(t *rapid.T) {
				h.pass(time.Duration(rapid.OneOf(rapid.Int64Range(1, 3000), rapid.Int64Range(1, 90_000_000)).Draw(t, "ms")) * time.Millisecond)
			},
			"restart": func(t *rapid.T) {
				if err := h.write(); err != nil {
					t.Fatal(err)
				}
				if h, err = houseOn(s, ms); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				now := h.ms.Load()
				for i, k := range m.keys {
					client := clients[i%2]
					p, err := h.Authenticate(Request{APIKey: k.plain, Client: netip.MustParseAddr(client)})
					want := k.says(now, client)
					if got := say(p, err); got != want {
						t.Fatalf("key %d from %s: got %q, want %q", i, client, got, want)
					}
					if err == nil {
						if now-k.lastMs >= usedStep {
							k.lastMs = now
						}
						if p.User != k.owner.id || p.Key != k.id {
							t.Fatalf("key %d: got %+v", i, p)
						}
						if again, err := h.Recheck(p, netip.MustParseAddr(client)); err != nil || again != p {
							t.Fatalf("key %d: recheck gave %+v, %v", i, again, err)
						}
					}
				}
				for _, u := range m.users {
					for i, token := range u.tokens {
						p, err := h.Authenticate(Request{Bearer: token.text})
						want := u.tier
						if token.until == 0 || now >= token.until+30_000-token.until%1000 {
							want = "missing or invalid API key"
						}
						if got := say(p, err); got != want {
							t.Fatalf("token %d of %s: got %q, want %q", i, u.email, got, want)
						}
					}
					m.compare(t, h, u)
				}
			},
		})
	})
}

// compare checks the list of a user's keys.
func (n *naive) compare(t *rapid.T, h *house, u *naiveUser) {
	var want, got []string
	for _, k := range n.keys {
		if k.owner == u && !k.gone {
			want = append(want, fmt.Sprint(k.id, k.plan(), k.lastMs, k.expires))
		}
	}
	rows, total, err := h.KeysOf(u.email, 0, 0)
	if err != nil || total != len(rows) {
		t.Fatalf("keys of %s: %d of %d, %v", u.email, len(rows), total, err)
	}
	for _, k := range rows {
		got = append(got, fmt.Sprint(k.ID, k.Tier, k.LastUsed, k.Expires))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("keys of %s:\n got %v\nwant %v", u.email, got, want)
	}
}
