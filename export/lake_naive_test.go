package export

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"testing"

	"hyperlight/engine/lake"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// want is what the files of a day must hold, computed without any reader of the record.
func (g *rig) want(day model.Millis) map[lake.ID]any {
	if known := g.known[day]; known != nil {
		return known
	}
	out := map[lake.ID]any{}
	g.known[day] = out
	in := func(t model.Millis) bool { return t >= day && t < day+lake.DayMillis }
	var fundings []FundingRate
	for _, n := range g.markets {
		var trades []Trade
		candles := map[model.Millis]*model.Candle{}
		for _, id := range slices.Sorted(maps.Keys(n.trades)) {
			t := n.trades[id]
			if !in(t.Time) {
				continue
			}
			trades = append(trades, must(NewTrade(n.m, &t)))
		}
		slices.SortStableFunc(trades, func(a, b Trade) int {
			return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.TradeID, b.TradeID))
		})
		for _, row := range trades {
			t := n.trades[uint64(row.TradeID)]
			start := t.Time - t.Time%60_000
			c := candles[start]
			if c == nil {
				c = &model.Candle{Time: start, Open: t.Price, High: t.Price, Low: t.Price}
				candles[start] = c
			}
			c.High, c.Low, c.Close = max(c.High, t.Price), min(c.Low, t.Price), t.Price
			c.Volume, c.QuoteVolume, c.Trades = c.Volume+t.Size, c.QuoteVolume+t.USD, c.Trades+1
		}
		add(out, lake.ID{Dataset: Trades, Market: n.m.Native, Day: day}, trades)
		var rows []Candle
		for _, start := range slices.Sorted(maps.Keys(candles)) {
			rows = append(rows, must(NewCandle(n.m, candles[start], "1m")))
		}
		add(out, lake.ID{Dataset: Candles, Market: n.m.Native, Day: day}, rows)
		for _, f := range n.fundings {
			if in(f.Time) {
				fundings = append(fundings, must(NewFundingRate(n.m, &f)))
			}
		}
		g.wantBooks(out, n, day)
	}
	slices.SortStableFunc(fundings, func(a, b FundingRate) int {
		return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.MarketID, b.MarketID))
	})
	add(out, lake.ID{Dataset: FundingRates, Market: lake.AllMarkets, Day: day}, fundings)
	return out
}

// wantBooks makes the rows of both datasets of books from the updates, with a plain map as the book.
func (g *rig) wantBooks(out map[lake.ID]any, n *rigMarket, day model.Millis) {
	var snapshots []Snapshot
	var updates []BookUpdate
	from, to := day.Micros(), (day + lake.DayMillis).Micros()
	for _, iv := range n.held {
		levels := map[model.Level]num.Size{} // by price, with the side as its size
		var last rigUpdate
		second := max(iv.From.Second()+1e6, from)
		row := func(at model.Micros, whole bool) {
			s := Snapshot{Timestamp: int64(at.Millis()), RecvTS: int64(last.recv), MarketID: int32(n.m.Native), Symbol: n.m.Symbol, Nonce: int64(last.u.Seq), Bids: []Level{}, Asks: []Level{}}
			for k, size := range levels {
				l := Level{int64(k.Price) * 10_000, int64(size) * 100}
				if k.Size == num.Size(model.Bid) {
					s.Bids = append(s.Bids, l)
				} else {
					s.Asks = append(s.Asks, l)
				}
			}
			slices.SortFunc(s.Bids, func(a, b Level) int { return cmp.Compare(b.Price, a.Price) })
			slices.SortFunc(s.Asks, func(a, b Level) int { return cmp.Compare(a.Price, b.Price) })
			if whole {
				for i, side := range [][]Level{s.Bids, s.Asks} {
					for _, l := range side {
						updates = append(updates, BookUpdate{int64(last.at), int64(at), s.MarketID, s.Symbol, s.Nonce, true, []string{"bid", "ask"}[i], l.Price, l.Size})
					}
				}
				return
			}
			if len(s.Bids) > 0 {
				s.BestBid = s.Bids[0].Price
			}
			if len(s.Asks) > 0 {
				s.BestAsk = s.Asks[0].Price
			}
			if s.BestBid > 0 && s.BestAsk > 0 {
				s.MidPrice, s.Spread = (s.BestBid+s.BestAsk)/2, s.BestAsk-s.BestBid
			}
			snapshots = append(snapshots, s)
		}
		begun := iv.From >= from || iv.To < from
		seconds := func(until model.Micros) {
			if !begun && until >= from {
				begun = true
				row(from, true)
			}
			for ; second <= min(until, to-1); second += 1e6 {
				row(second, false)
			}
		}
		for _, u := range n.updates {
			if u.recv < iv.From || u.recv > iv.To {
				continue
			}
			if u.recv > iv.From {
				seconds(u.recv)
			}
			if u.u.Snapshot {
				clear(levels)
			}
			last = u
			for i, side := range [][]model.Level{u.u.Bids, u.u.Asks} {
				for _, l := range side {
					k := model.Level{Price: l.Price, Size: num.Size(i)}
					if levels[k] = l.Size; l.Size == 0 {
						delete(levels, k)
					}
				}
			}
			if u.recv >= from && u.recv < to {
				updates = must(NewBookUpdates(updates, n.m, 0, &u.u, u.at, u.recv))
			}
		}
	}
	add(out, lake.ID{Dataset: Snapshots, Market: n.m.Native, Day: day}, snapshots)
	add(out, lake.ID{Dataset: BookUpdates, Market: n.m.Native, Day: day}, updates)
}

