package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine/sim"
)

// flushTime is what a crash may take of counts (contract 7.4), with some room for the writing itself.
const flushTime = 9 * time.Second

// ledger is what clients of a server know of it for sure, over all of its lives: what they were told, and what they
// asked without ever hearing an answer.
type ledger struct {
	mu      sync.Mutex
	working map[string]madeKey // acknowledged, not asked to be revoked
	revoked map[string]madeKey // acknowledged as revoked
	unsure  map[string]bool    // ids whose revocation was not answered
	answers map[string]string  // Idempotency-Key to the id of its key
	calls   []time.Time        // answered with 200, 1 credit each
	unheard int                // metered calls that got no answer
}

func (l *ledger) with(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
}

// TestKillKeepsAccess kills the server with SIGKILL while keys are made and revoked and credits are spent. What was
// acknowledged is there after each restart, keys and revocations at once, counts but for the last seconds; nothing is
// counted twice, and nobody gets a new window by it.
func TestKillKeepsAccess(t *testing.T) {
	t.Parallel() // it waits for flushes
	kills := 3
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		kills = 40
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	v := startVenue(t, sim.New(sim.Options{Seed: 5, Markets: 2, Accounts: 100, Rate: 50}), sim.ServeOptions{
		Limits: sim.Limits{MessagesPerMinute: -1, NewConnections: -1},
	})
	dir := t.TempDir()
	start := func() *server {
		return startServer(t, dir, v, "--set", "access.default_tier=enterprise", "--set", "venues.lighter.markets=0")
	}
	machine := watchStalls(t)
	s := start()
	s.waitBooks(1)
	const email = "crash@example.com"
	l := &ledger{working: map[string]madeKey{}, revoked: map[string]madeKey{}, unsure: map[string]bool{}, answers: map[string]string{}}
	owner := s.as(s.register(email))
	signedIn := s.login(email)
	spender := owner.makeKey(t, `{"name":"spender"}`)
	windowed := owner.makeKey(t, `{"name":"windowed","tier":"free"}`)
	admitted := 0 // of the windowed key, in the minute from the first on
	var opened time.Time
	for n := range kills {
		where := fmt.Sprintf("kill %d of seed %d", n+1, seed)
		if time.Since(opened) > time.Minute {
			admitted, opened = 0, time.Now() // a whole window ago
		}
		admitted += s.drain(windowed.Key)
		if admitted > 30 {
			t.Errorf("%s: the window of 30 let %d calls pass", where, admitted)
		}
		work := time.Duration(random.IntN(1500)) * time.Millisecond
		if n%3 == 0 {
			work += machine.within(flushTime) // the drained window rests on disk then
		} else if n%3 == 1 {
			admitted, opened = 0, time.Time{} // it may be lost
		}
		killed := s.useUntilKill(l, owner.key, spender.Key, random, work)
		restarting := time.Now()
		s = start()
		if took := time.Since(restarting); took > machine.within(10*time.Second) {
			t.Errorf("%s: the restart took %s", where, took)
		}
		s.waitBooks(1)
		owner.base, signedIn.base = s.base, s.base
		signedIn.want(t, 200, "GET", "/api/v1/keys?limit=1", "", nil)
		s.checkLedger(where, l, owner, spender, windowed, killed.Add(-machine.within(flushTime)))
	}
	s.kill()
}

// drain calls with a key until it is refused, and returns how many calls were let in.
func (s *server) drain(key string) (admitted int) {
	c := s.as(key)
	for range 100 {
		r, err := c.call("GET", "/api/v1/orderbook/0?depth=1", "")
		if err != nil {
			s.t.Fatal(err)
		}
		if r.status == 429 {
			return admitted
		}
		admitted++
	}
	s.t.Error("a window of 30 has no end")
	return admitted
}

