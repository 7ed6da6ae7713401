package http

import (
	"bytes"
	"slices"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
)

// A head that two programs may read differently is refused before anything else, and the connection closed: what
// follows it could be a request smuggled past a proxy. fasthttp refuses most such heads by itself; the guard covers what
// it lets through (a blank inside a name, folded lines, identity, both lengths, odd Connection options).
var (
	errHeadName       = &model.Error{Code: model.CodeBadRequest, Message: "header names must be tokens"}
	errHeadFolded     = &model.Error{Code: model.CodeBadRequest, Message: "header lines must not be folded"}
	errHeadLength     = &model.Error{Code: model.CodeBadRequest, Message: "send either content-length or transfer-encoding, and once"}
	errHeadTransfer   = &model.Error{Code: model.CodeBadRequest, Message: "transfer-encoding must be chunked"}
	errHeadConnection = &model.Error{Code: model.CodeBadRequest, Message: "connection must name only close, keep-alive or upgrade"}
	errHeadURL        = &model.Error{Code: model.CodeBadRequest, Message: "the url must not be longer than 8 KiB"}
	errHeadProtocol   = &model.Error{Code: model.CodeBadRequest, Message: "the protocol must be HTTP/1.1 or HTTP/1.0"}
	errHeadTooLarge   = &model.Error{Code: model.CodeBadRequest, Message: "the request head must not be larger than 16 KiB"}
	errHeadMalformed  = &model.Error{Code: model.CodeBadRequest, Message: "the request must be well-formed HTTP and arrive within 10 s"}
	errEncodedBody    = &model.Error{Code: model.CodeBadRequest, Message: "content-encoding is not accepted on requests, send the body as it is"}
)

// head is what one pass over the raw header lines found. Its slices are the request's and end with it; the first of
// several lines of one name counts, but those of X-Forwarded-For are one list.
type head struct {
	apiKey, authorization, origin, requestID          []byte
	accept, acceptEncoding, ifNoneMatch, forwardedFor []byte
	idempotencyKey                                    []byte
	preflight                                         bool // Access-Control-Request-Method was there
	forwarded                                         bool // Forwarded, X-Forwarded-*, X-Real-IP or Via was there, or a page of another site asks
	encoded                                           bool // the body has a Content-Encoding
}

// read checks and reads a request's head.
func (h *head) read(r *fasthttp.RequestHeader) error {
	*h = head{}
	if len(r.RequestURI()) > maxURL {
		return errHeadURL
	}
	if p := r.Protocol(); string(p) != "HTTP/1.1" && string(p) != "HTTP/1.0" {
		return errHeadProtocol
	}
	return h.readLines(r.RawHeaders())
}

// readLines checks and reads the raw header lines, as they came.
func (h *head) readLines(raw []byte) error {
	var transfer, length int
	for len(raw) > 0 {
		line := raw
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			line, raw = raw[:i], raw[i+1:]
		} else {
			raw = nil
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			return errHeadFolded
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || !isToken(line[:colon]) {
			return errHeadName
		}
		name, value := line[:colon], line[colon+1:]
		// Only a few initials matter, which keeps the common line at one comparison.
		switch name[0] | 0x20 {
		case 't':
			if equalFold(name, "transfer-encoding") {
				transfer++
				if !equalFold(trim(value), "chunked") {
					return errHeadTransfer
				}
			}
		case 'c':
			switch {
			case equalFold(name, "content-length"):
				length++
			case equalFold(name, "content-encoding"):
				h.encoded = h.encoded || !equalFold(trim(value), "identity")
			case equalFold(name, "connection"):
				if !knownOptions(value) {
					return errHeadConnection
				}
			}
		case 'a':
			switch {
			case equalFold(name, "accept"):
				keep(&h.accept, value)
			case equalFold(name, "accept-encoding"):
				keep(&h.acceptEncoding, value)
			case equalFold(name, "authorization"):
				keep(&h.authorization, value)
			case equalFold(name, "access-control-request-method"):
				h.preflight = true
			}
		case 'x':
			switch {
			case equalFold(name, "x-api-key"):
				keep(&h.apiKey, value)
			case equalFold(name, "x-real-ip"):
				h.forwarded = true
			case equalFold(name, "x-request-id"):
				keep(&h.requestID, value)
			case len(name) > len("x-forwarded-") && equalFold(name[:len("x-forwarded-")], "x-forwarded-"):
				h.forwarded = true
				if equalFold(name, "x-forwarded-for") {
					h.forwardedFor = joinHops(h.forwardedFor, trim(value))
				}
			}
		case 'o':
			if equalFold(name, "origin") {
				if len(h.origin) == 0 {
					h.origin = nil // an empty one is none
				}
				keep(&h.origin, value)
			}
		case 's':
			// A page can have a browser ask without an Origin: for an image, say.
			if equalFold(name, "sec-fetch-site") {
				from := trim(value)
				h.forwarded = h.forwarded || !equalFold(from, "same-origin") && !equalFold(from, "none")
			}
		case 'i':
			switch {
			case equalFold(name, "if-none-match"):
				keep(&h.ifNoneMatch, value)
			case equalFold(name, "idempotency-key"):
				keep(&h.idempotencyKey, value)
			}
		case 'f', 'v':
			h.forwarded = h.forwarded || equalFold(name, "forwarded") || equalFold(name, "via")
		}
	}
	if transfer+length > 1 {
		return errHeadLength
	}
	return nil
}

func keep(dst *[]byte, value []byte) {
	if *dst == nil {
		*dst = trim(value)
	}
}

// joinHops makes one list of several lines; the last one holds the nearest hops.
func joinHops(far, near []byte) []byte {
	switch {
	case len(far) == 0:
		return near
	case len(near) == 0:
		return far
	}
	return slices.Concat(far, []byte{','}, near)
}

// knownOptions tells whether a Connection header names nothing that would remove another header on the way.
func knownOptions(v []byte) bool {
	for len(v) > 0 {
		option := v
		if i := bytes.IndexByte(v, ','); i >= 0 {
			option, v = v[:i], v[i+1:]
		} else {
			v = nil
		}
		option = trim(option)
		if len(option) > 0 && !equalFold(option, "close") && !equalFold(option, "keep-alive") && !equalFold(option, "upgrade") {
			return false
		}
	}
	return true
}

// tokenBytes are the bytes that RFC 9110 allows in a header name.
var tokenBytes = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-0x20] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenBytes[c] {
			return false
		}
	}
	return len(b) > 0
}

// equalFold compares ASCII text with a lower-case word.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// trim cuts blanks and tabs at both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
