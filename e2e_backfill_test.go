package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hyperlight/config"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/sim"
	"hyperlight/kv"
)

// tapeRow is a trade as the venue told it when it happened.
type tapeRow struct {
	ID    uint64 `json:"trade_id"`
	Price string `json:"price"`
	Size  string `json:"size"`
	USD   string `json:"usd_amount"`
	Time  int64  `json:"timestamp"`
}

// livedVenue is a venue that traded for a while before anybody listened. Its REST side counts what it is asked.
type livedVenue struct {
	venue
	x *sim.Exchange

	mu    sync.Mutex
	tape  map[string][]tapeRow // by market, ascending
	asked map[string]int       // calls by endpoint
	spent []time.Time          // one entry per unit of weight
}

func startLivedVenue(t *testing.T, past time.Duration, rate float64) *livedVenue {
	t.Helper()
	v := &livedVenue{tape: map[string][]tapeRow{}, asked: map[string]int{}}
	v.x = sim.New(sim.Options{Seed: 31, Markets: 2, Accounts: 100, Rate: rate, Start: time.Now().Add(-past)})
	v.x.Tap(func(channel string, frame []byte) {
		market, ok := strings.CutPrefix(channel, "trade:")
		var f struct {
			Trades      []tapeRow `json:"trades"`
			Liquidation []tapeRow `json:"liquidation_trades"`
		}
		if !ok || json.Unmarshal(frame, &f) != nil {
			return
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		rows := append(f.Trades, f.Liquidation...)
		slices.SortFunc(rows, func(a, b tapeRow) int { return int(a.ID) - int(b.ID) })
		v.tape[market] = append(v.tape[market], rows...)
	})
	v.x.AdvanceBy(past)
	v.venue = startVenue(t, v.x, sim.ServeOptions{})
	target, err := url.Parse(v.rest)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	count := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/api/v1/")
		v.mu.Lock()
		v.asked[name]++
		for range map[string]int{"trades": 2, "recentTrades": 2}[name] - 1 {
			v.spent = append(v.spent, time.Now())
		}
		v.spent = append(v.spent, time.Now())
		v.mu.Unlock()
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(count.Close)
	v.rest = count.URL
	return v
}

// between returns what was traded in [from, to).
func (v *livedVenue) between(market string, from, to int64) (out []tapeRow) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.tape[market] {
		if r.Time >= from && r.Time < to {
			out = append(out, r)
		}
	}
	return out
}

func (v *livedVenue) calls(name string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked[name]
}

// checkBudget fails where any 60 seconds took more weight than allowed.
func (v *livedVenue) checkBudget(t *testing.T, allowed int) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, from := 0, 0; i < len(v.spent); i++ {
		for v.spent[i].Sub(v.spent[from]) >= rollingMinute {
			from++
		}
		if i-from+1 > allowed {
			t.Fatalf("the venue was asked for a weight of %d in a minute, allowed are %d", i-from+1, allowed)
		}
	}
}

type byTime struct {
	Trades   []map[string]any
	Coverage struct {
		Start, End *int64
		Complete   bool
	}
}

// tradesBetween walks /trades/by-time and compares what it gives with the venue's own tape.
func (a *appliance) tradesBetween(v *livedVenue, market string, from, to int64) {
	a.t.Helper()
	want := v.between(market, from, to)
	if len(want) < 50 {
		a.t.Fatalf("the venue traded %d times only", len(want))
	}
	query := fmt.Sprintf("/api/v1/trades/by-time?market_id=%s&start=%d&end=%d&limit=1000", market, from, to)
	at, cursor := 0, ""
	for {
		var page byTime
		ans := a.get(query+cursor, &page)
		if !page.Coverage.Complete || *page.Coverage.Start != from || *page.Coverage.End != to {
			a.t.Fatalf("coverage of [%d, %d) is %v", from, to, page.Coverage)
		}
		for _, got := range page.Trades {
			if at == len(want) {
				a.t.Fatalf("more than the %d trades of the venue", len(want))
			}
			w := want[at]
			if uint64(got["trade_id"].(float64)) != w.ID || got["price"] != w.Price || got["size"] != w.Size ||
				got["usd_amount"] != w.USD || int64(got["timestamp"].(float64)) != w.Time {
				a.t.Fatalf("trade %d is %v, the venue's %+v", at, got, w)
			}
			at++
		}
		if ans.Meta.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(ans.Meta.NextCursor)
	}
	if at != len(want) {
		a.t.Fatalf("%d trades of the venue's %d", at, len(want))
	}
}

