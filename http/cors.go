package http

import (
	"slices"

	"github.com/valyala/fasthttp"
)

// exposed are the response headers that a web page may read (contract 1.5).
const exposed = "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, RateLimit-Policy, Retry-After, " +
	"X-Request-Id, X-Credits-Cost, X-Credits-Used, X-Credits-Limit, X-Cache, Server-Timing, ETag, Idempotent-Replayed, " +
	"Accept-Ranges, Content-Range, Content-Disposition"

var (
	headerAllowOrigin = []byte("Access-Control-Allow-Origin")
	headerExpose      = []byte("Access-Control-Expose-Headers")
	headerVary        = []byte("Vary")
	valueAny          = []byte("*")
	valueExposed      = []byte(exposed)
	valueOrigin       = []byte("Origin")
)

// corsRules says which web pages may read answers. Credentials travel in headers, never in cookies, so "*" gives a page
// nothing that it could not ask for itself.
type corsRules struct {
	any     bool
	origins []string
}

func newCORSRules(origins []string) corsRules {
	return corsRules{any: len(origins) == 0 || slices.Contains(origins, "*"), origins: origins}
}

// set writes the CORS headers of an answer.
func (r *corsRules) set(c *call) {
	h := &c.ctx.Response.Header
	origin := c.head.origin
	switch {
	case r.any:
		h.SetCanonical(headerAllowOrigin, valueAny)
	case len(origin) == 0:
		h.SetCanonical(headerVary, valueOrigin)
		return
	default:
		h.SetCanonical(headerVary, valueOrigin)
		if !slices.Contains(r.origins, string(origin)) {
			return
		}
		h.SetCanonical(headerAllowOrigin, origin)
	}
	if len(origin) > 0 {
		h.SetCanonical(headerExpose, valueExposed)
	}
}

// isPreflight tells a browser's question from an OPTIONS request of anybody else.
func (c *call) isPreflight() bool {
	return c.head.preflight && len(c.head.origin) > 0 && string(c.ctx.Method()) == "OPTIONS"
}

// preflight answers a browser's question before the real request. It needs no credential and tells nothing about paths.
func (c *call) preflight() {
	h := &c.ctx.Response.Header
	h.Set(fasthttp.HeaderAccessControlAllowMethods, "GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS")
	h.Set(fasthttp.HeaderAccessControlAllowHeaders, "Authorization, X-Api-Key, X-Request-Id, Content-Type, Accept, Idempotency-Key, "+
		"Range, If-Range, If-Match, If-None-Match")
	h.Set(fasthttp.HeaderAccessControlMaxAge, "86400")
	c.ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
}
