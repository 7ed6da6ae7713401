package num

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// pairs holds the two digits of every number below 100.
const pairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// Append writes a mantissa as decimal text with exactly scale decimals and no exponent: "3200.50", "-0.05", "7". The
// digits are counted first and then written in their place: prices and sizes are most of what a stream sends.
func Append(dst []byte, mant int64, scale uint8) []byte {
	u := uint64(mant)
	if mant < 0 {
		dst = append(dst, '-')
		u = -u
	}
	start, n := len(dst), digits(u)
	if scale > 0 {
		n = max(n, int(scale)+1) + 1
	}
	dst = slices.Grow(dst, n)[:start+n]
	b := dst[start:]
	if scale > 0 {
		point := n - 1 - int(scale)
		u = fill(b[point+1:], u)
		b[point] = '.'
		b = b[:point]
	}
	fill(b, u)
	return dst
}

// AppendUint writes an integer.
func AppendUint(dst []byte, u uint64) []byte {
	start, n := len(dst), digits(u)
	dst = slices.Grow(dst, n)[:start+n]
	fill(dst[start:], u)
	return dst
}

// fill writes the last len(b) digits of u and returns what is left of it.
func fill(b []byte, u uint64) uint64 {
	i := len(b)
	for ; i >= 8; i -= 8 {
		rest := u / 1e8
		binary.LittleEndian.PutUint64(b[i-8:], eight(u-rest*1e8))
		u = rest
	}
	for ; i >= 2; i -= 2 {
		rest := u / 100
		two := (u - rest*100) * 2
		b[i-1], b[i-2] = pairs[two+1], pairs[two]
		u = rest
	}
	if i > 0 {
		b[0] = byte('0' + u%10)
		u /= 10
	}
	return u
}

// eight returns the eight digits of a number below 10^8 as text, the first in the lowest byte. It halves the number three
// times over, all parts of a step at once in one word; the quotients are products with a rounded reciprocal, exact for parts
// that small.
func eight(u uint64) uint64 {
	high := u / 10_000
	w := high | (u-high*10_000)<<32 // two parts of four digits
	high = w * 10_486 >> 20 & 0x7f_0000_007f
	w = high | (w-high*100)<<16 // four of two
	high = w * 103 >> 10 & 0x0f_000f_000f_000f
	return high | (w-high*10)<<8 | 0x3030303030303030
}

// digits counts the decimal digits of u, one for zero.
func digits(u uint64) int {
	// 1233/4096 is a little more than log10 of 2: n is right, or one too small.
	n := bits.Len64(u) * 1233 >> 12
	if n > MaxScale {
		if u >= 1e19 {
			return 20
		}
		return 19
	}
	if u >= uint64(pow10[n]) {
		n++
	}
	return max(n, 1)
}
