package history

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv"
)

// testStart is shortly before midnight, so that short runs cross an hour and a day.
var testStart = model.Micros(time.Date(2025, 10, 9, 23, 52, 0, 0, time.UTC).UnixMicro())

// naiveRow is a book update as the model keeps it.
type naiveRow struct {
	update model.BookUpdate
	time   model.Millis
	recv   model.Micros
	epoch  uint8
}

// naiveMarket is the record of a market in plain slices and maps: what the readers must give.
type naiveMarket struct {
	m        *model.Market
	public   atomic.Pointer[model.Market] // m, for the writer's goroutine
	book     *book.Book                   // makes the views that the writer is given
	rows     []naiveRow
	held     []Interval // To 0: open
	trades   map[uint64]model.Trade
	order    []uint64      // ids in the order delivered
	withheld []model.Trade // happened, not yet delivered
	gap      *model.Gap    // the open book gap
	gaps     []model.Gap
	nextID   uint64
	seq      uint64
	last     model.Micros // receive time of the last row
}

// rig drives a writer as a shard would, and keeps the model beside it.
type rig struct {
	t         testing.TB
	rnd       *rand.Rand
	store     *kv.Store
	w         *Writer
	sink      market.Listener // w, or what records the calls
	r         *Reader
	markets   []*naiveMarket
	now       model.Micros
	tick      model.Micros
	stop      func()
	heartbeat model.Micros
	options   WriterOptions
	// exactCopies makes trades that come again equal to the first ones.
	exactCopies bool
}

// testSeed returns a random seed, or that of $HYPERLIGHT_SEED to repeat a failed run.
func testSeed(t testing.TB) uint64 {
	seed := rand.Uint64()
	if s := os.Getenv("HYPERLIGHT_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HYPERLIGHT_SEED=%d", seed)
	return seed
}

// rounds is how often a random test does something: seldom in the gate, where each run has another seed, and as often as is
// worth it with HYPERLIGHT_SOAK=1.
func rounds(gate, soak int) int {
	if os.Getenv("HYPERLIGHT_SOAK") != "" {
		return soak
	}
	return gate
}

func newRig(t testing.TB, store *kv.Store, seed uint64, markets int) *rig {
	g := &rig{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), store: store, now: testStart, tick: testStart}
	for i := range markets {
		m := &model.Market{ID: model.MarketID(i), Native: int64(i), Symbol: fmt.Sprintf("M%d", i), PriceScale: 2, SizeScale: 4,
			Scales: []model.Scale{{Price: 2, Size: 4}}, Active: true}
		g.markets = append(g.markets, &naiveMarket{m: m, book: book.New(), trades: map[uint64]model.Trade{}, nextID: 1})
		g.markets[i].public.Store(m)
	}
	g.r = NewReader(store, g.market)
	return g
}

func (g *rig) market(id model.MarketID) (*model.Market, bool) {
	if int(id) < len(g.markets) {
		return g.markets[id].public.Load(), true
	}
	return nil, false
}

// start runs a writer until the returned function (also kept in stop) is called.
func (g *rig) start() {
	g.t.Helper()
	if _, err := Recover(g.t.Context(), g.store); err != nil {
		g.t.Fatal(err)
	}
	o := g.options
	o.Store, o.Markets = g.store, g.market
	started := time.UnixMicro(int64(g.now))
	o.Now = func() time.Time { return started }
	if o.Interval == 0 {
		o.Interval = 5 * time.Millisecond
	}
	w, err := NewWriter(o)
	if err != nil {
		g.t.Fatal(err)
	}
	g.w, g.sink = w, w
	g.stop = runWriter(g.t, w)
}

