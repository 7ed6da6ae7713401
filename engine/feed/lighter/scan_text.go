package lighter

import (
	"unicode/utf16"
	"unicode/utf8"
)

// str reads the string at the cursor; the caller has seen its opening quote. The text points into the frame where it
// has no escapes.
func (s *scanner) str() ([]byte, bool) {
	from := s.pos + 1
	for i := from; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			return s.data[from:i], true
		case c == '\\':
			return s.escaped(from, i)
		case c < ' ':
			s.pos = i
			s.fail(ErrMalformed, "control character in a string")
			return nil, false
		}
	}
	s.pos = len(s.data)
	s.fail(ErrMalformed, "string without an end")
	return nil, false
}

// escaped goes on with a string whose first backslash stands at i.
func (s *scanner) escaped(from, i int) ([]byte, bool) {
	out := append(s.plain[:0], s.data[from:i]...)
	for i < len(s.data) {
		c := s.data[i]
		switch {
		case c == '"':
			s.pos, s.plain = i+1, out
			return out, true
		case c < ' ':
			s.pos = i
			s.fail(ErrMalformed, "control character in a string")
			return nil, false
		case c != '\\':
			out = append(out, c)
			i++
			continue
		}
		if i+1 >= len(s.data) {
			break
		}
		switch e := s.data[i+1]; e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(s.data, i+2)
			if r < 0 {
				s.pos = i
				s.fail(ErrMalformed, "broken escape in a string")
				return nil, false
			}
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+7 < len(s.data) && s.data[i+6] == '\\' && s.data[i+7] == 'u' {
					if low := hex4(s.data, i+8); low >= 0 {
						pair = utf16.DecodeRune(r, low)
					}
				}
				if r = pair; pair != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
			i += 4
		default:
			s.pos = i
			s.fail(ErrMalformed, "broken escape in a string")
			return nil, false
		}
		i += 2
	}
	s.pos, s.plain = len(s.data), out
	s.fail(ErrMalformed, "string without an end")
	return nil, false
}

// hex4 reads four hexadecimal digits at i, -1 where there are none.
func hex4(b []byte, i int) rune {
	if i+4 > len(b) {
		return -1
	}
	var r rune
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// text reads a value that may be a number or text, and returns it as text; null is empty. Anything else is ErrValue.
// The text is valid until the next string is read.
func (s *scanner) text(what string) []byte {
	switch c := s.peek(); {
	case c == '"':
		t, _ := s.str()
		return t
	case c == '-' || c-'0' <= 9:
		t, _ := s.number()
		return t
	case c == 'n':
		s.word("null")
		return nil
	}
	if s.skip(0) {
		s.fail(ErrValue, what)
	}
	return nil
}
