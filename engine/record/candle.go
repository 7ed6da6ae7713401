package record

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const candleVersion = 1

// Candle is a candle of one market and resolution. Its time is in its key: decoders leave Time 0 and encoders ignore it.
// FirstID and LastID are the trades that Open and Close come from, so that both stay right when rows come late.
type Candle struct {
	Time                   model.Millis
	Epoch                  uint8
	Open, High, Low, Close num.Price
	Volume                 num.Size // base amount at the market's size scale
	QuoteVolume            num.USD
	Trades                 uint64
	FirstID, LastID        uint64
}

// AppendCandle encodes a candle.
func AppendCandle(dst []byte, c *Candle) []byte {
	dst = append(dst, candleVersion, c.Epoch)
	dst = appendVarint(dst, int64(c.Open))
	dst = appendVarint(dst, int64(c.High-c.Open))
	dst = appendVarint(dst, int64(c.Open-c.Low))
	dst = appendVarint(dst, int64(c.Close-c.Open))
	dst = appendVarint(dst, int64(c.Volume))
	dst = appendVarint(dst, int64(c.QuoteVolume))
	dst = appendUvarint(dst, c.Trades)
	dst = appendUvarint(dst, c.FirstID)
	return appendVarint(dst, int64(c.LastID-c.FirstID))
}

// DecodeCandle decodes a candle and leaves its Time 0.
func DecodeCandle(b []byte) (Candle, error) {
	r, err := openValue(b, "candle", candleVersion)
	if err != nil {
		return Candle{}, err
	}
	c := Candle{Epoch: r.byte()}
	c.Open = num.Price(r.varint())
	c.High = c.Open + num.Price(r.varint())
	c.Low = c.Open - num.Price(r.varint())
	c.Close = c.Open + num.Price(r.varint())
	c.Volume = num.Size(r.varint())
	c.QuoteVolume = num.USD(r.varint())
	c.Trades = r.uvarint()
	c.FirstID = r.uvarint()
	c.LastID = c.FirstID + uint64(r.varint())
	return c, r.end("candle")
}
