package record

import (
	"runtime"
	"slices"
	"testing"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// bounded runs a decoder, and the second round of what it found, and fails when that allocates beyond all measure: a
// damaged count must not cost memory.
func bounded(t *testing.T, b []byte, decode func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	decode()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
		t.Fatalf("%d bytes made the decoder allocate %d", len(b), used)
	}
}

func FuzzDecodeTrades(f *testing.F) {
	rows := likeTrades(40, 1)
	rows[3].Extra, rows[4].TxHash, rows[5].AskClient, rows[6].Kind = `"x":1`, "not hex", 7, 9
	f.Add(AppendTradeBlock(nil, 0, rows))
	f.Add(AppendTradeSegment(nil, 1, rows))
	f.Add(AppendTradeBlock(nil, 0, nil))
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, b, func() {
			h, headErr := TradeHeader(b)
			prices, pricesErr := DecodePrices(nil, b)
			if pricesErr != nil && len(prices) != 0 {
				t.Fatal("prices beside an error")
			}
			got, err := DecodeTrades(nil, b, All)
			if err != nil {
				if len(got) != 0 {
					t.Fatal("rows beside an error")
				}
				return
			}
			if pricesErr != nil || !slices.Equal(prices, pricesOf(got)) {
				t.Fatalf("prices %+v, %v", prices, pricesErr)
			}
			if headErr != nil || int(h.Trades) != len(got) {
				t.Fatalf("%d rows, header %+v, %v", len(got), h, headErr)
			}
			// What was decoded survives another round, whatever bytes it came from.
			for _, encode := range []func([]byte, uint8, []model.Trade) []byte{AppendTradeBlock, AppendTradeSegment} {
				again, err := DecodeTrades(nil, encode(nil, h.Epoch, got), All)
				if err != nil || len(again) != len(got) {
					t.Fatalf("second round: %d rows, %v", len(again), err)
				}
				for i := range got {
					if got[i] != again[i] {
						t.Fatalf("row %d:\n got %+v\nwant %+v", i, again[i], got[i])
					}
				}
			}
		})
	})
}

func FuzzBookCursor(f *testing.F) {
	k, rows := likeUpdates(12, 1)
	k.Bids, k.Asks = k.Bids[:20], k.Asks[:20]
	rows[2].Update.Snapshot, rows[3].Update.Bids = true, nil
	var b BookBlock
	var s BookSegment
	s.Begin(k)
	for i := range rows {
		b.Add(&rows[i].Update, rows[i].Time, rows[i].Recv)
		s.AddRow(&rows[i])
	}
	f.Add(b.Bytes())
	f.Add(s.Finish(nil))
	f.Add([]byte{1, 0, 1, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, b, func() { roundBook(t, b) })
	})
}

// roundBook decodes a book value and, if it is sound, encodes and decodes it once more.
func roundBook(t *testing.T, b []byte) {
	var c BookCursor
	if c.Open(b) != nil {
		if c.Next() || c.Err() == nil {
			t.Fatal("a row after an error")
		}
		return
	}
	var again BookBlock
	var seg BookSegment
	again.Reset(c.Header().Epoch)
	if k := c.Keyframe(); k != nil {
		seg.Begin(k)
	} else {
		seg.Begin(&Keyframe{})
	}
	var rows []BookRow
	for c.Next() {
		r := *c.Row()
		r.Update.Bids = append([]model.Level(nil), r.Update.Bids...)
		r.Update.Asks = append([]model.Level(nil), r.Update.Asks...)
		rows = append(rows, r)
		again.Add(&r.Update, r.Time, r.Recv)
		seg.AddRow(&r)
	}
	if c.Err() != nil {
		return
	}
	checkSameRows(t, again.Bytes(), rows)
	checkSameRows(t, seg.Finish(nil), rows)
}

func checkSameRows(t *testing.T, b []byte, rows []BookRow) {
	t.Helper()
	var c BookCursor
	if err := c.Open(b); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if !c.Next() {
			t.Fatalf("ended at row %d of %d: %v", i, len(rows), c.Err())
		}
		got, want := c.Row(), &rows[i]
		if got.Recv != want.Recv || got.Time != want.Time || got.Update.Seq != want.Update.Seq ||
			!sameLevels(got.Update.Bids, want.Update.Bids) || !sameLevels(got.Update.Asks, want.Update.Asks) {
			t.Fatalf("row %d:\n got %+v\nwant %+v", i, got, want)
		}
	}
	if c.Next() || c.Err() != nil {
		t.Fatalf("after the last row: %v", c.Err())
	}
}

func FuzzDecodeKeyframe(f *testing.F) {
	k, _ := likeUpdates(0, 1)
	k.Bids, k.Asks = k.Bids[:20], k.Asks[:20]
	f.Add(k.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, b, func() {
			k, err := DecodeKeyframe(b)
			if err != nil {
				return
			}
			if again, err := DecodeKeyframe(k.Append(nil)); err != nil || !sameKeyframe(k, again) {
				t.Fatalf("second round: %+v, %v, want %+v", again, err, k)
			}
		})
	})
}

func FuzzDecodeFamilies(f *testing.F) {
	f.Add(byte(0), AppendCandle(nil, &Candle{Open: 5, High: 9, Low: 2, Close: 3, Trades: 4}))
	f.Add(byte(1), AppendStats(nil, 1, &model.Stats{Has: model.HasMark | model.HasFundingRate, Mark: num.Decimal{Mant: 5, Scale: 2}, Symbol: "ETH"}))
	f.Add(byte(2), AppendMarket(nil, &model.Market{ID: 1, Symbol: "BTC", Scales: []model.Scale{{Price: 1, Size: 5}}}))
	f.Add(byte(3), AppendFunding(nil, 1, &model.Funding{Rate: 1}))
	f.Add(byte(4), AppendIndex(nil, Index{Rows: 1}))
	f.Add(byte(5), AppendInterval(nil, Interval{End: 1}))
	f.Add(byte(6), AppendGap(nil, Gap{To: 1}))
	f.Add(byte(7), AppendMoment(nil, 1))
	for i := range families {
		if families[i].name == "account" {
			a := goldenAccount()
			f.Add(byte(i), AppendAccount(nil, &a))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		f := families[int(which)%len(families)]
		bounded(t, b, func() {
			v, err := f.decode(b)
			if err != nil {
				return
			}
			if _, err := f.decode(f.encode(nil, v)); err != nil {
				t.Fatalf("%s: second round of %+v: %v", f.name, v, err)
			}
		})
	})
}
