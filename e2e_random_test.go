package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"go.uber.org/goleak"

	"hyperlight/config"
	"hyperlight/engine/sim"
)

// The plan of everybody in a random run, and what a reload makes of it.
const (
	randomRate, randomRateLater            = 30, 45
	randomSubscriptions, randomConnections = 6, 4
)

// world is a random run: clients that do anything at any time, and what must hold whatever they do.
type world struct {
	t *testing.T
	a *appliance
	g *gate

	mu       sync.Mutex
	users    []*worldUser
	windows  map[string]*int // calls let in, by bucket
	dialed   map[string]int  // sockets tried, which count as well
	refusals map[string]int  // calls refused by the window
	statuses map[string]int
	closes   map[int]int
	stopping bool // the server is asked to end: calls may find nobody
}

// worldUser is what the clients of one account know of it.
type worldUser struct {
	owner, token *caller
	first        madeKey
	keys         []*caller
	ids          map[*caller]string
	cost         int // credits, as the answers told them
	unheard      int // calls without an answer
	held         int // subscriptions, at least
	open         int // sockets, at least
}

func (w *world) with(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) fault(format string, args ...any) { w.t.Errorf(format, args...) }

// worldCalls are reads of our own, of the venue, and of the venue by ourselves; some are wrong.
var worldCalls = []string{
	"/api/v1/orderbook/0?depth=3", "/api/v1/orderbook/1", "/api/v1/trades/0?limit=5", "/api/v1/funding-rates", "/api/v1/data-quality/gaps",
	"/api/v1/orderbook/99", "/api/v1/trades/by-time?limit=x", "/api/v1/keys", "/api/v1/nothing",
	"/api/v1/orderBooks", "/api/v1/recentTrades?market_id=0&limit=3", "/api/v1/currentHeight", "/api/v1/account?by=index&value=%d",
	"/api/v1/tokenlist", "/api/v1/nextNonce?account_index=1&api_key_index=1", "/api/v1/accountActiveOrders?account_index=1", "/health", "/status",
}

// request makes a random call as one of a user's callers; user is nil for nobody's. bucket names its window.
func (w *world) request(r *rand.Rand, c *caller, u *worldUser, bucket string) {
	path := worldCalls[r.IntN(len(worldCalls))]
	if strings.Contains(path, "%d") {
		path = fmt.Sprintf(path, r.IntN(50))
	}
	method := "GET"
	if r.IntN(8) == 0 {
		method = "HEAD"
	}
	got, err := c.call(method, path, "")
	w.with(func() { w.judge(got, err, method+" "+path, u, bucket) })
}

// judge looks at an answer. The lock is held.
func (w *world) judge(got reply, err error, what string, u *worldUser, bucket string) {
	if err != nil {
		if !w.stopping {
			w.fault("%s: %v", what, err)
		}
		if u != nil {
			u.unheard++
		}
		return
	}
	code, _ := got.fault()
	if got.status < 400 || strings.HasPrefix(what, "HEAD") {
		code = ""
	}
	w.statuses[fmt.Sprint(got.status, " ", code)]++
	known := map[int][]string{502: {"upstream_error"}}
	if got.status >= 500 && !strings.HasPrefix(what, "HEAD") && !slices.Contains(known[got.status], code) && !w.stopping {
		w.fault("%s: %d %.300s", what, got.status, got.body)
	}
	if u != nil {
		if cost := got.header.Get("X-Credits-Cost"); cost != "" {
			u.cost += got.number("X-Credits-Cost")
		}
	}
	if strings.HasSuffix(what, "/health") || strings.HasSuffix(what, "/status") || got.status == 401 || got.status == 403 && code == "forbidden" {
		return // another window
	}
	if got.status == 429 && code != "quota_exceeded" {
		w.refusals[bucket]++
		return
	}
	n := w.windows[bucket]
	if n == nil {
		n = new(int)
		w.windows[bucket] = n
	}
	*n++
}

