package lighter

// maxDepth bounds the nesting of a frame; recorded ones reach 4.
const maxDepth = 64

// scanner walks one JSON text from front to back. After a failed step err is set and nothing else is to be trusted.
// It accepts exactly what JSON allows, also inside members that are skipped, so that a damaged frame is never taken
// for a whole one.
type scanner struct {
	data  []byte
	pos   int
	err   error
	plain []byte // unescaped text of the string read last, where it had escapes
	name  span   // raw text of the member name read last, with its quotes
}

type span struct{ from, to int }

func (s *scanner) reset(data []byte) {
	s.data, s.pos, s.err = data, 0, nil
}

func (s *scanner) fail(kind error, what string) {
	if s.err == nil {
		s.err = &FrameError{Kind: kind, Offset: s.pos, What: what}
	}
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		if c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
			return c
		}
		s.pos++
	}
	return 0
}

// begin steps over the opening bracket c; false without failing where something else stands there.
func (s *scanner) begin(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// member steps to the next member of an object and returns its name, valid until the next string is read; false at the
// end of the object or after a failure.
func (s *scanner) member(first bool) ([]byte, bool) {
	c := s.peek()
	if c == '}' {
		s.pos++
		return nil, false
	}
	if !first {
		if c != ',' {
			s.fail(ErrMalformed, "expected a comma or the end of an object")
			return nil, false
		}
		s.pos++
		c = s.peek()
	}
	if c != '"' {
		s.fail(ErrMalformed, "expected a member name")
		return nil, false
	}
	from := s.pos
	name, ok := s.str()
	if !ok {
		return nil, false
	}
	s.name = span{from, s.pos}
	if s.peek() != ':' {
		s.fail(ErrMalformed, "expected a colon")
		return nil, false
	}
	s.pos++
	return name, true
}

// element steps to the next element of an array; false at its end or after a failure.
func (s *scanner) element(first bool) bool {
	c := s.peek()
	if c == ']' {
		s.pos++
		return false
	}
	if first {
		return true
	}
	if c != ',' {
		s.fail(ErrMalformed, "expected a comma or the end of an array")
		return false
	}
	s.pos++
	return true
}

// number reads the number at the cursor by JSON's grammar and returns its text.
func (s *scanner) number() ([]byte, bool) {
	b, from := s.data, s.pos
	i := from
	if i < len(b) && b[i] == '-' {
		i++
	}
	n := digits(b, i)
	ok := n > 0 && (n == 1 || b[i] != '0')
	i += n
	if ok && i < len(b) && b[i] == '.' {
		n = digits(b, i+1)
		ok = n > 0
		i += 1 + n
	}
	if ok && i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		n = digits(b, i)
		ok = n > 0
		i += n
	}
	if !ok {
		s.fail(ErrMalformed, "broken number")
		return nil, false
	}
	s.pos = i
	return b[from:i], true
}

func digits(b []byte, from int) int {
	i := from
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i - from
}

// word reads true, false or null at the cursor.
func (s *scanner) word(w string) bool {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		s.fail(ErrMalformed, "expected a value")
		return false
	}
	s.pos += len(w)
	return true
}

// null steps over a null; false without failing where something else stands there.
func (s *scanner) null() bool {
	return s.peek() == 'n' && s.word("null")
}

// raw skips a value and returns its text.
func (s *scanner) raw() span {
	s.peek()
	from := s.pos
	s.skip(0)
	return span{from, s.pos}
}

// skip steps over any value.
func (s *scanner) skip(depth int) bool {
	switch c := s.peek(); {
	case c == '"':
		_, ok := s.str()
		return ok
	case c == '{' || c == '[':
		if depth == maxDepth {
			s.fail(ErrMalformed, "nested too deeply")
			return false
		}
		s.pos++
		if c == '[' {
			for first := true; s.element(first); first = false {
				if !s.skip(depth + 1) {
					return false
				}
			}
			return s.err == nil
		}
		for first := true; ; first = false {
			if _, ok := s.member(first); !ok {
				return s.err == nil
			}
			if !s.skip(depth + 1) {
				return false
			}
		}
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	_, ok := s.number()
	return ok
}

// end reports whether only white space is left.
func (s *scanner) end() bool {
	if s.err == nil && (s.peek() != 0 || s.pos < len(s.data)) {
		s.fail(ErrMalformed, "something follows the frame")
	}
	return s.err == nil
}
