package http

import (
	"encoding/json"
	"testing"

	"hyperlight/bench"
)

// BenchmarkEncodeRatio compares the body of a current book of 1,000 levels a side with encoding/json, whose structs were
// filled beforehand, and with copying the ready bytes, which is what every further request of the same book costs.
func BenchmarkEncodeRatio(b *testing.B) {
	f := newFixture(b, testOptions{})
	f.bigBook()
	m, v := f.engine.markets[0], f.engine.views[0]
	ready := (&bookAnswer{view: v, market: m, depth: defaultDepth, attribution: false, whale: defaultWhale}).append(nil)
	var plain struct {
		MarketID      int64        `json:"market_id"`
		Symbol        string       `json:"symbol"`
		Bids          []plainLevel `json:"bids"`
		Asks          []plainLevel `json:"asks"`
		BestBid       string       `json:"best_bid"`
		BestAsk       string       `json:"best_ask"`
		Spread        string       `json:"spread"`
		MidPrice      string       `json:"mid_price"`
		Nonce         uint64       `json:"nonce"`
		AttributionAt *int64       `json:"attribution_at"`
		Timestamp     int64        `json:"timestamp"`
	}
	if err := json.Unmarshal(ready, &plain); err != nil {
		b.Fatal(err)
	}
	if again, err := json.Marshal(&plain); err != nil || len(again) != len(ready) {
		b.Fatalf("the baseline writes %d bytes, want %d (%v)", len(again), len(ready), err)
	}
	var dst []byte
	ours := bench.Times(4, func() {
		dst = (&bookAnswer{view: v, market: m, depth: defaultDepth, attribution: false, whale: defaultWhale}).append(dst[:0])
	})
	b.Run("json", func(b *testing.B) {
		bench.Compare(b, "bodies", bench.Times(4, func() {
			if _, err := json.Marshal(&plain); err != nil {
				b.Fatal(err)
			}
		}), ours)
	})
	b.Run("copy", func(b *testing.B) {
		bench.Compare(b, "bodies", bench.Times(4, func() { dst = append(dst[:0], ready...) }), ours)
	})
}

type plainLevel struct {
	Price string `json:"price"`
	Size  string `json:"size"`
	Whale bool   `json:"whale"`
}
