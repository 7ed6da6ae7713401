package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/engine/relay"
	"hyperlight/engine/sim"
)

// moving are the members that may differ between two calls of the venue itself: they change all the time, and come from
// the stream or from a poll that is at most a minute old.
var moving = map[string][]string{
	"orderBookDetails": {"last_trade_price", "daily_trades_count", "daily_base_token_volume", "daily_quote_token_volume",
		"daily_price_low", "daily_price_high", "daily_price_change", "open_interest", "mark_price", "index_price"},
	"exchangeStats": {"last_trade_price", "daily_trades_count", "daily_base_token_volume", "daily_quote_token_volume",
		"daily_price_change", "daily_usd_volume"},
	"funding-rates": {"rate"},
	"currentHeight": {"height"},
}

// node is one scalar, or the beginning of an object or array, of a JSON text, in the order of the text.
type node struct{ path, kind, value string }

// flatten lists the nodes of a JSON text: two texts with the same list have the same members in the same order.
func flatten(t testing.TB, text []byte) []node {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var out []node
	var walk func(path string)
	walk = func(path string) {
		tok, err := d.Token()
		if err != nil {
			t.Fatalf("%v in %.200s", err, text)
		}
		out = append(out, node{path, fmt.Sprintf("%T", tok), fmt.Sprint(tok)})
		switch tok {
		case json.Delim('{'):
			for d.More() {
				name, err := d.Token()
				if err != nil {
					t.Fatal(err)
				}
				walk(path + "/" + name.(string))
			}
		case json.Delim('['):
			for i := 0; d.More(); i++ {
				walk(fmt.Sprintf("%s/%d", path, i))
			}
		default:
			return
		}
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
	}
	walk("")
	return out
}

// differ compares two answers of a call member by member and says where they differ first.
func differ(t testing.TB, call string, got, want []byte) error {
	t.Helper()
	a, b := flatten(t, got), flatten(t, want)
	for i := range min(len(a), len(b)) {
		name := a[i].path[strings.LastIndexByte(a[i].path, '/')+1:]
		switch {
		case a[i].path != b[i].path || a[i].kind != b[i].kind:
			return fmt.Errorf("%s (%s) stands where the venue has %s (%s)", a[i].path, a[i].kind, b[i].path, b[i].kind)
		case a[i].value != b[i].value && !slices.Contains(moving[call], name):
			return fmt.Errorf("%s is %s, at the venue %s", a[i].path, a[i].value, b[i].value)
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d members, at the venue %d", len(a), len(b))
	}
	return nil
}

// nativeRig is an engine in front of a simulated exchange, whose clocks stand shortly before midnight: buckets of every
// length begin while the test looks on.
type nativeRig struct {
	t        testing.TB
	exchange *sim.Exchange
	engine   *engine.Engine
	local    relay.Local
	rest     string
	ahead    atomic.Int64 // how much the clocks are
}

func (r *nativeRig) now() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }

func startNative(t testing.TB, markets int, rate float64, before time.Duration) *nativeRig {
	t.Helper()
	const past = 10 * time.Minute // for trades of before
	// Sockets have deadlines by this clock: it must not stand behind the real one.
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(48*time.Hour - before)
	r := &nativeRig{t: t}
	r.exchange = sim.New(sim.Options{Seed: 11, Markets: markets, Accounts: 60, Rate: rate, Volatility: 3, Now: r.now, Start: start.Add(-past)})
	r.exchange.AdvanceBy(past)
	r.ahead.Store(int64(time.Until(start)))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.rest = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() {
		served <- sim.Serve(ctx, ln, r.exchange, sim.ServeOptions{Limits: sim.Limits{RESTPerMinute: 1 << 20, MessagesPerMinute: 1 << 20}})
	}()
	cfg := config.Default()
	cfg.Venues.Lighter.RESTURL, cfg.Venues.Lighter.StreamURL = r.rest, "ws://"+ln.Addr().String()+"/stream"
	cfg.Venues.Lighter.RESTBudgetPerMinute, cfg.Venues.Lighter.MessagesPerMinute = 24_000, 6_000
	r.engine, err = engine.Open(engine.Options{
		Store: storeOptions(t.TempDir()), Lighter: cfg.Venues.Lighter, History: cfg.History, Version: "test", Now: r.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.local = r.engine.Local()
	go func() { ran <- r.engine.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ran, <-served, r.engine.Close()); err != nil {
			t.Error(err)
		}
	})
	r.until("every market is in sync", func() bool {
		synced, total := r.engine.Registry().Synced()
		return total == markets && synced == total
	})
	return r
}

func (r *nativeRig) until(what string, done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not within a minute: %s", what)
		}
	}
}

// venue is what the venue itself answers.
func (r *nativeRig) venue(call, query string) []byte {
	r.t.Helper()
	resp, err := http.Get(r.rest + "/api/v1/" + call + "?" + query)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("%s?%s: %d %s %v", call, query, resp.StatusCode, body, err)
	}
	return body
}

func (r *nativeRig) answer(call, query string) ([]byte, bool) {
	return r.local.Answer(r.t.Context(), call, relay.ParseQuery([]byte(query)))
}

// same asks both until they say the same: an answer of ours may be a commit behind.
func (r *nativeRig) same(call, query string) {
	r.t.Helper()
	want := r.venue(call, query)
	err := errors.New("not answered")
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		got, ok := r.answer(call, query)
		if !ok {
			continue
		}
		if err = differ(r.t, call, got, want); err == nil {
			return
		}
	}
	r.t.Errorf("%s?%s: %v", call, query, err)
}

