package archive

import (
	"errors"
	"strconv"

	"hyperlight/engine/num"
)

var (
	errNumber = errors.New("not a decimal number")
	errDigits = errors.New("more digits than can be kept")
	errNoise  = errors.New("a printed binary float, not a decimal; export the exact number")
)

// exactDigits is how many significant digits survive a binary float of 64 bits. A number with more of them that is not
// written as text is a printed float: its last digits are noise.
const exactDigits = 15

// plain writes a number without its exponent; a text without one is returned as it is.
func plain(b []byte) ([]byte, error) {
	at := -1
	for i, c := range b {
		if c|0x20 == 'e' {
			at = i
			break
		}
	}
	if at < 0 {
		return b, nil
	}
	exp, err := strconv.Atoi(string(b[at+1:]))
	if err != nil || exp > 40 || exp < -40 {
		return nil, errNumber
	}
	var digits, out []byte
	point, seen := 0, false
	mant := b[:at]
	if len(mant) > 0 && mant[0] == '-' {
		out, mant = append(out, '-'), mant[1:]
	}
	for _, c := range mant {
		switch {
		case c == '.' && !seen:
			seen = true
		case c >= '0' && c <= '9':
			digits = append(digits, c)
			if !seen {
				point++
			}
		default:
			return nil, errNumber
		}
	}
	if len(digits) == 0 || point == 0 || seen && point == len(digits) {
		return nil, errNumber
	}
	point += exp
	for point <= 0 {
		digits, point = append([]byte{'0'}, digits...), point+1
	}
	for point > len(digits) {
		digits = append(digits, '0')
	}
	out = append(out, digits[:point]...)
	if point < len(digits) {
		out = append(append(out, '.'), digits[point:]...)
	}
	return out, nil
}

