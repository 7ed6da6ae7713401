package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/model"
	"hyperlight/engine/record"
)

// A replay that was put aside while retention removed where it stood, or thinning rewrote it, says so: it does not go on
// behind the hole as if nothing had been there.
func TestRemovedRecordIsTold(t *testing.T) {
	const n = 60
	for _, x := range []struct {
		name    string
		include KindSet
		change  func(f *fakeHistory)
		want    error
	}{
		{"updates, unchanged", Kinds(BookUpdate), func(*fakeHistory) {}, nil},
		{"updates, removed", Kinds(BookUpdate), removeHalf, ErrRemoved},
		{"updates, all removed", Kinds(BookUpdate), func(f *fakeHistory) { clear(f.rows); clear(f.held) }, ErrRemoved},
		{"updates, thinned", Kinds(BookUpdate), thinAll, ErrRemoved},
		{"snapshots, unchanged", Kinds(Snapshot), func(*fakeHistory) {}, nil},
		{"snapshots, removed", Kinds(Snapshot), removeHalf, ErrRemoved},
		{"snapshots, thinned", Kinds(Snapshot), thinAll, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := newFake()
			m := &model.Market{Scales: []model.Scale{{Price: 2, Size: 4}}}
			for i := range uint64(n) { // four a second
				u := model.BookUpdate{Snapshot: i == 0, Prev: i, Seq: i + 1, Bids: []model.Level{{Price: 100, Size: 5}}, Asks: []model.Level{{Price: 200, Size: 5}}}
				f.rows[0] = append(f.rows[0], record.BookRow{Update: u, Recv: sec + model.Micros(i)*sec/4 + 1})
			}
			f.held[recordID{0, model.KindBook}] = []history.Interval{{From: sec, To: 16 * sec}}
			src := NewSource(f, Request{Markets: []*model.Market{m}, From: 2000, To: 16_000, Include: x.include, StartBooks: x.include.Has(BookUpdate)})
			defer src.Close()
			var err error
			for i := 0; err == nil; i++ {
				if i == 3 {
					src.Release()
					x.change(f)
				}
				_, err = src.Next(context.Background())
			}
			if x.want == nil && !errors.Is(err, io.EOF) || x.want != nil && !errors.Is(err, x.want) {
				t.Errorf("ended with %v, want %v", err, x.want)
			}
		})
	}
}

// removeHalf is what retention does.
func removeHalf(f *fakeHistory) {
	f.rows[0] = f.rows[0][30:]
	f.held[recordID{0, model.KindBook}][0].From = f.rows[0][0].Recv
}

// thinAll is what thinning does: the last row of each second stays.
func thinAll(f *fakeHistory) {
	var kept []record.BookRow
	for i := 3; i < len(f.rows[0]); i += 4 {
		row := f.rows[0][i]
		row.Update.Prev, row.Update.Snapshot = uint64(max(i-3, 0)), i == 3
		kept = append(kept, row)
	}
	f.rows[0] = kept
}

// daily is a record of one market with events of every kind each minute of the ten before and after five midnights,
// the first of which is not played.
func daily() (*fakeHistory, Request) {
	const around, step = model.Millis(600_000), model.Millis(60_000)
	f := newFake()
	for d := model.Millis(0); d < 5; d++ {
		from, to := d*day, d*day+around
		if d > 0 {
			from -= around
		}
		f.held[recordID{0, model.KindBook}] = append(f.held[recordID{0, model.KindBook}], history.Interval{From: from.Micros() + 1, To: to.Micros()})
		for t := from; t < to; t += step {
			n := uint64(len(f.trades[0]) + 1)
			f.trades[0] = append(f.trades[0], model.Trade{ID: n, Time: t, Recv: t.Micros() + 5000, Kind: model.KindLiquidation, Price: 100, Size: 1})
			f.stats[0] = append(f.stats[0], history.StatsRow{Time: t})
			f.funded[0] = append(f.funded[0], model.Funding{Time: t})
			u := model.BookUpdate{Snapshot: t == from, Prev: n - 1, Seq: n, Bids: []model.Level{{Price: 100, Size: 5}}, Asks: []model.Level{{Price: 200, Size: 5}}}
			f.rows[0] = append(f.rows[0], record.BookRow{Update: u, Recv: t.Micros() + 1})
		}
	}
	m := &model.Market{Scales: []model.Scale{{Price: 2, Size: 4}}}
	return f, Request{Markets: []*model.Market{m}, From: day, To: 5 * day}
}

