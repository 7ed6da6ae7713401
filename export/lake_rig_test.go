package export

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
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
	m, err := lake.OpenManifest(store)
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
