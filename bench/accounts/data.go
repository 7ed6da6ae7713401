package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	markets    = 100
	priceScale = 2
	sizeScale  = 4
	hour       = model.Millis(3_600_000)
	// fillsEach is how many fills every account has: an hour of trades gives each of them one.
	fillsEach = 20
)

// start is the first moment of the record, end the one after it, when every account is read from the venue.
var (
	start = model.Millis(time.Date(2025, 10, 6, 0, 0, 0, 0, time.UTC).UnixMilli())
	end   = start + fillsEach*hour
)

var allMarkets = func() []*model.Market {
	out := make([]*model.Market, markets)
	for i := range out {
		out[i] = &model.Market{ID: model.MarketID(i), Native: int64(i), Symbol: fmt.Sprintf("M%02d", i), Type: "perp", Active: true,
			PriceScale: priceScale, SizeScale: sizeScale, Scales: []model.Scale{{Price: priceScale, Size: sizeScale}},
			DefaultInitialMargin: 500, MinInitialMargin: 200, MaintenanceMargin: 120, CloseOutMargin: 80}
	}
	return out
}()

func marketOf(id model.MarketID) (*model.Market, bool) {
	if int(id) < len(allMarkets) {
		return allMarkets[id], true
	}
	return nil, false
}

// markOf is a market's mark price; it stands still, so that three stores can hold the same.
func markOf(id model.MarketID) num.Price { return num.Price(10_000 + 7_919*int64(id)) }

// fills of a trade are those of both sides: an hour pairs all accounts anew.
func trades(rnd *rand.Rand, accounts int, visit func(m model.MarketID, rows []model.Trade)) {
	var ids [markets]uint64
	order := rnd.Perm(accounts)
	for from := start; from < end; from += hour {
		rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		var rows [markets][]model.Trade
		for i := 0; i+1 < len(order); i += 2 {
			m := rnd.IntN(markets)
			ids[m]++
			at := from + model.Millis(int64(i)*int64(hour)/int64(len(order)))
			t := model.Trade{ID: ids[m], Time: at, Recv: at.Micros() + 40_000, MakerAsk: rnd.IntN(2) == 0,
				Price: markOf(model.MarketID(m)) + num.Price(rnd.IntN(200)), Size: num.Size(1 + rnd.IntN(200_000)),
				AskOrder: 281_474_976_710_656 + uint64(i)*13, BidOrder: 562_949_953_421_311 - uint64(i)*7,
				AskAccount: accountAt(order[i]), BidAccount: accountAt(order[i+1]), Block: 2_204_468 + uint64(at-start)/500, TakerFee: 200, MakerFee: 20,
				TxHash: fmt.Sprintf("%016x%016x%048x", 7_000_000_000+ids[m], int64(at), m)}
			t.USD = num.USD(int64(t.Price) * int64(t.Size))
			rows[m] = append(rows[m], t)
		}
		for m := range rows {
			visit(model.MarketID(m), rows[m])
		}
	}
}

// accountAt returns the index of the account at a place; 0 is nobody.
func accountAt(i int) model.AccountID { return model.AccountID(i + 1) }

// row makes an account as the venue tells it: with at least one open position and at most so many.
func row(rnd *rand.Rand, id model.AccountID, positions int) *model.Account {
	a := &model.Account{ID: id, Index: int64(id), Polled: end, Status: 1, Collateral: num.USD(rnd.Int64N(50_000e6)), TotalOrders: uint32(rnd.IntN(5))}
	for i := range a.Address {
		a.Address[i] = byte(rnd.Uint32())
	}
	a.Available, a.TotalValue, a.CrossValue = a.Collateral/2, a.Collateral*11/10, a.Collateral*11/10
	n, m := 1+rnd.IntN(positions), rnd.IntN(20)
	for range n {
		p := model.Position{Market: model.MarketID(m), Size: num.Size(1 + rnd.IntN(200_000)), Initial: 500, Realized: num.USD(rnd.Int64N(1000e6) - 500e6),
			FundingPaid: num.USD(rnd.Int64N(10e6) - 5e6), OpenOrders: uint32(rnd.IntN(3))}
		p.Entry = num.USD(int64(markOf(p.Market)) * int64(p.Size) * int64(95+rnd.IntN(10)) / 100)
		if rnd.IntN(2) == 0 {
			p.Size = -p.Size
		}
		a.Positions = append(a.Positions, p)
		m += 1 + rnd.IntN(15)
	}
	return a
}

// restingOrders knows the resting orders of accounts.
type restingOrders [][]model.OpenOrder

// AppendOrders appends an account's orders to dst.
func (r restingOrders) AppendOrders(dst []model.OpenOrder, id model.AccountID) []model.OpenOrder {
	if i := int(id) - 1; i >= 0 && i < len(r) {
		dst = append(dst, r[i]...)
	}
	return dst
}

// newRestingOrders makes from none to so many orders for each account.
func newRestingOrders(rnd *rand.Rand, accounts, orders int) restingOrders {
	r := make(restingOrders, accounts)
	for i := range r {
		for range rnd.IntN(orders + 1) {
			m := model.MarketID(rnd.IntN(markets))
			size := num.Size(1 + rnd.IntN(100_000))
			r[i] = append(r[i], model.OpenOrder{Market: m, Side: model.Side(rnd.IntN(2)), At: end, RestingOrder: model.RestingOrder{
				Account: accountAt(i), ID: 281_474_976_710_656 + uint64(i), Price: markOf(m) + num.Price(rnd.IntN(100)), Size: size, Initial: size}})
		}
	}
	return r
}
