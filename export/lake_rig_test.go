package export

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/history"
	"hyperlight/engine/lake"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv"
	"hyperlight/kv/kvtest"
)

// rigStart is shortly before midnight.
var rigStart = time.Date(2026, 1, 1, 23, 59, 30, 0, time.UTC)

// rigMarket is a market and all that happened to it, in plain slices.
type rigMarket struct {
	m        *model.Market
	book     *book.Book
	updates  []rigUpdate
	held     []history.Interval
	gaps     []model.Gap
	trades   map[uint64]model.Trade
	withheld []*model.Trade
	fundings []model.Funding
	seq, id  uint64
}

type rigUpdate struct {
	u    model.BookUpdate
	at   model.Millis
	recv model.Micros
}

// rig drives a history writer as a shard would, and keeps what it was told.
type rig struct {
	t       testing.TB
	rnd     *rand.Rand
	store   *kv.Store
	w       *history.Writer
	markets []*rigMarket
	now     model.Micros
	clock   time.Time // of the lake
	known   map[model.Millis]map[lake.ID]any
}

func newRig(t testing.TB, markets int) *rig {
	seed := rand.Uint64()
	if s := os.Getenv("HYPERLIGHT_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HYPERLIGHT_SEED=%d", seed)
	g := &rig{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), store: kvtest.Open(t), now: model.Micros(rigStart.UnixMicro()),
		known: map[model.Millis]map[lake.ID]any{}}
	for i := range markets {
		g.markets = append(g.markets, &rigMarket{m: &model.Market{ID: model.MarketID(i), Native: int64(i), Symbol: fmt.Sprintf("M%d", i), PriceScale: 2,
			SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}, Active: true}, book: book.New(), trades: map[uint64]model.Trade{}})
	}
	w, err := history.NewWriter(history.WriterOptions{Store: g.store, Markets: g.get, Now: func() time.Time { return rigStart }, Interval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	g.w = w
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run writer: %v", err)
		}
	})
	return g
}

func (g *rig) get(id model.MarketID) (*model.Market, bool) {
	if int(id) < len(g.markets) {
		return g.markets[id].m, true
	}
	return nil, false
}

func (g *rig) all() (out []*model.Market) {
	for _, n := range g.markets {
		out = append(out, n.m)
	}
	return out
}

func (g *rig) event(n *rigMarket, p model.Payload, v *book.View) {
	g.w.OnEvent(&model.Event{Market: n.m.ID, Time: g.now.Millis() - 20, Recv: g.now, Payload: p}, v)
}

// advance moves the clock and ticks each full second passed, of a long time only the last one.
func (g *rig) advance(d time.Duration) {
	to := g.now + model.Micros(d.Microseconds())
	for next := g.now.Second() + 1e6; next <= to; next += 1e6 {
		if to-next > 90e6 {
			continue
		}
		g.now = next
		var held []market.Held
		for _, n := range g.markets {
			h := market.Held{Market: n.m, Minute: int64(next)/1e6%60 == 0}
			if n.book.Synced() {
				h.View = n.book.View()
			}
			held = append(held, h)
		}
		g.w.OnTick(next, held)
	}
	g.now = to
}

func (g *rig) levels(side model.Side, n int) (out []model.Level) {
	for range n {
		p := 10_000 - 1 - g.rnd.IntN(40)
		if side == model.Ask {
			p = 10_000 + 1 + g.rnd.IntN(40)
		}
		out = append(out, model.Level{Price: num.Price(p), Size: num.Size(g.rnd.IntN(5) * 1000)})
	}
	return out
}

// update changes a book; one that is not in sync becomes so, and its gap ends.
func (g *rig) update(n *rigMarket) {
	u := model.BookUpdate{Bids: g.levels(model.Bid, g.rnd.IntN(4)), Asks: g.levels(model.Ask, g.rnd.IntN(4)), Prev: n.seq,
		Seq: n.seq + 1 + uint64(g.rnd.IntN(5)), Chained: true}
	if !n.book.Synced() {
		u = model.BookUpdate{Snapshot: true, Bids: g.levels(model.Bid, 8), Asks: g.levels(model.Ask, 8), Seq: u.Seq, Chained: true}
		if k := len(n.gaps); k > 0 && n.gaps[k-1].To == 0 {
			n.gaps[k-1].To = g.now
			end := n.gaps[k-1]
			g.event(n, &end, nil)
		}
		n.held = append(n.held, history.Interval{From: g.now})
	}
	n.seq = u.Seq
	if err := n.book.Apply(&u, g.now.Millis()-20, g.now); err != nil {
		g.t.Fatal(err)
	}
	n.held[len(n.held)-1].To = g.now
	n.updates = append(n.updates, rigUpdate{u, g.now.Millis() - 20, g.now})
	g.event(n, &u, n.book.View())
}

