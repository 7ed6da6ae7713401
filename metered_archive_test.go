package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"hyperlight/config"
	"hyperlight/engine/sim"
	api "hyperlight/http"
)

// archivePlans is the plan file that speaks for the limits page of a metered archive.
const archivePlans = "config/plans/metered-archive.yaml"

// archiveRow is a line of that page: what each plan may do.
type archiveRow struct {
	plan          string
	sockets       int // 0: none
	depth         int // days of history; -1: all
	longest       int // days a request; -1: any
	subscriptions int
	speed         float64
	credits       int64
	perMinute     int
}

var archiveTable = []archiveRow{
	{plan: "free", depth: -1, longest: 30, credits: 50_000, perMinute: 900},
	{"build", 2, 365, -1, 25, 50, 80_000_000, 3_000},
	{"pro", 4, -1, -1, 100, 100, 400_000_000, 9_000},
	{"enterprise", 16, -1, -1, 200, 1000, 2_000_000_000, 60_000},
}

// withArchivePlans puts the plan file in force as an operator does, after replacing texts in a copy of it.
func withArchivePlans(t testing.TB, cfg *config.Config, replacements ...string) {
	t.Helper()
	path := archivePlans
	if len(replacements) > 0 {
		text, err := os.ReadFile(archivePlans)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(replacements); i += 2 {
			if !strings.Contains(string(text), replacements[i]) {
				t.Fatalf("%s has no %q", archivePlans, replacements[i])
			}
		}
		path = filepath.Join(t.TempDir(), "plans.yaml")
		if err := os.WriteFile(path, []byte(strings.NewReplacer(replacements...).Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := config.Load(config.Source{Environ: []string{"HYPERLIGHT_ACCESS_PLANS_FILE=" + path}})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Plans, cfg.Access = loaded.Config.Plans, loaded.Config.Access
}

// keyOn makes a user on a plan and a key, over the control socket.
func (a *appliance) keyOn(plan string) string {
	a.t.Helper()
	email := plan + "@example.com"
	a.command("user/create", api.ControlNewUser{Email: email, Tier: plan}, &struct{}{})
	var key api.ControlKey
	a.command("key/create", api.ControlNewKey{Email: email}, &key)
	return key.APIKey
}

// errorBody is the data of an error answer.
type errorBody struct {
	Code    string
	Message string
	Details struct {
		Field      string
		Limit      int
		RetryAfter int `json:"retry_after"`
	}
}

// ask sends a GET with a key.
func (a *appliance) ask(key, path string) (status int, h http.Header, e errorBody) {
	a.t.Helper()
	req, err := http.NewRequest("GET", a.base+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", key)
	client := http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var out struct{ Data errorBody }
	if err := json.Unmarshal(body, &out); err != nil {
		a.t.Fatalf("%s: %v in %.200s", path, err, body)
	}
	return resp.StatusCode, resp.Header, out.Data
}

// used is what a key's account has spent this month, without the call that asks.
func (a *appliance) used(key string) int64 {
	a.t.Helper()
	status, h, e := a.ask(key, "/api/v1/orderbook/0")
	n, err := strconv.ParseInt(h.Get("X-Credits-Used"), 10, 64)
	if err != nil {
		a.t.Fatalf("got %d %+v %v", status, e, h)
	}
	cost, _ := strconv.ParseInt(h.Get("X-Credits-Cost"), 10, 64)
	return n - cost
}

// wantClose reads until the connection is closed, which must be with a code; it returns the frames before.
func wantClose(t testing.TB, conn *websocket.Conn, code int) (frames []frame) {
	t.Helper()
	for {
		f, _, err := readFrame(conn, time.Minute)
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			if closed.Code != code {
				t.Fatalf("closed with %d %s, want %d", closed.Code, closed.Text, code)
			}
			return frames
		}
		if err != nil {
			t.Fatalf("%v, want close %d", err, code)
		}
		frames = append(frames, f)
	}
}

// until reads frames until one of a type came, and returns those before it.
func until(t testing.TB, conn *websocket.Conn, kinds ...string) (last frame, before []frame) {
	t.Helper()
	for {
		f, raw, err := readFrame(conn, time.Minute)
		if err != nil {
			t.Fatalf("waiting for %v after %d frames: %v", kinds, len(before), err)
		}
		if slices.Contains(kinds, f.Type) {
			return f, before
		}
		if f.Type == "error" {
			t.Fatalf("waiting for %v: %s", kinds, raw)
		}
		before = append(before, f)
	}
}

// daysAgo is a time as queries and messages take it, a minute later than so many whole days ago.
func daysAgo(days int) int64 {
	return time.Now().Add(time.Minute - time.Duration(days)*24*time.Hour).UnixMilli()
}

// The page is enforced, cell by cell, on the wire: REST, live sockets and replays.
func TestMeteredArchive(t *testing.T) {
	cfg := applianceConfig(t.TempDir(), startVenue(t, sim.New(sim.Options{Seed: 5, Markets: 110, Accounts: 100, Rate: 200}), sim.ServeOptions{}))
	withArchivePlans(t, cfg)
	a := startAppliance(t, cfg)
	for s := (status{}); s.Synced != 110; time.Sleep(250 * time.Millisecond) { // slowly: /status has a window, too
		if a.get("/status", &s); s.Subscribed == s.Wanted && s.Synced > 110 {
			t.Fatalf("status is %+v", s)
		}
	}
	time.Sleep(2 * time.Second) // for a past to replay
	keys := map[string]string{}
	for _, row := range archiveTable {
		keys[row.plan] = a.keyOn(row.plan)
	}
	began := time.Now().UnixMilli()
	for _, row := range archiveTable {
		t.Run(row.plan, func(t *testing.T) {
			a := *a
			a.t = t
			key := keys[row.plan]
			t.Run("requests", func(t *testing.T) { archiveRequests(t, &a, key, &row) })
			if row.sockets == 0 {
				t.Run("no socket", func(t *testing.T) { archiveNoSocket(t, &a, key) })
				return
			}
			t.Run("connections", func(t *testing.T) { archiveConnections(t, &a, key, &row) })
			t.Run("subscriptions", func(t *testing.T) { archiveSubscriptions(t, &a, key, &row) })
			t.Run("operations", func(t *testing.T) { archiveOperations(t, &a, key) })
			t.Run("metering", func(t *testing.T) { archiveMetering(t, &a, key, began) })
			t.Run("replay", func(t *testing.T) { archiveReplay(t, &a, key, &row, began) })
		})
	}
}

func archiveRequests(t *testing.T, a *appliance, key string, row *archiveRow) {
	_, h, _ := a.ask(key, "/api/v1/orderbook/0")
	if h.Get("X-RateLimit-Limit") != strconv.Itoa(row.perMinute) || h.Get("X-Credits-Limit") != strconv.FormatInt(row.credits, 10) || h.Get("X-Credits-Cost") != "1" {
		t.Errorf("got %v", h)
	}
	for _, path := range []string{"/api/v1/trades/by-time?", "/api/v1/orderbook/0/snapshots?", "/api/v1/candles?market_id=0&resolution=1d&", "/api/v1/data-quality/gaps?"} {
		check := func(start, end int64, limit int) {
			t.Helper()
			status, _, e := a.ask(key, fmt.Sprintf("%sstart=%d&end=%d", path, start, end))
			if limit < 0 && status != 200 || limit >= 0 && (status != 403 || e.Code != "forbidden" || e.Details.Field != "start" || e.Details.Limit != limit) {
				t.Errorf("%s from %d to %d: got %d %+v", path, start, end, status, e)
			}
		}
		// Depth: an hour a minute within it, and an hour that begins before.
		for _, days := range []int{300, 365, 1000} {
			limit := -1
			if row.depth >= 0 && days > row.depth {
				limit = row.depth
			}
			check(daysAgo(days), daysAgo(days)+3_600_000, limit)
		}
		if row.depth >= 0 {
			check(daysAgo(row.depth)-120_000, daysAgo(row.depth), row.depth)
		}
		// Range: exactly the longest, and a moment more.
		const day = 86_400_000
		check(daysAgo(40), daysAgo(40)+30*day, -1)
		limit := -1
		if row.longest >= 0 {
			limit = row.longest
		}
		start := daysAgo(40)
		check(start, start+30*day+1, limit)
		if row.depth < 0 && row.longest < 0 {
			check(daysAgo(900), time.Now().UnixMilli(), -1)
		}
	}
}

// The month ends hard, on sockets and over REST, and what was spent is known to the next process.
func TestMeteredArchiveHardStop(t *testing.T) {
	const allowance = 40
	v := startVenue(t, sim.New(sim.Options{Seed: 6, Markets: 2, Accounts: 100, Rate: 200}), sim.ServeOptions{})
	cfg := applianceConfig(t.TempDir(), v)
	withArchivePlans(t, cfg, "credits_per_month: 80000000", fmt.Sprintf("credits_per_month: %d", allowance))
	a := startAppliance(t, cfg)
	a.waitSynced(2)
	key := a.keyOn("build")
	if n := a.used(key); n != 0 { // and that cost 1
		t.Fatalf("%d credits used", n)
	}
	conn := a.dial("/ws?api_key=" + key)
	next(t, conn, "authenticated")
	send(t, conn, `{"type":"subscribe","channel":"order_book/0"}`)
	frames := wantClose(t, conn, 4003)
	data := 0
	for _, f := range frames {
		if f.Type == "order_book_update" {
			data++
		}
	}
	last := frames[len(frames)-1]
	if data != allowance-1 || last.Code != "quota_exceeded" || last.Message != "monthly credit quota exceeded" {
		t.Errorf("%d data messages, then %+v", data, last)
	}
	check := func(name string) {
		t.Helper()
		status, h, e := a.ask(key, "/api/v1/orderbook/0")
		now := time.Now().UTC()
		month := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC).Sub(now).Seconds()
		wait, _ := strconv.ParseFloat(h.Get("Retry-After"), 64)
		if status != 429 || e.Code != "quota_exceeded" || h.Get("X-Credits-Used") != strconv.Itoa(allowance) || h.Get("X-Credits-Limit") != strconv.Itoa(allowance) ||
			wait < month-1 || wait > month+2 || e.Details.RetryAfter != int(wait) {
			t.Errorf("%s: got %d %+v %v", name, status, e, h)
		}
		conn := a.dial("/ws?api_key=" + key)
		defer conn.Close()
		next(t, conn, "authenticated")
		send(t, conn, `{"type":"subscribe","channel":"order_book/0"}`)
		for _, f := range wantClose(t, conn, 4003) {
			if f.Type != "subscribed" && f.Code != "quota_exceeded" {
				t.Errorf("%s: a data message without credits: %+v", name, f)
			}
		}
	}
	check("used up")
	if status, _, _ := a.ask(key, "/api/v1/keys"); status != 200 {
		t.Errorf("what costs nothing: got %d", status)
	}
	a.stop()
	a = startAppliance(t, cfg)
	a.waitSynced(2)
	check("after a restart")
}

// Silent sockets end: the plan file's times, shortened, reach the connections of every plan. What the shipped times are
// is a test of package config; that they are exact is one of package ws.
func TestMeteredArchiveIdle(t *testing.T) {
	const with, without = 4 * time.Second, 2500 * time.Millisecond
	v := startVenue(t, sim.New(sim.Options{Seed: 7, Markets: 2, Accounts: 100, Rate: 200}), sim.ServeOptions{})
	cfg := applianceConfig(t.TempDir(), v)
	withArchivePlans(t, cfg, "_subscriptions: 60s", "_subscriptions: "+with.String(), "_subscriptions: 5m", "_subscriptions: "+without.String())
	a := startAppliance(t, cfg)
	a.waitSynced(2)
	for _, row := range archiveTable[1:] {
		key := a.keyOn(row.plan)
		t.Run(row.plan, func(t *testing.T) {
			t.Parallel()
			a := *a
			a.t = t
			ends := func(name string, conn *websocket.Conn, heard time.Time, after time.Duration) {
				for _, f := range wantClose(t, conn, 1000) {
					if f.Type == "error" {
						t.Errorf("%s: %+v", name, f)
					}
				}
				if took := time.Since(heard); took < after-50*time.Millisecond || took > 30*time.Second { // shipped is a minute
					t.Errorf("%s ended after %s, want %s", name, took, after)
				}
			}
			heard := time.Now()
			idle := openSockets(t, &a, key, 1)[0]
			ends("without subscription", idle, heard, without)
			busy := openSockets(t, &a, key, 1)[0]
			send(t, busy, `{"type":"subscribe","channel":"trade/0"}`)
			until(t, busy, "subscribed")
			for range 25 { // who pings stays, beyond the limit
				time.Sleep(with / 20)
				heard = time.Now()
				send(t, busy, `{"type":"ping"}`)
				until(t, busy, "pong")
			}
			ends("with a subscription", busy, heard, with)
		})
	}
}
