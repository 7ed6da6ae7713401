package exchange

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// sumsRig is a record in plain slices that counts how often an hour of a market is read.
type sumsRig struct {
	markets []*model.Market
	trades  map[model.MarketID][]model.Trade // by time
	stats   map[model.MarketID][]history.StatsRow
	held    map[model.MarketID][]history.Interval
	reads   map[string]int
	now     model.Millis
}

func (g *sumsRig) Trades(_ context.Context, m model.MarketID, sp history.Span, _ history.TradeQuery) iter.Seq2[*model.Trade, error] {
	g.reads[fmt.Sprint(m, " ", sp.From)]++
	return func(yield func(*model.Trade, error) bool) {
		for i := range g.trades[m] {
			if t := &g.trades[m][i]; t.Time >= sp.From && t.Time < sp.To && !yield(t, nil) {
				return
			}
		}
	}
}

func (g *sumsRig) Stats(_ context.Context, m model.MarketID, sp history.Span) iter.Seq2[*history.StatsRow, error] {
	return func(yield func(*history.StatsRow, error) bool) {
		for i := range g.stats[m] {
			if r := &g.stats[m][i]; r.Time >= sp.From && r.Time < sp.To && !yield(r, nil) {
				return
			}
		}
	}
}

func (g *sumsRig) Coverage(_ context.Context, _ model.Kind, m model.MarketID, sp history.Span) ([]history.Interval, error) {
	var out []history.Interval
	for _, iv := range g.held[m] {
		if iv.From < sp.To.Micros() && iv.To > sp.From.Micros() {
			out = append(out, history.Interval{From: max(iv.From, sp.From.Micros()), To: min(iv.To, sp.To.Micros())})
		}
	}
	return out, nil
}

// Sums of hours and days equal those recomputed from the trades, are made of what is held whole only, once, also over a
// restart and after a backfill.
func TestSumsAgainstTrades(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	start := model.Millis(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli()) // a Sunday
	const hours = 24 * 10
	end := start + hours*hourMillis
	g := &sumsRig{now: end + 3*minuteMillis, trades: map[model.MarketID][]model.Trade{}, stats: map[model.MarketID][]history.StatsRow{},
		held: map[model.MarketID][]history.Interval{}, reads: map[string]int{}}
	for i := range model.MarketID(3) {
		g.markets = append(g.markets, &model.Market{ID: i, Native: int64(i), Symbol: fmt.Sprint("M", i), Active: i < 2})
		for at := start; at < end; at += model.Millis(r.Int64N(3_000_000)) {
			g.trades[i] = append(g.trades[i], model.Trade{
				ID: uint64(at), Time: at, USD: num.USD(r.Int64N(1_000_000_000_000)), Kind: model.TradeKind(r.IntN(3)),
				TakerFee: int32(r.IntN(300)), MakerFee: int32(r.IntN(100) - 50),
			})
		}
		for at := start; at < end; at += 60_000 {
			g.stats[i] = append(g.stats[i], history.StatsRow{Time: at, Stats: model.Stats{
				Has: model.HasOpenInterest, OpenInterest: num.Decimal{Mant: int64(i+1)*1_000_000_000 + int64(at%1_000_000), Scale: 4}}})
		}
		g.held[i] = []history.Interval{{From: start.Micros(), To: end.Micros()}}
	}
	hole := start + 100*hourMillis + 20*minuteMillis
	g.held[1] = []history.Interval{{From: start.Micros(), To: hole.Micros()}, {From: (hole + hourMillis).Micros(), To: end.Micros()}}
	g.held[2] = nil

	store := kvtest.Open(t)
	open := func() *Sums {
		return NewSums(SumsOptions{Store: store, Record: g, Markets: func() []*model.Market { return g.markets },
			Now: func() time.Time { return time.UnixMilli(int64(g.now)) }})
	}
	drain := func() {
		t.Helper()
		for range 2 * hours {
			if n, err := open().Update(t.Context()); err != nil {
				t.Fatal(err)
			} else if n == 0 {
				return
			}
		}
		t.Fatal("hours are summed again and again")
	}
	check := func(what string) (rows int) {
		t.Helper()
		for _, kind := range Kinds {
			for _, period := range Periods {
				for i := -1; i < len(g.markets); i++ {
					q := MetricsQuery{Kind: kind, Period: period}
					if i >= 0 {
						q.Market = g.markets[i]
					}
					got, _, err := open().Series(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					want := g.naive(q, start, end)
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Fatalf("%s: %s %s of %d:\n got %v\nwant %v", what, kind, period, i, got, want)
					}
					rows += len(got)
				}
			}
		}
		return rows
	}
	drain()
	before := check("with a hole")
	g.held[1] = g.held[0]
	g.now += minuteMillis
	drain()
	if after := check("filled"); after <= before {
		t.Errorf("%d rows with a hole, %d without", before, after)
	}
	for hour, n := range g.reads {
		if n != 1 {
			t.Errorf("market and hour %s was read %d times", hour, n)
		}
	}
	// At a moment of the past there is what had ended two minutes before, and nothing of what has come since.
	for range 300 {
		at := start + model.Millis(r.Int64N(int64(end+4*hourMillis-start)))
		if r.IntN(2) == 0 {
			at = at/hourMillis*hourMillis + sumsDelay - model.Millis(r.IntN(2))
		}
		q := MetricsQuery{Kind: Kinds[r.IntN(len(Kinds))], Period: []string{"h", "d", "w"}[r.IntN(3)]}
		if r.IntN(2) == 0 {
			q.From = start + model.Millis(r.Int64N(int64(at-start)+1))
		}
		if r.IntN(2) == 0 {
			q.To = at + model.Millis(r.Int64N(int64(10*hourMillis))) - 5*hourMillis
		}
		bucket := calendar(q.Period)
		want := slices.DeleteFunc(g.naive(q, start, end), func(m Metric) bool {
			_, ended := next(bucket, m.Time)
			return ended > at-sumsDelay || m.Time < q.From || q.To != 0 && m.Time >= q.To
		})
		got, err := open().SeriesAt(t.Context(), q, at)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%+v at %d (%v):\n got %v\nwant %v", q, at, err, got, want)
		}
	}
	// A range that our own rows fill needs nobody else; one hour more does.
	q := MetricsQuery{Kind: "volume", Period: "h", From: start, To: end}
	if _, whole, err := open().Series(t.Context(), q); err != nil || !whole {
		t.Errorf("a range that is held: %v %v", whole, err)
	}
	q.From -= hourMillis
	if _, whole, _ := open().Series(t.Context(), q); whole {
		t.Error("a range that begins before the record counts as whole")
	}
	q.From, q.To = start, 0
	if _, whole, _ := open().Series(t.Context(), q); whole {
		t.Error("the hour under way counts as whole")
	}
}

