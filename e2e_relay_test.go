package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine/sim"
)

// localCalls are native reads that a server in sync answers itself.
var localCalls = []string{"orderBooks", "orderBookDetails", "orderBookDetails?market_id=1", "recentTrades?market_id=0&limit=20",
	"exchangeStats", "funding-rates", "currentHeight"}

// waitLocal waits until every one of them is answered so.
func (a *appliance) waitLocal() {
	a.t.Helper()
	c := a.as("")
	var missing string
	waitFor(a.t, time.Minute, func() bool {
		for _, path := range localCalls {
			r, err := c.call("GET", "/api/v1/"+path, "")
			if missing = path; err != nil || r.status != 200 || path != "funding-rates" && r.header.Get("X-Cache") != "LOCAL" {
				return false
			}
		}
		return true
	}, func() string { return missing + " is not answered locally" })
}

// A hundred bots that poll what the server holds cost the venue as much as one does: nothing.
func TestHundredPollersCostTheVenueNothing(t *testing.T) {
	t.Parallel() // what is polled comes after some seconds
	g := newGate(t, startVenue(t, sim.New(sim.Options{Seed: 21, Markets: 4, Accounts: 200, Rate: 300}), sim.ServeOptions{}))
	a := startInFront(t, g.venue, func(c *config.Config) { c.Access.DefaultTier = "enterprise" })
	a.waitLocal()
	key := a.register("bots@example.com")
	asked := func(c gateCall) bool {
		return slices.ContainsFunc(localCalls, func(l string) bool { path, _, _ := strings.Cut(l, "?"); return c.path == "/api/v1/"+path })
	}
	// poll asks everything some times by so many bots, and returns what of it came to the venue.
	poll := func(bots int) upstream {
		before := g.seen(asked)
		var group sync.WaitGroup
		for range bots {
			group.Go(func() {
				c := a.as(key)
				for range 5 {
					for _, path := range localCalls {
						r, err := c.call("GET", "/api/v1/"+path, "")
						if err != nil || r.status != 200 {
							t.Errorf("%s: %d, %v", path, r.status, err)
							return
						}
					}
				}
			})
		}
		group.Wait()
		after := g.seen(asked)
		return upstream{after.sockets - before.sockets, after.subscriptions - before.subscriptions, after.calls - before.calls, after.sent - before.sent}
	}
	one, hundred := poll(1), poll(100)
	t.Logf("upstream by one bot %+v, by a hundred %+v", one, hundred)
	// The lists are polled by the server itself once in a while, whoever asks.
	for bots, u := range map[int]upstream{1: one, 100: hundred} {
		if u.calls > 2 || u.sockets+u.subscriptions+u.sent > 0 {
			t.Errorf("%d bots cost the venue %+v", bots, u)
		}
	}

	// What is not held costs one call, however many ask at the same time.
	before := g.seen(nil)
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if r, err := a.as(key).call("GET", "/api/v1/tokenlist", ""); err != nil || r.status != 200 {
				t.Errorf("tokenlist: %d, %v", r.status, err)
			}
		})
	}
	group.Wait()
	tokens := func(c gateCall) bool { return c.path == "/api/v1/tokenlist" }
	if n := g.seen(tokens).calls; n != 1 {
		t.Errorf("a hundred equal calls made %d upstream, of %d in all", n, g.seen(nil).calls-before.calls)
	}
}

