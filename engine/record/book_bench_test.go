package record

import (
	"math/rand/v2"
	"testing"

	"hyperlight/engine/book"
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// likeUpdates makes n updates of four levels, distributed about as in the recordings: half of the changes remove a
// level, most lie near the best price.
func likeUpdates(n int, seed uint64) (k *Keyframe, rows []BookRow) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	k = &Keyframe{Meta: book.Meta{Seq: 10_317_430_812, Offset: 25_108_103, Time: 1_776_613_884_800, Recv: 1_776_613_884_827_000, Chained: true}}
	for i := range 1500 {
		k.Bids = append(k.Bids, model.Level{Price: num.Price(433_251 - 2*i), Size: num.Size(1 + rnd.ExpFloat64()*9000)})
		k.Asks = append(k.Asks, model.Level{Price: num.Price(433_257 + 2*i), Size: num.Size(1 + rnd.ExpFloat64()*9000)})
	}
	last := BookRow{Time: k.Time, Recv: k.Recv, Update: model.BookUpdate{Seq: k.Seq, Offset: k.Offset}}
	for range n {
		r := BookRow{Time: last.Time + 50, Recv: last.Recv + 50_000 + model.Micros(rnd.IntN(3000)-1500)}
		r.Update = model.BookUpdate{Prev: last.Update.Seq, Seq: last.Update.Seq + uint64(rnd.IntN(150)), Offset: last.Update.Offset + 1 + uint64(rnd.IntN(3)),
			UpdatedAt: r.Time.Micros() - model.Micros(rnd.IntN(40_000)), Chained: true}
		for i := range 4 {
			l := model.Level{Price: num.Price(433_251 - int64(rnd.ExpFloat64()*40))}
			if rnd.IntN(2) == 0 {
				l.Size = num.Size(1 + rnd.ExpFloat64()*9000)
			}
			if i%2 == 0 {
				r.Update.Bids = append(r.Update.Bids, l)
			} else {
				l.Price = 433_257 + 433_251 - l.Price
				r.Update.Asks = append(r.Update.Asks, l)
			}
		}
		rows = append(rows, r)
		last = r
	}
	return k, rows
}

func BenchmarkBook(b *testing.B) {
	k, rows := likeUpdates(3000, 1)
	perUpdate := func(b *testing.B, n int) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/update")
	}
	second := rows[:20]
	var block BookBlock
	fill := func() []byte {
		block.Reset(0)
		for i := range second {
			block.Add(&second[i].Update, second[i].Time, second[i].Recv)
		}
		return block.Bytes()
	}
	var seg BookSegment
	seal := func(dst []byte) []byte {
		seg.Begin(k)
		for i := range rows {
			seg.AddRow(&rows[i])
		}
		return seg.Finish(dst)
	}
	hot, sealed := append([]byte(nil), fill()...), seal(nil)
	b.Run("hot/encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			fill()
		}
		b.ReportMetric(float64(len(hot))/float64(len(second)), "bytes/update")
		perUpdate(b, len(second))
	})
	b.Run("sealed/encode", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst = seal(dst[:0])
		}
		b.ReportMetric(float64(len(sealed))/float64(len(rows)), "bytes/update")
		perUpdate(b, len(rows))
	})
	for name, value := range map[string][]byte{"hot": hot, "sealed": sealed} {
		b.Run(name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			var c BookCursor
			n := 0
			for b.Loop() {
				if err := c.Open(value); err != nil {
					b.Fatal(err)
				}
				for n = 0; c.Next(); n++ {
				}
				if c.Err() != nil {
					b.Fatal(c.Err())
				}
			}
			perUpdate(b, n)
		})
	}
	frame := k.Append(nil)
	b.Run("keyframe/decode", func(b *testing.B) {
		b.ReportAllocs()
		var k Keyframe
		for b.Loop() {
			if err := k.Decode(frame); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*3000), "ns/level")
	})
}
