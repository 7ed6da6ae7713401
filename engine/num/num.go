// Package num holds the fixed-point numbers of the venue: prices, sizes and money as integer mantissas with a known
// number of decimals. It parses and prints them without rounding, adds products in 128 bits, and divides half-even.
// It must never hold a binary float, a clock or any I/O.
package num

import (
	"errors"
	"math"
)

// Price is a price as an integer mantissa at the market's price scale.
type Price int64

// Size is a base-asset amount as an integer mantissa at the market's size scale.
type Size int64

// USD is quote money as an integer mantissa with USDScale decimals.
type USD int64

// Rate is a funding rate or a ratio as an integer mantissa with RateScale decimals; a fraction, never a percentage.
type Rate int64

const (
	// USDScale is the number of decimals of USD.
	USDScale = 6
	// RateScale is the number of decimals of Rate.
	RateScale = 12
	// MaxScale is the largest number of decimals a mantissa can carry: 10^18 still fits into an int64.
	MaxScale = 18
)

var (
	// ErrSyntax reports text that is not a plain decimal number.
	ErrSyntax = errors.New("not a decimal number")
	// ErrRange reports a number whose mantissa does not fit into 64 bits.
	ErrRange = errors.New("number out of range")
	// ErrScale reports more non-zero decimals than the scale can hold.
	ErrScale = errors.New("more decimals than the scale holds")
)

var pow10 = [MaxScale + 1]int64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// Pow10 returns 10^n for n up to MaxScale; it panics beyond, because scales are checked where they enter.
func Pow10(n uint8) int64 { return pow10[n] }

// Parse reads a plain decimal ("-12.340") as a mantissa with the given number of decimals. Trailing zeros beyond the
// scale are accepted; other digits beyond it are ErrScale, so nothing is ever rounded.
func Parse(b []byte, scale uint8) (int64, error) {
	if scale > MaxScale {
		return 0, ErrScale
	}
	i, neg, limit := 0, false, uint64(math.MaxInt64)
	if len(b) > 0 && b[0] == '-' {
		neg, i, limit = true, 1, limit+1
	}
	if i == len(b) {
		return 0, ErrSyntax
	}
	var mant uint64
	digits := 0
	for ; i < len(b); i++ {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		if mant > (math.MaxInt64-9)/10 && (mant > limit/10 || mant*10 > limit-uint64(c)) {
			return 0, unlessSyntax(ErrRange, b[i:], true)
		}
		mant = mant*10 + uint64(c)
		digits++
	}
	var decimals uint8
	if i < len(b) {
		if b[i] != '.' {
			return 0, ErrSyntax
		}
		i++
		if i == len(b) || digits == 0 {
			return 0, ErrSyntax
		}
		for ; i < len(b); i++ {
			c := b[i] - '0'
			if c > 9 {
				return 0, ErrSyntax
			}
			if decimals == scale {
				if c != 0 {
					return 0, unlessSyntax(ErrScale, b[i:], false)
				}
				continue
			}
			if mant > (math.MaxInt64-9)/10 && (mant > limit/10 || mant*10 > limit-uint64(c)) {
				return 0, unlessSyntax(ErrRange, b[i:], false)
			}
			mant = mant*10 + uint64(c)
			decimals++
		}
	}
	if digits == 0 {
		return 0, ErrSyntax
	}
	if missing := scale - decimals; missing > 0 && mant != 0 {
		p := uint64(pow10[missing])
		if mant > limit/p {
			return 0, ErrRange
		}
		mant *= p
	}
	if neg {
		return -int64(mant), nil
	}
	return int64(mant), nil
}

// unlessSyntax returns err, or ErrSyntax where the rest of the text, from a digit on, does not continue a number: "1.239x"
// is none, whatever its third decimal would be. point says that the decimal point may still come.
func unlessSyntax(err error, rest []byte, point bool) error {
	for i, c := range rest {
		switch {
		case c >= '0' && c <= '9':
		case c == '.' && point && i+1 < len(rest):
			point = false
		default:
			return ErrSyntax
		}
	}
	return err
}

// Decimals returns how many digits stand behind the point of a plain decimal text; 0 where there is no point.
func Decimals(b []byte) uint8 {
	for i, c := range b {
		if c == '.' {
			n := len(b) - i - 1
			if n > math.MaxUint8 {
				n = math.MaxUint8
			}
			return uint8(n)
		}
	}
	return 0
}

// AppendTrim writes like Append and then cuts trailing zeros and a trailing point: products and quotients are sent so.
func AppendTrim(dst []byte, mant int64, scale uint8) []byte {
	for scale > 0 && mant%10 == 0 {
		mant /= 10
		scale--
	}
	return Append(dst, mant, scale)
}

// Rescale changes the number of decimals of a mantissa exactly: ErrScale if digits would be lost, ErrRange if it grows
// beyond 64 bits.
func Rescale(mant int64, from, to uint8) (int64, error) {
	switch {
	case from == to:
		return mant, nil
	case from < to:
		if to-from > MaxScale {
			return 0, ErrRange
		}
		p := pow10[to-from]
		if mant > math.MaxInt64/p || mant < -math.MaxInt64/p {
			return 0, ErrRange
		}
		return mant * p, nil
	default:
		if from-to > MaxScale {
			return 0, ErrScale
		}
		p := pow10[from-to]
		if mant%p != 0 {
			return 0, ErrScale
		}
		return mant / p, nil
	}
}
