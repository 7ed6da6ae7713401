package history

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv"
)

// benchFeed makes events like the recordings': about 5 changed levels an update, books of 400 levels a side.
type benchFeed struct {
	rnd    *rand.Rand
	seq    uint64
	id     uint64
	levels int
}

func (f *benchFeed) level(s model.Side) model.Level {
	d := int64(f.rnd.ExpFloat64() * 60)
	p := 3_200_000 - 1 - d
	if s == model.Ask {
		p = 3_200_000 + d
	}
	size := int64(f.rnd.IntN(3)) * int64(1+f.rnd.IntN(100_000))
	return model.Level{Price: num.Price(p), Size: num.Size(size)}
}

func (f *benchFeed) snapshot() *model.BookUpdate {
	u := &model.BookUpdate{Snapshot: true, Seq: 1, Chained: true}
	for i := range 400 {
		u.Bids = append(u.Bids, model.Level{Price: num.Price(3_200_000 - 1 - i), Size: num.Size(1 + f.rnd.IntN(100_000))})
		u.Asks = append(u.Asks, model.Level{Price: num.Price(3_200_000 + i), Size: num.Size(1 + f.rnd.IntN(100_000))})
	}
	f.seq = 1
	return u
}

func (f *benchFeed) update() *model.BookUpdate {
	u := &model.BookUpdate{Prev: f.seq, Seq: f.seq + uint64(1+f.rnd.IntN(20)), Offset: f.seq, Chained: true}
	f.seq = u.Seq
	for range 1 + f.rnd.IntN(9) {
		if f.rnd.IntN(2) == 0 {
			u.Bids = append(u.Bids, f.level(model.Bid))
		} else {
			u.Asks = append(u.Asks, f.level(model.Ask))
		}
	}
	f.levels += len(u.Bids) + len(u.Asks)
	return u
}

func (f *benchFeed) trade(at model.Millis) model.Trade {
	f.id += uint64(1 + f.rnd.IntN(3))
	t := model.Trade{ID: f.id, Time: at, Recv: at.Micros() + 40_000, Price: num.Price(3_200_000 + f.rnd.IntN(100)), Size: num.Size(1 + f.rnd.IntN(50_000)),
		MakerAsk: f.rnd.IntN(2) == 0, AskOrder: 281_476_000_000_000 + f.id*7, BidOrder: 562_949_000_000_000 - f.id*5,
		AskAccount: model.AccountID(f.rnd.IntN(20_000)), BidAccount: model.AccountID(f.rnd.IntN(20_000)), Block: 2_204_468 + f.id/20}
	t.USD = num.USD(int64(t.Price) * int64(t.Size))
	t.TxHash = fmt.Sprintf("%016x%016x%016x%016x%016x", f.rnd.Uint64(), f.rnd.Uint64(), f.rnd.Uint64(), f.rnd.Uint64(), f.rnd.Uint64())
	return t
}

