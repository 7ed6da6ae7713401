//go:build !race

package bench

import (
	"path/filepath"
	"testing"
	"time"

	"hyperlight/bench/bare"
	"hyperlight/engine/book"
	"hyperlight/engine/feed/feedtest"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/kv"
	"hyperlight/kv/key"
)

// lighterTape is the venue's own tape. A third of a minute of it begins with the last hundred liquidations, so that one
// trade in eight is one; they are rarer by far.
const lighterTape = "captures/lighter/ws-btc-eth-20251009.ndjson.gz"

// atMost fails where a size has grown beyond its limit.
func atMost(t *testing.T, what string, have, limit float64) {
	t.Helper()
	t.Logf("%s: %.2f bytes of %g", what, have, limit)
	if have > limit {
		t.Errorf("%s takes %.2f bytes, at most %g are allowed", what, have, limit)
	}
}

// A trade with its keys, index rows and candles takes at most 15 bytes on the venue's tape, 48 with the transaction hash
// and every other member, and 12 with all that recordings of other venues have of it.
func TestBytesPerTrade(t *testing.T) {
	o, _ := imported(t, feedtest.Recording(t, lighterTape), nil)
	z := measure(t, o, 0)
	atMost(t, "the core of a trade on the venue's tape", (z.head+z.core+z.candles+z.index)/z.trades, 15)
	atMost(t, "a trade on the venue's tape", (z.head+z.core+z.hash+z.rest+z.candles+z.index)/z.trades, 48)
	for _, recording := range []string{standXDay[0], "captures/binance-futures/ethusdt_20240808.gz"} {
		file, markets, _ := transcoded(t, recording)
		o, _ := imported(t, file, markets)
		z := measure(t, o, 0)
		atMost(t, "a trade of "+recording, (z.head+z.core+z.hash+z.rest+z.candles+z.index)/z.trades, 12)
	}
}

// A changed level takes at most 5 bytes with the rows of its frame, keyframes and the rows that tell of coverage and gaps.
func TestBytesPerLevelChange(t *testing.T) {
	o, _ := imported(t, feedtest.Recording(t, lighterTape), nil)
	z := measure(t, o, 13_500+1884+2427+3663+3106) // half of the levels of this half minute are those of the first books
	atMost(t, "a level of the venue's tape", z.books/z.levels, 5)
	for _, recording := range []string{standXDay[0], "captures/binance-futures/ethusdt_20240808.gz"} {
		file, markets, counts := transcoded(t, recording)
		o, _ := imported(t, file, markets)
		z := measure(t, o, counts.Levels)
		atMost(t, "a level change of "+recording, (z.books+z.told)/z.levels, 5)
	}
}

// A second of a book of 600 levels takes at most 300 bytes, once it is thinned: keyframes and net changes of the 300 best
// levels a side of the venue's own books.
func TestBytesPerSecondBook(t *testing.T) {
	o, _ := imported(t, feedtest.Recording(t, lighterTape), nil)
	for _, m := range []model.MarketID{0, 1} {
		n, seconds := secondBooks(t, o, m, 300)
		atMost(t, "a second of 600 levels on the venue's tape", float64(n)/float64(seconds), 300)
	}
	// What is thinned is that small too, in the store: 40 levels a second, and holes.
	file, markets, counts := transcoded(t, standXDay[0])
	o, _ = imported(t, file, markets)
	before := measure(t, o, counts.Levels)
	thinned(t, o)
	after := measure(t, o, counts.Levels)
	if after.seconds != before.seconds || after.updates >= before.updates {
		t.Errorf("thinning left %.0f of %.0f seconds, %.0f of %.0f updates", after.seconds, before.seconds, after.updates, before.updates)
	}
	atMost(t, "a thinned second of 40 levels", after.books/after.seconds, 50)
}

// BenchmarkSizes reports what TestBytesPerTrade and its like hold, of the venue's tape and of recordings of Binance.
func BenchmarkSizes(b *testing.B) {
	b.Run("tape", func(b *testing.B) {
		o, _ := imported(b, feedtest.Recording(b, lighterTape), nil)
		for b.Loop() {
			z := measure(b, o, 0)
			b.ReportMetric((z.head+z.core+z.candles+z.index)/z.trades, "core-B/trade")
			b.ReportMetric((z.head+z.core+z.hash+z.rest+z.candles+z.index)/z.trades, "B/trade")
		}
		n, seconds := secondBooks(b, o, 1, 300)
		b.ReportMetric(float64(n)/float64(seconds), "B/second")
	})
	b.Run("binance", func(b *testing.B) {
		file, markets, counts := transcoded(b, "captures/binance-futures/btcusdt_20240718.gz", "captures/binance-futures/btcusdt_20240719.gz")
		o, _ := imported(b, file, markets)
		for b.Loop() {
			z := measure(b, o, counts.Levels)
			b.ReportMetric((z.head+z.core+z.hash+z.rest+z.candles+z.index)/z.trades, "B/trade")
			b.ReportMetric((z.books+z.told)/z.levels, "B/level")
		}
		n, seconds := secondBooks(b, o, 2, 300)
		b.ReportMetric(float64(n)/float64(seconds), "B/second")
	})
}

// secondBooks puts the best levels of a market's book at each second into a store of their own, as thinning leaves them, and
// returns the bytes of its book rows and the number of seconds.
func secondBooks(tb testing.TB, o kv.Options, m model.MarketID, depth int) (bytes, seconds int) {
	_, r, markets, done := openStore(tb, o)
	defer done()
	into := kv.Options{Dir: filepath.Join(tb.TempDir(), "cut"), MinFree: -1}
	s, _, _, closed := openStore(tb, into)
	w, err := history.NewWriter(history.WriterOptions{Store: s, Now: time.Now, Import: true, Markets: among(markets)})
	if err != nil {
		tb.Fatal(err)
	}
	stop := start(tb, w.Run)
	if err := history.SaveMarkets(s, markets); err != nil {
		tb.Fatal(err)
	}
	imp := market.NewImporter(market.Options{Listeners: []market.Listener{w}})
	known, _ := among(markets)(m)
	imp.Registry().Restore(known, market.Start{})
	var last *book.View
	for snapshot, err := range r.Books(tb.Context(), m, history.Span{To: 1 << 50}, time.Second) {
		if err != nil {
			tb.Fatal(err)
		}
		v := snapshot.View
		v = book.NewView(v.Meta, v.Append(nil, model.Bid, depth), v.Append(nil, model.Ask, depth))
		u := &model.BookUpdate{Snapshot: true, Bids: v.Append(nil, model.Bid, 0), Asks: v.Append(nil, model.Ask, 0),
			Seq: v.Seq, Offset: v.Offset, UpdatedAt: v.UpdatedAt, Chained: v.Chained}
		if last != nil && last.Seq != v.Seq {
			u = book.Diff(last, v)
		}
		if last == nil || last.Seq != v.Seq {
			imp.Handle(&model.Event{Market: m, Time: v.Time, Recv: v.Recv, Epoch: v.Epoch, Payload: u})
		}
		last = v
		seconds++
	}
	if err := w.Flush(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if err := w.SealNow(tb.Context(), time.Now()); err != nil {
		tb.Fatal(err)
	}
	stop()
	closed()
	thinned(tb, into)
	s, _, _, closed = openStore(tb, into)
	defer closed()
	return bare.Size(bare.Rows(tb, s, key.Books, key.Keyframes)), seconds
}
