package lighter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"hyperlight/engine/feed"
	"hyperlight/engine/model"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"
)

const (
	restTimeout  = 10 * time.Second
	restMaxBytes = 32 << 20
	// maxConnections is how many calls are under way at once; more wait within their time.
	maxConnections = 16

	// Weights as documented, in units of 400: what an anonymous client may call 60 times a minute weighs 1.
	weightRead         = 1 // documented 300
	weightRecentTrades = 2 // documented 600
)

// RESTOptions configure a REST client. BaseURL is required.
type RESTOptions struct {
	BaseURL   string           // scheme and host, without a path
	Budget    *feed.Budget     // shared by all clients of the venue; nil: unlimited
	Now       func() time.Time // nil: the wall clock
	Timeout   time.Duration    // of a call once the budget let it go; 0: 10 s
	UserAgent string
	Dial      func(addr string) (net.Conn, error) // nil: TCP
	// Keep, where set, gets each good answer of Markets and Refresh with the call's name. It may keep the body.
	Keep func(name string, body []byte)
}

// REST is a client of the venue's REST. It is safe for concurrent use. Errors match feed.ErrUpstream, feed.ErrBudget or
// the context's; none holds text that the venue sent.
type REST struct {
	o      RESTOptions
	client *fasthttp.Client
}

// NewREST returns a client; it connects when it is first used.
func NewREST(o RESTOptions) *REST {
	o.BaseURL = strings.TrimRight(o.BaseURL, "/")
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout <= 0 {
		o.Timeout = restTimeout
	}
	return &REST{o: o, client: &fasthttp.Client{
		Name: o.UserAgent, NoDefaultUserAgentHeader: o.UserAgent == "", Dial: o.Dial,
		MaxResponseBodySize: restMaxBytes, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout,
		// One repeat for a kept connection that the venue had closed meanwhile.
		MaxIdemponentCallAttempts: 2, MaxConnsPerHost: maxConnections, MaxConnWaitTimeout: o.Timeout, MaxIdleConnDuration: 30 * time.Second,
	}}
}

// Close closes idle connections.
func (r *REST) Close() { r.client.CloseIdleConnections() }

// Probe is what the venue says of itself.
type Probe struct {
	NetworkID int64
	Timestamp model.Millis
	Latency   time.Duration // from sending to the whole answer, without the wait for the budget
}

// Probe asks the venue whether it is there.
func (r *REST) Probe(ctx context.Context) (Probe, error) {
	var answer struct {
		NetworkID text `json:"network_id"`
		Timestamp text `json:"timestamp"`
	}
	latency, err := r.get(ctx, "/", "", feed.Tracking, weightRead, &answer)
	if err != nil {
		return Probe{}, fmt.Errorf("probe venue: %w", err)
	}
	id, ok := signed([]byte(answer.NetworkID))
	at, ok2 := seconds(answer.Timestamp)
	if !ok || !ok2 {
		return Probe{}, fmt.Errorf("probe venue: %w", unexpected("status"))
	}
	return Probe{NetworkID: id, Timestamp: at, Latency: latency}, nil
}

// get calls a path and decodes the answer into v.
func (r *REST) get(ctx context.Context, path, query string, p feed.Priority, weight int, v any) (time.Duration, error) {
	body, latency, err := r.body(ctx, path, query, p, weight)
	if err != nil {
		return latency, err
	}
	return latency, decodeJSON(body, v)
}

