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
// own, see serveFault), authentication, then whatever admit checks, then the handler.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	c := s.calls.Get().(*call)
	c.begin(ctx)
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

// dispatch finds the route, lets the call in and runs the handler.
func (s *Server) dispatch(c *call) error {
	r, err := s.match(c)
	if r == nil {
		if crowded := s.admitConnection(c); crowded != nil {
			return crowded
		}
		return err
	}
	c.route = r
	if err := s.admit(c); err != nil {
		return err
	}
	if r.raw != nil {
		r.raw(c)
		return nil
	}
	resp := &c.ctx.Response
	body := append(resp.SwapBody(nil)[:0], envelopeHead...)
	body, m, err := r.answer(c, body)
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

// match finds the route of a call. Where there is none the answer is the error, or has been made.
func (s *Server) match(c *call) (*route, error) {
	if c.head.encoded {
		return nil, errEncodedBody
	}
	method, path := c.ctx.Method(), requestPath(c.ctx)
	if c.head.preflight && len(c.head.origin) > 0 && string(method) == "OPTIONS" {
		c.preflight()
		return nil, nil
	}
	end := s.mux.find(path, &c.pathParams)
	if end == nil {
		if s.relay != nil && forwardable(path) {
			s.relay(c.ctx)
			return nil, nil
		}
		return nil, errNoPath
	}
	if r := end.route(method); r != nil {
		return r, nil
	}
	c.ctx.Response.Header.Set(fasthttp.HeaderAllow, end.allow)
	if string(method) == "OPTIONS" {
		c.ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
		return nil, nil
	}
	return nil, &model.Error{Code: model.CodeMethodNotAllowed, Message: "this path takes " + end.allow}
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

// admit makes the checks that can refuse a call before its handler, in the contract's order (1.6): authentication, rate
// limit, quota, tier. Rate windows and credits belong between the first and the last; they come with the keys.
func (s *Server) admit(c *call) error {
	var refused error
	if c.route.auth == authData {
		refused = c.authenticate()
	}
	if err := s.admitConnection(c); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	c.limitHeaders()
	return s.checkPlan(c)
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

// checkPlan refuses a plan below the route's.
func (s *Server) checkPlan(c *call) error {
	need := c.route.plan
	if need == "" || c.principal == nil {
		return nil
	}
	plan, ok := s.access.Plan(need)
	if ok && c.principal.Plan.Rank >= plan.Rank {
		return nil
	}
	return &model.Error{Code: model.CodeForbidden, Message: "this endpoint requires the " + need + " tier or above",
		Details: map[string]any{"required_tier": need}}
}

// commonHeaders sets what every answer carries.
func (c *call) commonHeaders() {
	h := &c.ctx.Response.Header
	h.SetCanonical(headerRequestID, c.id[:])
	h.SetCanonical(headerNoSniff, valueNoSniff)
	h.SetCanonical(headerCacheControl, valueNoStore)
	c.server.cors.set(c)
}

var (
	headerRequestID    = []byte("X-Request-Id")
	headerNoSniff      = []byte("X-Content-Type-Options")
	headerCacheControl = []byte("Cache-Control")
	headerTiming       = []byte("Server-Timing")
	valueNoSniff       = []byte("nosniff")
	valueNoStore       = []byte("no-store")
)

// limitHeaders tells a caller whose plan has no limit per minute that it has none. Windows are not counted yet, so there
// is nothing true to say to the others.
func (c *call) limitHeaders() {
	if c.principal == nil || c.principal.Plan.RequestsPerMinute != access.Unlimited {
		return
	}
	h := &c.ctx.Response.Header
	h.SetCanonical(headerRateLimit, valueUnlimited)
	h.SetCanonical(headerRateRemaining, valueUnlimited)
	h.SetCanonical(headerRateReset, strconv.AppendInt(c.scratch[:0], c.start.Unix()+rateWindow, 10))
}

// rateWindow is the length of the window of requests per minute, in seconds: an empty one resets that much later.
const rateWindow = 60

var (
	headerRateLimit     = []byte("X-RateLimit-Limit")
	headerRateRemaining = []byte("X-RateLimit-Remaining")
	headerRateReset     = []byte("X-RateLimit-Reset")
	valueUnlimited      = []byte("-1")
)

// finish measures, logs and gives the call back. It runs for every request, whatever happened to it.
func (s *Server) finish(c *call) {
	took := s.now().Sub(c.start)
	resp := &c.ctx.Response
	b := append(c.scratch[:0], "app;dur="...)
	b = appendMillis(b, took)
	resp.Header.SetCanonical(headerTiming, b)
	status := resp.StatusCode()
	s.metrics.inFlight.Add(-1)
	s.metrics.count(c, status)
	size := 0
	if resp.IsBodyStream() {
		size = max(0, resp.Header.ContentLength())
	} else {
		size = len(resp.Body())
	}
	s.journal.note(c, status, took, size)
	c.ctx, c.principal, c.shared, c.head = nil, nil, nil, head{}
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
