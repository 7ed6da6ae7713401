package http

import (
	"bytes"
	"time"
)

// conditions are the headers of a request for a file that say when, and which part of it, is wanted (RFC 9110, 13 and 14).
// Lines of one list are joined with commas. The slices are the request's.
type conditions struct {
	match, noneMatch, unmodified, modified, ifRange, part []byte
}

// outcome is what conditions come to.
type outcome uint8

const (
	sendWhole   outcome = iota
	sendPart            // one range of it
	notModified         // 304
	notMatching         // 412
	noSuchRange         // 416
)

// fileRange is a part of a file: Length bytes from From on.
type fileRange struct{ From, Length int64 }

// decide applies the conditions, in the order of RFC 9110 (13.2.2), to a file of a size with a strong validator and a time of
// its last change. Several ranges at once are answered with the whole file, as the RFC allows.
func (q *conditions) decide(size int64, etag string, changed time.Time) (outcome, fileRange) {
	whole := fileRange{Length: size}
	switch {
	case len(q.match) > 0:
		if !listed(q.match, etag, false) {
			return notMatching, fileRange{}
		}
	case len(q.unmodified) > 0:
		if t, ok := httpTime(q.unmodified); ok && changed.After(t) {
			return notMatching, fileRange{}
		}
	}
	switch {
	case len(q.noneMatch) > 0:
		if listed(q.noneMatch, etag, true) {
			return notModified, fileRange{}
		}
	case len(q.modified) > 0:
		if t, ok := httpTime(q.modified); ok && !changed.After(t) {
			return notModified, fileRange{}
		}
	}
	// Only a strong validator can promise that a part fits to what the client has. A date cannot: two versions may be made
	// in one second.
	if len(q.part) == 0 || len(q.ifRange) > 0 && string(q.ifRange) != etag {
		return sendWhole, whole
	}
	return parseRange(q.part, size)
}

// listed tells whether a list of validators names one, or "*" does. A weak one counts where weak is set.
func listed(list []byte, etag string, weak bool) bool {
	for more := true; more; {
		var item []byte
		item, list, more = bytes.Cut(list, []byte(","))
		item = trim(item)
		if weak {
			item = bytes.TrimPrefix(item, []byte("W/"))
		}
		if string(item) == etag || string(item) == "*" {
			return true
		}
	}
	return false
}

// httpTimes are the three forms of a date that a client may send; the first one is what we send.
var httpTimes = [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC}

// httpTime reads a date of HTTP.
func httpTime(text []byte) (t time.Time, ok bool) {
	for _, form := range httpTimes {
		if t, err := time.Parse(form, string(text)); err == nil {
			return t, true
		}
	}
	return t, false
}

const rangeUnit = "bytes="

// parseRange reads a Range header for a file of a size. A unit that is not bytes is ignored, as it must be; ranges that
// nobody can read, or of which none lies in the file, are refused. Ranges that together are longer than the file are answered
// with the whole of it like any several.
func parseRange(header []byte, size int64) (outcome, fileRange) {
	whole := fileRange{Length: size}
	if len(header) < len(rangeUnit) || !equalFold(header[:len(rangeUnit)], rangeUnit) {
		return sendWhole, whole
	}
	var found fileRange
	given, inside := 0, 0
	for rest, more := header[len(rangeUnit):], true; more; {
		var item []byte
		item, rest, more = bytes.Cut(rest, []byte(","))
		if item = trim(item); len(item) == 0 {
			continue
		}
		r, ok := parseOneRange(item, size)
		if !ok {
			return noSuchRange, fileRange{}
		}
		given++
		if r.Length > 0 {
			found = r
			inside++
		}
	}
	switch {
	case given == 0 || inside > 1 || size == 0:
		return sendWhole, whole
	case inside == 0:
		return noSuchRange, fileRange{}
	}
	return sendPart, found
}

// parseOneRange reads "from-to", "from-" or "-last". A range that lies outside has no length.
func parseOneRange(item []byte, size int64) (r fileRange, ok bool) {
	first, last, found := bytes.Cut(item, []byte("-"))
	first, last = trim(first), trim(last)
	if !found || len(first) == 0 && len(last) == 0 {
		return r, false
	}
	if len(first) == 0 {
		n, ok := parsePlace(last)
		n = min(n, size)
		return fileRange{size - n, n}, ok
	}
	from, ok := parsePlace(first)
	if !ok {
		return r, false
	}
	if from >= size {
		return fileRange{}, true
	}
	to := size - 1
	if len(last) > 0 {
		n, ok := parsePlace(last)
		if !ok || n < from {
			return r, false
		}
		to = min(to, n)
	}
	return fileRange{from, to - from + 1}, true
}

// parsePlace reads a place in a file. One beyond what a number can hold lies behind the end of every file.
func parsePlace(text []byte) (int64, bool) {
	if !isDigits(text) {
		return 0, false
	}
	for len(text) > 1 && text[0] == '0' {
		text = text[1:]
	}
	if len(text) > maxDigits {
		return 1 << 62, true
	}
	return parseInt(text)
}
