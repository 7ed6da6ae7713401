package bench

import (
	"context"
	"math/rand"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/history"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/kv"
	"hyperlight/ws"
)

// past is a server of the stored record of one busy market.
type past struct {
	options  ws.Options
	addr     string
	from, to model.Millis
}

// oneMarket is a registry of one.
type oneMarket struct{ m *model.Market }

func (o oneMarket) Get(id model.MarketID) (*model.Market, bool) { return o.m, id == o.m.ID }
func (o oneMarket) All() []*model.Market                        { return []*model.Market{o.m} }
func (o oneMarket) ByNative(_ uint8, native int64) (*model.Market, bool) {
	return o.m, native == o.m.Native
}

// anybody lets everybody in under the highest plan.
type anybody struct{ plan *access.Plan }

func (a anybody) Authenticate(access.Request) (*access.Principal, error) {
	return &access.Principal{Plan: a.plan, Account: "local", Local: true}, nil
}
func (anybody) Recheck(p *access.Principal, _ netip.Addr) (*access.Principal, error) { return p, nil }
func (anybody) Changed() <-chan struct{}                                             { return nil }
func (anybody) Spend(*access.Principal, int64, model.Millis) bool                    { return true }
func (a anybody) Plans() []*access.Plan                                              { return []*access.Plan{a.plan} }
func (anybody) TakeIP(netip.Addr, access.IPClass, model.Millis) access.Decision {
	return access.Decision{OK: true}
}

// newPast records so many seconds of a market of 1,000 levels with 50 updates of six levels and 17 trades a second, seals
// them, and serves them.
func newPast(b *testing.B, seconds int) *past {
	first := time.Date(2025, 10, 9, 10, 0, 0, 0, time.UTC)
	p := &past{from: model.Millis(first.UnixMilli())}
	p.to = p.from + model.Millis(seconds)*1000
	m := &model.Market{Symbol: "M0", Active: true, PriceScale: 2, SizeScale: 4, Scales: []model.Scale{{Price: 2, Size: 4}}}
	store, err := kv.Open(kv.Options{Dir: b.TempDir(), MinFree: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	get := oneMarket{m}.Get
	later := first.Add(24 * time.Hour)
	w, err := history.NewWriter(history.WriterOptions{Store: store, Markets: get, Import: true, Now: func() time.Time { return later }})
	if err != nil {
		b.Fatal(err)
	}
	stop := start(b, w.Run)
	imp := market.NewImporter(market.Options{Listeners: []market.Listener{w}})
	imp.Registry().Restore(m, market.Start{})
	p.record(imp)
	if err := w.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := w.SealNow(b.Context(), later); err != nil {
		b.Fatal(err)
	}
	stop()
	plans := access.DefaultPlans()
	p.options = ws.Options{Markets: oneMarket{m}, Access: anybody{&plans[len(plans)-1]}, History: history.NewReader(store, get),
		Limits: ws.Limits{MessageRate: 1e6, MessageBurst: 1e6},
		Native: ws.Native{Book: lighter.AppendBookFrame, Trades: lighter.AppendTradeFrame, Stats: lighter.AppendMarketStatsFrame}}
	p.serve(b)
	return p
}

// record makes the market's frames.
func (p *past) record(imp *market.Importer) {
	r := rand.New(rand.NewSource(1))
	u := &model.BookUpdate{Snapshot: true, Seq: 10_000_000_000, Chained: true}
	for i := range num.Price(500) {
		u.Bids = append(u.Bids, model.Level{Price: 319_999 - i, Size: 10_000})
		u.Asks = append(u.Asks, model.Level{Price: 320_001 + i, Size: 10_000})
	}
	seq, id := u.Seq, uint64(10_000_000_000)
	for at := p.from.Micros(); at < p.to.Micros(); at += 20_000 {
		imp.Handle(&model.Event{Time: at.Millis() - 15, Recv: at, Payload: u})
		u = &model.BookUpdate{Prev: seq, Seq: seq + 1 + uint64(r.Intn(5)), Chained: true}
		seq = u.Seq
		for range 3 {
			u.Bids = append(u.Bids, model.Level{Price: num.Price(319_999 - r.Intn(60)), Size: num.Size(1 + r.Intn(100_000))})
			u.Asks = append(u.Asks, model.Level{Price: num.Price(320_001 + r.Intn(60)), Size: num.Size(1 + r.Intn(100_000))})
		}
		if r.Intn(3) == 0 {
			id++
			row := model.Trade{ID: id, Time: at.Millis(), Recv: at + 3, Price: 320_000, Size: num.Size(1 + r.Intn(100_000)),
				USD: num.USD(r.Intn(1e9)), MakerAsk: r.Intn(2) == 0, AskOrder: id * 3, BidOrder: id * 5, AskAccount: 5, BidAccount: 6,
				Block: 77, TxHash: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
			imp.Handle(&model.Event{Recv: at + 3, Payload: &model.TradeBatch{Rows: []model.Trade{row}}})
		}
	}
}

func (p *past) serve(b *testing.B) {
	s, err := ws.New(p.options)
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &fasthttp.Server{Handler: s.Replay}
	go srv.Serve(ln)
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = s.Close(ctx)
		_ = srv.ShutdownWithContext(ctx)
	})
	p.addr = ln.Addr().String()
}

func (p *past) dial(b *testing.B) *websocket.Conn {
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+p.addr+"/ws/replay", nil)
	if err != nil {
		b.Fatal(err)
	}
	return conn
}
