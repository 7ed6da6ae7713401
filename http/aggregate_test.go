package http

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// naiveSums are a bucket's sums by definition, in big integers.
type naiveSums struct {
	at                     model.Millis
	open, high, low, close num.Price
	volume, buys, quote    int64
	notional               big.Int
	count                  int
	firstID, lastID        uint64
}

func (s *naiveSums) add(t *model.Trade) {
	if s.count == 0 {
		s.open, s.high, s.low, s.close, s.firstID, s.lastID = t.Price, t.Price, t.Price, t.Price, t.ID, t.ID
	}
	if t.ID < s.firstID {
		s.firstID, s.open = t.ID, t.Price
	}
	if t.ID > s.lastID {
		s.lastID, s.close = t.ID, t.Price
	}
	s.high, s.low = max(s.high, t.Price), min(s.low, t.Price)
	s.volume += int64(t.Size)
	if t.TakerBuys() {
		s.buys += int64(t.Size)
	}
	s.quote += int64(t.USD)
	s.notional.Add(&s.notional, new(big.Int).Mul(big.NewInt(int64(t.Price)), big.NewInt(int64(t.Size))))
	s.count++
}

func text(mant int64, scale uint8) string { return string(num.Append(nil, mant, scale)) }

// sums renders what the answer has in common for buckets and for the summary. A price has 2 decimals and a size 4, so the
// average has to be brought from 2 decimals to 8.
func (s *naiveSums) sums() string {
	if s.count == 0 {
		return "<nil> 0.0000 0.000000 0.0000 0.0000 0"
	}
	q, r := new(big.Int).QuoRem(new(big.Int).Mul(&s.notional, big.NewInt(2_000_000)), big.NewInt(s.volume), new(big.Int))
	odd := q.Bit(0) == 1 // twice the average
	q.Rsh(q, 1)
	if odd && (r.Sign() != 0 || q.Bit(0) == 1) {
		q.Add(q, big.NewInt(1))
	}
	return fmt.Sprint(string(num.AppendTrim(nil, q.Int64(), 8)), " ", text(s.volume, 4), " ", text(s.quote, 6), " ", text(s.buys, 4), " ", text(s.volume-s.buys, 4), " ", s.count)
}

func (s *naiveSums) String() string {
	if s.count == 0 {
		return fmt.Sprint(s.at, " <nil> <nil> <nil> <nil> ", s.sums())
	}
	return fmt.Sprint(s.at, " ", text(int64(s.open), 2), " ", text(int64(s.high), 2), " ", text(int64(s.low), 2), " ", text(int64(s.close), 2), " ", s.sums())
}

func sentSums(r map[string]any) string {
	return fmt.Sprint(r["vwap"], " ", r["volume"], " ", r["quote_volume"], " ", r["buy_volume"], " ", r["sell_volume"], " ", r["trade_count"])
}

func sentAggregates(e envelope) []string {
	var out []string
	for _, r := range e.list("aggregates") {
		out = append(out, fmt.Sprint(r["timestamp"], " ", r["open"], " ", r["high"], " ", r["low"], " ", r["close"], " ", sentSums(r)))
	}
	return out
}

// calendarStart finds the bucket of a moment by counting days, never by arithmetic on weeks since the epoch.
func calendarStart(t model.Millis, n int64, unit byte) model.Millis {
	at := time.UnixMilli(int64(t)).UTC()
	switch unit {
	case 'w':
		monday := time.Date(1970, 1, 5, 0, 0, 0, 0, time.UTC)
		for next := monday.AddDate(0, 0, 7*int(n)); !next.After(at); next = next.AddDate(0, 0, 7*int(n)) {
			monday = next
		}
		return model.Millis(monday.UnixMilli())
	case 'd':
		days := at.Unix() / 86_400
		return model.Millis((days - days%n) * 86_400_000)
	}
	step := n * map[byte]int64{'s': 1, 'm': 60, 'h': 3600}[unit]
	return model.Millis((at.Unix() - at.Unix()%step) * 1000)
}

