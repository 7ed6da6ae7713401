package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

// TestLifetimes checks the whole table of the contract with a clock of its own: kept until just before, gone at the end.
func TestLifetimes(t *testing.T) {
	special := map[time.Duration]string{
		0:                      "nextNonce tx txFromL1TxHash",
		500 * time.Millisecond: "orderBookOrders recentTrades",
		5 * time.Second:        "funding-rates exchangeStats accountsByL1Address",
		30 * time.Second:       "orderBooks fundings",
		time.Minute:            "exchangeMetrics executeStats assetDetails announcement publicPoolsMetadata",
		5 * time.Minute:        "systemConfig tokenlist layer1BasicInfo /info withdrawalDelay",
	}
	want := map[string]time.Duration{"brandNewOperation": time.Second}
	for _, name := range strings.Fields(contractReads) {
		want[name] = time.Second
	}
	for ttl, names := range special {
		for _, name := range strings.Fields(names) {
			want[name] = ttl
		}
	}
	v := newFakeVenue(t, numbered)
	c := newClock()
	r := newTestRelay(t, Options{BaseURL: v.url(), Now: c.now})
	for name, ttl := range want {
		state := func() string { return r.must(t, get(pathOf(name)+"?a=1")).Cache.String() }
		if s := state(); s != "MISS" {
			t.Errorf("%s: first %s", name, s)
		}
		if ttl == 0 {
			if s := state(); s != "MISS" {
				t.Errorf("%s: %s, but it is never kept", name, s)
			}
			continue
		}
		c.advance(ttl - 1)
		if s := state(); s != "HIT" {
			t.Errorf("%s: %s within %v", name, s, ttl)
		}
		c.advance(1)
		if s := state(); s != "MISS" {
			t.Errorf("%s: %s after %v", name, s, ttl)
		}
	}
}

// TestCacheKeys: answers are shared exactly where nothing that may change them differs.
func TestCacheKeys(t *testing.T) {
	with := func(target, authorization, accept string) *Request {
		q := get(target)
		q.Authorization, q.Accept = []byte(authorization), []byte(accept)
		return q
	}
	head := get("/api/v1/orderBooks?market_id=1&filter=all")
	head.Method = "HEAD"
	anonymous := get("/api/v1/orderBooks?market_id=1&filter=all")
	anonymous.Anonymous = true
	base := "/api/v1/orderBooks?market_id=1&filter=all"
	for i, c := range []struct {
		first, second *Request
		shared        bool
	}{
		{get(base), get(base), true},
		{get(base), get("/api/v1/orderBooks?filter=all&market_id=1"), true},
		{get(base), head, true},
		{head, get(base), true},
		{get(base), anonymous, true},
		{get(base), with(base, "", "text/html"), true}, // the header does not leave
		{get(base), with(base+"&api_key=x", "Bearer "+secretKey, ""), true},
		{get(base), get("/api/v1/orderBooks?%61pi_key=y&market_id=1&filter=all"), true},
		{get(base), get("/api/v1/orderBooks?market_id=2&filter=all"), false},
		{get(base), get("/api/v1/orderBooks?market_id=1&filter=all&x=1"), false},
		{get(base), get("/api/v1/orderBooks?market_id=1"), false},
		{get(base), get("/api/v1/orderBookDetails?market_id=1&filter=all"), false},
		{get("/api/v1/orderBooks"), get("/api/v1/orderBooks?"), true},
		{get("/api/v1/orderBooks"), get("/api/v1/orderBooks?x"), false},
		{get("/api/v1/orderBooks?a=1&a=2"), get("/api/v1/orderBooks?a=2&a=1"), false},
		{get("/api/v1/orderBooks?a=1&a=2"), get("/api/v1/orderBooks?a=1&a=2"), true},
		{get("/api/v1/orderBooks?a=1&b=3&a=2"), get("/api/v1/orderBooks?b=3&a=1&a=2"), true},
		{get("/api/v1/orderBooks?a=1&A=2"), get("/api/v1/orderBooks?A=2&a=1"), false},
		{get("/api/v1/orderBooks?a=1&%61=2"), get("/api/v1/orderBooks?%61=2&a=1"), false},
		{get("/api/v1/orderBooks?a=1"), get("/api/v1/orderBooks?%61=1"), false},
		{get("/api/v1/orderBooks?a=1"), get("/api/v1/orderBooks?a=%31"), false},
		{get("/api/v1/orderBooks?a=1&b=2"), get("/api/v1/orderBooks?a=1%26b=2"), false},
		{get("/api/v1/orderBooks?a=1&b=2"), get("/api/v1/orderBooks?a=1;b=2"), false},
		{get("/api/v1/orderBooks?a=1;b=2&c=1"), get("/api/v1/orderBooks?c=1&a=1;b=2"), false},
		{get("/api/v1/orderBooks?a="), get("/api/v1/orderBooks?a"), false},
		{get("/api/v1/orderBooks?a=1&"), get("/api/v1/orderBooks?a=1"), false},
		{get("/api/v1/orderBooks?a=1&=b"), get("/api/v1/orderBooks?=b&a=1"), false},
		{get("/api/v1/orderBooks?a=+"), get("/api/v1/orderBooks?a=%20"), false},
		{get(base), with(base, "1:2:3:4", ""), false},
		{with(base, "1:2:3:4", ""), get(base), false},
		{with(base, "1:2:3:4", ""), with(base, "1:2:3:4", ""), false},
		{get(base + "&auth=1:2:3:4"), get(base + "&auth=1:2:3:4"), false},
		{get(base + "&%61uth=1:2:3:4"), get(base + "&%61uth=1:2:3:4"), false},
		{get(base + "&Auth=1:2:3:4"), get(base + "&Auth=1:2:3:4"), false},
		{get(base + "&auth="), get(base + "&auth="), false},
		{get("/api/v1/next%4eonce"), get("/api/v1/next%4eonce"), false},
		{get("/api/v1/NEXTNONCE"), get("/api/v1/NEXTNONCE"), false},
		{get("/api/v1/nextNonce/"), get("/api/v1/nextNonce/"), false},
		{get("/api/v1/orderBooks/"), get("/api/v1/orderBooks/"), false},
		{get("/api/v1/sendTx"), get("/api/v1/sendTx"), false},
		{post("/api/v1/orderBooks", "a"), post("/api/v1/orderBooks", "a"), false},
		{get("/api/v1/orderBooks?a=1"), post("/api/v1/orderBooks?a=1", ""), false},
	} {
		v := newFakeVenue(t, numbered)
		r := newTestRelay(t, Options{BaseURL: v.url(), Now: newClock().now})
		r.must(t, c.first)
		second := r.must(t, c.second)
		if shared := len(v.calls()) == 1; shared != c.shared || shared != (second.Cache == Hit) {
			t.Errorf("case %d, %s?%s and %s?%s: shared %v (%s), want %v", i, c.first.Path, c.first.Query, c.second.Path, c.second.Query,
				shared, second.Cache, c.shared)
		}
	}
}