// socket opens a random socket, subscribes to this and that, listens for a while and goes.
func (w *world) socket(r *rand.Rand, c *caller, u *worldUser) {
	path := []string{"/ws", "/stream", "/ws/replay"}[r.IntN(3)]
	conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(c.base, "http")+path, c.headers())
	if err != nil {
		w.with(func() {
			if !w.stopping && (resp == nil || resp.StatusCode != 429) {
				w.fault("open %s: %v", path, err)
			}
		})
		return
	}
	resp.Body.Close()
	subs, held := 0, false
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			_, raw, err := conn.ReadMessage()
			if err != nil {
				code := 0
				if e, ok := err.(*websocket.CloseError); ok {
					code = e.Code
				}
				w.with(func() { w.closes[code]++ })
				return
			}
			text := string(raw)
			w.with(func() {
				switch {
				case strings.Contains(text, `"authenticated"`):
					held = true
					u.open++
					if u.open > randomConnections {
						w.fault("%d sockets of one account at once", u.open)
					}
				case strings.HasPrefix(text, `{"type":"subscribed"`):
					subs++
					u.held++
					if u.held > randomSubscriptions {
						w.fault("%d subscriptions of one account at once", u.held)
					}
				}
			})
		}
	}()
	for range r.IntN(6) {
		channel := fmt.Sprintf("%s/%d", []string{"order_book", "trade", "nothing", "account_all"}[r.IntN(4)], r.IntN(4))
		_ = conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"subscribe","channel":%q}`, channel))
	}
	if path == "/ws/replay" {
		now := time.Now().UnixMilli()
		_ = conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"replay","market_id":0,"start":%d,"end":%d,"speed":50}`, now-2000, now))
	}
	select {
	case <-time.After(time.Duration(r.IntN(800)) * time.Millisecond):
	case <-done:
	}
	w.with(func() { // before the server can know
		u.held -= subs
		subs = -1000 // what comes now is not counted any more
		if held {
			u.open--
		}
		held = true
		u.held, u.open = max(u.held, 0), max(u.open, 0)
	})
	conn.Close()
	<-done
}

// keys makes and revokes keys.
func (w *world) changeKeys(r *rand.Rand, u *worldUser) {
	var gone *caller
	w.with(func() {
		if len(u.keys) > 4 || r.IntN(3) == 0 && len(u.keys) > 0 {
			i := r.IntN(len(u.keys))
			gone = u.keys[i]
			u.keys = slices.Delete(u.keys, i, i+1)
		}
	})
	if gone != nil {
		w.mu.Lock()
		id := u.ids[gone]
		w.mu.Unlock()
		got, err := u.token.call("DELETE", "/api/v1/keys/"+id, "")
		w.with(func() { w.judge(got, err, "DELETE a key", u, "token "+u.first.ID) })
		if err == nil && got.status == 200 {
			if after, err := gone.call("GET", "/api/v1/keys", ""); err == nil && after.status != 401 {
				w.fault("a revoked key gets %d", after.status)
			}
		}
		return
	}
	got, err := u.token.call("POST", "/api/v1/keys", `{"name":"more"}`)
	w.with(func() { w.judge(got, err, "POST a key", u, "token "+u.first.ID) })
	var made struct{ Data madeKey }
	if err == nil && got.status == 201 && json.Unmarshal(got.body, &made) == nil {
		c := &caller{base: u.token.base, client: u.token.client, key: made.Data.Key}
		w.with(func() {
			u.keys = append(u.keys, c)
			u.ids[c] = made.Data.ID
		})
	}
}

// client does one thing after the other until it is told to stop.
func (w *world) client(r *rand.Rand, u *worldUser, stop <-chan struct{}) {
	nobody := &caller{base: u.token.base, client: u.token.client}
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(r.IntN(60)) * time.Millisecond):
		}
		c, bucket := u.token, "token "+u.first.ID
		w.with(func() {
			if len(u.keys) > 0 && r.IntN(4) > 0 {
				c = u.keys[r.IntN(len(u.keys))]
				bucket = "key " + u.ids[c]
			}
		})
		switch n := r.IntN(20); {
		case n < 12:
			w.request(r, c, u, bucket)
		case n < 14:
			w.request(r, nobody, nil, "address")
		case n < 18:
			w.with(func() { w.dialed[bucket]++ })
			w.socket(r, c, u)
		default:
			w.changeKeys(r, u)
		}
	}
}

// upset reloads plans, breaks the venue's sockets and takes the venue away for a moment.
func (w *world) upset(r *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(300+r.IntN(700)) * time.Millisecond):
		}
		switch r.IntN(4) {
		case 0, 1:
			rate := []int{randomRate, randomRateLater}[r.IntN(2)]
			w.a.reload(func(c *config.Config) { c.Plans = randomPlans(rate) })
		case 2:
			w.g.disconnect()
		default:
			w.g.shut()
			time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
			w.g.reopen()
		}
	}
}

func randomPlans(rate int) config.Plans {
	p := config.DefaultPlans()[1]
	p.Slug, p.RequestsPerMinute, p.Subscriptions, p.Connections = "only", rate, randomSubscriptions, randomConnections
	p.Keys = 1000 // as many may be made in a minute: every refusal is the window's
	return config.Plans{p}
}

