package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"hyperlight/config"
	"hyperlight/engine/signal/delivery"
	"hyperlight/engine/sim"
	api "hyperlight/http"
)

// hook is a webhook receiver of the internet, as far as a test has one.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []hooked
	answer func(path string, n int) int // to the n-th call of a path; nil: 200
	paths  map[string]int
}

// hooked is a call that a receiver got.
type hooked struct {
	path   string
	header http.Header
	body   string
}

func (h hooked) id() string { return h.header.Get("X-Hyperlight-Delivery") }

// fired is the body of a delivery.
type fired struct {
	Event       string          `json:"event"`
	DeliveryID  string          `json:"delivery_id"`
	SignalID    string          `json:"signal_id"`
	TriggeredAt int64           `json:"triggered_at"`
	EventTS     int64           `json:"event_ts"`
	Rule        json.RawMessage `json:"rule_definition"`
	Matched     json.RawMessage `json:"matched_conditions"`
}

func newHook(t *testing.T) *hook {
	h := &hook{paths: map[string]int{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller was killed in the middle
		}
		h.mu.Lock()
		h.calls = append(h.calls, hooked{r.URL.Path, r.Header.Clone(), string(body)})
		h.paths[r.URL.Path]++
		code, answer := 200, h.answer
		if answer != nil {
			code = answer(r.URL.Path, h.paths[r.URL.Path])
		}
		h.mu.Unlock()
		w.WriteHeader(code)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) port() string { return strconv.Itoa(h.Listener.Addr().(*net.TCPAddr).Port) }

// of returns the calls of a path, oldest first.
func (h *hook) of(path string) (out []hooked) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.calls {
		if c.path == path {
			out = append(out, c)
		}
	}
	return out
}

func (c hooked) payload(t *testing.T) (p fired) {
	t.Helper()
	if err := json.Unmarshal([]byte(c.body), &p); err != nil {
		t.Fatalf("%v in %s", err, c.body)
	}
	return p
}

// signalRow is a signal as the API shows it.
type signalRow struct {
	ID         string        `json:"id"`
	Triggers   int           `json:"trigger_count"`
	Suspended  bool          `json:"suspended"`
	Created    int64         `json:"created_at"`
	Updated    int64         `json:"updated_at"`
	Deliveries []deliveryRow `json:"recent_deliveries"`
}

type deliveryRow struct {
	ID       string  `json:"delivery_id"`
	URL      string  `json:"url"`
	Status   string  `json:"status"`
	Attempts int     `json:"attempts"`
	Code     *int    `json:"last_status_code"`
	Error    *string `json:"last_error"`
}

const hookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// signalBody is what a signal on market 0 is made of.
func signalBody(name, rule string, cooldown int, urls ...string) string {
	channels := make([]map[string]string, len(urls))
	for i, u := range urls {
		channels[i] = map[string]string{"type": "webhook", "url": u, "secret": hookSecret}
	}
	body, _ := json.Marshal(map[string]any{
		"name": name, "market_id": 0, "rule_definition": json.RawMessage(rule), "cooldown_secs": cooldown, "delivery_channels": channels,
	})
	return string(body)
}

// startSignals runs a server in front of a simulated venue that may call a receiver of this machine.
func startSignals(t *testing.T, h *hook) *appliance {
	t.Helper()
	v := startVenue(t, sim.New(sim.Options{Seed: 9, Markets: 1, Accounts: 20, Rate: 300}), sim.ServeOptions{})
	return startInFrontOf(t, v, 1, func(c *config.Config) {
		c.Access.DefaultTier = "enterprise"
		c.Webhooks.AllowHTTP, c.Webhooks.AllowPrivate, c.Webhooks.Ports = true, true, config.List{h.port()}
		c.Webhooks.RetrySchedule = config.List{"1s"}
	})
}

