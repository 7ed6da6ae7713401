package http

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// benchFills has the same fills for every account in memory.
type benchFills struct{ rows []model.Fill }

func (benchFills) Load(context.Context, []model.AccountID) error { return nil }

func (f benchFills) Recent(_ model.AccountID, n int, dst []model.Fill) ([]model.Fill, bool) {
	return append(dst, f.rows[:min(n, len(f.rows))]...), true
}

func (f benchFills) Append(dst []byte, _ model.AccountID, n int, market func(model.MarketID) *model.Market) ([]byte, bool) {
	return appendFakeFills(dst, f.rows[:min(n, len(f.rows))], market), true
}

// benchOrders has two resting orders for every account, which lie apart.
type benchOrders [][]model.OpenOrder

func (o benchOrders) AppendOrders(dst []model.OpenOrder, id model.AccountID) []model.OpenOrder {
	return append(dst, o[id]...)
}

func newBenchOrders(n int) benchOrders {
	o := make(benchOrders, n)
	for id := range o {
		for side := range model.Side(2) {
			o[id] = append(o[id], model.OpenOrder{Market: 0, Side: side, At: testNow, RestingOrder: model.RestingOrder{Account: model.AccountID(id),
				ID: 281_474_976_710_656 + uint64(id), Price: num.Price(310_000 + id%5000), Size: num.Size(10_000 + id), Initial: num.Size(20_000 + id)}})
		}
	}
	return o
}

// benchBatch measures whole calls through the server without a network: n of 100,000 known accounts, each with two open
// positions and one flat one, other ones in each call: what is known of them is in no cache of the processor. Those asked
// for are ten thousand. With moving marks every call finds other mark prices than the one before.
func benchBatch(b *testing.B, n int, include string, ready int64, moving bool) {
	f := newFixture(b, testOptions{edit: func(o *Options) {
		v := newVenueAccounts(b, testMarkets())
		const known = 100_000
		for id := range model.AccountID(known) {
			long, short := openPosition(0, "3.6956", "11177.933496", 2000), openPosition(1, "-0.25", "11000", 1000)
			long.Size += num.Size(id)
			v.tracker.Polled(&model.Account{ID: id, Index: int64(id), Address: model.Address{byte(id), byte(id >> 8)}, Polled: testNow - 500, Status: 1,
				Collateral: usd("46342") + num.USD(id), Available: usd("19995"), TotalValue: usd("46620"), CrossValue: usd("46620"),
				Positions: []model.Position{long, short, openPosition(2, "0", "0", 500)}})
		}
		rows := make([]model.Fill, 20)
		for i := range rows {
			t := trade(uint64(12345+i), testNow-model.Millis(i)*1000, "3200.50", "2.5", i%2 == 0)
			t.TxHash = "18906a7b9cdd1c2f18906a7b9cdd1c2f18906a7b9cdd1c2f18906a7b9cdd1c2f"
			rows[i] = t.Fill(0, i%3 == 0)
		}
		o.Accounts = v.options(&fakeHistory{})
		o.Accounts.Orders = newBenchOrders(100_000)
		o.Accounts.Fills, o.Accounts.ReadyBodies = benchFills{rows}, ready
		o.AccessLog = nil
	}})
	const known, asked, calls = 100_000, 10_000, 50
	r := rand.New(rand.NewPCG(1, 2))
	most := r.Perm(known)[:asked]
	bodies := make([][]byte, calls)
	for k := range bodies {
		body := []byte(`{"accounts":[`)
		for i, at := range r.Perm(asked)[:n] {
			if i > 0 {
				body = append(body, ',')
			}
			body = strconv.AppendInt(body, int64(most[at]), 10)
		}
		bodies[k] = append(append(append(body, `],"include":[`...), include...), "]}"...)
	}
	var ctx fasthttp.RequestCtx
	var req fasthttp.Request
	req.SetRequestURI("/api/v1/accounts/batch")
	req.Header.SetHost("localhost")
	req.Header.SetMethod("POST")
	ctx.Init(&req, loopback, nil)
	now := time.UnixMilli(int64(testNow))
	f.clock = func() time.Time { return now }
	call := func(k int) {
		ctx.Response.Reset()
		ctx.Request.SetBodyRaw(bodies[k%calls])
		f.Server.http.Handler(&ctx)
	}
	for k := range 3 * calls {
		call(k)
	}
	if ctx.Response.StatusCode() != 200 {
		b.Fatalf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
	b.SetBytes(int64(len(ctx.Response.Body())))
	b.ReportAllocs()
	from := cpuTime(b)
	for k := 0; b.Loop(); k++ {
		if moving {
			now = now.Add(time.Second)
		}
		call(k)
	}
	b.ReportMetric(float64(b.N)/(cpuTime(b)-from).Seconds(), "batches/cpu-s")
}

func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		for _, k := range []struct {
			name, include string
			ready         int64
			moving        bool
		}{
			{"rows", `"positions","orders"`, 0, true}, {"ready", `"positions","orders"`, 64 << 20, false}, {"marks", `"positions","orders"`, 64 << 20, true},
			{"fills", `"positions","orders","fills"`, 64 << 20, false},
		} {
			b.Run(fmt.Sprintf("%d/%s", n, k.name), func(b *testing.B) { benchBatch(b, n, k.include, k.ready, k.moving) })
		}
	}
}