// body calls a path and returns the answer's body, which is JSON and no refusal.
func (r *REST) body(ctx context.Context, path, query string, p feed.Priority, weight int) ([]byte, time.Duration, error) {
	if r.o.Budget != nil {
		if err := r.o.Budget.Acquire(ctx, p, weight); err != nil {
			countCall(path, "budget")
			return nil, 0, err
		}
	}
	began := r.o.Now()
	a := r.call(ctx, r.o.BaseURL+path+query)
	latency := r.o.Now().Sub(began)
	if ctx.Err() != nil && a.err != nil {
		countCall(path, "cancelled")
		return nil, latency, ctx.Err()
	}
	if a.err != nil {
		countCall(path, "error")
		return nil, latency, &feed.UpstreamError{Reason: transportReason(a.err), Err: a.err}
	}
	err := refused(a.status, a.html, a.body)
	status := strconv.Itoa(a.status)
	if err != nil && a.status/100 == 2 { // a web page, or half an answer: it must not count as a good one
		status = "invalid"
	}
	countCall(path, status)
	if a.status == fasthttp.StatusTooManyRequests && r.o.Budget != nil {
		r.o.Budget.Exhaust()
	}
	return a.body, latency, err
}

type answer struct {
	status int
	html   bool
	body   []byte
	err    error
}

// call sends one request. fasthttp knows no contexts, so a call given up on runs to its deadline in the background.
func (r *REST) call(ctx context.Context, url string) answer {
	timeout := r.o.Timeout
	if end, ok := ctx.Deadline(); ok {
		timeout = min(timeout, end.Sub(r.o.Now()))
	}
	done := make(chan answer, 1)
	go func() {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.SetRequestURI(url)
		req.Header.Set(fasthttp.HeaderAccept, "application/json")
		a := answer{err: r.client.DoTimeout(req, resp, timeout)}
		if a.err == nil {
			a.status, a.body = resp.StatusCode(), bytes.Clone(resp.Body())
			a.html = bytes.Contains(resp.Header.ContentType(), []byte("html"))
		}
		done <- a
	}()
	select {
	case a := <-done:
		return a
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	}
}

func transportReason(err error) string {
	var ne net.Error
	switch {
	case errors.Is(err, fasthttp.ErrTimeout) || errors.Is(err, fasthttp.ErrDialTimeout) || errors.As(err, &ne) && ne.Timeout():
		return "no answer in time"
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return "the answer is too large"
	}
	return "call the venue"
}

// refused tells an answer from a refusal: failed is what is not 2xx, or has a top-level code that is neither 0 nor 200.
func refused(status int, html bool, body []byte) error {
	trimmed := bytes.TrimSpace(body)
	switch {
	case html || bytes.HasPrefix(trimmed, []byte("<")):
		return &feed.UpstreamError{Status: status, Reason: "HTML instead of JSON"}
	case len(trimmed) == 0 || trimmed[0] != '{':
		return &feed.UpstreamError{Status: status, Reason: "no JSON object"}
	}
	code, err := topCode(trimmed)
	switch {
	case err != nil:
		return &feed.UpstreamError{Status: status, Reason: "damaged JSON", Err: err}
	case status == fasthttp.StatusTooManyRequests:
		return &feed.UpstreamError{Status: status, Code: code, Reason: "rate limited"}
	case status < 200 || status > 299 || code != 0 && code != 200:
		return &feed.UpstreamError{Status: status, Code: code, Reason: "refused"}
	}
	return nil
}

// topCode reads the top-level "code" and checks the whole body on the way.
func topCode(body []byte) (int, error) {
	s := scanner{data: body}
	s.begin('{')
	code := int64(0)
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			break
		}
		if string(name) == "code" {
			if code, ok = signed(s.text("code")); !ok {
				s.fail(ErrValue, "code")
			}
		} else {
			s.skip(1)
		}
		if s.err != nil {
			break
		}
	}
	s.end()
	return int(code), s.err
}

func unexpected(what string) error {
	return &feed.UpstreamError{Reason: "an answer without a usable " + what}
}

// countCall counts a call. Paths are ours, so the labels are bounded.
func countCall(path, status string) {
	endpoint := path[strings.LastIndexByte(path, '/')+1:]
	if endpoint == "" {
		endpoint = "root"
	}
	metrics.GetOrCreateCounter(fmt.Sprintf(`hyperlight_upstream_requests_total{venue="lighter",endpoint=%q,status=%q}`, endpoint, status)).Inc()
}
