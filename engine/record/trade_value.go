package record

import (
	"math/bits"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

// maxExponent bounds the power of ten between price x size and the value.
const maxExponent = 18

// valueExponent finds the power of ten that makes price x size the value. This package does not know the market's
// decimals, but the first row that has all three tells.
func valueExponent(rows []model.Trade) int {
	for i := range rows {
		t := &rows[i]
		if t.Price == 0 || t.Size == 0 || t.USD == 0 {
			continue
		}
		best, least := 0, uint64(1<<63)
		for e := -maxExponent; e <= maxExponent; e++ {
			d := int64(t.USD) - value(t.Price, t.Size, e)
			if d < 0 {
				d = -d
			}
			if uint64(d) < least {
				best, least = e, uint64(d)
			}
		}
		return best
	}
	return 0
}

// value is price x size x 10^exp, rounded down in magnitude; beyond 64 bits it is something else, but always the same.
func value(p num.Price, s num.Size, exp int) int64 {
	if exp >= 0 {
		return int64(p) * int64(s) * num.Pow10(uint8(exp))
	}
	neg := (p < 0) != (s < 0)
	hi, lo := bits.Mul64(magnitude(int64(p)), magnitude(int64(s)))
	d := uint64(num.Pow10(uint8(-exp)))
	if hi >= d {
		return 0
	}
	q, _ := bits.Div64(hi, lo, d)
	if neg {
		return -int64(q)
	}
	return int64(q)
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}
