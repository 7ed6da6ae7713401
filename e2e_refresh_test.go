package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/sim"
)

// countedVenue is a simulated venue whose REST side notes when it was asked for what.
type countedVenue struct {
	venue
	x *sim.Exchange

	mu    sync.Mutex
	asked []time.Time          // one entry per unit of weight
	seen  map[string]time.Time // accounts under way
	twice int                  // accounts that were asked for twice at once
}

func startCountedVenue(t *testing.T, accounts int) *countedVenue {
	t.Helper()
	v := &countedVenue{seen: map[string]time.Time{}}
	v.x = sim.New(sim.Options{Seed: 61, Markets: 2, Accounts: accounts, Rate: 200})
	v.venue = startVenue(t, v.x, sim.ServeOptions{})
	target, err := url.Parse(v.rest)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	count := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value := r.URL.Query().Get("value")
		weight := 1
		if strings.HasSuffix(r.URL.Path, "rades") {
			weight = 2
		}
		v.mu.Lock()
		for range weight {
			v.asked = append(v.asked, time.Now())
		}
		if _, busy := v.seen[value]; busy && value != "" {
			v.twice++
		}
		v.seen[value] = time.Now()
		v.mu.Unlock()
		pass.ServeHTTP(w, r)
		v.mu.Lock()
		delete(v.seen, value)
		v.mu.Unlock()
	}))
	t.Cleanup(count.Close)
	v.rest = count.URL
	return v
}

// rollingMinute is how far apart two calls arrive that were not let go within one minute: the earlier one may have
// come a little late.
const rollingMinute = 55 * time.Second

// busiest returns the weight of the busiest rolling minute.
func (v *countedVenue) busiest() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	most := 0
	for from, to := 0, 0; to < len(v.asked); to++ {
		for v.asked[to].Sub(v.asked[from]) >= rollingMinute {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}

// batchAnswer is what a batch call told.
type batchAnswer struct {
	Accounts []struct {
		Index      int64  `json:"account_index"`
		Address    string `json:"l1_address"`
		Collateral string `json:"collateral"`
		Stale      bool   `json:"stale"`
	} `json:"accounts"`
	NotFound []int64 `json:"not_found"`
	Errors   []struct {
		Account int64  `json:"account"`
		Code    string `json:"code"`
	} `json:"errors"`
	status int
	took   time.Duration
}

// batch asks for accounts.
func (a *appliance) batch(accounts []int64) (batchAnswer, error) {
	body, err := json.Marshal(map[string]any{"accounts": accounts, "include": []string{"positions"}})
	if err != nil {
		return batchAnswer{}, err
	}
	client := http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	began := time.Now()
	resp, err := client.Post(a.base+"/api/v1/accounts/batch", "application/json", bytes.NewReader(body))
	if err != nil {
		return batchAnswer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return batchAnswer{}, err
	}
	var out struct{ Data batchAnswer }
	if err := json.Unmarshal(text, &out); err != nil {
		return batchAnswer{}, fmt.Errorf("%w in %.200q", err, text)
	}
	out.Data.status, out.Data.took = resp.StatusCode, time.Since(began)
	return out.Data, nil
}

// Ten callers batch different thousands that nobody knows while another asks for what is known: the venue's budget holds
// in every rolling minute, every account is told, failed or not found, and who asks for known accounts waits for nobody.
func TestTenCallersBatchDifferentThousands(t *testing.T) {
	t.Parallel() // it waits
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const budget = 120
	v := startCountedVenue(t, 13_000)
	c := applianceConfig(t.TempDir(), v.venue)
	c.Venues.Lighter.RESTBudgetPerMinute = budget
	c.Accounts.PollShare, c.Accounts.Streamed = 50, 20
	a := startAppliance(t, c)
	a.waitSynced(2)

	truth := map[int64]sim.Account{}
	var masters []int64
	for _, l := range v.x.Ledger(false) {
		truth[l.Index] = l
		if l.Index > 100 && l.Index < 1<<40 {
			masters = append(masters, l.Index)
		}
	}
	// A cold account is waited for, and known from then on; an account that the venue does not have is not found.
	known := append([]int64{}, masters[:5]...)
	first, err := a.batch(append(known, 900_000_000))
	if err != nil || len(first.Accounts) != 5 || len(first.Errors) != 0 || len(first.NotFound) != 1 {
		t.Fatalf("cold accounts: %+v, %v", first, err)
	}
	for i, row := range first.Accounts {
		if l := truth[row.Index]; row.Index != known[i] || !strings.EqualFold(row.Address, l.L1) || row.Collateral == "" || row.Stale {
			t.Errorf("account %d is %+v, the ledger has %+v", known[i], row, l)
		}
	}
	rest := masters[5:]
	if len(rest) < 10_000 {
		t.Fatalf("the simulator has %d accounts", len(rest))
	}
	var callers, watcher sync.WaitGroup
	var over atomic.Bool
	watcher.Go(func() {
		slowest, n := time.Duration(0), 0
		for !over.Load() {
			warm, err := a.batch(known)
			if err != nil || len(warm.Accounts) != 5 || len(warm.Errors) != 0 {
				t.Errorf("known accounts: %+v, %v", warm, err)
				return
			}
			slowest, n = max(slowest, warm.took), n+1
			time.Sleep(20 * time.Millisecond)
		}
		// A caller who had waited for the venue would have taken ten seconds.
		if t.Logf("%d batches of known accounts, the slowest in %v", n, slowest); slowest > 10*time.Second {
			t.Errorf("known accounts took %v", slowest)
		}
	})
	var told, failed atomic.Int64
	for i := range 10 {
		mine := rest[1000*i : 1000*i+1000]
		callers.Go(func() {
			for range 2 {
				got, err := a.batch(mine)
				if err != nil {
					t.Error(err)
					return
				}
				if n := len(got.Accounts) + len(got.Errors) + len(got.NotFound); n != 1000 && got.status == 200 || len(got.NotFound) > 0 {
					t.Errorf("status %d: %d told, %d failed, %d not found", got.status, len(got.Accounts), len(got.Errors), len(got.NotFound))
				}
				for _, e := range got.Errors {
					if e.Code != "upstream_error" {
						t.Errorf("account %d failed with %s", e.Account, e.Code)
					}
				}
				if got.took > 30*time.Second {
					t.Errorf("a caller waited %v", got.took)
				}
				told.Add(int64(len(got.Accounts)))
				failed.Add(int64(len(got.Errors)))
			}
		})
	}
	callers.Wait()
	over.Store(true)
	watcher.Wait()
	a.stop()
	n := v.busiest()
	t.Logf("%d accounts told, %d failed, %d weight in the busiest minute", told.Load(), failed.Load(), n)
	// How much of the budget they get within their 20 s depends on how soon the venue answers: usually five sixths.
	if n > budget || n < budget/4 || v.twice > 0 {
		t.Errorf("the venue was asked for a weight of %d in a minute, granted are %d; %d accounts were asked for twice at once", n, budget, v.twice)
	}
	if told.Load() < 60 {
		t.Errorf("%d accounts told", told.Load())
	}
}
