package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyperlight/engine"
	"hyperlight/engine/access"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/model"
	"hyperlight/engine/past"
	api "hyperlight/http"
)

// recordedUntil writes the lines of a recording that were received before a moment.
func recordedUntil(t testing.TB, path string, cut int64) string {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var kept bytes.Buffer
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var line struct {
			Recv int64 `json:"recv_us"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Recv < cut {
			kept.Write(append(lines.Bytes(), '\n'))
		}
	}
	name := filepath.Join(t.TempDir(), "head.ndjson")
	if err := os.WriteFile(name, kept.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// serveRecord serves what files give, by a clock that stands still.
func serveRecord(t testing.TB, now time.Time, files ...string) (base string) {
	t.Helper()
	dir := t.TempDir()
	importInto(t, dir, files...)
	cfg := applianceConfig(dir, venue{})
	clock := func() time.Time { return now }
	e, err := engine.Open(engine.Options{Store: storeOptions(cfg, func(error) {}), Lighter: cfg.Venues.Lighter, History: cfg.History,
		Access: access.Options{LocalPlan: "enterprise"}, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s, err := api.New(api.Options{
		Engine: e, History: e.History(), Access: e.Access(), Exchange: e, Day: e.Exchange(), FundingRates: e.FundingRates,
		Past:     func(at model.Micros) api.Past { return past.At(e.History(), e.Registry(), at).WithSums(e.Sums()) },
		Accounts: api.AccountOptions{Accounts: e.Accounts(), History: e.History(), Exposure: e.Exposure(), Stats: e.LiveStats, StaleAfter: time.Minute},
		Health:   func() api.Health { return api.Health{Status: "ok"} }, Status: func() api.Status { return api.Status{} },
		CursorKey: []byte("a key for tests only, 32 bytes.."), Now: clock, PublicURL: "http://localhost:8080",
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

// asked is what an answer tells of the record, as text. How far that reaches up to now is known a moment later, so that
// coverage is left out, and so is what is nothing or unknown: coverage tells which.
func asked(t testing.TB, target string) (told string, found bool) {
	t.Helper()
	resp, err := http.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct{ Data, Meta map[string]any }
	d := json.NewDecoder(resp.Body)
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	withoutNothing(body.Data)
	return fmt.Sprintln(resp.StatusCode, body.Meta["total"], body.Meta["next_cursor"] != nil, body.Data), resp.StatusCode == 200
}

func withoutNothing(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"coverage", "intervals", "gaps"} {
			delete(v, name)
		}
		for name, member := range v {
			if withoutNothing(member); member == nil || strings.Trim(fmt.Sprint(member), "0.") == "" {
				delete(v, name)
			}
		}
	case []any:
		for _, e := range v {
			withoutNothing(e)
		}
	}
}

// randomQuery draws a call of the market history with a page and a range of any form before a clock.
func randomQuery(r *rand.Rand, from, at int64) (name string, q url.Values) {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	q = url.Values{}
	maybe := func(name string, words ...string) {
		if r.IntN(2) == 0 {
			q.Set(name, pick(words...))
		}
	}
	market := pick("0", "1")
	when := func() string {
		ms := from + r.Int64N(at-from+1)
		switch r.IntN(6) {
		case 0:
			ms = at
		case 1:
			ms -= ms % 1000
		case 2:
			ms -= ms % 60_000
		case 3:
			ms -= ms % 86_400_000
		}
		switch r.IntN(4) {
		case 0:
			return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
		case 1:
			return strconv.FormatInt(ms/1000, 10)
		}
		return strconv.FormatInt(ms, 10)
	}
	for _, bound := range []string{"start", "end"} {
		if r.IntN(2) == 0 {
			q.Set(bound, when())
		}
	}
	maybe("order", "asc", "desc")
	maybe("limit", "1", "3", "50", "1000")
	switch r.IntN(8) {
	case 0:
		name = "trades/by-time"
		maybe("market_id", market)
		maybe("side", "buy", "sell")
		maybe("min_notional", "100", "5000.5")
	case 1:
		name = "trades/aggregate"
		q.Set("market_id", market)
		q.Set("interval", pick("1s", "7s", "1m", "1h", "3h", "1d", "1w", "4w"))
		if r.IntN(3) == 0 {
			q.Set("fill", "true")
		}
	case 2:
		name = "candles"
		q.Set("market_id", market)
		q.Set("resolution", pick("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w"))
		maybe("fill", "true", "false")
	case 3:
		name = "orderbook/" + market + "/snapshots"
		q.Set("end", strconv.FormatInt(from+r.Int64N(at-from+1), 10)) // the last second of an imported record is not known to be over
		q.Set("interval", pick("1s", "5s", "10s", "1m", "1h"))        // without it, start or end a clock is the moment asked for
		maybe("depth", "1", "1000")
	case 4:
		name = "liquidations/by-time"
		maybe("market_id", market)
	case 5:
		name = "liquidations/recent"
		q.Del("order")
		q.Del("start")
		q.Del("end")
	case 6:
		name = "funding-rates/history"
		q.Set("market_id", market)
		maybe("resolution", "1h", "1d")
	case 7:
		name = "data-quality/coverage"
		q.Set("market_id", market)
	}
	return name, q
}

// What is answered as of a clock is what a server answered whose clock showed that moment, and which knew nothing more.
func TestPastEqualsLive(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	_, from, to := recordedFrames(t, path)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	whole := serveRecord(t, time.UnixMilli(to+7_200_000), path)
	clocks, queries := 1, 80
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		clocks, queries = 8, 500
	}
	for range clocks {
		at := from + 5000 + r.Int64N(to-from-5000)
		at -= at % []int64{1, 1000}[r.IntN(2)]
		live := serveRecord(t, time.UnixMilli(at), recordedUntil(t, path, at*1000))
		found := map[string]int{}
		for range queries {
			name, q := randomQuery(r, from-100_000, at)
			now, ok := asked(t, live+"/api/v1/"+name+"?"+q.Encode())
			q.Set("at", strconv.FormatInt(at, 10))
			then, _ := asked(t, whole+"/replay/api/v1/"+name+"?"+q.Encode())
			if now != then {
				t.Errorf("%s?%s:\nlive %.1000s\npast %.1000s", name, q.Encode(), now, then)
			}
			if ok {
				found[name]++
			}
		}
		if len(found) < 5 {
			t.Errorf("at %d only %v were answered", at, found)
		}
	}
}
