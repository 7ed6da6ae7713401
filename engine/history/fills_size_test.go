package history

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
	"hyperlight/kv/kvtest"
)

// accountDay is the trades of a day as the venue has them: one row of ids over all markets, bursts of one taker through
// several makers within a millisecond, few accounts that make most of them and many that trade now and then.
func accountDay(trades, accounts, markets int) map[model.MarketID][]*model.Trade {
	rnd := rand.New(rand.NewPCG(1, 2))
	out := map[model.MarketID][]*model.Trade{}
	skewed := func(n int, by float64) int { return int(math.Pow(rnd.Float64(), by) * float64(n)) }
	day := model.Millis(1_760_054_400_000)
	step := float64(key.DayMillis) / float64(trades)
	id := uint64(212_746_637)
	for n := 0; n < trades; {
		at := day + model.Millis(float64(n)*step)
		m := model.MarketID(skewed(markets, 3))
		taker := model.AccountID(skewed(accounts, 2))
		makerAsk := rnd.IntN(2) == 0
		for range 1 + skewed(5, 3) {
			id += uint64(1 + rnd.IntN(3))
			t := &model.Trade{ID: id, Time: at, Price: 100_000, Size: 10, USD: 1_000_000, MakerAsk: makerAsk, Block: id / 40, AskOrder: id * 7, BidOrder: id * 5,
				TxHash: "000000030f14467400000199caad8df7000000000000000000000000000000000000000000000000"}
			maker := model.AccountID(skewed(accounts, 6))
			t.AskAccount, t.BidAccount = taker, maker
			if makerAsk {
				t.AskAccount, t.BidAccount = maker, taker
			}
			out[m] = append(out[m], t)
			if n++; n == trades {
				break
			}
		}
	}
	return out
}

// accountStore stores the trades of a day and seals it.
func accountStore(t testing.TB, trades, accounts, markets int) (*kv.Store, *Writer, func()) {
	t.Helper()
	store := kvtest.Open(t)
	w, err := NewWriter(WriterOptions{Store: store, Import: true, Now: func() time.Time { return time.UnixMilli(1_760_140_800_000) },
		Markets: func(model.MarketID) (*model.Market, bool) { return nil, false }})
	if err != nil {
		t.Fatal(err)
	}
	stop := runWriter(t, w)
	for m, rows := range accountDay(trades, accounts, markets) {
		if err := w.AddTrades(t.Context(), m, rows, Span{}); err != nil {
			t.Fatal(err)
		}
	}
	return store, w, stop
}

// familyBytes sums the keys and values of a family: what Pebble then shares between keys and compresses is not counted.
func familyBytes(t testing.TB, store *kv.Store, rg key.Range) (bytes, rows int) {
	t.Helper()
	for row, err := range store.Scan(t.Context(), rg) {
		if err != nil {
			t.Fatal(err)
		}
		bytes += len(row.Key) + len(row.Value)
		rows++
	}
	return bytes, rows
}

// A fill takes at most 12 bytes once its day is sealed, on a busy day and on one with 3 fills an account.
func TestBytesPerFill(t *testing.T) {
	for _, c := range []struct {
		name                      string
		trades, accounts, markets int
	}{{"busy", 8_000, 2_000, 20}, {"sparse", 4_000, 2_600, 10}} {
		store, w, stop := accountStore(t, c.trades, c.accounts, c.markets)
		hot, _ := familyBytes(t, store, key.All(key.Fills))
		if err := w.SealNow(t.Context(), time.UnixMilli(1_760_200_000_000)); err != nil {
			t.Fatal(err)
		}
		sealed, rows := familyBytes(t, store, key.All(key.Fills))
		fills := float64(2 * c.trades)
		t.Logf("%s: %.2f bytes a fill, %.2f before sealing; %d segments", c.name, float64(sealed)/fills, float64(hot)/fills, rows)
		if per := float64(sealed) / fills; per > 12 {
			t.Errorf("%s: a fill takes %.2f bytes", c.name, per)
		}
		stop()
	}
}

func BenchmarkFills(b *testing.B) {
	store, w, stop := accountStore(b, 400_000, 20_000, 60)
	if err := w.SealNow(b.Context(), time.UnixMilli(1_760_200_000_000)); err != nil {
		b.Fatal(err)
	}
	stop()
	r := NewReader(store, w.o.Markets)
	day := Span{1_760_054_400_000, 1_760_140_800_000}
	read := func(b *testing.B, account model.AccountID, q FillQuery, stop int) {
		n := 0
		for b.Loop() {
			n = 0
			for _, err := range r.Fills(b.Context(), account, day, q) {
				if err != nil {
					b.Fatal(err)
				}
				if n++; n == stop {
					break
				}
			}
		}
		b.ReportMetric(float64(n), "fills")
	}
	b.Run("page-of-50/busy", func(b *testing.B) { read(b, 2, FillQuery{Reverse: true, Rows: 50}, 50) })
	b.Run("day/busy", func(b *testing.B) { read(b, 2, FillQuery{}, 0) })
	b.Run("day/quiet", func(b *testing.B) { read(b, 12_345, FillQuery{}, 0) })
	b.Run("count/busy", func(b *testing.B) {
		for b.Loop() {
			if n, _, err := r.CountFills(b.Context(), 2, day, FillQuery{Side: FillBuys}, 0); err != nil || n == 0 {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("batch-of-1000", func(b *testing.B) {
		var ids []model.AccountID
		for i := range model.AccountID(1000) {
			ids = append(ids, i*17)
		}
		n := 0
		for b.Loop() {
			out, err := r.FillsOf(b.Context(), ids, day, FillQuery{Reverse: true}, 20)
			if err != nil {
				b.Fatal(err)
			}
			n = 0
			for i := range out {
				n += len(out[i].Fills)
			}
		}
		b.ReportMetric(float64(n), "fills")
	})
}

// BenchmarkPost tells what postings cost the writer: trades that name accounts, and an archive's, which name none.
func BenchmarkPost(b *testing.B) {
	for _, named := range []bool{false, true} {
		b.Run(map[bool]string{false: "archive", true: "accounts"}[named], func(b *testing.B) {
			day := accountDay(100_000, 20_000, 60)
			if !named {
				for _, rows := range day {
					for _, t := range rows {
						t.AskAccount, t.BidAccount, t.AskOrder, t.BidOrder = 0, 0, 0, 0
					}
				}
			}
			for b.Loop() {
				b.StopTimer()
				store := kvtest.Open(b)
				w, err := NewWriter(WriterOptions{Store: store, Import: true, Markets: func(model.MarketID) (*model.Market, bool) { return nil, false }})
				if err != nil {
					b.Fatal(err)
				}
				stop := runWriter(b, w)
				b.StartTimer()
				for m, rows := range day {
					if err := w.AddTrades(b.Context(), m, rows, Span{}); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "trades/s")
		})
	}
}
