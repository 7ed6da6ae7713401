package model

import (
	"time"

	"hyperlight/engine/num"
)

// Candle is a candle that the venue or an archive gave, of one market. One built from our own trades is record.Candle.
type Candle struct {
	Resolution             time.Duration // one minute, one hour or one day
	Time                   Millis        // of its opening
	Epoch                  uint8         // scale epoch of prices and volume
	Open, High, Low, Close num.Price
	Volume                 num.Size
	QuoteVolume            num.USD
	LastID                 uint64 // of its last trade; 0 where unknown
	Trades                 uint64 // 0 where unknown
}

// CandleKind returns the kind of coverage that given candles of a length have, false where none are stored.
func CandleKind(resolution time.Duration) (Kind, bool) {
	switch resolution {
	case time.Minute:
		return KindCandles, true
	case time.Hour:
		return KindHourCandles, true
	case 24 * time.Hour:
		return KindDayCandles, true
	}
	return 0, false
}
