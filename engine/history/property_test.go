package history

import (
	"errors"
	"slices"
	"testing"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/engine/record"
	"hyperlight/kv/kvtest"
)

// TestRandomHistory drives a writer with random updates, trades, gaps, resyncs, scale changes, restarts and sealing, and
// compares every reader with the model.
func TestRandomHistory(t *testing.T) {
	const steps = 1200
	for range rounds(2, 20) {
		seed := testSeed(t)
		g := newRig(t, kvtest.Open(t), seed, 2)
		for _, n := range g.markets {
			if err := SaveMarkets(g.store, []*model.Market{n.m}); err != nil {
				t.Fatal(err)
			}
		}
		g.start()
		for i := range steps {
			g.step()
			if i%300 == 299 {
				g.flush()
				g.compare()
			}
		}
		g.flush()
		g.compare()
		g.check()
		g.stop()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func (g *rig) check() {
	g.t.Helper()
	findings, err := Check(g.t.Context(), g.store, true)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range findings {
		g.t.Errorf("check: %x: %s", f.Key, f.Problem)
	}
}

func (g *rig) span() Span {
	length := int64(g.now-testStart)/1000 + 2000
	a, b := g.rnd.Int64N(length), g.rnd.Int64N(length)
	if g.rnd.IntN(4) == 0 {
		a, b = 0, length+1
	}
	base := testStart.Millis() - 500
	return Span{From: base + model.Millis(min(a, b)), To: base + model.Millis(max(a, b))}
}

func (g *rig) compare() {
	g.t.Helper()
	for _, n := range g.markets {
		g.compareBooks(n)
		g.compareUpdates(n)
		g.compareSnapshots(n)
		g.compareTrades(n)
		g.compareCandles(n)
		g.compareAggregates(n)
		g.compareCoverage(n)
	}
	g.compareMerged()
}

func (g *rig) compareBooks(n *naiveMarket) {
	g.t.Helper()
	for range 20 {
		at := testStart + model.Micros(g.rnd.Int64N(int64(g.now-testStart)+2e6))
		if len(n.rows) > 0 && g.rnd.IntN(2) == 0 {
			at = n.rows[g.rnd.IntN(len(n.rows))].recv + model.Micros(g.rnd.IntN(3)-1)
		}
		v, err := g.r.BookAt(g.t.Context(), n.m.ID, at)
		if !g.heldAt(n, at) {
			if !errors.Is(err, ErrNoData) {
				g.t.Fatalf("book of %d at %d: want no data, have %v", n.m.ID, at, err)
			}
			continue
		}
		if err != nil {
			g.t.Fatalf("book of %d at %d: %v", n.m.ID, at, err)
		}
		if !g.sameBook(n, at, v) {
			bids, asks, seq, epoch := g.bookAt(n, at)
			g.t.Fatalf("book of %d at %d: have %d/%d %v %v, want %d/%d %v %v", n.m.ID, at,
				v.Seq, v.Epoch, v.Append(nil, model.Bid, 0), v.Append(nil, model.Ask, 0), seq, epoch, bids, asks)
		}
	}
}

func sameUpdate(a, b *model.BookUpdate) bool {
	return a.Snapshot == b.Snapshot && a.Seq == b.Seq && (a.Snapshot || a.Prev == b.Prev) && a.Offset == b.Offset &&
		a.Chained == b.Chained && slices.Equal(a.Bids, b.Bids) && slices.Equal(a.Asks, b.Asks)
}

func (g *rig) compareUpdates(n *naiveMarket) {
	g.t.Helper()
	for range 4 {
		sp := g.span()
		from, to := sp.From.Micros()+7, sp.To.Micros()
		var want []naiveRow
		for _, row := range n.rows {
			if row.recv >= from && row.recv < to {
				want = append(want, row)
			}
		}
		i := 0
		for row, err := range g.r.Updates(g.t.Context(), n.m.ID, from, to) {
			if err != nil {
				g.t.Fatal(err)
			}
			if i >= len(want) {
				g.t.Fatalf("updates of %d: more than %d", n.m.ID, len(want))
			}
			w := &want[i]
			if row.Recv != w.recv || row.Time != w.time || row.Epoch != w.epoch || !sameUpdate(&row.Update, &w.update) {
				g.t.Fatalf("update %d of %d: have %+v, want %+v", i, n.m.ID, *row, *w)
			}
			i++
		}
		if i != len(want) {
			g.t.Fatalf("updates of %d from %d to %d: have %d, want %d", n.m.ID, from, to, i, len(want))
		}
	}
}

func (g *rig) compareSnapshots(n *naiveMarket) {
	g.t.Helper()
	sp := g.span()
	every := []time.Duration{time.Second, 5 * time.Second, time.Minute, time.Hour}[g.rnd.IntN(4)]
	if every == time.Second {
		sp.To = min(sp.To, sp.From+60_000)
	}
	last := map[model.Millis]model.Millis{}
	var want []model.Millis
	for at := sp.From + (1000-sp.From%1000)%1000; at < sp.To; at += 1000 {
		if g.heldAt(n, at.Micros()) {
			last[at-at%model.Millis(every.Milliseconds())] = at
		}
	}
	for _, at := range last {
		want = append(want, at)
	}
	slices.Sort(want)
	i := 0
	for s, err := range g.r.Books(g.t.Context(), n.m.ID, sp, every) {
		if err != nil {
			g.t.Fatal(err)
		}
		if i >= len(want) || s.At != want[i] {
			g.t.Fatalf("snapshot %d of %d each %s in %+v: have %d, want %v", i, n.m.ID, every, sp, s.At, want)
		}
		if !g.sameBook(n, s.At.Micros(), s.View) {
			g.t.Fatalf("snapshot of %d at %d differs", n.m.ID, s.At)
		}
		i++
	}
	if i != len(want) {
		g.t.Fatalf("snapshots of %d each %s: have %d, want %d", n.m.ID, every, i, len(want))
	}
	slices.Reverse(want)
	var times []model.Millis
	for at, err := range g.r.BookTimes(g.t.Context(), n.m.ID, sp, every, true) {
		if err != nil {
			g.t.Fatal(err)
		}
		times = append(times, at)
	}
	if !slices.Equal(times, want) {
		g.t.Fatalf("times of %d each %s in reverse: have %v, want %v", n.m.ID, every, times, want)
	}
}

func (g *rig) compareTrades(n *naiveMarket) {
	g.t.Helper()
	for range 6 {
		sp := g.span()
		want := n.sortedTrades(sp)
		count, exact, err := g.r.CountTrades(g.t.Context(), n.m.ID, sp)
		if err != nil || !exact || count != uint64(len(want)) {
			g.t.Fatalf("count of %d in %+v: have %d, want %d (%v)", n.m.ID, sp, count, len(want), err)
		}
		q := TradeQuery{Columns: record.All, Reverse: g.rnd.IntN(2) == 0}
		if q.Reverse {
			slices.Reverse(want)
		}
		if len(want) > 0 && g.rnd.IntN(2) == 0 {
			i := g.rnd.IntN(len(want))
			q.After = &Position{Time: want[i].Time, Market: n.m.ID, ID: want[i].ID}
			want = want[i+1:]
		}
		limit := len(want)
		if limit > 0 && g.rnd.IntN(3) == 0 {
			limit = g.rnd.IntN(limit)
		}
		i := 0
		for trade, err := range g.r.Trades(g.t.Context(), n.m.ID, sp, q) {
			if err != nil {
				g.t.Fatal(err)
			}
			if i == limit {
				break
			}
			if *trade != want[i] {
				g.t.Fatalf("trade %d of %d in %+v (%+v): have %+v, want %+v", i, n.m.ID, sp, q, *trade, want[i])
			}
			i++
		}
		if i != limit {
			g.t.Fatalf("trades of %d in %+v: have %d, want %d", n.m.ID, sp, i, limit)
		}
	}
}

func (g *rig) compareMerged() {
	g.t.Helper()
	sp := g.span()
	type row struct {
		m model.MarketID
		t model.Trade
	}
	var want []row
	var ids []model.MarketID
	for _, n := range g.markets {
		ids = append(ids, n.m.ID)
		for _, t := range n.sortedTrades(sp) {
			want = append(want, row{n.m.ID, t})
		}
	}
	slices.SortStableFunc(want, func(a, b row) int {
		if a.t.Time != b.t.Time {
			return int(a.t.Time - b.t.Time)
		}
		return int(a.m) - int(b.m)
	})
	for _, reverse := range []bool{false, true} {
		i := 0
		for mt, err := range g.r.TradesOf(g.t.Context(), ids, sp, TradeQuery{Columns: record.All, Reverse: reverse}) {
			if err != nil {
				g.t.Fatal(err)
			}
			if i >= len(want) {
				g.t.Fatal("merged trades: too many")
			}
			w := want[i]
			if reverse {
				w = want[len(want)-1-i]
			}
			if mt.Market != w.m || *mt.Trade != w.t {
				g.t.Fatalf("merged trade %d: have %d of %d, want %d of %d", i, mt.ID, mt.Market, w.t.ID, w.m)
			}
			i++
		}
		if i != len(want) {
			g.t.Fatalf("merged trades: have %d, want %d", i, len(want))
		}
	}
	forced := slices.DeleteFunc(slices.Clone(want), func(r row) bool { return r.t.Kind != model.KindLiquidation })
	i := 0
	for mt, err := range g.r.Liquidations(g.t.Context(), sp, false) {
		if err != nil {
			g.t.Fatal(err)
		}
		if i >= len(forced) || mt.Market != forced[i].m || *mt.Trade != forced[i].t {
			g.t.Fatalf("liquidation %d: have %d of market %d", i, mt.ID, mt.Market)
		}
		i++
	}
	if i != len(forced) {
		g.t.Fatalf("liquidations: have %d, want %d", i, len(forced))
	}
}

func (g *rig) compareCandles(n *naiveMarket) {
	g.t.Helper()
	for resolution := range resolutions {
		sp := g.span()
		var want []record.Candle
		for _, c := range naiveCandles(n.sortedTrades(Span{0, 1 << 45}), n.m, resolution) {
			if c.Time >= sp.From && c.Time < sp.To {
				want = append(want, c)
			}
		}
		reverse := g.rnd.IntN(2) == 0
		if reverse {
			slices.Reverse(want)
		}
		i := 0
		for c, err := range g.r.Candles(g.t.Context(), n.m.ID, resolution, sp, reverse) {
			if err != nil {
				g.t.Fatal(err)
			}
			// A candle stays on the scale of its last trade: widen it to compare.
			widen := num.Price(num.Pow10(n.m.Epoch - c.Epoch))
			c.Open, c.High, c.Low, c.Close, c.Epoch = c.Open*widen, c.High*widen, c.Low*widen, c.Close*widen, n.m.Epoch
			if i >= len(want) || c != want[i] {
				g.t.Fatalf("candle %d of %s: have %+v, want %+v", i, resolution, c, want)
			}
			i++
		}
		if i != len(want) {
			g.t.Fatalf("candles of %s: have %d, want %d", resolution, i, len(want))
		}
	}
}

func (g *rig) compareCoverage(n *naiveMarket) {
	g.t.Helper()
	sp := Span{From: testStart.Millis(), To: g.now.Millis() + 10_000}
	var want []Interval
	for _, iv := range n.held {
		if iv.To == 0 {
			iv.To = g.heartbeat
		}
		if iv.From < iv.To {
			want = append(want, iv)
		}
	}
	have, err := g.r.Coverage(g.t.Context(), model.KindBook, n.m.ID, sp)
	if err != nil || !slices.Equal(have, want) {
		g.t.Fatalf("coverage of %d: have %v, want %v (%v)", n.m.ID, have, want, err)
	}
	rows, err := g.r.Gaps(g.t.Context(), []model.Kind{model.KindBook}, []model.MarketID{n.m.ID}, sp)
	if err != nil {
		g.t.Fatal(err)
	}
	gaps := slices.Clone(n.gaps)
	if n.gap != nil {
		gaps = append(gaps, *n.gap)
	}
	i := 0
	for _, row := range rows {
		if i >= len(gaps) || row.Gap != gaps[i] {
			g.t.Fatalf("gap %d of %d: have %+v, want %+v", i, n.m.ID, row, gaps)
		}
		i++
	}
	if i != len(gaps) {
		g.t.Fatalf("gaps of %d: have %d, want %d", n.m.ID, i, len(gaps))
	}
}
