package http

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// serve is the way of every request: recover, request id, client IP, security headers, head guard, body limit (fasthttp's
// own, see serveFault), then what admit checks (authentication, rate limit, quota, tier), then the handler. mux has the
// paths of the listener that it came by.
func (s *Server) serve(ctx *fasthttp.RequestCtx, mux *router) {
	c := s.calls.Get().(*call)
	c.begin(ctx)
	c.mux = mux
	s.metrics.inFlight.Add(1)
	// fasthttp does not recover: without this a panic in a handler would end the process.
	defer func() {
		if p := recover(); p != nil {
			s.metrics.panics.Inc()
			s.log.Error("handler panicked", "component", "http", "request_id", string(c.id[:]), "route", c.routeName(),
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			c.fail(errInternal)
		}
		s.finish(c)
	}()
	if err := c.head.read(&ctx.Request.Header); err != nil {
		c.identify()
		c.commonHeaders()
		c.countFault()
		ctx.SetConnectionClose()
		c.fail(err)
		return
	}
	c.identify()
	c.client = clientIP(c.client, c.head.forwardedFor, *s.trusted.Load())
	c.commonHeaders()
	if err := s.dispatch(c); err != nil {
		c.fail(err)
	}
	c.compress()
}

// dispatch finds the route, lets the call in and runs the handler. A call that no route takes is let in all the same
// before it is told so: it counts, and a bad credential is refused there too.
func (s *Server) dispatch(c *call) error {
	if c.isPreflight() {
		c.countFault()
		c.preflight()
		return s.admitConnection(c)
	}
	r, unmatched := s.match(c)
	c.route = r
	if err := s.admit(c); err != nil {
		return err
	}
	switch {
	case r == s.unmatched:
		return unmatched
	case r.relay:
		return s.native(c)
	case r.raw != nil:
		r.raw(c)
		return nil
	case r.replays && len(c.head.idempotencyKey) > 0:
		return c.replayable()
	}
	return c.envelope()
}

// envelope runs the route's handler and puts its data into the answer.
func (c *call) envelope() error {
	resp := &c.ctx.Response
	if c.route.status != 0 {
		resp.SetStatusCode(c.route.status)
	}
	body := append(resp.SwapBody(nil)[:0], envelopeHead...)
	body, m, err := c.route.answer(c, body)
	if err == nil && c.shared != nil {
		resp.SwapBody(body)
		c.sendShared(c.shared, m)
		resp.Header.SetContentType(contentJSON)
		return nil
	}
	if err == nil {
		body = c.appendTail(body, m)
	}
	resp.SwapBody(body)
	resp.Header.SetContentType(contentJSON)
	return err
}

// match finds the route of a call; where there is none, what the answer is: an error, or nothing but headers.
func (s *Server) match(c *call) (*route, error) {
	if c.head.encoded {
		return s.unmatched, errEncodedBody
	}
	method, path := c.ctx.Method(), requestPath(c.ctx)
	if !plainTarget(c.ctx.Request.Header.RequestURI()) && !honestPath(c.ctx.URI().PathOriginal()) {
		return s.unmatched, errTarget
	}
	if s.past != nil && c.mux == s.mux && bytes.HasPrefix(path, pastPrefix) {
		return s.matchPast(c, method, path)
	}
	end := c.mux.find(path, &c.pathParams)
	if end == nil {
		if s.relay != nil && c.mux == s.mux && forwardable(path) {
			return s.nativeRoute(method), nil
		}
		return s.unmatched, errNoPath
	}
	if r := end.route(method); r != nil {
		if s.relay != nil && r.native != nil && r.native(c) {
			return s.nativeRoute(method), nil
		}
		return r, nil
	}
	c.ctx.Response.Header.Set(fasthttp.HeaderAllow, end.allow)
	if string(method) == "OPTIONS" {
		c.ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
		return s.unmatched, nil
	}
	return s.unmatched, &model.Error{Code: model.CodeMethodNotAllowed, Message: "this path takes " + end.allow}
}

// admitConnection refuses the first request of a connection too many from one address.
func (s *Server) admitConnection(c *call) error {
	if c.ctx.ConnRequestNum() != 1 {
		return nil
	}
	err := s.connections.admit(c.ctx.Conn(), c.principal != nil)
	if err != nil {
		c.ctx.SetConnectionClose()
	}
	return err
}

// serveFault answers what fasthttp could not read as a request.
func (s *Server) serveFault(ctx *fasthttp.RequestCtx, err error) {
	c := s.calls.Get().(*call)
	c.begin(ctx)
	c.head = head{}
	s.metrics.inFlight.Add(1)
	defer s.finish(c)
	c.identify()
	c.commonHeaders()
	c.countFault()
	_, tooLong := errors.AsType[*fasthttp.ErrSmallBuffer](err)
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		// The head was read whole, so the answer can have the form that it asked for.
		if c.head.read(&ctx.Request.Header) != nil {
			c.head = head{}
		}
		c.identify()
		c.fail(errTooLarge)
	case tooLong:
		c.fail(errHeadTooLarge)
	default:
		c.fail(errHeadMalformed)
	}
}

// commonHeaders sets what every answer carries.
func (c *call) commonHeaders() {
	h := &c.ctx.Response.Header
	h.SetCanonical(headerRequestID, c.id[:])
	h.SetCanonical(headerNoSniff, valueNoSniff)
	h.SetCanonical(headerCacheControl, valueNoStore)
	if c.server.tls {
		h.SetCanonical(headerStrictTLS, valueStrictTLS)
	}
	c.server.cors.set(c)
}

var (
	headerRequestID    = []byte("X-Request-Id")
	headerNoSniff      = []byte("X-Content-Type-Options")
	headerCacheControl = []byte("Cache-Control")
	headerTiming       = []byte("Server-Timing")
	headerStrictTLS    = []byte("Strict-Transport-Security")
	valueNoSniff       = []byte("nosniff")
	valueNoStore       = []byte("no-store")
	valueStrictTLS     = []byte("max-age=31536000")
)

// finish measures, logs and gives the call back. It runs for every request, whatever happened to it.
func (s *Server) finish(c *call) {
	took := s.now().Sub(c.start)
	resp := &c.ctx.Response
	b := append(c.scratch[:0], "app;dur="...)
	b = appendMillis(b, took)
	resp.Header.SetCanonical(headerTiming, b)
	status := resp.StatusCode()
	c.settle(status)
	s.metrics.inFlight.Add(-1)
	s.metrics.count(c, status)
	c.lighten()
	size := 0
	if resp.IsBodyStream() {
		size = max(0, resp.Header.ContentLength())
	} else {
		size = len(resp.Body())
	}
	s.journal.note(c, status, took, size)
	c.ctx, c.principal, c.shared, c.head = nil, nil, nil, head{}
	c.past, c.pastAt = nil, 0
	c.metered, c.credits, c.made, c.kept = false, access.Credits{}, access.Made{}, nil
	s.calls.Put(c)
}

// wantsProblem tells whether the client asked for errors as RFC 9457.
func (c *call) wantsProblem() bool {
	return bytes.Contains(c.head.accept, []byte("application/problem+json"))
}

// appendMillis writes a duration in milliseconds with three decimals.
func appendMillis[D ~int64](dst []byte, d D) []byte {
	us := max(0, int64(d)/1000)
	dst = strconv.AppendInt(dst, us/1000, 10)
	return append(dst, '.', byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10))
}
