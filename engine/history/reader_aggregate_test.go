package history

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// naiveAggregate is an aggregate by definition: in big rationals, of trades by their ids.
type naiveAggregate struct {
	start                         model.Millis
	open, high, low, close        *big.Rat
	volume, buys, quote, notional *big.Rat
	trades, firstID, lastID       uint64
}

func rat(mant int64, scale uint8) *big.Rat { return big.NewRat(mant, num.Pow10(scale)) }

// naiveAggregates sums the trades of a span into buckets that are found by the calendar.
func naiveAggregates(trades []model.Trade, m *model.Market, start func(model.Millis) model.Millis) map[model.Millis]*naiveAggregate {
	out := map[model.Millis]*naiveAggregate{}
	for _, t := range trades {
		ps, ss := m.ScaleAt(t.Epoch)
		p, s := rat(int64(t.Price), ps), rat(int64(t.Size), ss)
		at := start(t.Time)
		a := out[at]
		if a == nil {
			a = &naiveAggregate{start: at, open: p, high: p, low: p, close: p, volume: new(big.Rat), buys: new(big.Rat),
				quote: new(big.Rat), notional: new(big.Rat), firstID: t.ID, lastID: t.ID}
			out[at] = a
		}
		if t.ID < a.firstID {
			a.firstID, a.open = t.ID, p
		}
		if t.ID > a.lastID {
			a.lastID, a.close = t.ID, p
		}
		if p.Cmp(a.high) > 0 {
			a.high = p
		}
		if p.Cmp(a.low) < 0 {
			a.low = p
		}
		a.volume.Add(a.volume, s)
		if t.TakerBuys() {
			a.buys.Add(a.buys, s)
		}
		a.quote.Add(a.quote, rat(int64(t.USD), num.USDScale))
		a.notional.Add(a.notional, new(big.Rat).Mul(p, s))
		a.trades++
	}
	return out
}

func (a *naiveAggregate) same(t testing.TB, have *Aggregate, m *model.Market) {
	t.Helper()
	ps, ss := m.ScaleAt(have.Epoch)
	for name, v := range map[string][2]*big.Rat{
		"open": {rat(int64(have.Open), ps), a.open}, "high": {rat(int64(have.High), ps), a.high},
		"low": {rat(int64(have.Low), ps), a.low}, "close": {rat(int64(have.Close), ps), a.close},
		"volume": {rat(int64(have.Volume), ss), a.volume}, "buy volume": {rat(int64(have.BuyVolume), ss), a.buys},
		"quote volume": {rat(int64(have.QuoteVolume), num.USDScale), a.quote},
	} {
		if v[0].Cmp(v[1]) != 0 {
			t.Fatalf("%s of %d is %s, want %s", name, a.start, v[0].FloatString(10), v[1].FloatString(10))
		}
	}
	if have.Trades != a.trades || have.FirstID != a.firstID || have.LastID != a.lastID || have.Time != a.start {
		t.Fatalf("have %+v, want %+v", have, a)
	}
	vwap, ok := have.VWAP(m, 8)
	if a.volume.Sign() == 0 {
		if ok {
			t.Fatalf("an average of nothing: %s", vwap)
		}
		return
	}
	if want := roundRat(new(big.Rat).Quo(a.notional, a.volume), 8); !ok || vwap.String() != want {
		t.Fatalf("vwap of %d is %s, want %s", a.start, vwap, want)
	}
}

// roundRat rounds half-even.
func roundRat(r *big.Rat, places int64) string {
	up := new(big.Int).Exp(big.NewInt(10), big.NewInt(places), nil)
	twice := new(big.Int).Mul(new(big.Int).Mul(r.Num(), up), big.NewInt(2))
	q, rem := new(big.Int).QuoRem(twice, r.Denom(), new(big.Int)) // twice the result, truncated
	odd := q.Bit(0) == 1
	q.Rsh(q, 1)
	if odd && (rem.Sign() != 0 || q.Bit(0) == 1) {
		q.Add(q, big.NewInt(1))
	}
	return num.Decimal{Mant: q.Int64(), Scale: uint8(places)}.String()
}

// naiveStart opens a bucket by counting them up from the first one.
func naiveStart(g Grid) func(model.Millis) model.Millis {
	return func(t model.Millis) model.Millis { return g.Origin + (t-g.Origin)/g.Length*g.Length } // t is past the origin
}

var testGrids = []Grid{{Length: 1000}, {Length: 7000}, {Length: 60_000}, {Length: 13 * 60_000}, {Length: 3_600_000}, {Length: 5 * 3_600_000},
	{Length: 86_400_000}, {Length: 3 * 86_400_000}, {Length: 7 * 86_400_000, Origin: 4 * 86_400_000}, {Length: 28 * 86_400_000, Origin: 4 * 86_400_000}}

func (g *rig) compareAggregates(n *naiveMarket) {
	g.t.Helper()
	for range 6 {
		grid, sp, reverse := testGrids[g.rnd.IntN(len(testGrids))], g.span(), g.rnd.IntN(2) == 0
		if g.rnd.IntN(2) == 0 {
			grid = Grid{Length: model.Millis(1+g.rnd.Int64N(5000)) * 1000}
		}
		want := naiveAggregates(n.sortedTrades(sp), n.m, naiveStart(grid))
		seen, last := 0, model.Millis(0)
		for a, err := range g.r.Aggregates(g.t.Context(), n.m.ID, grid, sp, reverse) {
			if err != nil {
				g.t.Fatal(err)
			}
			w := want[a.Time]
			if w == nil || seen > 0 && (a.Time < last) != reverse {
				g.t.Fatalf("aggregate of %d after %d, reverse %t, want one of %v", a.Time, last, reverse, want)
			}
			w.same(g.t, &a, n.m)
			last = a.Time
			seen++
		}
		if seen != len(want) {
			g.t.Fatalf("%d aggregates of %d, grid %v, span %v, reverse %t", seen, len(want), grid, sp, reverse)
		}
	}
}

