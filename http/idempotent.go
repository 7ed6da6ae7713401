package http

import (
	"crypto/sha256"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/access"
	"hyperlight/engine/model"
)

// maxIdempotencyKey is how long an Idempotency-Key may be.
const maxIdempotencyKey = 255

var (
	headerReplayed = []byte("Idempotent-Replayed")
	errReplayKey   = &model.Error{Code: model.CodeBadRequest, Message: "idempotency-key must not be longer than 255 bytes",
		Details: map[string]any{"field": "Idempotency-Key"}}
)

// replayable answers a call that carries an Idempotency-Key: the first one does the work, a later one with the same body
// gets the first answer again, without what may be shown only once. Answers that are errors are not kept, so that a call
// may be repeated after the fault was put right.
func (c *call) replayable() error {
	if len(c.head.idempotencyKey) > maxIdempotencyKey {
		return errReplayKey
	}
	// The path, not its pattern: with one key, calls on two things are two calls.
	what := c.route.method + " " + string(requestPath(c.ctx))
	idempotencyKey, body := string(c.head.idempotencyKey), sha256.Sum256(c.ctx.Request.Body())
	kept, done, err := c.server.access.Begin(c.principal.Account, what, idempotencyKey, body)
	if err != nil {
		return err
	}
	resp := &c.ctx.Response
	if kept != nil {
		resp.SetStatusCode(kept.Status)
		resp.Header.SetCanonical(headerReplayed, []byte("true"))
		resp.Header.SetContentType(contentJSON)
		body := append(resp.SwapBody(nil)[:0], envelopeHead...)
		resp.SwapBody(c.appendTail(append(body, kept.Body...), meta{}))
		return nil
	}
	c.made = access.MadeBy(c.principal.Account, what, idempotencyKey, body, c.nowMillis())
	status := fasthttp.StatusInternalServerError // not kept; what a handler that fails or panics leaves
	defer func() { done(status, c.kept) }()
	if err := c.envelope(); err != nil {
		return err
	}
	status = resp.StatusCode()
	return nil
}
