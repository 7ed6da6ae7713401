package bench

import (
	"bytes"
	"math/rand/v2"
	"strconv"

	"hyperlight/engine/feed/lighter"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	turnFrames  = 120            // book frames per market and turn
	firstNumber = 10_000_000_000 // nonces and trade ids have eleven digits
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

// traffic is what a venue sends: whole books first, then the same frames turn after turn. A book frame changes five levels
// on average, as recorded; with every tenth comes a frame of two trades.
type traffic struct {
	markets []*model.Market
	starts  [][]byte
	frames  []recorded
	levels  int // changed in a turn
}

// newTraffic makes books of so many levels a side.
func newTraffic(markets, depth int) *traffic {
	rnd := rand.New(rand.NewPCG(1, 2))
	t := &traffic{}
	for i := range markets {
		m := &model.Market{ID: model.MarketID(i), Native: int64(i), Symbol: "M" + strconv.Itoa(i), Active: true, PriceScale: 2, SizeScale: 4,
			Scales: []model.Scale{{Price: 2, Size: 4}}}
		u := &model.BookUpdate{Snapshot: true, Seq: firstNumber, Chained: true, UpdatedAt: 1_760_000_000_000_000}
		for l := range num.Price(depth) {
			u.Bids = append(u.Bids, model.Level{Price: 319_999 - l, Size: num.Size(1 + rnd.IntN(100_000))})
			u.Asks = append(u.Asks, model.Level{Price: 320_000 + l, Size: num.Size(1 + rnd.IntN(100_000))})
		}
		t.markets = append(t.markets, m)
		t.starts = append(t.starts, lighter.AppendBookFrame(nil, m, 0, u, 1_760_000_000_000))
	}
	for i := range turnFrames {
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
	f.grows(`nonce":`, 4*turnFrames) // begin_nonce as well
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
	f.grows(`"trade_id":`, 2*turnFrames)
	f.grows(`"timestamp":`, 50*turnFrames)
	return f
}