// TestSignalsEndToEnd follows signals from the call that makes them to their receivers and back: what arrives is signed in
// both ways, is what the log shows, comes again under its id, and is, event for event, what a backtest of the same minutes
// finds. A user who is disabled has nothing sent any more.
func TestSignalsEndToEnd(t *testing.T) {
	t.Parallel() // it waits for the venue's seconds
	h := newHook(t)
	a := startSignals(t, h)
	me := a.as(a.register("signals@example.com"))
	other := a.as(a.register("other@example.com"))

	const few = 9 // trades, in the middle of whose sizes a line is drawn that is crossed over and over
	var last struct {
		Trades []struct{ Size json.Number } `json:"trades"`
	}
	waitFor(t, time.Minute, func() bool {
		a.get(fmt.Sprintf("/api/v1/trades/by-time?limit=%d&market_id=0", few), &last)
		return len(last.Trades) == few
	}, func() string { return "no trades are stored" })
	slices.SortFunc(last.Trades, func(a, b struct{ Size json.Number }) int {
		x, _ := a.Size.Float64()
		y, _ := b.Size.Float64()
		return cmp.Compare(x, y)
	})
	crossing := fmt.Sprintf(`{"conditions":[{"field":"trade_size","op":"crosses_above","value":"%s"},{"field":"trade_size","op":"crosses_below","value":"%s"}],"logic":"OR"}`,
		last.Trades[few/2].Size, last.Trades[few/2].Size)
	rules := map[string]struct {
		rule     string
		cooldown int
	}{
		"/trade":    {`{"conditions":[{"field":"trade_price","op":"gt","value":0}],"logic":"AND"}`, 0},
		"/book":     {`{"conditions":[{"field":"bid_depth","op":"gte","value":0},{"field":"orderbook_spread","op":"gte","value":0}],"logic":"AND"}`, 2},
		"/crossing": {crossing, 0},
	}
	made := map[string]signalRow{}
	for path, r := range rules {
		var s signalRow
		got := me.want(t, 201, "POST", "/api/v1/signals", signalBody(path, r.rule, r.cooldown, h.URL+path), &s)
		if strings.Contains(string(got.body), "MDEy") {
			t.Errorf("the secret is shown: %s", got.body)
		}
		made[path] = s
	}
	other.want(t, 404, "GET", "/api/v1/signals/"+made["/trade"].ID, "", nil)
	waitFor(t, time.Minute, func() bool { return len(h.of("/trade")) >= 6 && len(h.of("/book")) >= 3 && len(h.of("/crossing")) >= 3 },
		func() string {
			return fmt.Sprintf("%d, %d and %d deliveries", len(h.of("/trade")), len(h.of("/book")), len(h.of("/crossing")))
		})
	ended := time.Now().UnixMilli()
	for _, s := range made {
		me.want(t, 200, "PATCH", "/api/v1/signals/"+s.ID, `{"enabled":false}`, nil)
	}

	checkSignatures(t, h)
	checkLog(t, me, h, made["/trade"], "/trade")
	checkResend(t, me, h, made["/trade"], "/trade")
	for path, s := range made {
		checkBacktest(t, me, h, path, s, ended)
	}

	checkPlan(t, a, other, "other@example.com", h)

	// Enabled again it goes on, until its user is disabled.
	before := len(h.of("/book"))
	me.want(t, 200, "PATCH", "/api/v1/signals/"+made["/book"].ID, `{"enabled":true,"cooldown_secs":0}`, nil)
	waitFor(t, time.Minute, func() bool { return len(h.of("/book")) > before }, func() string { return "nothing after it was enabled" })
	a.command("user/disable", &api.ControlEmail{Email: "signals@example.com"}, &api.ControlUser{})
	waitFor(t, time.Minute, func() bool { // a call may be under way
		before = len(h.of("/book"))
		time.Sleep(2500 * time.Millisecond)
		return len(h.of("/book")) == before
	}, func() string { return "deliveries go on for a user who is disabled" })
}

