package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"
)

const (
	maxAnswer      = 32 << 20
	maxAnswerHead  = 64 << 10
	maxConnections = 128
	idleConnection = 30 * time.Second
)

// call is what leaves: checked, and without anything of ours. Its bytes are the request's.
type call struct {
	endpoint  *endpoint
	read      bool
	signed    bool // carries the venue's own auth
	account   bool // which has the form of a token
	anonymous bool

	method                             string
	path, query                        []byte
	authorization, contentType, accept []byte
	body                               []byte
}

// venue is the client of one venue's REST. Nothing a caller sends reaches the choice of host, the base path or the head.
type venue struct {
	client       *fasthttp.HostClient
	scheme, host string
	base         string // path in front of every call's, without a slash at the end
	timeout      time.Duration
}

func newVenue(base *url.URL, o *Options) *venue {
	v := &venue{scheme: base.Scheme, host: base.Host, base: strings.TrimRight(base.EscapedPath(), "/"), timeout: o.Timeout}
	v.client = &fasthttp.HostClient{
		Addr: fasthttp.AddMissingPort(base.Host, base.Scheme == "https"), IsTLS: base.Scheme == "https", Dial: o.Dial,
		Name: o.UserAgent, NoDefaultUserAgentHeader: o.UserAgent == "",
		MaxConns: maxConnections, MaxConnWaitTimeout: o.Timeout, MaxIdleConnDuration: idleConnection,
		ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, ReadBufferSize: maxAnswerHead, MaxResponseBodySize: maxAnswer,
		DisablePathNormalizing: true, SecureErrorLogMessage: true,
		MaxIdemponentCallAttempts: 2, RetryIfErr: repeatRead,
	}
	return v
}

// repeatRead lets a GET be sent once more where a kept connection turns out to be closed. Nothing else is ever repeated:
// a transaction may have been taken although no answer came.
func repeatRead(req *fasthttp.Request, attempts int, err error) (resetTimeout, retry bool) {
	closed := errors.Is(err, io.EOF) || errors.Is(err, fasthttp.ErrConnectionClosed) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
	return false, closed && attempts == 1 && req.Header.IsGet()
}

// build makes the request from its parts; it copies them.
func (v *venue) build(c *call) *fasthttp.Request {
	req := fasthttp.AcquireRequest()
	uri := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(uri)
	uri.DisablePathNormalizing = true
	uri.SetScheme(v.scheme)
	uri.SetHost(v.host)
	uri.SetPathBytes(append([]byte(v.base), c.path...))
	uri.SetQueryStringBytes(c.query)
	req.SetURI(uri)
	h := &req.Header
	h.SetNoDefaultContentType(true)
	h.Set(fasthttp.HeaderAcceptEncoding, "gzip")
	if c.read {
		h.SetMethod(fasthttp.MethodGet)
	} else {
		h.SetMethod(c.method)
		if len(c.contentType) > 0 && plainHeader(c.contentType) && !holdsKey(c.contentType) {
			h.SetContentTypeBytes(c.contentType)
		}
		req.SetBody(c.body)
	}
	h.Set(fasthttp.HeaderAccept, "*/*")
	if len(c.accept) > 0 && plainHeader(c.accept) && !holdsKey(c.accept) {
		h.SetBytesV(fasthttp.HeaderAccept, c.accept)
	}
	if len(c.authorization) > 0 {
		h.SetBytesV(fasthttp.HeaderAuthorization, c.authorization)
	}
	return req
}

