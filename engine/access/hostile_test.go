package access

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"hyperlight/engine/model"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// A password that is changed, or an account that is closed, while somebody signs in with the old one: the token that this
// gets is void from the start, however the two run beside each other.
func TestSignInBesideAChangeOfThePassword(t *testing.T) {
	for name, meanwhile := range map[string]func(h *house) error{
		"password": func(h *house) error {
			_, err := h.SetPassword(context.Background(), "a@example.com", "another horse")
			return err
		},
		"disabled and enabled": func(h *house) error {
			if _, err := h.DisableUser("a@example.com"); err != nil {
				return err
			}
			_, err := h.EnableUser("a@example.com")
			return err
		},
	} {
		h := newHouse(t)
		h.passwords.params = quickHashing
		if _, err := h.Register(t.Context(), "a@example.com", goodPassword, true); err != nil {
			t.Fatal(err)
		}
		h.passwords.check = func(password, phc string) (bool, *argon2id.Params, error) {
			ok, params, err := argon2id.CheckHash(password, phc)
			if err := meanwhile(h); err != nil {
				t.Error(err)
			}
			return ok, params, err
		}
		s, err := h.Login(t.Context(), "a@example.com", goodPassword)
		if err != nil {
			continue // refused is as good
		}
		if p, err := h.Authenticate(Request{Bearer: s.Token}); err == nil {
			t.Errorf("%s: the old password still got a token of %s", name, p.User)
		}
	}
}

// Every key has a rate window of its own, and what is left of a key that was used stays in the store: one key after
// another, made and revoked, must neither lift the limit nor fill the disk. Calls that were refused do not count.
func TestKeyAfterKey(t *testing.T) {
	h := newHouse(t)
	p := h.caller(t, h.register(t, "a@example.com", "free").PlainKey)
	churn := func(n int) (made int, err error) {
		for range n {
			if _, _, err := h.CreateKey(p, KeySpec{Tier: "gold"}); err == nil {
				t.Fatal("a key of no plan")
			}
			k, plain, err := h.CreateKey(p, KeySpec{})
			if err != nil {
				return made, err
			}
			made++
			h.caller(t, plain)
			if _, err := h.RevokeKey(p, k.ID); err != nil {
				t.Fatal(err)
			}
			h.pass(time.Second)
		}
		return made, nil
	}
	made, err := churn(100)
	refused(t, "one key after another", err, model.CodeRateLimit, "too many new API keys, use those there are or wait")
	if e, _ := err.(*model.Error); made != newKeysPerMinute || e == nil || e.Details["retry_after"] != int64(60-newKeysPerMinute) || e.Details["limit"] != newKeysPerMinute {
		t.Errorf("%d keys, then %v", made, err)
	}
	if _, _, err := h.CreateKeyFor("a@example.com", KeySpec{}); err != nil {
		t.Error("the operator was refused:", err)
	}
	if _, total, _ := h.Keys(p, 0, 0); total != 2 {
		t.Errorf("%d keys", total)
	}
	h.pass(time.Minute)
	rows, _, _ := h.Keys(p, 0, 0)
	if _, err := h.RevokeKey(p, rows[1].ID); err != nil { // the operator's: the plan has room for two
		t.Fatal(err)
	}
	if made, err := churn(newKeysPerMinute); made != newKeysPerMinute {
		t.Errorf("a minute later: %d keys, then %v", made, err)
	}
}

