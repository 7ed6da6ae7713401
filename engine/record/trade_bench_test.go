package record

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// likeTrades makes n trades whose members are distributed about as in the recordings: a taker meets one to five makers,
// a quarter of the trades is made by a few market makers, prices move by ticks, orders are young.
func likeTrades(n int, seed uint64) []model.Trade {
	rnd := rand.New(rand.NewPCG(seed, 7))
	zipf := rand.NewZipf(rnd, 1.25, 8, 200_000)
	account := func() model.AccountID { return model.AccountID((zipf.Uint64()*7919 + 1201) % 220_000) }
	rows := make([]model.Trade, 0, n)
	id, ms, block := uint64(212_746_642), int64(1_760_041_996_008), uint64(60_924_299)
	next := [2]uint64{562_950_205_408_131, 844_424_674_503_937}
	price := int64(1_210_400)
	for len(rows) < n {
		id += 1 + uint64(rnd.IntN(9))
		if rnd.IntN(3) > 0 {
			dt := int64(rnd.ExpFloat64() * 300)
			ms, block = ms+dt, block+uint64(dt/150)
		}
		price += int64(rnd.NormFloat64() * 8)
		ask := rnd.IntN(2) == 0
		taker, takerAccount := uint64(rnd.IntN(40)), account()
		next[0], next[1] = next[0]+uint64(rnd.IntN(60)), next[1]-uint64(rnd.IntN(60))
		hash := fmt.Sprintf("%016x%016x%048d", 13_137_000_000+id, ms, 0)
		if rnd.IntN(3) == 0 {
			hash = fmt.Sprintf("%016x%016x%016x%016x%016x", rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64())
		}
		for range 1 + rnd.IntN(3) {
			if len(rows) == n {
				break
			}
			t := model.Trade{ID: id, Time: model.Millis(ms), Recv: model.Micros(ms*1000 + 24_000), Block: block, MakerAsk: ask,
				Price: num.Price(price), Size: num.Size(1 + rnd.ExpFloat64()*3000), TxHash: hash,
				TransactionTime: model.Micros(ms*1000 - int64(rnd.IntN(20_000))), TakerFee: 28, HasClients: true,
				TakerBefore: model.PositionBefore{Known: true, Size: num.Size(rnd.NormFloat64() * 100_000), EntryQuote: num.USD(rnd.Int64N(1 << 37)), InitialMargin: 200},
				MakerBefore: model.PositionBefore{Known: true, Size: num.Size(rnd.NormFloat64() * 1_000_000), EntryQuote: num.USD(rnd.Int64N(1 << 40)), InitialMargin: 500}}
			t.USD = num.USD(int64(t.Price) * int64(t.Size))
			t.AskOrder, t.BidOrder = next[0]-taker, next[1]+uint64(rnd.ExpFloat64()*200)
			t.AskAccount, t.BidAccount = takerAccount, account()
			if ask {
				t.AskOrder, t.BidOrder = next[0]-uint64(rnd.ExpFloat64()*200), next[1]+taker
				t.AskAccount, t.BidAccount = account(), takerAccount
			}
			rows = append(rows, t)
			id++
		}
	}
	return rows
}

func BenchmarkTrades(b *testing.B) {
	for _, form := range []struct {
		name   string
		rows   int
		encode func([]byte, uint8, []model.Trade) []byte
	}{{"hot", 8, AppendTradeBlock}, {"sealed", 4096, AppendTradeSegment}} {
		rows := likeTrades(form.rows, 1)
		value := form.encode(nil, 0, rows)
		perTrade := func(b *testing.B) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/trade")
		}
		b.Run(form.name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = form.encode(dst[:0], 0, rows)
			}
			b.ReportMetric(float64(len(value))/float64(len(rows)), "bytes/trade")
			perTrade(b)
		})
		for name, want := range map[string]Columns{"core": Core, "all": All} {
			b.Run(form.name+"/decode-"+name, func(b *testing.B) {
				b.ReportAllocs()
				var dst []model.Trade
				for b.Loop() {
					var err error
					if dst, err = DecodeTrades(dst[:0], value, want); err != nil {
						b.Fatal(err)
					}
				}
				perTrade(b)
			})
		}
	}
}

// The core group of a full segment takes about 8.5 bytes a trade in quiet real markets; these trades are noisier than any
// (every second maker is new), and must stay near what their numbers carry.
func TestSizeOfSealedTrades(t *testing.T) {
	rows := likeTrades(4096, 1)
	b := AppendTradeSegment(nil, 0, rows)
	_, _, r, err := openTrades(b)
	if err != nil {
		t.Fatal(err)
	}
	each := float64(len(r.bytes(r.uvarint()>>1))) / float64(len(rows))
	t.Logf("core group: %.2f bytes each, all groups: %.2f", each, float64(len(b))/float64(len(rows)))
	if each > 10.5 {
		t.Errorf("the core group takes %.2f bytes a trade", each)
	}
}