func runWriter(t testing.TB, w *Writer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run writer: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func (g *rig) event(n *naiveMarket, p model.Payload, at model.Millis, v *book.View) {
	g.sink.OnEvent(&model.Event{Market: n.m.ID, Epoch: n.m.Epoch, Time: at, Recv: g.now, Payload: p}, v)
}

// advance moves the clock and ticks the full seconds passed, all of them or, after long, only the last one.
func (g *rig) advance(d model.Micros) {
	to := g.now + d
	for next := g.tick + second; next <= to; next += second {
		if to-next > 90*second {
			continue
		}
		g.now = next
		var held []market.Held
		for i, n := range g.markets {
			h := market.Held{Market: n.m, Minute: (int64(next)/1e6+int64(7*i))%60 == 0}
			if n.book.Synced() {
				h.View = n.book.View()
			}
			held = append(held, h)
		}
		g.sink.OnTick(next, held)
		g.tick = next
	}
	g.now = to
}

func (g *rig) levels(m *model.Market, side model.Side, n int) []model.Level {
	var out []model.Level
	for range n {
		p := 10000 - 1 - g.rnd.IntN(40)
		if side == model.Ask {
			p = 10000 + 1 + g.rnd.IntN(40)
		}
		size := g.rnd.IntN(5) * 1000
		out = append(out, model.Level{Price: num.Price(int64(p) * num.Pow10(m.Epoch)), Size: num.Size(size)})
	}
	return out
}

func (g *rig) snapshot(n *naiveMarket) {
	if n.gap != nil {
		end := *n.gap
		end.To = g.now
		g.event(n, &end, 0, nil)
		n.gaps = append(n.gaps, end)
		n.gap = nil
	}
	n.seq += uint64(1 + g.rnd.IntN(100))
	u := &model.BookUpdate{Snapshot: true, Bids: g.levels(n.m, model.Bid, 8), Asks: g.levels(n.m, model.Ask, 8), Seq: n.seq, Offset: n.seq, Chained: true}
	g.apply(n, u)
}

func (g *rig) delta(n *naiveMarket) {
	u := &model.BookUpdate{Bids: g.levels(n.m, model.Bid, g.rnd.IntN(4)), Asks: g.levels(n.m, model.Ask, g.rnd.IntN(4)),
		Prev: n.seq, Seq: n.seq + uint64(1+g.rnd.IntN(5)), Offset: n.seq, Chained: true}
	n.seq = u.Seq
	g.apply(n, u)
}

func (g *rig) apply(n *naiveMarket, u *model.BookUpdate) {
	at := g.now.Millis() - 20
	if have := n.book.Epoch(); have != n.m.Epoch {
		fromPrice, fromSize := n.m.ScaleAt(have)
		if err := n.book.Rescale(fromPrice, fromSize, n.m.PriceScale, n.m.SizeScale); err != nil {
			g.t.Fatal(err)
		}
		n.book.SetEpoch(n.m.Epoch)
	}
	if err := n.book.Apply(u, at, g.now); err != nil {
		g.t.Fatal(err)
	}
	if len(n.held) == 0 || n.held[len(n.held)-1].To != 0 {
		n.held = append(n.held, Interval{From: g.now})
	}
	n.rows = append(n.rows, naiveRow{*u, at, g.now, n.m.Epoch})
	n.last = g.now
	g.event(n, u, at, n.book.View())
}

// lose opens a gap in the book of a market.
func (g *rig) lose(n *naiveMarket, cause model.Cause) {
	if n.gap != nil || !n.book.Synced() {
		return
	}
	n.book.Desync()
	n.gap = &model.Gap{Kind: model.KindBook, From: n.last, Cause: cause}
	n.held[len(n.held)-1].To = n.last
	gap := *n.gap
	g.event(n, &gap, 0, nil)
}

// rescale widens the market's scale.
func (g *rig) rescale(n *naiveMarket) {
	m := *n.m
	m.Scales = append(slices.Clone(m.Scales), model.Scale{Price: m.PriceScale + 1, Size: m.SizeScale})
	m.PriceScale++
	m.Epoch++
	if err := SaveMarkets(g.store, []*model.Market{&m}); err != nil {
		g.t.Fatal(err)
	}
	n.m = &m
	n.public.Store(&m)
}

func (g *rig) trade(n *naiveMarket) model.Trade {
	n.nextID += uint64(1 + g.rnd.IntN(3))
	t := model.Trade{ID: n.nextID, Time: g.now.Millis() - model.Millis(g.rnd.IntN(3)), Recv: g.now, Epoch: n.m.Epoch,
		Price: num.Price(int64(10000+g.rnd.IntN(50)) * num.Pow10(n.m.Epoch)), Size: num.Size(1 + g.rnd.IntN(1000)), MakerAsk: g.rnd.IntN(2) == 0,
		AskOrder: g.rnd.Uint64() >> 8, BidOrder: g.rnd.Uint64() >> 8, AskAccount: model.AccountID(n.nextID * 7 % 9),
		BidAccount: model.AccountID((n.nextID*5 + uint64(n.m.ID)) % 9), Block: 5, TxHash: "abcdef0123456789"}
	t.USD = num.USD(int64(t.Price) * int64(t.Size))
	if g.rnd.IntN(10) == 0 {
		t.Kind = model.KindLiquidation
	}
	return t
}

// trades delivers new trades, some older ones again, and some that were withheld.
func (g *rig) deliverTrades(n *naiveMarket) {
	b := &model.TradeBatch{}
	for range 1 + g.rnd.IntN(4) {
		t := g.trade(n)
		if g.rnd.IntN(5) == 0 {
			n.withheld = append(n.withheld, t)
			continue
		}
		b.Rows = append(b.Rows, t)
	}
	if g.rnd.IntN(4) == 0 {
		b.History = true
		for _, id := range n.order {
			t := n.trades[id]
			if g.rnd.IntN(8) == 0 {
				if !g.exactCopies {
					t.Recv = 0 // another copy: the stored one must stay
				}
				b.Rows = append(b.Rows, t)
			}
			if len(b.Rows) > 12 {
				break
			}
		}
		for len(n.withheld) > 0 && g.rnd.IntN(3) > 0 {
			b.Rows = append(b.Rows, n.withheld[0])
			n.withheld = n.withheld[1:]
		}
	}
	slices.SortFunc(b.Rows, func(a, b model.Trade) int { return cmp.Compare(a.ID, b.ID) })
	for _, t := range b.Rows {
		if _, ok := n.trades[t.ID]; !ok {
			n.trades[t.ID] = t
			n.order = append(n.order, t.ID)
		}
	}
	g.event(n, b, g.now.Millis(), nil)
}

func (g *rig) flush() {
	g.t.Helper()
	if err := g.w.Flush(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
	g.heartbeat = g.tick
}

// restart stops the writer in good order and starts another one, as a new process would.
func (g *rig) restart() {
	g.flush()
	g.stop()
	for _, n := range g.markets {
		if k := len(n.held); k > 0 {
			if n.held[k-1].To == 0 {
				n.held[k-1].To = max(g.heartbeat, n.last)
			}
			cause := model.CauseDowntime
			if n.gap != nil {
				cause = n.gap.Cause
			}
			n.gap = &model.Gap{Kind: model.KindBook, From: n.held[k-1].To, Cause: cause}
		}
		n.book.Desync()
	}
	g.start()
	g.advance(model.Micros(1 + g.rnd.IntN(5_000_000)))
}

// step does one random thing.
func (g *rig) step() {
	n := g.markets[g.rnd.IntN(len(g.markets))]
	switch p := g.rnd.IntN(1000); {
	case p < 3:
		g.advance(model.Micros(1 + g.rnd.IntN(900_000_000)))
	case p < 60:
		g.advance(model.Micros(1 + g.rnd.IntN(3_000_000)))
	default:
		g.advance(model.Micros(1 + g.rnd.IntN(60_000)))
	}
	switch p := g.rnd.IntN(1000); {
	case p < 5:
		g.restart()
	case p < 20:
		g.lose(n, model.CauseNonce)
	case p < 24:
		if n.m.Epoch < 3 {
			g.rescale(n)
		}
	case p < 30:
		g.flush()
		if err := g.w.SealNow(g.t.Context(), time.UnixMicro(int64(g.now)+int64(g.rnd.IntN(2))*7_200_000_000)); err != nil {
			g.t.Fatal(err)
		}
	case p < 35:
		g.snapshot(n) // a resync that nobody lost anything for
	case p < 500:
		if !n.book.Synced() {
			if g.rnd.IntN(4) > 0 {
				return
			}
			g.snapshot(n)
			return
		}
		g.delta(n)
	default:
		g.deliverTrades(n)
	}
}
