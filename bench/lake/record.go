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
	priceScale = 1
	sizeScale  = 5
	day        = model.Millis(86_400_000)
)

// start is the first moment of the record, a midnight.
var start = model.Millis(time.Date(2025, 10, 6, 0, 0, 0, 0, time.UTC).UnixMilli())

// busy is the market of the made-up record.
var busy = &model.Market{ID: 1, Native: 1, Symbol: "BTC", Type: "perp", Active: true,
	PriceScale: priceScale, SizeScale: sizeScale, Scales: []model.Scale{{Price: priceScale, Size: sizeScale}}}

// traders draws accounts, orders and sizes as often as they stand in the record that madeUp copies.
type traders struct{ *rand.Rand }

// account: few make most trades, and one in seven is a sub-account, whose ids count down from 2^48.
func (r traders) account() model.AccountID {
	n := int64(20_000 * math.Pow(r.Float64(), 4))
	if n%7 == 3 {
		return model.AccountID(1<<48 - 1 - n*n%59_999)
	}
	return model.AccountID(n * 7919 % 224_419)
}

// size: half of all have one of some hundred sizes that quoting programs like.
func (r traders) size() num.Size {
	if r.IntN(2) == 0 {
		n := int64(120 * math.Pow(r.Float64(), 2))
		return num.Size(20 + n*n%977)
	}
	return num.Size(1 + math.Exp(5.5+1.7*r.NormFloat64()))
}

// fills is how many trades an order makes that takes: seven of ten one, few a long sweep; 1.9 on average.
func (r traders) fills() int {
	switch n := r.IntN(100); {
	case n < 71:
		return 1
	case n < 98:
		return 2 + int(r.ExpFloat64())
	}
	return 5 + int(12*r.ExpFloat64())
}

// madeUp makes n trades of a market on one day, the same ones for the same seed. They are made after 519 trades of Lighter's BTC
// that were recorded in half a minute of 2025-10-09: an order that takes makes 1.9 trades, and 2.5 such orders come in one moment
// and frame. Two of three first trades of an order have a transaction of 40 random bytes; all others have an unbroken count, the
// moment and 24 bytes of zero. Fees are those of the maker's account. Ids of trades are those of all markets, so that some lack.
func madeUp(n int, seed uint64) []model.Trade {
	rnd := traders{rand.New(rand.NewPCG(seed, 1))}
	out := make([]model.Trade, 0, n)
	price, id, order, hashed := int64(1_210_000), uint64(212_000_000), int64(252_000_000), uint64(13_000_000_000)
	at := float64(start)
	step := float64(day) / float64(n) * 4.8 // a moment has as many trades on average
	for len(out) < n {
		at = min(at+rnd.ExpFloat64()*step, float64(start+day-1))
		now := model.Millis(at)
		moment := model.Trade{Time: now, Recv: now.Micros() + 40_000 + model.Micros(rnd.IntN(20_000)), Block: 60_000_000 + uint64(now-start)/130}
		hashed += 1 + uint64(100*rnd.ExpFloat64())
		for more := true; more && len(out) < n; more = rnd.IntN(5) < 3 {
			price = max(10_000, price+int64(8*rnd.NormFloat64()))
			buys, towards := rnd.IntN(2) == 0, int64(-1)
			if buys {
				towards = 1
			}
			order += 1 + int64(9*rnd.ExpFloat64())
			takerOrder, takerAccount := order, rnd.account()
			makerOrder, makerAccount := order-int64(2_000*rnd.ExpFloat64()), rnd.account()
			for fill := range min(n-len(out), rnd.fills()) {
				if fill > 0 {
					price += towards * int64(3*rnd.ExpFloat64())
				}
				if rnd.IntN(5) > 0 { // else the maker of the last trade
					makerOrder, makerAccount = order-int64(2_000*rnd.ExpFloat64()), rnd.account()
				}
				t := moment
				if id++; fill == 0 {
					id += uint64(4 * rnd.ExpFloat64())
				}
				if fill == 0 && rnd.IntN(3) > 0 {
					t.TxHash = fmt.Sprintf("%016x%016x%016x%016x%016x", rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64())
				} else {
					hashed++
					t.TxHash = fmt.Sprintf("%016x%016x%048x", hashed, int64(now), 0)
				}
				t.ID, t.MakerAsk, t.Price, t.Size = id, buys, num.Price(price), rnd.size()
				t.USD = num.USD(int64(t.Price) * int64(t.Size))
				if makerAccount%3 > 0 {
					t.MakerFee = 20
				}
				// Ids of asks count up, those of bids down.
				if buys {
					t.BidOrder, t.AskOrder, t.BidAccount, t.AskAccount = 844_424_930_131_967-uint64(takerOrder), 562_949_953_421_312+uint64(makerOrder), takerAccount, makerAccount
				} else {
					t.AskOrder, t.BidOrder, t.AskAccount, t.BidAccount = 562_949_953_421_312+uint64(takerOrder), 844_424_930_131_967-uint64(makerOrder), takerAccount, makerAccount
				}
				out = append(out, t)
			}
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
