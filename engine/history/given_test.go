package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

func givenTrade(id uint64, at model.Millis, price int64) *model.Trade {
	return &model.Trade{ID: id, Time: at, Price: num.Price(price), Size: 10, USD: num.USD(price * 10 * 100), Kind: model.KindTrade}
}

// Spans given in any order leave the coverage of their union, and every gap exactly where nothing was given; a gap that is
// filled whole stays as a filled one. After a crash at any point what was acknowledged is held.
func TestGivenCoverage(t *testing.T) {
	seed := testSeed(t)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for range 12 {
		g := newRig(t, kvtest.Open(t), seed, 1)
		const base, seconds = 1_760_000_000_000, 60
		gaps := []Interval{{From: 5, To: 20}, {From: 25, To: 26}, {From: 30, To: 55}}
		batch := g.store.NewBatch()
		at := func(s model.Micros) model.Micros { return base*1000 + s*second }
		for _, gap := range gaps {
			batch.Set(key.Gap(nil, 0, uint8(model.KindTrades), int64(at(gap.From))),
				record.AppendGap(nil, record.Gap{To: at(gap.To), Cause: model.CauseStale}))
		}
		if err := g.store.Commit(batch, kv.Sync); err != nil {
			t.Fatal(err)
		}
		g.start()
		var held [seconds]bool
		known := map[uint64]bool{}
		for range 1 + rnd.IntN(8) {
			from := rnd.IntN(seconds)
			to := from + rnd.IntN(seconds-from+1)
			var rows []*model.Trade
			for s := from; s < to; s++ {
				held[s] = true
				known[uint64(s+1)] = true
				rows = append(rows, givenTrade(uint64(s+1), base+model.Millis(s)*1000+500, int64(100+s)))
			}
			rnd.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
			sp := Span{From: base + model.Millis(from)*1000, To: base + model.Millis(to)*1000}
			if err := g.w.AddTrades(t.Context(), 0, rows, sp); err != nil {
				t.Fatal(err)
			}
			clone := kvtest.CrashClone(t, g.store, rnd.IntN(101))
			verifyGiven(t, clone, g, base, held[:], known, gaps)
			if err := clone.Close(); err != nil {
				t.Fatal(err)
			}
		}
		verifyGiven(t, g.store, g, base, held[:], known, gaps)
		g.stop()
	}
}

func verifyGiven(t *testing.T, store *kv.Store, g *rig, base model.Millis, held []bool, known map[uint64]bool, gaps []Interval) {
	t.Helper()
	r := NewReader(store, g.market)
	span := Span{From: base, To: base + model.Millis(len(held))*1000}
	var want []Interval
	for s, h := range held {
		from := (base + model.Millis(s)*1000).Micros()
		switch n := len(want); {
		case !h:
		case n > 0 && want[n-1].To == from:
			want[n-1].To += second
		default:
			want = append(want, Interval{From: from, To: from + second})
		}
	}
	got, err := r.Coverage(t.Context(), model.KindTrades, 0, span)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("held are %v, want %v: %v", got, want, err)
	}
	ids := map[uint64]bool{}
	for trade, err := range r.Trades(t.Context(), 0, span, TradeQuery{Columns: record.Core}) {
		if err != nil || ids[trade.ID] {
			t.Fatal(trade, err)
		}
		ids[trade.ID] = true
	}
	if len(ids) != len(known) {
		t.Fatalf("%d trades of %d", len(ids), len(known))
	}
	rows, err := r.Gaps(t.Context(), nil, nil, span)
	if err != nil {
		t.Fatal(err)
	}
	open := make([]bool, len(held))
	for _, row := range rows {
		if row.Cause != model.CauseStale {
			t.Fatalf("cause of %+v", row)
		}
		if row.Filled {
			continue
		}
		for at := row.From; at < row.To; at += second {
			open[(at.Millis()-base)/1000] = true
		}
	}
	for _, gap := range gaps {
		whole := true
		for s := gap.From; s < gap.To; s++ {
			whole = whole && held[s]
			if open[s] == held[s] {
				t.Fatalf("second %d: held %v, told as missing %v", s, held[s], open[s])
			}
		}
		at := func(s model.Micros) model.Micros { return base.Micros() + s*second }
		filled := slices.ContainsFunc(rows, func(row GapRow) bool { return row.Filled && row.From >= at(gap.From) && row.To <= at(gap.To) })
		if whole && !filled {
			t.Fatalf("the gap %v is held whole and not told as filled: %v", gap, rows)
		}
	}
}

