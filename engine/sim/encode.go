package sim

import (
	"strconv"

	"hyperlight/engine/num"
)

func appendInt(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(b, name...), v, 10)
}

// appendIDs writes an id as a number and as its text twin.
func appendIDs(b []byte, number, text string, v int64) []byte {
	b = strconv.AppendInt(append(b, number...), v, 10)
	b = strconv.AppendInt(append(b, text...), v, 10)
	return append(b, '"')
}

func (m *market) appendPrice(b []byte, p num.Price) []byte {
	return num.Append(b, int64(p), m.priceDecimals())
}

func (m *market) appendSize(b []byte, s num.Size) []byte {
	return num.Append(b, int64(s), m.sizeDecimals)
}

func appendUSD(b []byte, v num.USD) []byte { return num.Append(b, int64(v), num.USDScale) }

// appendNumber writes a decimal as a JSON number, as the venue's floats look: no trailing zeros.
func appendNumber(b []byte, name string, mant int64, scale uint8) []byte {
	return num.AppendTrim(append(b, name...), mant, scale)
}