// parseDecimal reads a number exactly, with as many decimals as it was written with; zeros that nothing can hold are cut.
func parseDecimal(b []byte) (num.Decimal, error) {
	b, err := plain(b)
	if err != nil {
		return num.Decimal{}, err
	}
	if b = positive(b); num.Decimals(b) > 0 {
		for num.Decimals(b) > num.MaxScale && b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	d, err := num.ParseDecimal(b)
	if errors.Is(err, num.ErrRange) && num.Decimals(b) > 0 { // zeros may be what makes it too long
		short := b
		for short[len(short)-1] == '0' {
			short = short[:len(short)-1]
		}
		if short[len(short)-1] == '.' {
			short = short[:len(short)-1]
		}
		d, err = num.ParseDecimal(short)
	}
	switch {
	case errors.Is(err, num.ErrSyntax):
		return num.Decimal{}, errNumber
	case err != nil:
		return num.Decimal{}, errDigits
	}
	return d, nil
}

// positive cuts a leading plus.
func positive(b []byte) []byte {
	if len(b) > 1 && b[0] == '+' && b[1] != '-' {
		return b[1:]
	}
	return b
}

// significant counts the digits of a number from the first that is not 0 to the last.
func significant(b []byte) (n int) {
	zeros := 0
	for _, c := range b {
		switch {
		case c|0x20 == 'e':
			return n
		case c < '0' || c > '9':
		case c == '0' && n > 0:
			zeros++
		case c != '0':
			n += zeros + 1
			zeros = 0
		}
	}
	return n
}

// parseExact reads a price or a size. A float with noise in it is refused: it would give a market decimals that it has not.
func parseExact(b []byte) (num.Decimal, error) {
	d, err := parseDecimal(b)
	if significant(b) > exactDigits {
		if text, bad := plain(b); bad == nil && num.Decimals(trimZeros(text)) > 8 {
			return d, errNoise
		}
	}
	return d, err
}

// parseSum reads a volume, a rate or money: what an archive may have added up or averaged in binary floats, as the venue's
// own candles are. Noise is taken off, and nothing else: of a number of more than fifteen significant digits the shortest
// is taken that differs by the last of fifteen, fourteen or thirteen only.
func parseSum(b []byte) (num.Decimal, error) {
	if significant(b) <= exactDigits {
		return parseDecimal(b)
	}
	text, err := plain(positive(b))
	if err != nil {
		return num.Decimal{}, err
	}
	for keep := exactDigits; keep >= exactDigits-2; keep-- {
		rounded, err := roundText(text, keep)
		if err != nil {
			return num.Decimal{}, err
		}
		if significant(rounded) <= keep-2 {
			return parseDecimal(trimZeros(rounded))
		}
	}
	// Long and without noise that could be told from digits.
	if d, err := parseDecimal(text); err == nil && d.Scale <= num.USDScale {
		return d, nil
	}
	rounded, err := roundText(text, exactDigits)
	if err != nil {
		return num.Decimal{}, err
	}
	return parseDecimal(trimZeros(rounded))
}

// roundText rounds a plain decimal half-up to a number of significant digits. Digits before the point become zeros.
func roundText(b []byte, keep int) ([]byte, error) {
	var digits []byte
	neg, point := false, -1
	for i, c := range b {
		switch {
		case c == '-' && i == 0:
			neg = true
		case c == '.' && point < 0:
			point = len(digits)
		case c >= '0' && c <= '9':
			digits = append(digits, c)
		default:
			return nil, errNumber
		}
	}
	if point < 0 {
		point = len(digits)
	}
	lead := 0
	for lead < len(digits) && digits[lead] == '0' {
		lead++
	}
	if len(digits) == 0 || point == 0 {
		return nil, errNumber
	}
	if cut := lead + keep; cut < len(digits) {
		up := digits[cut] >= '5'
		for i := cut; i < len(digits); i++ {
			digits[i] = '0'
		}
		i := cut - 1
		for ; up && i >= 0; i-- {
			if digits[i] == '9' {
				digits[i] = '0'
				continue
			}
			digits[i]++
			up = false
		}
		if up {
			digits, point = append([]byte{'1'}, digits...), point+1
		}
	}
	var out []byte
	if neg {
		out = append(out, '-')
	}
	out = append(out, digits[:point]...)
	if point < len(digits) {
		out = append(append(out, '.'), digits[point:]...)
	}
	return out, nil
}

// trimZeros cuts zeros behind the point, and the point.
func trimZeros(b []byte) []byte {
	if num.Decimals(b) == 0 {
		return b
	}
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	return b
}

// parseUSD reads money with its six decimals; more are rounded half-even, as every product of the API is.
func parseUSD(b []byte) (num.USD, error) {
	d, err := parseSum(b)
	if err != nil {
		return 0, err
	}
	var acc num.Acc
	acc.AddProduct(d.Mant, 1)
	m, err := acc.Round(d.Scale, num.USDScale)
	if err != nil {
		return 0, errDigits
	}
	return num.USD(m), nil
}

// parseRate reads a funding rate as an hourly fraction, from a fraction or from percent.
func parseRate(b []byte, percent bool) (num.Rate, error) {
	d, err := parseSum(b)
	if err != nil {
		return 0, err
	}
	scale := uint8(num.RateScale)
	if percent {
		scale -= 2
	}
	m, err := num.Rescale(d.Mant, d.Scale, scale)
	if err != nil {
		return 0, errDigits
	}
	return num.Rate(m), nil
}

// parseID reads an id or a count.
func parseID(b []byte) (uint64, error) {
	v, err := strconv.ParseUint(string(b), 10, 64)
	if err == nil {
		return v, nil
	}
	// pandas writes the integers of a column with holes as floats.
	d, err := parseDecimal(b)
	if err != nil || d.Mant < 0 || significant(b) > exactDigits {
		return 0, errors.New("not a whole number")
	}
	m, err := num.Rescale(d.Mant, d.Scale, 0)
	if err != nil {
		return 0, errors.New("not a whole number")
	}
	return uint64(m), nil
}
