package relay

import (
	"bytes"
	"strings"

	"hyperlight/engine/model"
)

var (
	errPath  = model.BadRequest("path", "the path must be plain: no dot segments, no empty ones, no encoded slashes")
	errQuery = model.BadRequest("query", "the query must be well-formed: no blanks, control bytes or '#'")
)

// checkPath refuses a path that another program could read as one outside the venue's API: below the fixed base nothing
// climbs, whoever decodes it, and however often.
func checkPath(path []byte) error {
	if s := string(path); s == "/" || s == "/info" {
		return nil
	}
	rest, ok := bytes.CutPrefix(path, []byte(apiPrefix))
	if !ok || len(rest) == 0 {
		return errPath
	}
	for segments := 1; ; segments++ {
		segment, more, found := bytes.Cut(rest, []byte{'/'})
		last := !found
		if segments > maxSegments+1 || !checkSegment(segment, last && segments > 1) {
			return errPath
		}
		if last {
			return nil
		}
		rest = more
	}
}

// checkSegment accepts the characters of RFC 3986 and well-formed escapes of everything that means nothing in a path.
func checkSegment(segment []byte, mayBeEmpty bool) bool {
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c != '%' {
			if !pathBytes[c] {
				return false
			}
			continue
		}
		v, ok := unescape(segment, i)
		// An escaped escape would be decoded once more by a careless program; ';' hides dot segments from some.
		if !ok || v < ' ' || v == 0x7f || strings.IndexByte(`/\%?#;`, v) >= 0 {
			return false
		}
		i += 2
	}
	if len(segment) == 0 {
		return mayBeEmpty
	}
	return !onlyDots(segment)
}

// onlyDots tells whether a segment is nothing but dots, escaped or not.
func onlyDots(segment []byte) bool {
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' {
			c, _ = unescape(segment, i)
			i += 2
		}
		if c != '.' {
			return false
		}
	}
	return true
}

// pathBytes are those that may stand in a path segment as they are: RFC 3986's pchar without ';'.
var pathBytes = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-0x20] = true, true
	}
	for _, c := range "-._~!$&'()*+,=:@" {
		t[c] = true
	}
	return t
}()

// checkQuery refuses what could end the request line or start a fragment. Other bytes are the venue's business.
func checkQuery(query []byte) error {
	for _, c := range query {
		if c <= ' ' || c == 0x7f || c == '#' {
			return errQuery
		}
	}
	return nil
}

// unescape reads the escape at text[i], which is a '%'.
func unescape(text []byte, i int) (byte, bool) {
	if i+2 >= len(text) {
		return 0, false
	}
	hi, ok := hexDigit(text[i+1])
	lo, ok2 := hexDigit(text[i+2])
	return hi<<4 | lo, ok && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