// backfillConfig follows a venue with a budget that is felt, and fetches nothing without being asked.
func backfillConfig(dir string, v *livedVenue, budget int) *config.Config {
	c := applianceConfig(dir, v.venue)
	c.Backfill = config.Backfill{Enabled: true}
	c.Venues.Lighter.RESTBudgetPerMinute = budget
	return c
}

// A server that starts late gives the trades, candles and fundings of the time before it, exactly and told as complete, and
// stays within the venue's limit while it fetches them.
func TestBackfillOnDemand(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const budget = 200
	v := startLivedVenue(t, 100*time.Minute, 60)
	dir := t.TempDir()
	a := startAppliance(t, backfillConfig(dir, v, budget))
	a.waitSynced(2)
	now := time.Now().UnixMilli() / 60_000 * 60_000
	before := v.calls("trades")
	a.tradesBetween(v, "0", now-20*60_000, now-5*60_000)
	asked := v.calls("trades")
	if asked == before {
		t.Fatal("the venue was not asked")
	}
	a.tradesBetween(v, "0", now-19*60_000, now-6*60_000)
	if again := v.calls("trades"); again != asked {
		t.Fatalf("what is held was asked for again, %d calls", again-asked)
	}

	// Candles of a time whose trades are not held are the venue's own; one inside what was filled counts its trades.
	var answer struct {
		Candles []struct {
			Timestamp                      int64
			Open, High, Low, Close, Volume string
			QuoteVolume                    string  `json:"quote_volume"`
			TradeCount                     *uint64 `json:"trade_count"`
			LastID                         uint64  `json:"last_trade_id"`
			Closed                         bool
		}
		Coverage struct{ Complete bool }
	}
	from, to := now-80*60_000, now-6*60_000
	a.get(fmt.Sprintf("/api/v1/candles?market_id=0&resolution=1m&start=%d&end=%d", from, to), &answer)
	want := naiveCandles(t, v.between("0", from, to), 60_000)
	if len(answer.Candles) != len(want) || !answer.Coverage.Complete {
		t.Fatalf("%d candles of %d, complete %v", len(answer.Candles), len(want), answer.Coverage.Complete)
	}
	for i, got := range answer.Candles {
		w := want[i]
		if got.Timestamp != w.start || got.Open != w.open || got.Close != w.close || got.High != w.high || got.Low != w.low ||
			got.Volume != w.volume || got.QuoteVolume != w.quote || got.LastID != w.last || !got.Closed {
			t.Fatalf("candle %d is %+v, traded was %+v", i, got, w)
		}
		counted := got.TradeCount != nil
		if counted && *got.TradeCount != w.count || !counted && got.Timestamp >= now-20*60_000 || counted && got.Timestamp < now-40*60_000 {
			t.Fatalf("candle %d of %d trades counts %v", i, w.count, got.TradeCount)
		}
	}
	v.checkBudget(t, budget)
	a.stop()
}

type naiveCandle struct {
	start                                 int64
	open, high, low, close, volume, quote string
	count, last                           uint64
}