// While the venue is down a native call says so, what is kept is served until it is stale, and what is held is served
// while the stream is there. Nothing of it costs a credit, and all is well again when the venue is.
func TestVenueDown(t *testing.T) {
	g := newGate(t, startVenue(t, sim.New(sim.Options{Seed: 22, Markets: 4, Accounts: 200, Rate: 300}), sim.ServeOptions{}))
	a := startInFront(t, g.venue, func(c *config.Config) {
		c.Access.DefaultTier = "enterprise"
		c.Venues.Lighter.Timeout = config.Duration(4 * time.Second)
	})
	a.waitLocal()
	c := a.as(a.register("outage@example.com"))
	const short, long = "/api/v1/account?by=index&value=1", "/api/v1/tokenlist" // kept for 1 s, for 5 min
	first := c.want(t, 200, "GET", short, "", nil)
	listed := c.want(t, 200, "GET", long, "", nil)
	down := func(method, path string) {
		t.Helper()
		r := c.want(t, 502, method, path, "", nil)
		if code, _ := r.fault(); code != "upstream_error" || r.number("X-Credits-Cost") != 0 {
			t.Errorf("%s %s: code %s, cost %d", method, path, code, r.number("X-Credits-Cost"))
		}
	}
	kept := func(path string, want reply) {
		t.Helper()
		if r := c.want(t, 200, "GET", path, "", nil); r.header.Get("X-Cache") != "HIT" || string(r.body) != string(want.body) {
			t.Errorf("%s: X-Cache %s, %.200s", path, r.header.Get("X-Cache"), r.body)
		}
	}

	g.losing(func(*http.Request) loss { return lossCall }) // REST is down, the stream is not
	if r, err := c.call("GET", short, ""); err != nil || r.status == 200 && string(r.body) != string(first.body) {
		t.Errorf("within its time: %d %.200s, %v", r.status, r.body, err)
	}
	kept(long, listed)
	time.Sleep(1100 * time.Millisecond)
	down("GET", short)
	down("POST", "/api/v1/sendTx")
	a.waitLocal()
	c.want(t, 200, "GET", "/api/v1/orderbook/0", "", nil)

	g.shut()
	a.waitBooks(0) // none counts as current without a venue
	down("GET", "/api/v1/recentTrades?market_id=0&limit=20")
	down("GET", short)
	kept(long, listed)

	g.losing(nil)
	g.reopen()
	a.waitSynced(4)
	a.waitLocal()
	c.want(t, 200, "GET", short, "", nil)
}