// Sums agree with arbitrary precision whatever the scales do, and whatever order pieces are merged in.
func TestMergedAggregates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model.Market{ID: 3, PriceScale: 4, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}, {Price: 4, Size: 4}, {Price: 4, Size: 6}, {Price: 3, Size: 6}}}
		var trades []model.Trade
		var parts [3]Aggregate
		for i := range rapid.IntRange(1, 20).Draw(t, "trades") {
			epoch := uint8(rapid.IntRange(0, 3).Draw(t, "epoch"))
			// On the scale that has fewer digits again, prices are ones that it can write.
			p := num.Price(rapid.Int64Range(1, 1_000_000).Draw(t, "price"))
			if epoch == 1 || epoch == 2 {
				p *= 10
			}
			tr := model.Trade{ID: uint64(rapid.IntRange(0, 1).Draw(t, "twice"))*1000 + uint64(i), Epoch: epoch, Price: p, Size: num.Size(rapid.Int64Range(1, 1<<30).Draw(t, "size")) * 100,
				USD: num.USD(rapid.Int64Range(0, 1<<40).Draw(t, "usd")), MakerAsk: rapid.Bool().Draw(t, "buy")}
			trades = append(trades, tr)
			if err := AddToAggregate(&parts[rapid.IntRange(0, 2).Draw(t, "part")], &tr, m); err != nil {
				t.Fatal(err)
			}
		}
		sum := Aggregate{}
		for _, i := range rapid.Permutation([]int{0, 1, 2}).Draw(t, "order") {
			if err := MergeAggregate(&sum, &parts[i], m); err != nil {
				t.Fatal(err)
			}
		}
		want := naiveAggregates(trades, m, func(model.Millis) model.Millis { return 0 })[0]
		want.same(rapidTB{t: t}, &sum, m)
	})
	m := &model.Market{ID: 3, Scales: []model.Scale{{Price: 2, Size: 4}, {Price: 4, Size: 2}}}
	var a Aggregate
	if err := AddToAggregate(&a, &model.Trade{ID: 1, Price: 1, Size: 1}, m); err != nil {
		t.Fatal(err)
	}
	if err := AddToAggregate(&a, &model.Trade{ID: 2, Epoch: 1, Price: 1, Size: 1}, m); !errors.Is(err, num.ErrScale) {
		t.Errorf("neither scale holds the other's digits: %v", err)
	}
}

// rapidTB is a property's test where a testing.TB is wanted.
type rapidTB struct {
	testing.TB
	t *rapid.T
}

func (r rapidTB) Helper()                           { r.t.Helper() }
func (r rapidTB) Fatalf(format string, args ...any) { r.t.Fatalf(format, args...) }

// A grid's buckets agree with the calendar, before its origin too.
func TestGrid(t *testing.T) {
	week := Grid{Length: 7 * 86_400_000, Origin: 4 * 86_400_000}
	for _, at := range []time.Time{time.UnixMilli(0), time.UnixMilli(4*86_400_000 - 1), time.UnixMilli(4 * 86_400_000), time.Date(2024, 2, 1, 12, 0, 0, 0, time.UTC)} {
		day := at.UTC().Truncate(24 * time.Hour)
		for day.Weekday() != time.Monday {
			day = day.AddDate(0, 0, -1)
		}
		if got := week.Start(model.Millis(at.UnixMilli())); got != model.Millis(day.UnixMilli()) {
			t.Errorf("%s: the week opens at %d, want %s", at, got, day)
		}
	}
}

// A day of 100,000 trades in one market, as bars of a minute and as one sum.
func BenchmarkAggregates(b *testing.B) {
	store, _ := benchStore(b)
	w, stop := benchWriter(b, store)
	feed := &benchFeed{rnd: rand.New(rand.NewPCG(1, 1))}
	dayStart := model.Millis(time.Date(2025, 10, 9, 0, 0, 0, 0, time.UTC).UnixMilli())
	const trades = 100_000
	rows := make([]model.Trade, 0, trades)
	for i := range trades {
		rows = append(rows, feed.trade(dayStart+model.Millis(int64(i)*86_400_000/trades)))
	}
	for part := range slices.Chunk(rows, 1000) {
		w.OnEvent(&model.Event{Market: 0, Recv: part[len(part)-1].Recv, Payload: &model.TradeBatch{Rows: part}}, nil)
		mustFlush(b, w)
	}
	defer stop()
	m := &model.Market{ID: 0, PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}}
	r := NewReader(store, only(m))
	sp := Span{From: dayStart, To: dayStart + 86_400_000}
	for _, form := range []string{"hot", "sealed"} {
		if form == "sealed" {
			if err := w.SealNow(b.Context(), time.UnixMilli(int64(sp.To)).Add(48*time.Hour)); err != nil {
				b.Fatal(err)
			}
		}
		for name, grid := range map[string]Grid{"1m": {Length: 60_000}, "1d": {Length: 86_400_000}, "1s": {Length: 1000}} {
			b.Run(form+"/"+name, func(b *testing.B) {
				for b.Loop() {
					var n uint64
					for a, err := range r.Aggregates(b.Context(), 0, grid, sp, false) {
						if err != nil {
							b.Fatal(err)
						}
						n += a.Trades
					}
					if n != trades {
						b.Fatalf("%d trades", n)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/trades, "ns/trade")
			})
		}
	}
}
