package exchange

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

var testStart = model.Millis(time.Date(2026, 3, 4, 22, 47, 30, 0, time.UTC).UnixMilli())

// rig is a store with a writer, the statistics that hear of its trades, and every trade that was ever delivered.
type rig struct {
	t       testing.TB
	store   *kv.Store
	markets []*model.Market
	held    bool
	now     model.Millis
	told    atomic.Int64 // now, for the writer's goroutine
	trades  []map[uint64]model.Trade

	reader *history.Reader
	writer *history.Writer
	stats  *Statistics
	stop   func()
}

func newRig(t testing.TB, markets int) *rig {
	g := &rig{t: t, store: kvtest.Open(t), held: true}
	g.set(testStart)
	for i := range markets {
		g.markets = append(g.markets, &model.Market{
			ID: model.MarketID(i), Native: int64(i), Symbol: fmt.Sprintf("M%d", i), Active: true,
			PriceScale: 3, SizeScale: 4, Epoch: 1, Scales: []model.Scale{{Price: 2, Size: 4}, {Price: 3, Size: 4}},
		})
		g.trades = append(g.trades, map[uint64]model.Trade{})
	}
	g.start()
	t.Cleanup(func() { g.stop() })
	return g
}

func (g *rig) All() []*model.Market { return g.markets }

func (g *rig) Get(id model.MarketID) (*model.Market, bool) {
	if int(id) < len(g.markets) {
		return g.markets[id], true
	}
	return nil, false
}

func (g *rig) State(model.MarketID) (market.State, bool) {
	return market.State{TradesHeld: g.held}, true
}

func (g *rig) clock() time.Time { return time.UnixMilli(g.told.Load()) }

func (g *rig) set(now model.Millis) {
	g.now = now
	g.told.Store(int64(now))
}