// A transaction comes to the venue once or not at all, whatever breaks on its way; where the server says that it came
// through it did, and where it says that nothing was sent nothing was.
func TestTransactionIsNeverRepeated(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := newGate(t, startVenue(t, sim.New(sim.Options{Seed: 23, Markets: 1, Accounts: 50, Rate: 10}), sim.ServeOptions{}))
	a := startAppliance(t, applianceConfig(t.TempDir(), g.venue))
	a.waitSynced(1)
	random := rand.New(rand.NewPCG(seed, 0)) // used under the gate's lock
	g.losing(func(r *http.Request) loss {
		if r.Method != "POST" {
			return lossNone
		}
		return []loss{lossNone, lossNone, lossCall, lossAnswer}[random.IntN(4)]
	})
	var mu sync.Mutex
	said := map[string]reply{}
	sendAll := func(from, to int) {
		var group sync.WaitGroup
		for worker := range 4 {
			group.Go(func() {
				c := a.as("")
				for n := from + worker; n < to; n += 4 {
					path, sent := "sendTx", fmt.Sprintf(`{"AccountIndex":%d,"ApiKeyIndex":1,"Nonce":1}`, n)
					form := url.Values{"tx_type": {"14"}, "tx_info": {sent}}
					if n%3 == 0 {
						path, form = "sendTxBatch", url.Values{"tx_types": {"[14]"}, "tx_infos": {fmt.Sprintf("[%q]", sent)}}
					}
					r, err := c.call("POST", fmt.Sprintf("/api/v1/%s?n=%d", path, n), form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					said[fmt.Sprint("n=", n)] = r
					mu.Unlock()
				}
			})
		}
		group.Wait()
	}
	sendAll(0, 120)
	// The venue goes while calls are on their way, and comes back; the connections that were kept are dead then.
	var group sync.WaitGroup
	group.Go(func() { sendAll(120, 240) })
	for range 3 {
		time.Sleep(20 * time.Millisecond)
		g.shut()
		time.Sleep(20 * time.Millisecond)
		g.reopen()
	}
	group.Wait()
	g.losing(nil)
	sendAll(240, 280)

	came := map[string]int{}
	g.mu.Lock()
	for _, c := range g.calls {
		if c.method == "POST" {
			came[c.query]++
		}
	}
	g.mu.Unlock()
	statuses := map[string]int{}
	for n, r := range said {
		_, message := r.fault()
		statuses[fmt.Sprint(r.status, " ", message)]++
		switch {
		case came[n] > 1:
			t.Errorf("transaction %s came %d times", n, came[n])
		case r.status == 200 && came[n] != 1:
			t.Errorf("transaction %s was acknowledged and never came", n)
		case r.status != 200 && r.status != 502:
			t.Errorf("transaction %s: %d %.200s", n, r.status, r.body)
		case r.status == 502 && strings.Contains(message, "could not be reached") && came[n] != 0:
			t.Errorf("transaction %s came, though it was said not to", n)
		}
	}
	t.Logf("%d of %d came; %v", len(came), len(said), statuses)
	if len(said) != 280 || len(came) < 100 || len(came) > 270 {
		t.Errorf("%d sent, %d came: the test proved nothing", len(said), len(came))
	}
}

// unitsOf is what a call takes from the budget of calls.
func unitsOf(c gateCall) int {
	switch strings.TrimPrefix(c.path, "/api/v1/") {
	case "recentTrades", "trades", "transferFeeInfo":
		return 2
	}
	return 1
}

// Under a flood of calls with keys and without the venue gets no more than the budget in any minute, our own calls
// included, and of it at most half for callers without a key.
func TestFloodStaysWithinBudget(t *testing.T) {
	t.Parallel() // it waits
	const budget = 80
	length := 6 * time.Second
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		length = 3 * time.Minute
	}
	g := newGate(t, startVenue(t, sim.New(sim.Options{Seed: 24, Markets: 2, Accounts: 100, Rate: 50}), sim.ServeOptions{}))
	a := startInFrontOf(t, g.venue, 2, func(c *config.Config) {
		c.Access.DefaultTier = "enterprise"
		c.Server.TrustedProxies = config.List{"127.0.0.0/8"}
		c.Venues.Lighter.RESTBudgetPerMinute = budget
		c.Venues.Lighter.Timeout = config.Duration(2 * time.Second)
	})
	key := a.register("flood@example.com")
	var answers [600]atomic.Int64
	const firstAnonymous = 1_000_000
	stop := make(chan struct{})
	var group sync.WaitGroup
	flood := func(bots, first int, key string) {
		for bot := range bots {
			group.Go(func() {
				c := a.as(key)
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					c.via = fmt.Sprintf("198.51.%d.%d", bot, n/20%256)
					path := fmt.Sprintf("/api/v1/account?by=index&value=%d", first+bot*10_000+n)
					if n%5 == 0 {
						path = fmt.Sprintf("/api/v1/trades?sort_by=timestamp&limit=1&value=%d", first+bot*10_000+n)
					}
					r, err := c.call("GET", path, "")
					if err != nil {
						t.Error(err)
						return
					}
					answers[r.status].Add(1)
					if code, _ := r.fault(); r.status >= 500 && code != "upstream_error" {
						t.Errorf("%d %.200s", r.status, r.body)
					}
				}
			})
		}
	}
	flood(8, firstAnonymous, "")
	time.Sleep(2 * time.Second) // it would have all of the budget by now
	flood(8, 0, key)
	time.Sleep(length)
	close(stop)
	group.Wait()

	g.mu.Lock()
	calls := slices.Clone(g.calls)
	g.mu.Unlock()
	most, mostAnonymous := 0, 0
	for i := range calls {
		all, anonymous := 0, 0
		for _, c := range calls[i:] {
			if c.at.Sub(calls[i].at) > rollingMinute {
				break
			}
			all += unitsOf(c)
			var value int
			if _, rest, ok := strings.Cut(c.query, "value="); ok {
				fmt.Sscan(rest, &value)
			}
			if value >= firstAnonymous {
				anonymous += unitsOf(c)
			}
		}
		most, mostAnonymous = max(most, all), max(mostAnonymous, anonymous)
	}
	counts := map[int]int64{}
	for s := range answers {
		if n := answers[s].Load(); n > 0 {
			counts[s] = n
		}
	}
	t.Logf("at most %d units in a minute, %d of them anonymous; answers %v", most, mostAnonymous, counts)
	if most > budget || mostAnonymous > budget/2 {
		t.Errorf("%d units in a minute, %d of them anonymous; the budget is %d", most, mostAnonymous, budget)
	}
	if most < budget-4 || mostAnonymous < budget/2-8 {
		t.Errorf("only %d units were used, %d of them anonymous: the test proved nothing", most, mostAnonymous)
	}
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		if !slices.Contains([]int{200, 400, 429, 502}, status) {
			t.Errorf("%d answers with status %d", counts[status], status)
		}
	}
}