// Every local answer is the venue's own, member by member.
func TestNativeAnswersEqualTheVenues(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a venue across a midnight")
	}
	r := startNative(t, 3, 300, 30*time.Second)
	for _, call := range []string{"orderBooks", "exchangeStats", "funding-rates"} {
		r.answer(call, "") // wanted from now on
	}
	midnight := r.now().Add(12 * time.Hour).Truncate(24 * time.Hour)
	for midnight.Sub(r.now()) > 4*time.Second { // what a busy machine did not need to begin goes by quickly
		r.ahead.Add(int64(200 * time.Millisecond))
		time.Sleep(20 * time.Millisecond)
	}
	r.until("trades of the new day", func() bool { return r.now().After(midnight.Add(3 * time.Second)) })
	r.exchange.Pause()
	r.deliverFundings(midnight)

	for _, query := range []string{"", "market_id=255", "filter=all", "filter=perp", "market_id=1", "market_id=0&filter=perp"} {
		r.same("orderBooks", query)
		r.same("orderBookDetails", query)
	}
	r.same("exchangeStats", "")
	r.same("funding-rates", "")
	r.same("currentHeight", "")
	for m := range 3 {
		for _, limit := range []int{1, 7, 40} {
			r.same("recentTrades", fmt.Sprintf("market_id=%d&limit=%d", m, limit))
		}
		for _, resolution := range []string{"1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d"} {
			r.same("candles", fmt.Sprintf("market_id=%d&resolution=%s&start_timestamp=%d&end_timestamp=%d&count_back=0",
				m, resolution, midnight.UnixMilli(), midnight.Add(time.Hour).UnixMilli()))
			r.same("candles", fmt.Sprintf("count_back=1&market_id=%d&set_timestamp_to_end=false&resolution=%s&start_timestamp=%d&end_timestamp=%d",
				m, resolution, midnight.Unix()-5, midnight.Unix()+60))
		}
		r.same("fundings", fmt.Sprintf("market_id=%d&resolution=1h&start_timestamp=%d&end_timestamp=%d&count_back=1",
			m, midnight.UnixMilli(), midnight.Add(time.Minute).UnixMilli()))
	}
	for _, tt := range nativeForwarded(midnight) {
		if body, ok := r.answer(tt[0], tt[1]); ok {
			t.Errorf("%s?%s is answered: %.100s", tt[0], tt[1], body)
		}
	}
	rates, err := r.engine.FundingRates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rates.Rows) != 12 || !json.Valid(rates.Venue) {
		t.Errorf("%d funding rates, list %.80s", len(rates.Rows), rates.Venue)
	}
}

// nativeForwarded are calls that only the venue can answer.
func nativeForwarded(midnight time.Time) [][2]string {
	span := fmt.Sprintf("&start_timestamp=%d&end_timestamp=%d", midnight.UnixMilli(), midnight.Add(time.Hour).UnixMilli())
	before := fmt.Sprintf("&start_timestamp=%d&end_timestamp=%d", midnight.Add(-time.Hour).UnixMilli(), midnight.Add(time.Hour).UnixMilli())
	return [][2]string{
		{"orderBooks", "market_id=77"}, {"orderBooks", "market_id=x"}, {"orderBooks", "filter=other"}, {"orderBooks", "a=b"},
		{"orderBooks", "filter=spot"}, {"orderBookDetails", "filter=spot"}, {"orderBookDetails", "market_id=00"},
		{"exchangeStats", "a=1"}, {"funding-rates", "market_id=0"}, {"currentHeight", "x"},
		{"recentTrades", ""}, {"recentTrades", "market_id=0"}, {"recentTrades", "market_id=0&limit=0"},
		{"recentTrades", "market_id=0&limit=101"}, {"recentTrades", "market_id=99&limit=1"},
		{"recentTrades", "market_id=0&limit=1&auth=t"}, {"recentTrades", "limit=5&limit=5&market_id=0"},
		{"candles", "market_id=0&resolution=1m&count_back=0"}, {"candles", "market_id=0&resolution=2m&count_back=0" + span},
		{"candles", "market_id=0&resolution=1m&count_back=0" + before}, {"candles", "market_id=0&resolution=1m&count_back=9" + span},
		{"candles", "market_id=0&resolution=1m&count_back=0&set_timestamp_to_end=true" + span},
		{"candles", "market_id=0&resolution=1w&count_back=0" + span}, {"candles", "market_id=0&resolution=1m" + span},
		{"candles", "market_id=0&resolution=1m&count_back=0&start_timestamp=9&end_timestamp=8"},
		{"fundings", "market_id=0&resolution=1d&count_back=1" + span}, {"fundings", "market_id=0&resolution=1h&count_back=1" + before},
		{"orderBookOrders", "market_id=0&limit=5"}, {"account", "by=index&value=1"}, {"", ""},
	}
}

// deliverFundings does what the engine does a minute after each hour.
func (r *nativeRig) deliverFundings(hour time.Time) {
	r.t.Helper()
	c := lighter.NewREST(lighter.RESTOptions{BaseURL: r.rest})
	defer c.Close()
	for _, m := range r.engine.Markets() {
		rows, err := c.Fundings(r.t.Context(), m, model.Millis(hour.UnixMilli()), model.Millis(hour.UnixMilli())+60_000)
		if err != nil || len(rows) != 1 {
			r.t.Fatalf("%d fundings of %s: %v", len(rows), m.Symbol, err)
		}
		e := model.Event{Market: m.ID, Epoch: m.Epoch, Time: rows[0].Time, Recv: model.Micros(r.now().UnixMicro()), Payload: &rows[0]}
		if err := r.engine.Registry().Deliver(r.t.Context(), e); err != nil {
			r.t.Fatal(err)
		}
	}
}
