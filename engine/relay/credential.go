package relay

import "bytes"

const (
	ourKeyName   = "api_key"
	ourKeyPrefix = "hlt_"
	ourKeyDigits = 48 // hexadecimal, after the prefix
	scheme       = "bearer"
	// decodings is how often a text is decoded to see what somebody could read in it.
	decodings = 8
)

// clean cuts the members that carry a Hyperlight credential: those that some decoder reads as api_key, whatever their
// spelling, and those whose value holds a key or a token of ours under another name. The rest stays byte for byte. It
// returns the query itself where nothing is cut.
func clean(query []byte) []byte {
	if !suspicious(query) {
		return query
	}
	kept := make([]byte, 0, len(query))
	first := true
	var before byte // the separator in front of the piece
	for rest, more := query, true; more; {
		piece, separator, next, again := cutPiece(rest)
		name, value, _ := bytes.Cut(piece, []byte{'='})
		if !isName(name, ourKeyName) && !isOurs(value) && !isOurs(name) {
			if !first {
				kept = append(kept, before)
			}
			kept = append(kept, piece...)
			first = false
		}
		before, rest, more = separator, next, again
	}
	return kept
}

// suspicious tells whether clean may find something; it is quick and errs on the safe side.
func suspicious(query []byte) bool {
	for i, c := range query {
		switch c {
		case '%', ';':
			return true
		case 'k', 'K': // api_key
			if i+2 < len(query) && query[i+1]|0x20 == 'e' && query[i+2]|0x20 == 'y' {
				return true
			}
		case 'h', 'H': // hlt_
			if i+2 < len(query) && query[i+1]|0x20 == 'l' && query[i+2]|0x20 == 't' {
				return true
			}
		case 'e': // the start of a JWT
			if i+2 < len(query) && query[i+1] == 'y' && query[i+2] == 'J' {
				return true
			}
		}
	}
	return false
}

// cutMember cuts the first member off a query: what stands before the first '&'.
func cutMember(query []byte) (piece []byte, separator byte, rest []byte, more bool) {
	if i := bytes.IndexByte(query, '&'); i >= 0 {
		return query[:i], '&', query[i+1:], true
	}
	return query, 0, nil, false
}

// cutPiece is cutMember for those who take ';' for a separator too.
func cutPiece(query []byte) (piece []byte, separator byte, rest []byte, more bool) {
	if i := bytes.IndexAny(query, "&;"); i >= 0 {
		return query[:i], query[i], query[i+1:], true
	}
	return query, 0, nil, false
}

// isName tells whether some decoder could read a raw name as the given one, which is lower case: decoded as often as one
// likes, without regard to case and blanks around it, with the marks of a list, or with the characters that some
// languages replace by '_'.
func isName(raw []byte, name string) bool {
	var space [64]byte
	text := decodeAll(space[:0], raw)
	if i := bytes.IndexByte(text, '['); i > 0 {
		text = text[:i]
	}
	text = bytes.TrimFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
	if len(text) != len(name) {
		return false
	}
	for i, c := range text {
		if c == ' ' || c == '.' {
			c = '_'
		}
		if lower(c) != name[i] {
			return false
		}
	}
	return true
}

// isOurs tells whether a raw text holds a key of ours or is a token of ours, with or without the scheme's word in front.
// Native tokens are numbers and hex between colons, so they are neither.
func isOurs(raw []byte) bool {
	var space [256]byte
	text := raw
	if bytes.IndexByte(raw, '%') >= 0 || bytes.IndexByte(raw, '+') >= 0 {
		text = decodeAll(space[:0], raw)
	}
	if holdsKey(text) {
		return true
	}
	text = bytes.TrimSpace(text)
	if n := len(scheme); len(text) > n && bytes.EqualFold(text[:n], []byte(scheme)) {
		text = bytes.TrimSpace(text[n:])
	}
	return isToken(text)
}

// CleanQuery returns a query without the members that carry a credential of ours, for those who reach the venue on other
// ways than Do. What is returned may share the query's memory.
func CleanQuery(query []byte) []byte { return clean(query) }

// HoldsCredential tells whether a text holds a key of ours, or is, escapes decoded, a token of ours.
func HoldsCredential(text []byte) bool { return isOurs(text) }

// HoldsKey tells whether a text holds a key of ours as it stands. It is quick, also for long texts.
func HoldsKey(text []byte) bool { return holdsKey(text) }

// IsNative tells whether an Authorization header is one that is passed on: the venue's own.
func IsNative(authorization []byte) bool { return len(nativeAuthorization(authorization)) > 0 }

func holdsKey(text []byte) bool {
	for {
		i := bytes.Index(text, []byte(ourKeyPrefix))
		if i < 0 {
			return false
		}
		text = text[i+len(ourKeyPrefix):]
		digits := 0
		for digits < len(text) && digits < ourKeyDigits {
			if _, ok := hexDigit(text[digits]); !ok {
				break
			}
			digits++
		}
		if digits == ourKeyDigits {
			return true
		}
	}
}

// isToken tells whether a text has the form of a JSON Web Token: three parts of base64url, the first an object.
func isToken(text []byte) bool {
	if !bytes.HasPrefix(text, []byte("eyJ")) {
		return false
	}
	dots := 0
	for _, c := range text {
		switch {
		case c == '.':
			dots++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '=':
		default:
			return false
		}
	}
	return dots == 2
}

// nativeAuthorization returns the header's value where it is the venue's, whose tokens are fields between colons and
// know no scheme. What comes as Bearer is ours unless it is such a token: some clients write the word in front.
func nativeAuthorization(value []byte) []byte {
	value = bytes.TrimSpace(value)
	token := value
	if n := len(scheme); len(value) >= n && bytes.EqualFold(value[:n], []byte(scheme)) {
		token = bytes.TrimLeft(value[n:], " \t")
		if bytes.IndexByte(token, ':') < 0 {
			return nil
		}
	}
	// What has a scheme of its own (Basic) is meant for a proxy in front of us, and is nobody's business behind it.
	if bytes.HasPrefix(token, []byte(ourKeyPrefix)) || isOurs(token) || bytes.IndexByte(token, ' ') >= 0 || !plainHeader(value) {
		return nil
	}
	return value
}

// nativeForm tells whether a raw text has the form of the venue's tokens: four or five fields between colons. Whether the
// venue takes it, only the venue knows.
func nativeForm(raw []byte) bool {
	var space [256]byte
	n := bytes.Count(decodeAll(space[:0], raw), []byte{':'})
	return n == 3 || n == 4
}

// decodeAll decodes escapes until there are none left, appending to dst. '+' is a blank, %uXXXX its lower byte, and
// damaged escapes stay.
func decodeAll(dst, raw []byte) []byte {
	dst = append(dst, raw...)
	for range decodings {
		n, changed := 0, false
		for i := 0; i < len(dst); i, n = i+1, n+1 {
			c := dst[i]
			switch {
			case c == '+':
				c = ' '
			case c != '%':
			case i+5 < len(dst) && dst[i+1]|0x20 == 'u':
				if _, ok := unescape(dst, i+1); ok {
					if v, ok := unescape(dst, i+3); ok {
						c, i, changed = v, i+5, true
					}
				}
			default:
				if v, ok := unescape(dst, i); ok {
					c, i, changed = v, i+2, true
				}
			}
			dst[n] = c
		}
		dst = dst[:n]
		if !changed {
			break
		}
	}
	return dst
}
