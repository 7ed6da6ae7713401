//go:build !race

package record

import (
	"testing"

	"hyperlight/engine/model"
)

// The decoders of what replay reads allocate nothing once their memory has grown. The race detector allocates by itself.
func TestDecodingAllocatesNothing(t *testing.T) {
	check := func(what string, f func()) {
		t.Helper()
		f() // lets the memory grow
		if n := testing.AllocsPerRun(50, f); n >= 1 {
			t.Errorf("%s: %.1f allocations", what, n)
		}
	}
	var rows []model.Trade
	var prices []PriceRow
	for name, b := range map[string][]byte{"block": AppendTradeBlock(nil, 0, likeTrades(20, 1)), "segment": AppendTradeSegment(nil, 0, likeTrades(2000, 1))} {
		check("core of a trade "+name, func() {
			var err error
			if rows, err = DecodeTrades(rows[:0], b, Core); err != nil {
				t.Fatal(err)
			}
		})
	}
	for name, b := range map[string][]byte{"block": AppendTradeBlock(nil, 0, likeTrades(20, 1)), "segment": AppendTradeSegment(nil, 0, likeTrades(2000, 1))} {
		check("prices of a trade "+name, func() {
			var err error
			if prices, err = DecodePrices(prices[:0], b); err != nil {
				t.Fatal(err)
			}
		})
	}
	k, updates := likeUpdates(500, 1)
	var block BookBlock
	add := func() {
		block.Reset(0)
		for i := range 20 {
			block.Add(&updates[i].Update, updates[i].Time, updates[i].Recv)
			block.Bytes()
		}
	}
	check("filling a book block", add)
	var c BookCursor
	for name, b := range map[string][]byte{"block": block.Bytes(), "segment": sealRows(k, updates)} {
		check("book "+name, func() {
			if err := c.Open(b); err != nil {
				t.Fatal(err)
			}
			for c.Next() {
			}
			if c.Err() != nil {
				t.Fatal(c.Err())
			}
		})
	}
}