func add[T any](out map[lake.ID]any, id lake.ID, rows []T) {
	if len(rows) > 0 {
		out[id] = rows
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// rowsOfFile reads a listed file.
func rowsOfFile(t testing.TB, l *Lake, id lake.ID) (any, lake.File) {
	t.Helper()
	file, row, err := l.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in, err := NewFile(file, row.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var rows any
	switch id.Dataset {
	case Trades:
		rows, err = readAll[Trade](in)
	case Candles:
		rows, err = readAll[Candle](in)
	case Snapshots:
		rows, err = readAll[Snapshot](in)
	case BookUpdates:
		rows, err = readAll[BookUpdate](in)
	case FundingRates:
		rows, err = readAll[FundingRate](in)
	case Gaps:
		rows, err = readAll[Gap](in)
	}
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return rows, row
}

// check compares the files of the lake, gaps aside, with what must be in them.
func (g *rig) check(l *Lake) {
	g.t.Helper()
	want := map[lake.ID]any{}
	for day := lake.DayOf(model.Millis(rigStart.UnixMilli())); day < finished(g.clock); day += lake.DayMillis {
		maps.Copy(want, g.want(day))
	}
	for _, f := range l.o.Manifest.All() {
		if f.ID.Dataset == Gaps {
			continue
		}
		rows, ok := want[f.ID]
		if !ok {
			g.t.Errorf("%s is listed, of a day without rows or one that is not over", f.ID)
			continue
		}
		delete(want, f.ID)
		got, _ := rowsOfFile(g.t, l, f.ID)
		a, b := reflect.ValueOf(got), reflect.ValueOf(rows)
		if int64(a.Len()) != f.Rows {
			g.t.Errorf("%s is listed with %d rows and has %d", f.ID, f.Rows, a.Len())
		}
		if a.Len() != b.Len() {
			g.t.Errorf("%s has %d rows, want %d", f.ID, a.Len(), b.Len())
		}
		for i := range min(a.Len(), b.Len()) {
			if !reflect.DeepEqual(a.Index(i).Interface(), b.Index(i).Interface()) {
				g.t.Errorf("row %d of %s is\n%+v, want\n%+v", i, f.ID, a.Index(i), b.Index(i))
				break
			}
		}
	}
	for id := range want {
		g.t.Errorf("%s is missing", id)
	}
}