// TestKeyProperty: two queries have one key exactly if sorting by name makes them equal, and the key has every member.
func TestKeyProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		piece := rapid.StringMatching(`[abAB%;=]{0,3}(=[12%3]{0,3})?`)
		one := rapid.SliceOfN(piece, 0, 5).Draw(rt, "one")
		two := rapid.OneOf(rapid.Permutation(one), rapid.SliceOfN(piece, 0, 5)).Draw(rt, "two")
		key := func(pieces []string) string {
			return string(ParseQuery([]byte(strings.Join(pieces, "&"))).appendKey(nil))
		}
		naive := func(pieces []string) string {
			text := strings.Join(pieces, "&")
			if text == "" {
				return ""
			}
			pieces = strings.Split(text, "&")
			for _, p := range pieces {
				name, _, _ := strings.Cut(p, "=")
				if strings.ContainsAny(p, ";") || name == "" || strings.ContainsAny(name, "%") {
					return "as it came " + text
				}
			}
			slices.SortStableFunc(pieces, func(a, b string) int {
				a, _, _ = strings.Cut(strings.ToLower(a), "=")
				b, _, _ = strings.Cut(strings.ToLower(b), "=")
				return strings.Compare(a, b)
			})
			return strings.Join(pieces, "&")
		}
		if (key(one) == key(two)) != (naive(one) == naive(two)) {
			rt.Fatalf("%q has the key %q, %q has %q", one, key(one), two, key(two))
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	for _, answer := range []string{
		reply(400, jsonText, `{"code":29404,"message":"not found"}`), reply(500, jsonText, `{}`), reply(403, "text/html", "<html>"),
		reply(200, "text/html", "<html>checking your browser"), reply(200, jsonText, `{"code":21100,"message":"x"}`), reply(206, jsonText, `{"code":200}`),
		reply(200, jsonText, ` { "code" : 23000 }`), reply(200, jsonText, ``), reply(200, jsonText, `<html>`), reply(302, jsonText, `{}`), reply(200, "", `{}`),
	} {
		v := newFakeVenue(t, func(int, heard) string { return answer })
		r := newTestRelay(t, Options{BaseURL: v.url(), Now: newClock().now})
		for range 2 {
			if a := r.must(t, get("/api/v1/account?by=index&value=1")); a.Cache != Miss {
				t.Errorf("%q: %s", answer, a.Cache)
			}
		}
		if n := len(v.calls()); n != 2 {
			t.Errorf("%q: %d calls, want 2", answer, n)
		}
	}
	for _, body := range []string{`{"code":200}`, `{"code":0}`, `{"seconds":1805}`, `[]`, ` {"code" : 200 , "x":1}`, `{"x":1,"code":5}`} {
		v := newFakeVenue(t, func(int, heard) string { return reply(200, "application/json", body) })
		r := newTestRelay(t, Options{BaseURL: v.url(), Now: newClock().now})
		r.must(t, get("/api/v1/account"))
		if a := r.must(t, get("/api/v1/account")); a.Cache != Hit || string(a.Body) != body {
			t.Errorf("%q: %s", body, a.Cache)
		}
	}
}

