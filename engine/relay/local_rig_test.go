package relay

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv/kvtest"
)

// localMarkets is a registry whose markets are in whatever state a test wants.
type localMarkets struct {
	all   []*model.Market
	state map[model.MarketID]market.State
}

func (m *localMarkets) All() []*model.Market { return m.all }

func (m *localMarkets) get(id model.MarketID) (*model.Market, bool) {
	return m.ByNative(0, int64(id))
}

func (m *localMarkets) ByNative(venue uint8, native int64) (*model.Market, bool) {
	if venue != 0 || native < 0 || native >= int64(len(m.all)) {
		return nil, false
	}
	return m.all[native], true
}

func (m *localMarkets) State(id model.MarketID) (market.State, bool) {
	s, ok := m.state[id]
	return s, ok
}

func (m *localMarkets) Synced() (synced, total int) {
	for _, s := range m.state {
		if s.Synced {
			synced++
		}
	}
	return synced, len(m.all)
}

// localRig is a record, what the stream told, and the answers made of both. Its clock stands where the test puts it.
type localRig struct {
	t       testing.TB
	markets *localMarkets
	writer  *history.Writer
	live    *Live
	polled  *Polled
	local   *Answers
	clock   atomic.Int64 // ms
	trades  map[model.MarketID][]model.Trade
	lastID  uint64
}

// localBegin is a midnight.
const localBegin = model.Millis(1_785_024_000_000)

func newLocalRig(t testing.TB, markets int) *localRig {
	t.Helper()
	r := &localRig{t: t, markets: &localMarkets{state: map[model.MarketID]market.State{}}, live: NewLive(), polled: NewPolled(),
		trades: map[model.MarketID][]model.Trade{}, lastID: 1000}
	for i := range markets {
		r.markets.all = append(r.markets.all, &model.Market{ID: model.MarketID(i), Native: int64(i), Symbol: fmt.Sprint("M", i), Type: "perp",
			Active: true, PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}})
		r.markets.state[model.MarketID(i)] = market.State{Synced: true, TradesHeld: true}
	}
	r.clock.Store(int64(localBegin))
	store := kvtest.Open(t)
	var err error
	r.writer, err = history.NewWriter(history.WriterOptions{Store: store, Markets: r.markets.get, Now: r.now, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- r.writer.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	r.local = NewLocal(LocalOptions{
		Markets: r.markets, History: history.NewReader(store, r.markets.get), Live: r.live, Polled: r.polled, Now: r.now,
	})
	return r
}

func (r *localRig) now() time.Time { return time.UnixMilli(r.clock.Load()) }

func (r *localRig) millis() model.Millis { return model.Millis(r.clock.Load()) }

// tell tells both listeners an event of now.
func (r *localRig) tell(id model.MarketID, p model.Payload) {
	e := &model.Event{Market: id, Time: r.millis(), Recv: r.millis().Micros(), Payload: p}
	r.live.OnEvent(e, nil)
	r.writer.OnEvent(e, nil)
}

// trade lets a trade happen now; ids are those of the whole exchange.
func (r *localRig) trade(id model.MarketID, price num.Price, size num.Size) {
	r.lastID += 3
	t := model.Trade{ID: r.lastID, Time: r.millis(), Recv: r.millis().Micros(), Price: price, Size: size, USD: num.USD(int64(price) * int64(size)),
		AskOrder: r.lastID * 7, BidOrder: r.lastID * 9, AskAccount: 5, BidAccount: 6, Block: r.lastID / 2, TxHash: "00ab", HasClients: true,
		MakerAsk: r.lastID%2 == 0, TransactionTime: r.millis().Micros()}
	r.trades[id] = append(r.trades[id], t)
	r.tell(id, &model.TradeBatch{Rows: []model.Trade{t}})
}

// tick ends the current second.
func (r *localRig) tick() {
	r.clock.Store(r.clock.Load()/1000*1000 + 1000)
	var held []market.Held
	for _, m := range r.markets.all {
		held = append(held, market.Held{Market: m, TradesHeld: true})
	}
	r.writer.OnTick(r.millis().Micros(), held)
}

func (r *localRig) flush() {
	r.t.Helper()
	if err := r.writer.Flush(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *localRig) answer(call, query string) (string, bool) {
	body, ok := r.local.Answer(context.Background(), call, ParseQuery([]byte(query)))
	return string(body), ok
}

// keep takes a poll's answer at the rig's time.
func (r *localRig) keep(call, body string) {
	r.t.Helper()
	if err := r.polled.Keep(call, []byte(body), r.now()); err != nil {
		r.t.Fatal(err)
	}
}