var keptKinds = map[Kind]model.Kind{Trade: model.KindTrades, Liquidation: model.KindTrades, Funding: model.KindFunding,
	Stats: model.KindStats, BookUpdate: model.KindBook, Snapshot: model.KindBook}

// A replay whose days retention drops plays what lies before them and then says so, whatever it plays, whether or not it
// was put aside, and wherever it stands. It does not care about days that it has behind it.
func TestRemovedDaysAreTold(t *testing.T) {
	for _, x := range []struct {
		name    string
		dropped history.Span
		want    error
	}{
		{"where it stands", history.Span{From: 0, To: 2 * day}, ErrRemoved},
		{"all of it", history.Span{From: 0, To: 6 * day}, ErrRemoved},
		{"behind a pinned day", history.Span{From: 2 * day, To: 3 * day}, ErrRemoved},
		{"the last day", history.Span{From: 4 * day, To: 5 * day}, ErrRemoved},
		{"days before", history.Span{From: 0, To: day}, io.EOF},
		{"nothing", history.Span{}, io.EOF},
	} {
		for kind, of := range keptKinds {
			for _, order := range []Order{EventOrder, ReceiveOrder} {
				for _, release := range []bool{true, false} {
					t.Run(fmt.Sprint(x.name, "/", kind, "/", order, "/", release), func(t *testing.T) {
						f, req := daily()
						req.Include, req.Order = Kinds(kind), order
						src := NewSource(f, req)
						defer src.Close()
						var err error
						var e *Event
						for i := 0; err == nil; i++ {
							if i == 10 {
								if release {
									src.Release()
								}
								f.dropped[of] = []history.Span{x.dropped}
							}
							if e, err = src.Next(t.Context()); err == nil && i > 10 && x.want == ErrRemoved && e.TS.Millis() >= x.dropped.To {
								t.Fatalf("event %d of %d came, behind what was removed", i, e.TS)
							}
						}
						if !errors.Is(err, x.want) {
							t.Errorf("ended with %v, want %v", err, x.want)
						}
					})
				}
			}
		}
	}
}

// The same of a real store and its retention.
func TestRemovedFromARealStore(t *testing.T) {
	for _, kind := range []Kind{Trade, BookUpdate, Snapshot} {
		s := store(t, 30, kind == Trade, false)
		src := NewSource(s.reader, Request{Markets: []*model.Market{s.market}, From: s.from, To: s.to, Include: Kinds(kind)})
		defer src.Close()
		for range 3 {
			if _, err := src.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		src.Release()
		w, err := history.NewWriter(history.WriterOptions{Store: s.db, Now: func() time.Time { return time.UnixMilli(int64(s.to + 3*day)) },
			Retention: history.Retention{Trades: 24 * time.Hour, Books: 24 * time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if dropped, err := s.reader.Dropped(model.KindTrades); err != nil || time.Now().After(deadline) {
				t.Fatal("retention has dropped nothing", err)
			} else if len(dropped) > 0 {
				break
			}
		}
		for err == nil {
			_, err = src.Next(t.Context())
		}
		if !errors.Is(err, ErrRemoved) {
			t.Errorf("%s ended with %v", kind, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// What was removed since a replay began is missed where a seek leads back to it, not where one leads past it; what was
// removed before was never part of it.
func TestSeekIntoARemovedDay(t *testing.T) {
	for kind, of := range keptKinds {
		f, req := daily()
		f.dropped[of] = []history.Span{{From: 0, To: day + 300_000}}
		req.Include = Kinds(kind)
		src := NewSource(f, req)
		play := func(to model.Millis, want error) {
			t.Helper()
			if err := src.Seek(to); err != nil {
				t.Fatal(err)
			}
			var err error
			for err == nil {
				_, err = src.Next(t.Context())
			}
			if !errors.Is(err, want) {
				t.Errorf("%s: a replay from %d ended with %v, want %v", kind, to, err, want)
			}
		}
		play(day, io.EOF)
		f.dropped[of] = []history.Span{{From: 0, To: 3 * day}}
		play(3*day, io.EOF)
		play(2*day, ErrRemoved)
		play(day, ErrRemoved)
		src.Close()
	}
}