// start makes what a process makes at its start.
func (g *rig) start() {
	g.t.Helper()
	if _, err := history.Recover(g.t.Context(), g.store); err != nil {
		g.t.Fatal(err)
	}
	g.reader = history.NewReader(g.store, g.Get)
	g.stats = New(Options{Record: g.reader, Markets: g, Now: g.clock})
	// By the writer's clock there is nothing to seal: it would be done while trades come, and no schedule could be repeated.
	w, err := history.NewWriter(history.WriterOptions{
		Store: g.store, Now: func() time.Time { return time.UnixMilli(0) }, Markets: g.Get, Interval: 5 * time.Millisecond, OnTrade: g.stats.AddTrade,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.stats.Load(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
	g.writer = w
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	g.stop = func() {
		cancel()
		if err := <-done; err != nil {
			g.t.Error(err)
		}
	}
}

// seal does what a writer does by itself at its start and at each full hour.
func (g *rig) seal() {
	g.t.Helper()
	if err := g.writer.SealNow(g.t.Context(), g.clock().Add(-2*time.Minute)); err != nil {
		g.t.Fatal(err)
	}
}

// deliver hands trades to the writer, new ones or not, and waits until they are stored.
func (g *rig) deliver(m int, rows ...model.Trade) {
	g.t.Helper()
	slices.SortFunc(rows, func(a, b model.Trade) int { return cmp.Compare(a.ID, b.ID) })
	rows = slices.CompactFunc(rows, func(a, b model.Trade) bool { return a.ID == b.ID })
	for i, t := range rows {
		if first, known := g.trades[m][t.ID]; known {
			rows[i] = first // drawn alike by chance: an id has one trade
		}
		g.trades[m][t.ID] = rows[i]
	}
	e := &model.Event{Market: model.MarketID(m), Epoch: 1, Recv: g.now.Micros(), Payload: &model.TradeBatch{Rows: rows, History: true, REST: true}}
	g.writer.OnEvent(e, nil)
	if err := g.writer.Flush(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
}

// draw makes a trade at a moment. Ids ascend with time, as the venue's do.
func draw(r *rand.Rand, at model.Millis) model.Trade {
	t := model.Trade{
		ID: uint64(at)*1000 + uint64(r.IntN(1000)), Time: at, Epoch: uint8(r.IntN(2)), Kind: model.TradeKind(r.IntN(3)), MakerAsk: r.IntN(2) == 0,
		Price: num.Price(1 + r.IntN(1_000_000)), Size: num.Size(1 + r.IntN(1_000_000_000)),
	}
	if t.Epoch == 1 {
		t.Price *= 10
	}
	t.USD, _ = num.MulUSD(t.Price, 2+t.Epoch, t.Size, 4)
	return t
}

// naiveDay recomputes the day of a market from every trade there ever was.
func (g *rig) naiveDay(m int, now model.Millis) (text string, forced Forced) {
	from := now - now%60_000 - 1439*60_000
	all := make([]model.Trade, 0, len(g.trades[m]))
	for _, t := range g.trades[m] {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b model.Trade) int { return cmp.Compare(a.ID, b.ID) })
	price := func(t *model.Trade) *big.Rat {
		return big.NewRat(int64(t.Price), num.Pow10(2+t.Epoch))
	}
	var base, quote int64
	var n uint64
	var low, high, open, last, before *big.Rat
	for i := range all {
		t := &all[i]
		last = price(t)
		if t.Time < from {
			before = last
			continue
		}
		n++
		base += int64(t.Size)
		quote += int64(t.USD)
		if low == nil || last.Cmp(low) < 0 {
			low = last
		}
		if high == nil || last.Cmp(high) > 0 {
			high = last
		}
		if open == nil {
			open = last
		}
		if t.Kind == model.KindLiquidation || t.Kind == model.KindDeleverage {
			forced.Count++
			if t.MakerAsk {
				forced.Short += t.USD
			} else {
				forced.Long += t.USD
			}
		}
	}
	if before != nil {
		open = before
	}
	change := "none"
	if last != nil {
		moved := new(big.Rat).Sub(last, open)
		moved.Quo(moved.Mul(moved, big.NewRat(100, 1)), open)
		change = halfEven(moved, changeScale)
	}
	return fmt.Sprintf("n=%d base=%d quote=%d low=%s high=%s last=%s change=%s", n, base, quote, ratText(low), ratText(high), ratText(last), change), forced
}

// halfEven writes a fraction with so many decimals.
func halfEven(r *big.Rat, decimals int) string {
	shift := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	n := new(big.Int).Mul(r.Num(), shift)
	q, rest := new(big.Int).DivMod(n, r.Denom(), new(big.Int)) // rounds down
	switch twice := rest.Lsh(rest, 1); twice.Cmp(r.Denom()) {
	case 1:
		q.Add(q, big.NewInt(1))
	case 0:
		q.Add(q, big.NewInt(int64(q.Bit(0))))
	}
	return new(big.Rat).SetFrac(q, shift).FloatString(decimals)
}

func ratText(r *big.Rat) string {
	if r == nil {
		return "none"
	}
	return r.FloatString(4)
}

func decimalText(d num.Decimal, known bool, digits int) string {
	if !known {
		return "none"
	}
	return big.NewRat(d.Mant, num.Pow10(d.Scale)).FloatString(digits)
}

func (d *Day) text() string {
	if d.Trades == 0 {
		d = &Day{From: d.From, Last: d.Last, HasLast: d.HasLast, Change: d.Change, HasChange: d.HasChange}
	}
	return fmt.Sprintf("n=%d base=%d quote=%d low=%s high=%s last=%s change=%s", d.Trades, d.Base.Mant, d.Quote,
		decimalText(d.Low, d.Trades > 0, 4), decimalText(d.High, d.Trades > 0, 4), decimalText(d.Last, d.HasLast, 4), decimalText(d.Change, d.HasChange, changeScale))
}

// check compares every market's day with the recomputed one, where the ring says that it reaches back so far.
func (g *rig) check(t *testing.T) (compared int) {
	t.Helper()
	var sum Forced
	complete := true
	for i, m := range g.markets {
		d, _, err := g.stats.Day(m, g.now)
		if err != nil {
			t.Fatalf("day of market %d: %v", i, err)
		}
		again, _, _ := g.stats.Day(m, g.now)
		if again != d {
			t.Fatalf("a day that did not change is made anew")
		}
		r := g.stats.of(m.ID)
		if r.lost > d.From {
			complete = false
			continue
		}
		compared++
		want, forced := g.naiveDay(i, g.now)
		if got := d.text(); got != want {
			t.Fatalf("market %d at %d:\n got %s\nwant %s", i, g.now, got, want)
		}
		if got := g.stats.Forced(g.now, ForcedFilter{Market: m}); got != forced {
			t.Fatalf("market %d: forced out %+v, want %+v", i, got, forced)
		}
		short := g.stats.Forced(g.now, ForcedFilter{Market: m, Side: "short"})
		long := g.stats.Forced(g.now, ForcedFilter{Market: m, Side: "long"})
		a := g.stats.Forced(g.now, ForcedFilter{Market: m, Kind: model.KindLiquidation})
		b := g.stats.Forced(g.now, ForcedFilter{Market: m, Kind: model.KindDeleverage})
		if short.Count+long.Count != forced.Count || short.Short != forced.Short || long.Long != forced.Long || short.Long != 0 ||
			a.Count+b.Count != forced.Count || a.Long+b.Long != forced.Long || a.Short+b.Short != forced.Short {
			t.Fatalf("market %d: the parts %+v %+v %+v %+v are not the whole %+v", i, long, short, a, b, forced)
		}
		sum.Count += forced.Count
		sum.Long += forced.Long
		sum.Short += forced.Short
	}
	if count, long, short, total := g.stats.Liquidations24h(g.now); complete && (count != sum.Count || long != sum.Long || short != sum.Short || total != long+short) {
		t.Fatalf("liquidations: %d %d %d %d, want %+v", count, long, short, total, sum)
	}
	return compared
}

// The rolling day is what the stored trades of 24 hours come to, whatever came late or twice, however the clock moved and
// whenever the process began anew.
func TestDayAgainstRecomputation(t *testing.T) {
	compared, first := 0, rand.Uint64()
	for i := range uint64(25) {
		t.Run(fmt.Sprint("seed=", first+i), func(t *testing.T) {
			compared += randomDays(t, rand.New(rand.NewPCG(first+i, 1)))
		})
	}
	if compared < 100 {
		t.Errorf("only %d days were compared", compared)
	}
}

func randomDays(t *testing.T, r *rand.Rand) (compared int) {
	g := newRig(t, 2)
	for range 12 {
		m := r.IntN(2)
		switch r.IntN(8) {
		case 0: // the clock goes on, now and then by days
			g.set(g.now + model.Millis(r.Int64N([]int64{90_000, 7_200_000, 90_000_000, 300_000_000}[r.IntN(4)])))
			if r.IntN(2) == 0 {
				g.seal()
			}
		case 1: // or is set back
			g.set(g.now - model.Millis(r.Int64N([]int64{90_000, 7_200_000}[r.IntN(2)])))
		case 2:
			g.stop()
			g.start()
			g.seal()
		case 3: // what was told before is told again
			ids := slices.Sorted(maps.Keys(g.trades[m])) // so that a seed gives the same schedule again
			r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
			var rows []model.Trade
			for _, id := range ids[:min(len(ids), 20)] {
				rows = append(rows, g.trades[m][id])
			}
			g.deliver(m, rows...)
		default:
			var rows []model.Trade
			spread := []int64{1, 5_000, 3_600_000, 86_400_000, 200_000_000}[r.IntN(5)]
			for range 1 + r.IntN(30) {
				rows = append(rows, draw(r, g.now+1000-model.Millis(r.Int64N(spread))))
			}
			g.deliver(m, rows...)
		}
		compared += g.check(t)
	}
	return compared
}