func benchStore(b testing.TB) (*kv.Store, string) {
	dir := filepath.Join(b.TempDir(), "store")
	s, err := kv.Open(kv.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s, dir
}

func benchWriter(b testing.TB, s *kv.Store) (*Writer, func()) {
	w, err := NewWriter(WriterOptions{Store: s})
	if err != nil {
		b.Fatal(err)
	}
	return w, runWriter(b, w)
}

func mustFlush(b testing.TB, w *Writer) {
	if err := w.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkIngest writes book updates of 20 markets, 50 a second each, committed to a real directory.
func BenchmarkIngest(b *testing.B) {
	store, _ := benchStore(b)
	w, stop := benchWriter(b, store)
	const markets = 20
	feeds := make([]*benchFeed, markets)
	at := testStart
	view := book.NewView(book.Meta{}, nil, nil)
	for i := range feeds {
		feeds[i] = &benchFeed{rnd: rand.New(rand.NewPCG(uint64(i), 1))}
		w.OnEvent(&model.Event{Market: model.MarketID(i), Recv: at, Payload: feeds[i].snapshot()}, view)
	}
	events := make([]*model.Event, 0, 1<<16)
	levels := 0
	for len(events) < cap(events) {
		m := len(events) % markets
		u := feeds[m].update()
		levels += len(u.Bids) + len(u.Asks)
		events = append(events, &model.Event{Market: model.MarketID(m), Payload: u})
	}
	perEvent := float64(levels) / float64(len(events))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := *events[i%len(events)]
		at += 1000
		e.Recv, e.Time = at, at.Millis()
		w.OnEvent(&e, view)
		if i%1000 == 999 {
			w.OnTick(at.Second(), nil)
		}
	}
	mustFlush(b, w)
	b.ReportMetric(float64(b.N)*perEvent/b.Elapsed().Seconds(), "levels/s")
	stop()
}

// fillBooks writes n updates of one market, 20 a second, and returns the time after the last one.
func fillBooks(b testing.TB, w *Writer, n int) model.Micros {
	f := &benchFeed{rnd: rand.New(rand.NewPCG(1, 1))}
	live := book.New()
	at := testStart
	m := &model.Market{}
	for i := range n {
		u := f.update
		if i == 0 {
			u = f.snapshot
		}
		update := u()
		if err := live.Apply(update, at.Millis(), at); err != nil {
			b.Fatal(err)
		}
		var v *book.View
		if i == 0 {
			v = live.View()
		} else {
			v = &book.View{}
		}
		w.OnEvent(&model.Event{Recv: at, Time: at.Millis() - 30, Payload: update}, v)
		at += 50_000
		if at%second == 0 {
			w.OnTick(at, []market.Held{{Market: m, View: live.View(), TradesHeld: true, Minute: at%(60*second) == 0}})
		}
	}
	mustFlush(b, w)
	return at
}

func benchForms(b *testing.B, fill func(b testing.TB, w *Writer) model.Micros, run func(b *testing.B, r *Reader, end model.Micros)) {
	store, _ := benchStore(b)
	w, stop := benchWriter(b, store)
	end := fill(b, w)
	r := NewReader(store, func(model.MarketID) (*model.Market, bool) { return nil, false })
	b.Run("hot", func(b *testing.B) { run(b, r, end) })
	if err := w.SealNow(b.Context(), time.UnixMicro(int64(end)+7_200_000_000)); err != nil {
		b.Fatal(err)
	}
	b.Run("sealed", func(b *testing.B) { run(b, r, end) })
	stop()
}

// BenchmarkUpdates reads 400,000 updates in order.
func BenchmarkUpdates(b *testing.B) {
	benchForms(b, func(b testing.TB, w *Writer) model.Micros { return fillBooks(b, w, 400_000) }, func(b *testing.B, r *Reader, end model.Micros) {
		b.ReportAllocs()
		rows := 0
		for b.Loop() {
			for _, err := range r.Updates(b.Context(), 0, 0, end) {
				if err != nil {
					b.Fatal(err)
				}
				rows++
			}
		}
		b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "updates/s")
	})
}

