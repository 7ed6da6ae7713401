package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
)

// statuses is the one table from an error code of the contract to its HTTP status.
var statuses = map[model.Code]int{
	model.CodeUnauthorized:       fasthttp.StatusUnauthorized,
	model.CodeForbidden:          fasthttp.StatusForbidden,
	model.CodeBadRequest:         fasthttp.StatusBadRequest,
	model.CodeNotFound:           fasthttp.StatusNotFound,
	model.CodeRateLimit:          fasthttp.StatusTooManyRequests,
	model.CodeBatchTooLarge:      fasthttp.StatusBadRequest,
	model.CodeInternal:           fasthttp.StatusInternalServerError,
	model.CodeUpstream:           fasthttp.StatusBadGateway,
	model.CodeQuota:              fasthttp.StatusTooManyRequests,
	model.CodeConflict:           fasthttp.StatusConflict,
	model.CodeMethodNotAllowed:   fasthttp.StatusMethodNotAllowed,
	model.CodePayloadTooLarge:    fasthttp.StatusRequestEntityTooLarge,
	model.CodeServiceUnavailable: fasthttp.StatusServiceUnavailable,
}

// titles are the short summaries that RFC 9457 wants to be the same for every occurrence of a type.
var titles = map[model.Code]string{
	model.CodeUnauthorized:       "Unauthorized",
	model.CodeForbidden:          "Forbidden",
	model.CodeBadRequest:         "Bad request",
	model.CodeNotFound:           "Not found",
	model.CodeRateLimit:          "Rate limit exceeded",
	model.CodeBatchTooLarge:      "Batch too large",
	model.CodeInternal:           "Internal error",
	model.CodeUpstream:           "Upstream error",
	model.CodeQuota:              "Monthly quota exceeded",
	model.CodeConflict:           "Conflict",
	model.CodeMethodNotAllowed:   "Method not allowed",
	model.CodePayloadTooLarge:    "Payload too large",
	model.CodeServiceUnavailable: "Service unavailable",
}

var (
	errInternal = &model.Error{Code: model.CodeInternal, Message: "internal error, report the request id"}
	errTooSlow  = &model.Error{Code: model.CodeServiceUnavailable, Message: "the query took too long, ask for a shorter range"}
	errTooLarge = &model.Error{Code: model.CodePayloadTooLarge, Message: "request body must not be larger than 1 MiB",
		Details: map[string]any{"limit": maxBody}}
	errNoPath = model.NotFound("no such path")
)

// publicError returns the error that a client may see. Whatever is not a *model.Error hides behind internal_error; the
// middleware logs it with the request id.
func publicError(err error) *model.Error {
	if e, ok := errors.AsType[*model.Error](err); ok {
		if _, known := statuses[e.Code]; known {
			return e
		}
		return errInternal
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errTooSlow
	}
	return errInternal
}

// statusOf returns the HTTP status of a code of the contract.
func statusOf(code model.Code) int {
	if s, ok := statuses[code]; ok {
		return s
	}
	return fasthttp.StatusInternalServerError
}

// fail is the one place where an error leaves: it replaces whatever the answer held so far.
func (c *call) fail(err error) {
	e := publicError(err)
	if e == errInternal {
		c.server.log.Error("request failed", "component", "http", "request_id", string(c.id[:]), "route", c.routeName(), "error", err)
	}
	c.failWith(e, statusOf(e.Code))
}

// failWith is fail with a status that says more than the code's own.
func (c *call) failWith(e *model.Error, status int) {
	resp := &c.ctx.Response
	resp.SetStatusCode(status)
	resp.Header.Del(fasthttp.HeaderETag)
	if status == fasthttp.StatusTooManyRequests {
		switch after := e.Details["retry_after"].(type) {
		case int:
			resp.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(max(1, after)))
		case int64:
			resp.Header.Set(fasthttp.HeaderRetryAfter, strconv.FormatInt(max(1, after), 10))
		}
	}
	body := resp.SwapBody(nil)[:0]
	if c.wantsProblem() {
		resp.Header.SetContentType("application/problem+json")
		resp.SwapBody(c.appendProblem(body, e, status))
		return
	}
	resp.Header.SetContentType(contentJSON)
	body = append(body, `{"success":false,"data":{"code":"`...)
	body = append(body, e.Code...)
	body = append(body, `","message":`...)
	body = model.AppendString(body, e.Message)
	if len(e.Details) > 0 {
		body = append(body, `,"details":`...)
		body = appendDetails(body, e.Details)
	}
	body = append(body, '}')
	resp.SwapBody(c.appendTail(body, meta{}))
}

// openSocket hands a request to a socket's handler. What that refuses it answers in the usual form by itself; who asked for
// another one gets that.
func (c *call) openSocket(h Handler) {
	h(c.ctx)
	if c.ctx.Response.StatusCode() < fasthttp.StatusBadRequest || !c.wantsProblem() {
		return
	}
	var refused struct {
		Data struct {
			Code    model.Code
			Message string
		}
	}
	if err := json.Unmarshal(c.ctx.Response.Body(), &refused); err != nil {
		c.fail(fmt.Errorf("read the refusal of a socket: %w", err))
		return
	}
	c.fail(&model.Error{Code: refused.Data.Code, Message: refused.Data.Message})
}

// appendProblem writes the same error as RFC 9457.
func (c *call) appendProblem(dst []byte, e *model.Error, status int) []byte {
	dst = append(dst, `{"type":`...)
	dst = model.AppendString(dst, c.server.publicURL+"/docs/errors#"+string(e.Code))
	dst = append(dst, `,"title":`...)
	dst = model.AppendString(dst, titles[e.Code])
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"detail":`...)
	dst = model.AppendString(dst, e.Message)
	dst = append(dst, `,"instance":"urn:uuid:`...)
	dst = append(dst, c.id[:]...)
	dst = append(dst, `","code":"`...)
	dst = append(dst, e.Code...)
	dst = append(dst, `","request_id":"`...)
	dst = append(dst, c.id[:]...)
	dst = append(dst, '"')
	if len(e.Details) > 0 {
		dst = append(dst, `,"details":`...)
		dst = appendDetails(dst, e.Details)
	}
	return append(dst, '}')
}

// appendDetails writes the details in the order of their names, so that equal errors read alike.
func appendDetails(dst []byte, details map[string]any) []byte {
	dst = append(dst, '{')
	for i, k := range slices.Sorted(maps.Keys(details)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = model.AppendString(dst, k)
		dst = append(dst, ':')
		switch v := details[k].(type) {
		case string:
			dst = model.AppendString(dst, v)
		case int:
			dst = strconv.AppendInt(dst, int64(v), 10)
		default:
			b, err := json.Marshal(v)
			if err != nil {
				b = []byte("null")
			}
			dst = append(dst, b...)
		}
	}
	return append(dst, '}')
}
