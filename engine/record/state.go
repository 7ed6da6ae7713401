package record

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// Candle is a candle of one market and resolution. Its time is in its key: decoders leave Time 0 and encoders ignore it.
// FirstID and LastID are the trades that Open and Close come from, so that both stay right when rows come late.
type Candle struct {
	Time                   model.Millis
	Epoch                  uint8
	Open, High, Low, Close num.Price
	Volume                 num.Size
	QuoteVolume            num.USD
	Trades                 uint64
	FirstID, LastID        uint64
}

// AppendCandle encodes a candle.
func AppendCandle(dst []byte, c *Candle) []byte { panic("not written") }

// DecodeCandle decodes a candle.
func DecodeCandle(b []byte) (Candle, error) { panic("not written") }

// AppendStats encodes a row of market statistics, whose time is in its key.
func AppendStats(dst []byte, epoch uint8, s *model.Stats) []byte { panic("not written") }

// DecodeStats decodes a row of market statistics.
func DecodeStats(b []byte) (model.Stats, error) { panic("not written") }

// AppendFunding encodes a settled funding row, whose time is in its key.
func AppendFunding(dst []byte, epoch uint8, f *model.Funding) []byte { panic("not written") }

// DecodeFunding decodes a settled funding row and leaves Time 0.
func DecodeFunding(b []byte) (model.Funding, error) { panic("not written") }

// AppendMarket encodes a market's metadata.
func AppendMarket(dst []byte, m *model.Market) []byte { panic("not written") }

// DecodeMarket decodes a market's metadata.
func DecodeMarket(b []byte) (*model.Market, error) { panic("not written") }

// Index counts what a family holds of a market in a bucket. First and Last are the times of its keys' clock.
type Index struct {
	Rows        uint64
	First, Last int64
	LastID      uint64
}

// AppendIndex encodes an index row.
func AppendIndex(dst []byte, i Index) []byte { panic("not written") }

// DecodeIndex decodes an index row.
func DecodeIndex(b []byte) (Index, error) { panic("not written") }

// Interval is the value of a held interval, whose start is in its key; End 0 means that it is still open.
type Interval struct{ End model.Micros }

// AppendInterval encodes the end of a held interval.
func AppendInterval(dst []byte, i Interval) []byte { panic("not written") }

// DecodeInterval decodes the end of a held interval.
func DecodeInterval(b []byte) (Interval, error) { panic("not written") }

// Gap is the value of a gap, whose kind and start are in its key; To 0 means that it is still open.
type Gap struct {
	To     model.Micros
	Cause  model.Cause
	Filled bool
}

// AppendGap encodes a gap.
func AppendGap(dst []byte, g Gap) []byte { panic("not written") }

// DecodeGap decodes a gap.
func DecodeGap(b []byte) (Gap, error) { panic("not written") }

// AppendMoment encodes a single time: the store's heartbeat.
func AppendMoment(dst []byte, t model.Micros) []byte { panic("not written") }

// DecodeMoment decodes a single time.
func DecodeMoment(b []byte) (model.Micros, error) { panic("not written") }