// checkPlan has a user fall to a plan of three signals and rise again: the newest of four is paused meanwhile.
func checkPlan(t *testing.T, a *appliance, who *caller, email string, h *hook) {
	t.Helper()
	for range 4 {
		who.want(t, 201, "POST", "/api/v1/signals", signalBody("never", `{"conditions":[{"field":"trade_price","op":"lt","value":0}]}`, 0, h.URL+"/never"), nil)
	}
	for _, step := range [][2]string{{"free", "plan"}, {"starter", ""}} {
		tier, want := step[0], step[1]
		a.command("user/set-tier", &api.ControlUserTier{Email: email, Tier: tier}, &api.ControlUser{})
		var list api.ControlList[*api.ControlSignal]
		waitFor(t, 20*time.Second, func() bool {
			list.Rows = nil                                                       // what is left out must not stay from before
			a.command("signal/list", &api.ControlSignalList{Email: email}, &list) // not by the API: few calls are left on such a plan
			return list.Rows[3].Paused == want && list.Rows[2].Paused == ""
		}, func() string { return fmt.Sprintf("on the plan %s: %+v", tier, list.Rows) })
	}
}

// checkSignatures verifies what came with the library of Standard Webhooks, and by section 4.4 of the contract.
func checkSignatures(t *testing.T, h *hook) {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := delivery.SecretBytes(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.calls {
		if err := wh.Verify([]byte(c.body), c.header); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
		at, err := strconv.ParseInt(c.header.Get("X-Hyperlight-Timestamp"), 10, 64)
		if got := c.header.Get("X-Hyperlight-Signature"); err != nil || got != delivery.Signature(secret, at, []byte(c.body)) {
			t.Errorf("%s: signature %q, %v", c.path, got, err)
		}
		p := c.payload(t)
		if p.Event != "signal.triggered" || p.DeliveryID != c.id() || c.header.Get("X-Hyperlight-Event") != p.Event ||
			c.header.Get("Content-Type") != "application/json" || !strings.HasPrefix(c.header.Get("User-Agent"), "Hyperlight-Webhook/") {
			t.Errorf("%s: got %v with %s", c.path, c.header, c.body)
		}
	}
}

// checkLog wants the deliveries that arrived in the signal's log, newest first.
func checkLog(t *testing.T, me *caller, h *hook, s signalRow, path string) {
	t.Helper()
	var now signalRow
	waitFor(t, time.Minute, func() bool {
		me.want(t, 200, "GET", "/api/v1/signals/"+s.ID, "", &now)
		return !slices.ContainsFunc(now.Deliveries, func(d deliveryRow) bool { return d.Status == "pending" })
	}, func() string { return fmt.Sprintf("deliveries are pending: %+v", now.Deliveries) })
	calls := h.of(path)
	slices.SortFunc(calls, func(a, b hooked) int { return cmp.Compare(a.id(), b.id()) }) // calls that are under way at once arrive as they like
	if now.Triggers != len(calls) || len(now.Deliveries) != min(len(calls), 20) {
		t.Fatalf("%d deliveries arrived of %d triggers, the log has %d", len(calls), now.Triggers, len(now.Deliveries))
	}
	for i, d := range now.Deliveries {
		if c := calls[len(calls)-1-i]; d.ID != c.id() || d.Status != "delivered" || d.Attempts != 1 || d.Code == nil || *d.Code != 200 || d.URL != h.URL+path {
			t.Errorf("entry %d: got %+v, %s arrived", i, d, c.id())
		}
	}
}

// checkResend sends a delivery again: the answer is of the shape that the OpenAPI file shows, the bytes and the id are those of
// the first time.
func checkResend(t *testing.T, me *caller, h *hook, s signalRow, path string) {
	t.Helper()
	calls := h.of(path)
	first := calls[len(calls)-1]
	var d deliveryRow
	got := me.want(t, 202, "POST", "/api/v1/signals/"+s.ID+"/deliveries/"+first.id()+"/resend", "", &d)
	if d.ID != first.id() || d.Status != "pending" || d.Attempts != 1 {
		t.Errorf("got %s", got.body)
	}
	var members map[string]json.RawMessage
	got.data(t, &members)
	for _, name := range []string{"delivery_id", "url", "status", "attempts", "last_status_code", "last_error", "triggered_at", "delivered_at"} {
		if _, ok := members[name]; !ok {
			t.Errorf("the answer lacks %s: %s", name, got.body)
		}
	}
	waitFor(t, time.Minute, func() bool { return len(h.of(path)) > len(calls) }, func() string { return "it does not come again" })
	again := h.of(path)[len(calls)]
	if again.id() != first.id() || again.body != first.body || again.header.Get("X-Hyperlight-Attempt") != "2" ||
		again.header.Get("webhook-id") != first.id() {
		t.Errorf("got %v with %s", again.header, again.body)
	}
	h.mu.Lock() // it is no trigger
	h.calls = slices.DeleteFunc(h.calls, func(c hooked) bool { return c.path == path && c.header.Get("X-Hyperlight-Attempt") == "2" })
	h.mu.Unlock()
}

// checkBacktest wants the same triggers of a backtest as were delivered, by time and matches. Both begin with nothing known:
// where a trade was on its way when the signal was made, one of both may have a trigger before the first that they share.
func checkBacktest(t *testing.T, me *caller, h *hook, path string, s signalRow, ended int64) {
	t.Helper()
	var live, tried []string
	for _, c := range h.of(path) {
		p := c.payload(t)
		live = append(live, fmt.Sprintf("%d %s", p.EventTS, p.Matched))
	}
	var b struct {
		Count     int  `json:"trigger_count"`
		Matches   int  `json:"match_count"`
		Evaluated int  `json:"events_evaluated"`
		Truncated bool `json:"truncated"`
		Triggers  []struct {
			Timestamp int64           `json:"timestamp"`
			Matched   json.RawMessage `json:"matched_conditions"`
		} `json:"triggers"`
	}
	agrees := func(start int64) bool {
		me.want(t, 200, "GET", fmt.Sprintf("/api/v1/signals/%s/backtest?start=%d&end=%d", s.ID, start, ended), "", &b)
		tried = tried[:0]
		for _, x := range b.Triggers {
			tried = append(tried, fmt.Sprintf("%d %s", x.Timestamp, x.Matched))
		}
		a, c := live, tried
		if len(a) > 0 && len(c) > 0 && a[0] != c[0] {
			if i := slices.Index(c, a[0]); i == 1 {
				c = c[1:]
			} else if i := slices.Index(a, c[0]); i == 1 {
				a = a[1:]
			}
		}
		return len(a)-len(c) <= 1 && len(a) >= len(c) && slices.Equal(a[:len(c)], c) // one may have come after the end
	}
	// The first trades that a signal sees may have been made a moment before it was: a cooldown then begins with one of these.
	agree := func() bool {
		starts := []int64{s.Created}
		var before struct {
			Trades []struct{ Timestamp int64 } `json:"trades"`
		}
		me.want(t, 200, "GET", fmt.Sprintf("/api/v1/trades/by-time?market_id=0&start=%d&end=%d", s.Created-30_000, s.Created), "", &before)
		for i := range before.Trades {
			starts = append(starts, before.Trades[len(before.Trades)-1-i].Timestamp)
		}
		return slices.ContainsFunc(starts, agrees)
	}
	waitFor(t, time.Minute, agree, func() string { // the record is a moment behind
		return fmt.Sprintf("%s: live and backtest differ:\n%s\n---\n%s", path, strings.Join(live, "\n"), strings.Join(tried, "\n"))
	})
	if b.Count != len(tried) || b.Truncated || b.Matches < b.Count || b.Evaluated < b.Matches {
		t.Errorf("%s: got %+v", path, b)
	}
	t.Logf("%s: %d triggers of %d matches in %d events are the same", path, b.Count, b.Matches, b.Evaluated)
}