// naiveCandles makes candles of trades with nothing but decimals.
func naiveCandles(t *testing.T, rows []tapeRow, length int64) (out []naiveCandle) {
	t.Helper()
	parse := func(s string) num.Decimal {
		d, err := num.ParseDecimal([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var volume, quote num.Decimal
	for _, r := range rows {
		if n := len(out); n == 0 || out[n-1].start != r.Time/length*length {
			out = append(out, naiveCandle{start: r.Time / length * length, open: r.Price, high: r.Price, low: r.Price})
			volume, quote = num.Decimal{Scale: parse(r.Size).Scale}, num.Decimal{Scale: num.USDScale}
		}
		c := &out[len(out)-1]
		if parse(r.Price).Cmp(parse(c.high)) > 0 {
			c.high = r.Price
		}
		if parse(r.Price).Cmp(parse(c.low)) < 0 {
			c.low = r.Price
		}
		volume.Mant += parse(r.Size).Mant
		quote.Mant += parse(r.USD).Mant
		c.close, c.volume, c.quote, c.last = r.Price, volume.String(), quote.String(), r.ID
		c.count++
	}
	return out
}

// What nobody asks for is fetched too, newest first and down to its depth; a restart in the middle goes on where the last
// page was stored, and no page is fetched twice.
func TestBackfillResumes(t *testing.T) {
	t.Parallel() // it waits
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const budget = 90
	v := startLivedVenue(t, 70*time.Minute, 60)
	dir := t.TempDir()
	cfg := backfillConfig(dir, v, budget)
	cfg.Backfill.TradesDepth, cfg.Backfill.FundingDepth = config.Duration(time.Hour), config.Duration(30*24*time.Hour)
	cfg.Venues.Lighter.Markets = config.Markets{0}
	a := startAppliance(t, cfg)
	waitFor(t, time.Minute, func() bool { return v.calls("trades") >= 3 }, func() string { return "nothing is fetched" })
	a.stop()
	first := v.calls("trades")
	began := time.Now().UnixMilli()

	cfg.Venues.Lighter.RESTBudgetPerMinute = 3 * budget
	a = startAppliance(t, cfg)
	depth := time.Now().Add(-59 * time.Minute).UnixMilli()
	done := func() bool {
		time.Sleep(200 * time.Millisecond)
		// Coverage is only told: asking for the trades themselves would have them fetched.
		var held struct {
			Kinds []struct {
				Kind      string
				Intervals []struct{ Start, End int64 }
			}
		}
		a.get(fmt.Sprintf("/api/v1/data-quality/coverage?market_id=0&start=%d&end=%d", depth, began-1000), &held)
		for _, k := range held.Kinds {
			if k.Kind == model.KindTrades.String() {
				return len(k.Intervals) == 1 && k.Intervals[0].Start <= depth && k.Intervals[0].End >= began-2000
			}
		}
		return false
	}
	waitFor(t, 3*time.Minute, done, func() string { return fmt.Sprintf("not whole after %d calls", v.calls("trades")) })
	a.tradesBetween(v, "0", depth, began-1000)
	rows := len(v.between("0", depth, time.Now().UnixMilli()))
	// One page for what the stop took, one at each end, and those that were stored before it are not asked for again.
	if all := v.calls("trades"); all > rows/100+6 {
		t.Errorf("%d calls, %d of them before the restart, for %d trades", all, first, rows)
	}
	v.checkBudget(t, 3*budget)
	a.stop()

	store, err := kv.Open(kv.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	reader := history.NewReader(store, func(model.MarketID) (*model.Market, bool) { return nil, false })
	settled := 0
	for f, err := range reader.Fundings(t.Context(), 0, history.Span{To: 1 << 50}) {
		if err != nil || f.Time%3_600_000 != 0 {
			t.Fatal(f, err)
		}
		settled++
	}
	held, err := reader.Coverage(t.Context(), model.KindFunding, 0, history.Span{To: 1 << 50})
	if err != nil || len(held) != 1 || settled < 2 || held[0].To-held[0].From != model.Micros(settled)*3_600_000_000 {
		t.Errorf("%d settled rows, held are %v: %v", settled, held, err)
	}
}
