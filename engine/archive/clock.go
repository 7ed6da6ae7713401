package archive

import (
	"errors"
	"math"
	"time"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

var errTime = errors.New("no time; write unix seconds, ms or us, or RFC 3339")

// layouts are the texts that count as times; without a zone they are UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999 UTC", time.DateOnly,
}

// parseTime reads a time of the API: an integer below 10^11 is seconds (which may have decimals), one above 10^14
// microseconds, one above 10^17 nanoseconds, everything between milliseconds. Texts are RFC 3339 or a date.
func parseTime(b []byte) (model.Micros, error) {
	if len(b) == 0 {
		return 0, errTime
	}
	if digitsOnly(b) {
		d, err := parseDecimal(b)
		if err != nil {
			return 0, errTime
		}
		var acc num.Acc
		acc.AddProduct(d.Mant, 1)
		whole := d.Mant / num.Pow10(d.Scale)
		up := uint8(0) // decimals of a microsecond in the unit
		switch {
		case whole < 1e11:
			up = 6
		case whole <= 1e14:
			up = 3
		case whole > 1e17:
			return model.Micros(whole / 1000), nil
		}
		// Digits beyond the microsecond say nothing that we keep.
		if d.Scale > up {
			return model.Micros(d.Mant / num.Pow10(d.Scale-up)), nil
		}
		v, err := num.Rescale(d.Mant, d.Scale, up)
		if err != nil {
			return 0, errTime
		}
		return model.Micros(v), nil
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, string(b)); err == nil {
			if y := t.Year(); y < 1970 || y > 9999 {
				return 0, errTime
			}
			return model.Micros(t.UnixMicro()), nil
		}
	}
	return 0, errTime
}

// ParseTime reads a time as rows have them, for options.
func ParseTime(text string) (model.Millis, error) {
	t, err := parseTime([]byte(text))
	return t.Millis(), err
}

func digitsOnly(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && c != '.' && c|0x20 != 'e' && c != '+' {
			return false
		}
	}
	return b[0] >= '0' && b[0] <= '9'
}

// parseMicros reads a time of our own clock or of the venue's engine: microseconds, or any other form of a time.
func parseMicros(b []byte) (model.Micros, error) {
	t, err := parseTime(b)
	if err == nil && t > math.MaxInt64/2 {
		return 0, errTime
	}
	return t, err
}