// lose opens a gap in a book.
func (g *rig) lose(n *rigMarket) {
	if !n.book.Synced() {
		return
	}
	n.book.Desync()
	gap := model.Gap{Kind: model.KindBook, From: n.held[len(n.held)-1].To, Cause: model.CauseDisconnect}
	n.gaps = append(n.gaps, gap)
	g.event(n, &gap, nil)
}

// trade delivers a trade, or keeps it for later.
func (g *rig) trade(n *rigMarket) {
	n.id += 1 + uint64(g.rnd.IntN(3))
	t := model.Trade{ID: n.id, Time: g.now.Millis() - model.Millis(g.rnd.IntN(3)), Recv: g.now, Price: num.Price(10_000 + g.rnd.IntN(50)),
		Size: num.Size(1 + g.rnd.IntN(1000)), MakerAsk: g.rnd.IntN(2) == 0, AskOrder: n.id * 3, BidOrder: n.id * 5, AskAccount: 7, BidAccount: 9, Block: 5,
		TxHash: "abcdef0123456789"}
	t.USD = num.USD(int64(t.Price) * int64(t.Size))
	if g.rnd.IntN(10) == 0 {
		t.Kind = model.KindLiquidation
	}
	if g.rnd.IntN(8) == 0 {
		n.withheld = append(n.withheld, &t)
		return
	}
	n.trades[t.ID] = t
	g.event(n, &model.TradeBatch{Rows: []model.Trade{t}}, nil)
}

// nights drives a few busy minutes around so many midnights, with nothing held between them.
func (g *rig) nights(nights, steps int) {
	for night := range nights {
		for range steps {
			g.advance(time.Duration(1+g.rnd.IntN(600)) * time.Millisecond)
			n := g.markets[g.rnd.IntN(len(g.markets))]
			switch p := g.rnd.IntN(100); {
			case p < 2:
				g.lose(n)
			case p < 60:
				g.update(n)
			default:
				g.trade(n)
			}
		}
		for _, n := range g.markets {
			g.lose(n)
			hour := g.now.Millis() - g.now.Millis()%3_600_000
			f := model.Funding{Time: hour, Rate: num.Rate(g.rnd.IntN(100)), LongPays: true, Value: num.Decimal{Mant: int64(g.rnd.IntN(1000)), Scale: 4}}
			n.fundings = append(n.fundings, f)
			if err := g.w.AddFundings(g.t.Context(), n.m.ID, []model.Funding{f}, history.Span{From: hour, To: hour + 1}); err != nil {
				g.t.Fatal(err)
			}
		}
		g.advance(rigStart.Add(time.Duration(night+1) * 24 * time.Hour).Sub(time.UnixMicro(int64(g.now))))
	}
	g.flush()
	g.clock = time.UnixMicro(int64(g.now)).UTC()
}

func (g *rig) flush() {
	g.t.Helper()
	if err := g.w.Flush(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
}

// deliver gives what was kept for later to the record, as a backfill does, and returns of how many.
func (g *rig) deliver() (n int) {
	for _, m := range g.markets {
		if err := g.w.AddTrades(g.t.Context(), m.m.ID, m.withheld, history.Span{}); err != nil {
			g.t.Fatal(err)
		}
		for _, t := range m.withheld {
			m.trades[t.ID] = *t
		}
		n += len(m.withheld)
		m.withheld = nil
	}
	clear(g.known)
	return n
}

func (g *rig) options(store *kv.Store, dir string) LakeOptions {
	m, err := lake.OpenManifest(store, "store")
	if err != nil {
		g.t.Fatal(err)
	}
	return LakeOptions{Dir: dir, Manifest: m, History: history.NewReader(store, g.get), Markets: g.all, Now: func() time.Time { return g.clock },
		Enter: func(context.Context) (func(), error) { return func() {}, nil }, Logger: slog.New(slog.DiscardHandler)}
}

func (g *rig) lake(store *kv.Store, dir string) *Lake {
	l, err := NewLake(g.options(store, dir))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		if err := l.Close(); err != nil {
			g.t.Error(err)
		}
	})
	return l
}

// rewritten returns the record as a writer with another retention leaves it.
func (g *rig) rewritten(keep history.Retention) *kv.Store {
	g.t.Helper()
	g.flush()
	store := kvtest.CrashClone(g.t, g.store, 100)
	if _, err := history.Recover(g.t.Context(), store); err != nil {
		g.t.Fatal(err)
	}
	w, err := history.NewWriter(history.WriterOptions{Store: store, Markets: g.get, Now: func() time.Time { return g.clock }, Retention: keep})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	err = w.SealNow(ctx, g.clock.Add(24*time.Hour))
	if err == nil {
		err = w.ThinNow(ctx, g.clock.Add(24*time.Hour))
	}
	if err == nil {
		err = w.Flush(ctx)
	}
	for since, r := model.Millis(0), history.NewReader(store, g.get); keep.Trades > 0 && since == 0 && err == nil; {
		time.Sleep(time.Millisecond) // the writer's own jobs drop
		since, err = r.KeptSince(model.KindTrades)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		g.t.Fatal(err)
	}
	return store
}