// A bucket of the API is our own where its trades are held, else the given one; sums with a given one do not count.
func TestGivenCandles(t *testing.T) {
	g := newRig(t, kvtest.Open(t), 1, 1)
	g.start()
	const hour, minute = 3_600_000, 60_000
	base := model.Millis(1_760_000_000_000) / (24 * hour) * (24 * hour)
	var rows []*model.Trade
	for i := range 60 { // the second hour, one trade a minute
		rows = append(rows, givenTrade(uint64(1000+i), base+hour+model.Millis(i)*minute, int64(500+i)))
	}
	// Of the third hour one trade is there, and it is not held.
	rows = append(rows, givenTrade(2000, base+2*hour+10*minute, 9999))
	if err := g.w.AddTrades(t.Context(), 0, rows, Span{From: base + hour, To: base + 2*hour}); err != nil {
		t.Fatal(err)
	}
	var given []model.Candle
	for i := range 180 {
		given = append(given, model.Candle{Resolution: time.Minute, Time: base + model.Millis(i)*minute, Open: 10, High: 30, Low: 5,
			Close: num.Price(20 + i%7), Volume: 3, QuoteVolume: 7, LastID: uint64(i)})
	}
	given[3].Trades = 4
	if err := g.w.AddCandles(t.Context(), 0, given, Span{From: base, To: base + 3*hour}); err != nil {
		t.Fatal(err)
	}
	if err := g.w.AddCandles(t.Context(), 0, []model.Candle{{Resolution: time.Minute, Time: base, High: 1}}, Span{}); err != nil {
		t.Fatal(err)
	}
	for _, reverse := range []bool{false, true} {
		var got []string
		for c, err := range g.r.Candles(t.Context(), 0, time.Hour, Span{From: base, To: base + 24*hour}, reverse) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint((c.Time-base)/hour, c.Open, c.High, c.Low, c.Close, c.Volume, c.Trades, c.LastID))
		}
		want := []string{"0 10 30 5 23 180 0 59", "1 500 559 500 559 600 60 1059", "2 10 30 5 24 180 0 179"}
		if reverse {
			slices.Reverse(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("hours are %q, want %q", got, want)
		}
		var days, minutes int
		for c, err := range g.r.Candles(t.Context(), 0, 5*time.Minute, Span{From: base, To: base + 24*hour}, reverse) {
			if err != nil || c.Time == base && (c.Volume != 15 || c.Open != 10 || c.Close != 24) || (c.Trades != 0) != ((c.Time-base)/hour == 1) {
				t.Fatal(c, err)
			}
			minutes++
		}
		for range g.r.Candles(t.Context(), 0, day, Span{From: base, To: base + 24*hour}, reverse) {
			days++
		}
		if minutes != 36 || days != 1 { // of the day only our own part is there
			t.Errorf("%d candles of five minutes, %d of a day", minutes, days)
		}
	}
	for kind, want := range map[model.Kind]model.Micros{model.KindCandles: 3, model.KindHourCandles: 3, model.KindDayCandles: 1, model.KindTrades: 1} {
		held, err := g.r.Coverage(t.Context(), kind, 0, Span{From: base, To: base + 24*hour})
		if err != nil || len(held) != 1 || held[0].To-held[0].From != want*hour*1000 {
			t.Errorf("%v is held %v, want %d h: %v", kind, held, want, err)
		}
	}
	for _, bad := range []model.Candle{{Resolution: 5 * time.Minute}, {Resolution: time.Hour, Time: base + 1}} {
		if err := g.w.AddCandles(t.Context(), 0, []model.Candle{bad}, Span{}); !errors.Is(err, ErrGiven) {
			t.Errorf("%v was taken: %v", bad, err)
		}
	}
	funding := []model.Funding{{Time: base}, {Time: base + hour}}
	for range 2 {
		if err := g.w.AddFundings(t.Context(), 0, funding, Span{From: base, To: base + 2*hour}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for range g.r.Fundings(t.Context(), 0, Span{From: base, To: base + 24*hour}) {
		n++
	}
	if held, err := g.r.Coverage(t.Context(), model.KindFunding, 0, Span{To: base * 2}); n != 2 || err != nil || len(held) != 1 {
		t.Errorf("%d fundings, held %v: %v", n, held, err)
	}
}
