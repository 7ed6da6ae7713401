package lighter

import (
	"encoding/json"
	"testing"

	"hyperlight/bench"
	"hyperlight/engine/model"
)

// The frames are shaped like the recorded ones: one with nonces as sent since November 2025, one without.
const (
	smallBookFrame = `{"channel":"order_book:36","last_updated_at":1785358812597325,"offset":415809,"order_book":{"code":0,"asks":[],"bids":[{"price":"0.20129","size":"0.0"}],"offset":415809,"nonce":18032384612,"last_updated_at":1785358812597325,"begin_nonce":18032384126},"timestamp":1785358812609,"type":"update/order_book"}`
	oldBookFrame   = `{"channel":"order_book:0","offset":995818,"order_book":{"code":0,"asks":[{"price":"4332.97","size":"11.5400"},{"price":"4333.02","size":"0.7153"}],"bids":[],"offset":995818},"timestamp":1760041996071,"type":"update/order_book"}`
)

func benchmarkDecode(b *testing.B, frame string) {
	d := NewDecoder(newMarkets())
	raw := []byte(frame)
	n := 0
	emit := func(*model.Event) error { n++; return nil }
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := d.Decode(raw, 1, emit); err != nil {
			b.Fatal(err)
		}
	}
	if n == 0 {
		b.Fatal("nothing was emitted")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mframes/s")
}

func BenchmarkDecodeBook(b *testing.B)    { benchmarkDecode(b, smallBookFrame) }
func BenchmarkDecodeBookOld(b *testing.B) { benchmarkDecode(b, oldBookFrame) }
func BenchmarkDecodeTrade(b *testing.B)   { benchmarkDecode(b, tradeFrame) }
func BenchmarkDecodeStats(b *testing.B)   { benchmarkDecode(b, statsFrame) }

// baselineFrame is a book frame as one declares it for the standard library.
type baselineFrame struct {
	Channel     string `json:"channel"`
	Type        string `json:"type"`
	Timestamp   int64  `json:"timestamp"`
	LastUpdated int64  `json:"last_updated_at"`
	OrderBook   struct {
		Asks, Bids []struct{ Price, Size string }
		Nonce      uint64 `json:"nonce"`
		BeginNonce uint64 `json:"begin_nonce"`
		Offset     uint64 `json:"offset"`
	} `json:"order_book"`
}

// BenchmarkDecodeBaseline is what the standard library needs for the same frame, structs declared for it.
func BenchmarkDecodeBaseline(b *testing.B) {
	var frame baselineFrame
	raw := []byte(smallBookFrame)
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := json.Unmarshal(raw, &frame); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mframes/s")
}

// BenchmarkDecodeRatio says how many times faster the decoder is than the standard library, and how many frames one core
// decodes.
func BenchmarkDecodeRatio(b *testing.B) {
	d := NewDecoder(newMarkets())
	raw := []byte(smallBookFrame)
	emit := func(*model.Event) error { return nil }
	bench.Compare(b, "frames", bench.Times(64, func() {
		var frame baselineFrame
		if err := json.Unmarshal(raw, &frame); err != nil {
			b.Fatal(err)
		}
	}), bench.Times(64, func() {
		if err := d.Decode(raw, 1, emit); err != nil {
			b.Fatal(err)
		}
	}))
	b.ReportMetric(testing.AllocsPerRun(100, func() { _ = d.Decode(raw, 1, emit) }), "allocs/frame")
}