// TestRandomClients lets many clients with keys, tokens and nothing call, stream, replay, make and revoke keys while
// plans are reloaded and the venue comes and goes, and at last stops the server in the middle of it.
func TestRandomClients(t *testing.T) {
	length := 6 * time.Second
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		length = 45 * time.Second // below a minute: no call leaves its window
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("HYPERLIGHT_SEED"); text != "" {
		fmt.Sscan(text, &seed)
	}
	t.Logf("seed %d", seed)
	// What earlier tests left is not ours; the parts of the libraries that run for ever begin with the first server.
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		leaks := []goleak.Option{before}
		// They sleep for seconds before they see that nobody needs them any more, or run for ever once.
		for _, name := range []string{"valyala/fasthttp.updateServerDate.func1", "valyala/fasthttp.(*workerPool).Start.func2",
			"valyala/fasthttp.(*HostClient).connsCleaner", "valyala/fasthttp.(*Client).mCleaner",
			"valyala/fasthttp.(*TCPDialer).tcpAddrsClean", "VictoriaMetrics/metrics.summariesSwapCron"} {
			leaks = append(leaks, goleak.IgnoreAnyFunction("github.com/"+name))
		}
		goleak.VerifyNone(t, leaks...)
	})
	g := newGate(t, startVenue(t, sim.New(sim.Options{Seed: int64(seed >> 1), Markets: 2, Accounts: 100, Rate: 100}), sim.ServeOptions{
		Limits: sim.Limits{MessagesPerMinute: -1, NewConnections: -1},
	}))
	cfg := applianceConfig(t.TempDir(), g.venue)
	cfg.Plans, cfg.Access.DefaultTier, cfg.Access.LocalPlan = randomPlans(randomRate), "only", ""
	cfg.Venues.Lighter.Timeout = config.Duration(2 * time.Second)
	again := *cfg
	a := startAppliance(t, cfg)
	w := &world{t: t, a: a, g: g, windows: map[string]*int{}, dialed: map[string]int{}, refusals: map[string]int{}, statuses: map[string]int{}, closes: map[int]int{}}
	for n := range 4 {
		email := fmt.Sprintf("user%d@example.com", n)
		u := &worldUser{owner: a.as(a.register(email)), ids: map[*caller]string{}}
		u.token = a.login(email)
		u.first = u.owner.makeKey(t, `{"name":"first"}`)
		c := a.as(u.first.Key)
		u.keys, u.ids[c] = []*caller{c}, u.first.ID
		w.users = append(w.users, u)
	}
	time.Sleep(time.Second)

	random := rand.New(rand.NewPCG(seed, 0))
	began := time.Now()
	stop, calm := make(chan struct{}), make(chan struct{})
	var clients, upsets sync.WaitGroup
	for n := range 12 {
		r := rand.New(rand.NewPCG(seed, random.Uint64()))
		clients.Go(func() { w.client(r, w.users[n%len(w.users)], stop) })
	}
	r := rand.New(rand.NewPCG(seed, random.Uint64()))
	upsets.Go(func() { w.upset(r, calm) })
	time.Sleep(length)
	close(calm)
	upsets.Wait()
	w.with(func() { w.stopping = true })
	a.stop() // the clients go on meanwhile
	close(stop)
	clients.Wait()
	minutes := 1 + int(time.Since(began)/time.Minute) // windows that a slow machine's run met

	// The store holds what the clients were told, and what they could not hear of at most beside it.
	again.Plans = randomPlans(100_000)
	a = startAppliance(t, &again)
	for n, u := range w.users {
		u.owner.base = a.base
		var use keyUsage
		u.owner.want(t, 200, "GET", "/api/v1/keys/"+u.idOfOwner(t)+"/usage", "", &use)
		if use.Month.Used < u.cost || use.Month.Used > u.cost+u.unheard {
			t.Errorf("user %d: the month says %d credits, the answers add up to %d, %d calls were not heard of", n, use.Month.Used, u.cost, u.unheard)
		}
	}
	a.stop()
	most := 0
	for bucket, n := range w.windows {
		if most = max(most, *n); *n > minutes*randomRateLater {
			t.Errorf("%s: %d calls were let in, with a limit of %d in each of %d minutes", bucket, *n, randomRateLater, minutes)
		}
	}
	for bucket, n := range w.refusals {
		if let := w.windows[bucket]; let == nil || *let+w.dialed[bucket] < randomRate {
			t.Errorf("%s: %d calls were refused, after fewer than %d had been let in", bucket, n, randomRate)
		}
	}
	for code := range w.closes {
		if !slices.Contains([]int{0, 1000, 1001, 1006, 4001, 4003, 4008, 4009, 4012}, code) {
			t.Errorf("%d sockets were closed with %d", w.closes[code], code)
		}
	}
	answers := []string{}
	for _, status := range slices.Sorted(maps.Keys(w.statuses)) {
		answers = append(answers, fmt.Sprintf("%s: %d", status, w.statuses[status]))
	}
	t.Logf("answers %s; closes %v; most calls in a window %d", strings.Join(answers, ", "), w.closes, most)
	for _, u := range w.users {
		u.token.client.CloseIdleConnections()
		u.owner.client.CloseIdleConnections()
	}
}

// idOfOwner finds the id of the key that the registration made.
func (u *worldUser) idOfOwner(t *testing.T) string {
	t.Helper()
	var page struct{ Keys []struct{ ID, Name string } }
	u.owner.want(t, 200, "GET", "/api/v1/keys?limit=1000", "", &page)
	for _, k := range page.Keys {
		if k.Name == "default" {
			return k.ID
		}
	}
	t.Fatal("the first key is gone")
	return ""
}
