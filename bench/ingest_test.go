package bench

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv"
)

// The traffic of the ingest benchmark: books of 1,000 levels a side, frames of five changed levels on average as
// recorded, and a frame of two trades with every tenth of them.
const (
	ingestMarkets = 100
	ingestFrames  = 120 // book frames per market and turn
	ingestDepth   = 1000
	firstNumber   = 10_000_000_000 // nonces and trade ids have eleven digits
)

// recorded is a frame whose nonces, ids and times are written anew for each turn, so that chain and clock go on.
type recorded struct {
	raw     []byte
	numbers []number
}

// number is one that grows by step in each turn; its digits keep their count.
type number struct {
	from, to    int
	first, step uint64
}

func (f *recorded) grows(name string, step uint64) {
	for from := 0; ; {
		i := bytes.Index(f.raw[from:], []byte(name))
		if i < 0 {
			return
		}
		from += i + len(name)
		to := from
		for f.raw[to] >= '0' && f.raw[to] <= '9' {
			to++
		}
		first, _ := strconv.ParseUint(string(f.raw[from:to]), 10, 64)
		f.numbers = append(f.numbers, number{from, to, first, step})
	}
}

// shift writes the numbers of a turn.
func (f *recorded) shift(turn uint64) {
	for _, n := range f.numbers {
		v := n.first + turn*n.step
		for i := n.to - 1; i >= n.from; i-- {
			f.raw[i] = byte('0' + v%10)
			v /= 10
		}
	}
}

// traffic is what a venue sends: whole books first, then the same frames turn after turn.
type traffic struct {
	markets []*model.Market
	starts  [][]byte
	frames  []recorded
	levels  int // changed in a turn
}

func newTraffic() *traffic {
	rnd := rand.New(rand.NewPCG(1, 2))
	t := &traffic{}
	for i := range ingestMarkets {
		m := &model.Market{ID: model.MarketID(i), Native: int64(i), Symbol: "M" + strconv.Itoa(i), Active: true, PriceScale: 2, SizeScale: 4,
			Scales: []model.Scale{{Price: 2, Size: 4}}}
		u := &model.BookUpdate{Snapshot: true, Seq: firstNumber, Chained: true, UpdatedAt: 1_760_000_000_000_000}
		for l := range num.Price(ingestDepth) {
			u.Bids = append(u.Bids, model.Level{Price: 319_999 - l, Size: num.Size(1 + rnd.IntN(100_000))})
			u.Asks = append(u.Asks, model.Level{Price: 320_000 + l, Size: num.Size(1 + rnd.IntN(100_000))})
		}
		t.markets = append(t.markets, m)
		t.starts = append(t.starts, lighter.AppendBookFrame(nil, m, 0, u, 1_760_000_000_000))
	}
	for i := range ingestFrames {
		for _, m := range t.markets {
			t.frames = append(t.frames, t.bookFrame(m, uint64(i), rnd))
			if i%10 == 0 {
				t.frames = append(t.frames, tradeFrame(m, uint64(i)))
			}
		}
	}
	return t
}

func (t *traffic) bookFrame(m *model.Market, i uint64, rnd *rand.Rand) recorded {
	u := &model.BookUpdate{Prev: firstNumber + 4*i, Seq: firstNumber + 4*i + 4, Chained: true, UpdatedAt: 1_760_000_000_000_000}
	for range 1 + rnd.IntN(9) {
		away, size := num.Price(rnd.ExpFloat64()*60), num.Size(rnd.IntN(3)*(1+rnd.IntN(100_000)))
		if rnd.IntN(2) == 0 {
			u.Bids = append(u.Bids, model.Level{Price: 319_999 - away, Size: size})
		} else {
			u.Asks = append(u.Asks, model.Level{Price: 320_000 + away, Size: size})
		}
		t.levels++
	}
	f := recorded{raw: lighter.AppendBookFrame(nil, m, 0, u, 1_760_000_000_000)}
	f.grows(`nonce":`, 4*ingestFrames) // begin_nonce as well
	return f
}

func tradeFrame(m *model.Market, i uint64) recorded {
	b := &model.TradeBatch{}
	at := model.Millis(1_760_000_000_000 + 50*i)
	for k := range uint64(2) {
		b.Rows = append(b.Rows, model.Trade{ID: firstNumber + 2*i + k + 1, Time: at, Price: 320_000, Size: 1234, USD: 394_880_000,
			AskOrder: 281_476_000_000_001, BidOrder: 562_949_000_000_001, AskAccount: 42, BidAccount: 99, Block: 77,
			TxHash: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"})
	}
	f := recorded{raw: lighter.AppendTradeFrame(nil, m, b)}
	f.grows(`"trade_id":`, 2*ingestFrames)
	f.grows(`"timestamp":`, 50*ingestFrames)
	return f
}

// counter tells how many events came out of the shards.
type counter struct{ n atomic.Int64 }

func (c *counter) OnEvent(*model.Event, *book.View)   { c.n.Add(1) }
func (c *counter) OnTick(model.Micros, []market.Held) {}

// BenchmarkIngest is the whole way of a frame: decoder, clone, shard, book and view, history writer, synced commit. The
// baseline is a bare Pebble batch writer that is given the rows which a turn made, in as many synced commits.
func BenchmarkIngest(b *testing.B) {
	t := newTraffic()
	store, err := kv.Open(kv.Options{Dir: b.TempDir(), MinFree: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	var registry *market.Registry
	commits := 0
	writer, err := history.NewWriter(history.WriterOptions{Store: store, OnCommit: func(int, time.Duration) { commits++ },
		Markets: func(id model.MarketID) (*model.Market, bool) { return registry.Get(id) }})
	if err != nil {
		b.Fatal(err)
	}
	var passed counter
	registry = market.NewRegistry(market.Options{Listeners: []market.Listener{writer, &passed}})
	for _, m := range t.markets {
		registry.Restore(m, market.Start{})
	}
	stopWriter, stopShards := start(b, writer.Run), start(b, registry.Run)
	decoder := lighter.NewDecoder(registry.Resolver(0, false))
	sent := int64(0)
	emit := func(e *model.Event) error {
		sent++
		own := e.Clone()
		own.Recv = model.Micros(time.Now().UnixMicro())
		return registry.Deliver(b.Context(), own)
	}
	decode := func(raw []byte) {
		if err := decoder.Decode(raw, model.Micros(time.Now().UnixMicro()), emit); err != nil {
			b.Fatalf("decode %s: %v", raw, err)
		}
	}
	settle := func() {
		for passed.n.Load() < sent {
			time.Sleep(100 * time.Microsecond)
		}
		if err := writer.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	turns := uint64(0)
	turn := func() int {
		for i := range t.frames {
			t.frames[i].shift(turns)
			decode(t.frames[i].raw)
		}
		settle()
		turns++
		return t.levels
	}
	for _, raw := range t.starts {
		decode(raw)
	}
	settle()
	commits = 0
	before := map[string]string{}
	for _, r := range Rows(b, store) {
		before[string(r.Key)] = string(r.Value)
	}
	turn()
	rows := slices.DeleteFunc(Rows(b, store), func(r Row) bool { return before[string(r.Key)] == string(r.Value) })
	group := len(rows)/commits + 1
	bare := OpenBare(b, b.TempDir())
	Compare(b, "levels", func() int { bare.WriteNew(rows, group); return t.levels }, turn)
	if synced, total := registry.Synced(); synced != total {
		b.Errorf("%d of %d books are in sync at the end", synced, total)
	}
	stopShards()
	stopWriter()
}

// start runs a part on a goroutine of its own; stop ends it and waits.
func start(b *testing.B, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
