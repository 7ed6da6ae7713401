package sim

import "strconv"

// shiftedMembers are the members that hold a time, whatever their depth; the number of digits tells their unit.
var shiftedMembers = map[string]bool{"timestamp": true, "last_updated_at": true, "transaction_time": true,
	"funding_timestamp": true, "created_at": true, "updated_at": true, "t": true}

// shiftTimes copies a frame and adds offset microseconds to each of its times. Every other byte stays. Bars ("t") and
// funding hours move by whole minutes and hours, so that they stay on their grid.
func shiftTimes(dst, frame []byte, offset int64) []byte {
	if offset == 0 {
		return append(dst, frame...)
	}
	for i := 0; i < len(frame); {
		if frame[i] != '"' {
			dst = append(dst, frame[i])
			i++
			continue
		}
		end := textEnd(frame, i)
		name := frame[i+1 : max(i+1, end-1)]
		dst = append(dst, frame[i:end]...)
		i = end
		if !shiftedMembers[string(name)] {
			continue
		}
		for i < len(frame) && (frame[i] == ':' || frame[i] == ' ') {
			dst = append(dst, frame[i])
			i++
		}
		start := i
		for i < len(frame) && frame[i] >= '0' && frame[i] <= '9' {
			i++
		}
		dst = appendShifted(dst, string(name), frame[start:i], offset)
	}
	return dst
}

// textEnd returns the index behind the closing quote of the text that starts at i.
func textEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func appendShifted(dst []byte, name string, digits []byte, offset int64) []byte {
	v, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || digits[0] == '0' { // zeros in front are no number of JSON, and no time
		return append(dst, digits...)
	}
	switch name {
	case "t":
		offset = offset / 60_000_000 * 60_000_000
	case "funding_timestamp":
		offset = offset / hourMicros * hourMicros
	}
	switch len(digits) {
	case 10:
		v += offset / 1_000_000
	case 13:
		v += offset / 1000
	case 16:
		v += offset
	default:
		return append(dst, digits...) // zero, or no time at all
	}
	return strconv.AppendInt(dst, v, 10)
}
