package lighter

import (
	"math"

	"hyperlight/engine/num"
)

// exact reads a decimal, with or without exponent, as a mantissa. Nothing is rounded: digits beyond the scale are
// num.ErrScale. JSON floats of the venue have exponents below 1e-6.
func exact(b []byte, scale uint8) (int64, error) {
	m, exp, has, err := exponent(b)
	if err != nil {
		return 0, err
	}
	if !has {
		return num.Parse(b, scale)
	}
	d, err := num.ParseDecimal(m)
	if err != nil || d.Mant == 0 {
		return 0, err
	}
	shift := exp - int(d.Scale) + int(scale)
	for ; shift < 0; shift++ {
		if d.Mant%10 != 0 {
			return 0, num.ErrScale
		}
		d.Mant /= 10
	}
	if shift > num.MaxScale {
		return 0, num.ErrRange
	}
	return num.Rescale(d.Mant, 0, uint8(shift))
}

// exponent splits "1.2e-7" into its mantissa and its exponent.
func exponent(b []byte) (mant []byte, exp int, has bool, err error) {
	for i, c := range b {
		if c|0x20 != 'e' {
			continue
		}
		j, neg := i+1, false
		if j < len(b) && (b[j] == '-' || b[j] == '+') {
			neg = b[j] == '-'
			j++
		}
		if n := digits(b, j); n == 0 || j+n != len(b) {
			return nil, 0, false, num.ErrSyntax
		}
		for ; j < len(b); j++ {
			// Beyond three digits the number is out of every range anyway; zero stays zero.
			exp = min(exp*10+int(b[j]-'0'), 999)
		}
		if neg {
			exp = -exp
		}
		return b[:i], exp, true, nil
	}
	return b, 0, false, nil
}

// decimals returns how many digits behind the point a decimal text shows, an exponent counted in.
func decimals(b []byte) uint8 {
	m, exp, has, err := exponent(b)
	if !has || err != nil {
		return num.Decimals(b)
	}
	return uint8(min(max(int(num.Decimals(m))-exp, 0), math.MaxUint8))
}

// loose reads a statistic. The venue writes some as JSON floats with up to 17 significant digits of binary noise, so
// here, and only here, digits beyond what a Decimal holds are rounded, half-even.
func loose(b []byte) (num.Decimal, error) {
	m, exp, _, err := exponent(b)
	if err != nil {
		return num.Decimal{}, err
	}
	if exp == 0 {
		if d, err := num.ParseDecimal(m); err == nil {
			return d, nil
		}
	}
	return rounded(m, exp)
}

func rounded(m []byte, exp int) (num.Decimal, error) {
	neg := len(m) > 0 && m[0] == '-'
	if neg {
		m = m[1:]
	}
	whole := digits(m, 0)
	frac := 0
	if whole < len(m) {
		frac = digits(m, whole+1)
		if m[whole] != '.' || frac == 0 || whole+1+frac != len(m) {
			return num.Decimal{}, num.ErrSyntax
		}
	}
	if whole == 0 {
		return num.Decimal{}, num.ErrSyntax
	}
	at := func(i int) uint64 { // i-th digit, the point left out
		if i >= whole {
			i++
		}
		return uint64(m[i] - '0')
	}
	lead, total := 0, whole+frac
	for lead < total && at(lead) == 0 {
		lead++
	}
	if lead == total {
		return num.Decimal{}, nil
	}
	scale := frac - exp
	cut := max(scale-num.MaxScale, total-lead-num.MaxScale, 0)
	if cut > scale && cut > 0 || scale < -num.MaxScale {
		return num.Decimal{}, num.ErrRange
	}
	var mant uint64
	for i := lead; i < total-cut; i++ {
		mant = mant*10 + at(i)
	}
	if cut > 0 {
		mant += roundUp(at, max(total-cut, 0), total, total-cut < lead, mant&1 == 1)
	}
	scale -= cut
	if scale < 0 {
		if mant > math.MaxInt64/uint64(num.Pow10(uint8(-scale))) {
			return num.Decimal{}, num.ErrRange
		}
		mant *= uint64(num.Pow10(uint8(-scale)))
		scale = 0
	}
	d := num.Decimal{Mant: int64(mant), Scale: uint8(scale)}
	if neg {
		d.Mant = -d.Mant
	}
	return d, nil
}

// roundUp returns 1 where the digits [from, to) that were cut off round the rest up. below says that the first
// digit that counts lies even further down, so that the cut is less than a half.
func roundUp(at func(int) uint64, from, to int, below, odd bool) uint64 {
	if below {
		return 0
	}
	switch first := at(from); {
	case first > 5:
		return 1
	case first < 5:
		return 0
	}
	for i := from + 1; i < to; i++ {
		if at(i) != 0 {
			return 1
		}
	}
	if odd {
		return 1
	}
	return 0
}

// hourlyRate reads a rate in percent per hour, the form of market_stats and fundings, as an hourly fraction.
func hourlyRate(b []byte) (num.Rate, error) {
	if m, err := exact(b, num.RateScale-2); err == nil {
		return num.Rate(m), nil
	}
	d, err := loose(b)
	if err != nil {
		return 0, err
	}
	var a num.Acc
	a.AddProduct(d.Mant, 1)
	m, err := a.Round(d.Scale, num.RateScale-2)
	return num.Rate(m), err
}

// unsigned reads an id: digits, "" is 0. Whole decimals are accepted as far as they are exact.
func unsigned(b []byte) (uint64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	var v uint64
	for _, c := range b {
		c -= '0'
		if c > 9 {
			m, err := exact(b, 0)
			return uint64(m), err == nil && m >= 0
		}
		if v > (math.MaxUint64-uint64(c))/10 {
			return 0, false
		}
		v = v*10 + uint64(c)
	}
	return v, true
}

// signed reads a whole number: "" is 0.
func signed(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	m, err := exact(b, 0)
	return m, err == nil
}