// Checklist 81, 82: any interval, range, order and page shows what the trades themselves come to, and the summary is that of
// the whole range.
func TestAggregatesEqualTrades(t *testing.T) {
	f := newFixture(t, testOptions{})
	f.history.held[0] = []history.Interval{{From: 0, To: testNow.Micros()}}
	rapid.Check(t, func(t *rapid.T) {
		length := model.Millis(rapid.SampledFrom([]int64{60_000, 3_600_000, int64(3 * day), int64(100 * day)}).Draw(t, "length"))
		from := testNow - length + model.Millis(rapid.IntRange(0, 999).Draw(t, "odd"))
		to := from + model.Millis(rapid.Int64Range(1, int64(testNow-from)).Draw(t, "to"))
		f.history.mu.Lock()
		f.history.trades = nil
		f.history.mu.Unlock()
		var trades []model.Trade
		for i := range rapid.IntRange(0, 60).Draw(t, "trades") {
			at := from - 1000 + model.Millis(rapid.Int64Range(0, int64(length)).Draw(t, "at"))
			tr := trade(uint64(i), at, text(rapid.Int64Range(1, 10_000_000).Draw(t, "price"), 2), text(rapid.Int64Range(1, 10_000_000).Draw(t, "size"), 4), rapid.Bool().Draw(t, "buy"))
			trades = append(trades, tr)
		}
		f.history.add(0, slices.Clone(trades)...)
		unit := rapid.SampledFrom([]byte{'s', 'm', 'h', 'd', 'w'}).Draw(t, "unit")
		most := map[byte]int64{'s': 5000, 'm': 3000, 'h': 600, 'd': 28, 'w': 4}[unit]
		n := rapid.Int64Range(1, most).Draw(t, "n")
		fill, descending := rapid.Bool().Draw(t, "fill"), rapid.Bool().Draw(t, "descending")

		first, last := calendarStart(from, n, unit), calendarStart(to-1, n, unit)
		step := map[byte]model.Millis{'s': 1000, 'm': 60_000, 'h': 3_600_000, 'd': day, 'w': 7 * day}[unit] * model.Millis(n)
		path := fmt.Sprintf("/api/v1/trades/aggregate?market_id=0&start=%d&end=%d&interval=%d%c&fill=%t", from, to, n, unit, fill)
		if (last-first)/step >= maxBuckets {
			if got := f.failure(t, path); got != "400 bad_request start" {
				t.Fatalf("%s: got %s", path, got)
			}
			return
		}
		if (last-first)/step > 2000 {
			t.Skip("many pages")
		}
		buckets := map[model.Millis]*naiveSums{}
		total := naiveSums{}
		for i := range trades {
			tr := &trades[i]
			if tr.Time < from || tr.Time >= to {
				continue
			}
			total.add(tr)
			at := calendarStart(tr.Time, n, unit)
			if buckets[at] == nil {
				buckets[at] = &naiveSums{at: at}
			}
			buckets[at].add(tr)
		}
		var want []string
		for at := first; at <= last; at += step {
			if b := buckets[at]; b != nil {
				want = append(want, b.String())
			} else if fill {
				want = append(want, (&naiveSums{at: at}).String())
			}
		}
		order := "asc"
		if descending {
			order = "desc"
			slices.Reverse(want)
		}
		var got []string
		cursor := ""
		for {
			limit := rapid.SampledFrom([]int{1, 7, 500, 5000}).Draw(t, "limit")
			if fill {
				limit = max(limit, 500)
			}
			status, e := f.get(t, fmt.Sprintf("%s&order=%s&limit=%d%s", path, order, limit, cursor))
			if status != 200 {
				t.Fatalf("%s: %d", path, status)
			}
			if e.Meta.Total.String() != strconv.Itoa(len(want)) {
				t.Fatalf("%s: total is %s, want %d", path, e.Meta.Total, len(want))
			}
			if sum := sentSums(e.Data["summary"].(map[string]any)); sum != total.sums() {
				t.Fatalf("%s: summary\n got %s\nwant %s", path, sum, total.sums())
			}
			got = append(got, sentAggregates(e)...)
			if e.Meta.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + e.Meta.NextCursor
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s order %s\n got %q\nwant %q", path, order, got, want)
		}
		if offset := rapid.IntRange(0, 5).Draw(t, "offset"); offset < len(want) {
			_, e := f.get(t, fmt.Sprintf("%s&order=%s&limit=1&offset=%d", path, order, offset))
			if got := sentAggregates(e); len(got) != 1 || got[0] != want[offset] {
				t.Fatalf("offset %d: got %v, want %s", offset, got, want[offset])
			}
		}
	})
}