// BenchmarkBookAt reads the book of random moments.
func BenchmarkBookAt(b *testing.B) {
	benchForms(b, func(b testing.TB, w *Writer) model.Micros { return fillBooks(b, w, 200_000) }, func(b *testing.B, r *Reader, end model.Micros) {
		rnd := rand.New(rand.NewPCG(2, 2))
		b.ReportAllocs()
		for b.Loop() {
			at := testStart + 1 + model.Micros(rnd.Int64N(int64(end-testStart)-int64(second)))
			if _, err := r.BookAt(b.Context(), 0, at); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBooks reads one-second snapshots in order.
func BenchmarkBooks(b *testing.B) {
	benchForms(b, func(b testing.TB, w *Writer) model.Micros { return fillBooks(b, w, 100_000) }, func(b *testing.B, r *Reader, end model.Micros) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			for _, err := range r.Books(b.Context(), 0, Span{testStart.Millis(), end.Millis()}, time.Second) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "snapshots/s")
	})
}

// fillTrades writes n trades of one market, 40 a second in bursts.
func fillTrades(b testing.TB, w *Writer, n int) model.Micros {
	f := &benchFeed{rnd: rand.New(rand.NewPCG(1, 1))}
	at := testStart
	for i := 0; i < n; i += 4 {
		at += 100_000
		batch := &model.TradeBatch{}
		for range 4 {
			batch.Rows = append(batch.Rows, f.trade(at.Millis()))
		}
		w.OnEvent(&model.Event{Recv: at, Time: at.Millis(), Payload: batch}, nil)
	}
	mustFlush(b, w)
	return at + second
}

// BenchmarkTrades scans 400,000 trades in order.
func BenchmarkTrades(b *testing.B) {
	benchForms(b, func(b testing.TB, w *Writer) model.Micros { return fillTrades(b, w, 400_000) }, func(b *testing.B, r *Reader, end model.Micros) {
		b.ReportAllocs()
		rows := 0
		for b.Loop() {
			for _, err := range r.Trades(b.Context(), 0, Span{0, end.Millis()}, TradeQuery{}) {
				if err != nil {
					b.Fatal(err)
				}
				rows++
			}
		}
		b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "trades/s")
	})
}

// BenchmarkTradePage reads 50 trades from a random moment on: a page of the API.
func BenchmarkTradePage(b *testing.B) {
	benchForms(b, func(b testing.TB, w *Writer) model.Micros { return fillTrades(b, w, 200_000) }, func(b *testing.B, r *Reader, end model.Micros) {
		rnd := rand.New(rand.NewPCG(2, 2))
		b.ReportAllocs()
		for b.Loop() {
			from := testStart.Millis() + model.Millis(rnd.Int64N(int64(end-testStart)/1000))
			n := 0
			for _, err := range r.Trades(b.Context(), 0, Span{from, end.Millis()}, TradeQuery{Columns: record.Core | record.Hash}) {
				if err != nil {
					b.Fatal(err)
				}
				if n++; n == 50 {
					break
				}
			}
		}
	})
}

// BenchmarkIngestTrades writes new trades with their candles and counts, committed to a real directory.
func BenchmarkIngestTrades(b *testing.B) {
	store, _ := benchStore(b)
	w, stop := benchWriter(b, store)
	f := &benchFeed{rnd: rand.New(rand.NewPCG(1, 1))}
	at := testStart
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at += 1000
		w.OnEvent(&model.Event{Market: model.MarketID(i % 20), Recv: at, Payload: &model.TradeBatch{Rows: []model.Trade{f.trade(at.Millis())}}}, nil)
	}
	mustFlush(b, w)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "trades/s")
	stop()
}

// BenchmarkBytes reports what a sealed book update and a sealed trade take on disk, indexes and candles included.
func BenchmarkBytes(b *testing.B) {
	const n = 400_000
	for _, c := range []struct {
		name string
		fill func(b testing.TB, w *Writer) model.Micros
	}{
		{"update", func(b testing.TB, w *Writer) model.Micros { return fillBooks(b, w, n) }},
		{"trade", func(b testing.TB, w *Writer) model.Micros { return fillTrades(b, w, n) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				store, dir := benchStore(b)
				w, stop := benchWriter(b, store)
				end := c.fill(b, w)
				if err := w.SealNow(b.Context(), time.UnixMicro(int64(end)+7_200_000_000)); err != nil {
					b.Fatal(err)
				}
				stop()
				copied := filepath.Join(filepath.Dir(dir), "copy")
				if err := store.Checkpoint(copied); err != nil {
					b.Fatal(err)
				}
				values := 0
				for _, v := range dump(b, store) {
					values += len(v)
				}
				b.ReportMetric(float64(values)/n, "bytes/"+c.name)
				b.ReportMetric(float64(directorySize(b, copied))/n, "disk-bytes/"+c.name)
			}
		})
	}
}

func directorySize(b testing.TB, dir string) (size int64) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		size += info.Size()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}
