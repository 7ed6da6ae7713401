package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"hyperlight/engine"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/past"
	"hyperlight/engine/record"
)

var (
	sizeDigit  = regexp.MustCompile(`"(size|mark_price|index_price|last_trade_price|current_funding_rate|usd_amount)":"(\d)`)
	tradeDigit = regexp.MustCompile(`"(trade_id|block_height|daily_quote_token_volume)":(\d)`)
)

// alter writes a recording in which everything received from a moment on is other than it was, at the same times: sizes,
// prices, ids and heights, and every second trade frame is missing.
func alter(t testing.TB, path string, cut int64) string {
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
	name := filepath.Join(t.TempDir(), "altered.ndjson")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(out)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	turn := func(re *regexp.Regexp, line []byte) []byte {
		return re.ReplaceAllFunc(line, func(m []byte) []byte {
			m = append([]byte(nil), m...)
			m[len(m)-1] = '1' + (m[len(m)-1]-'0')%9
			return m
		})
	}
	trades := 0
	for lines.Scan() {
		line := lines.Bytes()
		var head struct {
			Recv int64 `json:"recv_us"`
			Msg  struct{ Channel string }
		}
		if err := json.Unmarshal(line, &head); err != nil {
			t.Fatal(err)
		}
		if head.Recv >= cut {
			if len(head.Msg.Channel) > 6 && head.Msg.Channel[:6] == "trade:" {
				if trades++; trades%2 == 0 {
					continue
				}
			}
			line = turn(tradeDigit, turn(sizeDigit, line))
		}
		w.Write(append(line, '\n'))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// openRecord imports files and opens what they give for reading.
func openRecord(t testing.TB, files ...string) *engine.Engine {
	t.Helper()
	dir := t.TempDir()
	importInto(t, dir, files...)
	cfg := applianceConfig(dir, venue{})
	e, err := engine.Open(engine.Options{Store: storeOptions(cfg, func(error) {}), Lighter: cfg.Venues.Lighter, History: cfg.History})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// told is everything that a record tells at a clock, as text.
func told(t testing.TB, e *engine.Engine, at model.Micros) map[string]string {
	t.Helper()
	ctx := context.Background()
	v := past.At(e.History(), e.Registry(), at)
	out := map[string]string{}
	whole := history.Span{From: at.Millis() - 3*86_400_000, To: at.Millis() + 86_400_000}
	for _, name := range []string{"orderBooks", "orderBookDetails", "recentTrades", "candles", "fundings", "funding-rates", "exchangeStats", "currentHeight"} {
		for market := range 2 {
			query := map[string]string{"limit": "100", "resolution": "5m", "count_back": "10", "market_id": strconv.Itoa(market),
				"start_timestamp": strconv.FormatInt(int64(whole.From), 10), "end_timestamp": strconv.FormatInt(int64(whole.To), 10)}
			if name == "fundings" {
				query["resolution"] = "1h"
			}
			status, body, err := v.Native(ctx, name, func(n string) (string, bool) { s, ok := query[n]; return s, ok })
			if err != nil {
				t.Fatal(err)
			}
			out[fmt.Sprint(name, " ", market)] = fmt.Sprintf("%d %s", status, body)
		}
	}
	for id := range model.MarketID(2) {
		text := ""
		n, forced := uint64(0), 0
		market, _ := e.Registry().Get(id)
		grids := []history.Grid{{Length: 1000}, {Length: 7 * 60_000}, {Length: 86_400_000}, {Length: 28 * 86_400_000, Origin: 4 * 86_400_000}}
		sums := make([]map[model.Millis]*history.Aggregate, len(grids)) // of the trades that are seen
		for i := range sums {
			sums[i] = map[model.Millis]*history.Aggregate{}
		}
		for tr, err := range v.Trades(ctx, id, whole, history.TradeQuery{Columns: record.All}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; tr.Recv >= at {
				t.Errorf("trade %d, received at %d, is seen at %d", tr.ID, tr.Recv, at)
			}
			text += fmt.Sprintf("%+v\n", *tr)
			if tr.Forced() {
				forced++
			}
			for i, g := range grids {
				a := sums[i][g.Start(tr.Time)]
				if a == nil {
					a = &history.Aggregate{Candle: record.Candle{Time: g.Start(tr.Time)}}
					sums[i][a.Time] = a
				}
				if err := history.AddToAggregate(a, tr, market); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, g := range grids {
			for _, reverse := range []bool{false, true} {
				told, last := 0, model.Millis(0)
				for a, err := range v.Aggregates(ctx, id, g, whole, reverse) {
					if err != nil {
						t.Fatal(err)
					}
					if want := sums[i][a.Time]; want == nil || a != *want {
						t.Errorf("bucket %d of %v at %d is %+v, its trades come to %+v", a.Time, g, at, a, want)
					}
					if told > 0 && (a.Time < last) != reverse {
						t.Errorf("bucket %d follows %d, reverse %t", a.Time, last, reverse)
					}
					told, last = told+1, a.Time
				}
				if told != len(sums[i]) {
					t.Errorf("%d buckets of %v at %d, want %d", told, g, at, len(sums[i]))
				}
			}
		}
		for tr, err := range v.Liquidations(ctx, whole, false) {
			if err != nil {
				t.Fatal(err)
			}
			if tr.Market == id {
				forced--
			}
		}
		if forced != 0 {
			t.Errorf("%d forced trades are seen and not listed", forced)
		}
		out[fmt.Sprint("trades ", id)] = text
		if counted, exact, err := v.CountTrades(ctx, id, whole); err != nil || !exact || counted != n {
			t.Errorf("%d trades are counted, %d are seen, %v", counted, n, err)
		}
		for _, length := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
			for _, reverse := range []bool{false, true} {
				text, sum := "", uint64(0)
				for c, err := range v.Candles(ctx, id, length, history.Span{From: 0, To: whole.To}, reverse) {
					if err != nil {
						t.Fatal(err)
					}
					text += fmt.Sprintf("%+v\n", c)
					sum += c.Trades
				}
				out[fmt.Sprint("candles ", id, length, reverse)] = text
				if sum != n {
					t.Errorf("candles of %v hold %d trades, %d are seen", length, sum, n)
				}
			}
		}
		text = ""
		for s, err := range v.Books(ctx, id, whole, time.Second) {
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("%d %d %d\n", s.At, s.View.Seq, s.View.Recv)
		}
		out[fmt.Sprint("books ", id)] = text
		if b, err := v.BookAt(ctx, id, at+1e9); err == nil {
			out[fmt.Sprint("book ", id)] = fmt.Sprint(b.Append(nil, model.Bid, 0), b.Append(nil, model.Ask, 0), b.Seq, b.Recv)
			if b.Recv >= at {
				t.Errorf("an update received at %d is seen at %d", b.Recv, at)
			}
		} else {
			out[fmt.Sprint("book ", id)] = err.Error()
		}
		for _, kind := range []model.Kind{model.KindBook, model.KindTrades, model.KindStats} {
			held, err := v.Coverage(ctx, kind, id, whole)
			if err != nil {
				t.Fatal(err)
			}
			out[fmt.Sprint("held ", kind, id)] = fmt.Sprint(held)
		}
		rates, err := v.FundingRates(ctx)
		if err != nil {
			t.Fatal(err)
		}
		out["rates"] = fmt.Sprintf("%+v", rates.Rows)
	}
	return out
}

// What is answered at a clock does not depend on what came later: two records that are the same up to a moment, and
// differ in everything after it, answer alike at every clock before it.
func TestPastNeverSeesTheFuture(t *testing.T) {
	path := feedtest.Recording(t, btcEth)
	_, from, to := recordedFrames(t, path)
	from, to = from*1000, to*1000
	r := rand.New(rand.NewPCG(4, 9))
	one := openRecord(t, path)
	told(t, one, model.Micros(to+600e6)) // when all is settled, what is summed up is still what is seen
	cuts, random := 1, 2
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		cuts, random = 4, 16
	}
	for range cuts {
		cut := from + r.Int64N(to-from)/2 + (to-from)/4
		other := openRecord(t, alter(t, path, cut))
		clocks := []int64{cut, from, from + 1, cut - 1}
		for range random {
			clocks = append(clocks, from+r.Int64N(cut-from))
		}
		for _, at := range clocks {
			a, b := told(t, one, model.Micros(at)), told(t, other, model.Micros(at))
			for name := range a {
				if a[name] != b[name] {
					t.Errorf("cut at %d, clock %d: %s is\n%.600s\nwith another future\n%.600s", cut, at, name, a[name], b[name])
				}
			}
		}
		// The two do differ: a clock after the cut tells.
		if a, b := told(t, one, model.Micros(to-500_000)), told(t, other, model.Micros(to-500_000)); a["trades 0"] == b["trades 0"] || a["book 0"] == b["book 0"] {
			t.Errorf("the altered record is no other one: %v %v", a["trades 0"] == b["trades 0"], a["book 0"] == b["book 0"])
		}
	}
}
