package history

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"hyperlight/bench"
	"hyperlight/bench/bare"
	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/key"
)

// BenchmarkTradeScanRatio compares a scan over 400,000 trades with a bare Pebble iterator: over the same bytes, which it
// does not decode, and over a table with one row per trade, whose fields it reads from fixed places.
func BenchmarkTradeScanRatio(b *testing.B) {
	const n = 400_000
	store, _ := benchStore(b)
	w, stop := benchWriter(b, store)
	end := fillTrades(b, w, n)
	r := NewReader(store, func(model.MarketID) (*model.Market, bool) { return nil, false })
	scan := func() int {
		rows := 0
		for t, err := range r.Trades(b.Context(), 0, Span{0, end.Millis()}, TradeQuery{}) {
			if err != nil || t.ID == 0 {
				b.Fatal(t, err)
			}
			rows++
		}
		if rows != n {
			b.Fatalf("%d trades", rows)
		}
		return rows
	}
	perRow := bare.Open(b, "")
	perRow.Write(plainTrades(b, r, end), 4096)
	perRow.Settle()
	plain := func() int {
		rows := 0
		var t model.Trade
		perRow.Read(func(k, v []byte) {
			readPlainTrade(&t, k, v)
			rows++
		})
		return rows
	}
	for _, form := range []string{"hot", "sealed"} {
		if form == "sealed" {
			if err := w.SealNow(b.Context(), time.UnixMicro(int64(end)+7_200_000_000)); err != nil {
				b.Fatal(err)
			}
		}
		same := bare.Open(b, "")
		same.Write(bare.Rows(b, store, key.Trades), 4096)
		same.Settle()
		b.Run(form+"/same-bytes", func(b *testing.B) {
			bench.Compare(b, "trades", func() int {
				size := 0
				same.Read(func(k, v []byte) { size += len(k) + len(v) })
				return n
			}, scan)
		})
		b.Run(form+"/row-each", func(b *testing.B) { bench.Compare(b, "trades", plain, scan) })
	}
	stop()
}

// plainTrades writes each trade as a row of its own with fixed fields: the plainest design there is.
func plainTrades(b testing.TB, r *Reader, end model.Micros) (rows []bare.Row) {
	for t, err := range r.Trades(b.Context(), 0, Span{0, end.Millis()}, TradeQuery{}) {
		if err != nil {
			b.Fatal(err)
		}
		k := binary.BigEndian.AppendUint64([]byte{'T'}, uint64(t.Time))
		k = binary.BigEndian.AppendUint64(k, t.ID)
		var v []byte
		for _, f := range []uint64{uint64(t.Recv), uint64(t.Price), uint64(t.Size), uint64(t.USD), t.AskOrder, t.BidOrder,
			uint64(t.AskAccount), uint64(t.BidAccount), t.Block} {
			v = binary.BigEndian.AppendUint64(v, f)
		}
		rows = append(rows, bare.Row{Key: k, Value: append(v, t.TxHash...)})
	}
	return rows
}

func readPlainTrade(t *model.Trade, k, v []byte) {
	u := func(i int) uint64 { return binary.BigEndian.Uint64(v[8*i:]) }
	*t = model.Trade{Time: model.Millis(binary.BigEndian.Uint64(k[1:])), ID: binary.BigEndian.Uint64(k[9:]),
		Recv: model.Micros(u(0)), Price: num.Price(u(1)), Size: num.Size(u(2)), USD: num.USD(u(3)), AskOrder: u(4), BidOrder: u(5),
		AskAccount: model.AccountID(u(6)), BidAccount: model.AccountID(u(7)), Block: u(8), TxHash: string(v[72:])}
}

// BenchmarkCommitRatio compares the writer, from events to rows on disk, with a bare Pebble batch writer that is given
// the rows that the writer made, in as many synced commits.
func BenchmarkCommitRatio(b *testing.B) {
	const markets, n = 20, 100_000
	b.Run("levels", func(b *testing.B) {
		var events []*model.Event
		levels := 0
		at := testStart
		for m := range markets {
			f := &benchFeed{rnd: rand.New(rand.NewPCG(uint64(m), 1))}
			events = append(events, &model.Event{Market: model.MarketID(m), Recv: at, Payload: f.snapshot()})
			for range n / markets {
				events = append(events, &model.Event{Market: model.MarketID(m), Payload: f.update()})
			}
			levels += f.levels
		}
		events = turnAbout(events, markets)
		for _, e := range events {
			at += 1000
			e.Recv, e.Time = at, at.Millis()
		}
		commitRatio(b, "levels", levels, events, markets)
	})
	b.Run("trades", func(b *testing.B) {
		f := &benchFeed{rnd: rand.New(rand.NewPCG(1, 1))}
		var events []*model.Event
		at := testStart
		for i := range n {
			at += 1000
			events = append(events, &model.Event{Market: model.MarketID(i % markets), Recv: at, Payload: &model.TradeBatch{Rows: []model.Trade{f.trade(at.Millis())}}})
		}
		commitRatio(b, "trades", n, events, markets)
	})
}

// turnAbout brings the events of equally many per market into the order in which they would arrive.
func turnAbout(events []*model.Event, markets int) []*model.Event {
	each := len(events) / markets
	out := make([]*model.Event, 0, len(events))
	for i := range each {
		for m := range markets {
			out = append(out, events[m*each+i])
		}
	}
	return out
}

// commitRatio gives a writer the same events again and again, each time as those of new markets.
func commitRatio(b *testing.B, unit string, units int, events []*model.Event, markets int) {
	store, _ := benchStore(b)
	commits, turn := 0, 0
	view := book.NewView(book.Meta{}, nil, nil)
	w, err := NewWriter(WriterOptions{Store: store, OnCommit: func(int, time.Duration) { commits++ }})
	if err != nil {
		b.Fatal(err)
	}
	stop := runWriter(b, w)
	write := func() int {
		for _, e := range events {
			again := *e
			again.Market += model.MarketID(turn * markets)
			w.OnEvent(&again, view)
		}
		mustFlush(b, w)
		turn++
		return units
	}
	write()
	rows := bare.Rows(b, store)
	group := (len(rows) + commits - 1) / commits
	db := bare.Open(b, b.TempDir())
	bench.Compare(b, unit, func() int {
		db.WriteNew(rows, group)
		return units
	}, write)
	stop()
}
