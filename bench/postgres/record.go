package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"hyperlight/engine/book"
	"hyperlight/engine/market"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	markets     = 100
	days        = 4
	bookMarkets = 4
	bookSeconds = 1800
	priceScale  = 2
	sizeScale   = 4
	hour        = model.Millis(3_600_000)
	day         = 24 * hour
)

// start is the first moment of the record, a midnight.
var start = model.Millis(time.Date(2025, 10, 6, 0, 0, 0, 0, time.UTC).UnixMilli())

// end is the first moment after it.
var end = start + days*day

// listed are the markets of the record.
func listed() []*model.Market {
	out := make([]*model.Market, markets)
	for i := range out {
		out[i] = &model.Market{ID: model.MarketID(i), Native: int64(i), Symbol: fmt.Sprintf("M%02d", i), Type: "perp", Active: true,
			PriceScale: priceScale, SizeScale: sizeScale, Scales: []model.Scale{{Price: priceScale, Size: sizeScale}}}
	}
	return out
}

// shares is how much of all trades each market has: the first a fifth, the last a five-hundredth.
func shares() []float64 {
	out, sum := make([]float64, markets), 0.0
	for i := range out {
		out[i] = 1 / float64(i+1)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// tape makes the trades of all markets, the same ones for the same seed.
type tape struct {
	rnd    *rand.Rand
	share  []float64
	id     [markets]uint64
	price  [markets]int64
	block  uint64
	hashed uint64
}

func newTape(seed uint64) *tape {
	t := &tape{rnd: rand.New(rand.NewPCG(seed, 1)), share: shares(), block: 2_204_468}
	for i := range t.price {
		t.price[i], t.id[i] = int64(math.Exp(4+9*t.rnd.Float64())), uint64(1_000_000*(i+1))
	}
	return t
}

// trade is a trade and its market.
type trade struct {
	market int
	model.Trade
}

// next appends the trades of an hour of which the whole record has n, in the order in which they come.
func (t *tape) next(dst []trade, from model.Millis, n int) []trade {
	began := len(dst)
	hours := float64(days * 24)
	for m := range markets {
		due := float64(n)*t.share[m]/hours + t.rnd.Float64()
		for left := int(due); left > 0; {
			// A taker sweeps some makers: one moment, one transaction, one order of the taker.
			at := from + model.Millis(t.rnd.Int64N(int64(hour)))
			burst := min(left, 1+t.rnd.IntN(6))
			buys := t.rnd.IntN(2) == 0
			for range burst {
				dst = append(dst, trade{m, model.Trade{Time: at, MakerAsk: buys}})
			}
			left -= burst
		}
	}
	rows := dst[began:]
	slices.SortStableFunc(rows, func(a, b trade) int {
		if a.Time != b.Time {
			return int(a.Time - b.Time)
		}
		return a.market - b.market
	})
	for i := range rows {
		t.fill(&rows[i], i > 0 && rows[i-1].market == rows[i].market && rows[i-1].Time == rows[i].Time, rows[:i])
	}
	return dst
}

// fill sets what follows from the order of the trades.
func (t *tape) fill(r *trade, swept bool, before []trade) {
	m := r.market
	t.id[m]++
	r.ID, r.Recv = t.id[m], r.Time.Micros()+40_000+model.Micros(t.rnd.IntN(20_000))
	if t.price[m] += int64(t.rnd.IntN(7)) - 3; t.price[m] < 50 {
		t.price[m] = 50
	}
	r.Price, r.Size = num.Price(t.price[m]), num.Size(1+t.rnd.IntN(2_000)*t.rnd.IntN(50))
	r.USD = num.USD(int64(r.Price) * int64(r.Size))
	taker, maker := 281_474_976_710_656+t.id[m]*13, 562_949_953_421_311-t.id[m]*7
	takerAccount, makerAccount := t.account(), t.account()
	if swept {
		last := &before[len(before)-1]
		r.MakerAsk, r.Recv, r.TxHash = last.MakerAsk, last.Recv, last.TxHash
		if last.MakerAsk {
			taker, takerAccount = last.BidOrder, last.BidAccount
		} else {
			taker, takerAccount = last.AskOrder, last.AskAccount
		}
	} else {
		t.hashed += uint64(1 + t.rnd.IntN(5))
		r.TxHash = fmt.Sprintf("%016x%016x%048x", 7_000_000_000+t.hashed, int64(r.Time), 0)
	}
	if r.MakerAsk {
		r.BidOrder, r.AskOrder, r.BidAccount, r.AskAccount = taker, maker, takerAccount, makerAccount
	} else {
		r.AskOrder, r.BidOrder, r.AskAccount, r.BidAccount = taker, maker, takerAccount, makerAccount
	}
	r.Block = t.block + uint64(r.Time-start)/500
}

// account draws an account: few make most trades.
func (t *tape) account() model.AccountID {
	return model.AccountID(20_000 * math.Pow(t.rnd.Float64(), 4))
}

// books tells a listener half an hour of a market's book: ten updates a second, 400 levels a side.
func books(id int, m *model.Market, l market.Listener) error {
	rnd := rand.New(rand.NewPCG(uint64(id), 2))
	live, seq := book.New(), uint64(1)
	first := &model.BookUpdate{Snapshot: true, Seq: seq, Chained: true}
	for i := range num.Price(400) {
		first.Bids = append(first.Bids, model.Level{Price: 3_199_999 - i, Size: num.Size(1 + rnd.IntN(100_000))})
		first.Asks = append(first.Asks, model.Level{Price: 3_200_000 + i, Size: num.Size(1 + rnd.IntN(100_000))})
	}
	at := (start + day).Micros()
	for i := range bookSeconds * 10 {
		u := first
		if i > 0 {
			u = &model.BookUpdate{Prev: seq, Seq: seq + 7, Offset: seq, Chained: true}
			for range 1 + rnd.IntN(9) {
				p, s := num.Price(rnd.ExpFloat64()*60), num.Size(rnd.IntN(3)*(1+rnd.IntN(100_000)))
				if rnd.IntN(2) == 0 {
					u.Bids = append(u.Bids, model.Level{Price: 3_199_999 - p, Size: s})
				} else {
					u.Asks = append(u.Asks, model.Level{Price: 3_200_000 + p, Size: s})
				}
			}
		}
		seq = u.Seq
		recv := at + model.Micros(i)*100_000
		if err := live.Apply(u, recv.Millis()-30, recv); err != nil {
			return fmt.Errorf("make book: %w", err)
		}
		l.OnEvent(&model.Event{Market: m.ID, Recv: recv, Time: recv.Millis() - 30, Payload: u}, live.View())
		if next := recv + 100_000; next%1_000_000 == 0 {
			l.OnTick(next, []market.Held{{Market: m, View: live.View(), Minute: next%60_000_000 == 0}})
		}
	}
	return nil
}
