package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// stored is a real store with a made-up record of one busy market, and what was put into it.
type stored struct {
	db      *kv.Store
	reader  *history.Reader
	market  *model.Market
	from    model.Millis
	to      model.Millis
	trades  []string
	updates []string // by receive time, snapshots as well
}

// store records a market of 1,000 levels with an update of six levels each 20 ms and a trade each 60 ms or so, through
// the same path as an import.
func store(t testing.TB, seconds int, seal, remember bool) *stored {
	t.Helper()
	start := time.Date(2025, 10, 9, 10, 0, 0, 0, time.UTC)
	s := &stored{market: testMarket(0), from: model.Millis(start.UnixMilli())}
	s.market.Symbol, s.market.Active = "M0", true
	s.to = s.from + model.Millis(seconds)*1000
	db := kvtest.Open(t)
	get := func(model.MarketID) (*model.Market, bool) { return s.market, true }
	w, err := history.NewWriter(history.WriterOptions{Store: db, Markets: get, Import: true, Now: func() time.Time { return start.Add(24 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}()
	imp := market.NewImporter(market.Options{Listeners: []market.Listener{w}})
	imp.Registry().Restore(s.market, market.Start{})
	s.feed(imp, seconds, remember)
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if seal {
		if err := w.SealNow(ctx, start.Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	s.db, s.reader = db, history.NewReader(db, get)
	return s
}

func (s *stored) feed(imp *market.Importer, seconds int, remember bool) {
	r := rand.New(rand.NewSource(1))
	u := &model.BookUpdate{Snapshot: true, Seq: 1, Chained: true}
	for i := range num.Price(500) {
		u.Bids = append(u.Bids, model.Level{Price: 9_999 - i, Size: 100})
		u.Asks = append(u.Asks, model.Level{Price: 10_001 + i, Size: 100})
	}
	seq, id := uint64(1), uint64(0)
	for at := s.from.Micros(); at < s.to.Micros(); at += 20_000 {
		imp.Handle(&model.Event{Market: 0, Time: at.Millis() - 15, Recv: at, Payload: u})
		if remember {
			s.updates = append(s.updates, fmt.Sprint(at, u.Snapshot, u.Prev, u.Seq))
		}
		u = &model.BookUpdate{Prev: seq, Seq: seq + 1 + uint64(r.Intn(5)), Chained: true}
		seq = u.Seq
		for range 3 {
			u.Bids = append(u.Bids, model.Level{Price: num.Price(9_999 - r.Intn(60)), Size: num.Size(1 + r.Intn(1000))})
			u.Asks = append(u.Asks, model.Level{Price: num.Price(10_001 + r.Intn(60)), Size: num.Size(1 + r.Intn(1000))})
		}
		if r.Intn(3) == 0 {
			id++
			row := model.Trade{ID: id, Time: at.Millis(), Recv: at + 3, Price: 10_000, Size: num.Size(1 + r.Intn(1000)), USD: num.USD(r.Intn(1e9)),
				MakerAsk: r.Intn(2) == 0, AskOrder: id * 3, BidOrder: id * 5, AskAccount: 5, BidAccount: 6, Block: 77, TxHash: "00ff"}
			imp.Handle(&model.Event{Market: 0, Recv: at + 3, Payload: &model.TradeBatch{Rows: []model.Trade{row}}})
			if remember {
				s.trades = append(s.trades, fmt.Sprint(row.Time, row.ID, row.Price, row.Size))
			}
		}
	}
}

// A replay of the stored record gives every trade and every update in the order received, and its updates rebuild every
// book of a full second, whether sealed or not.
func TestReplayOfARealStore(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		s := store(t, 150, sealed, true)
		src := NewSource(s.reader, Request{Markets: []*model.Market{s.market}, From: s.from, To: s.to,
			Include: Kinds(Trade, BookUpdate, Snapshot), StartBooks: true})
		var trades, updates []string
		snapshots, last, rebuilt := 0, model.Millis(0), book.New()
		for n := 0; ; n++ {
			e, err := src.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n%97 == 0 {
				src.Release()
			}
			if e.TS.Millis() < last {
				t.Fatalf("sealed %v: event %d goes back", sealed, n)
			}
			last = e.TS.Millis()
			switch {
			case e.Kind == Trade:
				trades = append(trades, fmt.Sprint(e.Trade.Time, e.Trade.ID, e.Trade.Price, e.Trade.Size))
			case e.Kind == BookUpdate:
				u := e.Row.Update
				if err := rebuilt.Apply(&u, e.Row.Time, e.Row.Recv); err != nil {
					t.Fatalf("sealed %v: update of %d does not follow: %v", sealed, e.TS, err)
				}
				updates = append(updates, fmt.Sprint(e.TS, u.Snapshot, u.Prev, u.Seq))
			case e.Initial:
				rebuilt.Reset(e.View)
			case e.Resync:
				rebuilt.Reset(e.View)
				updates = append(updates, fmt.Sprint(e.TS, true, 0, e.View.Seq))
			case e.Kind == Snapshot:
				snapshots++
				for _, side := range []model.Side{model.Bid, model.Ask} {
					if !slices.Equal(rebuilt.Append(nil, side, 0), e.View.Append(nil, side, 0)) {
						t.Fatalf("sealed %v: the updates up to %d do not make the book of that second", sealed, e.TS)
					}
				}
				want, err := s.reader.BookAt(t.Context(), 0, e.TS)
				if err != nil || want.Seq != e.View.Seq || !slices.Equal(want.Append(nil, model.Bid, 0), e.View.Append(nil, model.Bid, 0)) {
					t.Fatalf("sealed %v: the book of %d is not the one of /snapshots (%v)", sealed, e.TS, err)
				}
			}
		}
		src.Close()
		if i := firstDifference(trades, s.trades); i >= 0 {
			t.Errorf("sealed %v: trade %d is %s, want %s", sealed, i, at(trades, i), at(s.trades, i))
		}
		if i := firstDifference(updates, s.updates); i >= 0 {
			t.Errorf("sealed %v: update %d is %s, want %s", sealed, i, at(updates, i), at(s.updates, i))
		}
		if snapshots < 148 {
			t.Errorf("sealed %v: %d snapshots in 150 s", sealed, snapshots)
		}
	}
}