// plainHeader tells whether a value can stand in a head: visible ASCII and blanks.
func plainHeader(value []byte) bool {
	for _, c := range value {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// patience is how long a call waits for the budget.
func (r *Relay) patience() time.Duration { return r.o.Timeout / 2 }

// acquire takes a call's part of the budget. What the venue counts by account takes one unit, whatever it weighs there.
func (r *Relay) acquire(ctx context.Context, c *call) error {
	budget, units := r.o.Budget, c.endpoint.units()
	if c.byAccount() {
		units = 1
		if r.o.AccountBudget != nil && !c.anonymous {
			budget = r.o.AccountBudget
		}
	}
	switch {
	case budget == nil:
		return ctx.Err()
	case c.anonymous:
		return budget.AcquireHalf(ctx, feed.PassThrough, units)
	}
	return budget.Acquire(ctx, feed.PassThrough, units)
}

// byAccount tells whether the venue counts a call against an account instead of our address.
func (c *call) byAccount() bool { return c.account || c.endpoint.account }

// refused makes the error of a call that was not sent.
func (r *Relay) refused(c *call, err error) error {
	if r.life.Err() != nil {
		return upstreamError("the server is stopping, the call was not sent", err)
	}
	if errors.Is(err, context.Canceled) {
		r.meters.count(c.endpoint, "cancelled")
	} else {
		r.meters.count(c.endpoint, "budget")
	}
	return upstreamError("the budget of calls to lighter is spent, the call was not sent; try again in some seconds", err)
}

// send makes the call and gives the request back. The answer shares no memory with it.
func (r *Relay) send(c *call, req *fasthttp.Request) (*Response, error) {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	err := r.venue.client.DoTimeout(req, resp, r.venue.timeout)
	fasthttp.ReleaseRequest(req)
	if err != nil {
		return nil, r.failed(c, err)
	}
	body, err := plainBody(resp)
	if err != nil {
		return nil, r.failed(c, err)
	}
	status := resp.StatusCode()
	r.meters.countStatus(c.endpoint, status)
	if status < fasthttp.StatusOK || status > 599 {
		// A client, or a proxy in front, would take it for a word about its own connection: 101 for a change of protocols.
		return nil, r.failed(c, errStatus)
	}
	if status == fasthttp.StatusTooManyRequests && r.o.Budget != nil && !c.byAccount() {
		r.o.Budget.Exhaust() // somebody else uses the address too
	}
	if r.o.Budget != nil && c.account && tokenRefused(status, body) {
		r.o.Budget.Charge(c.endpoint.units()) // there is no account that it could have been counted against
	}
	resp.Header.SetNoDefaultContentType(true) // what the venue left out stays out
	answer := &Response{Status: status, ContentType: bytes.Clone(resp.Header.ContentType()), Body: body}
	if c.read && !c.signed && c.endpoint.ttl > 0 {
		answer.Cache = Miss
	}
	if status == fasthttp.StatusTooManyRequests {
		answer.RetryAfter = retryAfter(resp.Header.Peek(fasthttp.HeaderRetryAfter))
	}
	return answer, nil
}

// retryAfter reads a number of seconds, at least 1; 0 where there is none.
func retryAfter(value []byte) int {
	n, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil {
		return 0
	}
	return max(int(n), 1)
}

// tokenRefused tells whether the venue took a call's token for none.
func tokenRefused(status int, body []byte) bool {
	return status == fasthttp.StatusUnauthorized || bytes.Contains(body[:min(len(body), 64)], []byte(`"code":20013`))
}

var errStatus = errors.New("status is not from 200 to 599")

// plainBody returns a copy of the body without the encoding of its way.
func plainBody(resp *fasthttp.Response) ([]byte, error) {
	if len(resp.Header.ContentEncoding()) == 0 {
		return bytes.Clone(resp.Body()), nil
	}
	body, err := resp.BodyUncompressedWithLimit(maxAnswer)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(body), nil
}

// failed makes the error of a call that got no answer.
func (r *Relay) failed(c *call, err error) error {
	var ne net.Error
	result, message := "error", "lighter could not be reached, try again"
	switch {
	case errors.Is(err, fasthttp.ErrTimeout) || errors.As(err, &ne) && ne.Timeout():
		result, message = "timeout", "lighter did not answer in time, try again"
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		result, message = "invalid", "lighter's answer is larger than 32 MiB"
	case errors.Is(err, errStatus):
		result, message = "invalid", "lighter's answer has a status that cannot be passed on"
	}
	if !c.read && !isDialError(err) {
		message = "lighter gave no answer; the call may have been carried out, look before you repeat it"
	}
	r.meters.count(c.endpoint, result)
	r.o.Logger.Warn("native call failed", "component", "relay", "endpoint", c.endpoint.name, "result", result, "error", err)
	return upstreamError(message, err)
}

// isDialError tells whether no connection came about, so that nothing was sent.
func isDialError(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" || errors.Is(err, fasthttp.ErrDialTimeout) || errors.Is(err, fasthttp.ErrNoFreeConns)
}

func upstreamError(message string, cause error) *model.Error {
	return &model.Error{Code: model.CodeUpstream, Message: message, Err: cause}
}

// good tells whether an answer may be kept: 200, JSON (the venue's CDN answers with pages of its own), and no error
// code inside, which stands first in every answer.
func good(a *Response) bool {
	if a.Status != fasthttp.StatusOK || !bytes.Contains(a.ContentType, []byte("json")) {
		return false
	}
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(a.Body, " \t\r\n"), []byte("{"))
	if !ok {
		return len(a.Body) > 0 && a.Body[0] == '['
	}
	rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(`"code"`))
	if !ok {
		return true
	}
	rest = bytes.TrimLeft(rest, " \t\r\n:")
	end := bytes.IndexAny(rest, ",} \t\r\n")
	return end > 0 && (string(rest[:end]) == "200" || string(rest[:end]) == "0")
}

// formAuth tells whether a form carries a native token, and which.
func formAuth(contentType, body []byte) (token []byte, ok bool) {
	form := []byte("application/x-www-form-urlencoded")
	if len(contentType) < len(form) || !bytes.EqualFold(contentType[:len(form)], form) {
		return nil, false
	}
	for rest, more := body, len(body) > 0; more; {
		var piece []byte
		piece, _, rest, more = cutMember(rest)
		name, value, _ := bytes.Cut(piece, []byte{'='})
		if s := string(name); s == "auth" || s == "authorization" {
			return value, true
		}
	}
	return nil, false
}