// useUntilKill makes and revokes keys and spends credits from many sides until the server is killed in the middle.
func (s *server) useUntilKill(l *ledger, owner, spender string, random *rand.Rand, d time.Duration) (killed time.Time) {
	s.t.Helper()
	var group sync.WaitGroup
	stopped := make(chan struct{})
	work := func(key string, step func(c *caller, r *rand.Rand) bool) {
		r := rand.New(rand.NewPCG(random.Uint64(), 1))
		c := s.as(key)
		group.Go(func() {
			for step(c, r) {
				select {
				case <-stopped: // before the kill: the next call fails
				default:
					time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
				}
			}
		})
	}
	for range 2 {
		work(owner, l.makeOrRevoke)
		work(spender, l.spend)
	}
	time.Sleep(d)
	close(stopped)
	killed = time.UnixMilli(int64(s.kill()))
	group.Wait()
	return killed
}

// spend makes one metered call; false where the server has gone.
func (l *ledger) spend(c *caller, r *rand.Rand) bool {
	reply, err := c.call("GET", "/api/v1/orderbook/0?depth=1", "")
	l.with(func() {
		switch {
		case err != nil:
			l.unheard++
		case reply.status == 200:
			l.calls = append(l.calls, time.Now())
		}
	})
	return err == nil
}

func (l *ledger) makeOrRevoke(c *caller, r *rand.Rand) bool {
	if r.IntN(3) == 0 {
		return l.revokeOne(c)
	}
	idempotency := fmt.Sprintf("key-%d", r.Uint64())
	reply, err := c.call("POST", "/api/v1/keys", `{"name":"made"}`, "Idempotency-Key", idempotency)
	if err != nil {
		return false
	}
	var out struct{ Data madeKey }
	if reply.status != 201 || json.Unmarshal(reply.body, &out) != nil {
		return true
	}
	l.with(func() {
		l.working[out.Data.ID] = out.Data
		l.answers[idempotency] = out.Data.ID
	})
	return true
}

func (l *ledger) revokeOne(c *caller) bool {
	var k madeKey
	l.with(func() {
		for id, one := range l.working {
			k = one
			delete(l.working, id)
			break
		}
	})
	if k.ID == "" {
		return true
	}
	reply, err := c.call("DELETE", "/api/v1/keys/"+k.ID, "")
	l.with(func() {
		switch {
		case err != nil:
			l.unsure[k.ID] = true
		case reply.status == 200:
			l.revoked[k.ID] = k
		default:
			l.working[k.ID] = k
		}
	})
	return err == nil
}

