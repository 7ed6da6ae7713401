package model

import "hyperlight/engine/num"

// FundingRate is the current funding rate of a market at one exchange.
type FundingRate struct {
	Native    int64 // the venue's market id
	Symbol    string
	Exchange  string      // "lighter", "binance", "bybit", "hyperliquid"
	Rate      num.Rate    // hourly fraction, positive when longs pay
	Mark      num.Decimal // the venue's own prices; known only where HasPrices
	Index     num.Decimal
	HasPrices bool
	UpdatedAt Millis // when the rate was received
}

// FundingRates are the current rates of all markets and exchanges.
type FundingRates struct {
	Rows []FundingRate
	// Venue is the list as the venue sent it, JSON text.
	Venue []byte
}
