package http

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
	"hyperlight/engine/relay"
)

var (
	headerCache      = []byte("X-Cache")
	headerPagePolicy = []byte("Content-Security-Policy")
	valueInert       = []byte("default-src 'none'; sandbox")
	errTarget        = model.BadRequest("path", "the path must be plain: no dot segments, no empty ones, no encoded slashes")
	errRouteOnly     = &model.Error{Code: model.CodeMethodNotAllowed, Message: "native calls take GET, HEAD and POST"}
)

// native answers a call by the relay: the venue's status, body and content type as they are, and where they came from.
// Who calls was settled before, and the relay itself cuts whatever credential of ours the request carries.
func (s *Server) native(c *call) error {
	ctx := c.ctx
	path, query, err := nativeTarget(ctx)
	if err != nil {
		return err
	}
	if string(ctx.Method()) == fasthttp.MethodOptions {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD, OPTIONS, POST")
		return errRouteOnly
	}
	h := &ctx.Request.Header
	// The relay has time-outs of its own, and a call that was begun is finished: the client that went away may not be
	// the only one who waits for it.
	answer, err := s.relay.Do(context.Background(), &relay.Request{
		Method: lend(ctx.Method()), Path: path, Query: query, Authorization: c.head.authorization,
		ContentType: h.ContentType(), Accept: c.head.accept, Body: ctx.Request.Body(), Anonymous: c.principal == nil,
	})
	if err != nil {
		return err
	}
	resp := &ctx.Response
	resp.SetStatusCode(answer.Status)
	resp.Header.SetNoDefaultContentType(true) // what the venue left out stays out
	resp.Header.SetContentTypeBytes(answer.ContentType)
	resp.Header.SetCanonical(headerCache, answer.Cache.Bytes())
	resp.Header.SetCanonical(headerPagePolicy, valueInert) // a page of the venue's must not act as one of ours
	if answer.RetryAfter > 0 {
		resp.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(answer.RetryAfter))
	}
	resp.SetBodyRaw(answer.Body)
	return nil
}

// nativeTarget returns the path and the query of a native call as they stood in the request line. A target that reads
// otherwise than the path by which the call was routed and let in is refused: what was checked is what is forwarded.
func nativeTarget(ctx *fasthttp.RequestCtx) (path, query []byte, err error) {
	path, query, _ = bytes.Cut(ctx.Request.Header.RequestURI(), []byte{'?'})
	plain := path
	if bytes.IndexByte(path, '%') >= 0 {
		decoded, err := url.PathUnescape(lend(path))
		if err != nil {
			return nil, nil, errTarget
		}
		plain = []byte(decoded)
	}
	if !bytes.Equal(plain, requestPath(ctx)) {
		return nil, nil, errTarget
	}
	return path, query, nil
}

// isNativeCandles tells whether a candle query is in the venue's own form (contract 7.3).
func isNativeCandles(c *call) bool {
	args := c.ctx.QueryArgs()
	return slices.ContainsFunc(nativeCandles, args.Has)
}
