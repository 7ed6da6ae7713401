package num

import "math/bits"

// Decimal is a number that carries its own scale: rule values, query parameters, statistics whose digits vary.
// The zero value is 0 with no decimals.
type Decimal struct {
	Mant  int64
	Scale uint8
}

// ParseDecimal reads a plain decimal and keeps as many decimals as the text has, trailing zeros included.
func ParseDecimal(b []byte) (Decimal, error) {
	scale := Decimals(b)
	m, err := Parse(b, min(scale, MaxScale))
	switch {
	case err != nil:
		return Decimal{}, err
	case scale > MaxScale: // zeros that Decimal cannot keep
		return Decimal{}, ErrScale
	}
	return Decimal{Mant: m, Scale: scale}, nil
}

// Append writes the decimal with all its decimals.
func (d Decimal) Append(dst []byte) []byte { return Append(dst, d.Mant, d.Scale) }

// String writes the decimal with all its decimals.
func (d Decimal) String() string { return string(d.Append(nil)) }

// Cmp compares two decimals exactly, whatever their scales: -1, 0 or 1.
func (d Decimal) Cmp(o Decimal) int {
	if d.Scale == o.Scale {
		return cmp64(d.Mant, o.Mant)
	}
	if neg := d.Mant < 0; neg != (o.Mant < 0) {
		if neg {
			return -1
		}
		return 1
	}
	var l, r Acc
	if d.Scale < o.Scale {
		l.AddProduct(d.Mant, pow10[o.Scale-d.Scale])
		r.AddProduct(o.Mant, 1)
	} else {
		l.AddProduct(d.Mant, 1)
		r.AddProduct(o.Mant, pow10[d.Scale-o.Scale])
	}
	return l.Cmp(r)
}

func cmp64(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Acc is a signed 128-bit sum of products of mantissas, for instance price x size; its scale is the sum of theirs.
// The zero value is 0. Additions beyond 2^127 wrap around: 10^19 products of 64-bit mantissas would be needed.
type Acc struct {
	hi int64
	lo uint64
}

// AddProduct adds a x b.
func (s *Acc) AddProduct(a, b int64) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	// Mul64 is unsigned: a negative operand contributes 2^64 times the other one too much.
	if a < 0 {
		hi -= uint64(b)
	}
	if b < 0 {
		hi -= uint64(a)
	}
	var c uint64
	s.lo, c = bits.Add64(s.lo, lo, 0)
	h, _ := bits.Add64(uint64(s.hi), hi, c)
	s.hi = int64(h)
}

// Add adds another sum of the same scale.
func (s *Acc) Add(o Acc) {
	var c uint64
	s.lo, c = bits.Add64(s.lo, o.lo, 0)
	h, _ := bits.Add64(uint64(s.hi), uint64(o.hi), c)
	s.hi = int64(h)
}

// Widen brings the sum to a scale of n more decimals.
func (s *Acc) Widen(n uint8) {
	p := uint64(pow10[n])
	carry, lo := bits.Mul64(s.lo, p)
	s.hi, s.lo = int64(uint64(s.hi)*p+carry), lo
}

// Neg returns the negated sum.
func (s Acc) Neg() Acc {
	lo, b := bits.Sub64(0, s.lo, 0)
	hi, _ := bits.Sub64(0, uint64(s.hi), b)
	return Acc{hi: int64(hi), lo: lo}
}

// Sign returns -1, 0 or 1.
func (s Acc) Sign() int {
	switch {
	case s.hi < 0:
		return -1
	case s.hi == 0 && s.lo == 0:
		return 0
	}
	return 1
}

// Cmp compares two sums of the same scale: -1, 0 or 1.
func (s Acc) Cmp(o Acc) int {
	switch {
	case s.hi != o.hi:
		return cmp64(s.hi, o.hi)
	case s.lo < o.lo:
		return -1
	case s.lo > o.lo:
		return 1
	}
	return 0
}

func (s Acc) abs() (hi, lo uint64) {
	if s.hi < 0 {
		s = s.Neg()
	}
	return uint64(s.hi), s.lo
}

// Int64 returns the sum where it fits into 64 bits, else ErrRange.
func (s Acc) Int64() (int64, error) {
	if (s.hi == 0 && s.lo>>63 == 0) || (s.hi == -1 && s.lo>>63 == 1) {
		return int64(s.lo), nil
	}
	return 0, ErrRange
}

// Round brings the sum from one scale to a smaller or equal one, half-even, as a mantissa; to a larger one exactly.
func (s Acc) Round(from, to uint8) (int64, error) {
	if from <= to {
		m, err := s.Int64()
		if err != nil {
			return 0, err
		}
		return Rescale(m, from, to)
	}
	if from-to <= MaxScale {
		return s.divide(uint64(pow10[from-to]))
	}
	// Two steps would round twice; the first step truncates and remembers whether anything was lost.
	hi, lo := s.abs()
	first := uint64(pow10[from-to-MaxScale])
	qhi, r := hi/first, hi%first
	qlo, rem := bits.Div64(r, lo, first)
	return finish(s.hi < 0, qhi, qlo, uint64(pow10[MaxScale]), rem != 0)
}

// DivRound divides the sum (at scale from) by an integer d > 0 and returns the quotient at scale to, half-even.
// It needs to >= from only as far as the shifted sum fits 128 bits; ErrRange otherwise.
func (s Acc) DivRound(d int64, from, to uint8) (int64, error) {
	if d <= 0 {
		return 0, ErrRange
	}
	if to < from {
		// Widening the divisor instead keeps one single rounding.
		dhi, dlo := bits.Mul64(uint64(d), uint64(pow10[min(from-to, MaxScale)]))
		if dhi != 0 || from-to > MaxScale {
			return 0, ErrRange
		}
		return s.divide(dlo)
	}
	hi, lo := s.abs()
	p := uint64(pow10[to-from])
	h1, l1 := bits.Mul64(lo, p)
	h2, l2 := bits.Mul64(hi, p)
	nhi, c := bits.Add64(h1, l2, 0)
	if h2 != 0 || c != 0 || nhi>>63 != 0 {
		return 0, ErrRange
	}
	return finish(s.hi < 0, nhi, l1, uint64(d), false)
}

func (s Acc) divide(d uint64) (int64, error) {
	hi, lo := s.abs()
	return finish(s.hi < 0, hi, lo, d, false)
}

// finish divides hi:lo by d half-even; sticky says that digits below lo were already dropped.
func finish(neg bool, hi, lo, d uint64, sticky bool) (int64, error) {
	if hi >= d {
		return 0, ErrRange
	}
	q, r := bits.Div64(hi, lo, d)
	if q > 1<<63 {
		return 0, ErrRange // before rounding up, which would wrap the greatest quotient to 0
	}
	half := d - r // compare r with d-r instead of 2r with d: no overflow
	if r > half || (r == half && (sticky || q&1 == 1)) {
		q++
	}
	if q>>63 != 0 {
		if neg && q == 1<<63 {
			return -1 << 63, nil
		}
		return 0, ErrRange
	}
	if neg {
		return -int64(q), nil
	}
	return int64(q), nil
}

// MulUSD returns price x size as money, rounded half-even to USDScale decimals.
func MulUSD(p Price, ps uint8, s Size, ss uint8) (USD, error) {
	var a Acc
	a.AddProduct(int64(p), int64(s))
	m, err := a.Round(ps+ss, USDScale)
	return USD(m), err
}