// naive recomputes a series from the trades.
func (g *sumsRig) naive(q MetricsQuery, start, end model.Millis) (out []Metric) {
	bucket := map[string]func(t time.Time) (from, to time.Time){
		"h": func(t time.Time) (time.Time, time.Time) { h := t.Truncate(time.Hour); return h, h.Add(time.Hour) },
		"d": func(t time.Time) (time.Time, time.Time) {
			d := t.Truncate(24 * time.Hour)
			return d, d.Add(24 * time.Hour)
		},
		"w": func(t time.Time) (time.Time, time.Time) {
			d := t.Truncate(24 * time.Hour)
			for d.Weekday() != time.Monday {
				d = d.Add(-24 * time.Hour)
			}
			return d, d.Add(7 * 24 * time.Hour)
		},
	}[q.Period]
	if bucket == nil || !ownKind(q.Kind) {
		return nil // months and longer are not whole in ten days
	}
	from, to := bucket(time.UnixMilli(int64(start)).UTC())
	for ; from.UnixMilli() < int64(end); from, to = bucket(to) {
		a, b := model.Millis(from.UnixMilli()), model.Millis(to.UnixMilli())
		value, complete, told := int64(0), a >= start && b <= end, false
		for _, m := range g.markets {
			if q.Market != nil && m != q.Market {
				continue
			}
			if !covers(g.held[m.ID], a, b) {
				complete = complete && q.Market == nil && !m.Active
				continue
			}
			told = true
			for i := range g.trades[m.ID] {
				if t := &g.trades[m.ID][i]; t.Time >= a && t.Time < b {
					value += naiveAmount(q.Kind, t)
				}
			}
			if q.Kind == "open_interest" {
				value += int64(m.ID+1)*100_000_000_000 + 100*(int64(b-60_000)%1_000_000)
			}
		}
		if complete && told {
			out = append(out, Metric{Time: a, Value: num.Decimal{Mant: value, Scale: scaleOf(q.Kind)}, Source: Own})
		}
	}
	return out
}

func naiveAmount(kind string, t *model.Trade) int64 {
	forced := t.Kind != model.KindTrade
	switch {
	case kind == "volume" || kind == "liquidation_volume" && forced:
		return int64(t.USD)
	case kind == "trade_count" || kind == "liquidation_count" && forced:
		return 1
	case kind == "taker_fee" || kind == "maker_fee":
		tick := t.TakerFee
		if kind == "maker_fee" {
			tick = t.MakerFee
		}
		v, _ := fee(t.USD, tick)
		return int64(v)
	}
	return 0
}

func TestFee(t *testing.T) {
	for _, c := range []struct {
		usd  num.USD
		tick int32
		want num.USD
	}{{8_001_250_000, 280, 2_240_350}, {1_500_000, 1, 2}, {2_500_000, 1, 2}, {500_000, 1, 0}, {1_000_000_000, -20, -20_000}, {7, 0, 0}} {
		if got, err := fee(c.usd, c.tick); err != nil || got != c.want {
			t.Errorf("fee of %d at %d: %d %v, want %d", c.usd, c.tick, got, err, c.want)
		}
	}
}

func TestMerge(t *testing.T) {
	at := func(t int64, source Source) Metric {
		return Metric{Time: model.Millis(t), Value: num.Decimal{Mant: t}, Source: source}
	}
	got := Merge(MetricsQuery{From: 2, To: 6}, []Metric{at(5, Venue), at(1, Venue), at(3, Venue), at(6, Venue)}, []Metric{at(3, Own), at(4, Own)})
	if want := []Metric{at(3, Own), at(4, Own), at(5, Venue)}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Merge(MetricsQuery{}, nil, nil); got == nil || len(got) != 0 {
		t.Errorf("nothing and nothing: %v", got)
	}
}

var _ SumsRecord = (*history.Reader)(nil)
var _ Record = (*history.Reader)(nil)