// TestServedUntilStale: with the venue gone, what is kept is served for its time, and not a moment longer.
func TestServedUntilStale(t *testing.T) {
	v := newFakeVenue(t, numbered)
	c := newClock()
	r := newTestRelay(t, Options{BaseURL: v.url(), Now: c.now})
	r.must(t, get("/api/v1/orderBooks"))
	v.close()
	c.advance(29 * time.Second)
	if a := r.must(t, get("/api/v1/orderBooks")); a.Cache != Hit {
		t.Error(a.Cache)
	}
	c.advance(time.Second)
	_, err := r.Do(t.Context(), get("/api/v1/orderBooks"))
	wantCode(t, err, model.CodeUpstream, "could not be reached")
	_, err = r.Do(t.Context(), post("/api/v1/sendTx", "a=1"))
	wantCode(t, err, model.CodeUpstream, "could not be reached") // nothing was sent: no doubt about it
}

// TestCoalescing: a hundred equal calls make one, with one unit of the budget; those that are nobody else's make their own.
func TestCoalescing(t *testing.T) {
	const callers = 100
	release := make(chan struct{})
	v := newFakeVenue(t, func(n int, h heard) string { <-release; return numbered(n, h) })
	budget := feed.NewBudget(60, time.Now)
	r := newTestRelay(t, Options{BaseURL: v.url(), Budget: budget})
	var group sync.WaitGroup
	gone, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	started := make(chan struct{})
	group.Go(func() {
		close(started)
		_, err := r.Do(gone, get("/api/v1/account?by=index&value=1"))
		first <- err
	})
	<-started
	for i := range callers {
		group.Go(func() {
			q := get([]string{"/api/v1/account?by=index&value=1", "/api/v1/account?value=1&by=index"}[i%2])
			q.Anonymous = i%3 == 0
			a, err := r.Do(context.Background(), q)
			if err != nil || string(a.Body) != `{"code":200,"call":1}` {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	r.joined(t, callers+1)
	cancel() // whoever asked first may go away
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	group.Wait()
	if n, used := len(v.calls()), budget.Used(); n != 1 || used != 1 {
		t.Errorf("%d calls for %d units, want 1 for 1", n, used)
	}
	for range 10 {
		group.Go(func() {
			q := get("/api/v1/account?by=index&value=1")
			q.Authorization = []byte("1:2:3:4")
			r.must(t, q)
		})
	}
	group.Wait()
	if n := len(v.calls()); n != 11 {
		t.Errorf("%d calls, want 11: native auth is never shared", n)
	}
}

// joined waits until so many callers wait for the one call under way.
func (r *Relay) joined(t *testing.T, callers int) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		r.shelf.mu.Lock()
		waiting := 0
		for _, f := range r.shelf.flights {
			waiting = f.waiters
		}
		r.shelf.mu.Unlock()
		if waiting >= callers {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d of %d callers wait", waiting, callers)
		}
	}
}

// TestPromotion: a caller who signed in does not wait in the line of the anonymous call that it joins.
func TestPromotion(t *testing.T) {
	v := newFakeVenue(t, numbered)
	budget := feed.NewBudget(4, time.Now)
	r := newTestRelay(t, Options{BaseURL: v.url(), Budget: budget})
	for range 2 {
		if err := budget.AcquireHalf(t.Context(), feed.PassThrough, 1); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	anonymous := get("/api/v1/account")
	anonymous.Anonymous = true
	go func() { _, err := r.Do(context.Background(), anonymous); done <- err }()
	r.joined(t, 1)
	time.Sleep(20 * time.Millisecond)
	select {
	case err := <-done:
		t.Fatalf("the half was spent, but: %v", err)
	default:
	}
	r.must(t, get("/api/v1/account"))
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n, used := len(v.calls()), budget.Used(); n != 1 || used != 3 {
		t.Errorf("%d calls, %d units, want 1 and 3", n, used)
	}
}

// TestAbandonedBeforeItLeft: nobody waits any more, so the budget keeps its unit.
func TestAbandonedBeforeItLeft(t *testing.T) {
	v := newFakeVenue(t, numbered)
	budget := feed.NewBudget(2, time.Now)
	budget.Exhaust()
	r := newTestRelay(t, Options{BaseURL: v.url(), Budget: budget})
	for _, q := range []*Request{get("/api/v1/account"), post("/api/v1/sendTx", "x")} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := r.Do(ctx, q)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	r.running.Wait()
	if len(v.calls()) != 0 || len(r.shelf.flights) != 0 {
		t.Errorf("%d calls, %d flights", len(v.calls()), len(r.shelf.flights))
	}
}

// TestShelfModel plays random uses against a list that does everything the slow way.
func TestShelfModel(t *testing.T) {
	type row struct {
		key     string
		cost    int
		expires time.Time
	}
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(3000, 9000).Draw(rt, "limit")
		s := newShelf(limit)
		var rows []row // oldest use first
		now := time.Unix(0, 0)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(rt, "ms")) * time.Millisecond)
			key := fmt.Sprint("k", rapid.IntRange(0, 14).Draw(rt, "key"))
			answer, f, first := s.ask([]byte(key), false, now)
			i := slices.IndexFunc(rows, func(r row) bool { return r.key == key && now.Before(r.expires) })
			if (answer != nil) != (i >= 0) {
				rt.Fatalf("%s: kept %v, want %v", key, answer != nil, i >= 0)
			}
			if i >= 0 {
				r := rows[i]
				rows = append(slices.Delete(rows, i, i+1), r)
				continue
			}
			rows = slices.DeleteFunc(rows, func(r row) bool { return r.key == key })
			if !first {
				rt.Fatal("a flight that nobody launched")
			}
			body := make([]byte, rapid.IntRange(0, 1000).Draw(rt, "bytes"))
			ttl := time.Duration(rapid.IntRange(0, 2).Draw(rt, "ttl")) * time.Second
			s.land(f, &Response{Status: 200, Body: body}, nil, ttl, now)
			if cost := len(key) + len(body) + entryOverhead; ttl > 0 && cost <= limit/8 {
				rows = append(rows, row{key, cost, now.Add(ttl)})
			}
			total := 0
			for _, r := range rows {
				total += r.cost
			}
			for total > limit {
				total -= rows[0].cost
				rows = rows[1:]
			}
			if size, n := s.held(); size != total || n != len(rows) || size > limit {
				rt.Fatalf("%d bytes in %d answers, want %d in %d", size, n, total, len(rows))
			}
			for e, i := s.oldest, 0; e != nil; e, i = e.newer, i+1 {
				if e.key != rows[i].key {
					rt.Fatalf("place %d has %s, want %s", i, e.key, rows[i].key)
				}
			}
		}
	})
}