// checkLedger compares a restarted server with what its clients know, counts up to when they were flushed.
func (s *server) checkLedger(where string, l *ledger, owner *caller, spender, windowed madeKey, flushed time.Time) {
	t := s.t
	t.Helper()
	sample := 0
	for _, k := range l.working {
		if r, err := s.as(k.Key).call("GET", "/api/v1/keys?limit=1", ""); err != nil || r.status != 200 {
			t.Errorf("%s: an acknowledged key gets %d, %v", where, r.status, err)
		}
		if sample++; sample == 10 {
			break
		}
	}
	for _, k := range l.revoked {
		if r, err := s.as(k.Key).call("GET", "/api/v1/keys?limit=1", ""); err != nil || r.status != 401 {
			t.Errorf("%s: a revoked key gets %d, %v", where, r.status, err)
		}
		if sample++; sample == 20 {
			break
		}
	}
	listed := map[string]bool{}
	for offset := 0; ; offset += 1000 {
		var page struct{ Keys []struct{ ID string } }
		owner.want(t, 200, "GET", fmt.Sprintf("/api/v1/keys?limit=1000&offset=%d", offset), "", &page)
		for _, k := range page.Keys {
			if listed[k.ID] {
				t.Errorf("%s: key %s is listed twice", where, k.ID)
			}
			listed[k.ID] = true
		}
		if len(page.Keys) < 1000 {
			break
		}
	}
	for id := range l.working {
		if !listed[id] {
			t.Errorf("%s: key %s is gone", where, id)
		}
	}
	for id := range l.revoked {
		if listed[id] {
			t.Errorf("%s: key %s came back", where, id)
		}
	}
	again := 0
	for idempotency, id := range l.answers {
		r, err := owner.call("POST", "/api/v1/keys", `{"name":"made"}`, "Idempotency-Key", idempotency)
		if err != nil {
			t.Fatal(err)
		}
		var out struct {
			Data struct {
				ID     string
				APIKey *string `json:"api_key"`
			}
		}
		if json.Unmarshal(r.body, &out) != nil || r.status != 201 || out.Data.ID != id || out.Data.APIKey != nil || r.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s: the repeated call that made %s gets %d %.300s", where, id, r.status, r.body)
		}
		if again++; again == 10 {
			break
		}
	}

	least, most := 0, len(l.calls)+l.unheard
	for _, at := range l.calls {
		if at.Before(flushed) {
			least++
		}
	}
	var u keyUsage
	owner.want(t, 200, "GET", "/api/v1/keys/"+spender.ID+"/usage", "", &u)
	if u.Totals.Credits < least || u.Totals.Credits > most || u.Totals.Requests != u.Totals.Credits {
		t.Errorf("%s: usage is %+v, the clients know of %d to %d calls", where, u.Totals, least, most)
	}
	// The windowed key spends of the same month; its calls and the spender's together are the month's total.
	var other keyUsage
	owner.want(t, 200, "GET", "/api/v1/keys/"+windowed.ID+"/usage", "", &other)
	if sum := u.Totals.Credits + other.Totals.Credits; u.Month.Used != sum {
		t.Errorf("%s: the month's total is %d, the keys' usage adds up to %d", where, u.Month.Used, sum)
	}
	// What was lost stays lost: from here on the count begins where the server's does.
	t.Logf("%s: %d keys, %d revoked, %d of %d..%d calls counted", where, len(l.working), len(l.revoked), u.Totals.Credits, least, most)
	early := flushed.Add(-time.Hour)
	l.calls, l.unheard = l.calls[:0], 0
	for range u.Totals.Credits {
		l.calls = append(l.calls, early)
	}
}

// keyUsage is the answer about a key's usage.
type keyUsage struct {
	Totals struct {
		Requests, Credits, Errors int
		RateLimited               int `json:"rate_limited"`
	}
	Month struct {
		Used int `json:"credits_used"`
	}
}

// A stop that was asked for loses nothing at all, however short before it a call was: the window is as full after the
// restart, and every credit is counted.
func TestStopKeepsCounts(t *testing.T) {
	cfg := applianceConfig(t.TempDir(), quietVenue(t))
	cfg.Venues.Lighter.Markets = config.Markets{0}
	cfg.Access.DefaultTier = "free"
	a := startAppliance(t, cfg)
	a.waitBooks(1)
	c := a.as(a.register("stop@example.com"))
	spent := 0
	for range 31 {
		if r, err := c.call("GET", "/api/v1/orderbook/0?depth=1", ""); err != nil {
			t.Fatal(err)
		} else if r.status == 200 {
			spent++
		}
	}
	if spent != 30 {
		t.Fatalf("a window of 30 let %d calls pass", spent)
	}
	again := *cfg
	a.stop()
	a = startAppliance(t, &again)
	a.waitBooks(1)
	c.base = a.base
	if r := c.want(t, 429, "GET", "/api/v1/orderbook/0?depth=1", "", nil); r.number("X-RateLimit-Remaining") != 0 {
		t.Errorf("%d calls remain after the restart", r.number("X-RateLimit-Remaining"))
	}
	signedIn := a.login("stop@example.com")
	var keys struct{ Keys []struct{ ID string } }
	signedIn.want(t, 200, "GET", "/api/v1/keys", "", &keys)
	var u keyUsage
	signedIn.want(t, 200, "GET", "/api/v1/keys/"+keys.Keys[0].ID+"/usage", "", &u)
	if u.Totals.Credits != 30 || u.Month.Used != 30 || u.Totals.RateLimited != 2 {
		t.Errorf("usage after the restart is %+v", u)
	}
}