func TestAggregates(t *testing.T) {
	f := newFixture(t, testOptions{})
	const path = "/api/v1/trades/aggregate?market_id=0"
	// Held: 200 s ago to 120 s ago, and from 110 s ago; minutes from 6 minutes ago.
	_, e := f.get(t, fmt.Sprintf("%s&interval=1m&fill=true&start=%d", path, testNow-360_000))
	if got := strings.Join(e.column("aggregates", "trade_count"), " "); got != "null null 1 1 2 1" {
		t.Errorf("what is not held: got %s", got)
	}
	f.history.held[0] = []history.Interval{{From: 0, To: testNow.Micros() - 900_000}}
	_, e = f.get(t, fmt.Sprintf("%s&interval=1m&fill=true&start=%d&end=%d", path, testNow-360_000, testNow+120_000))
	if got := strings.Join(e.column("aggregates", "trade_count"), " "); got != "0 0 1 1 2 1 null null" {
		t.Errorf("the future is nothing that is known: got %s", got)
	}
	// Without a start the running four weeks are there, and count what lies before the day.
	f.history.add(0, trade(1, testNow-3*day, "3000.00", "1", true))
	_, e = f.get(t, path+"&interval=4w")
	if got := e.column("aggregates", "trade_count"); len(got) != 1 || got[0] != "6" {
		t.Errorf("4w: got %v", got)
	}
	for query, want := range map[string]string{
		"?interval=1h":                                   "400 bad_request market_id",
		"?market_id=9":                                   "404 not_found market_id",
		"?market_id=0&interval=5w":                       "400 bad_request interval",
		"?market_id=0&interval=29d":                      "400 bad_request interval",
		"?market_id=0&interval=0s":                       "400 bad_request interval",
		"?market_id=0&interval=-1s":                      "400 bad_request interval",
		"?market_id=0&interval=1":                        "400 bad_request interval",
		"?market_id=0&interval=s":                        "400 bad_request interval",
		"?market_id=0&interval=":                         "400 bad_request interval",
		"?market_id=0&interval=1M":                       "400 bad_request interval",
		"?market_id=0&interval=1.5h":                     "400 bad_request interval",
		"?market_id=0&interval=01h":                      "400 bad_request interval",
		"?market_id=0&interval=99999999999999999999s":    "400 bad_request interval",
		"?market_id=0&interval=1s&start=2024-01-30":      "400 bad_request start",
		"?market_id=0&interval=4w&limit=x":               "400 bad_request limit",
		"?market_id=0&interval=2419200s&cursor=AQAAAY1h": "400 bad_request cursor",
	} {
		if got := f.failure(t, "/api/v1/trades/aggregate"+query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	// The most buckets there may be, and one more.
	for count, want := range map[int]int{maxBuckets: 200, maxBuckets + 1: 400} {
		if r := f.do(t, "GET", fmt.Sprintf("%s&interval=1s&limit=1&start=%d&end=%d", path, testNow-model.Millis(count)*1000, testNow)); r.Status != want {
			t.Errorf("%d buckets: got %d %.200s", count, r.Status, r.Body)
		}
	}
	f.history.trades = nil
	_, e = f.get(t, fmt.Sprintf("%s&start=%d", path, testNow-60_000))
	if got := sentSums(e.Data["summary"].(map[string]any)); got != "<nil> 0.0000 0.000000 0.0000 0.0000 0" {
		t.Errorf("nothing was traded: got %s", got)
	}
	f.history.held[0] = nil
	_, e = f.get(t, fmt.Sprintf("%s&start=%d", path, testNow-60_000))
	if got := sentSums(e.Data["summary"].(map[string]any)); got != "<nil> <nil> <nil> <nil> <nil> <nil>" {
		t.Errorf("nothing is known: got %s", got)
	}
}

// A walk by cursor while trades are added shows every bucket once.
func TestAggregateCursorWalk(t *testing.T) {
	f := newFixture(t, testOptions{})
	id := uint64(50_000)
	rapid.Check(t, func(t *rapid.T) {
		f.history.mu.Lock()
		f.history.trades = nil
		f.history.mu.Unlock()
		add := func() {
			id++
			f.history.add(0, trade(id, testNow-model.Millis(rapid.IntRange(1, 30_000).Draw(t, "ago")), "3200.00", "1", true))
		}
		for range rapid.IntRange(1, 40).Draw(t, "trades") {
			add()
		}
		path := "/api/v1/trades/aggregate?market_id=0&interval=1s&order=" + rapid.SampledFrom([]string{"asc", "desc"}).Draw(t, "order")
		_, e := f.get(t, path)
		before := e.column("aggregates", "timestamp")
		var walked []string
		for cursor := ""; ; {
			_, e := f.get(t, path+"&limit="+strconv.Itoa(rapid.IntRange(1, 5).Draw(t, "limit"))+cursor)
			walked = append(walked, e.column("aggregates", "timestamp")...)
			if e.Meta.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + e.Meta.NextCursor
			if rapid.Bool().Draw(t, "add") {
				add()
			}
		}
		if len(slices.Compact(slices.Sorted(slices.Values(walked)))) != len(walked) {
			t.Fatalf("a bucket came twice: %v", walked)
		}
		for _, at := range before {
			if !slices.Contains(walked, at) {
				t.Fatalf("%s was there when the walk began, and is missing: %v", at, walked)
			}
		}
	})
}