// A clock that is set back over midnight, by a second say, finds the answer of the day that has not come yet: the call
// must not happen twice.
func TestKeptAnswerBeforeMidnight(t *testing.T) {
	clock := newClock(utc("2024-02-11T00:00:00.200Z"))
	a := openAccess(t, kvtest.Open(t), clock)
	account := keyOf(t, a, "free", 1, 1).Account
	_, done, err := a.Begin(account, "POST /r", "k", [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	done(201, []byte("{}"))
	clock.advance(-500)
	kept, again, err := a.Begin(account, "POST /r", "k", [32]byte{})
	if err != nil || again != nil || kept == nil || kept.Status != 201 {
		t.Errorf("%+v, %v", kept, err)
	}
}

// A clock that ran ahead for a moment, into another year, must not make all months up to then one: each has its own
// allowance, in this process and in the next.
func TestMonthsAfterAClockThatRanAhead(t *testing.T) {
	clock := newClock(utc("2024-10-10T00:00:00Z"))
	store := kvtest.Open(t)
	a := openAccess(t, store, clock)
	p := keyOf(t, a, "free", 1, 1)
	for _, at := range []string{
		"2024-10-10T00:00:00Z", "2024-11-10T00:00:00Z", "2036-01-01T00:00:00Z", "2024-11-10T00:00:01Z", "2024-12-10T00:00:00Z", "2025-01-10T00:00:00Z",
		"2025-02-10T00:00:00Z",
	} {
		clock.set(utc(at))
		first := at != "2024-11-10T00:00:01Z"
		if got := a.Spend(p, 75_000, clock.millis()); got != first {
			t.Errorf("%s: the allowance was given: %v", at, got)
		}
		if a.Spend(p, 1, clock.millis()) {
			t.Errorf("%s: more than the allowance was given", at)
		}
		if m := a.Month(p.Account, p.Plan, clock.millis()); m.Period != at[:7] || m.Used != 75_000 {
			t.Errorf("%s: %+v", at, m)
		}
		if err := a.flush(clock.millis()); err != nil {
			t.Fatal(err)
		}
		if at[:4] == "2036" {
			continue // started anew, it knows the months of its own clock only
		}
		a = openAccess(t, store, clock)
		if m := a.Month(p.Account, p.Plan, clock.millis()); m.Period != at[:7] || m.Used != 75_000 {
			t.Errorf("%s, after a restart: %+v", at, m)
		}
	}
}

// A range without an end is what is there, and costs no walk through all days that will ever be: while usage is read,
// nothing is written down.
func TestUsageOfARangeWithoutAnEnd(t *testing.T) {
	clock := newClock(utc("2024-10-10T00:00:00Z"))
	a := openAccess(t, kvtest.Open(t), clock)
	p := keyOf(t, a, "free", 1, 1)
	a.Settle(p, Use{Route: a.Route("GET /x"), Status: 200}, clock.millis())
	for _, what := range []string{"pending", "stored"} {
		for _, to := range []model.Millis{clock.millis() + 1, 253_402_300_799_999, math.MaxInt64 - hourMillis, math.MaxInt64} {
			if hours, totals, err := a.UsageOf(p.Key, clock.millis()-1, to); err != nil || len(hours) != 1 || totals.Requests != 1 {
				t.Errorf("%s, to %d: %+v, %+v, %v", what, to, hours, totals, err)
			}
		}
		if err := a.flush(clock.millis()); err != nil {
			t.Fatal(err)
		}
	}
}

// Nor does it make all days till then one, of which an account has its thousand answers.
func TestKeptAnswersAfterAClockThatRanAhead(t *testing.T) {
	clock := newClock(utc("2036-01-01T00:00:00Z"))
	store := kvtest.Open(t)
	a := openAccess(t, store, clock)
	account := keyOf(t, a, "free", 1, 1).Account
	keep := func(name string) error {
		_, done, err := a.Begin(account, "POST /r", name, [32]byte{})
		if err == nil {
			done(201, []byte("{}"))
		}
		return err
	}
	if err := keep("ahead"); err != nil {
		t.Fatal(err)
	}
	for restarts, from := range []string{"2024-10-10T00:00:00Z", "2024-11-10T00:00:00Z"} {
		if clock.set(utc(from)); restarts > 0 {
			a = openAccess(t, store, clock)
		}
		for day := range 3 {
			for n := range keptPerDay / 2 {
				if err := keep(fmt.Sprint(restarts, day, n)); err != nil {
					t.Fatalf("day %d, call %d: %v", day, n, err)
				}
			}
			clock.advance(key.DayMillis)
		}
	}
}

// Nor do the calls of that moment count as made just now, each time the program starts.
func TestWindowsAfterAClockThatRanAhead(t *testing.T) {
	clock := newClock(utc("2036-01-01T00:00:00Z"))
	store := kvtest.Open(t)
	a := openAccess(t, store, clock)
	p := keyOf(t, a, "free", 1, 1)
	for range 30 {
		a.Take(p, clock.millis())
	}
	if err := a.flush(clock.millis()); err != nil {
		t.Fatal(err)
	}
	clock.set(utc("2024-10-10T00:00:00Z"))
	a = openAccess(t, store, clock)
	for n := range 30 {
		if d := a.Take(p, clock.millis()); !d.OK || d.Remaining != 29-n {
			t.Fatalf("call %d: %+v", n, d)
		}
	}
	if a.Take(p, clock.millis()).OK {
		t.Error("more than the limit was let in")
	}
	if err := a.flush(clock.millis()); err != nil {
		t.Fatal(err)
	}
	clock.advance(1000)
	if a = openAccess(t, store, clock); a.Take(p, clock.millis()).OK {
		t.Error("a restart gave a new window")
	}
}