// TestBudgetSpent: calls wait for half their time, then say why they were not sent.
func TestBudgetSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := feed.NewBudget(60, time.Now)
		r := newTestRelay(t, Options{BaseURL: "http://127.0.0.1:1", Budget: budget, Now: time.Now, Timeout: defaultTimeout})
		budget.Exhaust()
		for _, q := range []*Request{get("/api/v1/account"), post("/api/v1/sendTx", "x=1"), get("/api/v1/account?auth=1:2:3:4")} {
			began := time.Now()
			_, err := r.Do(context.Background(), q)
			wantCode(t, err, model.CodeUpstream, "budget")
			wantCode(t, err, model.CodeUpstream, "was not sent")
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("waited %v", took)
			}
		}
	})
}

// TestPanicLandsTheFlight has the one call that two wait for panic: the other gets an error, and the next call is made.
func TestPanicLandsTheFlight(t *testing.T) {
	dialling, panics := make(chan struct{}), make(chan struct{})
	first := true
	r := newTestRelay(t, Options{BaseURL: "http://venue.test", Dial: func(string) (net.Conn, error) {
		if !first {
			return nil, errors.New("refused")
		}
		first = false
		close(dialling)
		<-panics
		panic("a fault in the client")
	}})
	var both sync.WaitGroup
	both.Go(func() {
		defer func() {
			if recover() == nil {
				t.Error("nothing panicked")
			}
		}()
		_, _ = r.Do(context.Background(), get("/api/v1/orderBooks"))
	})
	<-dialling
	both.Go(func() {
		_, err := r.Do(context.Background(), get("/api/v1/orderBooks"))
		wantCode(t, err, model.CodeUpstream, "failed")
	})
	r.joined(t, 2)
	close(panics)
	both.Wait()
	_, err := r.Do(context.Background(), get("/api/v1/orderBooks"))
	wantCode(t, err, model.CodeUpstream, "reached")
}
