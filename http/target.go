package http

import "github.com/valyala/fasthttp"

// plainTarget tells whether a request target is a path in which nothing has to be decoded or put in order, and nothing
// follows it: letters, digits, '_', '-' and single slashes. Parsing such a target as an address would only cost time: it
// shows in the requests per second of a current book.
func plainTarget(target []byte) bool {
	if len(target) == 0 || target[0] != '/' {
		return false
	}
	for i, ch := range target {
		switch {
		case ch >= 'a' && ch <= 'z', ch >= '0' && ch <= '9', ch == '_', ch == '-', ch >= 'A' && ch <= 'Z':
		case ch == '/' && (i == 0 || target[i-1] != '/'):
		default:
			return false
		}
	}
	return true
}

// requestPath returns the decoded path. The bytes are the request's.
func requestPath(ctx *fasthttp.RequestCtx) []byte {
	if t := ctx.Request.Header.RequestURI(); plainTarget(t) {
		return t
	}
	return ctx.Path()
}

// queryString returns what follows the path's '?'. The bytes are the request's.
func queryString(ctx *fasthttp.RequestCtx) []byte {
	if plainTarget(ctx.Request.Header.RequestURI()) {
		return nil
	}
	return ctx.URI().QueryString()
}

// honestPath tells whether every program between the client and us reads a path alike: no dot segments, no empty ones, no
// separators or control characters behind escapes, nothing that has to be decoded twice. Who checked such a path in front
// of us checked something else.
func honestPath(path []byte) bool {
	dots, length := 0, 0 // of the segment so far
	for i := 0; i < len(path); i++ {
		ch := path[i]
		switch {
		case ch == '/':
			if i > 0 && length == 0 || length > 0 && length <= 2 && dots == length {
				return false
			}
			dots, length = 0, 0
			continue
		case ch == '%':
			if i+2 >= len(path) || unhex(path[i+1]) < 0 || unhex(path[i+2]) < 0 {
				return false
			}
			ch = byte(unhex(path[i+1])<<4 | unhex(path[i+2]))
			i += 2
			if ch == '/' || ch == '%' {
				return false
			}
		}
		if ch < ' ' || ch >= 0x7f || ch == '\\' || ch == ';' {
			return false
		}
		length++
		if ch == '.' {
			dots++
		}
	}
	return length == 0 || length > 2 || dots != length
}

func unhex(ch byte) int {
	switch {
	case ch >= '0' && ch <= '9':
		return int(ch - '0')
	case ch|0x20 >= 'a' && ch|0x20 <= 'f':
		return int(ch|0x20-'a') + 10
	}
	return -1
}
