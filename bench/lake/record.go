package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
	"hyperlight/export"
)

const (
	priceScale = 2
	sizeScale  = 4
	day        = model.Millis(86_400_000)
)

// start is the first moment of the record, a midnight.
var start = model.Millis(time.Date(2025, 10, 6, 0, 0, 0, 0, time.UTC).UnixMilli())

// busy is the market of the made-up record.
var busy = &model.Market{ID: 1, Native: 1, Symbol: "BTC", Type: "perp", Active: true,
	PriceScale: priceScale, SizeScale: sizeScale, Scales: []model.Scale{{Price: priceScale, Size: sizeScale}}}

// madeUp makes n trades of a market on one day, the same ones for the same seed, as bench/postgres makes them: a taker sweeps
// some makers in one moment, with one transaction and one order.
func madeUp(n int, seed uint64) []model.Trade {
	rnd := rand.New(rand.NewPCG(seed, 1))
	account := func() model.AccountID { return model.AccountID(20_000 * math.Pow(rnd.Float64(), 4)) } // few make most trades
	out := make([]model.Trade, 0, n)
	price, id, hashed := int64(11_200_000), uint64(1_000_000), uint64(7_000_000_000)
	at := float64(start)
	step := float64(day) / float64(n) * 3.5 // a sweep has as many trades on average
	for len(out) < n {
		at = min(at+rnd.ExpFloat64()*step, float64(start+day-1))
		buys := rnd.IntN(2) == 0
		hashed += uint64(1 + rnd.IntN(5))
		now := model.Millis(at)
		swept := model.Trade{Time: now, Recv: now.Micros() + 40_000 + model.Micros(rnd.IntN(20_000)), MakerAsk: buys, Block: 2_204_468 + uint64(now-start)/500,
			TxHash: fmt.Sprintf("%016x%016x%048x", hashed, int64(now), 0)}
		takerOrder, takerAccount := 281_474_976_710_656+id*13, account()
		for range min(n-len(out), 1+rnd.IntN(6)) {
			t := swept
			id++
			price = max(50, price+int64(rnd.IntN(7))-3)
			t.ID, t.Price, t.Size = id, num.Price(price), num.Size(1+rnd.IntN(2_000)*rnd.IntN(50))
			t.USD = num.USD(int64(t.Price) * int64(t.Size))
			makerOrder, makerAccount := 562_949_953_421_311-id*7, account()
			if buys {
				t.BidOrder, t.AskOrder, t.BidAccount, t.AskAccount = takerOrder, makerOrder, takerAccount, makerAccount
			} else {
				t.AskOrder, t.BidOrder, t.AskAccount, t.BidAccount = takerOrder, makerOrder, takerAccount, makerAccount
			}
			out = append(out, t)
		}
	}
	return out
}

// madeUpRows makes n trades as rows of the lake.
func madeUpRows(n int, seed uint64) ([]export.Trade, error) {
	trades := madeUp(n, seed)
	rows := make([]export.Trade, n)
	for i := range trades {
		var err error
		if rows[i], err = export.NewTrade(busy, &trades[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
